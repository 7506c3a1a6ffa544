"""Which facets are counted and which rules watch them, for those who look at the live page."""

import contextlib
from collections.abc import Callable, Sequence, Set
from pathlib import Path

from alerting.rules.loader import facets_in
from alerting.rules.models import FacetShareRule, RuleSet
from brandpulse.config.brands_file import load_brands
from brandpulse.config.yaml_file import Stamp, stamp_of
from brandpulse.errors import ConfigError
from brandpulse.state.watched_facets import Watch, WatchedFacets


def watched_facets(rules: RuleSet, counted: Set[str]) -> WatchedFacets:
    """The facets in *counted* and those that *rules* name, each with the rules that watch it."""
    found: dict[str, list[Watch]] = {facet: [] for facet in sorted(counted)}
    for rule in rules.rules:
        if isinstance(rule, FacetShareRule):
            found.setdefault(rule.facet, []).append(Watch(rule.name, None if rule.brands == "all" else rule.brands))
    return found


def counted_in(brands_file: Path) -> Callable[[], Set[str]]:
    """Tells the names of the facets in *brands_file*, which is read when it changed.

    A file that cannot be read changes nothing: only rules need it. Workers count what it held when they started.
    """
    read = facets_in(brands_file)
    stamp: Stamp | None = None
    known: Set[str] = frozenset()

    def counted() -> Set[str]:
        nonlocal stamp, known
        if (seen := stamp_of(brands_file)) != stamp:
            stamp = seen
            with contextlib.suppress(ConfigError):
                known = read()
        return known

    return counted


def brands_in(brands_file: Path) -> Callable[[], Sequence[str] | None]:
    """Gives the names of the brands in *brands_file*, in its order, and reads the file when it changed.

    Gives the last names that could be read; None where the file never could.
    """
    stamp: Stamp | None = None
    known: Sequence[str] | None = None

    def names() -> Sequence[str] | None:
        nonlocal stamp, known
        if (seen := stamp_of(brands_file)) != stamp:
            stamp = seen
            with contextlib.suppress(ConfigError):
                known = [brand.name for brand in load_brands(brands_file)]
        return known

    return names
