from pathlib import Path

import pytest
from pydantic_settings import BaseSettings

from alerting.settings import AlerterSettings
from brandpulse.config.settings import Settings, load_settings, misspelt, variables_of
from brandpulse.errors import ConfigError
from brandpulse.runtime.service_registry import announced, read_addresses, running, write_json
from dashboards.settings import GrafanaSettings, PageSettings
from ingest.settings import IngestSettings
from model.serve.settings import ServeSettings
from stream_workers.settings import WorkerSettings


def test_wrong_setting_names_variable_value_and_a_right_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRANDPULSE_PARTITIONS", "many")
    with pytest.raises(ConfigError) as caught:
        load_settings(Settings)
    assert "BRANDPULSE_PARTITIONS" in str(caught.value)
    assert "'many'" in str(caught.value)
    assert "BRANDPULSE_PARTITIONS=4" in str(caught.value)


def test_all_wrong_settings_are_reported_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRANDPULSE_WORKER_BATCH_POSTS", "0")
    monkeypatch.setenv("BRANDPULSE_WORKER_ENGINE", "magic")
    with pytest.raises(ConfigError) as caught:
        load_settings(WorkerSettings)
    assert "BRANDPULSE_WORKER_BATCH_POSTS" in str(caught.value)
    assert "BRANDPULSE_WORKER_ENGINE" in str(caught.value)


def test_wrong_value_of_a_former_variable_names_that_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRANDPULSE_WORKER_HURRY_LAG", "many")
    with pytest.raises(ConfigError, match=r"^BRANDPULSE_WORKER_HURRY_LAG: .*For example: BRANDPULSE_WORKER_HURRY_LAG="):
        load_settings(WorkerSettings)


def test_a_secret_is_neither_shown_nor_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRANDPULSE_REDIS_URL", "redis://:hunter2@127.0.0.1:1/0")
    settings = load_settings(Settings)
    assert "hunter2" not in repr(settings)
    assert settings.redis_address().endswith("hunter2@127.0.0.1:1/0")


def test_addresses_come_from_the_environment_else_from_what_up_started(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("BRANDPULSE_HOME", str(tmp_path))
    monkeypatch.delenv("BRANDPULSE_REDIS_URL", raising=False)
    monkeypatch.delenv("BRANDPULSE_KAFKA_BOOTSTRAP_SERVERS", raising=False)
    with pytest.raises(ConfigError, match=r"BRANDPULSE_REDIS_URL.*brandpulse up"):
        load_settings(Settings).redis_address()
    write_json(tmp_path / "stack.json", {"redis_url": "redis://127.0.0.1:5/0", "kafka_bootstrap_servers": "h:1"})
    assert load_settings(Settings).redis_address() == "redis://127.0.0.1:5/0"
    monkeypatch.setenv("BRANDPULSE_KAFKA_BOOTSTRAP_SERVERS", "other:2")
    assert load_settings(Settings).bootstrap_servers() == "other:2"


def test_damaged_address_file_names_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "stack.json").write_text("{")
    with pytest.raises(ConfigError, match="Delete it"):
        read_addresses(tmp_path)


def test_a_process_is_announced_only_while_it_lives(tmp_path: Path) -> None:
    with announced(tmp_path, "worker", url="http://127.0.0.1:1"):
        assert [facts["url"] for facts in running(tmp_path, "worker")] == ["http://127.0.0.1:1"]
    assert running(tmp_path, "worker") == []
    write_json(tmp_path / "run" / "worker-0.json", {"pid": 2**22 + 1, "url": "gone"})
    assert running(tmp_path, "worker") == []


EVERY_SETTINGS = (
    Settings,
    WorkerSettings,
    AlerterSettings,
    IngestSettings,
    PageSettings,
    GrafanaSettings,
    ServeSettings,
)


@pytest.mark.parametrize("kind", EVERY_SETTINGS)
def test_variable_of_one_service_is_ignored_by_others(kind: type[BaseSettings]) -> None:
    every = {name: "x" for settings in EVERY_SETTINGS for name in variables_of(settings)}
    assert misspelt(kind, every) == {}


@pytest.mark.parametrize(
    ("kind", "wrong", "right"),
    [
        (Settings, "BRANDPULSE_BRAND_FILE", "BRANDPULSE_BRANDS_FILE"),
        (Settings, "BRANDPULSE_REDIS_ULR", "BRANDPULSE_REDIS_URL"),
        (Settings, "BRANDPULSE_RECIEVERS_FILE", "BRANDPULSE_RECEIVERS_FILE"),
        (Settings, "BRANDPULSE_KAFKA_BOOTSTRAP_SERVER", "BRANDPULSE_KAFKA_BOOTSTRAP_SERVERS"),
        (WorkerSettings, "BRANDPULSE_WORKER_BATCH_POST", "BRANDPULSE_WORKER_BATCH_POSTS"),
        (AlerterSettings, "BRANDPULSE_ALERTER_FALSE_ALARM", "BRANDPULSE_ALERTER_FALSE_ALARMS"),
        (PageSettings, "BRANDPULSE_PAGE_TOKN", "BRANDPULSE_PAGE_TOKEN"),
    ],
)
def test_a_misspelt_variable_stops_the_start_with_the_right_one(
    monkeypatch: pytest.MonkeyPatch, kind: type[BaseSettings], wrong: str, right: str
) -> None:
    monkeypatch.setenv(wrong, "x")
    with pytest.raises(ConfigError, match=f"{wrong} is not a setting. Did you mean {right}"):
        load_settings(kind)


def test_variable_unlike_any_setting_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRANDPULSE_TEST_NAB", "x")
    monkeypatch.setenv("BRANDPULSE_DEPLOYED_BY", "x")
    assert load_settings(Settings)


def test_a_command_in_another_folder_names_the_folder_to_use(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("BRANDPULSE_HOME", raising=False)
    monkeypatch.delenv("BRANDPULSE_REDIS_URL", raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as caught:
        load_settings(Settings).redis_address()
    assert f"runs under {tmp_path / '.brandpulse'}" in str(caught.value)
    assert "set BRANDPULSE_HOME" in str(caught.value)


def test_unreadable_home_is_named_as_the_cause(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(ConfigError) as caught:
        read_addresses(tmp_path / "file")
    assert f"BRANDPULSE_HOME={tmp_path / 'file'} must be a folder" in str(caught.value)
    assert "Delete it" not in str(caught.value)
