"""One node of Apache Kafka under the data folder, broker and controller in one process, for `brandpulse up`.

<home>/kafka/cluster.id          the cluster's id, created once
<home>/kafka/data/               Kafka's log; formatted elsewhere, then moved here, so that it is always complete
<home>/kafka/server.properties   written at each start
<home>/logs/broker.log           Kafka's log messages
"""

import base64
import contextlib
import fcntl
import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

from brandpulse.config.settings import KAFKA_VERSION
from brandpulse.devstack.embedded_servers import broker_answers
from brandpulse.devstack.kafka_jars import check_jars, check_java
from brandpulse.errors import ConfigError
from brandpulse.runtime.child_process import Child, free_port, port_answers

LOGGING = f"-Dlog4j2.configurationFile={Path(__file__).with_name('kafka_log4j2.properties').as_uri()}"
NODE_ID = 1
JAVA = "java"


class ApacheKafkaBroker:
    """Its records survive `stop` and `child.kill`: a new one on the same folder has them."""

    durable = True
    after_death = "restarts with its records"

    def __init__(self, home: Path, *, jars: Path, port: int | None = None) -> None:
        """Start it. Raises ConfigError (Java, jars, port, folder) and StartError."""
        check_java()
        check_jars(jars)
        if port is not None and port_answers(port):
            raise ConfigError(
                f"port {port} is in use, so Apache Kafka cannot listen there. Stop the process that uses it, or choose "
                "another port with --kafka-port, or 0 for any free one"
            )
        self.folder = (home / "kafka").resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = port or _last_port(self.folder / "server.properties") or free_port()
        self.bootstrap_servers = f"127.0.0.1:{self.port}"
        self.keeps = f"Apache Kafka {KAFKA_VERSION}; records on disk, under {self.folder / 'data'}"
        data = self.folder / "data"
        config = self.folder / "server.properties"
        _write(config, self._properties(data, controller=free_port()))
        _prepare(self.folder, config, data, jars)
        _wait_unlocked(data)
        self.child = Child(
            "broker",
            [JAVA, "-Xmx512m", LOGGING, "-cp", f"{jars}/*", "kafka.Kafka", str(config)],
            log=home / "logs" / "broker.log",
        )
        # After a kill, it reads its open segments before it answers.
        self.child.wait_ready(lambda: broker_answers(self.bootstrap_servers), timeout_seconds=120)

    def stop(self) -> None:
        self.child.stop(grace_seconds=30)

    def _properties(self, data: Path, *, controller: int) -> dict[str, object]:
        return {
            "process.roles": "broker,controller",
            "node.id": NODE_ID,
            "controller.quorum.voters": f"{NODE_ID}@127.0.0.1:{controller}",
            "controller.listener.names": "CONTROLLER",
            "listeners": f"PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{self.port}",
            "log.dirs": data,
            "log.message.timestamp.type": "LogAppendTime",
            # Without a second replica, a power cut could leave a log that ends before `next`; workers would take it for
            # another log and read it from the start. With this setting, records are on disk before Kafka acknowledges
            # or returns them.
            "log.flush.interval.messages": 1,
            "offsets.topic.num.partitions": 1,
            "offsets.topic.replication.factor": 1,
            "transaction.state.log.num.partitions": 1,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "group.initial.rebalance.delay.ms": 0,
            "auto.create.topics.enable": "false",
        }


def _last_port(config: Path) -> int | None:
    """The port of the last start, which clients may still use; None if another process uses it now."""
    with contextlib.suppress(OSError, ValueError):
        port = int(str(_parse(config).get("advertised.listeners", "")).rsplit(":", 1)[-1])
        return None if port_answers(port) else port
    return None


def _prepare(folder: Path, config: Path, data: Path, jars: Path) -> None:
    """Ensure that *data* is formatted and belongs to the cluster of *folder*. Raises ConfigError if it is unusable."""
    for leftover in folder.glob("formatting-*"):
        shutil.rmtree(leftover)  # left by an `up` that was killed while formatting; it holds no records
    known = folder / "cluster.id"
    if not data.exists():
        cluster_id = _read(known) or base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        known.write_text(f"{cluster_id}\n", encoding="utf-8")
        _format(folder, config, data, jars, cluster_id)
    found = _cluster_of(data)
    if not found:
        raise ConfigError(
            f"{data / 'meta.properties'} names no cluster: the folder is half-written or damaged. If you do not need "
            f"its posts, delete {data} and start again; else restore {data / 'meta.properties'} from a backup"
        )
    if not known.exists():
        known.write_text(f"{found}\n", encoding="utf-8")
    if (wanted := _read(known)) != found:
        raise ConfigError(
            f"{data} was formatted for cluster {found}, but {known} says {wanted}: it belongs to another installation. "
            f"Restore the right folder, or set BRANDPULSE_HOME to another; to use this log, delete {known}"
        )


def _format(folder: Path, config: Path, data: Path, jars: Path, cluster_id: str) -> None:
    work = folder / f"formatting-{uuid.uuid4().hex[:8]}"
    work.mkdir()
    elsewhere = work / "server.properties"
    _write(elsewhere, {**_parse(config), "log.dirs": work / "data"})
    arguments = ["kafka.tools.StorageTool", "format", f"--cluster-id={cluster_id}", "-c", str(elsewhere)]
    done = subprocess.run(  # noqa: S603 - no shell
        [JAVA, LOGGING, "-cp", f"{jars}/*", *arguments], capture_output=True, text=True, timeout=120, check=False
    )
    if done.returncode:
        output = (done.stderr + done.stdout).strip().splitlines()[-5:]
        raise ConfigError(f"Apache Kafka could not format {work}: {' '.join(output)[:600]}")
    (work / "data").rename(data)
    shutil.rmtree(work)


def _wait_unlocked(data: Path, *, patience_seconds: float = 30.0) -> None:
    """Wait for the broker of a killed `up`, which ends soon after it. Raises ConfigError if it keeps running.

    Kafka locks its folder too, but would only end with a stack trace.
    """
    deadline = time.monotonic() + patience_seconds
    while _locked(data / ".lock"):
        if time.monotonic() > deadline:
            raise ConfigError(
                f"another Apache Kafka still runs on {data}, started by an earlier `up`. Stop it "
                "(`fuser` or `lsof` on the folder names it), or set BRANDPULSE_HOME to another folder"
            )
        time.sleep(0.1)


def _locked(path: Path) -> bool:
    try:
        with path.open("r+b") as file:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def _cluster_of(data: Path) -> str:
    with contextlib.suppress(OSError):
        return str(_parse(data / "meta.properties").get("cluster.id", ""))
    return ""


def _read(path: Path) -> str:
    with contextlib.suppress(FileNotFoundError):
        return path.read_text(encoding="utf-8").strip()
    return ""


def _write(path: Path, properties: Mapping[str, object]) -> None:
    path.write_text("".join(f"{name}={value}\n" for name, value in properties.items()), encoding="utf-8")


def _parse(path: Path) -> dict[str, object]:
    return dict(_lines(path.read_text(encoding="utf-8", errors="replace")))


def _lines(text: str) -> Iterator[tuple[str, object]]:
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        if equals and not name.startswith("#"):
            yield name.strip(), value.strip()
