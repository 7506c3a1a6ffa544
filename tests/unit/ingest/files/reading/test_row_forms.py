"""One table of posts in every form of file that is read."""

import gzip
import json
import random
import string
import tracemalloc
from datetime import datetime
from pathlib import Path

import pytest
import zstandard

from ingest.files.reading.row import InputError, Reject, Row
from ingest.files.reading.row_reader import RowFile
from tests.support.workbooks import write_workbook

COLUMNS = ["id", "text", "created_at", "author_id"]
POSTS = [
    ["p1", "Acme Air lost my bag", "2026-03-02T10:00:00Z", "ann"],
    ["p2", 'He said "größer"\nand left', "2026-03-02T10:01:00Z", "bo"],
    ["p3", "a, b; c\td", "2026-03-02T10:02:00Z", "cy"],
]
OBJECTS = [dict(zip(COLUMNS, post, strict=True)) for post in POSTS]


def table(delimiter: str) -> str:
    quoted = [[f'"{cell.replace(chr(34), chr(34) * 2)}"' for cell in row] for row in [COLUMNS, *POSTS]]
    return "".join(delimiter.join(row) + "\r\n" for row in quoted)


LINES = "".join(json.dumps(one) + "\n" for one in OBJECTS)
PREAMBLE = 'Report:,Acme Air\r\n"From, to",2026\r\n\r\n'
PAGE = {"includes": {"users": [{"id": "ann"}]}, "data": OBJECTS, "meta": {"result_count": 3}}

FORMS: dict[str, bytes] = {
    "utf16.csv": table(",").encode("utf-16"),
    "utf16le-no-mark.csv": table("\t").encode("utf-16-le"),
    "utf16be-no-mark.tsv": table("\t").encode("utf-16-be"),
    "utf16.jsonl": LINES.encode("utf-16"),
    "preamble.csv": (PREAMBLE + table(",")).encode(),
    "preamble-semicolons.csv": (PREAMBLE + table(";")).encode("utf-8-sig"),
    "preamble-utf16.csv": (PREAMBLE + table("\t")).encode("utf-16"),
    "array.json": json.dumps(OBJECTS).encode(),
    "array-pretty.json": json.dumps(OBJECTS, indent=2).encode("utf-8-sig"),
    "array-utf16.json": json.dumps(OBJECTS, ensure_ascii=False).encode("utf-16"),
    "page.json": json.dumps(PAGE).encode(),
    "page-pretty.json": json.dumps({"data": OBJECTS, "meta": {}}, indent=1).encode(),
    "pages.jsonl": b"".join(json.dumps({"data": [one], "meta": {}}).encode() + b"\n" for one in OBJECTS),
    "pretty-values.json": "\n".join(json.dumps(one, indent=2) for one in OBJECTS).encode(),
    "tweets.js": b"window.YTD.tweets.part0 = " + json.dumps(OBJECTS, indent=2).encode(),
    "lines.jsonl.zst": zstandard.ZstdCompressor().compress(LINES.encode()),
    "frames.zst": b"".join(zstandard.compress(f"{line}\n".encode()) for line in LINES.splitlines()),
    "table.csv.zst": zstandard.ZstdCompressor().compress(table(",").encode()),
    "array.json.gz": gzip.compress(json.dumps(OBJECTS).encode()),
    "no-ending": json.dumps(OBJECTS).encode(),
}


def cells(file: RowFile) -> list[list[object]]:
    rows = list(file.rows(COLUMNS))
    assert not [row for row in rows if isinstance(row, Reject)], rows
    return [list(row.cells) for row in rows if isinstance(row, Row)]


