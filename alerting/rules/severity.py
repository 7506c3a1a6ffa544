"""The severity of a rule's episodes: by size, by duration, and for facets by the multiple of the usual share."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from brandpulse.schema.episodes import SEVERITIES, Severity

Minutes = Annotated[int, Field(ge=1, le=60 * 24 * 28)]
Ratio = Annotated[float, Field(gt=1, le=1_000)]
ERROR_RATIO, CRITICAL_RATIO = 4.0, 8.0
"""Default multiples of the usual share, for facets."""


class SeverityRule(BaseModel):
    """Severity by size (the rise over the baseline) and by duration (minutes without acknowledgement)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    least: Severity = "warning"
    most: Severity = "critical"
    error_rise: float = Field(default=0.20, gt=0, lt=1)
    critical_rise: float = Field(default=0.35, gt=0, lt=1)
    error_after_minutes: Minutes | None = None
    critical_after_minutes: Minutes | None = None

    @model_validator(mode="after")
    def _rises(self) -> "SeverityRule":
        if self.error_rise > self.critical_rise:
            raise ValueError(f"error_rise {self.error_rise:g} is above critical_rise {self.critical_rise:g}")
        if SEVERITIES.index(self.least) > SEVERITIES.index(self.most):
            raise ValueError(f"least {self.least} is above most {self.most}")
        return self


class FacetSeverityRule(SeverityRule):
    """Severity of a facet rule, whose share may be small: also by the multiple of the usual share; the higher applies.

    The default ratios are `ERROR_RATIO` and `CRITICAL_RATIO`, but only if the rise of the same severity is not given.
    """

    error_ratio: Ratio | None = None
    critical_ratio: Ratio | None = None

    @property
    def ratios(self) -> tuple[float | None, float | None]:
        """The ratios of an error and of a critical episode; None: by the rise alone."""
        given = self.model_fields_set
        return (
            self.error_ratio or (None if "error_rise" in given else ERROR_RATIO),
            self.critical_ratio or (None if "critical_rise" in given else CRITICAL_RATIO),
        )

    @model_validator(mode="after")
    def _multiplies(self) -> "FacetSeverityRule":
        error, critical = self.ratios
        if error is not None and critical is not None and error > critical:
            raise ValueError(f"error_ratio {error:g} is above critical_ratio {critical:g}")
        return self
