"""Reading files row by row."""

import gzip
import json
from pathlib import Path

import pytest

from ingest.files.reading import delimited_text, row_reader
from ingest.files.reading.row import MISSING, InputError, Reject, Row
from ingest.files.reading.row_reader import RowFile


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    data = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


def read(path: Path, *wanted: str) -> list[Row | Reject]:
    return list(RowFile(path).rows(wanted))


LINES = '{"id": "1", "text": "hé"}\n\n{"text": "b", "more": 1, "id": 2}\n'
TABLE = 'id,text\n1,hé\n\n2,"b\nb, ""c"""\n'


@pytest.mark.parametrize("name", ["a.jsonl", "a.ndjson", "a.json", "a.jsonl.gz", "a.txt", "a"])
def test_json_lines_are_detected_by_content(tmp_path: Path, name: str) -> None:
    assert read(write(tmp_path, name, LINES), "text", "id") == [Row(1, ("hé", "1")), Row(3, ("b", 2))]


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "A.CSV", "a.txt", "a"])
def test_csv_is_detected_by_content_and_rows_have_their_first_line(tmp_path: Path, name: str) -> None:
    assert read(write(tmp_path, name, TABLE), "text", "id") == [Row(2, ["hé", "1"]), Row(4, ['b\nb, "c"', "2"])]


def test_gzip_file_needs_no_suffix(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(gzip.compress(LINES.encode()))
    assert len(read(path, "id")) == 2


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.tsv", "id\ttext\n1\ta, b\n"), ("a.csv", "id;text\n1;a, b\n"), ("a", "id\ttext\n1\ta, b\n")],
)
def test_tabs_and_semicolons_are_separators(tmp_path: Path, name: str, content: str) -> None:
    assert read(write(tmp_path, name, content), "text") == [Row(2, ["a, b"])]


