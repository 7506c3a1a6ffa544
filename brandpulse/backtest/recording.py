"""Reads recorded posts and has each distinct text judged once, towards each brand that it names.

The matcher, the hasher and the model belong to other services, so they are handed in (`Judges`).
"""

import gzip
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO, Annotated, Any, cast

import msgspec

from brandpulse.backtest.recorded_facets import RecordedFacets
from brandpulse.backtest.recorded_panes import FourProbabilities, JudgedPost
from brandpulse.backtest.score_file import Scores
from brandpulse.errors import ConfigError
from brandpulse.state.panes import counted_as

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
class Looked:
    """One text, looked at."""

    brands: tuple[str, ...]
    keys: tuple[bytes, ...] = ()
    """For each brand the key of its verdict (`score_file.score_key`); brands may share one."""
    post: Any = None
    """As the model reads it: whatever `Judges.score` takes."""
    length: int = 0
    worded: frozenset[int] = frozenset()
    """Numbers of the facets of which it has a word."""


Answer = tuple[Sequence[float], Collection[str]]
"""Four probabilities, and the facets that the model's heads allow."""


@dataclass(frozen=True, slots=True)
class Judges:
    """What is asked of the other services."""

    look: Callable[[str], Looked]
    author_hash: Callable[[str, str], int]
    score: Callable[[Sequence[Any]], Iterable[Answer]]
    """Posts -> one answer for each distinct key of each post, in order."""
    facets: RecordedFacets = field(default_factory=RecordedFacets)


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
        self._told: dict[bytes, Collection[str]] = {}
        """Key -> facets that the model allows, where there are any."""
        self._known: dict[str, tuple[tuple[str, ...], tuple[bytes, ...], frozenset[int]]] = {}
        """Text -> brands, keys and facets' words. Not the post as the model reads it, which is as long again."""

    def verdicts(self, text: str) -> tuple[tuple[str, ...], tuple[FourProbabilities, ...], tuple[tuple[str, ...], ...]]:
        """The brands that *text* names, what it says about each, and its facets. It was scored before."""
        brands, keys, worded = self._known[text]
        probabilities = tuple(self._scores[key] for key in keys)
        facets = tuple(
            self._judges.facets.of(worded, self._told.get(key, ()), counted_as(four)[0])
            for key, four in zip(keys, probabilities, strict=True)
        )
        return brands, probabilities, facets

    def score(self, path: Path, tally: Tally, progress: Callable[[int, int], None] = lambda done, all_: None) -> None:
        """Have every text of *path* judged that is not yet. Posts of one length share a batch: less padding."""
        missing: dict[tuple[bytes, ...], Looked] = {}
        for post in recorded_posts(path, Tally()):
            if post.text in self._known:
                continue
            looked = self._judges.look(post.text)
            self._known[post.text] = (looked.brands, looked.keys, looked.worded)
            if not self._scores.keys() >= set(looked.keys):
                missing[looked.keys] = looked
        waiting = sorted(missing.values(), key=lambda looked: looked.length)
        tally.scored = len(waiting)
        for start in range(0, len(waiting), BATCH_TEXTS):
            batch = waiting[start : start + BATCH_TEXTS]
            keys = [key for looked in batch for key in dict.fromkeys(looked.keys)]
            for key, (row, told) in zip(keys, self._judges.score([looked.post for looked in batch]), strict=True):
                if told:
                    self._told[key] = told
                negative, neutral, positive, irrelevant = map(float, row)
                self._scores[key] = negative, neutral, positive, irrelevant
            progress(min(start + BATCH_TEXTS, len(waiting)), len(waiting))

    def judged(self, path: Path, tally: Tally) -> Iterator[JudgedPost]:
        """The posts of *path*, judged, in order of arrival; those that name no brand have none."""
        arrived_ms = -(2**62)
        for post in recorded_posts(path, tally):
            brands, probabilities, facets = self.verdicts(post.text)
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
                probabilities=probabilities,
                facets=facets,
                text=post.text,
            )
