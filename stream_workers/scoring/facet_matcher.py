"""Assigns a post to facets of its brands, by its keywords and by the model's scores."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from brandpulse.config.facets import Facet
from brandpulse.errors import ConfigError
from brandpulse.schema.labels import EMOTIONS, MOODS
from brandpulse.schema.posts import BRAND_SENTIMENTS
from brandpulse.state.keys import facet_series
from model.inference.emotion_labels import emotion_columns
from model.spec.heads import BY_NAME
from stream_workers.scoring.post_labels import EVEN_THRESHOLDS
from stream_workers.scoring.post_scores import BrandScore

COMPLAINT, CRISIS = (BY_NAME["risk"].labels.index(name) for name in ("complaint", "crisis"))


@dataclass(frozen=True, slots=True)
class _FacetRule:
    """The conditions of one facet, as numbers."""

    facet: Facet
    number: int
    heads: frozenset[str]
    emotions: frozenset[int]
    """Columns of the emotion head; empty: any."""
    moods: frozenset[int]
    labels: frozenset[int]
    """Labels of the brand score; empty: any that is relevant."""

    def accepts_post(
        self, facets_with_keyword: Collection[int], heads: Mapping[str, Sequence[float]], emotions: Collection[int]
    ) -> bool:
        facet = self.facet
        if not heads.keys() >= self.heads:
            return False  # the weights of the post's language lack a head
        if facet.words and self.number not in facets_with_keyword:
            return False
        if self.emotions and self.emotions.isdisjoint(emotions):
            return False
        if self.moods and heads["mood"].index(max(heads["mood"])) not in self.moods:
            return False
        if facet.complaint is not None and heads["risk"][COMPLAINT] < facet.complaint:
            return False
        return facet.crisis is None or heads["risk"][CRISIS] >= facet.crisis

    def accepts_score(self, score: BrandScore) -> bool:
        if not score.relevant or (self.labels and score.label not in self.labels):
            return False
        return not self.facet.urgency or score.urgency in self.facet.urgency


class FacetMatcher:
    """The facets of a brands file. Built once, never changed, safe to share between threads."""

    def __init__(
        self,
        facets: Sequence[Facet],
        *,
        heads: Collection[str],
        emotion_thresholds: Sequence[float] = EVEN_THRESHOLDS,
        routed_thresholds: Mapping[str, Sequence[float]] | None = None,
    ) -> None:
        """*heads*: the heads of the engine. Raises ConfigError if a facet needs a missing head.

        *emotion_thresholds*: for each of `brandpulse.schema.labels.EMOTIONS`, its lowest reported probability.
        *routed_thresholds*: language -> the same of the weights that score it, if they are not the default ones.
        """
        for facet in facets:
            for head in facet.heads:
                if head not in heads:
                    raise ConfigError(
                        f"facet {facet.name!r} of the brands file needs the model head {head!r}, which this engine "
                        f"lacks: it has {', '.join(sorted(heads))}. Remove the facet, or set BRANDPULSE_WORKER_ENGINE "
                        "to an engine with that head, for example auto"
                    )
        self._rules = [
            _FacetRule(
                facet,
                number,
                frozenset(facet.heads),
                frozenset(EMOTIONS.index(name) for name in facet.emotions),
                frozenset(MOODS.index(name) for name in facet.mood),
                frozenset(BRAND_SENTIMENTS.index(name) for name in facet.sentiment),
            )
            for number, facet in enumerate(facets)
        ]
        self._emotion_thresholds = emotion_thresholds
        self._routed_thresholds = routed_thresholds or {}
        self._read_emotions = any(rule.emotions for rule in self._rules)
        self.all_need_keywords = all(facet.words for facet in facets)
        """Whether a post without a facet's keyword is in no facet."""

    def match(
        self,
        facets_with_keyword: Collection[int],
        heads: Mapping[str, Sequence[float]],
        scores: Sequence[BrandScore],
        language: str = "",
    ) -> tuple[tuple[str, BrandScore], ...]:
        """Series of each facet that the post is in, with the score of its brand.

        *facets_with_keyword*: numbers of the facets that have a keyword in the post; *heads*: scores of the whole post;
        *language*: of the post, empty if languages are not identified.
        """
        thresholds = self._routed_thresholds.get(language, self._emotion_thresholds)
        emotion = heads.get("emotion") if self._read_emotions else None
        emotions = () if emotion is None else emotion_columns(emotion, thresholds)
        rules = [rule for rule in self._rules if rule.accepts_post(facets_with_keyword, heads, emotions)]
        return tuple(
            (facet_series(score.brand, rule.facet.name), score)
            for score in scores
            for rule in rules
            if rule.accepts_score(score)
        )
