"""A person is erased on the running stack, and a replay does not bring the text back."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from brandpulse.state.pane_reader import PaneReader
from tests.support.builders import NOON_MS, a_post
from tests.support.patience import wait_until
from tests.support.running_pipeline import Pipeline, counted

MINUTES = 60


@pytest.fixture
def pipeline(tmp_path: Path, kafka: str, redis_url: str, namespace: str) -> Iterator[Pipeline]:
    pipeline = Pipeline(tmp_path, kafka, redis_url, namespace)
    pipeline.create_topics(partitions=2)
    yield pipeline
    pipeline.stop()


def stream() -> list[dict[str, object]]:
    posts = [a_post(str(i), f"acme is awful, number {i}", NOON_MS + i * 60_000) for i in range(MINUTES)]
    for post in posts[40:43]:
        post |= {"author_id": "kim-4711", "text": f"acme is awful says kimberley {post['id']}"}
    return posts


def shown(redis_client: redis.Redis, namespace: str) -> str:
    """Everything that a page or an alert could show of Acme."""
    reader = PaneReader(redis_client, namespace)
    window = reader.window_posts("Acme", NOON_MS, NOON_MS + MINUTES * 60_000)
    return " ".join([*(post.text for post in window.all), *(post.text for post in reader.negatives("Acme"))])


def test_erased_author_stays_erased_after_a_replay(
    pipeline: Pipeline, redis_client: redis.Redis, namespace: str
) -> None:
    invalid = a_post("dead", "acme kimberley", NOON_MS) | {"author_id": "kim-4711", "schema_version": 9}
    pipeline.produce([*stream(), invalid])
    pipeline.service("worker")
    pipeline.wait_for(lambda stats: counted(stats) == MINUTES and stats["dead"] == 1)
    assert "kimberley 41" in shown(redis_client, namespace)
    assert "dead" in pipeline.run("dlq", "list", "--json").stdout

    [source] = {str(post["source"]) for post in stream()}
    done = pipeline.run("erase", "--author", source, "kim-4711")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "author 'kim-4711'" in done.stdout and "4 records" in done.stdout, done.stdout
    assert "1 dead letters" in done.stdout, done.stdout
    assert "kimberley" not in shown(redis_client, namespace)
    assert pipeline.run("dlq", "list", "--json").stdout == ""
    assert pipeline.run("dlq", "redrive").stdout.strip().startswith("Nothing to send")
    assert counted(pipeline.stats()) == MINUTES, "counts stay"

    shadow = f"{namespace}-b"
    pipeline.service("replay", "--into", shadow)
    wait_until(lambda: _posts(redis_client, shadow) == MINUTES, seconds=60)
    swapped = pipeline.run("replay", "swap", shadow, "--wait", "60")
    assert swapped.returncode == 0, swapped.stdout + swapped.stderr
    found = shown(redis_client, namespace)
    assert "number 45" in found and "kimberley" not in found

    later = pipeline.run("erase", "--post", source, "45")
    assert later.returncode == 0, later.stdout + later.stderr
    assert "number 45" not in shown(redis_client, namespace), "also in the shadow that readers follow"


def _posts(redis_client: redis.Redis, namespace: str) -> int:
    return sum(pane.posts for pane in PaneReader(redis_client, namespace, follow=False).totals().values())


def test_erase_of_a_post_and_an_author_at_once_is_a_usage_error(pipeline: Pipeline) -> None:
    refused = pipeline.run("erase", "--post", "forum", "1", "--author", "forum", "kim-4711")
    assert refused.returncode == 2 and "--author" in refused.stderr
