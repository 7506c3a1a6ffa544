"""Names, ids and posts on a terminal print unchanged, in every command."""

import ast
import io
import json
import re

import pytest
from rich.panel import Panel
from rich.table import Table

from brandpulse.runtime.console import Console, echo, id_column, styled, visible
from tests.support.repository import ROOT

PACKAGES = ("alerting", "brandpulse", "dashboards", "ingest", "model", "stream_workers")
NAMES = [
    "acme [beta]",
    "Blue :bank:",
    "[/]",
    "[red]x[/red]",
    "[link=https://evil.example]y[/link]",
    "a:negative_share:b",
]


def printed(*what: object, width: int = 300, **options: object) -> str:
    out = io.StringIO()
    Console(file=out, width=width).print(*what, **options)  # type: ignore[arg-type]
    return out.getvalue()


@pytest.mark.parametrize("name", NAMES)
def test_names_print_unchanged_in_lines_tables_and_panels(name: str) -> None:
    table = Table(name, title=name, caption=name)
    table.add_row(name)
    assert printed(name).strip() == name
    assert printed(table).count(name) == 4
    assert printed(Panel(name, title=styled((name, "bold")))).count(name) == 2


def test_markup_stays_off_even_if_a_caller_enables_it() -> None:
    assert printed("[red]x[/]", markup=True, emoji=True).strip() == "[red]x[/]"


def test_terminal_codes_and_direction_marks_are_escaped() -> None:
    assert visible("a\x1b[2J\x9b1m\u202eb\tc\nd") == "a\\x1b[2J\\x9b1m\\u202eb\tc\nd"
    table = Table("name")
    table.add_row("a\x1b]8;;https://evil.example\x07b")
    assert "\x1b" not in printed(table)
    assert "\x1b" not in printed("x\x1b[31m", soft_wrap=True)
    assert "\x1b" not in str(styled(("\x1b[31m", "bold"), "\x1b"))


def test_echo_prints_to_the_chosen_stream(capsys: pytest.CaptureFixture[str]) -> None:
    echo("[bold]a :bank:\x1b")
    echo("b", err=True)
    assert tuple(capsys.readouterr()) == ("[bold]a :bank:\\x1b\n", "b\n")


@pytest.mark.parametrize("width", [60, 100, 200])
def test_an_id_is_never_cut(width: int) -> None:
    key = "Acme:negative_share:2026-03-02T10:00Z" + "x" * 80
    table = Table(id_column("key", [key], width=width), "why")
    table.add_row(key, "because of a long reason that has many words " * 5)
    lines = printed(table, width=width).splitlines()
    cells = [re.split("[│┃]", line)[1].strip() for line in lines if "│" in line]
    assert "".join(cells).replace(" ", "") == key


def test_a_short_id_stays_on_one_line_beside_a_long_reason() -> None:
    key = "Acme Air:negative_share:2026-03-02T10:00Z"
    table = Table(id_column("key", [key], width=100), "why")
    table.add_row(key, "because of a long reason that has many words " * 5)
    assert key in printed(table, width=100)


def test_only_this_console_is_created_and_markup_is_off() -> None:
    found = []
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            for node in ast.walk(tree):
                module = node.module if isinstance(node, ast.ImportFrom) else None
                names = [one.name for one in node.names] if isinstance(node, (ast.Import, ast.ImportFrom)) else []
                wrong = (
                    (module or "").startswith(("rich.console", "rich.markup", "rich.prompt"))
                    or (module == "rich" and set(names) & {"print", "get_console", "inspect"})
                    or any(name.startswith(("rich.console", "rich.markup")) for name in names if module is None)
                    or (isinstance(node, ast.Attribute) and node.attr == "from_markup")
                )
                if wrong and path.name != "console.py":
                    found.append(f"{path.relative_to(ROOT)}:{node.lineno}")  # type: ignore[attr-defined]
    assert found == []


def test_command_texts_contain_no_console_markup() -> None:
    """Since nothing reads it, it would be printed."""
    wrong = re.compile(r"\[/\]|\[(bold|dim|red|green|yellow)\b[a-z ]*\]")
    found = []
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str) and wrong.search(node.value):
                    found.append(f"{path.relative_to(ROOT)}:{node.lineno}: {json.dumps(node.value)[:60]}")
    assert found == []
