"""What the folds of one partition take and make: scored posts, stored values, and the change of one Lua call."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

import msgspec

from brandpulse.schema.dead_letters import RecordId
from brandpulse.schema.identity import post_digest
from brandpulse.state.keys import DAY_MS, HOUR_MS, MINUTE_MS
from brandpulse.state.outcomes.language_counts import AddedLanguages, with_added_languages
from brandpulse.state.outcomes.near_misses import with_near_misses
from brandpulse.state.outcomes.post_outcomes import Added, with_added_outcomes
from brandpulse.state.panes import Pane
from brandpulse.state.partition_state import PartitionStatus
from brandpulse.state.stored_posts import (
    MOST_NEGATIVE,
    MOST_OTHERS,
    RETAINED_HOURS,
    SAMPLE_DAYS,
    HourPost,
    NegativePost,
    SampledPost,
)
from stream_workers.aggregation.deduplication import DedupWindow
from stream_workers.decoding.post_decoder import DeadRecord, DecodedPost
from stream_workers.scoring.facet_matcher import FacetMatcher
from stream_workers.scoring.post_scores import BrandScore, PostScores

HOUR_MINUTES = HOUR_MS // MINUTE_MS
SCORE_BYTES = 6
"""Bytes of a digest that form its sorted-set score: a double holds 48 bits exactly."""
WAIT_FOR_ALERTER_MS = DAY_MS
"""How long past their retention posts of an hour wait for the alerter; shorter than panes, because they are larger."""
Span = Literal["minute", "hour"]


class Cell(NamedTuple):
    """Address of one pane: a minute of an hour, or an hour of a day. `bucket` counts them since 1970."""

    span: Span
    brand: str
    """Or the series of one of its facets, `brandpulse.state.keys.facet_series`."""
    bucket: int


class Scored(msgspec.Struct, frozen=True, gc=False):
    """One readable post that names a brand, with the model's scores."""

    decoded: DecodedPost
    brands: tuple[BrandScore, ...]
    """One score for each brand it names: a post may be negative for one and positive for another."""
    author: int
    """Keyed hash, signed 64 bits."""
    mask: Callable[[str], str]
    """Removes private data from a text. Called only for posts that are stored for people to read."""
    heads: Mapping[str, Sequence[float]]
    """Head -> probabilities of the whole post; `sentiment` is always present."""
    digest: bytes
    """Of (source, id), for deduplication."""
    facets: tuple[tuple[str, BrandScore], ...] = ()
    """Series of each facet that the post is in, and the score of the facet's brand."""
    language: str = ""
    """As `brandpulse.text.languages` names it; empty if languages are not identified."""

    @property
    def masked_text(self) -> str:
        return self.mask(self.decoded.post.text)


def build_scored(
    decoded: DecodedPost,
    brands: Sequence[str],
    scores: PostScores,
    *,
    author: int,
    mask: Callable[[str], str],
    facets: FacetMatcher | None = None,
    facets_with_keyword: Collection[int] = (),
    digest: bytes | None = None,
    language: str = "",
) -> Scored:
    """*decoded* with its brand scores and facets. *digest*: as `Scored.digest`, if already computed."""
    brand_scores = tuple(map(BrandScore, brands, scores.targets, scores.labels, scores.score_micros, scores.urgency))
    return Scored(
        decoded,
        brand_scores,
        author,
        mask,
        scores.heads,
        digest or post_digest(decoded.post.source, decoded.post.id),
        () if facets is None else facets.match(facets_with_keyword, scores.heads, brand_scores, language),
        language,
    )


class Unmatched(msgspec.Struct, frozen=True, gc=False):
    """A readable post that names no configured brand. It advances the clock and is counted as unmatched."""

    decoded: DecodedPost
    unread: bool = False
    """It names a brand in a language that the model does not read: it is counted as unread instead."""
    brands: tuple[str, ...] = ()
    """The brands that an unread post names."""


Outcome = Scored | Unmatched | DeadRecord


class SampleDay(NamedTuple):
    """Address of one sample: a brand and a day, counted since 1970."""

    brand: str
    day: int

    @property
    def keep_until_ms(self) -> int:
        """Event time from which it may be dropped."""
        return (self.day + 1 + SAMPLE_DAYS) * DAY_MS


class Sampled(NamedTuple):
    """A post of a sample, and its digest, which orders the sample."""

    digest: bytes
    post: SampledPost

    @property
    def score(self) -> int:
        """Sorted-set score. Stores keep the highest, which are the smallest digests."""
        return -int.from_bytes(self.digest[:SCORE_BYTES], "big")


Samples = Mapping[SampleDay, Sequence[Sampled]]


class PostHour(NamedTuple):
    """Address of the posts kept of one series and hour: negative ones or others."""

    series: str
    hour: int
    """Since 1970."""
    negative: bool

    @property
    def keep_until_ms(self) -> int:
        """Event time from which it may be dropped."""
        return (self.hour + 1 + RETAINED_HOURS) * HOUR_MS

    def accepts(self, watermark_ms: int) -> bool:
        """Whether a post may still be added: an alerter that lags behind may read it."""
        return self.keep_until_ms + WAIT_FOR_ALERTER_MS > watermark_ms

    @property
    def size(self) -> int:
        """Posts kept at most."""
        return MOST_NEGATIVE if self.negative else MOST_OTHERS


