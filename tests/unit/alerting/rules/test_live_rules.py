"""The rules file while the alerter runs."""

import os
from pathlib import Path

import pytest

from alerting.rules.live_rules import LiveRules
from brandpulse.errors import ConfigError
from brandpulse.runtime.metric_definitions import ALERTER_METRICS
from brandpulse.runtime.metrics import Telemetry

STRANGE = "rules:\n- {name: fourth, kind: facet_share, facet: refnd}\n"
RIGHT = "rules:\n- {name: first, kind: negative_share}\n"
CHANGED = "rules:\n- {name: second, kind: negative_share}\n"
WRONG = "rules:\n- {name: third, kind: mood}\n"


class Scene:
    def __init__(self, path: Path, text: str = RIGHT) -> None:
        self.path = path
        self.path.write_text(text)
        self.telemetry = Telemetry(ALERTER_METRICS)
        self.file = LiveRules(path, receivers=set(), telemetry=self.telemetry, facets=lambda: {"refund"})

    def names(self) -> list[str]:
        return [rule.name for rule in self.file.current().rules]

    def valid(self) -> float | None:
        return self.telemetry.registry.get_sample_value("brandpulse_rules_valid")


def test_changed_rules_are_used_without_a_restart(tmp_path: Path) -> None:
    scene = Scene(tmp_path / "rules.yaml")
    assert scene.names() == ["first"]
    scene.path.write_text(CHANGED)
    assert scene.names() == ["second"]
    assert scene.valid() == 1


@pytest.mark.parametrize("wrong", [WRONG, STRANGE, "", None])
def test_invalid_changes_leave_the_old_rules_with_one_log_line(
    tmp_path: Path, wrong: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    scene = Scene(tmp_path / "rules.yaml")
    if wrong is None:
        scene.path.unlink()
    else:
        scene.path.write_text(wrong)
    assert [scene.names() for _ in range(3)] == [["first"]] * 3
    assert scene.valid() == 0
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    scene.path.write_text(CHANGED)
    assert (scene.names(), scene.valid()) == (["second"], 1)


def test_another_file_behind_the_same_link_is_a_change(tmp_path: Path) -> None:
    """As Kubernetes changes a mounted ConfigMap: same length, same time, another file."""
    first, second = tmp_path / "1.yaml", tmp_path / "2.yaml"
    link = tmp_path / "rules.yaml"
    first.write_text(RIGHT.replace("first", "before"))
    link.symlink_to(first)
    file = LiveRules(link, receivers=set(), telemetry=Telemetry(ALERTER_METRICS))
    second.write_text(CHANGED)
    os.utime(second, ns=(first.stat().st_mtime_ns, first.stat().st_mtime_ns))
    (tmp_path / "new").symlink_to(second)
    (tmp_path / "new").rename(link)
    assert [rule.name for rule in file.current().rules] == ["second"]


def test_an_invalid_file_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"rules\.yaml:2"):
        Scene(tmp_path / "rules.yaml", WRONG)
