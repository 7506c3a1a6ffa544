"""Both dashboards over the real services: a stream is replayed, and every panel query returns numbers."""

import json
import os
import time
import urllib.request
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import redis

from brandpulse.devstack.embedded_servers import EmbeddedBroker, EmbeddedStore
from brandpulse.runtime.child_process import Child
from brandpulse.runtime.service_registry import running
from brandpulse.state.pane_reader import PaneReader
from dashboards.grafana.files import built
from dashboards.grafana.publish import Publisher
from tests.support.builders import a_post
from tests.support.dashboards.browser import a_browser
from tests.support.grafana.panels import Target, between, draw, numbers, targets, without_least_steps
from tests.support.grafana.servers import Grafana, Prometheus, home_or_skip, prepare
from tests.support.patience import patience, wait_until
from tests.support.repository import ROOT
from tests.support.running_pipeline import Pipeline, counted

SAMPLE = ROOT / "brandpulse" / "sample"
SPEED = 6_500
"""66 hours in 37 seconds."""
STEP = timedelta(seconds=1)
FACETS = """facets:
  - {name: boarding, words: [gate, boarding]}
"""
RULES = """rules:
  - {name: negative_share, kind: negative_share}
  - {name: boarding, kind: facet_share, facet: boarding, min_ratio: 1000, brands: [Aerolux]}
"""


class Live(NamedTuple):
    """A finished run; its services, Prometheus and Grafana keep running."""

    grafana: str
    token: str
    began: datetime
    ended: datetime
    pipeline: Pipeline

    def numbers(self, target: Target) -> list[float]:
        return numbers(self.grafana, target, self.began, self.ended, step=STEP)

    def now(self, expr: str) -> list[float]:
        """Grafana's current answer to *expr*."""
        at = datetime.now(UTC)
        return numbers(self.grafana, Target("", "", {"refId": "A", "expr": expr, "instant": True}), at, at, step=STEP)


@pytest.fixture(scope="module")
def live(
    embedded_broker: EmbeddedBroker, embedded_store: EmbeddedStore, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Live]:
    """The sample replayed through a real worker and a real alerter, with some invalid posts in between."""
    home = home_or_skip()
    folder = tmp_path_factory.mktemp("live")
    namespace = f"live{uuid.uuid4().hex[:8]}"
    pipeline = Pipeline(
        folder,
        embedded_broker.bootstrap_servers,
        embedded_store.url,
        namespace,
        BRANDPULSE_BRANDS_FILE=str(folder / "brands.yaml"),
        BRANDPULSE_RULES_FILE=str(folder / "rules.yaml"),
        BRANDPULSE_RECEIVERS_FILE=str(folder / "receivers.yaml"),
        BRANDPULSE_ALERTER_TICK_SECONDS="0.2",
        BRANDPULSE_WORKER_ENGINE="auto",
    )
    (folder / "brands.yaml").write_text((SAMPLE / "brands.yaml").read_text() + FACETS)
    (folder / "rules.yaml").write_text(RULES)
    servers: list[Child] = []
    try:
        receiver = start_services(pipeline)
        jobs = {name: running(folder, name)[0]["url"].removeprefix("http://") for name in ("worker", "alerter")}
        prometheus = Prometheus(folder, jobs)
        servers.append(prometheus.child)
        prometheus.wait_scraped()
        began = datetime.now(UTC)
        ingest = pipeline.service("ingest", "file", str(SAMPLE / "posts.jsonl.gz"), "--speed", str(SPEED))
        grafana = Grafana(home, folder)
        servers.append(grafana.child)
        with redis.Redis.from_url(embedded_store.url) as client:
            send_junk_beside(ingest, pipeline, PaneReader(client, namespace))
        assert ingest.exit_code == 0, ingest.log_tail()
        wait_until(lambda: {one["status"] for one in get(f"{receiver}/incidents")} == {"resolved"})
        pipeline.wait_for(lambda stats: bool(stats["lag"] == 0))
        grafana.wait_ready()
        token = prepare(grafana.url, prometheus.url, step=STEP)
        yield Live(grafana.url, token, began, datetime.now(UTC), pipeline)
    finally:
        for child in servers:
            child.stop()
        pipeline.stop()


