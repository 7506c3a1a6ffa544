"""`brandpulse up`: the embedded stack as real processes, each watched and started again when it dies."""

import logging
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from rich.text import Text

from brandpulse.config.brand_warnings import brand_warnings
from brandpulse.config.brands_file import load_brands_file
from brandpulse.config.kafka_settings import KafkaAccess
from brandpulse.config.redis_settings import RedisAccess
from brandpulse.config.settings import Settings, load_settings
from brandpulse.devstack.embedded_servers import EmbeddedBroker, EmbeddedStore, store_answers
from brandpulse.errors import ConfigError
from brandpulse.runtime.child_process import WRONG_SETTINGS, Child, StartError, port_answers
from brandpulse.runtime.console import Console, styled
from brandpulse.runtime.lifecycle import stop_asked
from brandpulse.runtime.service_registry import ADDRESSES, read_addresses, running, write_json

log = logging.getLogger(__name__)

RESTART_SECONDS = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Pause before the n-th restart in a row; a process that lived a minute starts from the first again."""
READY_SECONDS = 60.0
_SESSION_TIMEOUT = "BRANDPULSE_WORKER_SESSION_TIMEOUT_SECONDS"


@dataclass(slots=True)
class Service:
    """One of our own services as a watched child process."""

    name: str
    arguments: Sequence[str]
    child: Child | None = None
    last: Child | None = None
    """The one before, which ended."""
    restarts: int = 0
    started: float = field(default=0.0)
    not_before: float = 0.0


class Broker(Protocol):
    """A running broker process of ours."""

    child: Child
    port: int
    bootstrap_servers: str
    durable: bool
    keeps: str
    """How long its records live, for the person who starts it."""
    after_death: str
    """What its death means to posts not counted yet."""

    def stop(self) -> None: ...


class Stack:
    """Everything `up` started, in order of start; stopped in the opposite order."""

    def __init__(
        self,
        home: Path,
        *,
        env: Mapping[str, str] | None = None,
        say: Callable[[Text], None],
        start_broker: Callable[[int | None], Broker] | None = None,
    ) -> None:
        """*start_broker* takes the port of the one before that died, or None; unset, it starts the embedded one."""
        self.home = home
        self._start_broker = start_broker or (lambda port: EmbeddedBroker(home, port=port))
        self._env = dict(env or {})
        self._say = say
        self._broker: Broker | None = None
        self._store: EmbeddedStore | None = None
        self._services: list[Service] = []

    @property
    def addresses(self) -> dict[str, str]:
        return read_addresses(self.home)

    def start_servers(self) -> None:
        """Broker and store, on free ports; their addresses go into `<home>/stack.json`. Raises StartError."""
        self.home.mkdir(parents=True, exist_ok=True)
        self._wait_for_orphans()
        # What a killed `up` left names ports that are nobody's now, or somebody else's.
        (self.home / ADDRESSES).unlink(missing_ok=True)
        self._store = EmbeddedStore(self.home, appendfsync="always")
        self._broker = self._start_broker(None)
        if isinstance(self._broker, EmbeddedBroker) and not os.environ.get(_SESSION_TIMEOUT):
            self._env.setdefault(_SESSION_TIMEOUT, str(self._broker.session_timeout_seconds))
        keeps = (self._broker.keeps, "" if self._broker.durable else "yellow")
        self._say(styled(f"broker  {self._broker.bootstrap_servers}   ", keeps))
        self._say(styled(f"store   {self._store.url}"))
        self._announce(
            kafka_bootstrap_servers=self._broker.bootstrap_servers,
            broker_keeps=self._broker.keeps,
            redis_url=self._store.url,
        )

    def _wait_for_orphans(self, *, patience_seconds: float = 15.0) -> None:
        """Children of a killed `up` end with it, but not at once. Raises ConfigError if the old store stays.

        Two Valkeys on one data folder would tear its append-only file.
        """
        url = self.addresses.get("redis_url")
        deadline = time.monotonic() + patience_seconds
        while url is not None and store_answers(url):
            if time.monotonic() > deadline:
                raise ConfigError(
                    f"a store still answers at {url}, started by an `up` that is gone. Stop it (its data folder is "
                    f"{self.home / 'valkey'}), or set BRANDPULSE_HOME to another folder"
                )
            time.sleep(0.1)

    def set_env(self, **variables: str) -> None:
        """For the services started from now on."""
        self._env.update(variables)

    def start_service(self, name: str, *arguments: str) -> Service:
        """A service of ours: `brandpulse <arguments>` in a process that is started again when it dies."""
        service = Service(name, arguments)
        self._launch(service)
        self._services.append(service)
        return service

    def wait_announced(self, kind: str, count: int = 1, *, timeout_seconds: float = READY_SECONDS) -> list[str]:
        """URLs of *count* running processes of *kind*, once they listen. Raises StartError with the log's end."""
        deadline = time.monotonic() + timeout_seconds
        while True:
            urls = [str(facts["url"]) for facts in running(self.home, kind) if _listens(str(facts.get("url", "")))]
            if len(urls) >= count:
                return urls
            self._refuse_wrong_settings()
            self.mend()
            broken = [s for s in self._services if s.name.startswith(kind) and s.restarts > 2]
            if broken or time.monotonic() > deadline:
                raise StartError(f"{kind} did not start:\n{self._reason_of(kind)}")
            time.sleep(0.1)

    def _refuse_wrong_settings(self) -> None:
        """Raises StartError with the reason of a service that ended because a setting or a file is wrong."""
        for service in self._services:
            child = service.child
            if child is not None and child.exit_code == WRONG_SETTINGS:
                raise StartError(f"{service.name} did not start: {child.reason()}")

    def mend(self) -> None:
        """Start again what has died, with a growing pause."""
        self._mend_servers()
        now = time.monotonic()
        for service in self._services:
            child = service.child
            if child is not None and (code := child.exit_code) is not None:
                if now - service.started > 60:
                    service.restarts = 0
                pause = RESTART_SECONDS[min(service.restarts, len(RESTART_SECONDS) - 1)]
                service.child, service.not_before, service.last = None, now + pause, child
                service.restarts += 1
                ended = (f"{service.name} ended with code {code}", "red")
                self._say(styled(ended, f"; again in {pause:g} s; log: {child.log}"))
            elif child is None and now >= service.not_before:
                self._launch(service)

    def _mend_servers(self) -> None:
        """On the same ports, so that every client finds them again."""
        if self._store is not None and self._store.child.exit_code is not None:
            ended = (f"the store ended with code {self._store.child.exit_code}", "red")
            self._say(styled(ended, "; again on its data"))
            self._store = EmbeddedStore(self.home, port=self._store.port, appendfsync="always")
        if self._broker is not None and self._broker.child.exit_code is not None:
            ended = (f"the broker ended with code {self._broker.child.exit_code}", "red")
            self._say(styled(ended, f"; {self._broker.after_death}"))
            self._broker = self._start_broker(self._broker.port)

    def stop(self) -> None:
        """Services first, so that they can write what they hold; then the servers."""
        for service in reversed(self._services):
            if service.child is not None:
                service.child.signal(signal.SIGTERM)
        for service in reversed(self._services):
            if service.child is not None:
                service.child.stop()
        if self._broker is not None:
            self._broker.stop()
        if self._store is not None:
            self._store.stop()
        (self.home / ADDRESSES).unlink(missing_ok=True)

    def _launch(self, service: Service) -> None:
        service.started = time.monotonic()
        service.child = Child(
            service.name,
            [sys.executable, "-m", "brandpulse", *service.arguments],
            log=self.home / "logs" / f"{service.name}.log",
            env={"BRANDPULSE_HOME": str(self.home), "PYTHONUNBUFFERED": "1", **self._env, **self._own_addresses()},
        )

    def _own_addresses(self) -> dict[str, str]:
        """A service of the stack talks to the stack, whatever the shell names and however that lets us in."""
        found = self.addresses
        fields = {*KafkaAccess.model_fields, *RedisAccess.model_fields}
        return {
            **{f"BRANDPULSE_{name}".upper(): "" for name in fields},
            "BRANDPULSE_KAFKA_BOOTSTRAP_SERVERS": found["kafka_bootstrap_servers"],
            "BRANDPULSE_REDIS_URL": found["redis_url"],
        }

    def _announce(self, **addresses: str) -> None:
        write_json(self.home / ADDRESSES, {**self.addresses, **addresses, "up_pid": str(os.getpid())})

    def note(self, **addresses: str) -> None:
        """Further addresses, for the other commands to find."""
        self._announce(**addresses)

    def _reason_of(self, kind: str) -> str:
        children = [s.last or s.child for s in self._services if s.name.startswith(kind)]
        return next((child.reason() for child in children if child is not None), "(no log)")


