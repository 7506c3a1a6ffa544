"""docker-compose.yml, the Dockerfile and what they mount: checked as files, and by Compose where there is one."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic_settings import BaseSettings

from alerting.notifications.receivers.receivers_file import load_receivers
from alerting.settings import AlerterSettings
from brandpulse.config.brands_file import load_brands
from brandpulse.config.settings import Settings, variables_of
from brandpulse.runtime.metric_definitions import ALERTER_METRICS, INGEST_METRICS, WORKER_METRICS
from dashboards.settings import GrafanaSettings, PageSettings
from ingest.settings import IngestSettings
from ingest.webhook.settings import WebhookSettings
from stream_workers.settings import WorkerSettings
from tests.support.repository import ROOT

COMPOSE = ROOT / "docker-compose.yml"
CONTENT: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
SERVICES: dict[str, dict[str, Any]] = CONTENT["services"]
OURS = ("worker", "alerter", "ingest", "page")
SETTINGS: tuple[type[BaseSettings], ...] = (
    Settings,
    WorkerSettings,
    AlerterSettings,
    IngestSettings,
    PageSettings,
    GrafanaSettings,
)
VARIABLE = r"\$\{(\w+):[-?]([^}]*)\}"
SECRETS = {
    "REDIS_PASSWORD": "redis",
    "BRANDPULSE_AUTHOR_KEY": "author",
    "BRANDPULSE_PAGE_TOKEN": "page-token-of-16",
    "BRANDPULSE_PAGE_OPERATOR_TOKENS": "kim=operator-token-of-16",
    "BRANDPULSE_METRICS_TOKEN": "metrics-token-of-16",
    "GRAFANA_ADMIN_PASSWORD": "grafana",
    "OPERATIONS_WEBHOOK_URL": "http://127.0.0.1:9/operations",
}


def mounts() -> list[tuple[str, str]]:
    return [(name, mount) for name, service in SERVICES.items() for mount in service.get("volumes", [])]


def source_of(mount: str) -> str:
    """The text before the colon, with the default of `${VARIABLE:-default}` put in."""
    return re.sub(VARIABLE, r"\2", mount).split(":", 1)[0]


def test_every_brandpulse_variable_is_a_setting() -> None:
    known = {name for settings in SETTINGS for name in variables_of(settings)}
    used = {name for service in SERVICES.values() for name in service.get("environment", {})}

    assert {name for name in used if name.startswith("BRANDPULSE_")} - known == set()


@pytest.mark.parametrize(
    ("service", "settings"),
    [("worker", WorkerSettings), ("alerter", AlerterSettings), ("ingest", IngestSettings), ("page", PageSettings)],
)
def test_the_settings_of_each_service_are_accepted(
    monkeypatch: pytest.MonkeyPatch, service: str, settings: type[BaseSettings]
) -> None:
    for name, value in SERVICES[service]["environment"].items():
        monkeypatch.setenv(name, re.sub(VARIABLE, lambda found: SECRETS.get(found[1], found[2]), value))

    assert settings()
    assert Settings().redis_address() == "redis://:redis@redis:6379/0"


def test_every_service_waits_only_for_services_that_exist() -> None:
    for service in SERVICES.values():
        for name, condition in service.get("depends_on", {}).items():
            assert name in SERVICES
            assert condition == {"condition": "service_healthy"}


def test_every_service_is_health_checked_pinned_and_restarted() -> None:
    for name, service in SERVICES.items():
        assert service["healthcheck"]["test"], name
        assert service["restart"] == "unless-stopped", name
        assert re.search(r":v?\d+\.\d+\.\d+", service["image"]), name


def test_no_port_is_published_beyond_the_loopback_address() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]

    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_the_webhook_is_published_at_its_default_port() -> None:
    port = WebhookSettings.model_fields["port"].default

    assert SERVICES["ingest"]["ports"] == [f"127.0.0.1:{port}:{port}"]


def test_every_optional_secret_is_in_the_example() -> None:
    optional = set(re.findall(r"\$\{(\w+):-\}", COMPOSE.read_text()))

    assert {"CHAT_SECRET", "WEBHOOK_SECRET", "MASTODON_TOKEN"} <= optional
    assert optional <= set(re.findall(r"^#(\w+)=", (ROOT / "deploy" / "env.example").read_text(), re.MULTILINE))


def test_our_services_run_as_an_unprivileged_user() -> None:
    for name in OURS:
        service = SERVICES[name]
        assert service["user"] == "10001:10001"
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]


def test_our_services_run_the_commands_of_the_cli() -> None:
    assert [SERVICES[name]["command"] for name in OURS] == [
        ["worker"],
        ["alerter"],
        ["ingest", "run"],
        ["dashboards", "page"],
    ]


def test_the_file_holds_no_secret_and_a_missing_one_stops_the_start() -> None:
    text = COMPOSE.read_text()

    for name in SECRETS:
        # Compose itself stops where a secret's variable is not set.
        assert f"${{{name}:?" in text or {"environment": name} in CONTENT["secrets"].values()
    assert set(re.findall(r"^(\w+)=", (ROOT / "deploy" / "env.example").read_text(), re.MULTILINE)) == set(SECRETS)


def test_every_mounted_file_exists_and_every_volume_is_declared() -> None:
    assert mounts()
    for name, mount in mounts():
        source = source_of(mount)
        if name == "ingest" and source == "./sources.yaml":
            continue  # written by the user, who then starts the profile `sources`
        if source.startswith("."):
            assert (ROOT / source).exists(), (name, source)
        else:
            assert source in CONTENT["volumes"], (name, source)


def test_the_default_brands_and_receivers_are_valid() -> None:
    sources = {source_of(mount) for _, mount in mounts()}

    assert load_brands(ROOT / "brandpulse" / "sample" / "brands.yaml")
    assert load_receivers(ROOT / "deploy" / "receivers.yaml") == []
    assert {"./brandpulse/sample/brands.yaml", "./deploy/receivers.yaml"} <= sources


def test_redis_appends_to_disk_and_never_evicts() -> None:
    command = SERVICES["redis"]["command"]

    assert command[command.index("--appendonly") + 1] == "yes"
    assert command[command.index("--appendfsync") + 1] == "everysec"
    assert command[command.index("--maxmemory-policy") + 1] == "noeviction"


def test_kafka_creates_no_topic_by_itself() -> None:
    assert SERVICES["kafka"]["environment"]["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"
    assert SERVICES["kafka"]["environment"]["KAFKA_LOG_DIRS"] == source_target("kafka")


def source_target(service: str) -> str:
    [mount] = SERVICES[service]["volumes"]
    return str(mount.split(":")[1])


def test_prometheus_scrapes_the_ports_of_our_services() -> None:
    jobs = yaml.safe_load((ROOT / "deploy" / "prometheus.yml").read_text())["scrape_configs"]
    asked = {job["job_name"]: job["dns_sd_configs"][0]["port"] for job in jobs}

    assert asked == {
        "worker": int(SERVICES["worker"]["environment"]["BRANDPULSE_WORKER_PORT"]),
        "alerter": int(SERVICES["alerter"]["environment"]["BRANDPULSE_ALERTER_PORT"]),
        "ingest": int(SERVICES["ingest"]["environment"]["BRANDPULSE_INGEST_PORT"]),
    }


def test_prometheus_sends_the_token_that_our_services_require() -> None:
    jobs = yaml.safe_load((ROOT / "deploy" / "prometheus.yml").read_text())["scrape_configs"]
    [secret] = SERVICES["prometheus"]["secrets"]

    assert {job["authorization"]["credentials_file"] for job in jobs} == {f"/run/secrets/{secret['source']}"}
    assert CONTENT["secrets"][secret["source"]] == {"environment": "BRANDPULSE_METRICS_TOKEN"}
    assert all("BRANDPULSE_METRICS_TOKEN" in SERVICES[name]["environment"] for name in ("worker", "alerter"))


def test_the_rules_read_metrics_that_exist() -> None:
    names = {metric.name for metric in (*WORKER_METRICS, *ALERTER_METRICS, *INGEST_METRICS)}
    groups = yaml.safe_load((ROOT / "deploy" / "rules.yml").read_text())["groups"]
    read = {name for group in groups for rule in group["rules"] for name in re.findall(r"brandpulse_\w+", rule["expr"])}

    assert read
    assert read - names == set()


def test_no_rule_depends_on_the_name_of_a_job() -> None:
    groups = yaml.safe_load((ROOT / "deploy" / "rules.yml").read_text())["groups"]
    rules = [rule for group in groups for rule in group["rules"]]

    assert not [rule["alert"] for rule in rules if "job" in rule["expr"] or "instance" in rule["expr"]]
    assert all(rule["annotations"].keys() == {"summary", "description"} for rule in rules)


@pytest.mark.skipif(shutil.which("promtool") is None, reason="no promtool here: install Debian's `prometheus`")
def test_the_rules_fire_as_their_own_tests_expect() -> None:
    done = subprocess.run(
        ["promtool", "test", "rules", str(ROOT / "deploy" / "rules_test.yml")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(shutil.which("amtool") is None, reason="no amtool here: install Debian's `prometheus-alertmanager`")
def test_alertmanager_itself_accepts_its_file_and_prometheus_finds_it(tmp_path: Path) -> None:
    text = (ROOT / "deploy" / "alertmanager.yml").read_text()
    [hook] = yaml.safe_load(text)["receivers"][0]["webhook_configs"]
    # Debian's Alertmanager is older than `url_file`, which came with 0.26.
    (tmp_path / "alertmanager.yml").write_text(text.replace(f"url_file: {hook['url_file']}", "url: http://127.0.0.1:9"))
    command = ["amtool", "check-config", str(tmp_path / "alertmanager.yml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    [secret] = SERVICES["alertmanager"]["secrets"]
    assert hook["url_file"] == f"/run/secrets/{secret['source']}"
    alerting = yaml.safe_load((ROOT / "deploy" / "prometheus.yml").read_text())["alerting"]
    assert alerting["alertmanagers"][0]["static_configs"][0]["targets"] == ["alertmanager:9093"]


@pytest.mark.skipif(shutil.which("promtool") is None, reason="no promtool here: install Debian's `prometheus`")
def test_prometheus_itself_accepts_its_files(tmp_path: Path) -> None:
    shutil.copy(ROOT / "deploy" / "rules.yml", tmp_path)
    config = (ROOT / "deploy" / "prometheus.yml").read_text()
    (tmp_path / "token").write_text("secret")
    (tmp_path / "prometheus.yml").write_text(config.replace("/run/secrets/metrics-token", str(tmp_path / "token")))
    done = subprocess.run(
        ["promtool", "check", "config", str(tmp_path / "prometheus.yml")],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr


def test_the_image_copies_existing_files_that_docker_may_read() -> None:
    ignore = (ROOT / ".dockerignore").read_text().split()
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    copied = [
        name for line in lines if line.startswith("COPY ") and "--from" not in line for name in line.split()[1:-1]
    ]

    assert "*" in ignore
    for name in copied:
        assert (ROOT / name).exists(), name
        assert f"!{name}" in ignore, name
    assert {"brandpulse", "ingest", "model", "stream_workers", "alerting", "dashboards"} <= set(copied)
    assert "USER 10001:10001" in lines


def test_compose_itself_accepts_the_file() -> None:
    compose = _compose()
    if not compose:
        pytest.skip("no Compose here: name one with BRANDPULSE_TEST_COMPOSE, or install `docker compose`")
    # Without the .env of the person who runs the tests.
    command = [*compose, "--env-file", os.devnull, "--file", str(COMPOSE), "config", "--format", "json"]
    right = subprocess.run(command, env=os.environ | SECRETS, capture_output=True, text=True, check=False)
    assert right.returncode == 0, right.stderr
    assert set(json.loads(right.stdout)["services"]) == set(SERVICES)
    for name in SECRETS:
        without = {key: value for key, value in (os.environ | SECRETS).items() if key != name}
        wrong = subprocess.run(command, env=without, capture_output=True, text=True, check=False)
        assert wrong.returncode != 0
        assert name in wrong.stderr


def _compose() -> list[str]:
    if named := os.environ.get("BRANDPULSE_TEST_COMPOSE"):
        return [named]
    docker = shutil.which("docker")
    if docker is None:
        return []
    found = subprocess.run([docker, "compose", "version"], capture_output=True, check=False)
    return [docker, "compose"] if found.returncode == 0 else []
