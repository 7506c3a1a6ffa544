"""The file of rows that could not become posts."""

import json
from pathlib import Path
from types import TracebackType
from typing import TextIO

from ingest.rows import InputError, Reject

MAX_VALUE_CHARS = 200


class RejectFile:
    """One JSON object a line: line, field, value (cut), reason. Written at the first reject, over an older one."""

    def __init__(self, path: Path) -> None:
        """Raises InputError if nothing can be written there."""
        if path.is_dir() or not path.parent.is_dir():
            raise InputError(f"--rejects: {path} is no place for a file")
        self.path = path
        self.count = 0
        self._file: TextIO | None = None

    def __enter__(self) -> "RejectFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, reject: Reject) -> None:
        """Raises InputError if the file cannot be written."""
        try:
            if self._file is None:
                self._file = self.path.open("w", encoding="utf-8", errors="replace")
            record = {
                "line": reject.line,
                "field": reject.field,
                "value": reject.value[:MAX_VALUE_CHARS],
                "reason": reject.reason,
            }
            self._file.write(json.dumps(record, ensure_ascii=False) + "\n")
        except OSError as error:
            raise InputError(f"cannot write the rejects to {self.path}: {error.strerror}. See --rejects") from error
        self.count += 1
