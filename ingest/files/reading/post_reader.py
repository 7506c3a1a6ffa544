"""Reads the posts of one file: checks its first rows before any post is sent, then reads each row once."""

import contextlib
import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from ingest.files.reading.identifiers import IdColumn
from ingest.files.reading.read_summary import ReadSummary
from ingest.files.reading.row import MISSING, InputError, Reject, Row
from ingest.files.reading.row_mapping import OutgoingPost, PostMaker
from ingest.files.reading.row_reader import IsTime, RowFile
from ingest.files.reading.time_zones import Zone
from ingest.files.reading.timestamp_parsing import detect_day_order, looks_like_timestamp, needs_day_order
from ingest.id_set import IdMatch, PostSet

SAMPLE_ROWS = 1_000
MIN_POSTS_FOR_A_VERDICT = 10
MAX_SOURCES_SHOWN = 5
_SOURCE_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.IGNORECASE)
"""Plausible source names. Twitter exports have an HTML link to the app in a column named `source`."""


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A row with the id of an earlier row."""

    line: int


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """Options for options the rows of a file."""

    source: str
    """Source of rows without their own."""
    source_is_given: bool = False
    """Whether the user set it, so that it applies to all rows."""
    zone: Zone | None = None
    """Of times without one; None: they are rejected."""
    day_first: bool | None = None
    """None: decided from the file."""
    trust_ids: bool = False
    """Whether to accept ids that look rounded, or repeat with other content."""


class PostReader:
    """Reads the posts of *file*. Raises InputError if its first rows show that a column is wrong."""

    def __init__(self, file: RowFile, columns: Mapping[str, str], options: ReadOptions) -> None:
        """*columns*: field → the file's column, from `resolve`."""
        self.summary = ReadSummary(id_column=columns["id"])
        self._file = file
        self._options = options
        self.is_time: IsTime = columns["created_at"], looks_like_timestamp
        """The time column, and a check whether a cell may be a time."""
        self.summary.notes += file.notes
        sample = self._sample(columns)
        self._columns = self._with_source(columns)
        self._sampled_ids = [row.cells[tuple(columns).index("id")] for row in sample]
        self.day_first = self._day_order(sample, columns)
        """How 3/2/2026 is read; None: such dates are rejected."""
        self._keep_rounded = False
        """Whether rounded ids are accepted, because they are distinct in the sample."""
        if not options.trust_ids:
            self._check_ids(sample, columns)

    @property
    def columns(self) -> Mapping[str, str]:
        """Field → the file's column, including the source if rows have their own."""
        return self._columns

    @property
    def has_own_sources(self) -> bool:
        """Whether the posts may be of different sources."""
        return "source" in self._columns

    @property
    def source(self) -> str | None:
        """Source of all posts; None if rows have their own."""
        return None if self.has_own_sources else self._options.source

    def read(
        self, *, reject_reason: Callable[[datetime], str | None] | None = None
    ) -> Iterator[OutgoingPost | Reject | Duplicate]:
        """For each row: a new post, a duplicate or a reject.

        *reject_reason* returns why a post of that time is rejected, or None.
        """
        ids = self._ids(keep_rounded=self._keep_rounded)
        maker, summary, seen = self._maker(self._columns, ids), self.summary, PostSet()
        own_sources, new = self.has_own_sources, IdMatch.NEW
        time_column = tuple(self._columns).index("created_at")
        for row in self._file.rows(tuple(self._columns.values()), is_time=self.is_time):
            made = row if isinstance(row, Reject) else maker.make(row)
            if (
                reject_reason is not None
                and isinstance(row, Row)
                and isinstance(made, OutgoingPost)
                and (reason := reject_reason(made.created_at)) is not None
            ):
                made = Reject(row.line, "created_at", str(row.cells[time_column]), reason)
            if isinstance(made, Reject):
                summary.reject(made)
                yield made
                continue
            known = seen.add(f"{made.source}\0{made.id}" if own_sources else made.id, hash(made.payload))
            if known is new:
                for value in maker.dropped:
                    summary.drop(value)
                yield made
                continue
            if known is IdMatch.CHANGED:
                if (rounding := ids.rounding_flaw(made.id)) is not None:
                    # Another post was rounded to the same id. Dropping this one as a duplicate would lose it silently.
                    reject = Reject(row.line, "id", made.id, f"{rounding}; another post has the same")
                    summary.reject(reject)
                    yield reject
                    continue
                summary.change(made.id, row.line)
            yield Duplicate(row.line)

    def _ids(self, *, keep_rounded: bool) -> IdColumn:
        return IdColumn(self._sampled_ids, trust=self._options.trust_ids, keep_rounded=keep_rounded)

    def _maker(self, columns: Mapping[str, str], ids: IdColumn) -> PostMaker:
        return PostMaker(
            tuple(columns),
            source=self._options.source,
            zone=self._options.zone,
            day_first=self.day_first,
            ids=ids,
        )

    def _sample(self, columns: Mapping[str, str]) -> list[Row]:
        rows = self._file.rows(tuple(columns.values()), is_time=self.is_time)
        return [row for row in self._until_broken(itertools.islice(rows, SAMPLE_ROWS)) if isinstance(row, Row)]

    @staticmethod
    def _until_broken(rows: Iterator[Row | Reject]) -> Iterator[Row | Reject]:
        # A truncated file raises an error later, where it ends: the posts before are sent.
        with contextlib.suppress(InputError):
            yield from rows

    def _with_source(self, columns: Mapping[str, str]) -> Mapping[str, str]:
        is_given = self._options.source_is_given
        if "source" in columns:
            if is_given:
                raise InputError("--source and --map source=… cannot go together: --source applies to all rows")
            self.summary.notes.append(f"each row has its own source, from column {columns['source']!r}")
            return columns
        if "source" not in self._file.columns:
            return columns
        if is_given:
            self.summary.notes.append("column 'source' is not used, because --source is set")
            return columns
        sample = self._sample({"source": "source", "created_at": columns["created_at"]})
        values = {row.cells[0] for row in sample if isinstance(row.cells[0], str) and row.cells[0].strip()}
        other = [
            row.cells[0] for row in sample if not isinstance(row.cells[0], str) and row.cells[0] not in (None, MISSING)
        ]
        is_brandpulse_post = "schema_version" in self._file.columns
        if is_brandpulse_post or (values and not other and all(map(_SOURCE_NAME.fullmatch, values))):
            shown = ", ".join(sorted(values)[:MAX_SOURCES_SHOWN]) + (", …" if len(values) > MAX_SOURCES_SHOWN else "")
            self.summary.notes.append(
                f"each row has its own source, from column 'source' ({shown}); --source overrides it"
            )
            return {**columns, "source": "source"}
        self.summary.notes.append(
            "column 'source' is not used, because its values do not look like source names. All posts get the source "
            f"{self._options.source!r}; --map source=source uses the column"
        )
        return columns

    def _day_order(self, sample: Sequence[Row], columns: Mapping[str, str]) -> bool | None:
        """How to read dates such as 3/2/2026: from the options, or from unambiguous dates of the file."""
        if self._options.day_first is not None:
            return self._options.day_first
        column = tuple(columns).index("created_at")
        if not any(needs_day_order(row.cells[column]) for row in sample):
            return None
        rows = self._file.rows([columns["created_at"]], is_time=self.is_time)
        order = detect_day_order(row.cells[0] for row in self._until_broken(rows) if isinstance(row, Row))
        if order is not None:
            name = "day" if order else "month"
            self.summary.notes.append(
                f"dates such as 3/2/2026 are read {name} first, like the unambiguous dates of the file; "
                f"--dates {'month' if order else 'day'}-first reads them the other way"
            )
        return order

    def _check_ids(self, sample: Sequence[Row], columns: Mapping[str, str]) -> None:
        """Raises InputError if most of the first posts repeat an id with other content.

        It also decides about rounded ids. A spreadsheet keeps 15 of a platform's 18 or 19 digits, which leaves most ids
        distinct: such a file is accepted. If two posts of the sample share a rounded id, rounded ids are rejected.
        """
        ids, seen = self._ids(keep_rounded=True), PostSet()
        maker = self._maker(columns, ids)
        posts = [made for made in map(maker.make, sample) if isinstance(made, OutgoingPost)]
        repeated = [
            post for post in posts if seen.add(f"{post.source}\0{post.id}", hash(post.payload)) is IdMatch.CHANGED
        ]
        rounded = any(ids.rounding_flaw(post.id) for post in posts)
        self._keep_rounded = not any(ids.rounding_flaw(post.id) for post in repeated)
        if rounded and self._keep_rounded:
            self.summary.notes.append(
                f"the ids of column {columns['id']!r} end in zeros, as if a spreadsheet had rounded them. They are "
                f"distinct in the first {len(posts):,} posts, so they are accepted, and a post with the id of another "
                "post is rejected. To be sure, format the column as text and export it again"
            )
        changed = len(repeated)
        if len(posts) >= MIN_POSTS_FOR_A_VERDICT and changed * 2 > len(posts) and self._keep_rounded:
            raise InputError(
                f"column {columns['id']!r} does not contain ids: {changed:,} of the first {len(posts):,} posts "
                "repeat an id with other content, and would be dropped. Set the right column with --map id=COLUMN, or "
                "use --trust-ids if these are the same posts"
            )
