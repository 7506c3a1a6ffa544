"""The file of rejected rows."""

import contextlib
import json
import os
from pathlib import Path
from types import TracebackType
from typing import TextIO

from ingest.files.reading.row import InputError, Reject

MAX_VALUE_CHARS = 200
MAX_RAW_CHARS = 20_000


class RejectFile:
    """One JSON object per line: line, last_line, field, value and raw row (both truncated), reason.

    The first reject overwrites an older file.
    """

    def __init__(self, path: Path) -> None:
        """Raises InputError if *path* is not writable."""
        if (problem := _problem(path)) is not None:
            raise InputError(f"--rejects: {path} {problem}")
        self.path = path
        self.count = 0
        self._file: TextIO | None = None

    def __enter__(self) -> "RejectFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            # Each line was flushed: a full disk has raised an error before.
            with contextlib.suppress(OSError):
                self._file.close()

    def add(self, reject: Reject, *, raw: str = "") -> None:
        """Raises InputError if the file cannot be written."""
        try:
            if self._file is None:
                # Line buffered: a full disk raises an error at the row that does not fit.
                self._file = self.path.open("w", encoding="utf-8", errors="replace", buffering=1)
            record = {
                "line": reject.line,
                "last_line": reject.line if reject.last_line is None else reject.last_line,
                "field": reject.field,
                "value": reject.value[:MAX_VALUE_CHARS],
                "reason": reject.reason,
                "raw": raw[:MAX_RAW_CHARS],
            }
            self._file.write(json.dumps(record, ensure_ascii=False) + "\n")
        except OSError as error:
            raise InputError(
                f"cannot write rejected rows to {self.path}: {error.strerror or error}. "
                "Free some space, or choose another path with --rejects PATH"
            ) from error
        self.count += 1


def _problem(path: Path) -> str | None:
    """Why *path* is not writable; None if it probably is."""
    try:
        if path.is_dir() or not path.parent.is_dir():
            return "is a directory, or its directory does not exist; choose another path with --rejects PATH"
        target = path if path.exists() else path.parent
    except OSError as error:
        return f"cannot be written: {error.strerror or error}; choose another path with --rejects PATH"
    if not os.access(target, os.W_OK):
        return "cannot be written: Permission denied; choose another path with --rejects PATH"
    return None
