"""Sends a file of posts to the servers of the settings, and waits until the workers have counted it. Blocking."""

import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from confluent_kafka.admin import AdminClient

from brandpulse.config.settings import Settings, load_settings
from brandpulse.errors import BrandpulseError, ConfigError
from brandpulse.kafka.client import client_config
from brandpulse.kafka.topics import Topic, ensure_topics, topic_id
from brandpulse.ops.redrive import read_letters
from brandpulse.redis.client import connect
from brandpulse.runtime.lifecycle import STOP_SIGNALS
from brandpulse.state.pane_reader import PaneReader
from brandpulse.state.partition_state import PartitionStatus
from ingest.files.file_sender import send_file
from ingest.files.forms.opening import FormError
from ingest.files.forms.standard_input import stored
from ingest.files.send_report import WorkerResult, causes, worker_result
from ingest.files.send_task import Counts, Destination, RunContext, RunResult, Task
from ingest.files.sent.ledger import RedisLedger
from ingest.post_producer import NO_CLIENT_LOG, check_broker
from ingest.topic_reader import TopicReader
from ingest.wait_until_counted import wait_until_applied
from ingest.worker_states import RedisWorkerStates

COUNT_PATIENCE_SECONDS = 60


@dataclass(frozen=True, slots=True)
class FileRun:
    """How a run of `send` ended."""

    outcome: RunResult
    seconds: float
    signal_number: int = 0
    """The signal that stopped it, or 0."""


def send(task: Task, *, notify: Callable[[str], None], progress: Callable[[Counts, float], None]) -> FileRun:
    """Send the posts of *task*; SIGINT and SIGTERM stop it cleanly.

    *notify* gets messages for the user; *progress*, about once a second, the counts and the share of the file that was
    read. Raises BrandpulseError.
    """
    received: list[int] = []
    handlers = {number: signal.signal(number, lambda caught, _: received.append(caught)) for number in STOP_SIGNALS}
    started = time.monotonic()
    context = RunContext(notify=notify, should_stop=lambda: bool(received), progress=progress)
    try:
        if str(task.path) == "-":
            notify("standard input is copied to a file first; a stopped run resumes if the same content is piped again")
            folder = load_settings(Settings).home / "ingest" / "stdin"
            with stored(sys.stdin.buffer, folder, context.should_stop) as path:
                outcome = (
                    RunResult(Counts(), stopped=True)
                    if path is None
                    else send_file(replace(task, path=path), _destination, context)
                )
        else:
            outcome = send_file(task, _destination, context)
    except FormError as error:
        raise ConfigError(f"standard input {error}") from error
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return FileRun(outcome, time.monotonic() - started, received[0] if received else 0)


def partition_statuses() -> list[PartitionStatus]:
    """State of the partitions of the posts topic. Raises ConfigError, TransientError."""
    settings = load_settings(Settings)
    reader = PaneReader(connect(settings.redis_address()), settings.namespace)
    return [status for status in reader.partitions() if status.topic == settings.posts_topic]


def wait_until_counted(outcome: RunResult, before: Sequence[PartitionStatus]) -> WorkerResult:
    """Wait until the workers have applied all records of the topic; returns the result for the posts of *outcome*.

    *before* is `partition_statuses` from before the run. Raises NotCountedError, TransientError.
    """
    settings = load_settings(Settings)
    with TopicReader(settings.bootstrap_servers(), settings.posts_topic) as topic:
        ends = topic.ends()
    wait_until_applied(
        ends,
        PaneReader(connect(settings.redis_address()), settings.namespace),
        topic=settings.posts_topic,
        patience_seconds=COUNT_PATIENCE_SECONDS,
        progress=lambda _left: None,
        should_stop=lambda: False,
    )
    sent = outcome.counts.sent
    after = partition_statuses()
    result = worker_result(sent, before, after, {})
    result = replace(result, why=causes(result, sent, before, after, source=outcome.source))
    if result.dead:
        result = replace(result, reasons=_dead_letter_reasons(settings, outcome.begin))
    return result


def _destination() -> Destination:
    settings = load_settings(Settings)
    servers = settings.bootstrap_servers()
    check_broker(servers)
    topic = settings.posts_topic
    ids = ensure_topics(servers, [Topic(topic, settings.partitions)], replication_factor=settings.replication_factor)
    admin = AdminClient(client_config(servers) | NO_CLIENT_LOG)
    destination = Destination(
        servers,
        topic,
        ids[topic],
        settings.namespace,
        settings.home,
        topic_id_now=lambda: topic_id(admin, topic),
    )
    try:
        client = connect(settings.redis_address(), timeout_seconds=10)
    except ConfigError:
        return replace(
            destination,
            note="BRANDPULSE_REDIS_URL is not set, so only BRANDPULSE_HOME records what was sent before: if the topic "
            "is created again, or the file gets another name, its posts are sent again",
        )
    return replace(
        destination,
        ledger=RedisLedger(client, settings.namespace, topic),
        states=RedisWorkerStates(client, settings.namespace, topic),
    )


def _dead_letter_reasons(settings: Settings, begin: Mapping[int, int]) -> dict[str, int]:
    """Number of dead letters by reason, for records from the offsets *begin* on; empty if they cannot be read."""
    try:
        letters = read_letters(settings)
    except BrandpulseError:
        return {}
    return dict(
        Counter(
            letter.reason
            for letter in letters
            if letter.topic == settings.posts_topic and letter.origin.offset >= begin.get(letter.origin.partition, 0)
        )
    )
