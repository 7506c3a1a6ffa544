"""All policies of one alerter."""

from dataclasses import dataclass, field

from alerting.detection.share_baseline import BaselinePolicy
from alerting.detection.share_detector import DetectPolicy
from alerting.detection.volume_detector import SurgePolicy
from alerting.detection.votes.copied_votes import VotePolicy
from alerting.episodes.lifecycle import EpisodePolicy
from alerting.evaluation.alert_clock import ClockPolicy


@dataclass(frozen=True, slots=True)
class Policies:
    """The settings' policies. A rule may override parts of `detect`, `episode` and `surge`."""

    detect: DetectPolicy = field(default_factory=DetectPolicy)
    baseline: BaselinePolicy = field(default_factory=BaselinePolicy)
    episode: EpisodePolicy = field(default_factory=EpisodePolicy)
    clock: ClockPolicy = field(default_factory=ClockPolicy)
    surge: SurgePolicy = field(default_factory=SurgePolicy)
    votes: VotePolicy = field(default_factory=VotePolicy)
