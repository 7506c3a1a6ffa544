"""A platform deletes a post and an account while everything runs: the texts disappear, the counts stay."""

import json
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import redis

from brandpulse.state.pane_reader import PaneReader
from tests.e2e.ingest.test_live_sources import Running
from tests.e2e.ingest.test_sent_once import Stack
from tests.support.patience import wait_until
from tests.support.sources.jetstream_server import POSTS, Jetstream
from tests.support.sources.jetstream_thread import JetstreamThread

pytestmark = pytest.mark.timeout(400)
PROMISED_SECONDS = 600


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    stack = Stack(tmp_path)
    yield stack
    stack.stop()


def test_deleted_texts_disappear_while_everything_runs(stack: Stack) -> None:
    with JetstreamThread().running() as jetstream:
        source = f"sources:\n  - {{name: bluesky, kind: bluesky, servers: ['{jetstream.server.url}']}}\n"
        (stack.folder / "sources.yaml").write_text(source)
        stack.up()
        child = Running(stack.folder).start()
        for key, author in (("k1", "did:plc:a"), ("k2", "did:plc:a"), ("k3", "did:plc:gone")):
            text = f"acme lost my bag, it is awful, says {key}"
            jetstream.call(partial(Jetstream.add, text=text, at_us=_now_us(), did=author, key=key))
        stack.wait_counted(3)
        addresses = json.loads((stack.home / "stack.json").read_text())
        reader = PaneReader(redis.Redis.from_url(addresses["redis_url"]), "main")

        def shown() -> set[str]:
            [brand] = reader.totals()
            posts = reader.window_posts(brand, _now_ms() - 3_600_000, _now_ms() + 60_000).all
            return {post.text.rsplit(" ", 1)[1] for post in posts}

        wait_until(lambda: shown() == {"k1", "k2", "k3"}, seconds=30)
        gone = {"operation": "delete", "collection": POSTS, "rkey": "k1"}
        jetstream.call(lambda server: server.add_commit(gone, at_us=_now_us()))
        jetstream.call(lambda server: server.add_account({"active": False}, at_us=_now_us(), did="did:plc:gone"))
        wait_until(lambda: shown() == {"k2"}, seconds=PROMISED_SECONDS / 4)
        assert stack.wait_counted(3) == 3, "counts stay"
        child.stop(grace_seconds=30)
        assert child.exit_code == 0


def _now_us() -> int:
    return time.time_ns() // 1_000


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
