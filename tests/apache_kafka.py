"""A real Apache Kafka (KRaft, one node) without Docker: jars through Maven once, then 2 s a start."""

import os
import shutil
import subprocess
import uuid
from pathlib import Path

from brandpulse.embedded import broker_answers
from brandpulse.processes import Child, free_port

VERSION = "4.3.0"
CACHE = Path(os.environ.get("BRANDPULSE_TEST_CACHE", Path.home() / ".cache" / "brandpulse-tests"))
POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>brandpulse</groupId><artifactId>kafka-for-tests</artifactId><version>1</version>
<dependencies><dependency>
<groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{VERSION}</version>
</dependency></dependencies></project>"""


def why_not() -> str:
    """Why Apache Kafka cannot run here, in plain words; empty when it can."""
    if shutil.which("java") is None:
        return "no JVM here: install Java 17 to run the tests on Apache Kafka"
    if not _jars().is_dir() and shutil.which("mvn") is None:
        return "no Maven here to fetch Apache Kafka's jars"
    return ""


def _jars() -> Path:
    return CACHE / f"kafka-{VERSION}" / "lib"


def fetch_jars() -> Path:
    """The folder of Kafka's jars; fetched at the first call, some 10 s."""
    jars = _jars()
    if jars.is_dir():
        return jars
    work = CACHE / f"kafka-{VERSION}-{uuid.uuid4().hex[:8]}"
    work.mkdir(parents=True)
    (work / "pom.xml").write_text(POM)
    command = ["mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=lib", "-DincludeScope=runtime"]
    done = subprocess.run(command, cwd=work, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        raise RuntimeError(f"Maven could not fetch Apache Kafka {VERSION}:\n{done.stdout[-2_000:]}{done.stderr[-500:]}")
    jars.parent.mkdir(exist_ok=True)
    try:
        (work / "lib").rename(jars)
    except OSError:
        if not jars.is_dir():  # else another run was faster
            raise
    shutil.rmtree(work, ignore_errors=True)
    return jars


class ApacheKafka:
    """One node; its log survives `kill` and `start`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._classpath = f"{fetch_jars()}/*"
        port, controller = free_port(), free_port()
        self.bootstrap_servers = f"127.0.0.1:{port}"
        self._config = folder / "server.properties"
        folder.mkdir(parents=True, exist_ok=True)
        self._config.write_text(
            "\n".join(
                [
                    "process.roles=broker,controller",
                    "node.id=1",
                    f"controller.quorum.voters=1@127.0.0.1:{controller}",
                    f"listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
                    f"advertised.listeners=PLAINTEXT://127.0.0.1:{port}",
                    "controller.listener.names=CONTROLLER",
                    f"log.dirs={folder / 'data'}",
                    "offsets.topic.replication.factor=1",
                    "offsets.topic.num.partitions=1",
                    "transaction.state.log.replication.factor=1",
                    "transaction.state.log.min.isr=1",
                    "group.initial.rebalance.delay.ms=0",
                    "auto.create.topics.enable=false",
                ]
            )
        )
        self._java("kafka.tools.StorageTool", "format", "-t", str(uuid.uuid4()), "-c", str(self._config))
        self.start()

    def start(self) -> None:
        self.child = Child(
            "kafka",
            ["java", "-Xmx512m", "-cp", self._classpath, "kafka.Kafka", str(self._config)],
            log=self._folder / "kafka.log",
        )
        self.child.wait_ready(lambda: broker_answers(self.bootstrap_servers), timeout_seconds=60)

    def stop(self) -> None:
        self.child.stop(grace_seconds=10)

    def _java(self, *arguments: str) -> None:
        subprocess.run(["java", "-cp", self._classpath, *arguments], check=True, capture_output=True, timeout=60)
