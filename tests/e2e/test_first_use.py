"""The first commands of a new user: the demo, `up`, commands next to it, and wrong input."""

import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from brandpulse.runtime.child_process import Child, free_port, port_answers
from brandpulse.runtime.service_registry import read_addresses, running
from tests.support.builders import NOON_MS, a_post
from tests.support.patience import patience
from tests.support.repository import ROOT

BRANDS = "brands:\n  - {name: Acme, terms: [acme]}\n"


def brandpulse(*arguments: str, cwd: Path, env: Mapping[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
    clean = {name: value for name, value in os.environ.items() if not name.startswith("BRANDPULSE_")}
    return subprocess.run(
        [sys.executable, "-m", "brandpulse", *arguments],
        capture_output=True,
        text=True,
        timeout=patience(150),
        check=False,
        cwd=cwd,
        env={**clean, "PYTHONPATH": str(ROOT), **(env or {})},
    )


def panel_words(text: str) -> list[str]:
    """The text in the box `Aerolux`, without line breaks."""
    inside = text.partition(" Aerolux \u2500")[2].partition("\u2570")[0]
    lines = [line for line in inside.splitlines() if line.startswith("\u2502")]
    return [word for line in lines for word in line.strip("\u2502 ").split()]


def test_demo_ends_with_the_incident_it_paged(tmp_path: Path) -> None:
    started, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = brandpulse("demo", cwd=tmp_path)
    seconds = time.monotonic() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stdout + done.stderr
    assert seconds < patience(90)
    # Measured: 57 s of CPU time, and 50 s of wall-clock time on an idle machine.
    assert 5 < after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime < patience(90)
    for part in ("what the receiver got", "http://127.0.0.1:"):
        assert part in done.stdout
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert (shown := panel_words(readme)), "the README shows the demo's incident"
    assert panel_words(done.stdout)[: len(shown)] == shown
    trigger = json.loads(re.search(r"^\{\n.*?^\}", done.stdout, re.DOTALL | re.MULTILINE).group(0))  # type: ignore[union-attr]
    assert trigger["event_action"] == "trigger"
    assert trigger["payload"]["component"] == "Aerolux"
    assert len(trigger["payload"]["custom_details"]["examples"]) == 3
    assert not running(tmp_path / ".demo", "worker"), "nothing is left running"
    assert not (tmp_path / ".brandpulse").exists(), "nothing is left that a later `up` could find"


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Child]:
    (tmp_path / "brands.yaml").write_text(BRANDS)
    child = Child(
        "up",
        [sys.executable, "-m", "brandpulse", "up"],
        log=tmp_path / "up.log",
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "BRANDPULSE_WORKER_ENGINE": "keyword"},
    )
    child.wait_ready(lambda: "page_url" in read_addresses(tmp_path / ".brandpulse"), timeout_seconds=60)
    yield child
    child.stop(grace_seconds=30)


def test_up_counts_ingested_posts_and_restarts_a_killed_worker(stack: Child, tmp_path: Path) -> None:
    posts = [a_post(str(i), "acme is awful", NOON_MS + i) for i in range(500)]
    (tmp_path / "posts.jsonl").write_text("".join(json.dumps(post) + "\n" for post in posts))
    [worker] = running(tmp_path / ".brandpulse", "worker")
    sent = brandpulse("ingest", "file", "posts.jsonl", "--json", cwd=tmp_path)
    assert sent.returncode == 0, sent.stderr
    counts = json.loads(sent.stdout.splitlines()[-1])
    assert (counts["read"], counts["sent"], counts["repeated"], counts["rejected"]) == (500, 500, 0, 0)
    os.kill(int(worker["pid"]), signal.SIGKILL)
    deadline = time.monotonic() + patience(60)
    stats: dict[str, dict[str, dict[str, int]]] = {"brands": {}}
    while stats["brands"].get("Acme", {}).get("posts") != 500:
        assert time.monotonic() < deadline, f"{stats}\n{stack.log_tail()}"
        done = brandpulse("stats", "--json", cwd=tmp_path)
        stats = json.loads(done.stdout)
    assert stats["brands"]["Acme"] == {"posts": 500, "negative": 500, "neutral": 0, "positive": 0, "irrelevant": 0}
    examined = brandpulse("doctor", cwd=tmp_path, env={"BRANDPULSE_WORKER_ENGINE": "keyword"})
    assert examined.returncode == 0, examined.stdout
    second = brandpulse("up", cwd=tmp_path)
    assert second.returncode == 2
    assert "runs under .brandpulse already" in second.stderr
    assert stack.stop(grace_seconds=30) == 0, stack.log_tail()
    assert running(tmp_path / ".brandpulse", "worker") == []
    after = brandpulse("doctor", cwd=tmp_path, env={"BRANDPULSE_WORKER_ENGINE": "keyword"})
    assert after.returncode == 1
    assert "brandpulse up" in after.stdout


