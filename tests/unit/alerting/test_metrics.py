import math

import pytest

from alerting.detection.share_detector import Baseline, DetectPolicy, Finding, State, WindowCounts
from alerting.evaluation.alert_clock import AlertClock
from alerting.evaluation.evaluator import BrandView, EvaluationReport
from alerting.evaluation.rule_evaluator import FacetView
from alerting.metrics import record_evaluation, start_counters, start_rule_counters
from alerting.rules.models import DEFAULT_RULES, RuleSet
from brandpulse.runtime.metric_definitions import ALERTER_METRICS, LABELLED_BRANDS, OTHER_BRANDS
from brandpulse.runtime.metrics import Telemetry
from brandpulse.state.keys import facet_series
from brandpulse.state.panes import EMPTY_PANE, Pane
from tests.support.alerting.episode_builders import an_episode


def test_counters_are_zero_before_the_first_event() -> None:
    telemetry = Telemetry(ALERTER_METRICS)
    start_counters(telemetry, ["pager", "kafka"], DEFAULT_RULES)
    exposed = telemetry.expose().decode()
    assert 'brandpulse_episode_transitions_total{rule="negative_share",transition="triggered"} 0.0' in exposed
    assert 'brandpulse_deliveries_total{outcome="quarantined",receiver="pager"} 0.0' in exposed


def test_counters_of_rules_start_at_zero_and_survive_a_reload() -> None:
    telemetry = Telemetry(ALERTER_METRICS)
    rules = RuleSet.model_validate({"rules": [{"name": "refunds", "kind": "facet_share", "facet": "refund"}]})
    start_counters(telemetry, [], rules)
    line = 'brandpulse_episode_transitions_total{rule="refunds",transition="triggered"} '
    assert line + "0.0" in telemetry.expose().decode()
    telemetry.counter("brandpulse_episode_transitions_total").labels("refunds", "triggered").inc()
    start_rule_counters(telemetry, rules)
    assert line + "1.0" in telemetry.expose().decode()


@pytest.mark.parametrize("state", ["warming up", "no data", "too little evidence"])
def test_while_learning_no_baseline_is_shown(state: State) -> None:
    """Also if the stream stalls while the brand is learnt, when the state is different."""
    telemetry = Telemetry(ALERTER_METRICS)
    for name, hours in (("Acme Air", 23), ("Bolt", 24)):
        usual = Baseline(share=0.25, rho=0.006, hours=hours, authors=1_000)
        view = BrandView(Finding(state, DetectPolicy(), usual), EMPTY_PANE, None)
        record_evaluation(telemetry, EvaluationReport(AlertClock(None), None, views={name: view}), seconds=0.1)
    shown = [line for line in telemetry.expose().decode().splitlines() if "_baseline_negative_ratio{" in line]
    assert shown == ['brandpulse_baseline_negative_ratio{brand="Bolt"} 0.25']


def test_people_without_a_vote_are_shown_where_votes_were_reviewed() -> None:
    telemetry = Telemetry(ALERTER_METRICS)
    reviewed = Finding("normal", DetectPolicy(), window=WindowCounts(10, 5, copied=16, excluded=2))
    views = {
        "Acme Air": BrandView(reviewed, EMPTY_PANE, None),
        "Bolt": BrandView(Finding("normal", DetectPolicy(), window=WindowCounts(10, 5)), EMPTY_PANE, None),
    }
    record_evaluation(telemetry, EvaluationReport(AlertClock(None), None, views=views), seconds=0.1)
    shown = [line for line in telemetry.expose().decode().splitlines() if "_without_vote{" in line]
    assert shown == [
        'brandpulse_window_people_without_vote{brand="Acme Air",reason="copied"} 16.0',
        'brandpulse_window_people_without_vote{brand="Acme Air",reason="excluded"} 2.0',
    ]


@pytest.mark.parametrize(("per_hour", "least", "most"), [(60, 1_200, 7_200), (1, 3_600, math.inf)])
def test_each_brand_has_a_detection_delay_by_its_volume(per_hour: int, least: float, most: float) -> None:
    telemetry = Telemetry(ALERTER_METRICS)
    usual = Baseline(share=0.25, rho=0.006, hours=336, authors=336 * per_hour)
    view = BrandView(Finding("normal", DetectPolicy(), usual), EMPTY_PANE, None)
    record_evaluation(telemetry, EvaluationReport(AlertClock(None), None, views={"Acme Air": view}), seconds=0.1)
    [line] = [
        line
        for line in telemetry.expose().decode().splitlines()
        if line.startswith('brandpulse_expected_delay_seconds{brand="Acme Air"}')
    ]
    assert least <= float(line.split()[-1]) <= most


