"""Which facets of its brands a post is in: by the words that were found in it, and by what the model says of it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from brandpulse.config.facets import Facet
from brandpulse.errors import ConfigError
from brandpulse.schema.labels import EMOTIONS, MOODS
from brandpulse.schema.posts import BRAND_SENTIMENTS
from brandpulse.state.keys import facet_series
from model.spec.heads import BY_NAME
from stream_workers.scoring.post_labels import EVEN
from stream_workers.scoring.post_scores import Towards

COMPLAINT, CRISIS = (BY_NAME["risk"].labels.index(name) for name in ("complaint", "crisis"))


@dataclass(frozen=True, slots=True)
class _Test:
    """One facet, as numbers."""

    facet: Facet
    number: int
    emotions: tuple[tuple[int, float], ...]
    """Column of the head, and the probability from which the emotion is told."""
    moods: frozenset[int]
    labels: frozenset[int]
    """Of the verdict towards the brand; empty: any that is relevant."""

    def holds_of_post(self, worded: Collection[int], heads: Mapping[str, Sequence[float]]) -> bool:
        facet = self.facet
        if facet.words and self.number not in worded:
            return False
        if self.emotions and not any(heads["emotion"][column] >= least for column, least in self.emotions):
            return False
        if self.moods and heads["mood"].index(max(heads["mood"])) not in self.moods:
            return False
        if facet.complaint is not None and heads["risk"][COMPLAINT] < facet.complaint:
            return False
        return facet.crisis is None or heads["risk"][CRISIS] >= facet.crisis

    def holds_towards(self, said: Towards) -> bool:
        if not said.relevant or (self.labels and said.label not in self.labels):
            return False
        return not self.facet.urgency or said.urgency in self.facet.urgency


class Facets:
    """The facets of a brands file; built once, never changed, safe to share between threads."""

    def __init__(
        self, facets: Sequence[Facet], *, heads: Collection[str], emotion_thresholds: Sequence[float] = EVEN
    ) -> None:
        """*heads*: those of the engine. Raises ConfigError that names the facet and the head that it lacks.

        *emotion_thresholds*: of each of `brandpulse.schema.labels.EMOTIONS`, the probability from which it is told.
        """
        for facet in facets:
            for head in facet.heads:
                if head not in heads:
                    raise ConfigError(
                        f"facet {facet.name!r} of the brands file asks the model's head {head!r}, which this engine "
                        f"has not; it has {', '.join(sorted(heads))}. Take the facet out, or set "
                        "BRANDPULSE_WORKER_ENGINE to one that has, for example auto"
                    )
        self._tests = [
            _Test(
                facet,
                number,
                tuple((EMOTIONS.index(name), emotion_thresholds[EMOTIONS.index(name)]) for name in facet.emotions),
                frozenset(MOODS.index(name) for name in facet.mood),
                frozenset(BRAND_SENTIMENTS.index(name) for name in facet.sentiment),
            )
            for number, facet in enumerate(facets)
        ]
        self.all_want_words = all(facet.words for facet in facets)
        """No post without a facet's word is in any of them."""

    def of(
        self, worded: Collection[int], heads: Mapping[str, Sequence[float]], verdicts: Sequence[Towards]
    ) -> tuple[tuple[str, Towards], ...]:
        """Series of each facet that the post is in, with the verdict on its brand: *verdicts* by brand.

        *worded*: numbers of the facets of which the post has a word; *heads*: what the model says of all of it.
        """
        tests = [test for test in self._tests if test.holds_of_post(worded, heads)]
        return tuple(
            (facet_series(said.brand, test.facet.name), said)
            for said in verdicts
            for test in tests
            if test.holds_towards(said)
        )
