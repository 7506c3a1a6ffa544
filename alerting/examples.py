"""What a window's negative posts show people: examples, where they were posted, and the words that stand out.

Posts are remembered as they pass: the store keeps only the newest twenty of a brand and partition. So all of this is
of the posts kept, not of all that were counted, and says so.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from alerting.detect import WindowCounts
from alerting.terms import rising_terms
from brandpulse.episodes import ExamplePost, SourceCount, Term
from brandpulse.keys import DAY_MS, MINUTE_MS, brand_of, facet_of
from brandpulse.pane_reader import SAMPLE_DAYS, NegativePost, SampledPost
from brandpulse.terms import terms_of

KEPT = 300
"""Of each brand: some hours of a busy one."""
SHOWN = 3
SHOWN_SOURCES = 5
OTHER_SOURCES = "others"
MOST_SOURCE_CHARS = 64
MOST_LOOKS = 100
"""For words, in one tick: each costs a read and some 10 ms, and a storm of brands must not hold the clock."""
ENOUGH_NEGATIVE = 100
"""So many usual negative posts, and terms are held against those: else every angry word stands out."""

Usual = Callable[[str, int, int], Mapping[int, Sequence[SampledPost]]]
"""Brand, first and last day since 1970 -> the sampled posts of each: `PaneReader.samples`."""


@dataclass(frozen=True, slots=True)
class PostEvidence:
    """What the kept posts of one window show."""

    examples: Sequence[ExamplePost] = ()
    sources: Sequence[SourceCount] = ()
    terms: Sequence[Term] = ()
    terms_missing: str | None = None


class ExampleShelf:
    """The newest negative posts seen of each brand. In memory: a new leader starts with the store's twenty."""

    def __init__(self, usual: Usual = lambda _brand, _first, _last: {}) -> None:
        """*usual* is asked when an episode is told of, at most every half hour each."""
        self._usual = usual
        self._looks = MOST_LOOKS
        self._posts: dict[str, OrderedDict[tuple[str, str], NegativePost]] = {}

    def refill(self) -> None:
        """A new tick may look for words again."""
        self._looks = MOST_LOOKS

    def put(self, brand: str, posts: Iterable[NegativePost]) -> None:
        shelf = self._posts.setdefault(brand, OrderedDict())
        for post in sorted(posts, key=lambda post: post.created_ms):
            shelf[(post.source, post.id)] = post
        while len(shelf) > KEPT:
            shelf.popitem(last=False)

    def show(self, brand: str, window: WindowCounts) -> PostEvidence:
        """What is kept of *window*. Raises TransientError when the usual posts cannot be read."""
        first_ms, end_ms = window.first_minute * MINUTE_MS, (window.last_minute + 1) * MINUTE_MS
        within = [
            post for post in self._posts.get(brand, OrderedDict()).values() if first_ms <= post.created_ms < end_ms
        ]
        facet = bool(facet_of(brand))
        kind = "posts in the facet" if facet else "negative posts"
        if not within:
            return PostEvidence(terms_missing=f"no {kind} are kept of the window")
        surest = _one_an_author(within)
        examples, sources = [_example(post) for post in surest[:SHOWN]], count_sources(within)
        if self._looks == 0:
            return PostEvidence(examples, sources, terms_missing=f"more than {MOST_LOOKS} alerts were told at once")
        self._looks -= 1
        before = first_ms // DAY_MS - 1
        samples = self._usual(brand_of(brand), before - SAMPLE_DAYS + 2, before)
        terms, missing = rising_terms(
            (terms_of(post.text) for post in surest),
            _compared(samples, negative=not facet),
            brand=brand_of(brand),
            kind=kind,
        )
        return PostEvidence(examples, sources, terms, missing)


def count_sources(posts: Iterable[NegativePost]) -> list[SourceCount]:
    """How many of *posts* each source brought, the most first, at most five and the rest together."""
    counts = Counter(_plain(post.source) for post in posts)
    most = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    rest = sum(many for _, many in most[SHOWN_SOURCES:])
    named = most[:SHOWN_SOURCES] + ([(OTHER_SOURCES, rest)] if rest else [])
    return [SourceCount(source=source, posts=many) for source, many in named]


def _one_an_author(posts: Iterable[NegativePost]) -> list[NegativePost]:
    """A post of each author, the surest judged first."""
    surest: dict[str, NegativePost] = {}
    for post in sorted(posts, key=lambda post: (-post.negative, -post.created_ms, post.id)):
        surest.setdefault(post.author, post)
    return list(surest.values())


def _compared(samples: Mapping[int, Sequence[SampledPost]], *, negative: bool) -> list[tuple[str, ...]]:
    """Terms of the usual posts; with *negative* of those that are, where there are enough."""
    every = [post for found in samples.values() for post in found]
    worst = [post.terms for post in every if negative and post.negative]
    return worst if len(worst) >= ENOUGH_NEGATIVE else [post.terms for post in every]


def _example(post: NegativePost) -> ExamplePost:
    return ExamplePost(
        id=post.id, source=post.source, text=post.text, created_at=datetime.fromtimestamp(post.created_ms / 1_000, UTC)
    )


def _plain(name: str) -> str:
    """A producer's *name* for its source as one short line: anyone may have produced it."""
    return "".join(c if c.isprintable() else " " for c in name).strip()[:MOST_SOURCE_CHARS] or "?"