def _listens(url: str) -> bool:
    port = url.rstrip("/").rsplit(":", 1)[-1]
    return port.isdigit() and port_answers(int(port))


def refuse_second(home: Path) -> None:
    """Raises ConfigError while another `up` runs on *home*: two brokers would fight over one data folder."""
    pid = read_addresses(home).get("up_pid")
    if pid is None or int(pid) == os.getpid():
        return
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return
    raise ConfigError(
        f"a stack runs under {home} already (process {pid}). Stop it, or set BRANDPULSE_HOME to another folder, "
        "for example BRANDPULSE_HOME=./.brandpulse-2"
    )


def broker_of(home: Path, asked: str | None) -> str:
    """What was *asked* for (embedded, kafka), else what *home* has. Raises ConfigError where they do not go together.

    An `up` on the embedded broker in between would let Apache Kafka's log look like another one afterwards, and all of
    it would be counted again.
    """
    has_kafka = (home / "kafka" / "data").exists()
    if asked == "embedded" and has_kafka:
        raise ConfigError(
            f"the posts under {home} are in Apache Kafka; the embedded broker would begin with none. Start with "
            "`brandpulse up --broker kafka`, or set BRANDPULSE_HOME to another folder"
        )
    return asked or ("kafka" if has_kafka else "embedded")