class OfferedPost(NamedTuple):
    """A post offered to the store for its hour, and its digest, which decides whether it stays."""

    digest: bytes
    post: HourPost

    @property
    def score(self) -> int:
        """Sorted-set score. Stores keep the highest, which are the smallest digests."""
        return -int.from_bytes(self.digest[:SCORE_BYTES], "big")

    def encode(self) -> bytes:
        return msgspec.json.encode(self.post)


HourPosts = Mapping[PostHour, Sequence[OfferedPost]]


@dataclass(frozen=True, slots=True)
class Stored:
    """What a fold reads from the store, after the previous change was applied."""

    duplicates: Mapping[bytes, int] = field(default_factory=dict)
    """Digests of the batch that are in the dedup window -> number of the newest generation that holds them."""
    panes: Mapping[Cell, Pane] = field(default_factory=dict)
    authors: Mapping[Cell, bytes] = field(default_factory=dict)
    redriven: Collection[bytes] = frozenset()
    """Identities of redriven posts in the batch that are already finished."""
    moved_to: int | None = None
    """The stored `next` (-1: no state) if the state is not at the requested status; None if it is. A store that lost
    its last writes may reach that status again, and would accept a change computed from later values."""


@dataclass(frozen=True, slots=True)
class Change:
    """Everything one batch does to its partition, applied completely or not at all."""

    status: PartitionStatus
    """The new status: `next`, clock and counters advanced."""
    from_offset: int
    from_writer: str
    """The writer token that was read. As with `from_offset`, nothing is applied if the stored one differs."""
    panes: Mapping[Cell, Pane]
    """Absolute values, not differences: safe because nothing is applied unless `next` equals `from_offset`."""
    authors: Mapping[Cell, bytes]
    new_ids: Mapping[int, Sequence[bytes]]
    """Digests to remember, by generation."""
    dropped_generations: Sequence[int]
    negatives: Mapping[str, Sequence[NegativePost]]
    """The newest negative posts by event time, in any order of arrival; for a facet's series its newest posts."""
    counted: Sequence[Scored]
    dead: Sequence[DeadRecord]
    redriven: Mapping[bytes, int] = field(default_factory=dict)
    """Identities of finished redriven posts -> offset of the redriven copy."""
    origins: Mapping[int, RecordId] = field(default_factory=dict)
    """Offset -> original identity, of all redriven posts in the batch."""
    samples: Samples = field(default_factory=dict)
    """Posts offered to the samples of their days."""
    hour_posts: HourPosts = field(default_factory=dict)
    """Posts offered to the store for their hours."""
    label_counts: Mapping[tuple[str, int], int] = field(default_factory=dict)
    """(brand, label) -> posts among `counted`."""
    record_posts: Mapping[int, int] = field(default_factory=dict)
    """Kafka timestamp (ms) -> posts among `counted`. Records without a timestamp are left out."""
    post_outcomes: Added = field(default_factory=dict)
    """Outcome counts of the batch, by period and source."""
    languages: AddedLanguages = field(default_factory=dict)
    """(brand, language) -> posts of the batch."""


@dataclass(frozen=True, slots=True)
class CounterDeltas:
    """What one batch adds to the counters of its partition."""

    late: int = 0
    repeated: int = 0
    unmatched: int = 0
    unread: int = 0
    keyless: int = 0
    dead: int = 0
    redriven: int = 0


def build_change(
    status: PartitionStatus,
    *,
    to_offset: int,
    epoch: int,
    clock_ms: int,
    lateness_ms: int,
    writer: str,
    deltas: CounterDeltas,
    window: DedupWindow,
    post_outcomes: Added,
    near_misses: Mapping[str, int] | None,
    panes: Mapping[Cell, Pane],
    authors: Mapping[Cell, bytes],
    negatives: Mapping[str, Sequence[NegativePost]],
    counted: Sequence[Scored],
    samples: Samples,
    hour_posts: HourPosts,
    label_counts: Mapping[tuple[str, int], int],
    record_posts: Mapping[int, int],
    languages: AddedLanguages,
    dead: Sequence[DeadRecord] = (),
    redriven: Mapping[bytes, int] | None = None,
    origins: Mapping[int, RecordId] | None = None,
) -> Change:
    """The change from *status* to the status after the batch. Both folds build it here."""
    return Change(
        status=replace(
            status,
            next=to_offset,
            epoch=epoch,
            clock_ms=clock_ms,
            lateness_ms=lateness_ms,
            late=status.late + deltas.late,
            repeated=status.repeated + deltas.repeated,
            unmatched=status.unmatched + deltas.unmatched,
            unread=status.unread + deltas.unread,
            keyless=status.keyless + deltas.keyless,
            dead=status.dead + deltas.dead,
            redriven=status.redriven + deltas.redriven,
            post_outcomes=with_added_outcomes(status.post_outcomes, post_outcomes),
            near_misses=with_near_misses(status.near_misses, near_misses or {}),
            languages=with_added_languages(status.languages, languages),
            generations=window.generations,
            writer=writer,
        ),
        from_offset=status.next,
        from_writer=status.writer,
        panes=panes,
        authors=authors,
        new_ids=window.added,
        dropped_generations=window.dropped,
        negatives=negatives,
        counted=counted,
        dead=dead,
        redriven=redriven or {},
        origins=origins or {},
        samples=samples,
        hour_posts=hour_posts,
        label_counts=label_counts,
        record_posts=record_posts,
        post_outcomes=post_outcomes,
        languages=languages,
    )
