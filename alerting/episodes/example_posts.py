"""What a window's posts show people: examples, where they were posted, and the words that stand out.

Posts are read when an episode is told of. Workers keep all of an hour up to a bound, beyond it a sample
(`brandpulse/state/stored_posts.py`). So all of this is of the posts kept, and says of how many.
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
MOST_SOURCE_CHARS = 64
MOST_LOOKS = 100
"""For words and new accounts, in one tick: each costs some 20 ms, and a storm of brands must not hold the clock."""
MOST_READS = 1_000
"""For posts, in one tick: some 3 ms each."""
ENOUGH_NEGATIVE = 100
"""So many usual negative posts, and terms are held against those: else every angry word stands out."""

Usual = Callable[[str, int, int], Mapping[int, Sequence[SampledPost]]]
"""Brand, first and last day since 1970 -> the sampled posts of each: `PaneReader.samples`."""
Kept = Callable[[str, int, int], WindowPosts]
"""Series, first event time and end -> what is kept of it: `PaneReader.window_posts`."""
Known = Callable[[str, int], KnownAuthors]
"""Brand, event time -> who wrote about it before: `PaneReader.known_authors`."""


@dataclass(frozen=True, slots=True)
class PostEvidence:
    """What the kept posts of one window show."""

    examples: Sequence[ExamplePost] = ()
    sources: Sequence[SourceCount] = ()
    terms: Sequence[Term] = ()
    terms_missing: str | None = None
    kept: int | None = None
    """Posts that all of this is of."""


class PostEvidenceReader:
    """Reads the kept posts of windows, at most `MOST_LOOKS` times a tick."""

    def __init__(
        self,
        usual: Usual = lambda _brand, _first, _last: {},
        kept: Kept = lambda _series, _first, _end: WindowPosts(),
        known: Known = lambda _brand, _before: KnownAuthors([]),
    ) -> None:
        """All are asked when an episode is told of, at most every half hour each."""
        self._usual = usual
        self._kept = kept
        self._known = known
        self._looks = MOST_LOOKS
        self._reads = MOST_READS

    def reset_limits(self) -> None:
        """A new tick may look again."""
        self._looks = MOST_LOOKS
        self._reads = MOST_READS

    def read_all(self, brand: str, window: WindowCounts) -> PostEvidence:
        """As `read`, of all relevant posts, negative or not."""
        return self.read(brand, window, negative=False)

    def read(self, series: str, window: WindowCounts, *, negative: bool = True) -> PostEvidence:
        """What is kept of *window*: of a brand the negative posts, of a facet those in it.

        Raises TransientError when posts cannot be read.
        """
        if self._reads == 0:
            return PostEvidence(terms_missing=f"more than {MOST_READS} alerts came at once")
        self._reads -= 1
        first_ms, end_ms = window.first_minute * MINUTE_MS, (window.last_minute + 1) * MINUTE_MS
        of_facet = bool(facet_of(series))
        found = self._kept(series, first_ms, end_ms)
        worst_first = negative and not of_facet
        posts = found.negative if worst_first else found.all
        kind = "negative posts" if worst_first else "posts in the facet" if of_facet else "posts"
        if not posts:
            return PostEvidence(terms_missing=f"no {kind} are kept of the window", kept=0)
        missing = (window.negative_posts if negative else window.posts) > len(posts)
        chosen = different_texts(copy_groups(posts, surest=negative), SHOWN)
        looks, self._looks = self._looks > 0, max(0, self._looks - 1)
        repeated = any(len(group.posts) > 1 for _, group in chosen)
        met = self._known(brand_of(series), first_ms) if looks and repeated else None
        examples = [example_of(post, group, met, at_least=missing) for post, group in chosen]
        if looks:
            terms, why_none = self._terms(series, posts, first_ms, kind=kind)
        else:
            terms, why_none = [], f"more than {MOST_LOOKS} alerts came at once"
        return PostEvidence(examples, count_sources(posts), terms, why_none, len(posts))

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


def different_texts(groups: Iterable[CopyGroup], most: int) -> list[tuple[HourPost, CopyGroup]]:
    """A post of each of the first *groups*, of *most* at most: each text once, and each author once."""
    chosen: list[tuple[HourPost, CopyGroup]] = []
    shown: set[str] = set()
    for group in groups:
        if len(chosen) == most:
            break
        post = next((post for post in group.posts if post.author not in shown), None)
        if post is not None:
            chosen.append((post, group))
            shown.add(post.author)
    return chosen


def example_of(post: HourPost, group: CopyGroup, met: KnownAuthors | None, *, at_least: bool) -> ExamplePost:
    """*post* with what is known of its *group*. *at_least*: posts are missing among what is kept."""
    return ExamplePost(
        id=post.id,
        source=post.source,
        text=post.text,
        created_at=datetime.fromtimestamp(post.created_ms / 1_000, UTC),
        copies=len(group.posts),
        accounts=len(group.authors),
        new_accounts=None if met is None else met.new_among(group.authors),
        at_least=at_least,
    )


def count_sources(posts: Iterable[HourPost | NegativePost]) -> list[SourceCount]:
    """How many of *posts* each source brought, the most first, at most five and the rest together."""
    counts = Counter(_plain(post.source) for post in posts)
    most = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    rest = sum(many for _, many in most[SHOWN_SOURCES:])
    named = most[:SHOWN_SOURCES] + ([(OTHER_SOURCES, rest)] if rest else [])
    return [SourceCount(source=source, posts=many) for source, many in named]


def _one_an_author(posts: Iterable[HourPost]) -> list[HourPost]:
    """A post of each author, the surest judged first."""
    surest: dict[str, HourPost] = {}
    for post in sorted(posts, key=lambda post: (-post.negative, -post.created_ms, post.id)):
        surest.setdefault(post.author, post)
    return list(surest.values())


def _compared(samples: Mapping[int, Sequence[SampledPost]], *, negative: bool) -> list[tuple[str, ...]]:
    """Terms of the usual posts; with *negative* of those that are, where there are enough."""
    every = [post for found in samples.values() for post in found]
    worst = [post.terms for post in every if negative and post.negative]
    return worst if len(worst) >= ENOUGH_NEGATIVE else [post.terms for post in every]


def _plain(name: str) -> str:
    """A producer's *name* for its source as one short line: anyone may have produced it."""
    return "".join(c if c.isprintable() else " " for c in name).strip()[:MOST_SOURCE_CHARS] or "?"