def test_a_facet_has_series_until_no_rule_watches_it() -> None:
    telemetry = Telemetry(ALERTER_METRICS)
    seen = {"Acme Air": BrandView(Finding("normal", DetectPolicy()), EMPTY_PANE, None)}

    def shown(facets: dict[str, FacetView], *, evaluated: bool = True) -> list[str]:
        views = seen if evaluated else {}
        record_evaluation(telemetry, EvaluationReport(AlertClock(None), None, views=views, facets=facets), seconds=0.1)
        return [line for line in telemetry.expose().decode().splitlines() if "_facet_ratio{" in line]

    both = {
        facet_series("Acme Air", "refund"): FacetView(0.12, 0.03),
        facet_series("Bolt", "fee"): FacetView(0.0, None),
    }
    lines = [
        'brandpulse_window_facet_ratio{brand="Acme Air",facet="refund"} 0.12',
        'brandpulse_window_facet_ratio{brand="Bolt",facet="fee"} 0.0',
        'brandpulse_baseline_facet_ratio{brand="Acme Air",facet="refund"} 0.03',
    ]
    assert shown(both) == lines
    assert shown({}, evaluated=False) == lines, "a tick without a minute says nothing new"
    assert shown({}) == []


def _view(posts: int) -> BrandView:
    return BrandView(Finding("normal", DetectPolicy()), Pane(negative=posts), None)


def _window_posts(telemetry: Telemetry) -> dict[str, float]:
    lines = telemetry.expose().decode().splitlines()
    shown = [line for line in lines if line.startswith("brandpulse_window_posts{") and 'sentiment="negative"' in line]
    return {line.split('brand="')[1].split('"')[0]: float(line.split()[-1]) for line in shown}


def test_a_brand_that_left_the_file_loses_its_series() -> None:
    telemetry = Telemetry(ALERTER_METRICS)
    views = {"Acme Air": _view(3), "Bolt": _view(4)}
    report = EvaluationReport(AlertClock(None), None, views=views)
    record_evaluation(telemetry, report, seconds=0.1, brands=["Acme Air", "Bolt"])
    assert _window_posts(telemetry) == {"Acme Air": 3, "Bolt": 4}
    record_evaluation(telemetry, report, seconds=0.1, brands=["Bolt"])
    assert _window_posts(telemetry) == {OTHER_BRANDS: 3, "Bolt": 4}
    assert 'brandpulse_window_negative_ratio{brand="Acme Air"}' not in telemetry.expose().decode()


def test_brands_beyond_the_limit_share_one_label() -> None:
    telemetry = Telemetry(ALERTER_METRICS)
    names = [f"brand {number:03d}" for number in range(LABELLED_BRANDS + 300)]
    views = {name: _view(1) for name in names}
    for brands in (names, None):
        record_evaluation(telemetry, EvaluationReport(AlertClock(None), None, views=views), seconds=0.1, brands=brands)
        posts = _window_posts(telemetry)
        assert len(posts) == LABELLED_BRANDS + 1
        assert posts[OTHER_BRANDS] == 300
        exposed = telemetry.expose().decode()
        assert exposed.count("brandpulse_window_negative_ratio{") == LABELLED_BRANDS


def test_an_episode_about_the_stream_keeps_its_own_label() -> None:
    telemetry = Telemetry(ALERTER_METRICS)
    some = [an_episode(), an_episode().model_copy(update={"brand": "*", "rule": "stream_stalled"})]
    record_evaluation(telemetry, EvaluationReport(AlertClock(None), None, open=some), seconds=0.1, brands=["Bolt"])
    exposed = telemetry.expose().decode()
    assert 'brandpulse_episodes_open{brand="*",rule="stream_stalled"} 1.0' in exposed
    assert f'brandpulse_episodes_open{{brand="{OTHER_BRANDS}",rule="negative_share"}} 1.0' in exposed
