from alerting.gauges import begin
from brandpulse.telemetry import ALERTER_METRICS, Telemetry


def test_counters_stand_at_zero_before_the_first_event() -> None:
    telemetry = Telemetry(ALERTER_METRICS)
    begin(telemetry, ["pager", "kafka"])
    exposed = telemetry.expose().decode()
    assert 'brandpulse_episode_transitions_total{rule="negative_share",transition="triggered"} 0.0' in exposed
    assert 'brandpulse_deliveries_total{outcome="quarantined",receiver="pager"} 0.0' in exposed
