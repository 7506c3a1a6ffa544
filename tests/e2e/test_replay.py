"""A replay into a shadow namespace: another brands file, compared, swapped in, and the old namespace dropped."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from brandpulse.kafka.topic_scan import read_to_end
from brandpulse.runtime.child_process import Child
from brandpulse.state.keys import AlertingKeys
from brandpulse.state.pane_reader import PaneReader
from tests.support.builders import NOON_MS, a_post
from tests.support.patience import patience, wait_until
from tests.support.running_pipeline import Pipeline, counted

HOUR_MS = 3_600_000
OTHER_BRANDS = """brands:
  - name: Acme
    terms: [acme, "the a company"]
  - name: Bolt
    handles: ["@bolt"]
"""
TEXTS = ("acme is awful", "acme opens at nine", "the a company is awful", "@bolt is great")


@pytest.fixture
def pipeline(tmp_path: Path, kafka: str, redis_url: str, namespace: str) -> Iterator[Pipeline]:
    pipeline = Pipeline(tmp_path, kafka, redis_url, namespace)
    pipeline.create_topics(partitions=2)
    (tmp_path / "other.yaml").write_text(OTHER_BRANDS)
    yield pipeline
    pipeline.stop()


def stream(first: int, last: int) -> list[dict[str, object]]:
    """One post per minute, four kinds in turn."""
    return [a_post(str(i), TEXTS[i % 4], NOON_MS + i * 60_000) for i in range(first, last)]


def begin(pipeline: Pipeline, name: str, *options: str) -> Child:
    return pipeline.service("replay", "--into", name, "--brands-file", str(pipeline.home / "other.yaml"), *options)


def mentions(redis_client: redis.Redis, namespace: str) -> int:
    return sum(pane.posts for pane in PaneReader(redis_client, namespace, follow=False).totals().values())


def test_shadow_is_compared_swapped_in_and_the_old_one_dropped(
    pipeline: Pipeline, redis_client: redis.Redis, namespace: str
) -> None:
    shadow = f"{namespace}-b"
    pipeline.produce(stream(0, 400))
    worker = pipeline.service("worker")
    page = pipeline.service("alerter")
    pipeline.wait_for(lambda stats: counted(stats) == 300 and stats["unmatched"] == 100)

    replaying = begin(pipeline, shadow)
    wait_until(lambda: mentions(redis_client, shadow) == 400, seconds=60)
    assert counted(pipeline.stats()) == 300, "readers still see the live one"
    compared = pipeline.run("replay", "compare", shadow, "--json")
    assert compared.returncode == 0, compared.stderr
    found = json.loads(compared.stdout)
    live_acme, shadow_acme = found["brands"]["Acme"]
    # Complete hours in both namespaces: 400 minutes minus two of lateness are six.
    assert (live_acme["posts"], shadow_acme["posts"], found["behind"]) == (180, 270, 0)
    assert found["brands"]["Bolt"][0] == found["brands"]["Bolt"][1]
    shown = pipeline.run("replay", "compare", shadow)
    assert "+90" in shown.stdout, shown.stdout

    # A shadow that makes no progress cannot be swapped in.
    replaying.signal(signal.SIGTERM)
    assert replaying.wait(patience(40)) == 0, replaying.log_tail()
    pipeline.produce(stream(400, 500))
    pipeline.wait_for(lambda stats: counted(stats) == 375)
    refused = pipeline.run("replay", "swap", shadow)
    assert refused.returncode != 0 and "behind" in refused.stderr, refused.stdout + refused.stderr
    begin(pipeline, shadow)
    done = pipeline.run("replay", "swap", shadow, "--wait", "60")
    assert done.returncode == 0, done.stdout + done.stderr
    assert counted(pipeline.stats()) == 500
    wait_until(lambda: "readers were switched" in page.log.read_text(), seconds=20)

    # The old namespace keeps counting; scored posts now come from the shadow.
    pipeline.produce(stream(500, 600))
    pipeline.wait_for(lambda stats: counted(stats) == 600 and stats["lag"] == 0)
    wait_until(lambda: mentions(redis_client, namespace) == 450, seconds=60)
    scored = pipeline.env["BRANDPULSE_SCORED_TOPIC"]
    late = {
        (post["partition"], post["offset"])
        for post in (json.loads(one.value() or b"") for one in read_to_end(pipeline.bootstrap_servers, scored))
        if int(post["id"]) >= 500
    }
    assert len(late) == 100, "also those that only the new brands file matches"
    counts = pipeline.run("replay", "drop", namespace)
    assert "still count into" in counts.stderr, counts.stdout + counts.stderr
    assert pipeline.run("replay", "drop", shadow).returncode != 0, "readers see it"
    worker.stop()
    wait_until(lambda: pipeline.run("replay", "drop", namespace).returncode == 0, seconds=60)
    assert mentions(redis_client, namespace) == 0
    assert counted(pipeline.stats()) == 600
    assert redis_client.exists(AlertingKeys(namespace).evaluated_until), "the alerter's own state stays"


def test_replay_of_some_hours_cannot_be_swapped_in(
    pipeline: Pipeline, redis_client: redis.Redis, namespace: str
) -> None:
    shadow = f"{namespace}-some"
    pipeline.produce(stream(0, 300))
    pipeline.service("worker")
    pipeline.wait_for(lambda stats: counted(stats) == 225)
    span = ("--from", "2026-03-02T13:00:00Z", "--to", "2026-03-02T15:00:00Z")
    begin(pipeline, shadow, *span)
    wait_until(lambda: mentions(redis_client, shadow) == 120, seconds=60)
    refused = pipeline.run("replay", "swap", shadow)
    assert "ends at 2026-03-02T15:00:00" in refused.stderr, refused.stderr
    other = pipeline.run("replay", "--into", shadow, "--from", "2026-03-02T12:00:00Z")
    assert "was begun as" in other.stderr, other.stderr
    assert "no shadow of" in pipeline.run("replay", "compare", "nothing").stderr
    found = json.loads(pipeline.run("replay", "compare", shadow, "--json").stdout)
    assert [sums["posts"] for sums in found["brands"]["Acme"]] == [60, 90]


def test_shorter_replay_is_swapped_in_only_with_consent(
    pipeline: Pipeline, redis_client: redis.Redis, namespace: str
) -> None:
    shadow = f"{namespace}-late"
    pipeline.produce(stream(0, 240))
    pipeline.service("worker")
    pipeline.wait_for(lambda stats: counted(stats) == 180)
    begin(pipeline, shadow, "--from", "2026-03-02T14:00:00Z")
    wait_until(lambda: mentions(redis_client, shadow) == 120, seconds=60)
    refused = pipeline.run("replay", "swap", shadow, "--wait", "20")
    assert "90 mentions before 2026-03-02T14:00:00.000+00:00" in refused.stderr, refused.stderr
    assert pipeline.run("replay", "swap", shadow, "--wait", "20", "--yes").returncode == 0
    assert counted(pipeline.stats()) == 120
    back = pipeline.run("replay", "swap", namespace, "--wait", "20")
    assert back.returncode == 0, back.stderr
    assert counted(pipeline.stats()) == 180
