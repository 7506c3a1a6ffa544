"""Which facets a post is in, and how it counts for them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brandpulse.config.brands_file import Brand
from brandpulse.config.facets import Facet
from brandpulse.errors import ConfigError
from brandpulse.schema.labels import EMOTIONS, MOODS
from brandpulse.schema.posts import BRAND_SENTIMENTS
from brandpulse.state.author_sketches import AuthorCounts, Authors, count_authors
from brandpulse.state.keys import DAY_MS, HOUR_MS, MINUTE_MS, facet_of, facet_series
from brandpulse.state.panes import Pane, counted_as
from brandpulse.text.brand_matcher import BrandMatcher
from stream_workers.aggregation.deduplication import DedupLimits
from stream_workers.aggregation.event_time import Retention
from stream_workers.aggregation.row_fold import fold_rows, plan_rows
from stream_workers.aggregation.types import Cell, Scored
from stream_workers.scoring.facet_matcher import FacetMatcher
from stream_workers.scoring.post_scores import BrandScore
from stream_workers.state_store.memory_store import MemoryPartitionStore
from stream_workers.state_store.partition_store import Applied, ReadRequest
from tests.support.builders import NOON_MS, PROBABILITIES, a_scored, a_status

HEADS = ("sentiment", "target", "emotion", "mood", "risk")
REFUND = Facet(name="refund", words=["refund", "money back", "#chargeback"])
ACME = Brand(name="Acme", terms=["acme"])
RETENTION = Retention(lateness_ms=2 * MINUTE_MS, minutes_ms=48 * HOUR_MS, hours_ms=90 * DAY_MS)
LIMITS = DedupLimits(memory_ms=7 * DAY_MS, max_ids=10_000)


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("acme I want a REFUND.", True),
        ("acme: my money\u00a0 back, now", True),
        ("@support acme #refund", True),
        ("acme #chargeback", True),
        ("acme refunded me", False),
        ("acme https://acme.com/refund", False),
        ("acme @refund", False),
        ("acme chargeback", False),
        ("acme is fine", False),
    ],
)
def test_facet_keyword_matches_like_a_brand_term(text: str, matches: bool) -> None:
    matcher = BrandMatcher([ACME], [Facet(name="late", words=["late"]), REFUND])
    assert matcher.match_with_facets(text) == (("Acme",), frozenset({1} if matches else ()))


def test_keyword_may_belong_to_a_brand_and_to_facets() -> None:
    two = [Facet(name="a", words=["acme", "down"]), Facet(name="b", words=["Down"])]
    matcher = BrandMatcher([ACME], two)
    assert matcher.match_with_facets("Acme is down") == (("Acme",), frozenset({0, 1}))
    assert matcher.match_with_facets("all is down") == ((), frozenset({0, 1}))


def test_empty_keyword_error_names_its_facet() -> None:
    with pytest.raises(ConfigError, match="facet 'x': the word"):
        BrandMatcher([ACME], [Facet(name="x", words=["\u200d"])])


def heads(
    *, emotions: Mapping[str, float] | None = None, mood: str = "joy", complaint: float = 0.0, crisis: float = 0.0
) -> dict[str, Sequence[float]]:
    return {
        "sentiment": (0.1, 0.8, 0.1),
        "emotion": tuple((emotions or {}).get(name, 0.0) for name in EMOTIONS),
        "mood": tuple(float(name == mood) for name in MOODS),
        "risk": (complaint, crisis, 0.0),
    }


def said(sentiment: str = "negative", urgency: Any = "low", brand: str = "Acme") -> BrandScore:
    return BrandScore(brand, PROBABILITIES[sentiment], *counted_as(PROBABILITIES[sentiment]), urgency)


def names(facet: Facet, *, worded: bool = False, said: Sequence[BrandScore], **of_post: Any) -> list[str]:
    found = FacetMatcher([facet], heads=HEADS).match({0} if worded else set(), heads(**of_post), said)
    assert {facet_of(series) for series, _ in found} <= {facet.name}
    return [verdict.brand for _, verdict in found]


@pytest.mark.parametrize(
    ("fields", "of_post", "of_brand", "inside"),
    [
        ({"words": ["refund"]}, {"worded": True}, {}, True),
        ({"words": ["refund"]}, {"worded": False}, {}, False),
        ({"words": ["refund"]}, {"worded": True}, {"sentiment": "irrelevant"}, False),
        ({"words": ["refund"], "sentiment": ["negative"]}, {"worded": True}, {"sentiment": "positive"}, False),
        ({"words": ["refund"], "sentiment": ["negative"]}, {"worded": True}, {"sentiment": "negative"}, True),
        ({"emotions": ["anger", "fear"]}, {"emotions": {"fear": 0.5}}, {}, True),
        ({"emotions": ["anger", "fear"]}, {"emotions": {"fear": 0.49, "joy": 0.9}}, {}, False),
        ({"mood": ["anger", "sadness"]}, {"mood": "sadness"}, {}, True),
        ({"mood": ["anger", "sadness"]}, {"mood": "joy"}, {}, False),
        ({"urgency": ["medium", "high"]}, {}, {"urgency": "high"}, True),
        ({"urgency": ["medium", "high"]}, {}, {"urgency": "low"}, False),
        ({"complaint": 0.6}, {"complaint": 0.6}, {}, True),
        ({"complaint": 0.6}, {"complaint": 0.59, "crisis": 0.9}, {}, False),
        ({"crisis": 0.6}, {"crisis": 0.61}, {}, True),
        ({"crisis": 0.6}, {"complaint": 0.9, "crisis": 0.1}, {}, False),
        ({"words": ["refund"], "complaint": 0.6}, {"worded": True, "complaint": 0.1}, {}, False),
        ({"words": ["refund"], "complaint": 0.6}, {"worded": False, "complaint": 0.9}, {}, False),
        ({"words": ["refund"], "complaint": 0.6}, {"worded": True, "complaint": 0.9}, {}, True),
    ],
)
def test_all_fields_of_a_facet_must_hold(
    fields: dict[str, Any], of_post: dict[str, Any], of_brand: dict[str, Any], inside: bool
) -> None:
    found = names(Facet(name="f", **fields), said=[said(**of_brand)], **of_post)
    assert found == (["Acme"] if inside else [])


def test_post_may_be_in_a_facet_of_only_one_of_its_brands() -> None:
    two = [said(urgency="high"), said(urgency="low", brand="Bolt")]
    assert names(Facet(name="urgent", urgency=["high"]), said=two) == ["Acme"]


def test_emotion_facet_uses_the_threshold_of_the_model() -> None:
    thresholds = tuple(0.2 if name == "anger" else 0.9 for name in EMOTIONS)
    facets = FacetMatcher([Facet(name="angry", emotions=["anger"])], heads=HEADS, emotion_thresholds=thresholds)
    assert facets.match((), heads(emotions={"anger": 0.2}), [said()])
    assert not facets.match((), heads(emotions={"anger": 0.19}), [said()])


def test_emotion_facet_uses_the_threshold_of_the_weights_of_a_language() -> None:
    lower = tuple(0.2 if name == "anger" else 0.9 for name in EMOTIONS)
    facets = FacetMatcher([Facet(name="angry", emotions=["anger"])], heads=HEADS, routed_thresholds={"de": lower})
    assert facets.match((), heads(emotions={"anger": 0.3}), [said()], "de")
    assert not facets.match((), heads(emotions={"anger": 0.3}), [said()], "en")


def test_facets_of_a_scored_post_are_those_of_its_language() -> None:
    class Languages(FacetMatcher):
        def match(self, *given: Any) -> tuple[tuple[str, BrandScore], ...]:
            return tuple((f"Acme in {given[3]}", score) for score in given[2])

    [(series, _)] = a_scored("1", facets=Languages([REFUND], heads=HEADS), language="de").facets
    assert series == "Acme in de"


def test_emotion_facet_ignores_all_but_the_three_likeliest_emotions() -> None:
    facets = FacetMatcher([Facet(name="angry", emotions=["anger"])], heads=HEADS)
    others = {"joy": 0.9, "love": 0.8, "fear": 0.7}
    assert facets.match((), heads(emotions={"anger": 0.75} | others), [said()])
    assert not facets.match((), heads(emotions={"anger": 0.6} | others), [said()])


@pytest.mark.parametrize(
    ("fields", "head"),
    [
        ({"emotions": ["anger"]}, "emotion"),
        ({"mood": ["anger"]}, "mood"),
        ({"urgency": ["high"]}, "risk"),
        ({"complaint": 0.5}, "risk"),
        ({"words": ["refund"], "crisis": 0.5}, "risk"),
    ],
)
def test_missing_head_error_names_facet_and_head(fields: dict[str, Any], head: str) -> None:
    with pytest.raises(ConfigError, match=f"facet 'f' .* head '{head}'.*sentiment, target"):
        FacetMatcher([Facet(name="f", **fields)], heads=("sentiment", "target"))
    FacetMatcher([REFUND], heads=("sentiment", "target"))


SERIES = facet_series("Acme", "refund")


def in_refund(post_id: str, sentiment: str = "neutral", at_ms: int = NOON_MS, **changes: Any) -> Scored:
    return a_scored(post_id, sentiment, at_ms, facets=FacetMatcher([REFUND], heads=HEADS), worded={0}, **changes)


def test_post_in_a_facet_counts_for_facet_and_brand() -> None:
    posts = [in_refund("1", "negative", author=1), a_scored("2", "positive", author=2), in_refund("3", author=1)]
    change = fold_rows(a_status(), posts, 3, stored(), retention=RETENTION, limits=LIMITS)
    hour = NOON_MS // HOUR_MS
    assert change.panes[Cell("hour", "Acme", hour)] == Pane(negative=1, neutral=1, positive=1)
    for cell in (Cell("hour", SERIES, hour), Cell("minute", SERIES, NOON_MS // MINUTE_MS)):
        assert change.panes[cell] == Pane(negative=1, neutral=1, score_micros=-750_000)
        assert count_authors([Authors.decode(change.authors[cell])]) == AuthorCounts(everyone=1, negative=1)
    assert count_authors([Authors.decode(change.authors[Cell("hour", "Acme", hour)])]).everyone == 2


def test_irrelevant_post_is_in_no_facet() -> None:
    change = fold_rows(a_status(), [in_refund("1", "irrelevant")], 1, stored(), retention=RETENTION, limits=LIMITS)
    assert {cell.brand for cell in change.panes} == {"Acme"}


def test_newest_posts_of_a_facet_are_stored_with_any_label() -> None:
    posts = [in_refund(str(i), "positive", NOON_MS + i) for i in range(30)]
    change = fold_rows(a_status(), posts, 30, stored(), retention=RETENTION, limits=LIMITS)
    assert {post.id for post in change.negatives[SERIES]} == {str(i) for i in range(10, 30)}
    assert "Acme" not in change.negatives


def stored() -> Any:
    store, status = MemoryPartitionStore(), a_status()
    store.rebase(None, status)
    return store.read([ReadRequest(status, [], [])])[0]


LABELS: tuple[str, ...] = BRAND_SENTIMENTS


@st.composite
def streams(draw: st.DrawFn) -> tuple[list[tuple[int, str, int, bool]], list[int]]:
    """Ids, sentiments, minutes and whether a keyword matches, with duplicates and late posts; and batch boundaries."""
    rows = draw(
        st.lists(st.tuples(st.integers(0, 15), st.sampled_from(LABELS), st.integers(-1_440, 60), st.booleans()))
    )
    return rows, sorted(draw(st.lists(st.integers(0, len(rows)), max_size=5)))


@given(streams())
def test_facet_panes_equal_a_direct_count_in_any_batches(
    drawn: tuple[list[tuple[int, str, int, bool]], list[int]],
) -> None:
    rows, cuts = drawn
    facets = FacetMatcher([REFUND], heads=HEADS)
    posts = [
        a_scored(
            str(number),
            sentiment,
            NOON_MS + minute * MINUTE_MS,
            offset=offset,
            record_ms=NOON_MS + DAY_MS,
            facets=facets,
            worded={0} if worded else set(),
        )
        for offset, (number, sentiment, minute, worded) in enumerate(rows)
    ]
    store, status = MemoryPartitionStore(), a_status()
    store.rebase(None, status)
    panes: dict[Cell, Pane] = {}
    for start, end in zip([0, *cuts], [*cuts, len(posts)], strict=True):
        digests, cells = plan_rows(posts[start:end])
        [known] = store.read([ReadRequest(status, digests, cells)])
        change = fold_rows(status, posts[start:end], end, known, retention=RETENTION, limits=LIMITS)
        assert store.apply([change]) == [Applied()]
        status = change.status
        panes |= change.panes
    first: dict[int, tuple[str, int, bool]] = {}
    for number, sentiment, minute, worded in rows:
        first.setdefault(number, (sentiment, minute, worded))
    wanted: Counter[tuple[int, str]] = Counter()
    for sentiment, minute, worded in first.values():
        if worded and sentiment != "irrelevant":
            wanted[(NOON_MS // MINUTE_MS + minute) // 60, sentiment] += 1
    got = {cell.bucket: pane for cell, pane in panes.items() if cell.brand == SERIES and cell.span == "hour"}
    assert {(hour, label): n for hour, p in got.items() for label, n in by_label(p).items() if n} == wanted
    brand = [pane for cell, pane in panes.items() if cell.brand == "Acme" and cell.span == "hour"]
    assert sum(pane.posts for pane in brand) == len(first), "a post of a facet counts once for its brand"


def by_label(pane: Pane) -> dict[str, int]:
    return {"negative": pane.negative, "neutral": pane.neutral, "positive": pane.positive}
