"""Which facets the workers count and which rules watch them; the live page shows both."""

from collections.abc import Set

from alerting.rules.models import FacetShareRule, RuleSet
from brandpulse.state.watched_facets import Watch, WatchedFacets


def watched_facets(rules: RuleSet, counted: Set[str]) -> WatchedFacets:
    """The *counted* facets and those that *rules* name, each with the rules that watch it."""
    found: dict[str, list[Watch]] = {facet: [] for facet in sorted(counted)}
    for rule in rules.rules:
        if isinstance(rule, FacetShareRule):
            found.setdefault(rule.facet, []).append(Watch(rule.name, None if rule.brands == "all" else rule.brands))
    return found
