"""The models of the rules file: what is detected, for which brands, its severity, its receivers and quiet hours.

A rule has the fields of all kinds (`CommonRule`) and those of its kind. A new kind is a model with its own literal
`kind`, added to `Rule`, and an evaluator in the table `RULE_KINDS` of `alerting/evaluation/evaluator.py`.
"""

from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from alerting.detection.share_detector import DetectPolicy
from alerting.detection.volume_detector import SurgePolicy
from alerting.episodes.lifecycle import DEFAULT_RULE_NAME, EpisodePolicy
from alerting.rules.quiet_hours import QuietHours
from alerting.rules.severity import FacetSeverityRule, Minutes, Ratio, SeverityRule
from brandpulse.config.facets import FacetName
from brandpulse.schema.episodes import Severity

BRAND_SILENT = "brand_silent"
STREAM_RULES = ("stream_stalled", "stream_silent", "late_data", BRAND_SILENT)
"""Built-in rules about the stream itself. All receivers are notified of them."""
STORM = "storm"
"""Rule of a group: an episode about many brands at once."""
MAX_RULES = 100
CALM_NATS = 6.0
"""`EpisodePolicy.calm_nats` of facet rules."""
RuleName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
ReceiverName = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]


class RuleReceiver(BaseModel):
    """A receiver of a rule, by its name in the receivers file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: ReceiverName
    min_severity: Severity | None = None
    """None: the one of the receivers file. The higher of both applies."""


class CommonRule(BaseModel):
    """Fields of every rule kind."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: RuleName
    brands: Literal["all"] | tuple[Annotated[str, Field(min_length=1, max_length=200)], ...] = "all"
    severity: SeverityRule = SeverityRule()
    receivers: tuple[RuleReceiver, ...] | None = Field(default=None, max_length=50)
    """None: all. Topic `alerts` gets the notifications of every rule."""
    quiet_hours: tuple[QuietHours, ...] = Field(default=(), max_length=20)
    update_minutes: Minutes | None = None
    calm_minutes: Minutes | None = None
    quiet_minutes: Minutes | None = None
    """If not given, these three are the settings of the same name."""

    @field_validator("name")
    @classmethod
    def _is_free(cls, name: str) -> str:
        if name in STREAM_RULES or name == STORM:
            raise ValueError("is the name of a built-in rule; valid example: negative_share")
        return name

    @field_validator("brands", mode="after")
    @classmethod
    def _names_some(cls, brands: Any) -> Any:
        if brands == ():
            raise ValueError("names no brand; valid example: all")
        return brands

    @field_validator("receivers", mode="before")
    @classmethod
    def _plain_names(cls, value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return [{"name": one} if isinstance(one, str) else one for one in value]
        return value

    @property
    def tested_share(self) -> str | None:
        """The share that is compared with its past: a facet's name, or empty for the negative share. None: no share."""
        return None

    def applies_to(self, brand: str) -> bool:
        return self.brands == "all" or brand in self.brands

    def _given(self, *names: str) -> dict[str, Any]:
        """The values of *names* that this rule sets."""
        return {name: value for name in names if (value := getattr(self, name)) is not None}

    def episode_policy(self, settings: EpisodePolicy) -> EpisodePolicy:
        """*settings* with the values of this rule."""
        return replace(
            settings,
            **self._given("update_minutes", "calm_minutes", "quiet_minutes"),
            min_severity=self.severity.least,
            max_severity=self.severity.most,
            error_rise=self.severity.error_rise,
            critical_rise=self.severity.critical_rise,
            error_after_minutes=self.severity.error_after_minutes,
            critical_after_minutes=self.severity.critical_after_minutes,
        )


class NegativeShareRule(CommonRule):
    """The share of negative people, compared with the brand's own past. Values that are not given come from the
    settings."""

    kind: Literal["negative_share"]
    false_alarms: Annotated[float, Field(gt=0, le=1_000)] | None = None
    min_authors: Annotated[int, Field(ge=1)] | None = None
    min_negative_authors: Annotated[int, Field(ge=1)] | None = None
    min_rise: Annotated[float, Field(ge=0, lt=1)] | None = None
    min_history_hours: Annotated[int, Field(ge=1, le=24 * 28)] | None = None
    min_history_authors: Annotated[int, Field(ge=1)] | None = None

    @property
    def tested_share(self) -> str:
        return ""

    def detect_policy(self, settings: DetectPolicy) -> DetectPolicy:
        """*settings* with the values of this rule."""
        given = self._given(
            "false_alarms",
            "min_authors",
            "min_negative_authors",
            "min_rise",
            "min_history_hours",
            "min_history_authors",
        )
        return replace(settings, **given)


class FacetShareRule(CommonRule):
    """The share of a brand's people who are in a facet of the brands file, compared with the past of that share.

    Facets are small, so a smaller rise than of negative people counts, but a page needs a multiple of the usual share.
    """

    kind: Literal["facet_share"]
    facet: FacetName
    false_alarms: Annotated[float, Field(gt=0, le=1_000)] | None = None
    min_authors: Annotated[int, Field(ge=1)] | None = None
    min_history_hours: Annotated[int, Field(ge=1, le=24 * 28)] | None = None
    min_history_authors: Annotated[int, Field(ge=1)] | None = None
    """If not given, these four come from the settings."""
    min_facet_authors: Annotated[int, Field(ge=1)] = 5
    min_rise: Annotated[float, Field(ge=0, lt=1)] = 0.02
    min_ratio: Ratio = 2.0
    severity: FacetSeverityRule = FacetSeverityRule()

    @property
    def tested_share(self) -> str:
        return self.facet

    def detect_policy(self, settings: DetectPolicy) -> DetectPolicy:
        """*settings* with the values of this rule."""
        return replace(
            settings,
            **self._given("false_alarms", "min_authors", "min_history_hours", "min_history_authors"),
            min_negative_authors=self.min_facet_authors,
            min_rise=self.min_rise,
            min_ratio=self.min_ratio,
            near_baseline=min(settings.near_baseline, self.min_rise / 2),
            exact_tail=True,
        )

    def episode_policy(self, settings: EpisodePolicy) -> EpisodePolicy:
        # With a small share, each person is little evidence for calm: with nine nats, a quiet brand's page of two hours
        # stays open for five more (simulated at one post a minute, a facet of 2 %).
        calm_nats = min(settings.calm_nats, CALM_NATS)
        error, critical = self.severity.ratios
        return super().episode_policy(
            replace(settings, calm_nats=calm_nats, error_ratio=error, critical_ratio=critical)
        )


class VolumeRule(CommonRule):
    """The number of people who write about a brand, compared with its own past:
    `alerting.detection.volume_detector`."""

    kind: Literal["volume"]
    false_alarms: Annotated[float, Field(gt=0, le=1_000)] | None = None
    min_authors: Annotated[int, Field(ge=1)] | None = None
    min_ratio: Ratio | None = None

    def surge_policy(self, settings: SurgePolicy) -> SurgePolicy:
        """*settings* with the values of this rule."""
        return replace(settings, **self._given("false_alarms", "min_authors", "min_ratio"))


Rule = Annotated[NegativeShareRule | FacetShareRule | VolumeRule, Field(discriminator="kind")]
"""All rule kinds."""


class Grouping(BaseModel):
    """When many brands fire at once, one page replaces theirs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    from_brands: int = Field(default=10, ge=2)
    """Number of episodes with the same receivers, within `minutes`, that form a group. Earlier ones have their own
    page."""
    minutes: int = Field(default=10, ge=1, le=120)
    """Event time. An episode joins a group that last grew within this time."""


class RuleSet(BaseModel):
    """The content of a rules file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rules: tuple[Rule, ...] = Field(
        default=(NegativeShareRule(name=DEFAULT_RULE_NAME, kind="negative_share"),), max_length=MAX_RULES
    )
    grouping: Grouping = Grouping()

    @model_validator(mode="after")
    def _has_rules_of_distinct_names(self) -> "RuleSet":
        if not self.rules:
            raise ValueError("rules is empty: no brand would be watched")
        names = [rule.name for rule in self.rules]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two rules have the name {name!r}; names must be unique")
        return self

    def named(self, name: str) -> CommonRule | None:
        return next((rule for rule in self.rules if rule.name == name), None)


DEFAULT_RULES = RuleSet()
"""The rules without a rules file."""
