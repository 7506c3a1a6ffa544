"""`brandpulse ingest file` against a real broker."""

import csv
import gzip
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from typer.testing import CliRunner

from brandpulse.cli.ingest import app
from brandpulse.devstack.embedded_servers import EmbeddedBroker
from brandpulse.errors import TransientError
from brandpulse.kafka.topics import Topic, ensure_topics
from brandpulse.runtime.child_process import free_port
from brandpulse.schema.posts import Post
from ingest import post_producer
from ingest.files import send_run
from ingest.files.file_sender import send_file
from ingest.files.reading.row import InputError
from ingest.files.send_task import Counts, Destination, RunContext, RunResult, Task
from ingest.files.sent.ledger import MemoryLedger, Window
from ingest.post_producer import check_broker
from ingest.topic_reader import TopicReader
from tests.support.patience import patience, wait_until
from tests.support.repository import ROOT

BEGIN = datetime(2026, 3, 2, tzinfo=UTC)


def write_posts(path: Path, count: int, *, order: Sequence[int] | None = None) -> Path:
    lines = (
        json.dumps(
            {
                "id": f"p{number}",
                "text": f"post number {number}",
                "created_at": (BEGIN + timedelta(seconds=number)).isoformat(),
                "author_id": f"a{number % 7}",
            }
        )
        for number in (order or range(count))
    )
    path.write_text("\n".join(lines) + "\n")
    return path


def topic_of(kafka: str, topic: str) -> list[tuple[str, Post]]:
    """Every record of the topic: key and post, in order within each partition."""
    consumer = Consumer(
        {"bootstrap.servers": kafka, "group.id": "t", "enable.partition.eof": True, "fetch.wait.max.ms": 10}
    )
    partitions = consumer.list_topics(topic, timeout=patience(10)).topics[topic].partitions
    consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
    records: list[tuple[int, str, Post]] = []
    open_partitions = set(partitions)
    while open_partitions:
        message = consumer.poll(10)
        assert message is not None, "the broker is silent"
        if message.error():
            open_partitions.discard(message.partition())
        else:
            records.append((message.partition(), message.key().decode(), Post.model_validate_json(message.value())))
    consumer.close()
    return [(key, post) for _, key, post in sorted(records, key=itemgetter(0))]


def times_sent(kafka: str, topic: str) -> Counter[str]:
    return Counter(key for key, _ in topic_of(kafka, topic))


def once_each(count: int) -> Counter[str]:
    return Counter(f"p{number}" for number in range(count))


@pytest.fixture
def to(kafka: str, namespace: str, tmp_path: Path) -> Destination:
    ids = ensure_topics(kafka, [Topic(namespace, 2)])
    return Destination(kafka, namespace, ids[namespace], "main", tmp_path / "home")


@pytest.fixture
def send(to: Destination, tmp_path: Path) -> Callable[..., RunResult]:
    """Send a file in this process; keywords change the task."""

    def run(path: Path, context: RunContext | None = None, **changes: Any) -> RunResult:
        task = Task(path=path, source="test", rejects=tmp_path / "rejects.jsonl")
        return send_file(replace(task, **changes), lambda: to, context or RunContext())

    return run


def stop_after(asked: int) -> RunContext:
    """Stops the run at call *asked* of `should_stop`."""
    chances = iter(range(10**9))
    return RunContext(should_stop=lambda: next(chances) >= asked)


def command(kafka: str, topic: str, path: Path, *options: str, home: Path) -> tuple[list[str], dict[str, str]]:
    env = os.environ | {
        "BRANDPULSE_KAFKA_BOOTSTRAP_SERVERS": kafka,
        "BRANDPULSE_POSTS_TOPIC": topic,
        "BRANDPULSE_PARTITIONS": "2",
        "BRANDPULSE_HOME": str(home),
        "PYTHONPATH": str(ROOT),
    }
    return [sys.executable, "-m", "brandpulse", "ingest", "file", str(path), "--json", *options], env


def ingest(kafka: str, topic: str, path: Path, *options: str, home: Path) -> tuple[int, dict[str, float] | None, str]:
    """Run the real command: exit code, the line of JSON, stderr."""
    line, env = command(kafka, topic, path, *options, home=home)
    done = subprocess.run(
        line, env=env, cwd=home.parent, capture_output=True, text=True, timeout=patience(60), check=False
    )
    out = done.stdout.splitlines()
    assert len(out) <= 1, done.stdout
    return done.returncode, json.loads(out[0]) if out else None, done.stderr


