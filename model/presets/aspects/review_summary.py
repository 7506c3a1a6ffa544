"""One review as JSON: its aspects, their sentiment, and counts by category."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypedDict

from brandpulse.text.normalization import normalize
from model.inputs.target_marking import plain
from model.presets.aspects.data import Span
from model.presets.aspects.preset import span_sentiments
from model.spec.heads import SENTIMENT

if TYPE_CHECKING:
    from model.inference.scorer import Scorer
    from model.presets.aspects.categories import Categories
    from model.presets.aspects.tagger import Tagger


class Aspect(TypedDict):
    """One term of a review and its sentiment."""

    term: str
    category: str
    sentiment: str
    probabilities: dict[str, float]


_STOP = re.compile(r"(?<=[.!?…])[\s\"')]+(?=[A-Z0-9\"'(])|\n+")


def summaries(
    reviews: Sequence[str], *, tagger: "Tagger", scorer: "Scorer", categories: "Categories"
) -> list[dict[str, Any]]:
    """For each of *reviews* its `text`, `sentiment` (of the whole), `aspects` and `categories`.

    An aspect has `term`, `category`, `sentiment` and `probabilities`; a category counts its aspects by sentiment. Each
    sentence is scored separately. Only the first 2,000 characters of a review are read, as for posts.
    """
    # Split into sentences before the normalization, which removes line breaks.
    parts = [[clean for part in _STOP.split(review[:2_000]) if (clean := normalize(part))] for review in reviews]
    flat = [sentence for sentences in parts for sentence in sentences]
    spans = tagger.spans(flat)
    said = span_sentiments(scorer, flat, spans)
    whole = scorer.score([plain(review) for review in reviews]).heads["sentiment"]
    scored = iter([_aspects(*each, categories) for each in zip(flat, spans, said, strict=True)])
    return [
        _summary(review, probabilities, [aspect for _ in sentences for aspect in next(scored)])
        for review, sentences, probabilities in zip(reviews, parts, whole.tolist(), strict=True)
    ]


def _aspects(
    sentence: str, spans: Sequence[Span], said: Sequence[Mapping[str, float]], categories: "Categories"
) -> list[Aspect]:
    found = []
    for (start, end), answer in zip(spans, said, strict=True):
        term = sentence[start:end]
        likeliest = max(SENTIMENT, key=answer.__getitem__)
        shares = {label: round(share, 4) for label, share in answer.items()}
        found.append(Aspect(term=term, category=categories(term), sentiment=likeliest, probabilities=shares))
    return found


def _summary(review: str, probabilities: Sequence[float], aspects: Sequence[Aspect]) -> dict[str, Any]:
    counts: dict[str, Counter[str]] = {}
    for aspect in aspects:
        counts.setdefault(aspect["category"], Counter())[aspect["sentiment"]] += 1
    return {
        "text": review,
        "sentiment": SENTIMENT[probabilities.index(max(probabilities))],
        "aspects": list(aspects),
        "categories": {name: dict(counted) for name, counted in counts.items()},
    }
