"""Reads recorded posts and has each distinct text judged once.

The matcher, the hasher and the model belong to other services, so they are handed in (`Judges`).
"""

import gzip
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Annotated, Any, cast

import msgspec

from alerting.recorded import JudgedPost
from alerting.score_file import Scores, text_digest
from brandpulse.errors import ConfigError

BATCH_TEXTS = 4_096


class RecordedPost(msgspec.Struct, frozen=True, gc=False):
    """One line. `arrived_at` is the clock a live system would have had; without it a post comes in its turn."""

    id: str
    text: str
    created_at: Annotated[datetime, msgspec.Meta(tz=True)]
    author_id: str
    source: str
    arrived_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


@dataclass(frozen=True, slots=True)
class Judges:
    """What is asked of the other services."""

    match: Callable[[str], tuple[str, ...]]
    normalise: Callable[[str], str]
    author_hash: Callable[[str, str], int]
    probabilities: Callable[[Sequence[str]], Any]
    """Texts -> (n, 3)."""


@dataclass(slots=True)
class Tally:
    """What was read."""

    lines: int = 0
    invalid: int = 0
    unmatched: int = 0
    scored: int = 0
    """Texts the model was asked for; the others stood in the scores already."""


def recorded_posts(path: Path, tally: Tally) -> Iterator[RecordedPost]:
    """The posts of a file of JSON lines, `.gz` or plain, in its order. Raises ConfigError if it cannot be read."""
    decoder = msgspec.json.Decoder(RecordedPost)
    try:
        with _open(path) as lines:
            for line in lines:
                tally.lines += 1
                try:
                    yield decoder.decode(line)
                except (msgspec.MsgspecError, UnicodeDecodeError):
                    tally.invalid += 1
    except (OSError, EOFError) as error:
        raise ConfigError(f"cannot read the posts of {path}: {error}") from error


def _open(path: Path) -> IO[bytes]:
    if path.suffix == ".gz":
        return cast("IO[bytes]", gzip.open(path, "rb"))
    return path.open("rb")


class Texts:
    """Which brands each text names and how it was judged. Many posts share a text: each is looked at once."""

    def __init__(self, judges: Judges, scores: Scores) -> None:
        self._judges = judges
        self._scores = scores
        self._known: dict[str, tuple[tuple[str, ...], bytes]] = {}

    def look_at(self, text: str) -> tuple[tuple[str, ...], bytes]:
        """The brands *text* names, and the digest under which it is judged."""
        known = self._known.get(text)
        if known is None:
            brands = self._judges.match(text)
            known = self._known[text] = (brands, text_digest(self._judges.normalise(text)) if brands else b"")
        return known

    def score(self, path: Path, tally: Tally, progress: Callable[[int, int], None] = lambda done, all_: None) -> None:
        """Have every text of *path* judged that is not yet. Posts of one length share a batch: less padding."""
        missing: dict[bytes, str] = {}
        for post in recorded_posts(path, Tally()):
            brands, digest = self.look_at(post.text)
            if brands and digest not in self._scores and digest not in missing:
                missing[digest] = self._judges.normalise(post.text)
        waiting = sorted(missing.items(), key=lambda one: len(one[1]))
        tally.scored = len(waiting)
        for start in range(0, len(waiting), BATCH_TEXTS):
            batch = waiting[start : start + BATCH_TEXTS]
            judged = self._judges.probabilities([text for _, text in batch])
            for (digest, _), row in zip(batch, judged, strict=True):
                self._scores[digest] = (float(row[0]), float(row[1]), float(row[2]))
            progress(min(start + BATCH_TEXTS, len(waiting)), len(waiting))

    def judged(self, path: Path, tally: Tally) -> Iterator[JudgedPost]:
        """The posts of *path*, judged, in order of arrival; those that name no brand have none."""
        arrived_ms = -(2**62)
        for post in recorded_posts(path, tally):
            brands, digest = self.look_at(post.text)
            tally.unmatched += not brands
            event_ms = int(post.created_at.timestamp() * 1_000)
            # The arrival clock never goes back, whatever a line says.
            came = event_ms if post.arrived_at is None else int(post.arrived_at.timestamp() * 1_000)
            arrived_ms = max(arrived_ms, came)
            yield JudgedPost(
                source=post.source,
                id=post.id,
                author=self._judges.author_hash(post.source, post.author_id) if brands else 0,
                brands=brands,
                event_ms=event_ms,
                arrived_ms=arrived_ms,
                probabilities=self._scores[digest] if brands else (0.0, 1.0, 0.0),
            )
