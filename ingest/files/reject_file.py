"""The file of rows that could not become posts."""

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
    """One JSON object a line: line, last_line, field, value and raw row (both cut), reason.

    Written at the first reject, over an older one.
    """

    def __init__(self, path: Path) -> None:
        """Raises InputError if nothing can be written there."""
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
            # Each line was flushed, so what a full disk refuses here was told before.
            with contextlib.suppress(OSError):
                self._file.close()

    def add(self, reject: Reject, *, raw: str = "") -> None:
        """Raises InputError if the file cannot be written."""
        try:
            if self._file is None:
                # Line by line: a full disk ends the run at the row that does not fit, with its sentence.
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
                f"cannot write the rejects to {self.path}: {error.strerror or error}. "
                "Free some space, or name another place with --rejects PATH"
            ) from error
        self.count += 1


def _problem(path: Path) -> str | None:
    """Why no file can be written at *path*; None where one probably can."""
    try:
        if path.is_dir() or not path.parent.is_dir():
            return "is no place for a file; name another with --rejects PATH"
        target = path if path.exists() else path.parent
    except OSError as error:
        return f"cannot be written: {error.strerror or error}; name another place with --rejects PATH"
    if not os.access(target, os.W_OK):
        return "cannot be written: Permission denied; name another place with --rejects PATH"
    return None
