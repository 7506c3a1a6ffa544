"""A post of a recording with the model's scores, and the form in which the workers count it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from brandpulse.schema.identity import author_hex
from brandpulse.schema.posts import WirePost
from brandpulse.state.keys import facet_series
from stream_workers.aggregation.types import Outcome, Unmatched, build_scored
from stream_workers.decoding.post_decoder import DecodedPost
from stream_workers.decoding.records import Record
from stream_workers.scoring.post_scores import FourProbabilities, build_post_scores

NO_HEADS: Mapping[str, Sequence[float]] = {}


@dataclass(frozen=True, slots=True)
class RecordedPost:
    """One post and its scores. Times are ms since 1970."""

    source: str
    id: str
    author: int
    """Keyed hash, signed 64 bits."""
    brands: tuple[str, ...]
    """Empty: the post names no brand."""
    event_ms: int
    arrived_ms: int
    """Takes the place of the Kafka record's timestamp."""
    probabilities: tuple[FourProbabilities, ...]
    """Towards each of *brands*."""
    facets: tuple[tuple[str, ...], ...] = ()
    """For each of *brands* the facets that the post is in; empty if no facet is wanted."""
    text: str = ""
    unread: bool = False
    """It names a brand in a language that the model does not read, and so has no *brands*."""


def outcome_of(post: RecordedPost, offset: int = 0, *, mask: Callable[[str], str] = str) -> Outcome:
    """*post* as the workers' fold takes it. *mask*: applied to each text that the fold keeps."""
    created_at = datetime.fromtimestamp(post.event_ms / 1_000, UTC)
    decoded = DecodedPost(
        Record(offset, post.arrived_ms, b"", None),
        WirePost(post.id, post.text, created_at, author_hex(post.author), post.source),
        post.event_ms,
    )
    if not post.brands:
        return Unmatched(decoded, post.unread)
    scores = build_post_scores(post.probabilities, NO_HEADS, (None,) * len(post.brands))
    outcome = build_scored(decoded, post.brands, scores, author=post.author, mask=mask)
    if not post.facets:
        return outcome
    in_facets = (
        (facet_series(score.brand, facet), score)
        for score, facets in zip(outcome.brands, post.facets, strict=True)
        for facet in facets
        if score.relevant
    )
    return msgspec.structs.replace(outcome, facets=tuple(in_facets))
