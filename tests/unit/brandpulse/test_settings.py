from pathlib import Path

import pytest

from brandpulse.errors import ConfigError
from brandpulse.runtime import announced, read_addresses, running, write_json
from brandpulse.settings import Settings, load_settings
from stream_workers.settings import WorkerSettings


def test_a_wrong_setting_is_told_by_variable_value_and_a_right_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRANDPULSE_PARTITIONS", "many")
    with pytest.raises(ConfigError) as caught:
        load_settings(Settings)
    assert "BRANDPULSE_PARTITIONS" in str(caught.value)
    assert "'many'" in str(caught.value)
    assert "BRANDPULSE_PARTITIONS=4" in str(caught.value)


def test_all_wrong_settings_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRANDPULSE_WORKER_BATCH_POSTS", "0")
    monkeypatch.setenv("BRANDPULSE_WORKER_ENGINE", "magic")
    with pytest.raises(ConfigError) as caught:
        load_settings(WorkerSettings)
    assert "BRANDPULSE_WORKER_BATCH_POSTS" in str(caught.value)
    assert "BRANDPULSE_WORKER_ENGINE" in str(caught.value)


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


def test_a_damaged_address_file_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "stack.json").write_text("{")
    with pytest.raises(ConfigError, match="Delete it"):
        read_addresses(tmp_path)


def test_a_process_is_announced_only_while_it_lives(tmp_path: Path) -> None:
    with announced(tmp_path, "worker", url="http://127.0.0.1:1"):
        assert [facts["url"] for facts in running(tmp_path, "worker")] == ["http://127.0.0.1:1"]
    assert running(tmp_path, "worker") == []
    write_json(tmp_path / "run" / "worker-0.json", {"pid": 2**22 + 1, "url": "gone"})
    assert running(tmp_path, "worker") == []
