"""The rules file: its values, and the errors of invalid files."""

from pathlib import Path

import pytest

from alerting.detection.share_detector import DetectPolicy
from alerting.detection.volume_detector import SurgePolicy
from alerting.episodes.lifecycle import EpisodePolicy
from alerting.evaluation.stream_health import _SEVERITY
from alerting.notifications.routing import Route, routes_of_rule
from alerting.rules.loader import EXAMPLE, facet_names_of, load_rules, unknown_brands
from alerting.rules.models import DEFAULT_RULES, STREAM_RULES, FacetShareRule, NegativeShareRule, RuleSet, VolumeRule
from brandpulse.errors import ConfigError


def a_file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "rules.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_without_a_file_one_rule_watches_every_brand() -> None:
    [rule] = DEFAULT_RULES.rules
    assert isinstance(rule, NegativeShareRule)
    assert rule.name == "negative_share"
    assert rule.applies_to("anything")
    assert rule.detect_policy(DetectPolicy()) == DetectPolicy()
    assert rule.episode_policy(EpisodePolicy()) == EpisodePolicy()


def test_the_example_is_valid(tmp_path: Path) -> None:
    rules = load_rules(a_file(tmp_path, EXAMPLE), receivers={"on-call", "chat"})
    rule, surge = rules.rules
    assert isinstance(surge, VolumeRule)
    assert surge.surge_policy(SurgePolicy(min_authors=30)) == SurgePolicy(min_authors=30, min_ratio=2)
    assert [one.name for one in rule.receivers or ()] == ["on-call", "chat"]
    assert rule.episode_policy(EpisodePolicy()).error_after_minutes == 240


