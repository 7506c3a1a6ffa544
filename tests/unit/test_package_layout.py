"""The layout of the packages, and what starting a command imports."""

import importlib
import re
import resource
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.support.repository import ROOT

PACKAGES = ("brandpulse", "model", "ingest", "stream_workers", "alerting", "dashboards")
MAX_MODULES = 14


@pytest.mark.parametrize("package", PACKAGES)
def test_each_package_is_imported_from_this_repository(package: str) -> None:
    module = importlib.import_module(package)
    assert module.__file__ is not None
    assert Path(module.__file__).is_relative_to(ROOT)


def run_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    return done.stdout


def test_the_command_line_loads_no_service_and_nothing_heavy() -> None:
    loaded = run_python("import brandpulse.cli.root, sys; print(' '.join(sys.modules))").split()
    heavy = {"torch", "transformers", "numpy", "openvino", "redis", "confluent_kafka", "faust", "pydantic", "aiohttp"}
    assert not heavy & set(loaded)
    literals = {"model", "model.spec", "model.spec.options", "model.spec.weights"}
    assert not {name for name in loaded if name.split(".")[0] in PACKAGES[1:]} - literals


def cpu_seconds(*arguments: str) -> float:
    """What one run takes of the processor: what runs beside it changes the clock's seconds far more than these."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], capture_output=True, cwd=ROOT, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def test_help_takes_little_more_than_its_libraries() -> None:
    assert b"doctor" in subprocess.check_output([sys.executable, "-m", "brandpulse", "--help"], cwd=ROOT)
    libraries = "import typer, typer.rich_utils, rich.markdown, rich.columns, rich.traceback"
    turns = [(cpu_seconds("-m", "brandpulse", "--help"), cpu_seconds("-c", libraries)) for _ in range(3)]
    # 1.3 times, measured: .29 s against .23. One heavy import (pydantic with redis: .4 s) would take it past twice.
    assert min(ours for ours, _ in turns) < 2 * min(theirs for _, theirs in turns)


def test_a_worker_on_a_cpu_never_loads_torch() -> None:
    code = "import stream_workers.run, model.cpu.openvino_classifier, sys; print('torch' in sys.modules)"
    assert run_python(code).strip() == "False"


def modules() -> list[Path]:
    return [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]


def test_no_module_imports_our_packages_by_a_string() -> None:
    """import-linter sees import statements only."""
    by_string = re.compile(r"\b(import_module|__import__)\(")
    assert [path for path in modules() if by_string.search(path.read_text(encoding="utf-8"))] == []


def test_a_folder_holds_at_most_fourteen_modules() -> None:
    count = Counter(str(path.parent.relative_to(ROOT)) for path in modules() if path.name != "__init__.py")
    assert {folder: many for folder, many in count.items() if many > MAX_MODULES} == {}


def test_a_package_file_holds_one_docstring_line_at_most() -> None:
    texts = {path: path.read_text(encoding="utf-8").strip() for path in modules() if path.name == "__init__.py"}
    assert [path for path, text in texts.items() if text and not re.fullmatch(r'"""[^\n"]+"""', text)] == []


def test_services_make_redis_clients_in_one_module_only() -> None:
    """A client made elsewhere would know no TLS, no user and no cluster."""
    own = {
        "brandpulse/redis/client.py",
        "brandpulse/devstack/embedded_servers.py",
        "brandpulse/devstack/demo.py",
    }  # the last two: servers of ours
    found = {str(path.relative_to(ROOT)) for path in modules() if "Redis.from_url(" in path.read_text(encoding="utf-8")}
    found = {name for name in found if not name.startswith("brandpulse/bench/")}
    assert found - own == set()


def test_no_tracked_file_names_a_folder_outside_the_repository() -> None:
    tracked = subprocess.run(["git", "ls-files", "-z"], capture_output=True, cwd=ROOT, check=True).stdout.split(b"\0")
    texts = [ROOT / name.decode() for name in tracked if name and name.rsplit(b".", 1)[-1] in (b"py", b"md", b"yml")]
    outside = "../" + "shared"
    assert [path for path in texts if path.is_file() and outside in path.read_text(encoding="utf-8")] == []
