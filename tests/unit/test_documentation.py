"""Pages name what exists: links, files, modules, commands with their options, settings and metrics."""

import importlib.util
import itertools
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic_settings import BaseSettings
from typer.testing import CliRunner

from alerting.settings import AlerterSettings
from brandpulse.cli.root import app
from brandpulse.config.settings import Settings, variables_of
from brandpulse.runtime.metric_definitions import ALERTER_METRICS, INGEST_METRICS, SERVE_METRICS, WORKER_METRICS
from dashboards.settings import GrafanaSettings, PageSettings
from ingest.settings import IngestSettings
from model.serve.settings import ServeSettings
from model.settings import ModelSettings
from stream_workers.settings import WorkerSettings
from tests.support.repository import ROOT

PAGES = sorted(
    {
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "model").rglob("MODEL_CARD.md"),
        *(ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CHANGELOG.md", "brandpulse/sample/README.md")),
    }
)
FOLDERS = "alerting|brandpulse|dashboards|deploy|docs|examples|ingest|model|schemas|stream_workers|tests"
PATH = re.compile(rf"(?:(?:{FOLDERS})/|\*/)[\w.*/-]*")
SETTINGS: tuple[type[BaseSettings], ...] = (
    Settings,
    WorkerSettings,
    AlerterSettings,
    IngestSettings,
    PageSettings,
    GrafanaSettings,
    ModelSettings,
    ServeSettings,
)
OTHER_VARIABLES = {"BRANDPULSE_HOME", "BRANDPULSE_MACHINE_EXAMPLES", "BRANDPULSE_URL"}
"""Read by the file layout, by the tests and by examples/helpdesk_bridge.py."""
UNWANTED = re.compile(r"\b(told|stands?(?! out)|nobody|whoever|somebody|anew|grave)\b", re.IGNORECASE)
QUOTED = "Nobody answers. I want my money back today."
"""A customer's words in an example ticket."""


def fenced(page: Path) -> list[str]:
    """The lines inside code blocks."""
    return [
        line
        for block in re.findall(
            r"^ *```(?:sh)?\n(.*?)^ *```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
        )
        for line in block.replace("\\\n", " ").splitlines()
    ]


def spans(page: Path) -> list[str]:
    """The code in running text."""
    text = re.sub(r"^ *```.*?^ *```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    return [span.replace("\n", " ") for span in re.findall(r"`([^`]+)`", text)]


def anchors(page: Path) -> set[str]:
    """The anchors of *page*'s headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def commands() -> Iterator[tuple[str, tuple[str, ...], frozenset[str]]]:
    """Each command of the pages: where it is, its words up to the first option, its options."""
    for page in PAGES:
        for text in fenced(page) + spans(page):
            line = text.strip().split(" # ")[0].split("  #")[0]
            match = re.search(r"(?:^|&& |[A-Z_]+=\S+ |-m )brandpulse ([a-z].*)", re.split(r" [|>] ", line)[0])
            if match is None:
                continue
            try:
                tokens = shlex.split(match[1].replace("[", "").replace("]", ""))
            except ValueError:  # an apostrophe in a sentence
                continue
            words = tuple(itertools.takewhile(lambda token: not token.startswith("-"), tokens))
            options = frozenset(token.split("=")[0] for token in tokens if re.match(r"--[a-z]", token))
            for choice in itertools.product(*(word.split("|") for word in words)):
                yield page.relative_to(ROOT).as_posix(), choice, options


NAMED = sorted({(where, " ".join(words), options) for where, words, options in commands()}, key=str)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_and_named_files_exist(page: Path) -> None:
    missing = []
    for link in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`]*`", "", page.read_text(encoding="utf-8"))):
        if link.startswith(("http:", "https:")):
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            missing.append(link)
    for span in spans(page):
        name = span.rstrip("/")
        if PATH.fullmatch(span) and not any(ROOT.glob(name)) and not any((ROOT / "docs").glob(name)):
            missing.append(span)
    for module in re.findall(r"python -m ([\w.]+)", page.read_text(encoding="utf-8")):
        if importlib.util.find_spec(module) is None:
            missing.append(module)
    assert missing == []


def test_named_commands_and_their_options_exist() -> None:
    assert len(NAMED) >= 60
    runner = CliRunner(env={"COLUMNS": "250", "TERMINAL_WIDTH": "250", "NO_COLOR": "1"})
    wrong, helps = [], {}
    for where, words, options in NAMED:
        if words not in helps:
            helps[words] = runner.invoke(app, [*words.split(), "--help"])
        shown = helps[words]
        unknown = sorted(option for option in options if not re.search(rf"{option}\b", shown.output))
        if shown.exit_code != 0 or unknown:
            wrong.append((where, words, unknown))
    assert wrong == []


def test_named_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {
        target
        for page in PAGES
        for text in fenced(page) + spans(page)
        for target in re.findall(r"(?:^|[A-Z_]+=\S+ |&& )make ([a-z-]+)", text.strip())
    }
    assert named - targets == set()


def test_named_settings_and_metrics_exist() -> None:
    settings = {name for kind in SETTINGS for name in variables_of(kind)} | OTHER_VARIABLES
    metrics = {metric.name for metric in (*WORKER_METRICS, *ALERTER_METRICS, *INGEST_METRICS, *SERVE_METRICS)}
    wrong = []
    for page in [*PAGES, ROOT / "deploy" / "rules.yml"]:
        text = page.read_text(encoding="utf-8")
        names = set(re.findall(r"\bBRANDPULSE_[A-Z_]*[A-Z]\b", text))
        wrong += [(page.name, name) for name in names - settings]
        wrong += [(page.name, name) for name in set(re.findall(r"\bbrandpulse_[a-z_]+\b", text)) - metrics]
    assert wrong == []


def test_pages_that_code_names_exist() -> None:
    missing = [
        (file.relative_to(ROOT).as_posix(), page)
        for folder in FOLDERS.split("|")
        for suffix in ("py", "pyi", "rs", "lua", "js", "yml", "yaml", "toml")
        for file in (ROOT / folder).rglob(f"*.{suffix}")
        for page in re.findall(r"\bdocs/[\w/-]+\.md", file.read_text(encoding="utf-8"))
        if not (ROOT / page).exists()
    ]
    assert missing == []


def test_decisions_are_numbered_without_holes() -> None:
    files = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    assert [int(file.name[:4]) for file in files] == list(range(1, len(files) + 1))
    assert [file.read_text(encoding="utf-8").split(".")[0] for file in files] == [
        f"# {number}" for number in range(1, len(files) + 1)
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_page_uses_no_unwanted_word(page: Path) -> None:
    assert UNWANTED.findall(page.read_text(encoding="utf-8").replace(QUOTED, "")) == []
