from pathlib import Path

import pytest
import yaml

from brandpulse.devstack.live import live_brands
from brandpulse.devstack.up import run_up
from brandpulse.errors import ConfigError


def test_missing_file_that_the_variable_names_stops_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("brands.yaml").write_text(yaml.safe_dump(live_brands(["Acme Air"])))
    Path(".brandpulse/kafka/data").mkdir(parents=True)  # the embedded broker refuses this folder: nothing starts
    monkeypatch.setenv("BRANDPULSE_HOME", ".brandpulse")
    monkeypatch.setenv("BRANDPULSE_SOURCES_FILE", "absent.yaml")
    with pytest.raises(ConfigError, match=r"cannot read the sources file absent\.yaml"):
        run_up(workers=1, page_port=0, broker="embedded")
    monkeypatch.delenv("BRANDPULSE_SOURCES_FILE")
    with pytest.raises(ConfigError, match="are in Apache Kafka"):
        run_up(workers=1, page_port=0, broker="embedded")
