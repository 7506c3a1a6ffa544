"""Quotes in CSV."""

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.files.reading import delimited_text
from ingest.files.reading.row import Reject, Row
from ingest.files.reading.row_reader import RowFile
from ingest.files.reading.timestamp_parsing import looks_like_timestamp

TIME = "2026-03-02T10:00:00Z"
HEADER = "id,text,created_at,author_id"


def read(folder: Path, *lines: str, header: str = HEADER, name: str = "a.csv") -> list[Row | Reject]:
    path = folder / name
    path.write_bytes("\n".join((header, *lines, "")).encode())
    file = RowFile(path)
    return list(file.rows(["id", "text", "created_at", "author_id"], is_time=("created_at", looks_like_timestamp)))


def summary(found: list[Row | Reject]) -> list[tuple[int, str]]:
    return [(row.line, row.cells[0] if isinstance(row, Row) else "reject") for row in found]


def test_open_quote_rejects_only_its_row(tmp_path: Path) -> None:
    found = read(
        tmp_path, f"1,a,{TIME},p1", f'2,"Acme late,{TIME},p2', f"3,good,{TIME},p3", f'4,"Acme again",{TIME},p4'
    )
    assert summary(found) == [(2, "1"), (3, "reject"), (4, "3"), (5, "4")]
    assert isinstance(found[1], Reject)
    assert "has a quote that is not closed: line 4 and the lines after it" in found[1].reason
    assert found[1].value == f'2,"Acme late,{TIME},p2\n'


@pytest.mark.parametrize(
    "open_row",
    [
        f'2,"late,{TIME},p2',
        f'2,late,"{TIME},p2',
        f'2,late,{TIME},"p2',
        f'"2,late,{TIME},p2',
        f'2,"he said ""late"",{TIME},p2',
        f'2,"late\nand more,{TIME},p2',
    ],
)
@pytest.mark.parametrize(
    "next_rows", [[f"3,b,{TIME},p3"], [f'3,"b, b",{TIME},p3'], [f'3,"b ""b""",{TIME},p3', f"5,c,{TIME},p5"]]
)
def test_rows_after_an_open_quote_are_not_lost_or_merged(tmp_path: Path, open_row: str, next_rows: list[str]) -> None:
    found = read(tmp_path, f"1,a,{TIME},p1", open_row, *next_rows)
    good = [row.cells for row in found if isinstance(row, Row)]
    assert good[0] == ["1", "a", TIME, "p1"]
    assert good[1:] == [next(csv.reader([row])) for row in next_rows]
    assert any(isinstance(row, Reject) for row in found)


def test_row_of_several_lines_after_an_open_quote_is_read(tmp_path: Path) -> None:
    found = read(tmp_path, f'2,"late,{TIME},p2', '3,"one', f'two",{TIME},p3', f"4,b,{TIME},p4")
    assert summary(found) == [(2, "reject"), (3, "3"), (5, "4")]
    assert isinstance(found[1], Row)
    assert found[1].cells[1] == "one\ntwo"


@pytest.mark.parametrize(
    "text",
    [
        "one\ntwo",
        "one\n\n\ntwo, three",
        'a "b"\n"c", d',
        "1,2,3\n4,5,6",
        "\n",
        "a\r\nb",
        "see you, 10:30\nat 9, bye, ok",
    ],
)
def test_text_of_several_lines_is_one_cell(tmp_path: Path, text: str) -> None:
    sheet = io.StringIO()
    csv.writer(sheet, lineterminator="\n").writerows([["1", text, TIME, "p1"], ["2", "b", TIME, "p2"]])
    found = read(tmp_path, sheet.getvalue().rstrip("\n"))
    assert [row.cells for row in found if isinstance(row, Row)] == [["1", text, TIME, "p1"], ["2", "b", TIME, "p2"]]


@given(
    rows=st.lists(st.text(st.sampled_from('ab ,;"\n\\\r:1'), max_size=30), min_size=1, max_size=6),
    delimiter=st.sampled_from(",;\t"),
)
def test_output_of_a_csv_writer_is_read(
    tmp_path_factory: pytest.TempPathFactory, rows: list[str], delimiter: str
) -> None:
    sheet = io.StringIO()
    written = [[str(number), text, TIME, "p"] for number, text in enumerate(rows)]
    csv.writer(sheet, delimiter=delimiter, lineterminator="\r\n").writerows([HEADER.split(","), *written])
    path = tmp_path_factory.mktemp("t") / ("a.tsv" if delimiter == "\t" else "a.csv")
    path.write_bytes(sheet.getvalue().encode())
    columns = ["id", "text", "created_at", "author_id"]
    found = list(RowFile(path).rows(columns, is_time=("created_at", looks_like_timestamp)))
    assert [row.cells if isinstance(row, Row) else row for row in found] == written


def test_quote_open_until_the_end_is_reported_with_its_lines(tmp_path: Path) -> None:
    found = read(tmp_path, f"1,a,{TIME},p1", f'2,"late,{TIME},p2', "no row", "nor this")
    assert summary(found) == [(2, "1"), (3, "reject")]
    assert isinstance(found[1], Reject)
    assert "in lines 3 to 5" in found[1].reason
    assert (found[1].line, found[1].last_line) == (3, 5)


def test_quote_open_over_a_million_lines_takes_bounded_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited_text, "MAX_CELL_CHARS", 1_000)
    found = read(tmp_path, f'2,"late,{TIME},p2', *["no row of the table"] * 200, f"3,b,{TIME},p3")
    assert isinstance(found[0], Reject)
    assert "lines 2 to 5" in found[0].reason
    assert isinstance(found[-1], Row)
    assert len(found) < 200


def test_undoubled_quote_inside_quotes_rejects_the_row(tmp_path: Path) -> None:
    found = read(tmp_path, f'1,"he said "hi" there",{TIME},p1', f"2,b,{TIME},p2")
    assert summary(found) == [(2, "reject"), (3, "2")]
    assert isinstance(found[0], Reject)
    assert "not doubled" in found[0].reason


def test_quote_inside_an_unquoted_cell_is_text(tmp_path: Path) -> None:
    (row,) = read(tmp_path, f'1,a 5" screen,{TIME},p1')
    assert isinstance(row, Row)
    assert row.cells[1] == 'a 5" screen'


def test_quotes_written_with_a_backslash_are_read(tmp_path: Path) -> None:
    found = read(tmp_path, f'1,"he said \\"hi\\", twice",{TIME},p1', f'2,"C:\\dir\nand \\"more\\"",{TIME},p2')
    assert [row.cells[1] for row in found if isinstance(row, Row)] == ['he said "hi", twice', 'C:\\dir\nand "more"']


def test_backslash_before_the_closing_quote_is_text(tmp_path: Path) -> None:
    (row,) = read(tmp_path, f'1,"C:\\",{TIME},p1')
    assert isinstance(row, Row)
    assert row.cells[1] == "C:\\"


def test_single_quote_mark_between_tabs_is_text(tmp_path: Path) -> None:
    lines = [f'1\t"Acme" is late\t{TIME}\tp1', f"2\tb\t{TIME}\tp2"]
    found = read(tmp_path, *lines, header=HEADER.replace(",", "\t"), name="a.tsv")
    assert [row.cells[1] for row in found if isinstance(row, Row)] == ['"Acme" is late', "b"]


def test_separator_line_of_excel_is_not_the_header(tmp_path: Path) -> None:
    found = read(tmp_path, HEADER.replace(",", ";"), f"1;a, b;{TIME};p1", header="sep=;")
    assert summary(found) == [(3, "1")]
