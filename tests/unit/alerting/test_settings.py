import pytest

from alerting.settings import AlerterSettings
from brandpulse.config.settings import load_settings
from brandpulse.errors import ConfigError


def test_the_defaults_equal_those_of_the_policies() -> None:
    from alerting.evaluation.policies import Policies

    assert AlerterSettings().policies() == Policies()


def test_windows_are_read_from_comma_separated_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRANDPULSE_ALERTER_WINDOWS", "10, 30,90")
    assert load_settings(AlerterSettings).windows == (10, 30, 90)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("BRANDPULSE_ALERTER_WINDOWS", "60,15"),
        ("BRANDPULSE_ALERTER_WINDOWS", "15,240"),
        ("BRANDPULSE_ALERTER_WINDOWS", "a quarter"),
        ("BRANDPULSE_ALERTER_FALSE_ALARMS", "0"),
        ("BRANDPULSE_ALERTER_LEASE_SECONDS", "0"),
        ("BRANDPULSE_ALERTER_PORT", "70000"),
        ("BRANDPULSE_ALERTER_HEARTBEAT_SEEN_WITHIN_SECONDS", "19.9"),
    ],
)
def test_an_invalid_setting_stops_the_start_with_its_name(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigError, match=rf"{variable}: .*For example: {variable}="):
        load_settings(AlerterSettings)


def test_the_receivers_file_has_its_own_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRANDPULSE_RECEIVERS_FILE", "r.yaml")
    assert str(load_settings(AlerterSettings).receivers_file) == "r.yaml"
