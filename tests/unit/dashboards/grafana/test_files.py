import re
from typing import Any

import pytest

from brandpulse.runtime.metric_definitions import ALERTER_METRICS, WORKER_METRICS
from dashboards.grafana.files import built, path_of, stale, text_of, write
from dashboards.grafana.panels import Query, describe, metrics_of

BOARDS = built()


def panels(board: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def expressions() -> list[str]:
    return [target["expr"] for board in BOARDS.values() for panel in panels(board) for target in panel["targets"]]


@pytest.mark.parametrize("uid", BOARDS)
def test_committed_json_equals_the_built_dashboard(uid: str) -> None:
    assert path_of(uid).read_text(encoding="utf-8") == text_of(BOARDS[uid]), "run `brandpulse dashboards build`"


def test_outdated_file_is_reported_and_rewritten(tmp_path: Any) -> None:
    assert len(write(tmp_path)) == 2
    path = path_of("brandpulse-brands", tmp_path)
    path.write_text("{}")

    assert stale(tmp_path) == [path]
    assert write(tmp_path) == [path]
    assert stale(tmp_path) == []


def test_every_metric_is_on_a_dashboard() -> None:
    shown = {metric.name for expr in expressions() for metric in metrics_of(expr)}

    assert {metric.name for metric in (*WORKER_METRICS, *ALERTER_METRICS)} - shown == set()


def test_every_panel_description_has_a_remedy() -> None:
    for board in BOARDS.values():
        for panel in panels(board):
            assert "If it looks bad" in panel["description"], panel["title"]


def test_description_comes_from_the_metric_table() -> None:
    text = describe([Query("sum(rate(brandpulse_visible_latency_seconds_bucket[5m]))")])

    assert text == (
        "From a post's Kafka timestamp to its count in Redis.\n\n"
        "**If it looks bad:** Rising: lag. Add workers up to the number of partitions."
    )


def test_unknown_metric_fails_the_build() -> None:
    with pytest.raises(KeyError, match="brandpulse_lagg"):
        describe([Query("sum(brandpulse_lagg)")])


def test_queries_use_the_rate_interval_and_data_source_variables() -> None:
    for expr in expressions():
        assert set(re.findall(r"\[(.*?)\]", expr)) <= {"$__rate_interval"}
    for board in BOARDS.values():
        for panel in panels(board):
            assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
            assert all(target["datasource"]["uid"] == "${datasource}" for target in panel["targets"])


def test_ids_and_titles_are_unique_and_panels_do_not_overlap() -> None:
    for uid, board in BOARDS.items():
        assert board["uid"] == uid
        assert len(uid) <= 40
        ids = [panel["id"] for panel in board["panels"]]
        assert len(set(ids)) == len(ids)
        titles = [panel["title"] for panel in panels(board)]
        assert len(set(titles)) == len(titles)
        cells = [
            (x, y)
            for panel in board["panels"]
            for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
            for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
        ]
        assert len(set(cells)) == len(cells)
        assert max(x for x, _ in cells) <= 23
