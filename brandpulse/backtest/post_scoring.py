"""Two ways to score a recorded post: towards each brand that it names, or as a whole."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import repeat
from typing import Any, Protocol

from brandpulse.backtest.score_file import score_key
from brandpulse.config.facets import Facet
from brandpulse.schema.posts import Urgency
from brandpulse.text.brand_matcher import BrandMatcher
from model.inference.scorer import Scores
from model.inputs.target_marking import MarkedText
from model.language_weights import ModelFacts
from model.text_scoring import thresholds_of
from stream_workers.scoring.brand_marker import BrandMarker
from stream_workers.scoring.facet_matcher import FacetMatcher
from stream_workers.scoring.post_labels import EVEN_THRESHOLDS
from stream_workers.scoring.post_scores import FourProbabilities, score_results


class Scorer(Protocol):
    """The part of `model.inference.scorer.Scorer` that is needed here."""

    def score(self, posts: Sequence[MarkedText]) -> Scores: ...


@dataclass(frozen=True, slots=True)
class MatchedText:
    """One text and what it names."""

    brands: tuple[str, ...]
    keys: tuple[bytes, ...] = ()
    """For each brand the key of its score (`score_file.score_key`); brands may share one."""
    model_input: MarkedText | None = None
    """None without brands."""
    length: int = 0
    """Characters of the model's input."""
    keywords: frozenset[int] = frozenset()
    """Numbers of the facets whose keywords the text has."""
    language: str = ""
    """As `brandpulse.text.languages` names it; empty if it was not identified."""

    def in_language(self, language: str, *, routed: bool) -> "MatchedText":
        """The text with its *language*. *routed*: weights of its own score that, so it has other keys."""
        post = self.model_input
        keys = self.keys
        if routed:
            keys = tuple(hashlib.blake2b(key + language.encode(), digest_size=len(key)).digest() for key in keys)
        marked = None if post is None else replace(post, language=language)
        return replace(self, keys=keys, model_input=marked, language=language)


@dataclass(frozen=True, slots=True)
class TargetScore:
    """What the model returns for one key."""

    probabilities: FourProbabilities
    heads: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """Probabilities of the whole post, by head."""
    urgency: Urgency | None = None


class TextScoring(Protocol):
    """How texts are matched and scored."""

    def match(self, text: str) -> MatchedText: ...

    def score(self, inputs: Sequence[MarkedText]) -> Iterable[TargetScore | None]:
        """For each distinct key of each input its score, in order; None if the model failed on that input."""
        ...


@dataclass(frozen=True, slots=True)
class BrandScoring:
    """Scores towards each brand, as the workers do."""

    matcher: BrandMatcher
    marker: BrandMarker
    scorer: Scorer

    def match(self, text: str) -> MatchedText:
        brands, keywords = self.matcher.match_with_facets(text)
        if not brands:
            return MatchedText(())
        post = self.marker.mark(text, brands)
        keys = tuple(score_key(post.text, post.mentions, target=number) for number in range(len(brands)))
        return MatchedText(brands, keys, post, len(post.text), keywords)

    def score(self, inputs: Sequence[MarkedText]) -> Iterator[TargetScore | None]:
        for post, scores in zip(inputs, score_results(self.scorer.score(inputs), inputs), strict=True):
            if isinstance(scores, Exception):
                yield from repeat(None, post.targets)
            else:
                yield from map(TargetScore, scores.targets, repeat(scores.heads), scores.urgency)


@dataclass(frozen=True, slots=True)
class PostScoring:
    """Scores of the whole post, which count for all its brands. No post is irrelevant."""

    matcher: BrandMatcher
    plain: Callable[[str], MarkedText]
    scorer: Scorer

    def match(self, text: str) -> MatchedText:
        brands, keywords = self.matcher.match_with_facets(text)
        if not brands:
            return MatchedText(())
        post = self.plain(text)
        return MatchedText(brands, (score_key(post.text),) * len(brands), post, len(post.text), keywords)

    def score(self, inputs: Sequence[MarkedText]) -> Iterator[TargetScore]:
        for negative, neutral, positive in self.scorer.score(inputs).heads["sentiment"].tolist():
            yield TargetScore((negative, neutral, positive, 0.0))


def facet_matcher(
    facets: Sequence[Facet], scorer: Any, routed: Mapping[str, ModelFacts] | None = None
) -> FacetMatcher | None:
    """The workers' matcher of *facets*; None without facets. Raises ConfigError for a head that *scorer* lacks.

    *routed*: as `model.language_weights.LanguageModel.routed`.
    """
    if not facets:
        return None
    from model.checkpoints.multi_head import read_heads_manifest
    from model.spec.weights import WEIGHTS

    thresholds = read_heads_manifest(WEIGHTS).threshold("emotion") if "emotion" in scorer.heads else EVEN_THRESHOLDS
    return FacetMatcher(
        facets,
        heads=scorer.heads,
        emotion_thresholds=thresholds,
        routed_thresholds={
            language: thresholds_of(facts.thresholds, "emotion") for language, facts in (routed or {}).items()
        },
    )
