"""The embedded stack as real processes, each watched and restarted after it ends."""

import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Protocol

from rich.text import Text

from brandpulse.config.kafka_settings import KafkaAccess
from brandpulse.config.redis_settings import RedisAccess
from brandpulse.devstack.embedded_servers import EmbeddedBroker, EmbeddedStore, store_answers
from brandpulse.errors import ConfigError
from brandpulse.runtime.child_process import WRONG_SETTINGS, Child, StartError, port_answers
from brandpulse.runtime.console import styled
from brandpulse.runtime.service_registry import ADDRESSES, read_addresses, running, write_json
from brandpulse.runtime.supervised_child import SupervisedChild

READY_SECONDS = 60.0
MAX_RESTARTS_AT_START = 2
"""A service that ends more often while `wait_announced` waits for it fails the start."""
_SESSION_TIMEOUT = "BRANDPULSE_WORKER_SESSION_TIMEOUT_SECONDS"


class Broker(Protocol):
    """A running broker process of the stack."""

    child: Child
    port: int
    bootstrap_servers: str
    durable: bool
    keeps: str
    """How long its records live, in words for the user."""
    after_death: str
    """What its end means for posts that are not counted yet, in words for the user."""

    def stop(self) -> None: ...


class Stack:
    """All processes that `up` started, in order of start; `stop` ends them in the opposite order."""

    def __init__(
        self,
        home: Path,
        *,
        env: Mapping[str, str] | None = None,
        report: Callable[[Text], None],
        start_broker: Callable[[int | None], Broker] | None = None,
    ) -> None:
        """*start_broker* gets the port of its predecessor, or None. Without it, the embedded broker is started."""
        self.home = home
        self._start_broker = start_broker or (lambda port: EmbeddedBroker(home, port=port))
        self._env = dict(env or {})
        self._report = report
        self._broker: Broker | None = None
        self._store: EmbeddedStore | None = None
        self._services: list[SupervisedChild] = []

    @property
    def addresses(self) -> dict[str, str]:
        return read_addresses(self.home)

    def start_servers(self) -> None:
        """Start broker and store on free ports and write their addresses to `<home>/stack.json`. Raises StartError."""
        self.home.mkdir(parents=True, exist_ok=True)
        self._wait_for_orphans()
        # The addresses that a killed `up` left may belong to other processes now.
        (self.home / ADDRESSES).unlink(missing_ok=True)
        self._store = EmbeddedStore(self.home, appendfsync="always")
        self._broker = self._start_broker(None)
        if isinstance(self._broker, EmbeddedBroker) and not os.environ.get(_SESSION_TIMEOUT):
            self._env.setdefault(_SESSION_TIMEOUT, str(self._broker.session_timeout_seconds))
        keeps = (self._broker.keeps, "" if self._broker.durable else "yellow")
        self._report(styled(f"broker  {self._broker.bootstrap_servers}   ", keeps))
        self._report(styled(f"store   {self._store.url}"))
        self.announce(
            kafka_bootstrap_servers=self._broker.bootstrap_servers,
            broker_keeps=self._broker.keeps,
            redis_url=self._store.url,
        )

    def _wait_for_orphans(self, *, patience_seconds: float = 15.0) -> None:
        """Wait for the store of a killed `up`, which ends soon after it. Raises ConfigError if it keeps running.

        Two Valkeys on one data folder would damage its append-only file.
        """
        url = self.addresses.get("redis_url")
        deadline = time.monotonic() + patience_seconds
        while url is not None and store_answers(url):
            if time.monotonic() > deadline:
                raise ConfigError(
                    f"a store of an earlier `up` still answers at {url}. Stop it (its data folder is "
                    f"{self.home / 'valkey'}), or set BRANDPULSE_HOME to another folder"
                )
            time.sleep(0.1)

    def set_env(self, **variables: str) -> None:
        """Set environment variables of the services that start from now on."""
        self._env.update(variables)

    def start_service(self, name: str, *arguments: str) -> SupervisedChild:
        """Run `brandpulse <arguments>` in a process that is restarted after it ends."""
        service = SupervisedChild(name, partial(self._launch, name, arguments))
        self._services.append(service)
        return service

    def wait_announced(self, kind: str, count: int = 1, *, timeout_seconds: float = READY_SECONDS) -> list[str]:
        """URLs of *count* processes of *kind*, once they listen. Raises StartError with the end of the log."""
        deadline = time.monotonic() + timeout_seconds
        while True:
            urls = [str(facts["url"]) for facts in running(self.home, kind) if _listens(str(facts.get("url", "")))]
            if len(urls) >= count:
                return urls
            self._refuse_wrong_settings()
            self.restart_ended()
            failing = any(service.restarts > MAX_RESTARTS_AT_START for service in self._services_of(kind))
            if failing or time.monotonic() > deadline:
                raise StartError(f"{kind} did not start:\n{self._reason_of(kind)}")
            time.sleep(0.1)

    def _refuse_wrong_settings(self) -> None:
        """Raises StartError with the reason of a service that ended because a setting or a file is wrong."""
        for service in self._services:
            child = service.child
            if child is not None and child.exit_code == WRONG_SETTINGS:
                raise StartError(f"{service.name} did not start: {child.reason()}")

    def restart_ended(self) -> None:
        """Restart every process that has ended; a service after a pause that grows with each restart."""
        self._restart_servers()
        for service in self._services:
            service.restart_if_ended(self._report_restart)

    def _report_restart(self, child: Child, pause: float) -> None:
        ended = (f"{child.name} ended with code {child.exit_code}", "red")
        self._report(styled(ended, f"; restarts in {pause:g} s; log: {child.log}"))

    def _restart_servers(self) -> None:
        """On the same ports, so that all clients reconnect."""
        if self._store is not None and self._store.child.exit_code is not None:
            ended = (f"the store ended with code {self._store.child.exit_code}", "red")
            self._report(styled(ended, "; restarts with its data"))
            self._store = EmbeddedStore(self.home, port=self._store.port, appendfsync="always")
        if self._broker is not None and self._broker.child.exit_code is not None:
            ended = (f"the broker ended with code {self._broker.child.exit_code}", "red")
            self._report(styled(ended, f"; {self._broker.after_death}"))
            self._broker = self._start_broker(self._broker.port)

    def stop(self) -> None:
        """Stop the services first, so that they can write what they hold in memory; then the servers."""
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

    def announce(self, **addresses: str) -> None:
        """Add *addresses* to `<home>/stack.json`, where other commands read them."""
        write_json(self.home / ADDRESSES, {**self.addresses, **addresses, "up_pid": str(os.getpid())})

    def _launch(self, name: str, arguments: tuple[str, ...]) -> Child:
        return Child(
            name,
            [sys.executable, "-m", "brandpulse", *arguments],
            log=self.home / "logs" / f"{name}.log",
            env={"BRANDPULSE_HOME": str(self.home), "PYTHONUNBUFFERED": "1", **self._env, **self._server_settings()},
        )

    def _server_settings(self) -> dict[str, str]:
        """The stack's own broker and store; access settings of the shell are cleared."""
        addresses = self.addresses
        fields = {*KafkaAccess.model_fields, *RedisAccess.model_fields}
        return {
            **{f"BRANDPULSE_{name}".upper(): "" for name in fields},
            "BRANDPULSE_KAFKA_BOOTSTRAP_SERVERS": addresses["kafka_bootstrap_servers"],
            "BRANDPULSE_REDIS_URL": addresses["redis_url"],
        }

    def _services_of(self, kind: str) -> list[SupervisedChild]:
        return [service for service in self._services if service.name.startswith(kind)]

    def _reason_of(self, kind: str) -> str:
        children = [service.latest for service in self._services_of(kind)]
        return next((child.reason() for child in children if child is not None), "(no log)")


def _listens(url: str) -> bool:
    port = url.rstrip("/").rsplit(":", 1)[-1]
    return port.isdigit() and port_answers(int(port))


def refuse_second(home: Path) -> None:
    """Raises ConfigError if another stack runs over the data folder *home*."""
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
