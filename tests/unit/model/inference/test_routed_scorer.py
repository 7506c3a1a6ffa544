"""Posts are scored by the weights of their language, and come back in order."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brandpulse.text.languages import LanguageIdentifier
from model.inference.routed_scorer import RoutedScorer
from model.inference.score_cache import CachingScorer
from model.inference.scorer import NOT_SCORED, Scores
from model.inputs.target_marking import MarkedText, mark, plain
from model.spec.heads import TARGET

LANGUAGES = ("en", "de", "fr")


@dataclass
class Stamp:
    """Scores each post and target with its own number, so that the scorer of a row is visible."""

    number: float
    heads: tuple[str, ...] = ("sentiment", "target", "sarcasm")
    calls: list[list[str]] = field(default_factory=list)
    degrades: bool = False
    name: str = "stamp"

    @property
    def version(self) -> str:
        return f"v{self.number:g}"

    def score(self, posts: Sequence[MarkedText]) -> Scores:
        self.calls.append([post.text for post in posts])
        lengths = np.array([len(post.text) for post in posts], np.float32)
        heads = {"sentiment": np.stack([lengths * 0 + self.number, lengths, lengths], axis=1)}
        if "sarcasm" in self.heads:
            heads["sarcasm"] = np.full((len(posts), 1), self.number, np.float32)
        rows = [[self.number, len(post.text), number, 0] for post in posts for number in range(post.targets)]
        target = np.array(rows, np.float32).reshape(-1, len(TARGET))
        return Scores(heads, target, frozenset(range(len(posts))) if self.degrades else frozenset())


def routed(default: Stamp, other: Stamp) -> RoutedScorer:
    return RoutedScorer(default, {"de": other, "fr": other}, LanguageIdentifier(LANGUAGES))


def in_language(text: str, language: str, targets: int = 0) -> MarkedText:
    return MarkedText(text, tuple(range(targets)), targets, frozenset(), language)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([*LANGUAGES, "other"]), st.integers(0, 3), st.text("ab", max_size=9))))
def test_each_post_gets_the_scores_of_its_language_in_order(posts: list[tuple[str, int, str]]) -> None:
    default, other = Stamp(1), Stamp(2)
    marked = [in_language(text, language, targets) for language, targets, text in posts]
    scores = routed(default, other).score(marked)
    expected = [2.0 if language in ("de", "fr") else 1.0 for language, _, _ in posts]
    assert scores.heads["sentiment"][:, 0].tolist() == expected
    assert scores.heads["sentiment"][:, 1].tolist() == [len(text) for _, _, text in posts]
    owners = [
        (stamp, len(text), at) for stamp, (_, many, text) in zip(expected, posts, strict=True) for at in range(many)
    ]
    assert [tuple(row) for row in scores.target[:, :3].tolist()] == owners
    assert len(default.calls) <= 1
    assert len(other.calls) <= 1


def test_languages_of_a_call_are_identified_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    identify = LanguageIdentifier.identify

    def counted(self: LanguageIdentifier, texts: Sequence[str]) -> list[str]:
        asked.append(len(texts))
        return identify(self, texts)

    monkeypatch.setattr(LanguageIdentifier, "identify", counted)
    posts = [
        plain("my flight was cancelled and they do not care"),
        plain("mein Flug wurde schon wieder gestrichen und niemand hilft"),
        in_language("whatever", "fr"),
        mark("acme a encore annulé mon vol, c'est une honte", ["acme"]),
    ]
    scores = routed(Stamp(1), Stamp(2)).score(posts)
    assert scores.heads["sentiment"][:, 0].tolist() == [1, 2, 2, 2]
    assert asked == [3]


def test_post_in_no_supported_language_gets_the_default_weights() -> None:
    other = Stamp(2)
    scores = routed(Stamp(1), other).score([plain("снова отменили мой рейс и не возвращают деньги")])
    assert scores.heads["sentiment"][:, 0].tolist() == [1]
    assert not other.calls


def test_head_that_some_weights_lack_is_not_scored() -> None:
    scores = routed(Stamp(1), Stamp(2, heads=("sentiment", "target"))).score(
        [in_language("a", "de"), in_language("b", "en")]
    )
    assert scores.heads["sarcasm"].tolist() == [[NOT_SCORED], [1]]


def test_degraded_posts_keep_their_places() -> None:
    posts = [in_language("a", "en"), in_language("b", "de"), in_language("c", "en"), in_language("d", "fr")]
    assert routed(Stamp(1), Stamp(2, degrades=True)).score(posts).degraded == {1, 3}


def test_same_text_in_two_languages_is_cached_twice() -> None:
    default, other = Stamp(1), Stamp(2)
    cached = CachingScorer(routed(default, other))
    for _ in range(2):
        scores = cached.score([in_language("super", "en"), in_language("super", "de")])
        assert scores.heads["sentiment"][:, 0].tolist() == [1, 2]
    assert (cached.hits, cached.misses, default.calls, other.calls) == (2, 2, [["super"]], [["super"]])


def test_version_names_all_weights_and_their_languages() -> None:
    assert routed(Stamp(1), Stamp(2)).version == "v1+de,fr:v2"
    assert routed(Stamp(1), Stamp(2)).name == "stamp"
