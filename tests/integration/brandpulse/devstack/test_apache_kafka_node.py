"""Apache Kafka under the data folder: errors that stop a start, and the files that remain."""

import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from brandpulse.devstack import apache_kafka_node as node
from brandpulse.devstack import kafka_jars as jars
from brandpulse.devstack.apache_kafka_node import ApacheKafkaBroker
from brandpulse.devstack.kafka_jars import check_jars, check_java, fetch, pinned
from brandpulse.devstack.up import choose_broker
from brandpulse.errors import ConfigError
from brandpulse.ops.doctor.kafka_checks import topic_findings
from brandpulse.runtime.child_process import free_port
from tests.support.kafka_broker import JARS, why_not

needs_kafka = pytest.mark.skipif(bool(why_not()), reason=why_not() or "it can")


def a_program(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IEXEC)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder in PATH; it holds the shell's own programs."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sh", "cat", "mkdir", "cp"):
        (folder / name).symlink_to(f"/bin/{name}")
    monkeypatch.setenv("PATH", str(folder))
    return folder


@pytest.mark.parametrize(
    ("says", "expected"),
    [
        (None, "no `java` in PATH"),
        ('openjdk version "11.0.2" 2019-01-15', "needs Java 17 or later"),
        ('java version "1.8.0_292"', "needs Java 17 or later"),
        ("Segmentation fault", "needs Java 17 or later"),
    ],
)
def test_missing_or_old_java_raises_an_error_with_the_package(programs: Path, says: str | None, expected: str) -> None:
    if says is not None:
        a_program(programs, "java", f"echo '{says}' >&2")
    with pytest.raises(ConfigError, match=expected) as caught:
        check_java()
    assert "openjdk-17-jre-headless" in str(caught.value)


def test_newer_java_is_accepted(programs: Path) -> None:
    a_program(programs, "java", "echo 'openjdk version \"21.0.1\" 2023-10-17' >&2")
    assert check_java() == "21.0.1"


def test_fetch_without_maven_names_its_package(programs: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no Maven") as caught:
        fetch(tmp_path / "jars")
    assert "apt-get install maven" in str(caught.value)


def test_fetch_without_a_network_fails_and_leaves_no_files(programs: Path, tmp_path: Path) -> None:
    a_program(programs, "mvn", "echo '[ERROR] Could not transfer artifact: Unknown host repo.maven.apache.org'; exit 1")
    with pytest.raises(ConfigError, match="Unknown host") as caught:
        fetch(tmp_path / "cache" / "jars")
    assert "network" in str(caught.value)
    assert list((tmp_path / "cache").iterdir()) == []


def test_fetched_jars_with_another_hash_are_rejected_and_deleted(programs: Path, tmp_path: Path) -> None:
    copies = "".join(f"echo fake > $into/{name}; " for name in pinned())
    a_program(
        programs,
        "mvn",
        f'for a in "$@"; do case $a in -DoutputDirectory=*) into=${{a#*=}};; esac; done\nmkdir -p $into; {copies}',
    )
    with pytest.raises(ConfigError, match="another SHA-256"):
        fetch(tmp_path / "jars")
    assert not (tmp_path / "jars").exists()


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (lambda lib: (lib / "one.jar").unlink(), "one.jar is missing"),
        (lambda lib: (lib / "one.jar").write_bytes(b"!"), "one.jar has another SHA-256"),
        (lambda lib: (lib / "evil.jar").write_bytes(b"x"), "evil.jar does not belong there"),
    ],
)
def test_missing_changed_and_foreign_jars_are_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: Callable[[Path], object], expected: str
) -> None:
    lib = tmp_path / "lib"
    lib.mkdir()
    (lib / "one.jar").write_bytes(b"1")
    digest = subprocess.run(["sha256sum", str(lib / "one.jar")], capture_output=True, text=True, check=True).stdout
    (tmp_path / "jars.sha256").write_text(f"{digest.split()[0]}  one.jar\n")
    monkeypatch.setattr(jars, "PINNED", tmp_path / "jars.sha256")
    check_jars(lib)
    damage(lib)
    with pytest.raises(ConfigError, match=expected) as caught:
        check_jars(lib)
    assert "brandpulse kafka fetch" in str(caught.value)


def test_missing_jar_folder_names_the_fetch_command(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="brandpulse kafka fetch"):
        check_jars(tmp_path / "none")


@needs_kafka
def test_a_port_in_use_stops_the_start_before_any_file_is_written(tmp_path: Path) -> None:
    fetch(JARS)
    with socket.create_server(("127.0.0.1", free_port())) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"port {port} is in use") as caught:
            ApacheKafkaBroker(tmp_path, jars=JARS, port=port)
    assert "--kafka-port" in str(caught.value)
    assert not (tmp_path / "kafka").exists()


