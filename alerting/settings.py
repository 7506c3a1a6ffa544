"""Settings of the alerter."""

from pathlib import Path
from typing import Annotated

from pydantic import AliasChoices, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from alerting.detection.share_baseline import BaselinePolicy
from alerting.detection.share_detector import DetectPolicy
from alerting.detection.votes.copied_votes import VotePolicy
from alerting.episodes.lifecycle import EpisodePolicy
from alerting.evaluation.alert_clock import ClockPolicy
from alerting.evaluation.policies import Policies
from alerting.heartbeat import HeartbeatPolicy
from alerting.notifications.delivery import RetryPolicy
from brandpulse.config.advanced import ADVANCED

LONGEST_WINDOW_MINUTES = 180
"""Author sketches of single minutes are kept for three hours."""


class AlerterSettings(BaseSettings):
    """Prefix `BRANDPULSE_ALERTER_`."""

    model_config = SettingsConfigDict(
        env_prefix="BRANDPULSE_ALERTER_", frozen=True, extra="ignore", env_ignore_empty=True, populate_by_name=True
    )

    receivers_file: Path | None = Field(
        default=None,
        validation_alias=AliasChoices("BRANDPULSE_RECEIVERS_FILE", "receivers_file"),
        examples=["./receivers.yaml"],
    )
    """YAML file of the receivers. Unset: alerts go to Redis, topic `alerts` and the log only."""
    rules_file: Path | None = Field(
        default=None,
        validation_alias=AliasChoices("BRANDPULSE_RULES_FILE", "rules_file"),
        examples=["./rules.yaml"],
    )
    """YAML file of the rules. Unset: one rule, the negative share of every brand, for all receivers. The file is
    read again when it changes; if it is wrong, the previous rules stay in force."""
    host: str = Field(default="127.0.0.1", min_length=1, examples=["127.0.0.1"])
    """Address of the metrics and health port."""
    port: int = Field(default=0, ge=0, le=65_535, examples=[9_102])
    """Port of /metrics, /healthz and /readyz. 0: any free port, which is recorded under BRANDPULSE_HOME."""
    tick_seconds: float = Field(default=1.0, gt=0, le=60, examples=[1.0], json_schema_extra=ADVANCED)
    """Wall-clock pause between two evaluations. Each evaluates all event-time minutes that are due."""
    lease_seconds: float = Field(default=10.0, ge=0.5, le=300, examples=[10.0], json_schema_extra=ADVANCED)
    """Lifetime of the leader's lease: another alerter takes over after this time."""
    durable_replicas: int = Field(default=0, ge=0, le=5, examples=[1], json_schema_extra=ADVANCED)
    """Replicas that must have an alert on disk before it is sent, so that a failover loses none. While fewer
    confirm, alerts wait."""
    request_timeout_seconds: float = Field(default=5.0, gt=0, le=5, examples=[5.0], json_schema_extra=ADVANCED)
    """Time limit of one request to a receiver."""
    heartbeat_url: SecretStr | None = Field(default=None, examples=["https://hc-ping.com/your-own-uuid"])
    """Address of a dead man's switch. The alerter requests it with GET while evaluations succeed, event time
    advances and notifications are delivered."""
    heartbeat_seconds: float = Field(default=60.0, ge=0.1, le=3_600, examples=[60.0], json_schema_extra=ADVANCED)
    """Interval of the heartbeat."""
    heartbeat_seen_within_seconds: float = Field(default=45.0, ge=20, examples=[45.0], json_schema_extra=ADVANCED)
    """The heartbeat stops if no worker reported on a partition for longer. At least 20: workers ask Kafka every
    five seconds and report an outage after 15 seconds without an answer."""
    heartbeat_moved_within_seconds: float = Field(default=1_800.0, gt=0, examples=[1_800.0], json_schema_extra=ADVANCED)
    """The heartbeat stops if event time does not advance for longer. Choose more than the longest quiet period of
    the stream."""
    link: str | None = Field(default=None, examples=["http://127.0.0.1:8080/?brand={brand}&at={at}"])
    """Address of the page in alerts; `{brand}` and `{at}` (ms) are replaced."""

    windows: Annotated[tuple[int, ...], NoDecode] = Field(
        default=(5, 10, 20, 40, 90, 180), examples=["5,10,20,40,90,180"], json_schema_extra=ADVANCED
    )
    """Lengths of the detection windows in minutes, ascending, at most 180."""
    false_alarms: float = Field(default=1.0, gt=0, le=1_000, examples=[1.0])
    """Expected false alarms per brand in four weeks. A higher number shortens the detection delay."""
    min_authors: int = Field(default=20, ge=1, examples=[20], json_schema_extra=ADVANCED)
    """Smallest number of people in a window that is tested."""
    min_negative_authors: int = Field(default=8, ge=1, examples=[8], json_schema_extra=ADVANCED)
    """Smallest number of negative people in a window that can fire."""
    min_rise: float = Field(default=0.08, ge=0, lt=1, examples=[0.08], json_schema_extra=ADVANCED)
    """Smallest rise of the negative share that can fire: 0.08 is 8 percentage points."""
    min_history_hours: int = Field(default=24, ge=1, le=24 * 28, examples=[24], json_schema_extra=ADVANCED)
    """Hours with posts that a brand needs before its first alert; with 24 or more, also two days since its first
    hour."""
    min_history_authors: int = Field(default=200, ge=1, examples=[200], json_schema_extra=ADVANCED)
    """People in the history that a brand needs before its first alert."""
    baseline_days: int = Field(default=28, ge=1, le=90, examples=[28], json_schema_extra=ADVANCED)
    """Days of history for the expected share."""
    rho_floor: float = Field(default=0.002, gt=0, lt=0.5, examples=[0.002], json_schema_extra=ADVANCED)
    """Smallest correlation between people of the same hour: how much they copy each other."""
    votes_per_text: int = Field(default=5, ge=1, le=1_000_000, examples=[5])
    """Votes of one text in a window: copies beyond it count as posts, and not as negative people. Below
    BRANDPULSE_ALERTER_MIN_NEGATIVE_AUTHORS, one text alone never pages."""
    exclude_score: float = Field(default=0.85, ge=0, examples=[0.85])
    """Authors with this score or more have no vote: it measures posts an hour, repeats of the same text, and posts that
    are only a link, and is 1 at most. 2: no author is excluded."""
    prior_share: float = Field(default=0.25, gt=0, lt=1, examples=[0.25], json_schema_extra=ADVANCED)
    """Negative share assumed for a brand without history."""

    update_minutes: int = Field(default=30, ge=1, examples=[30], json_schema_extra=ADVANCED)
    """Interval of updates while an episode fires."""
    calm_minutes: int = Field(default=15, ge=1, examples=[15], json_schema_extra=ADVANCED)
    """Shortest time back to normal before an episode is resolved."""
    quiet_minutes: int = Field(default=180, ge=1, examples=[180], json_schema_extra=ADVANCED)
    """If few people write about the brand, as is usual for it, an episode is resolved after this time. Without any
    post it stays open."""

    owner_fresh_seconds: float = Field(default=30.0, gt=0, examples=[30.0], json_schema_extra=ADVANCED)
    """An idle partition does not hold event time back while its worker reported within this time."""
    stalled_after_seconds: float = Field(default=120.0, gt=0, examples=[120.0], json_schema_extra=ADVANCED)
    """A partition with lag counts as stalled after this time without progress."""
    silent_after_seconds: float = Field(default=1_800.0, gt=0, examples=[1_800.0], json_schema_extra=ADVANCED)
    """The stream counts as silent after this time without posts."""

    retry_base_seconds: float = Field(default=1.0, gt=0, examples=[1.0], json_schema_extra=ADVANCED)
    """Longest pause before the first retry of a delivery; it doubles with each retry."""
    retry_cap_seconds: float = Field(default=300.0, gt=0, examples=[300.0], json_schema_extra=ADVANCED)
    """Longest pause between retries of a delivery."""
    too_many_floor_seconds: float = Field(default=60.0, ge=0, examples=[60.0], json_schema_extra=ADVANCED)
    """Shortest pause after a receiver answers 429."""

    @field_validator("windows", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return [part.strip() for part in value.split(",")] if isinstance(value, str) else value

    @field_validator("windows")
    @classmethod
    def _rising(cls, windows: tuple[int, ...]) -> tuple[int, ...]:
        if not windows or list(windows) != sorted(set(windows)) or windows[0] < 1:
            raise ValueError("must be whole minutes, each larger than the one before")
        if windows[-1] > LONGEST_WINDOW_MINUTES:
            raise ValueError(f"must end at {LONGEST_WINDOW_MINUTES} or below: author sketches are kept three hours")
        return windows

    def policies(self) -> Policies:
        return Policies(
            detect=DetectPolicy(
                windows=self.windows,
                false_alarms=self.false_alarms,
                min_authors=self.min_authors,
                min_negative_authors=self.min_negative_authors,
                min_rise=self.min_rise,
                min_history_hours=self.min_history_hours,
                min_history_authors=self.min_history_authors,
            ),
            votes=VotePolicy(self.votes_per_text, self.exclude_score),
            baseline=BaselinePolicy(days=self.baseline_days, prior_share=self.prior_share, rho_floor=self.rho_floor),
            episode=EpisodePolicy(
                update_minutes=self.update_minutes,
                calm_minutes=self.calm_minutes,
                quiet_minutes=self.quiet_minutes,
            ),
            clock=ClockPolicy(
                unseen_after_ms=int(self.heartbeat_seen_within_seconds * 1_000),
                owner_fresh_ms=int(self.owner_fresh_seconds * 1_000),
                stalled_after_ms=int(self.stalled_after_seconds * 1_000),
                silent_after_ms=int(self.silent_after_seconds * 1_000),
            ),
        )

    def heartbeat_policy(self) -> HeartbeatPolicy:
        every = self.heartbeat_seconds
        return HeartbeatPolicy(
            every=every,
            evaluated_within=min(max(every, 5.0), 45.0),
            moved_within=self.heartbeat_moved_within_seconds,
        )

    def retry_policy(self) -> RetryPolicy:
        return RetryPolicy(
            base_seconds=self.retry_base_seconds,
            cap_seconds=self.retry_cap_seconds,
            too_many_floor_seconds=self.too_many_floor_seconds,
        )
