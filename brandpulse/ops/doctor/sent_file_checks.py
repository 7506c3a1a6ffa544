"""Checks of `brandpulse doctor` under `<home>/ingest/`: files that were sent in part."""

import contextlib
from pathlib import Path

from brandpulse.errors import StateError
from brandpulse.ops.doctor.finding import Finding
from ingest.files.checkpoint import Checkpoint, load_checkpoint


def check_sent_files(home: Path) -> list[Finding]:
    """A warning for each file whose newest checkpoint is unfinished. Checkpoints of older versions name no file."""
    newest: dict[str, tuple[int, Checkpoint]] = {}
    for path in sorted((home / "ingest").glob("*.json")):
        with contextlib.suppress(StateError, OSError):
            known = load_checkpoint(path)
            written = path.stat().st_mtime_ns
            if known is not None and known.path and written >= newest.get(known.path, (0, known))[0]:
                newest[known.path] = (written, known)
    return [
        Finding(
            "ingest",
            f"{name} was sent in part: {known.rows:,} rows were read",
            "if it is not running now, run the same `brandpulse ingest file` again: it sends the rest",
            warning=True,
        )
        for name, (_, known) in sorted(newest.items())
        if not known.finished and Path(name).exists()
    ]
