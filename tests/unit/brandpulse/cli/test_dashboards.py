import pytest
from typer.testing import CliRunner

from brandpulse.cli.dashboards import app
from brandpulse.errors import ConfigError


def test_publishing_without_a_token_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BRANDPULSE_GRAFANA_TOKEN", raising=False)

    result = CliRunner().invoke(app, ["publish"])

    assert isinstance(result.exception, ConfigError)
    assert "BRANDPULSE_GRAFANA_TOKEN" in str(result.exception)
    assert "service account" in str(result.exception)


def test_the_shipped_files_are_up_to_date() -> None:
    assert CliRunner().invoke(app, ["build", "--check"]).exit_code == 0


def test_help_names_the_three_commands() -> None:
    output = CliRunner().invoke(app, ["--help"]).output

    assert all(command in output for command in ("page", "build", "publish"))
