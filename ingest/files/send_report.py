"""The report of `brandpulse ingest file`: what happened to the rows, why, and what to do. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from brandpulse.state.diagnosis.stream_report import SHOWN_ON_PAGE, stream_report
from brandpulse.state.outcomes.post_outcomes import OTHER_SOURCES, Cell, Period, PostOutcomes
from brandpulse.state.partition_state import PartitionStatus


@dataclass(frozen=True, slots=True)
class WorkerResult:
    """What the workers did with the topic's records while the command waited.

    Each post is exactly one of: on time, late, dead, repeated, unmatched, unread.
    """

    counted: int
    """On time or late."""
    late: int = 0
    dead: int = 0
    repeated: int = 0
    unmatched: int = 0
    unread: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)
    """Dead letters by reason; empty if they cannot be read."""
    why: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Outcome -> sentences about its likely causes, from `causes`."""

    @property
    def on_time(self) -> int:
        return max(0, self.counted - self.late)

    def succeeded(self, sent: int) -> bool:
        """Whether no post is a dead letter and at least one names a brand in a supported language."""
        return self.dead == 0 and not (0 < sent <= self.unmatched + self.unread)

    def numbers(self) -> dict[str, object]:
        """The counts as JSON fields."""
        counts: dict[str, object] = {
            "counted": self.counted,
            "on_time": self.on_time,
            "late": self.late,
            "dead": self.dead,
            "repeated_by_workers": self.repeated,
            "unmatched": self.unmatched,
            "unread": self.unread,
        }
        if self.reasons:
            counts["dead_reasons"] = dict(self.reasons)
        if self.why:
            counts["problems"] = {kind: list(sentences) for kind, sentences in self.why.items()}
        return counts


def worker_result(
    sent: int, before: Iterable[PartitionStatus], after: Iterable[PartitionStatus], reasons: Mapping[str, int]
) -> WorkerResult:
    """The difference of the partitions' counters. It includes posts of other producers."""
    first, last = _totals(before), _totals(after)
    late, dead, repeated, unmatched, unread = (max(0, last[name] - first[name]) for name in _COUNTERS)
    counted = max(0, sent - dead - repeated - unmatched - unread)
    return WorkerResult(counted, late, dead, repeated, unmatched, unread, dict(reasons))


_COUNTERS = ("late", "dead", "repeated", "unmatched", "unread")


def _totals(statuses: Iterable[PartitionStatus]) -> Counter[str]:
    totals: Counter[str] = Counter()
    for status in statuses:
        for name in _COUNTERS:
            totals[name] += getattr(status, name)
    return totals


def causes(
    result: WorkerResult,
    sent: int,
    before: Iterable[PartitionStatus],
    after: Iterable[PartitionStatus],
    *,
    source: str | None,
) -> dict[str, list[str]]:
    """Outcome -> causes and remedies; empty unless half of the posts are late, dead, unmatched or unread.

    *source*: of all posts; None if each has its own.
    """
    if 2 * (result.late + result.dead + result.unmatched + result.unread) < max(1, sent):
        return {}
    known = {(status.topic, status.partition): status.post_outcomes for status in before}
    added = [
        replace(
            status, post_outcomes=_added(known.get((status.topic, status.partition), ()), status.post_outcomes, source)
        )
        for status in after
    ]
    found: dict[str, list[str]] = {}
    for problem in stream_report(added, since_ms=0).problems:
        if problem.kind in SHOWN_ON_PAGE:
            remedy = f"{problem.remedy[:1].upper()}{problem.remedy[1:]}"
            found.setdefault(problem.kind, []).append(f"{problem.sentence('in this run')} {remedy}")
    return found


def _added(before: PostOutcomes, after: PostOutcomes, source: str | None) -> PostOutcomes:
    """The counts of *source* in *after* minus those in *before*."""
    sources = None if source is None else {source, OTHER_SOURCES}
    previous = {(period.number, *cell[:3]): cell.posts for period in before for cell in period.cells}
    periods = []
    for period in after:
        added = [
            Cell(*cell[:3], cell.posts - previous.get((period.number, *cell[:3]), 0))
            for cell in period.cells
            if sources is None or cell.source in sources
        ]
        periods.append(Period(period.number, tuple(cell for cell in added if cell.posts > 0)))
    return tuple(periods)


def worker_result_lines(result: WorkerResult, sent: int, remedies: Mapping[str, str]) -> list[str]:
    """One line for each number above zero, with causes and remedies from `causes` if there are any."""
    why, lines = result.why, list[str]()
    if result.dead:
        lines.append(
            f"dead: {plural(result.dead, 'post')}. The workers rejected them, and they are not counted; "
            "`brandpulse dlq list` shows each"
        )
        for reason, count in sorted(result.reasons.items(), key=lambda item: -item[1]):
            lines.append(
                f"  {count:,} {reason}" if "dead" in why else f"  {count:,} {reason}. {remedies.get(reason, '')}"
            )
        lines += _indented(why.get("dead", ()))
    if result.unmatched:
        subject = "none of the posts names a brand" if result.unmatched >= sent > 0 else "they name no brand"
        lines.append(
            f"unmatched: {plural(result.unmatched, 'post')}. Not counted, because {subject} of the brands file"
            + ("" if "unmatched" in why else "; check its terms and handles")
        )
        lines += _indented(why.get("unmatched", ()))
    if result.unread:
        lines.append(
            f"unread: {plural(result.unread, 'post')}. Not counted, because they are in a language or script that the "
            "model does not support"
            + ("" if "unread" in why else "; name weights of their languages with BRANDPULSE_MODEL_LANGUAGES")
        )
        lines += _indented(why.get("unread", ()))
    if result.repeated:
        lines.append(
            f"repeated: {plural(result.repeated, 'post')}. The workers dropped them as duplicates: the same source "
            "and id was counted before"
        )
    if result.late:
        lines.append(
            f"late: {plural(result.late, 'post')}. They arrived too late for alerting, but they count"
            + (
                ""
                if "late" in why
                else ". For a file of old posts, set BRANDPULSE_NAMESPACE and BRANDPULSE_POSTS_TOPIC to separate names"
            )
        )
        lines += _indented(why.get("late", ()))
    return lines


def _indented(sentences: Iterable[str]) -> list[str]:
    return [f"  {sentence}" for sentence in sentences]


def plural(number: int, thing: str) -> str:
    """`1 post`, `1,440 posts`."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def row_lines(
    *,
    in_file: int,
    sent_before: int,
    changed: int,
    other_source: int,
    rejected: int,
    rejects: str,
) -> list[str]:
    """One line for each kind of row that was not sent."""
    lines = []
    if in_file:
        lines.append(f"duplicates in the file: {plural(in_file, 'row')}. The first row of each id is sent")
    if sent_before:
        lines.append(
            f"sent before: {plural(sent_before, 'post')}. They were skipped; with --again they are sent once more and "
            "count twice"
        )
    if changed:
        lines.append(f"  {changed:,} of them had another text, author or time: the post that was sent first counts")
    if other_source:
        lines.append(f"  {other_source:,} of them under another source, with the same id, time, author and text")
    if rejected:
        lines.append(f"rejected: {plural(rejected, 'row')}. The reasons are in {rejects}")
    return lines
