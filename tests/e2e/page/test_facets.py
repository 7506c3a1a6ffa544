"""A rise of refund requests: matched by keywords, counted by a real worker, paged by a real alerter."""

import json
import random
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from brandpulse.runtime.service_registry import running
from brandpulse.state.keys import NamespaceKeys, facet_series
from brandpulse.state.pane_reader import PaneReader
from dashboards.page.redis_reader import PageStore
from tests.support.builders import NOON_MS, a_post
from tests.support.patience import patience, wait_until
from tests.support.running_pipeline import BRANDS, Pipeline, counted

FACETS = """facets:
  - {name: refund, words: [refund, "money back"]}
  - {name: strike, words: [strike]}
"""
RULES = """rules:
  - {name: refunds, kind: facet_share, facet: refund}
  - {name: strikes, kind: facet_share, facet: strike}
"""
MINUTE_MS = 60_000
SURGE, SURGE_END, END = 600, 660, 900


@pytest.fixture
def pipeline(tmp_path: Path, kafka: str, redis_url: str, namespace: str) -> Iterator[Pipeline]:
    pipeline = Pipeline(
        tmp_path,
        kafka,
        redis_url,
        namespace,
        BRANDPULSE_RULES_FILE=str(tmp_path / "rules.yaml"),
        BRANDPULSE_RECEIVERS_FILE=str(tmp_path / "receivers.yaml"),
        BRANDPULSE_ALERTER_MIN_HISTORY_HOURS="6",
        BRANDPULSE_ALERTER_TICK_SECONDS="0.2",
    )
    (tmp_path / "brands.yaml").write_text(BRANDS + FACETS)
    (tmp_path / "rules.yaml").write_text(RULES)
    pipeline.create_topics(partitions=2)
    yield pipeline
    pipeline.stop()


def posts() -> list[dict[str, Any]]:
    """15 hours with four posts per minute about Acme and one about Bolt, all by different people, none negative."""
    rng = random.Random(8)
    written = []
    for number in range(END * 5):
        minute = number // 5
        surge = SURGE <= minute < SURGE_END
        if number % 5 == 4:
            # Bolt's share of refunds is constant and high.
            text = "@bolt about the REFUND of April" if rng.random() < 0.5 else "@bolt opens at nine"
        else:
            text = "acme: the Money Back form" if rng.random() < (0.4 if surge else 0.1) else "acme opens at nine"
        if rng.random() < 0.05:
            text += ", strike or not"
        written.append(a_post(str(number), text, NOON_MS + minute * MINUTE_MS + number % 5 * 10_000))
    return written


def incidents(url: str) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"{url}/incidents", timeout=patience(5)) as answer:
        found: list[dict[str, Any]] = json.load(answer)
    return found


def test_rise_of_a_facet_sends_one_page_that_resolves(
    pipeline: Pipeline, redis_client: redis.Redis, namespace: str
) -> None:
    written = posts()
    pipeline.produce(written)
    pipeline.service("worker")
    pipeline.wait_for(lambda stats: counted(stats) == len(written) and stats["lag"] == 0)
    pipeline.service("mock-receiver")
    wait_until(lambda: running(pipeline.home, "mock-receiver"), seconds=60)
    url = str(running(pipeline.home, "mock-receiver")[0]["url"])
    pager = {"name": "pager", "kind": "pagerduty", "url": f"{url}/v2/enqueue", "routing_key": "0" * 32}
    (pipeline.home / "receivers.yaml").write_text(json.dumps({"receivers": [pager]}))
    pipeline.service("alerter")
    wait_until(lambda: [one["status"] for one in incidents(url)] == ["resolved"], seconds=60)

    [page] = incidents(url)
    assert page["dedup_key"].startswith("Acme:refunds:")
    with urllib.request.urlopen(f"{url}/events", timeout=patience(5)) as answer:
        first = json.load(answer)[0]
    assert "Share of refund rose" in first["payload"]["summary"]
    assert first["payload"]["custom_details"]["facet"] == "refund"
    assert all("money back" in text.lower() for text in first["payload"]["custom_details"]["examples"])

    alerter = str(running(pipeline.home, "alerter")[0]["url"])
    with urllib.request.urlopen(f"{alerter}/metrics", timeout=patience(5)) as answer:
        shown = [line for line in answer.read().decode().splitlines() if "_facet_ratio{" in line]
    assert {line.split("{")[1].split("}")[0] for line in shown} == {
        f'brand="{brand}",facet="{facet}"' for brand in ("Acme", "Bolt") for facet in ("refund", "strike")
    }
    counted_now = {one.name: one for one in PageStore(redis_client, namespace).facets("Bolt").facets}
    assert counted_now["refund"].share == pytest.approx(0.5, abs=0.25)
    assert {name: one.rules for name, one in counted_now.items()} == {"refund": ["refunds"], "strike": ["strikes"]}

    reader = PaneReader(redis_client, namespace)
    hours = NOON_MS // 3_600_000, NOON_MS // 3_600_000 + END // 60
    for brand, word, text in (("Acme", "money back", "acme"), ("Bolt", "refund", "@bolt")):
        expected = sum(word in str(post["text"]).lower() and text in str(post["text"]) for post in written)
        panes = reader.hours([facet_series(brand, "refund")], *hours)[facet_series(brand, "refund")]
        assert sum(pane.posts for pane in panes.values()) == expected
        assert pipeline.stats()["facets"][brand]["refund"]["posts"] == expected
    assert set(pipeline.stats()["brands"]) == {"Acme", "Bolt"}
    assert redis_client.smembers(NamespaceKeys(namespace).brands) == {b"Acme", b"Bolt"}


def test_facet_unsupported_by_the_model_stops_the_start(pipeline: Pipeline) -> None:
    (pipeline.home / "brands.yaml").write_text(BRANDS + "facets:\n  - {name: anger, emotions: [anger]}\n")
    done = pipeline.run("worker")
    assert done.returncode != 0
    assert "facet 'anger' of the brands file needs the model head 'emotion'" in done.stderr


def test_rule_with_an_unknown_facet_stops_the_start(pipeline: Pipeline) -> None:
    (pipeline.home / "rules.yaml").write_text("rules:\n- {name: a, kind: facet_share, facet: refnd}\n")
    (pipeline.home / "receivers.yaml").unlink(missing_ok=True)
    done = pipeline.run("alerter", env={"BRANDPULSE_RECEIVERS_FILE": ""})
    assert done.returncode != 0
    assert "(rule 'a'): no facet is named 'refnd'; those of the brands file: refund, strike" in done.stderr
