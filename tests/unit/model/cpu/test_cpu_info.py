import os
from pathlib import Path

import pytest

from model.cpu.cpu_info import available_cores


@pytest.mark.parametrize(
    ("limit", "expected"), [("max 100000", None), ("100000 100000", 1), ("50000 100000", 1), ("garbage", None)]
)
def test_a_container_quota_limits_the_cores(tmp_path: Path, limit: str, expected: int | None) -> None:
    file = tmp_path / "cpu.max"
    file.write_text(limit)
    assert available_cores(file) == (expected or len(os.sched_getaffinity(0)))


def test_without_a_quota_file_all_cores_of_the_process_count(tmp_path: Path) -> None:
    assert available_cores(tmp_path / "absent") == len(os.sched_getaffinity(0))
