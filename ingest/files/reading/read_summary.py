"""Summary of reading a file, for the report of the command."""

from dataclasses import dataclass, field
from typing import Any

from ingest.files.reading.row import Reject

MAX_CAUSES = 200
"""Maximum number of causes that are counted separately."""
SHOWN_CAUSES = 8
SHOWN_EXAMPLES = 3
SHOWN_CHARS = 60


@dataclass(slots=True)
class Cause:
    """How often something happened, and the first case."""

    count: int
    first: Reject


@dataclass(slots=True)
class ReadSummary:
    """Counts by cause, in file order."""

    notes: list[str] = field(default_factory=list)
    """How the file is read, if that is not obvious."""
    rejected: dict[tuple[str | None, str], Cause] = field(default_factory=dict)
    dropped: dict[str, Cause] = field(default_factory=dict)
    """Optional values that were dropped, by field."""
    changed: int = 0
    """Rows that repeat an id with other content."""
    changed_examples: list[tuple[str, int]] = field(default_factory=list)
    """Ids and lines of the first such rows."""
    id_column: str = "id"

    def reject(self, reject: Reject) -> None:
        key = reject.field, reject.cause or reject.reason
        if key not in self.rejected and len(self.rejected) >= MAX_CAUSES:
            key = None, "has another cause"
        _count(self.rejected, key, reject)

    def drop(self, value: Reject) -> None:
        _count(self.dropped, value.field or "", value)

    def change(self, post_id: str, line: int) -> None:
        self.changed += 1
        if len(self.changed_examples) < SHOWN_EXAMPLES:
            self.changed_examples.append((post_id, line))

    def lines(self) -> list[str]:
        """Messages for the user, most frequent causes first."""
        out = list(self.notes)
        causes = sorted(self.rejected.items(), key=lambda item: -item[1].count)
        for (name, reason), cause in causes[:SHOWN_CAUSES]:
            subject = name or "row"
            out.append(f"rejected {cause.count:,}: {subject} {reason} ({_where(cause.first)})")
        if rest := causes[SHOWN_CAUSES:]:
            out.append(
                f"rejected {sum(cause.count for _, cause in rest):,}: {len(rest)} further causes, see the rejects file"
            )
        for name, cause in self.dropped.items():
            posts = "1 post is" if cause.count == 1 else f"{cause.count:,} posts are"
            out.append(f"{posts} sent without {name}, which {cause.first.reason} ({_where(cause.first)})")
        if self.changed:
            shown = ", ".join(f"{post_id[:SHOWN_CHARS]!r} in line {line}" for post_id, line in self.changed_examples)
            rows = "1 row repeats" if self.changed == 1 else f"{self.changed:,} rows repeat"
            out.append(
                f"{rows} the id of an earlier row with other content; only the earlier one is sent: {shown}. "
                f"If these are different posts, column {self.id_column!r} does not identify them; see --map"
            )
        return out

    def numbers(self) -> dict[str, object]:
        """The summary as JSON fields."""
        causes: dict[str, int] = {}
        for (name, reason), cause in self.rejected.items():
            causes[f"{name or 'row'} {reason}"] = cause.count
        return {
            "causes": causes,
            "dropped": {name: cause.count for name, cause in self.dropped.items()},
            "changed": self.changed,
        }


def _count(causes: dict[Any, Cause], key: Any, reject: Reject) -> None:
    known = causes.get(key)
    if known is None:
        causes[key] = Cause(1, reject)
    else:
        known.count += 1


def _where(reject: Reject) -> str:
    value = " ".join(reject.value.split())
    shown = f": {value[:SHOWN_CHARS]!r}" if value else ""
    return f"first in line {reject.line}{shown}"