@needs_kafka
class TestFolder:
    def test_a_folder_of_another_cluster_is_refused(self, tmp_path: Path) -> None:
        data = a_folder(tmp_path, "ours")
        (data / "meta.properties").write_text("#\nversion=1\ncluster.id=theirs\nnode.id=1\n")
        with pytest.raises(ConfigError, match=r"formatted for cluster theirs, but .* says ours"):
            ApacheKafkaBroker(tmp_path, jars=JARS)

    @pytest.mark.parametrize("half", [None, "", "#Sun Nov 22\nvers"])
    def test_a_half_written_folder_is_refused_with_a_remedy(self, tmp_path: Path, half: str | None) -> None:
        data = a_folder(tmp_path, "ours")
        if half is None:
            (data / "meta.properties").unlink()
        else:
            (data / "meta.properties").write_text(half)
        with pytest.raises(ConfigError, match="half-written or damaged") as caught:
            ApacheKafkaBroker(tmp_path, jars=JARS)
        assert f"delete {data}" in str(caught.value)

    def test_a_broker_that_keeps_running_on_the_folder_is_reported(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        data = a_folder(tmp_path, "ours")
        holder = subprocess.Popen(
            [
                sys.executable,
                "-c",
                "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.lockf(f, fcntl.LOCK_EX); print(1, flush=True);"
                "sys.stdin.read()",
                str(data / ".lock"),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert holder.stdout is not None
        holder.stdout.readline()
        try:
            with pytest.raises(ConfigError, match="another Apache Kafka still runs on"):
                node._wait_unlocked(data, patience_seconds=0.3)
        finally:
            holder.kill()
            holder.wait()
        node._wait_unlocked(data, patience_seconds=0.3)

    def test_leftovers_of_a_killed_format_are_removed(self, tmp_path: Path) -> None:
        leftover = tmp_path / "kafka" / "formatting-dead" / "data"
        leftover.mkdir(parents=True)
        (leftover / "meta.properties").write_text("vers")
        broker = ApacheKafkaBroker(tmp_path, jars=JARS)
        try:
            assert sorted(path.name for path in (tmp_path / "kafka").iterdir()) == [
                "cluster.id",
                "data",
                "server.properties",
            ]
        finally:
            broker.stop()


@needs_kafka
def test_a_cluster_id_that_looks_like_an_option_is_accepted(tmp_path: Path) -> None:
    """One id in 64 starts with a dash. A folder with such an id once could not be started."""
    (tmp_path / "kafka").mkdir()
    (tmp_path / "kafka" / "cluster.id").write_text("-b3uyiRiTLi1iAIyiBVQnA\n")
    broker = ApacheKafkaBroker(tmp_path, jars=JARS)
    broker.stop()
    assert "cluster.id=-b3uyiRiTLi1iAIyiBVQnA" in (tmp_path / "kafka" / "data" / "meta.properties").read_text()


def a_folder(home: Path, cluster_id: str) -> Path:
    data = home / "kafka" / "data"
    data.mkdir(parents=True)
    (home / "kafka" / "cluster.id").write_text(f"{cluster_id}\n")
    (data / "meta.properties").write_text(f"#\nversion=1\ncluster.id={cluster_id}\nnode.id=1\n")
    return data


@pytest.mark.parametrize(
    ("requested", "has_kafka", "expected"),
    [(None, False, "embedded"), (None, True, "kafka"), ("kafka", False, "kafka"), ("kafka", True, "kafka")],
)
def test_default_broker_is_the_one_of_the_data_folder(
    tmp_path: Path, requested: str | None, has_kafka: bool, expected: str
) -> None:
    if has_kafka:
        (tmp_path / "kafka" / "data").mkdir(parents=True)
    assert choose_broker(tmp_path, requested) == expected


@pytest.mark.parametrize(
    ("kept", "replicas", "brokers", "expected"),
    [
        ({"message.timestamp.type": "LogAppendTime", "min.insync.replicas": "2"}, 3, 3, []),
        ({"message.timestamp.type": "LogAppendTime", "min.insync.replicas": "1"}, 1, 1, []),
        ({}, 1, 1, []),
        ({"message.timestamp.type": "CreateTime"}, 1, 1, ["message.timestamp.type=LogAppendTime"]),
        ({"min.insync.replicas": "1"}, 3, 3, ["min.insync.replicas=2"]),
        ({"min.insync.replicas": "1"}, 1, 3, ["BRANDPULSE_REPLICATION_FACTOR=3"]),
    ],
)
def test_doctor_warns_of_topic_settings_that_may_lose_records(
    kept: dict[str, str], replicas: int, brokers: int, expected: list[str]
) -> None:
    findings = topic_findings("posts", kept, replicas=replicas, brokers=brokers)
    assert [part in finding.remedy for part, finding in zip(expected, findings, strict=True)] == [True] * len(expected)
    assert all(finding.warning for finding in findings)