def _broker_starter(home: Path, kind: str, jars: Path, kafka_port: int | None) -> Callable[[int | None], Broker]:
    if kind == "embedded":
        return lambda port: EmbeddedBroker(home, port=port)
    from brandpulse.devstack.apache_kafka_node import ApacheKafkaBroker

    return lambda port: ApacheKafkaBroker(home, jars=jars, port=port or kafka_port)


def run_up(*, workers: int, page_port: int, broker: str | None = None, kafka_port: int | None = None) -> int:
    """Starts the stack and watches it until SIGTERM or Ctrl-C. Raises ConfigError, StartError."""
    settings = load_settings(Settings)
    home = settings.home
    file = load_brands_file(settings.brands_file)
    refuse_second(home)
    kind = broker_of(home, broker)
    if page_port and port_answers(page_port):
        raise ConfigError(f"port {page_port} is in use. Choose another with --page-port, or 0 for any free one")
    console = Console(stderr=True, soft_wrap=True)
    shutil.rmtree(home / "run", ignore_errors=True)
    for warning in brand_warnings(file):
        console.print(f"warning: {settings.brands_file}: {warning}; {warning.remedy}")
    stack = Stack(
        home,
        env={"BRANDPULSE_BRANDS_FILE": str(settings.brands_file.resolve()), "BRANDPULSE_PAGE_PORT": str(page_port)},
        say=console.print,
        start_broker=_broker_starter(home, kind, settings.kafka_jars, kafka_port),
    )
    with stop_asked() as asked:
        try:
            stack.start_servers()
            start_services(stack, workers=workers)
            up = f": {workers} worker(s). Bring posts: `brandpulse ingest file PATH`. Ctrl-C stops."
            console.print(styled(("up", "bold green"), up))
            while not asked.wait(0.5):
                stack.mend()
        finally:
            console.print("stopping")
            stack.stop()
    return 0


def start_services(stack: Stack, *, workers: int) -> None:
    """Workers, alerter and page; returns when all of them listen. Raises StartError."""
    for number in range(1, workers + 1):
        stack.start_service(f"worker-{number}", "worker")
    stack.start_service("alerter", "alerter")
    stack.start_service("page", "dashboards", "page")
    if workers:
        stack.wait_announced("worker", workers)
    stack.wait_announced("alerter")
    [page_url, *_] = stack.wait_announced("page")
    stack.note(page_url=page_url)
    Console(stderr=True, soft_wrap=True).print(styled("page    ", (page_url, "bold")))
