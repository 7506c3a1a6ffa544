"""What a rule says of severity: by size, by persistence, and of a facet by how many times it multiplied."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from brandpulse.schema.episodes import SEVERITIES, Severity

Minutes = Annotated[int, Field(ge=1, le=60 * 24 * 28)]
Ratio = Annotated[float, Field(gt=1, le=1_000)]
ERROR_RATIO, CRITICAL_RATIO = 4.0, 8.0
"""Of facets: so many times what is usual."""


class SeverityRule(BaseModel):
    """How grave: by size (the rise over the baseline) and by persistence (minutes firing without acknowledgement)."""

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
            raise ValueError(f"least {self.least} is graver than most {self.most}")
        return self


class FacetSeverityRule(SeverityRule):
    """Of a facet's share, which may be small: also by how many times the usual share it is, and whichever is graver.

    Ratios that are not given are `ERROR_RATIO` and `CRITICAL_RATIO`, but not beside a rise that is given.
    """

    error_ratio: Ratio | None = None
    critical_ratio: Ratio | None = None

    @property
    def ratios(self) -> tuple[float | None, float | None]:
        """For an error and for a critical episode; None: by the rise alone."""
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
