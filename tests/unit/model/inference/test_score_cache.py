import tracemalloc
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from model.inference.adapters import ClassifierScorer
from model.inference.keyword_classifier import KeywordClassifier
from model.inference.score_cache import CachingScorer
from model.inference.scorer import Scores
from model.inputs.target_marking import MarkedText, mark, plain
from model.spec.heads import BY_NAME


class Failing(ClassifierScorer):
    def score(self, posts: Sequence[MarkedText]) -> Scores:
        raise RuntimeError("engine is gone")


class Counting(ClassifierScorer):
    """Records the posts it scores."""

    def __init__(self) -> None:
        super().__init__(KeywordClassifier())
        self.seen: list[MarkedText] = []

    def score(self, posts: Sequence[MarkedText]) -> Scores:
        self.seen += posts
        return super().score(posts)


POST = mark("Acme is awful and Globex is great", ["Acme", "Globex"])


def test_a_cached_post_is_not_scored_again() -> None:
    inner = Counting()
    cached = CachingScorer(inner, max_entries=10)
    posts = [POST, plain("good day"), POST, mark("no brand", ["Acme"])]
    first, again = cached.score(posts), cached.score(posts)
    assert inner.seen == [POST, posts[1], posts[3]]
    np.testing.assert_array_equal(first.heads["sentiment"], again.heads["sentiment"])
    np.testing.assert_array_equal(first.target, again.target)
    np.testing.assert_array_equal(first.target, ClassifierScorer(KeywordClassifier()).score(posts).target)
    assert (cached.hits, cached.misses) == (5, 3)
    assert (cached.name, cached.version, cached.heads) == (inner.name, inner.version, inner.heads)


@pytest.mark.parametrize(
    "other",
    [
        replace(POST, text=POST.text + "!"),
        replace(POST, mentions=(1, 0)),
        replace(POST, mentions=(0, 0)),
        replace(POST, targets=3),
        replace(POST, absent=frozenset({1})),
        replace(POST, mentions=(), targets=0),
    ],
    ids=["text", "who is named first", "one is named twice", "one more asked about", "absent", "none asked about"],
)
def test_posts_that_differ_for_the_model_have_own_entries(other: MarkedText) -> None:
    inner = Counting()
    cached = CachingScorer(inner, max_entries=10)
    cached.score([POST])
    cached.score([other])
    assert inner.seen == [POST, other]


def test_two_brands_in_the_same_place_share_an_entry() -> None:
    inner = Counting()
    CachingScorer(inner).score([mark(f"{brand} is awful", [brand]) for brand in ("Acme", "Globex")])
    assert len(inner.seen) == 1


def test_the_least_recently_used_posts_are_removed_first() -> None:
    inner = Counting()
    cached = CachingScorer(inner, max_entries=2)
    for text in ("one", "two", "one", "three", "one", "two"):
        cached.score([plain(text)])
    assert [post.text for post in inner.seen] == ["one", "two", "three", "two"]


@pytest.mark.parametrize("max_entries", [0, 1, 3])
def test_a_call_larger_than_the_cache_is_answered_whole(max_entries: int) -> None:
    cached = CachingScorer(ClassifierScorer(KeywordClassifier()), max_entries=max_entries)
    posts = [plain(f"bad day {number}") for number in range(20)]
    np.testing.assert_array_equal(
        cached.score(posts).heads["sentiment"],
        ClassifierScorer(KeywordClassifier()).score(posts).heads["sentiment"],
    )


def test_no_posts_give_no_rows() -> None:
    scores = CachingScorer(ClassifierScorer(KeywordClassifier())).score([])
    assert (scores.heads["sentiment"].shape, scores.target.shape) == ((0, 3), (0, 4))


def test_a_failing_engine_leaves_no_entry() -> None:
    cached = CachingScorer(Failing(KeywordClassifier()), max_entries=3)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="engine is gone"):
            cached.score([plain("good day")])
    assert (cached.hits, cached.misses) == (0, 0)


def test_a_cached_post_needs_the_documented_memory() -> None:
    cached = CachingScorer(OpenVinoScorerTwin(), max_entries=20_000)
    for at in range(2):  # the first call allocates permanent memory: code, the table
        posts = [mark(f"Acme {at} {number} " + "long " * 300, ["Acme"]) for number in range(4_000)]
        if at == 1:
            tracemalloc.start()
        cached.score(posts)
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert used / 4_000 < 516


class OpenVinoScorerTwin:
    """All heads, without a network."""

    name = version = "twin"
    heads = tuple(BY_NAME)

    def score(self, posts: Sequence[MarkedText]) -> Scores:
        heads = {
            name: np.zeros((len(posts), len(head.labels)), dtype=np.float32)
            for name, head in BY_NAME.items()
            if head.reads == "post"
        }
        return Scores(heads, np.zeros((sum(post.targets for post in posts), 4), dtype=np.float32))