def test_format_can_be_set(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", "id,text\n1,x\n")
    assert list(RowFile(path, format="csv").rows(["text"])) == [Row(2, ["x"])]


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv"])
def test_byte_order_mark_is_not_part_of_the_first_row(tmp_path: Path, name: str) -> None:
    content = "\ufeff" + (LINES if name == "a.jsonl" else TABLE)
    file = RowFile(write(tmp_path, name, content))
    assert file.columns[0] == "id"
    first = next(file.rows(["id"]))
    assert isinstance(first, Row)
    assert list(first.cells) == ["1"]


def test_json_columns_include_inner_fields_of_the_first_objects(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", '{"id": 1}\nrubbish\n{"user": {"name": "x"}}\n')
    assert RowFile(path).columns == ["id", "user", "user.name"]
    assert [row.cells for row in RowFile(path).rows(["id", "user.name"]) if isinstance(row, Row)] == [
        [1, MISSING],
        [MISSING, "x"],
    ]


def test_dot_in_a_column_name_is_literal(tmp_path: Path) -> None:
    assert read(write(tmp_path, "a.jsonl", '{"user.name": "x"}\n'), "user.name") == [Row(1, ("x",))]


@pytest.mark.parametrize("bad", ["{", "[1]", "7", '"text"', '{"id": "\\ud800"}'])
def test_line_without_an_object_is_rejected_alone(tmp_path: Path, bad: str) -> None:
    good = '{"id": "1"}'
    found = read(write(tmp_path, "a.jsonl", f"{good}\n{bad}\n{good}\n"), "id")
    assert [row.line for row in found if isinstance(row, Row)] == [1, 3]
    assert [(row.line, row.value) for row in found if isinstance(row, Reject)] == [(2, bad)]


def test_json_line_that_is_not_utf8_is_rejected(tmp_path: Path) -> None:
    found = read(write(tmp_path, "a.jsonl", b'{"id": "1"}\n{"id": "\xff"}\n'), "id")
    assert [type(row) for row in found] == [Row, Reject]


def test_csv_row_with_wrong_number_of_cells_is_rejected(tmp_path: Path) -> None:
    found = read(write(tmp_path, "a.csv", "id,text\n1\n2,x,y\n3,z\n"), "id")
    assert [row.reason for row in found if isinstance(row, Reject)] == [
        "has 1 columns, the header has 2",
        "has 3 columns, the header has 2",
    ]
    assert found[2] == Row(4, ["3"])


def test_csv_cell_may_exceed_the_default_limit_of_the_csv_module(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "id,text\n1," + "x" * 200_000 + "\n2,y\n")
    assert [row.line for row in read(path, "id") if isinstance(row, Row)] == [2, 3]


def test_quote_that_never_closes_loses_at_most_a_megabyte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited_text, "MAX_CELL_CHARS", 100)
    body = "".join(f"{number},plain\n" for number in range(2, 60))
    found = read(write(tmp_path, "a.csv", 'id,text\n1,"open\n' + body), "id")
    assert isinstance(found[0], Reject)
    assert found[-1] == Row(60, ["59"])


def test_endless_line_is_rejected_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_reader, "MAX_LINE_BYTES", 50)
    found = read(write(tmp_path, "a.jsonl", '{"id": "1"}\n{"id": "' + "x" * 200 + '"}\n{"id": "2"}\n'), "id")
    assert [list(row.cells) for row in found if isinstance(row, Row)] == [["1"], ["2"]]
    assert any(isinstance(row, Reject) for row in found)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "is empty"),
        ("a.jsonl", b"\xef\xbb\xbf \n\n", "is empty"),
        ("a.csv", bytes(range(256)) * 20, "is a binary file"),
        ("a.csv", b"PK\x03\x04" + bytes(100), "damaged workbook or zip archive"),
        ("a.csv", "id,text\n1,Отмена\n2,Рейс\n".encode("cp1251"), "--encoding cp1251 reads '1,Отмена'"),
        ("a.csv", b'id,text,"created_at\n1,x,y\n2,x,y\n3,x,y\n4,"x",y\n', "has a quote"),
        ("a.json", b'[{"id": 1', "cut before its first post"),
        ("a.csv", b"%PDF-1.7\n" + bytes(range(200)), "is a PDF document"),
        ("a.zst", b"id,text\n1,x\n", "is not a Zstandard file"),
        ("a.xlsx", b"id,text\n1,x\n", "is not an XLSX workbook"),
        ("a.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "save it as XLSX or CSV"),
        (
            "a.xlsx",
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600) + "EncryptedPackage".encode("utf-16-le"),
            "with a password",
        ),
        ("a.jsonl", b"id,text\n1,x\n", "--format csv"),
        ("a", b"just words\n", "--format"),
    ],
)
def test_invalid_file_raises_an_input_error(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        RowFile(path)


def test_path_that_is_not_a_file_raises_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        RowFile(tmp_path / "nowhere.csv")
    with pytest.raises(InputError, match="is a directory"):
        RowFile(tmp_path)
    with pytest.raises(InputError, match="not a regular file"):
        RowFile(Path("/dev/null"))


def test_truncated_gzip_file_raises_an_input_error(tmp_path: Path) -> None:
    whole = gzip.compress(b"".join(json.dumps({"id": str(i * 7919 % 100_003)}).encode() + b"\n" for i in range(50_000)))
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(whole[:500])
    with pytest.raises(InputError, match="broken gzip"):
        RowFile(path)
    path.write_bytes(whole[: len(whole) - 2_000])
    file = RowFile(path)
    with pytest.raises(InputError, match=r"broken gzip .*after line \d{4,}"):
        list(file.rows(["id"]))
    path.write_bytes(b"plain text")
    with pytest.raises(InputError, match="not a gzip"):
        RowFile(path)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig"])
@pytest.mark.parametrize("name", ["a.jsonl", "a.csv"])
def test_byte_order_mark_sets_the_encoding(tmp_path: Path, name: str, encoding: str) -> None:
    content = LINES if name == "a.jsonl" else TABLE
    path = tmp_path / name
    path.write_bytes(content.encode(encoding))
    file = RowFile(path)
    assert next(list(row.cells) for row in file.rows(["text"]) if isinstance(row, Row)) == ["hé"]
    assert (file.encoding.note is None) == (encoding == "utf-8-sig")


@pytest.mark.parametrize("encoding", ["cp1251", "gb18030", "shift_jis", "latin-1", "utf-16-le"])
@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.csv.gz"])
def test_given_encoding_is_used_and_noted(tmp_path: Path, name: str, encoding: str) -> None:
    word = {"cp1251": "Отмена", "gb18030": "航班", "shift_jis": "フライト"}.get(encoding, "déçu")
    content = f'{{"id": "1", "text": "{word}"}}\n' if name == "a.jsonl" else f'id,text\n1,"{word}\n{word}"\n'
    path = write(tmp_path, name, content.encode(encoding))
    file = RowFile(path, encoding=encoding)
    (row,) = file.rows(["text"])
    assert isinstance(row, Row)
    assert row.cells[0].split("\n")[0] == word
    assert "--encoding" in (file.encoding.note or "")


@pytest.mark.parametrize("encoding", ["klingon", "base64", "utf-16"])
def test_wrong_encoding_is_reported(tmp_path: Path, encoding: str) -> None:
    path = write(tmp_path, "a.csv", b"\xef\xbb\xbfid,text\n1,x\n")
    with pytest.raises(InputError, match=f"--encoding.*{encoding}"):
        RowFile(path, encoding=encoding)


def test_file_deleted_before_reading_raises_an_input_error(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", TABLE)
    file = RowFile(path)
    path.unlink()
    with pytest.raises(InputError, match="No such file"):
        list(file.rows(["id"]))


def test_file_cut_behind_its_first_posts_gives_them_then_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b'[{"id": 1}, {"id": 2}, {"id"')
    rows = RowFile(path).rows(["id"])
    assert [next(rows).line for _ in range(2)] == [1, 2]
    with pytest.raises(InputError, match="cut after post 2"):
        next(rows)