def test_values_of_a_rule_override_the_settings() -> None:
    rule = NegativeShareRule(
        name="strict", kind="negative_share", brands=("Acme Air",), false_alarms=0.1, min_authors=50, calm_minutes=40
    )
    detect = rule.detect_policy(DetectPolicy(false_alarms=1, min_authors=20, min_rise=0.11))
    assert (detect.false_alarms, detect.min_authors, detect.min_rise) == (0.1, 50, 0.11)
    assert rule.episode_policy(EpisodePolicy(update_minutes=7)).update_minutes == 7
    assert rule.episode_policy(EpisodePolicy()).calm_minutes == 40
    assert [rule.applies_to(brand) for brand in ("Acme Air", "Acme")] == [True, False]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file: is empty: must be fields with values"),
        ("rules: []", "rules is empty: no brand would be watched"),
        (
            "rules:\n- {name: a, kind: mood}",
            ":2: rules.0 (rule 'a'): kind must be one of 'negative_share', 'facet_share', 'volume', is 'mood'",
        ),
        (
            "rules:\n- name: a\n  kind: negative_share\n  false_alarms: -1",
            ":4: rules.0.false_alarms (rule 'a'): must be more than 0.0, got '-1'",
        ),
        ("rules:\n- {name: A-1, kind: negative_share}", "rules.0.name (rule 'A-1'): must match the pattern"),
        ("rules:\n- {name: storm, kind: negative_share}", "is the name of a built-in rule"),
        ("rules:\n- {name: a, kind: negative_share, brands: []}", "names no brand; valid example: all"),
        (
            "rules:\n- {name: a, kind: negative_share, recievers: [x]}",
            "rules.0.recievers (rule 'a'): is not known here",
        ),
        (
            "rules:\n- {name: a, kind: negative_share}\n- {name: a, kind: negative_share}",
            "two rules have the name 'a'; names must be unique",
        ),
        (
            "rules:\n- name: a\n  kind: negative_share\n  severity: {error_rise: 0.5}",
            ":4: rules.0.severity (rule 'a'): error_rise 0.5 is above critical_rise 0.35",
        ),
        (
            "rules:\n- name: a\n  kind: negative_share\n  quiet_hours: [{from: 22:00, to: 7:00, time_zone: Mars/Base}]",
            "rules.0.quiet_hours.0.time_zone (rule 'a'): is not a known time zone; valid example: Europe/Berlin, "
            "got 'Mars/Base'",
        ),
        (
            "rules:\n- name: a\n  kind: negative_share\n  receivers: [on-call, nobody]",
            ":4: rules.0.receivers.1 (rule 'a'): no receiver is named 'nobody'; those of the receivers file: on-call",
        ),
        (
            "rules:\n- name: a\n  kind: facet_share\n  facet: refnd",
            ":4: rules.0.facet (rule 'a'): no facet is named 'refnd'; those of the brands file: anger, refund",
        ),
        ("rules:\n- {name: a, kind: facet_share}", "rules.0.facet (rule 'a'): is missing"),
        ("rules:\n- {name: a, kind: facet_share, facet: refund, min_ratio: 1}", "rules.0.min_ratio (rule 'a')"),
        (
            "rules:\n- name: a\n  kind: facet_share\n  facet: refund\n  severity: {error_ratio: 9}",
            ":5: rules.0.severity (rule 'a'): error_ratio 9 is above critical_ratio 8",
        ),
        (
            "rules:\n- {name: a, kind: facet_share, facet: refund, severity: {error_ratio: 1}}",
            "rules.0.severity.error_ratio (rule 'a'): must be more than 1.0, got '1'",
        ),
        (
            "rules:\n- {name: a, kind: negative_share, severity: {error_ratio: 3}}",
            "rules.0.severity.error_ratio (rule 'a'): is not known here",
        ),
        ("rules: [", "rules.yaml is not YAML: line 1: "),
    ],
)
def test_an_invalid_file_is_reported_with_line_key_and_value(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_rules(a_file(tmp_path, text), receivers={"on-call"}, facets=lambda: {"refund", "anger"})
    assert message in str(caught.value)
    assert str(tmp_path / "rules.yaml") in str(caught.value)


def test_the_brands_file_is_read_only_for_rules_with_a_facet(tmp_path: Path) -> None:
    nowhere = facet_names_of(tmp_path / "brands.yaml")
    assert load_rules(a_file(tmp_path, "rules:\n- {name: a, kind: volume}"), facets=nowhere)
    with pytest.raises(ConfigError, match="BRANDPULSE_BRANDS_FILE"):
        load_rules(a_file(tmp_path, "rules:\n- {name: a, kind: facet_share, facet: refund}"), facets=nowhere)


def test_a_facet_rule_needs_a_smaller_rise() -> None:
    rule = FacetShareRule(name="a", kind="facet_share", facet="refund", min_authors=30)
    policy = rule.detect_policy(DetectPolicy(false_alarms=2))
    assert (policy.min_authors, policy.min_negative_authors, policy.false_alarms) == (30, 5, 2)
    assert (policy.min_rise, policy.min_ratio) == (0.02, 2)


def a_facet_rule(**severity: float) -> FacetShareRule:
    return FacetShareRule.model_validate(
        {"name": "a", "kind": "facet_share", "facet": "refund", **({"severity": severity} if severity else {})}
    )


@pytest.mark.parametrize(
    ("given", "ratios"),
    [
        ({}, (4, 8)),
        ({"error_ratio": 3, "critical_ratio": 5}, (3, 5)),
        ({"error_after_minutes": 240}, (4, 8)),
        ({"error_rise": 0.1, "critical_rise": 0.25}, (None, None)),
        ({"error_rise": 0.1}, (None, 8)),
        ({"error_rise": 0.1, "error_ratio": 3}, (3, 8)),
    ],
)
def test_facet_severity_uses_ratios_unless_rises_are_given(
    given: dict[str, float], ratios: tuple[float | None, float | None]
) -> None:
    policy = a_facet_rule(**given).episode_policy(EpisodePolicy())
    assert (policy.error_ratio, policy.critical_ratio) == ratios
    assert policy.error_rise == given.get("error_rise", 0.2)


def test_negative_share_severity_uses_rises_only() -> None:
    [rule] = DEFAULT_RULES.rules
    policy = rule.episode_policy(EpisodePolicy())
    assert (policy.error_ratio, policy.critical_ratio) == (None, None)


def test_a_missing_file_is_reported_with_variable_and_example(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="BRANDPULSE_RULES_FILE") as caught:
        load_rules(tmp_path / "none.yaml")
    assert "kind: negative_share" in str(caught.value)


def test_a_brand_missing_from_the_brands_file_is_reported() -> None:
    rules = RuleSet(rules=(NegativeShareRule(name="a", kind="negative_share", brands=("Acme", "Acne")),))
    assert unknown_brands(rules, {"Acme"}) == ["Acne"]
    assert unknown_brands(DEFAULT_RULES, set()) == []


def test_a_rule_routes_to_its_receivers_and_the_record() -> None:
    routes = [Route("pager", "error"), Route("chat"), Route("mail"), Route("kafka", receives_all=True)]
    rule = NegativeShareRule(
        name="a",
        kind="negative_share",
        receivers=[{"name": "pager", "min_severity": "warning"}, {"name": "chat", "min_severity": "critical"}],
    )
    assert [(one.receiver, one.min_severity) for one in routes_of_rule(rule, routes)] == [
        ("pager", "error"),
        ("chat", "critical"),
        ("kafka", "info"),
    ]
    assert routes_of_rule(None, routes) == routes, "a rule about the stream is everybody's"


def test_the_reserved_names_are_those_of_built_in_rules() -> None:
    assert set(STREAM_RULES) == set(_SEVERITY)
