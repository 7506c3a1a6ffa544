"""The rules file while the alerter runs: read again when it changes. Invalid content leaves the old rules in use."""

import logging
from collections.abc import Callable, Set
from pathlib import Path

from alerting.rules.loader import load_rules
from alerting.rules.models import RuleSet
from brandpulse.config.yaml_file import stamp_of
from brandpulse.errors import ConfigError
from brandpulse.runtime.metrics import Telemetry

log = logging.getLogger(__name__)


class LiveRules:
    """The current rules. An invalid file stops the start; later it causes only a log line and a metric."""

    def __init__(
        self,
        path: Path,
        *,
        receivers: Set[str],
        telemetry: Telemetry,
        facets: Callable[[], Set[str]] | None = None,
    ) -> None:
        """Raises ConfigError that names file, line, key and value."""
        self._path = path
        self._receivers = receivers
        self._facets = facets
        self._valid = telemetry.gauge("brandpulse_rules_valid")
        self._stamp = stamp_of(path)
        self._rules = self._read()
        self._valid.set(1)

    def current(self) -> RuleSet:
        """The newest valid rules."""
        stamp = stamp_of(self._path)
        if stamp == self._stamp:
            return self._rules
        self._stamp = stamp
        try:
            self._rules = self._read()
        except ConfigError as error:
            self._valid.set(0)
            log.error("rules file is invalid: the old rules stay in use", extra={"reason": str(error)})  # noqa: TRY400 - the reason is complete
        else:
            self._valid.set(1)
            log.info("rules reloaded", extra={"rules": [rule.name for rule in self._rules.rules]})
        return self._rules

    def _read(self) -> RuleSet:
        return load_rules(self._path, receivers=self._receivers, facets=self._facets)
