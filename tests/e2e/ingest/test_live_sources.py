"""`ingest run` beside `up`: each post of a platform counts once, whatever is killed."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from brandpulse.runtime.child_process import Child
from tests.e2e.ingest.test_sent_once import Stack
from tests.e2e.test_first_use import brandpulse
from tests.support.repository import ROOT
from tests.support.sources.jetstream_thread import JetstreamThread

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def jetstream() -> Iterator[JetstreamThread]:
    with JetstreamThread().running() as thread:
        yield thread


@pytest.fixture
def stack(tmp_path: Path, jetstream: JetstreamThread) -> Iterator[Stack]:
    stack = Stack(tmp_path)
    source = f"sources:\n  - {{name: bluesky, kind: bluesky, servers: ['{jetstream.server.url}']}}\n"
    (tmp_path / "sources.yaml").write_text(source)
    yield stack
    stack.stop()


class Running:
    """`ingest run` as a child that tests kill and start again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._starts = 0

    def start(self) -> Child:
        self._starts += 1
        log = self._folder / f"run-{self._starts}.log"
        command = [sys.executable, "-m", "brandpulse", "ingest", "run"]
        child = Child("run", command, log=log, cwd=self._folder, env={"PYTHONPATH": str(ROOT)})
        child.wait_ready(lambda: "source started" in child.log_tail(), timeout_seconds=60)
        return child


def send(jetstream: JetstreamThread, count: int) -> None:
    """*count* posts, 10 ms apart, with the time of now."""
    for _ in range(count):
        jetstream.add("acme lost my bag", at_us=time.time_ns() // 1_000)
        time.sleep(0.01)


def test_each_post_counts_once_whatever_is_killed(stack: Stack, jetstream: JetstreamThread) -> None:
    up, run = stack.up(), Running(stack.folder)
    child = run.start()
    send(jetstream, 50)
    stack.wait_counted(50)
    child.kill()
    send(jetstream, 50)
    child = run.start()
    jetstream.drop_connections()
    send(jetstream, 50)
    stack.wait_counted(150)
    # The embedded broker forgets its records: what the workers had not counted must be read again.
    send(jetstream, 50)
    stack.kill(up)
    send(jetstream, 50)
    stack.up()
    child.kill()
    child = run.start()
    assert stack.wait_counted(250) == 250
    send(jetstream, 10)
    assert stack.wait_counted(260) == 260
    child.stop(grace_seconds=30)
    assert child.exit_code == 0
    gaps = brandpulse("ingest", "gaps", cwd=stack.folder)
    assert gaps.stdout.strip() == "no gap is known", gaps.stdout + gaps.stderr


def test_check_names_the_source_that_cannot_connect(stack: Stack) -> None:
    (stack.folder / "sources.yaml").write_text(
        "sources:\n  - {name: away, kind: bluesky, servers: ['ws://127.0.0.1:9']}\n"
    )
    done = brandpulse("ingest", "check", cwd=stack.folder)
    assert done.returncode == 1
    assert "FAILS  away: cannot connect: " in done.stdout