def wait_for_records(kafka: str, topic: str, enough: int) -> None:
    with TopicReader(kafka, topic) as reader:
        wait_until(lambda: sum(reader.ends().high.values()) >= enough)


def test_file_arrives_as_posts_keyed_by_id(to: Destination, tmp_path: Path) -> None:
    path = write_posts(tmp_path / "stream.jsonl", 50)
    code, counted, _ = ingest(to.bootstrap_servers, to.topic, path, home=tmp_path / "home")
    assert code == 0
    assert counted is not None
    assert counted.pop("seconds") > 0
    nothing: dict[str, object] = {"causes": {}, "dropped": {}, "changed": 0}
    assert counted == {"read": 50, "sent": 50, "repeated": 0, "rejected": 0} | nothing
    records = dict(topic_of(to.bootstrap_servers, to.topic))
    assert records.keys() == once_each(50).keys()
    assert records["p7"] == Post(
        schema_version=1,
        id="p7",
        text="post number 7",
        created_at=BEGIN + timedelta(seconds=7),
        author_id="a0",
        source="stream",
    )


def test_sigkill_and_restart_send_each_post_once(to: Destination, tmp_path: Path) -> None:
    kafka, home, path = to.bootstrap_servers, tmp_path / "home", write_posts(tmp_path / "a.jsonl", 3_000)
    line, env = command(kafka, to.topic, path, "--rate", "1000", home=home)
    for reached in (300, 1_000):
        process = subprocess.Popen(line, env=env, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for_records(kafka, to.topic, reached)
        process.kill()
        process.wait()
    before = times_sent(kafka, to.topic)
    assert 1_000 <= before.total() < 3_000, "killed too late to prove anything"

    code, counted, _ = ingest(kafka, to.topic, path, home=home)

    assert times_sent(kafka, to.topic) == once_each(3_000)
    assert code == 0
    assert counted is not None
    assert (counted["read"], counted["sent"]) == (3_000, 3_000 - before.total())
    assert counted["repeated"] == before.total()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_stops_the_run_cleanly_with_a_resume_hint(
    to: Destination, tmp_path: Path, number: signal.Signals
) -> None:
    kafka, home, path = to.bootstrap_servers, tmp_path / "home", write_posts(tmp_path / "a.jsonl", 2_000)
    line, env = command(kafka, to.topic, path, "--rate", "1000", home=home)
    process = subprocess.Popen(line, env=env, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for_records(kafka, to.topic, 100)
    process.send_signal(number)
    out, err = process.communicate(timeout=patience(20))

    assert process.returncode == 128 + number
    assert "the same command resumes" in err
    counted = json.loads(out)
    assert counted["read"] == counted["sent"] + counted["repeated"] + counted["rejected"]
    assert counted["sent"] == times_sent(kafka, to.topic).total()

    code, rest, _ = ingest(kafka, to.topic, path, home=home)
    assert code == 0
    assert rest is not None
    assert rest["sent"] == 2_000 - counted["sent"]
    assert times_sent(kafka, to.topic) == once_each(2_000)


def test_finished_file_is_resent_only_with_again(
    send: Callable[..., RunResult], to: Destination, tmp_path: Path
) -> None:
    path = write_posts(tmp_path / "a.jsonl", 20)
    path.write_text(path.read_text() + path.read_text().splitlines()[0] + "\nrubbish\n")
    assert send(path).counts == Counts(sent=20, duplicates=1, rejected=1)
    second = send(path)
    assert second.already_sent
    assert second.counts == Counts(duplicates=21, rejected=1)
    assert second.counts.read == 22
    assert times_sent(to.bootstrap_servers, to.topic) == once_each(20)
    assert send(path, again=True).counts.sent == 20
    assert times_sent(to.bootstrap_servers, to.topic).total() == 40


@pytest.mark.parametrize("asked", [1, 700])
def test_stopped_run_is_resumed_by_the_next(
    send: Callable[..., RunResult], to: Destination, tmp_path: Path, asked: int
) -> None:
    path = write_posts(tmp_path / "a.jsonl", 1_000)
    first = send(path, stop_after(asked))
    assert first.stopped
    second = send(path)
    assert first.counts.sent + second.counts.sent == 1_000
    assert second.counts.read == 1_000
    assert times_sent(to.bootstrap_servers, to.topic) == once_each(1_000)


def test_stopped_run_is_resumed_in_another_order(
    send: Callable[..., RunResult], to: Destination, tmp_path: Path
) -> None:
    path = write_posts(tmp_path / "a.jsonl", 500, order=range(499, -1, -1))
    assert send(path, stop_after(200)).stopped
    # Stopped again before it finds the posts of the first run, which have lower offsets than its own.
    assert send(path, stop_after(100), speed=1_000_000.0).stopped
    assert send(path, speed=1_000_000.0).counts.read == 500
    assert times_sent(to.bootstrap_servers, to.topic) == once_each(500)


def test_run_that_dies_in_its_first_second_is_resumed(
    send: Callable[..., RunResult], to: Destination, tmp_path: Path
) -> None:
    path = write_posts(tmp_path / "a.jsonl", 300)
    chances = iter(range(1_000))

    def die() -> bool:
        if next(chances) == 120:
            wait_for_records(to.bootstrap_servers, to.topic, 118)
            raise RuntimeError("out of memory")
        return False

    with pytest.raises(RuntimeError):
        send(path, RunContext(should_stop=die, monotonic=lambda: 0.0))
    assert send(path).counts.read == 300
    assert times_sent(to.bootstrap_servers, to.topic) == once_each(300)


def test_records_of_other_sources_do_not_count_as_sent(
    send: Callable[..., RunResult], to: Destination, tmp_path: Path
) -> None:
    path = write_posts(tmp_path / "a.jsonl", 200)
    assert send(path, stop_after(80)).stopped
    state = next((to.home / "ingest").glob("*.json"))
    state.write_text(state.read_text().replace('"clean": true', '"clean": false'))
    producer = Producer({"bootstrap.servers": to.bootstrap_servers})
    foreign = Post(schema_version=1, id="p199", text="x", created_at=BEGIN, author_id="a", source="elsewhere")
    producer.produce(to.topic, foreign.model_dump_json().encode(), b"p199")
    producer.produce(to.topic, b"no json", b"p198")
    assert producer.flush(patience(10)) == 0
    send(path)
    own = [message for message in _raw(to) if message and b'"source":"test"' in message]
    assert len(own) == len(set(own)) == 200


def _raw(to: Destination) -> list[bytes]:
    with TopicReader(to.bootstrap_servers, to.topic) as reader:
        end = reader.ends().high
        values, left = [], sum(end.values())
        for message in reader._read(dict.fromkeys(end, 0)):
            if message.error() is None:
                values.append(message.value())
                left -= 1
            if not left:
                return values
    return values


def test_grown_file_sends_only_new_posts(send: Callable[..., RunResult], to: Destination, tmp_path: Path) -> None:
    path = write_posts(tmp_path / "a.jsonl", 10)
    send(path)
    write_posts(path, 12)
    messages: list[str] = []
    assert send(path, RunContext(notify=messages.append)).counts.sent == 2
    assert any("changed" in line for line in messages)
    assert times_sent(to.bootstrap_servers, to.topic) == once_each(12)


def test_recreated_topic_gets_the_whole_file(send: Callable[..., RunResult], to: Destination, tmp_path: Path) -> None:
    path = write_posts(tmp_path / "a.jsonl", 10)
    send(path)
    task = Task(path=path, source="test", rejects=tmp_path / "r")
    assert send_file(task, lambda: replace(to, topic_id="another"), RunContext()).counts.sent == 10


def test_restarted_empty_broker_gets_the_whole_file(tmp_path: Path) -> None:
    path, home, port = write_posts(tmp_path / "a.jsonl", 30), tmp_path / "home", free_port()
    for _ in range(2):
        broker = EmbeddedBroker(tmp_path / "broker", port=port)
        try:
            code, counted, _ = ingest(broker.bootstrap_servers, "posts", path, home=home)
        finally:
            broker.stop()
        assert code == 0
        assert counted is not None
        assert counted["sent"] == 30


def test_invalid_rows_are_rejected_with_a_reason(
    send: Callable[..., RunResult], to: Destination, tmp_path: Path
) -> None:
    path = tmp_path / "a.csv"
    with path.open("w", newline="") as sheet:
        table = csv.writer(sheet)
        table.writerow(["id", "text", "created_at", "author_id"])
        table.writerow(["p0", "fine", "2026-03-02T00:00:00Z", "ann"])
        table.writerow(["p1", "x" * 30_000, "2026-03-02T00:00:00Z", "ann"])
        table.writerow(["p2", "no time", "soon", "ann"])
        table.writerow(["p3", "a\0b", "2026-03-02T00:00:00Z", "ann"])
        table.writerow(["p4", "too short"])
        table.writerow(["p0", "again", "2026-03-02T00:00:00Z", "ann"])
    outcome = send(path)
    assert outcome.counts == Counts(sent=1, duplicates=1, rejected=4)
    rejects = [json.loads(line) for line in (tmp_path / "rejects.jsonl").read_text().splitlines()]
    assert [(reject["line"], reject["field"]) for reject in rejects] == [
        (3, "text"),
        (4, "created_at"),
        (5, "text"),
        (6, None),
    ]
    assert len(rejects[0]["value"]) == 200
    assert rejects[1]["value"] == "soon"
    assert times_sent(to.bootstrap_servers, to.topic) == once_each(1)


def test_file_without_a_post_fails(to: Destination, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("id,text,created_at,author_id\n1,x,soon,ann\n")
    code, counted, err = ingest(to.bootstrap_servers, to.topic, path, home=tmp_path / "home")
    assert code == 1
    assert counted is not None
    assert (counted["read"], counted["rejected"]) == (1, 1)
    assert "a.csv.rejects.jsonl" in err


def ticking(seconds_per_look: float = 0.05) -> Callable[[], float]:
    looks = iter(range(10**9))
    return lambda: next(looks) * seconds_per_look


def test_speed_sends_in_order_of_time(send: Callable[..., RunResult], to: Destination, tmp_path: Path) -> None:
    path = write_posts(tmp_path / "a.jsonl", 60, order=[number * 37 % 60 for number in range(60)])
    send(path, RunContext(monotonic=ticking()), speed=100.0)
    arrived = [post.created_at for _, post in topic_of(to.bootstrap_servers, to.topic)]
    # Read partition by partition: in order within each of the two partitions, with at most one step back between them.
    assert len(arrived) == 60
    assert sum(later < earlier for earlier, later in itertools.pairwise(arrived)) <= 1


def test_times_are_shifted_to_now(send: Callable[..., RunResult], to: Destination, tmp_path: Path) -> None:
    now = datetime(2030, 1, 1, tzinfo=UTC)
    path = write_posts(tmp_path / "a.jsonl", 10, order=range(9, -1, -1))
    send(path, RunContext(now=lambda: now), shift_to_now=True)
    posts = dict(topic_of(to.bootstrap_servers, to.topic))
    assert {key: post.created_at for key, post in posts.items()} == {
        f"p{number}": now - timedelta(seconds=9 - number) for number in range(10)
    }


def test_old_posts_are_sent_with_a_warning(send: Callable[..., RunResult], tmp_path: Path) -> None:
    messages: list[str] = []
    path = write_posts(tmp_path / "a.jsonl", 3)
    send(path, RunContext(notify=messages.append, now=lambda: BEGIN + timedelta(days=91)))
    assert any("older than 90 days" in line and "BRANDPULSE_NAMESPACE" in line for line in messages)


def test_truncated_file_sends_its_first_part_and_fails(
    send: Callable[..., RunResult], to: Destination, tmp_path: Path
) -> None:
    whole = gzip.compress(write_posts(tmp_path / "a.jsonl", 20_000).read_bytes())
    path = tmp_path / "b.jsonl.gz"
    path.write_bytes(whole[: len(whole) - 1_000])
    outcome = send(path)
    assert "broken gzip" in (outcome.failure or "")
    assert outcome.counts.sent == times_sent(to.bootstrap_servers, to.topic).total() > 0


def test_unreachable_broker_is_reported_quickly_and_quietly(capfd: pytest.CaptureFixture[str]) -> None:
    begin = time.monotonic()
    with pytest.raises(TransientError, match=r"no Kafka broker answers .*brandpulse up"):
        check_broker(f"127.0.0.1:{free_port()}", timeout_seconds=0.5)
    assert time.monotonic() - begin < patience(5)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--map", "text"], "FIELD=COLUMN"),
        (["--map", "text=body"], "--map text=text"),
        (["--rate", "5", "--speed", "5"], "cannot go together"),
        (["--rate", "0"], "above 0"),
        (["--speed", "-1"], "above 0"),
        (["--format", "xml"], "jsonl, csv, tsv"),
        (["--rejects", "a.jsonl"], "is the input file"),
        (["--rejects", "nowhere/r.jsonl"], "choose another path"),
    ],
)
def test_wrong_usage_is_reported_before_kafka_is_contacted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BRANDPULSE_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    path = write_posts(tmp_path / "a.jsonl", 3)
    result = CliRunner().invoke(app, ["file", str(path), *options])
    assert isinstance(result.exception, InputError)
    assert message in str(result.exception)


def test_missing_file_is_reported_in_one_sentence(tmp_path: Path) -> None:
    code, counted, err = ingest("127.0.0.1:1", "posts", tmp_path / "nowhere.csv", home=tmp_path / "home")
    assert (code, counted) == (2, None)
    assert err == f"brandpulse: cannot read {tmp_path}/nowhere.csv: No such file or directory\n"


def test_broker_that_dies_fails_the_run_resumably(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(post_producer, "DELIVERY_TIMEOUT_SECONDS", 1.0)
    monkeypatch.setattr(send_run, "FLUSH_SECONDS", 1.0)
    path = write_posts(tmp_path / "a.jsonl", 400)
    broker = EmbeddedBroker(tmp_path / "broker")
    looks = iter(range(10**9))

    def pull_the_plug() -> bool:
        if next(looks) == 200:
            broker.child.kill()
        return False

    ids = ensure_topics(broker.bootstrap_servers, [Topic("posts", 2)])
    to = Destination(broker.bootstrap_servers, "posts", ids["posts"], "main", tmp_path / "home")
    task = Task(path=path, source="test", rejects=tmp_path / "r")
    try:
        outcome = send_file(task, lambda: to, RunContext(should_stop=pull_the_plug))
    finally:
        broker.stop()
    assert outcome.failure is not None
    assert not outcome.stopped
    assert outcome.counts.sent < 400
    state = json.loads(next((to.home / "ingest").glob("*.json")).read_text())
    assert (state["finished"], state["clean"]) == (False, False)


@pytest.fixture
def airline() -> Iterator[Path]:
    path = os.environ.get("BRANDPULSE_TEST_AIRLINE")
    if path is None:
        pytest.skip("BRANDPULSE_TEST_AIRLINE names no file")
    yield Path(path)


def test_real_export_is_sent_completely(send: Callable[..., RunResult], to: Destination, airline: Path) -> None:
    columns = {"text": "text", "created_at": "tweet_created", "author_id": "name", "id": "tweet_id"}
    outcome = send(airline, mapping=columns)
    assert outcome.counts == Counts(sent=10_149, duplicates=6)
    assert set(times_sent(to.bootstrap_servers, to.topic).values()) == {1}


@pytest.fixture
def ledger(to: Destination) -> MemoryLedger:
    return MemoryLedger()


@pytest.fixture
def once(to: Destination, ledger: MemoryLedger, tmp_path: Path) -> Callable[..., RunResult]:
    """Send a file in this process, with a ledger; keywords change the task, *at* the destination."""

    def run(
        path: Path, context: RunContext | None = None, *, at: Destination | None = None, **changes: Any
    ) -> RunResult:
        task = Task(path=path, source=changes.pop("source", "test"), rejects=tmp_path / "rejects.jsonl")
        place = replace(at or to, ledger=ledger)
        return send_file(replace(task, **changes), lambda: place, context or RunContext())

    return run


def settled(ledger: MemoryLedger) -> bool:
    """Whether each window has the offsets of all its posts."""
    windows = [Window.decode(stored) for stored in ledger.read().windows]
    return all(not window.run and not window.unconfirmed.any() for window in windows)


def test_with_a_ledger_a_killed_run_is_completed_by_the_next(
    once: Callable[..., RunResult], to: Destination, ledger: MemoryLedger, tmp_path: Path
) -> None:
    path = write_posts(tmp_path / "a.jsonl", 300)
    chances = iter(range(1_000))

    def die() -> bool:
        if next(chances) == 120:
            wait_for_records(to.bootstrap_servers, to.topic, 118)
            raise RuntimeError("out of memory")
        return False

    with pytest.raises(RuntimeError):
        once(path, RunContext(should_stop=die, monotonic=lambda: 0.0))
    assert not settled(ledger)
    assert once(path).counts.sent_before == 118
    assert times_sent(to.bootstrap_servers, to.topic) == once_each(300)
    assert settled(ledger)


@pytest.mark.parametrize("asked", [1, 700])
def test_with_a_ledger_a_stopped_run_resumes_from_any_home(
    once: Callable[..., RunResult], to: Destination, ledger: MemoryLedger, tmp_path: Path, asked: int
) -> None:
    path = write_posts(tmp_path / "a.jsonl", 1_000)
    first = once(path, stop_after(asked))
    assert first.stopped
    assert settled(ledger)
    second = once(path, at=replace(to, home=tmp_path / "another"), speed=1_000_000.0)
    assert (second.counts.sent, second.counts.sent_before) == (1_000 - first.counts.sent, first.counts.sent)
    assert times_sent(to.bootstrap_servers, to.topic) == once_each(1_000)


def test_overlapping_file_sends_only_new_posts(once: Callable[..., RunResult], to: Destination, tmp_path: Path) -> None:
    once(write_posts(tmp_path / "a.jsonl", 100))
    overlapping = write_posts(tmp_path / "b.jsonl", 150, order=range(149, 49, -1))
    counts = once(overlapping, source="b").counts
    assert (counts.sent, counts.sent_before, counts.other_source, counts.changed) == (50, 50, 50, 0)
    crlf = tmp_path / "c.jsonl"
    crlf.write_bytes(b"\r\n".join(write_posts(tmp_path / "d.jsonl", 160).read_bytes().splitlines()))
    assert once(crlf).counts.sent == 10
    assert times_sent(to.bootstrap_servers, to.topic) == once_each(160)
    assert once(crlf, again=True, source="c").counts.sent == 160


def test_edited_posts_are_reported_and_not_resent(
    once: Callable[..., RunResult], to: Destination, tmp_path: Path
) -> None:
    path = write_posts(tmp_path / "a.jsonl", 30)
    once(path)
    path.write_text(path.read_text().replace("post number 7", "edited") + path.read_text().replace("p", "q"))
    counts = once(path).counts
    assert (counts.sent, counts.sent_before, counts.changed) == (30, 30, 1)


def test_ids_with_other_content_than_before_stop_the_run(
    once: Callable[..., RunResult], to: Destination, tmp_path: Path
) -> None:
    once(write_posts(tmp_path / "a.jsonl", 100))
    shifted = tmp_path / "a.jsonl"
    rows = [json.loads(line) for line in shifted.read_text().splitlines()]
    shifted.write_text("".join(json.dumps(row | {"text": f"new {n}"}) + "\n" for n, row in enumerate(rows)))
    outcome = once(shifted)
    assert "other content now" in (outcome.failure or "")
    assert times_sent(to.bootstrap_servers, to.topic) == once_each(100)


def test_two_concurrent_runs_send_each_post_once(
    to: Destination, ledger: MemoryLedger, tmp_path: Path, once: Callable[..., RunResult]
) -> None:
    first, second = write_posts(tmp_path / "a.jsonl", 1_000), write_posts(tmp_path / "b.jsonl", 1_200)
    looks = iter(range(10**6))

    def interrupt() -> bool:
        if next(looks) == 500:
            assert once(second, source="b", at=replace(to, home=tmp_path / "b")).failure is None
        return False

    done = once(first, RunContext(should_stop=interrupt), posts_per_second=1e9)
    assert done.failure is None
    assert times_sent(to.bootstrap_servers, to.topic) == once_each(1_200)


def test_topic_recreated_during_a_run_stops_it(
    once: Callable[..., RunResult], to: Destination, ledger: MemoryLedger, tmp_path: Path
) -> None:
    path = write_posts(tmp_path / "a.jsonl", 100)
    for seconds in (0.0, 10.0):  # detected at the end, and by a check on the way
        outcome = once(path, RunContext(monotonic=ticking(seconds)), at=replace(to, topic_id_now=lambda: "another"))
        assert "created again" in (outcome.failure or "")
        again = once(path)
        assert (again.counts.sent + outcome.counts.sent, again.failure) == (100, None), "they are found in the topic"
        assert settled(ledger)
        path = write_posts(tmp_path / "b.jsonl", 200, order=range(100, 200))
    path = tmp_path / "b.jsonl"
    assert once(path).counts.sent == 0
    assert times_sent(to.bootstrap_servers, to.topic) == once_each(200)


def test_outlier_rows_are_rejected_or_stop_the_file(
    once: Callable[..., RunResult], to: Destination, tmp_path: Path
) -> None:
    path = write_posts(tmp_path / "a.jsonl", 100)
    path.write_text(path.read_text().replace("2026-03-02T00:00:50", "2026-10-02T00:00:50"))
    with pytest.raises(InputError, match="line 51"):
        once(path)
    outcome = once(path, far="reject")
    assert (outcome.counts.sent, outcome.counts.rejected) == (99, 1)
    assert json.loads((tmp_path / "rejects.jsonl").read_text())["line"] == 51
    assert once(path, far="send").counts.sent == 1


def test_unsorted_file_is_sent_in_order_of_time(
    once: Callable[..., RunResult], to: Destination, tmp_path: Path
) -> None:
    path = tmp_path / "a.jsonl"
    rows = [
        {"id": f"p{n}", "text": "x", "created_at": (BEGIN + timedelta(hours=n)).isoformat(), "author_id": "a"}
        for n in range(59, -1, -1)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    messages: list[str] = []
    once(path, RunContext(notify=messages.append))
    assert any("not in order of time" in line for line in messages)
    arrived = [post.created_at for _, post in topic_of(to.bootstrap_servers, to.topic)]
    assert sum(later < earlier for earlier, later in itertools.pairwise(arrived)) <= 1
    messages.clear()
    once(path, RunContext(notify=messages.append), again=True, order="file")
    assert not any("not in order" in line for line in messages)


def test_lost_ledger_with_intact_topic_resends_nothing(
    to: Destination, tmp_path: Path, once: Callable[..., RunResult]
) -> None:
    path = write_posts(tmp_path / "a.jsonl", 100)
    once(path)
    task = Task(path=path, source="test", rejects=tmp_path / "r")
    wiped = send_file(task, lambda: replace(to, ledger=MemoryLedger()), RunContext())
    assert wiped.counts.sent == 0, "workers without state read the topic from its beginning"


def test_same_id_in_several_sources_is_sent_once_per_source(
    once: Callable[..., RunResult], to: Destination, ledger: MemoryLedger, tmp_path: Path
) -> None:
    path = tmp_path / "a.jsonl"
    rows = [
        {
            "id": f"p{n // 2}",
            "text": "x",
            "created_at": BEGIN.isoformat(),
            "author_id": "a",
            "source": ("one", "two")[n % 2],
        }
        for n in range(200)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    first = once(path, stop_after(120))
    assert (first.stopped, settled(ledger)) == (True, True)
    second = once(path, at=replace(to, home=tmp_path / "another"))
    assert first.counts.sent + second.counts.sent == 200
    assert second.counts.sent_before == first.counts.sent
    sources = [(post.source, post.id) for _, post in topic_of(to.bootstrap_servers, to.topic)]
    assert len(sources) == len(set(sources)) == 200
    assert once(path, at=replace(to, home=tmp_path / "a third")).counts.sent == 0


def test_rows_without_a_zone_are_sent_with_assume_utc(
    once: Callable[..., RunResult], to: Destination, tmp_path: Path
) -> None:
    path = write_posts(tmp_path / "a.jsonl", 10)
    path.write_text(path.read_text().replace("00:00:05+00:00", "00:00:05"))
    outcome = once(path)
    assert (outcome.counts.sent, outcome.counts.rejected) == (9, 1)
    assert once(path).already_sent
    outcome = once(path, assume_utc=True)
    assert (outcome.counts.sent, outcome.counts.sent_before) == (1, 9)
    assert times_sent(to.bootstrap_servers, to.topic) == once_each(10)
