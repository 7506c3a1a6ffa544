"""The posts of one file: its first rows are looked through before any post is sent, then each row is read once."""

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
from ingest.files.reading.timestamp_parsing import detect_day_order, looks_like_timestamp, needs_day_order
from ingest.id_set import IdMatch, PostSet

SAMPLE_ROWS = 1_000
MIN_POSTS_FOR_A_VERDICT = 10
MAX_SOURCES_SHOWN = 5
_SOURCE_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.IGNORECASE)
"""A source by its looks. Exports of Twitter hold an HTML link to the app in a column of this name."""


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A row whose id an earlier row has."""

    line: int


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How the rows of a file are read."""

    source: str
    """Of rows that have none of their own."""
    source_is_given: bool = False
    """Whether it was asked for, and therefore holds for all rows."""
    assume_utc: bool = False
    day_first: bool | None = None
    """None: decided by the file."""
    trust_ids: bool = False
    """Whether ids that look rounded, or repeat with other content, are right."""


class PostReader:
    """Reads the posts of *file*; raises InputError if its first rows show that a column is the wrong one."""

    def __init__(self, file: RowFile, columns: Mapping[str, str], reading: ReadOptions) -> None:
        """*columns*: our field → the file's column, as `resolve` gives it."""
        self.summary = ReadSummary(id_column=columns["id"])
        self._file = file
        self._reading = reading
        self.is_time: IsTime = columns["created_at"], looks_like_timestamp
        """The column of times, and whether a cell may be one."""
        if file.encoding.note is not None:
            self.summary.notes.append(file.encoding.note)
        sample = self._sample(columns)
        self._columns = self._with_source(columns)
        self._sampled_ids = [row.cells[tuple(columns).index("id")] for row in sample]
        self.day_first = self._day_order(sample, columns)
        """How 3/2/2026 is read; None: such dates are rejected."""
        self._keep_rounded = False
        """Whether rounded ids are taken: they told the posts of the sample apart."""
        if not reading.trust_ids:
            self._refuse_wrong_ids(sample, columns)

    @property
    def columns(self) -> Mapping[str, str]:
        """Our field → the file's column, with the source where rows have their own."""
        return self._columns

    @property
    def has_own_sources(self) -> bool:
        """Whether the posts may be of different sources."""
        return "source" in self._columns

    def read(
        self, *, refusal: Callable[[datetime], str | None] | None = None
    ) -> Iterator[OutgoingPost | Reject | Duplicate]:
        """What each row is: a post met for the first time, a repeat, or none.

        *refusal* says why a post of that time is rejected, or None.
        """
        ids = self._ids(keep_rounded=self._keep_rounded)
        maker, summary, seen = self._maker(self._columns, ids), self.summary, PostSet()
        own_sources, new = self.has_own_sources, IdMatch.NEW
        time_place = tuple(self._columns).index("created_at")
        for row in self._file.rows(tuple(self._columns.values()), is_time=self.is_time):
            made = row if isinstance(row, Reject) else maker.make(row)
            if (
                refusal is not None
                and isinstance(row, Row)
                and isinstance(made, OutgoingPost)
                and (why := refusal(made.created_at)) is not None
            ):
                made = Reject(row.line, "created_at", str(row.cells[time_place]), why)
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
                    # Another post was rounded to the same id: to drop this one as its repeat would lose it unseen.
                    refused = Reject(row.line, "id", made.id, f"{rounding}; another post has the same")
                    summary.reject(refused)
                    yield refused
                    continue
                summary.change(made.id, row.line)
            yield Duplicate(row.line)

    def _ids(self, *, keep_rounded: bool) -> IdColumn:
        return IdColumn(self._sampled_ids, trust=self._reading.trust_ids, keep_rounded=keep_rounded)

    def _maker(self, columns: Mapping[str, str], ids: IdColumn) -> PostMaker:
        return PostMaker(
            tuple(columns),
            source=self._reading.source,
            assume_utc=self._reading.assume_utc,
            day_first=self.day_first,
            ids=ids,
        )

    def _sample(self, columns: Mapping[str, str]) -> list[Row]:
        rows = self._file.rows(tuple(columns.values()), is_time=self.is_time)
        return [row for row in self._until_broken(itertools.islice(rows, SAMPLE_ROWS)) if isinstance(row, Row)]

    @staticmethod
    def _until_broken(rows: Iterator[Row | Reject]) -> Iterator[Row | Reject]:
        # A file that breaks off is an error where it breaks off: the posts before it are sent.
        with contextlib.suppress(InputError):
            yield from rows

    def _with_source(self, columns: Mapping[str, str]) -> Mapping[str, str]:
        given = self._reading.source_is_given
        if "source" in columns:
            if given:
                raise InputError("--source and --map source=… cannot go together: one names the source of all rows")
            self.summary.notes.append(f"each row's own source is taken, from column {columns['source']!r}")
            return columns
        if "source" not in self._file.columns:
            return columns
        if given:
            self.summary.notes.append("the rows' own column 'source' is not used, because --source is given")
            return columns
        sample = self._sample({"source": "source", "created_at": columns["created_at"]})
        values = {row.cells[0] for row in sample if isinstance(row.cells[0], str) and row.cells[0].strip()}
        other = [
            row.cells[0] for row in sample if not isinstance(row.cells[0], str) and row.cells[0] not in (None, MISSING)
        ]
        is_ours = "schema_version" in self._file.columns
        if is_ours or (values and not other and all(map(_SOURCE_NAME.fullmatch, values))):
            shown = ", ".join(sorted(values)[:MAX_SOURCES_SHOWN]) + (", …" if len(values) > MAX_SOURCES_SHOWN else "")
            self.summary.notes.append(f"each row's own source is taken ({shown}); --source overrides it")
            return {**columns, "source": "source"}
        self.summary.notes.append(
            "the rows' own column 'source' is not used: its values look like no names of sources. All posts are of "
            f"source {self._reading.source!r}; --map source=source takes the column as it is"
        )
        return columns

    def _day_order(self, sample: Sequence[Row], columns: Mapping[str, str]) -> bool | None:
        """How dates such as 3/2/2026 are meant: as asked for, or as those of the file prove that have one reading."""
        if self._reading.day_first is not None:
            return self._reading.day_first
        place = tuple(columns).index("created_at")
        if not any(needs_day_order(row.cells[place]) for row in sample):
            return None
        rows = self._file.rows([columns["created_at"]], is_time=self.is_time)
        order = detect_day_order(row.cells[0] for row in self._until_broken(rows) if isinstance(row, Row))
        if order is not None:
            name = "day" if order else "month"
            self.summary.notes.append(
                f"dates such as 3/2/2026 are read with the {name} first, as others in the file prove; "
                f"--dates {'month' if order else 'day'}-first reads them the other way"
            )
        return order

    def _refuse_wrong_ids(self, sample: Sequence[Row], columns: Mapping[str, str]) -> None:
        """Raises InputError if most of the first posts repeat an id with other content.

        Decides about rounded ids too. A spreadsheet that keeps 15 digits of a platform's 18 or 19 leaves most ids
        different from each other: such a file is read. Once two posts of the sample share a rounded id, none is one.
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
                f"the ids of column {columns['id']!r} end in zeros, as a spreadsheet rounds them. They tell posts "
                f"apart (looked at: {len(posts):,}), so they are taken, and a post whose id another post has is "
                "rejected. To be sure, format the column as text and export it again"
            )
        changed = len(repeated)
        if len(posts) >= MIN_POSTS_FOR_A_VERDICT and changed * 2 > len(posts) and self._keep_rounded:
            raise InputError(
                f"column {columns['id']!r} is no column of ids: of the first {len(posts):,} posts, {changed:,} repeat "
                "the id of another with other content, and would be lost. Name the right column with --map id=COLUMN, "
                "or use --trust-ids if these are the same posts"
            )
