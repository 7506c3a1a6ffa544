"""Findings of `doctor` about files that were sent in part."""

import os
from dataclasses import replace
from pathlib import Path

from brandpulse.ops.doctor.sent_file_checks import check_sent_files
from ingest.files.checkpoint import Checkpoint, FileIdentity, save_checkpoint


def test_a_partly_sent_file_is_reported_until_it_is_sent(tmp_path: Path) -> None:
    assert check_sent_files(tmp_path) == []
    file = tmp_path / "a.csv"
    file.write_text("id")
    half = Checkpoint(FileIdentity(1, 1, "x"), "file", start={}, rows=20, path=str(file))
    save_checkpoint(tmp_path / "ingest" / "one.json", half)
    os.utime(tmp_path / "ingest" / "one.json", ns=(1, 1))
    save_checkpoint(tmp_path / "ingest" / "old.json", replace(half, path=""))
    (tmp_path / "ingest" / "bad.json").write_text("rubbish")
    [found] = check_sent_files(tmp_path)
    assert found.warning
    assert f"{file} was sent in part: 20 rows" in found.observation
    assert "again" in found.remedy

    save_checkpoint(tmp_path / "ingest" / "two.json", replace(half, finished=True))
    assert check_sent_files(tmp_path) == [], "sent whole to the topic of now"
