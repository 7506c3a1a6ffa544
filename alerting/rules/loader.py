"""The rules file: reads it, checks it, and compares its names with the receivers and brands files."""

from collections.abc import Callable, Sequence, Set
from pathlib import Path

from pydantic import ValidationError

from alerting.rules.models import FacetShareRule, RuleSet
from brandpulse.config.brands_file import load_brands_file
from brandpulse.config.yaml_file import YamlFile, read_yaml
from brandpulse.errors import ConfigError

VARIABLE = "BRANDPULSE_RULES_FILE"
EXAMPLE = """rules:
  - name: negative_share          # part of every episode's key: do not rename while it fires
    kind: negative_share
    brands: all                   # or a list: [Acme Air, "Bob's Burgers"]
    false_alarms: 1               # budget: expected false pages per brand in four weeks
    min_authors: 20
    severity: {least: warning, error_rise: 0.20, critical_rise: 0.35, error_after_minutes: 240}
    receivers:                    # without it: every receiver of receivers.yaml
      - {name: on-call, min_severity: error}
      - {name: chat}
    quiet_hours:
      - {from: "22:00", to: "07:00", time_zone: Europe/Berlin, below: critical}
  - name: surge
    kind: volume                  # many more people than usual, whatever they say
    min_ratio: 2
    severity: {most: warning}
  # - name: refunds               # watch a facet of the brands file: its share of a brand's people trebles, say
  #   kind: facet_share
  #   facet: refund
  #   min_ratio: 2
grouping: {from_brands: 10, minutes: 10}
"""


def load_rules(
    path: Path, *, receivers: Set[str] | None = None, facets: Callable[[], Set[str]] | None = None
) -> RuleSet:
    """The rules of the YAML file at *path*. Raises ConfigError with file, line, key, value and a valid example.

    *receivers*: the names in the receivers file; None: unknown. *facets* gives the names in the brands file
    (`facet_names_of`), and is called only if a rule names a facet.
    """
    read = read_yaml(path, what="rules file", variable=VARIABLE, example=EXAMPLE)
    try:
        rules = RuleSet.model_validate(read.content)
    except ValidationError as error:
        problems = read.explain(error, name=lambda place: _name_at(read, place))
        raise ConfigError(f"the rules file is invalid:\n{problems}\nA valid file:\n{EXAMPLE}") from None
    unknown = [] if receivers is None else _unknown_receivers(read, rules, receivers)
    if facets is not None:
        unknown += _unknown_facets(read, rules, facets)
    if unknown:
        raise ConfigError("the rules file is invalid:\n" + "\n".join(unknown))
    return rules


def _name_at(read: YamlFile, place: Sequence[str | int]) -> str:
    try:
        entry = read.content["rules"][place[1]] if place[0] == "rules" else {}
        return f" (rule {entry['name']!r})"
    except (TypeError, KeyError, IndexError):
        return ""


def _unknown_receivers(read: YamlFile, rules: RuleSet, receivers: Set[str]) -> list[str]:
    """Receivers that are not in the receivers file, so that no notification would be sent."""
    known = ", ".join(sorted(receivers)) or "none"
    return [
        f"  {read.path}:{read.line_of(('rules', number, 'receivers', place))}: rules.{number}.receivers.{place} "
        f"(rule {rule.name!r}): no receiver is named {one.name!r}; those of the receivers file: {known}"
        for number, rule in enumerate(rules.rules)
        for place, one in enumerate(rule.receivers or ())
        if one.name not in receivers
    ]


def _unknown_facets(read: YamlFile, rules: RuleSet, facets: Callable[[], Set[str]]) -> list[str]:
    """Facets that are not in the brands file, so that no worker counts them."""
    named = {number: rule.facet for number, rule in enumerate(rules.rules) if isinstance(rule, FacetShareRule)}
    known = facets() if named else set()
    return [
        f"  {read.path}:{read.line_of(('rules', number, 'facet'))}: rules.{number}.facet (rule "
        f"{rules.rules[number].name!r}): no facet is named {facet!r}; those of the brands file: "
        f"{', '.join(sorted(known)) or 'none'}"
        for number, facet in named.items()
        if facet not in known
    ]


def facet_names_of(brands_file: Path) -> Callable[[], Set[str]]:
    """Returns a function that reads the names of the facets in *brands_file*, and may raise ConfigError."""
    return lambda: {facet.name for facet in load_brands_file(brands_file).facets}


def unknown_brands(rules: RuleSet, brands: Set[str]) -> list[str]:
    """Brand names in *rules* that are not in *brands*, for example misspelt ones. No brand matches them."""
    named = {brand for rule in rules.rules if rule.brands != "all" for brand in rule.brands}
    return sorted(named - brands)
