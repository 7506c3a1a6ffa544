"""What `brandpulse doctor` looks at under `<home>/ingest/`: files that were sent by half."""

import contextlib
from pathlib import Path

from brandpulse.errors import StateError
from brandpulse.ops.doctor.finding import Finding
from ingest.files import checkpoint as checkpoints
from ingest.files.checkpoint import Checkpoint


def check_sent_files(home: Path) -> list[Finding]:
    """A warning for each file whose newest checkpoint is not finished. Checkpoints of older versions name no file."""
    newest: dict[str, tuple[int, Checkpoint]] = {}
    for path in sorted((home / "ingest").glob("*.json")):
        with contextlib.suppress(StateError, OSError):
            known = checkpoints.load(path)
            written = path.stat().st_mtime_ns
            if known is not None and known.path and written >= newest.get(known.path, (0, known))[0]:
                newest[known.path] = (written, known)
    return [
        Finding(
            "ingest",
            f"{name} was sent by half: {known.rows:,} rows were read",
            "run the same `brandpulse ingest file` again, unless it runs now: it sends what is missing",
            warning=True,
        )
        for name, (_, known) in sorted(newest.items())
        if not known.finished and Path(name).exists()
    ]