@pytest.mark.parametrize("name", FORMS)
def test_every_form_gives_the_same_rows(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(FORMS[name])
    file = RowFile(tmp_path / name)
    assert cells(file) == POSTS
    assert cells(file) == POSTS, "a second reading differs"


def test_workbook_gives_the_rows_of_the_sheet_with_posts(tmp_path: Path) -> None:
    times: list[list[object]] = [[*row[:2], datetime.fromisoformat(str(row[2])[:-1]), row[3]] for row in POSTS]
    sheets: dict[str, list[list[object]]] = {
        "Summary": [["Acme Air"], ["posts", 3]],
        "Mentions": [["Report", None], [], [*COLUMNS], *times],
    }
    file = RowFile(write_workbook(tmp_path / "a.xlsx", sheets))
    assert [[*row[:2], row[3]] for row in cells(file)] == [[*row[:2], row[3]] for row in POSTS]
    assert [row[2] for row in cells(file)] == [f"2026-03-02T10:0{minute}:00.000" for minute in range(3)]
    assert [row.line for row in file.rows(["id"])] == [4, 5, 6]
    assert file.notes == [
        "read from sheet 'Mentions', one of 2",
        "the columns are named in row 3; the rows before it are skipped",
    ]


def test_numbers_of_a_workbook_keep_what_is_left_of_them(tmp_path: Path) -> None:
    rows: list[list[object]] = [[*COLUMNS], [12, 5.5, "x", "y"], [1.57e17, "z", "x", True]]
    file = RowFile(write_workbook(tmp_path / "a.xlsx", {"S": rows}))
    assert [row[0] for row in cells(file)] == ["12", "1.57e+17"]
    assert cells(file)[0][1] == "5.5"


def test_lines_before_the_header_are_skipped_with_a_note(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(PREAMBLE + table(","))
    file = RowFile(tmp_path / "a.csv")
    assert file.notes == ["the columns are named in line 4; the 3 lines before it are skipped"]
    assert [row.line for row in file.rows(["id"])] == [5, 6, 8]


def test_unknown_header_behind_a_report_is_found_by_its_width(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("Report: Acme\nMarch\nWhen;Who;What;Where\n1;2;3;4\n5;6;7;8\n")
    assert RowFile(tmp_path / "a.csv").columns == ["When", "Who", "What", "Where"]


def test_narrow_table_keeps_its_first_line_as_header(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id;a\n1;x, y, z, w\n2;p, q, r, s\n")
    assert RowFile(tmp_path / "a.csv").columns == ["id", "a"]


@pytest.mark.parametrize("name", ["a.json", "a.json.gz", "a.json.zst"])
def test_array_cut_at_90_percent_gives_its_posts_then_an_error(tmp_path: Path, name: str) -> None:
    whole = json.dumps([{"id": str(n), "text": f"{random.random()}"} for n in range(20_000)]).encode()
    packed = {".json": whole, ".gz": gzip.compress(whole), ".zst": zstandard.compress(whole)}[Path(name).suffix]
    (tmp_path / name).write_bytes(packed[: len(packed) * 9 // 10])
    rows, seen = RowFile(tmp_path / name).rows(["id"]), 0

    def read() -> None:
        nonlocal seen
        for _ in rows:
            seen += 1

    with pytest.raises(InputError, match=r"is damaged or cut after post \d+|broken gzip file|broken Zstandard file"):
        read()
    assert 10_000 < seen < 20_000


def test_broken_line_between_pages_is_rejected(tmp_path: Path) -> None:
    page = json.dumps({"data": OBJECTS[:1]})
    (tmp_path / "a.jsonl").write_text(f"{page}\n{{oops\n{page}\n")
    rows = list(RowFile(tmp_path / "a.jsonl").rows(["id"]))
    assert [type(row).__name__ for row in rows] == ["Row", "Reject", "Row"]


def test_long_array_is_read_in_little_memory(tmp_path: Path) -> None:
    letters = "".join(random.choices(string.ascii_letters, k=2_000))
    with (tmp_path / "a.json").open("w") as file:
        file.write("[")
        for number in range(20_000):
            file.write(f'{"," if number else ""}\n{{"id": "{number}", "text": "{letters}"}}')
        file.write("]")
    tracemalloc.start()
    rows = RowFile(tmp_path / "a.json")
    assert sum(1 for _ in rows.rows(["id"])) == 20_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12 * 2**20, f"{peak / 2**20:.0f} MiB for a file of 40 MB"
