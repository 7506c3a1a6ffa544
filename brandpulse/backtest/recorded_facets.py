"""Which facets a recorded post is in, in a backtest: as the workers tell it, from what a recording's texts gave."""

import importlib
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any

from brandpulse.config.facets import Facet
from brandpulse.schema.posts import BRAND_SENTIMENTS
from brandpulse.state.keys import facet_of
from brandpulse.state.panes import IRRELEVANT

Told = Callable[[Any, Sequence[Any]], Iterable[Collection[str]]]
"""`model.inference.scorer.Scores`, and the posts that were scored -> for each target the facets that the model's heads allow."""


def nothing_told(_scores: Any, _posts: Sequence[Any]) -> Iterable[Collection[str]]:
    """Where no facet asks the model."""
    return repeat(())


def told_by(facets: Sequence[Facet], scorer: Any) -> Told:
    """Asks the workers' own code. Raises ConfigError for a facet of which *scorer* has no head."""
    asked = [facet for facet in facets if facet.heads]
    if not asked:
        return nothing_told
    judge: Any = importlib.import_module("stream_workers.scoring.facet_matcher").Facets(
        asked, heads=scorer.heads, **_thresholds(scorer)
    )
    verdicts: Any = importlib.import_module("stream_workers.scoring.post_scores")
    every = range(len(asked))

    def told(scores: Any, posts: Sequence[Any]) -> Iterable[Collection[str]]:
        for post, judged in zip(posts, verdicts.verdicts_of(scores, posts), strict=True):
            if isinstance(judged, Exception):
                yield from repeat((), post.targets)
                continue
            columns = (judged.targets, judged.labels, judged.score_micros, judged.urgency)
            for said in map(verdicts.Towards, repeat(""), *columns):
                yield frozenset(facet_of(series) for series, _ in judge.of(every, judged.heads, [said]))

    return told


def _thresholds(scorer: Any) -> dict[str, Sequence[float]]:
    if "emotion" not in scorer.heads:
        return {}
    checkpoint: Any = importlib.import_module("model.checkpoints.multi_head")
    return {
        "emotion_thresholds": checkpoint.read_heads_manifest(importlib.import_module("model.loader").WEIGHTS).threshold(
            "emotion"
        )
    }


@dataclass(frozen=True, slots=True)
class RecordedFacets:
    """The facets of a brands file."""

    facets: Sequence[Facet] = ()

    def of(self, worded: Collection[int], told: Collection[str], label: int) -> tuple[str, ...]:
        """Names of those a post is in towards a brand with that *label* (of `brandpulse.schema.posts.BRAND_SENTIMENTS`).

        *worded*: numbers of the facets of which it has a word; *told*: what `Told` gave of the brand.
        """
        if label == IRRELEVANT:
            return ()
        return tuple(
            facet.name
            for number, facet in enumerate(self.facets)
            if (not facet.words or number in worded)
            and (not facet.sentiment or BRAND_SENTIMENTS[label] in facet.sentiment)
            and (facet.name in told or not facet.heads)
        )
