"""What people see of a window's posts: examples, sources, and words that stand out.

Posts are read when an episode is notified. Workers store all posts of an hour up to a limit, and a sample beyond it
(`brandpulse/state/stored_posts.py`). So all of this is based on the stored posts, and includes their number.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from alerting.detection.share_detector import WindowCounts
from alerting.episodes.rising_terms import rising_terms
from brandpulse.schema.episodes import ExamplePost, SourceCount, Term
from brandpulse.state.author_lookup import KnownAuthors
from brandpulse.state.keys import DAY_MS, MINUTE_MS, brand_of, facet_of
from brandpulse.state.stored_posts import SAMPLE_DAYS, HourPost, NegativePost, SampledPost, WindowPosts
from brandpulse.text.near_duplicates import CopyGroup, copy_groups
from brandpulse.text.terms import terms_of

SHOWN = 3
SHOWN_SOURCES = 5
OTHER_SOURCES = "others"
MAX_SOURCE_CHARS = 64
MAX_DETAILS = 100
"""Limit for words and new accounts in one evaluation: each costs about 20 ms, and many episodes must not delay it."""
MAX_READS = 1_000
"""Limit for reads of posts in one evaluation: about 3 ms each."""
ENOUGH_NEGATIVE = 100
"""With this many usual negative posts, terms are compared with those only: otherwise every angry word stands out."""

Usual = Callable[[str, int, int], Mapping[int, Sequence[SampledPost]]]
"""Brand, first and last day since 1970 -> the sampled posts of each day: `PaneReader.samples`."""
StoredPosts = Callable[[str, int, int], WindowPosts]
"""Series, first event time and end -> its stored posts: `PaneReader.window_posts`."""
Known = Callable[[str, int], KnownAuthors]
"""Brand, event time -> the authors who wrote about it before: `PaneReader.known_authors`."""


@dataclass(frozen=True, slots=True)
class PostEvidence:
    """What the stored posts of one window show."""

    examples: Sequence[ExamplePost] = ()
    sources: Sequence[SourceCount] = ()
    terms: Sequence[Term] = ()
    terms_missing: str | None = None
    kept: int | None = None
    """Number of posts that all of this is based on."""
    one_text_accounts: int | None = None
    """Accounts of the text that most accounts wrote; None: not counted."""
    new_accounts: int | None = None
    """Accounts that wrote nothing about the brand in the seven days before; None: not known."""
    accounts: int | None = None
    """All accounts; None: not counted."""


class PostEvidenceReader:
    """Reads the stored posts of windows, within limits for each evaluation."""

    def __init__(
        self,
        usual: Usual = lambda _brand, _first, _last: {},
        stored: StoredPosts = lambda _series, _first, _end: WindowPosts(),
        known: Known = lambda _brand, _before: KnownAuthors([]),
    ) -> None:
        """All are called when an episode is notified, at most every half hour for each episode."""
        self._usual = usual
        self._stored = stored
        self._known = known
        self._details_left = MAX_DETAILS
        self._reads_left = MAX_READS

    def reset_limits(self) -> None:
        """Start a new evaluation."""
        self._details_left = MAX_DETAILS
        self._reads_left = MAX_READS

    def read_all(self, brand: str, window: WindowCounts) -> PostEvidence:
        """`read` for all relevant posts, negative or not."""
        return self.read(brand, window, negative=False)

    def read(self, series: str, window: WindowCounts, *, negative: bool = True) -> PostEvidence:
        """The evidence of *window*: a brand's negative posts, or the posts in a facet.

        Raises TransientError if posts cannot be read.
        """
        if self._reads_left == 0:
            return PostEvidence(terms_missing=f"more than {MAX_READS} alerts came at once")
        self._reads_left -= 1
        first_ms, end_ms = window.first_minute * MINUTE_MS, (window.last_minute + 1) * MINUTE_MS
        of_facet = bool(facet_of(series))
        found = self._stored(series, first_ms, end_ms)
        worst_first = negative and not of_facet
        posts = found.negative if worst_first else found.all
        kind = "negative posts" if worst_first else "posts in the facet" if of_facet else "posts"
        if not posts:
            return PostEvidence(terms_missing=f"no {kind} are kept of the window", kept=0)
        missing = (window.negative_posts if negative else window.posts) > len(posts)
        groups = copy_groups(posts, surest=negative)
        chosen = different_texts(groups, SHOWN)
        with_details, self._details_left = self._details_left > 0, max(0, self._details_left - 1)
        known = self._known(brand_of(series), first_ms) if with_details else None
        accounts = {post.author for post in posts}
        examples = [example_of(post, group, known, at_least=missing) for post, group in chosen]
        if with_details:
            terms, why_none = self._terms(series, posts, first_ms, kind=kind)
        else:
            terms, why_none = [], f"more than {MAX_DETAILS} alerts came at once"
        return PostEvidence(
            examples,
            count_sources(posts),
            terms,
            why_none,
            len(posts),
            one_text_accounts=max(len(group.authors) for group in groups),
            new_accounts=None if known is None else known.new_among(accounts),
            accounts=len(accounts),
        )

    def _terms(
        self, series: str, posts: Sequence[HourPost], first_ms: int, *, kind: str
    ) -> tuple[list[Term], str | None]:
        brand, before = brand_of(series), first_ms // DAY_MS - 1
        samples = self._usual(brand, before - SAMPLE_DAYS + 2, before)
        return rising_terms(
            (terms_of(post.text) for post in _one_an_author(posts)),
            _compared(samples, negative=kind == "negative posts"),
            brand=brand,
            kind=kind,
        )


def different_texts(groups: Iterable[CopyGroup], limit: int) -> list[tuple[HourPost, CopyGroup]]:
    """One post of each of the first *groups*, at most *limit*: each text once, and each author once."""
    chosen: list[tuple[HourPost, CopyGroup]] = []
    shown: set[str] = set()
    for group in groups:
        if len(chosen) == limit:
            break
        post = next((post for post in group.posts if post.author not in shown), None)
        if post is not None:
            chosen.append((post, group))
            shown.add(post.author)
    return chosen


def example_of(post: HourPost, group: CopyGroup, known: KnownAuthors | None, *, at_least: bool) -> ExamplePost:
    """*post* with the numbers of its *group*. *at_least*: some posts of the window are not stored."""
    return ExamplePost(
        id=post.id,
        source=post.source,
        text=post.text,
        created_at=datetime.fromtimestamp(post.created_ms / 1_000, UTC),
        copies=len(group.posts),
        accounts=len(group.authors),
        new_accounts=None if known is None else known.new_among(group.authors),
        at_least=at_least,
    )


def count_sources(posts: Iterable[HourPost | NegativePost]) -> list[SourceCount]:
    """The number of *posts* by source, highest first: at most five sources, and the rest together."""
    counts = Counter(_plain(post.source) for post in posts)
    ranked = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    rest = sum(posts for _, posts in ranked[SHOWN_SOURCES:])
    named = ranked[:SHOWN_SOURCES] + ([(OTHER_SOURCES, rest)] if rest else [])
    return [SourceCount(source=source, posts=posts) for source, posts in named]


def _one_an_author(posts: Iterable[HourPost]) -> list[HourPost]:
    """One post of each author, the one with the highest negative score."""
    surest: dict[str, HourPost] = {}
    for post in sorted(posts, key=lambda post: (-post.negative, -post.created_ms, post.id)):
        surest.setdefault(post.author, post)
    return list(surest.values())


def _compared(samples: Mapping[int, Sequence[SampledPost]], *, negative: bool) -> list[tuple[str, ...]]:
    """Terms of the usual posts; with *negative*, of the negative ones if there are enough."""
    every = [post for found in samples.values() for post in found]
    worst = [post.terms for post in every if negative and post.negative]
    return worst if len(worst) >= ENOUGH_NEGATIVE else [post.terms for post in every]


def _plain(name: str) -> str:
    """A source *name* as one short line. It is untrusted: any producer may set it."""
    return "".join(c if c.isprintable() else " " for c in name).strip()[:MAX_SOURCE_CHARS] or "?"
