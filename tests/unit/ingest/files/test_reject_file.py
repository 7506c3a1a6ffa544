"""The file of rejected rows."""

import json
import os
from pathlib import Path

import pytest

from ingest.files.reading.row import InputError, Reject
from ingest.files.reject_file import RejectFile


def test_reject_has_its_lines_reason_and_raw_row(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    with RejectFile(path) as rejects:
        rejects.add(Reject(3, "id", "nan", "is no id"), raw="nan,hi\n")
        rejects.add(Reject(5, None, "x", "opens a quote", 9), raw="x" * 50_000)
        written = [json.loads(line) for line in path.read_text().splitlines()]
    assert written[0] == {
        "line": 3,
        "last_line": 3,
        "field": "id",
        "value": "nan",
        "reason": "is no id",
        "raw": "nan,hi\n",
    }
    assert (written[1]["line"], written[1]["last_line"], len(written[1]["raw"])) == (5, 9, 20_000)


def test_full_disk_raises_one_input_error() -> None:
    with RejectFile(Path("/dev/full")) as rejects, pytest.raises(InputError, match=r"No space left.*--rejects"):
        rejects.add(Reject(3, "id", "nan", "is no id"))


def test_unwritable_path_is_rejected_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(InputError, match=r"Permission denied.*--rejects"):
        RejectFile(tmp_path / "r.jsonl")


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), OSError(36, "File name too long")])
def test_inaccessible_path_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError) -> None:
    def fail(_: Path) -> bool:
        raise error

    monkeypatch.setattr(Path, "is_dir", fail)
    with pytest.raises(InputError, match="--rejects"):
        RejectFile(tmp_path / "r.jsonl")


def test_directory_or_missing_directory_is_rejected(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere" / "r.jsonl"):
        with pytest.raises(InputError, match="choose another path"):
            RejectFile(path)