def start_services(pipeline: Pipeline) -> str:
    """Receiver, worker and alerter, once all of them listen. Returns the receiver's URL."""
    pipeline.service("mock-receiver")
    wait_until(lambda: bool(running(pipeline.home, "mock-receiver")))
    url = str(running(pipeline.home, "mock-receiver")[0]["url"])
    pager = {"name": "pager", "kind": "pagerduty", "url": f"{url}/v2/enqueue", "routing_key": "0" * 32}
    (pipeline.home / "receivers.yaml").write_text(json.dumps({"receivers": [pager]}))
    for name in ("worker", "alerter"):
        child = pipeline.service(name)
        child.wait_ready(lambda name=name: bool(running(pipeline.home, name)), timeout_seconds=60)  # type: ignore[misc]
    return url


def send_junk_beside(ingest: Child, pipeline: Pipeline, reader: PaneReader) -> None:
    """While *ingest* runs, each half second: a post without fields, one far too old, one late, and one sent twice."""
    for number in count():
        if ingest.exit_code is not None:
            return
        clock_ms = max((partition.clock_ms for partition in reader.partitions()), default=0)
        if clock_ms > 0:
            text = "Bankora opens at nine"
            old = a_post(f"old-{number}", text, clock_ms - 100 * 86_400_000)
            late = a_post(f"late-{number}", text, clock_ms - 2 * 3_600_000)
            twice = a_post(f"twice-{number}", text, clock_ms)
            pipeline.produce([{"id": f"bare-{number}"}, old, late, twice, twice])
        time.sleep(0.5)


def get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=patience(5)) as answer:
        return json.load(answer)


def test_every_panel_query_returns_numbers_of_the_run(live: Live) -> None:
    empty = [(target.panel, target.query["expr"]) for target in targets() if not live.numbers(target)]

    assert empty == []


def test_the_score_cache_hit_rate_is_between_zero_and_one(live: Live) -> None:
    [target] = [target for target in targets() if target.query.get("legendFormat") == "cache hits"]

    assert 0 <= max(live.numbers(target)) <= 1


def test_invalid_posts_appear_in_the_series_of_their_reason(live: Live) -> None:
    dropped = [target for target in targets() if target.panel == "Dropped and late posts per second"]

    assert {target.query["legendFormat"]: max(live.numbers(target)) > 0 for target in dropped} == {
        "no brand": True,
        "duplicate": True,
        "late (counted)": True,
        "dead letter: {{reason}}": True,
    }


def test_sums_in_grafana_equal_the_stored_counts(live: Live) -> None:
    stats = live.pipeline.stats()

    expected = {
        "brandpulse_posts_counted_total": counted(stats),
        "brandpulse_posts_dead_total": stats["dead"],
        "brandpulse_posts_repeated_total": stats["repeated"],
        "brandpulse_partition_lag": 0,
    }
    wait_until(lambda: {name: live.now(f"sum({name})") for name in expected} == {n: [v] for n, v in expected.items()})
    assert counted(stats) > 3_000


def test_both_dashboards_render_in_a_browser(live: Live, tmp_path: Path) -> None:
    publisher = Publisher(live.grafana, live.token)
    done = publisher.publish(built(), folder="brandpulse")
    assert [one.outcome for one in done] == ["created", "created"]
    publisher.publish({uid: without_least_steps(content) for uid, content in built().items()}, folder="brandpulse")
    pictures = Path(os.environ.get("BRANDPULSE_TEST_PICTURES", tmp_path))

    with a_browser() as browser:
        for uid in built():
            path = pictures / f"grafana-live-{uid.removeprefix('brandpulse-')}.png"
            assert draw(browser, live.grafana, uid, path, span=between(live.began, live.ended)) == []