def test_children_of_a_killed_up_end_and_the_next_up_resumes(stack: Child, tmp_path: Path) -> None:
    home = tmp_path / ".brandpulse"
    (tmp_path / "posts.jsonl").write_text(json.dumps(a_post("1", "acme is awful")) + "\n")
    sent = brandpulse("ingest", "file", "posts.jsonl", "--wait", cwd=tmp_path)
    assert sent.returncode == 0, sent.stderr
    ports = [
        int(address.rsplit(":", 1)[1].split("/")[0])
        for name, address in read_addresses(home).items()
        if name in ("kafka_bootstrap_servers", "redis_url", "page_url")
    ]
    stack.kill()
    deadline = time.monotonic() + patience(20)
    while any(port_answers(port) for port in ports) or running(home, "worker"):
        assert time.monotonic() < deadline, "orphans"
        time.sleep(0.1)
    again = Child(
        "up-again",
        [sys.executable, "-m", "brandpulse", "up", "--workers", "0"],
        log=tmp_path / "again.log",
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
    )
    try:
        again.wait_ready(lambda: "page_url" in read_addresses(home) and again.pid == up_pid(home), timeout_seconds=60)
        stats = json.loads(brandpulse("stats", "--json", cwd=tmp_path).stdout)
        assert stats["brands"]["Acme"]["posts"] == 1
    finally:
        again.stop(grace_seconds=30)


def child_of(parent: Child, program: str) -> int:
    """Process id of the child of *parent* that runs *program*."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            of_parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1]) == parent.pid
            runs = program in (folder / "cmdline").read_text().split("\0")[0]
        except OSError:
            continue
        if of_parent and runs:
            return int(folder.name)
    raise AssertionError(f"no child runs {program}")


def test_up_restarts_a_dead_broker_and_a_dead_redis(stack: Child, tmp_path: Path) -> None:
    home = tmp_path / ".brandpulse"
    for number, program in enumerate(("tansu", "valkey-server")):
        os.kill(child_of(stack, program), signal.SIGKILL)
        (tmp_path / "posts.jsonl").write_text(json.dumps(a_post(f"after-{program}", "acme is awful")) + "\n")
        deadline = time.monotonic() + patience(60)
        sent = brandpulse("ingest", "file", "posts.jsonl", "--wait", cwd=tmp_path)
        while sent.returncode != 0 and time.monotonic() < deadline:
            sent = brandpulse("ingest", "file", "posts.jsonl", "--wait", cwd=tmp_path)
        assert sent.returncode == 0, sent.stderr + stack.log_tail()
        stats = json.loads(brandpulse("stats", "--json", cwd=tmp_path).stdout)
        assert stats["brands"]["Acme"]["posts"] == number + 1, stack.log_tail()
    assert len(running(home, "worker")) == 1


def up_pid(home: Path) -> int:
    return int(read_addresses(home).get("up_pid", 0))


def test_wrong_usage_is_explained_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "brands.yaml").write_text("brands:\n  - {name: Acme}\n")
    nowhere = {"BRANDPULSE_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", "BRANDPULSE_REDIS_URL": "redis://127.0.0.1:1/0"}
    (tmp_path / "good.yaml").write_text(BRANDS)
    good = {"BRANDPULSE_BRANDS_FILE": "good.yaml"}
    (tmp_path / "posts.jsonl").write_text(json.dumps(a_post()) + "\n")
    cases: list[tuple[list[str], dict[str, str], int, str]] = [
        (["up"], {}, 2, "brand 'Acme'"),
        (["up"], {"BRANDPULSE_BRANDS_FILE": "none.yaml"}, 2, "BRANDPULSE_BRANDS_FILE"),
        (["worker"], good, 2, "BRANDPULSE_KAFKA_BOOTSTRAP_SERVERS"),
        (["worker"], {"BRANDPULSE_WORKER_BATCH_POSTS": "-1"}, 2, "BRANDPULSE_WORKER_BATCH_POSTS=512"),
        (["stats"], {}, 2, "brandpulse up"),
        (["stats"], nowhere, 1, "Redis is unreachable"),
        (["ingest", "file", "posts.jsonl"], nowhere, 1, "no Kafka broker answers at 127.0.0.1:1"),
        (["ingest", "file", "none.jsonl"], nowhere, 2, "none.jsonl"),
        (["dlq", "list"], {}, 2, "brandpulse up"),
        (["nonsense"], {}, 2, "nonsense"),
    ]
    for arguments, env, code, expected in cases:
        done = brandpulse(*arguments, cwd=tmp_path, env=env)
        output = done.stdout + done.stderr
        assert done.returncode == code, f"{arguments}: {done.returncode}\n{output}"
        assert expected in output, f"{arguments}:\n{output}"
        assert "Traceback" not in output, f"{arguments}:\n{output}"


def test_port_in_use_is_reported_with_its_variable(tmp_path: Path) -> None:
    import socket

    (tmp_path / "brands.yaml").write_text(BRANDS)
    port = free_port()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        up = brandpulse("up", "--page-port", str(port), cwd=tmp_path)
        worker = brandpulse(
            "worker",
            cwd=tmp_path,
            env={
                "BRANDPULSE_WORKER_PORT": str(port),
                "BRANDPULSE_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
                "BRANDPULSE_REDIS_URL": "redis://127.0.0.1:1/0",
            },
        )
    assert (up.returncode, worker.returncode) == (2, 2)
    assert "--page-port" in up.stderr
    assert "BRANDPULSE_WORKER_PORT" in worker.stderr
