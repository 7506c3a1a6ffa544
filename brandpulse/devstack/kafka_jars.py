"""Apache Kafka's jars: fetched with Maven, and used only if each equals the tested one byte for byte."""

import hashlib
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from brandpulse.config.settings import KAFKA_VERSION
from brandpulse.errors import ConfigError

JAVA = 17
"""Oldest Java version that the broker runs on."""
POM = Path(__file__).with_name("kafka_pom.xml")
PINNED = Path(__file__).with_name("kafka_jars.sha256")
"""Output of `sha256sum`: Kafka, its runtime dependencies, and the logging binding."""
FETCH_SECONDS = 600


def pinned() -> dict[str, str]:
    """SHA-256 by file name."""
    lines = (line.split() for line in PINNED.read_text(encoding="utf-8").splitlines())
    return {name: digest for digest, name in lines}


def check_java() -> str:
    """The installed version, such as "17.0.15". Raises ConfigError if there is no Java, or if it is too old."""
    java = shutil.which("java")
    remedy = f"Install Java {JAVA} or later, for example `apt-get install openjdk-{JAVA}-jre-headless`"
    if java is None:
        raise ConfigError(f"Apache Kafka needs Java {JAVA}, but there is no `java` in PATH. {remedy}")
    result = subprocess.run([java, "-version"], capture_output=True, text=True, check=False, timeout=60)  # noqa: S603
    found = re.search(r'version "((\d+)[^"]*)"', result.stderr + result.stdout)
    if found is None or int(found[2]) < JAVA:
        version = found[1] if found else (result.stderr.strip() or "nothing")
        raise ConfigError(f"Apache Kafka needs Java {JAVA} or later; {java} reports {version[:200]}. {remedy}")
    return found[1]


def check_jars(folder: Path) -> None:
    """Raises ConfigError unless *folder* holds exactly the pinned jars."""
    wanted = pinned()
    if not folder.is_dir():
        raise ConfigError(
            f"Apache Kafka's jars are not at {folder}. Fetch them with `brandpulse kafka fetch` (44 MB through Maven), "
            "or set BRANDPULSE_KAFKA_JARS to a folder that has them"
        )
    faults = [f"{name} is missing" for name in sorted(wanted.keys() - {path.name for path in folder.iterdir()})]
    for path in sorted(folder.iterdir()):
        if path.name not in wanted:
            # The whole folder is on the class path: Java may run any file in it.
            faults.append(f"{path.name} does not belong there")
        elif _digest(path) != wanted[path.name]:
            faults.append(f"{path.name} has another SHA-256 than {PINNED.name} pins")
    if faults:
        more = f" and {len(faults) - 3} more" if len(faults) > 3 else ""
        raise ConfigError(
            f"{folder}: {'; '.join(faults[:3])}{more}. No file of it is run. "
            f"Delete the folder and run `brandpulse kafka fetch` again"
        )


def fetch(folder: Path) -> bool:
    """Fetch the jars into *folder* with Maven; False if they are there already.

    Raises ConfigError, and then leaves no files.
    """
    if folder.is_dir():
        check_jars(folder)
        return False
    maven = shutil.which("mvn")
    if maven is None:
        raise ConfigError(
            "there is no Maven (`mvn`) in PATH to fetch Apache Kafka with. Install it, for example "
            f"`apt-get install maven`, or copy the folder from another machine to {folder}"
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f"{folder.name}.fetching-") as work:
        fetched = Path(work) / "lib"
        _run_maven(maven, Path(work), fetched)
        check_jars(fetched)
        try:
            fetched.rename(folder)
        except OSError:
            check_jars(folder)  # another process fetched them meanwhile
            return False
    return True


def _run_maven(maven: str, work: Path, into: Path) -> None:
    shutil.copy(POM, work / "pom.xml")
    command = [maven, "-q", "-B", "dependency:copy-dependencies", f"-DoutputDirectory={into}", "-DincludeScope=runtime"]
    try:
        done = subprocess.run(  # noqa: S603 - no shell
            command, cwd=work, capture_output=True, text=True, timeout=FETCH_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise ConfigError(f"Maven did not finish within {FETCH_SECONDS} s. Check the network and try again") from None
    if done.returncode:
        errors = [line for line in (done.stdout + done.stderr).splitlines() if "ERROR" in line][:3]
        raise ConfigError(
            f"Maven could not fetch Apache Kafka {KAFKA_VERSION} (exit code {done.returncode}): "
            f"{' '.join(errors)[:600]}\n"
            "Check the network, or the mirror in ~/.m2/settings.xml. Or copy the folder from another machine and set "
            "BRANDPULSE_KAFKA_JARS to it"
        )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
