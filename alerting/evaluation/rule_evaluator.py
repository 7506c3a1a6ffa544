"""What a rule kind implements. A new kind is one module with a `RuleEvaluator` and one entry in `RULE_KINDS`.

`alerting/evaluation/evaluator.py` holds that table and calls every kind for every brand and minute.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from alerting.detection.hour_history import HourHistory
from alerting.detection.share_detector import Finding, WindowCounts
from alerting.detection.vote_review import VoteReviewer
from alerting.episodes.example_posts import PostEvidenceReader
from alerting.episodes.lifecycle import OpenEpisode
from alerting.evaluation.past_episodes import PastEpisodes
from alerting.evaluation.policies import Policies
from alerting.rules.models import RuleSet
from alerting.store.pending_commit import EpisodeSlot, RuleDecision
from brandpulse.state.author_lookup import KnownAuthors
from brandpulse.state.author_sketches import AuthorCounts
from brandpulse.state.pane_reader import Minutes
from brandpulse.state.panes import Pane
from brandpulse.state.partition_state import PartitionStatus
from brandpulse.state.stored_posts import NegativePost, SampledPost, WindowPosts


class PaneSource(Protocol):
    """What an evaluation reads: `brandpulse.state.pane_reader.PaneReader`, or a test's stream."""

    def partitions(self) -> list[PartitionStatus]: ...

    def brands(self) -> list[str]: ...

    def minutes(
        self, brands: Sequence[str], first_minute: int, last_minute: int, *, authors: bool = False
    ) -> dict[str, Minutes]: ...

    def hours(self, brands: Sequence[str], first_hour: int, last_hour: int) -> dict[str, dict[int, Pane]]: ...

    def hour_authors(
        self, brands: Sequence[str], first_hour: int, last_hour: int
    ) -> dict[str, dict[int, AuthorCounts]]: ...

    def negatives(self, brand: str, limit: int) -> list[NegativePost]: ...

    def window_posts(self, series: str, first_ms: int, end_ms: int) -> WindowPosts: ...

    def known_authors(self, brand: str, before_ms: int) -> KnownAuthors: ...

    def samples(self, brand: str, first_day: int, last_day: int) -> dict[int, list[SampledPost]]: ...


@dataclass(frozen=True, slots=True)
class RuleContext:
    """What a rule kind is built from."""

    reader: PaneSource
    history: HourHistory
    """Past hours of all brands. Already read when `RuleEvaluator.read` is called."""
    policies: Policies
    post_evidence: PostEvidenceReader
    votes: VoteReviewer


@dataclass(slots=True)
class BrandMinute:
    """One brand at the end of one event-time minute."""

    brand: str
    index: int
    """Position of the minute in the minutes of the last `read`."""
    windows: Sequence[WindowCounts]
    """The sliding windows that end with the minute, shortest first."""
    open_episodes: Mapping[EpisodeSlot, OpenEpisode]
    past: PastEpisodes
    elapsed_minutes: int
    """Since the last evaluated minute: 1, or the stride."""
    stream_alive: bool
    """False if no brand had posts lately, or if the brand's episodes are frozen."""
    thin: bool
    """Too few people write for the brand to be called quiet."""


@dataclass(frozen=True, slots=True)
class FacetView:
    """A facet of a brand at the last evaluated minute: shares of the brand's people."""

    share: float
    usual: float | None
    """None while it is learnt, or if the longest window has no author in the facet."""


@dataclass(frozen=True, slots=True)
class RuleViews:
    """What dashboards show of one rule kind at the last evaluated minute."""

    findings: Mapping[str, Finding] = field(default_factory=dict)
    """By brand: the negative share."""
    facets: Mapping[str, FacetView] = field(default_factory=dict)
    """By facet series."""


class RuleEvaluator(Protocol):
    """One rule kind."""

    def read(self, rules: RuleSet, brands: Sequence[str], minutes: Sequence[int]) -> None:
        """Load what the decisions at the end of each of *minutes* (rising) need. Raises TransientError."""

    def decide(self, rules: RuleSet, minute: BrandMinute) -> list[RuleDecision]:
        """The decisions of this kind's rules about one brand at one of the minutes that were read."""

    def views(self) -> RuleViews:
        """What dashboards show of the last minute that was read."""
