import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from brandpulse.cli.alerting.rules import app
from brandpulse.errors import ConfigError
from brandpulse.ops.doctor.alerting_checks import check_receivers, check_rules
from brandpulse.runtime.child_process import free_port

FILE = """receivers:
  - {{name: up, kind: webhook, url: "http://127.0.0.1:{listening}/hook"}}
  - {{name: down, kind: pagerduty, url: "http://127.0.0.1:{silent}/v2/enqueue", routing_key: "{key}"}}
"""


def test_each_receiver_is_reported_as_reachable_or_not(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "receivers.yaml"
    monkeypatch.setenv("BRANDPULSE_RECEIVERS_FILE", str(path))
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        path.write_text(FILE.format(listening=server.getsockname()[1], silent=free_port(), key="k" * 32))
        up, down = check_receivers()
    assert (up.remedy, up.warning) == ("", False)
    assert "webhook at 127.0.0.1" in up.observation
    assert "no server answers there" in down.remedy
    assert down.warning, "a warning: posts flow all the same"
    assert "k" * 32 not in str(down)


def test_missing_receivers_file_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BRANDPULSE_RECEIVERS_FILE", raising=False)
    [finding] = check_receivers()
    assert "none" in finding.observation
    assert "BRANDPULSE_RECEIVERS_FILE" in finding.remedy
    assert finding.warning


def test_rules_are_listed_and_an_unknown_receiver_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BRANDPULSE_RECEIVERS_FILE", raising=False)
    assert "negative_share for every brand" in check_rules()[0].observation
    rules = tmp_path / "rules.yaml"
    monkeypatch.setenv("BRANDPULSE_RULES_FILE", str(rules))
    rules.write_text("rules: [{name: mine, kind: negative_share}]")
    assert check_rules()[0].observation.endswith("rules.yaml: mine")
    rules.write_text("rules: [{name: mine, kind: negative_share, receivers: [nobody]}]")
    with pytest.raises(ConfigError, match="no receiver is named 'nobody'"):
        check_rules()


def test_a_rule_with_an_unknown_facet_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    brands, rules = tmp_path / "brands.yaml", tmp_path / "rules.yaml"
    brands.write_text("brands: [{name: A, terms: [a]}]\nfacets: [{name: refund, words: [refund]}]")
    rules.write_text("rules: [{name: mine, kind: facet_share, facet: refund}]")
    monkeypatch.delenv("BRANDPULSE_RECEIVERS_FILE", raising=False)
    monkeypatch.setenv("BRANDPULSE_BRANDS_FILE", str(brands))
    monkeypatch.setenv("BRANDPULSE_RULES_FILE", str(rules))
    assert check_rules()[0].observation.endswith("rules.yaml: mine")
    assert "facet_share of refund" in CliRunner().invoke(app, ["check"], env={"COLUMNS": "200"}).output
    rules.write_text("rules: [{name: mine, kind: facet_share, facet: refnd}]")
    with pytest.raises(ConfigError, match="no facet is named 'refnd'; those of the brands file: refund"):
        check_rules()
