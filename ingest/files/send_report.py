"""The last lines of `brandpulse ingest file`: what became of each row, why, and what to do about it. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from brandpulse.state.diagnosis.stream_report import SHOWN_ON_PAGE, stream_report
from brandpulse.state.outcomes.post_outcomes import OTHER_SOURCES, Cell, Fates, Period
from brandpulse.state.partition_state import PartitionStatus


@dataclass(frozen=True, slots=True)
class WorkerResult:
    """What the workers did with the records of the topic while a command waited.

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
    """Dead letters by reason, as far as they could be read."""
    why: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """By fate, sentences about its likely cause, as `causes` finds them."""

    @property
    def on_time(self) -> int:
        return max(0, self.counted - self.late)

    def succeeded(self, sent: int) -> bool:
        """Whether no post is dead, and some of them name a brand in a language that the model reads."""
        return self.dead == 0 and not (0 < sent <= self.unmatched + self.unread)

    def numbers(self) -> dict[str, object]:
        """For the line of JSON."""
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
    """From the partitions' counters before and after. Posts of other producers are in them too."""
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
    """By fate, why posts met it and what to do; empty unless half of the posts are late, dead, unmatched or unread.

    *source*: that of the posts; None: each has its own.
    """
    if 2 * (result.late + result.dead + result.unmatched + result.unread) < max(1, sent):
        return {}
    known = {(status.topic, status.partition): status.fates for status in before}
    added = [
        replace(status, fates=_added(known.get((status.topic, status.partition), ()), status.fates, source))
        for status in after
    ]
    found: dict[str, list[str]] = {}
    for problem in stream_report(added, since_ms=0).problems:
        if problem.kind in SHOWN_ON_PAGE:
            remedy = f"{problem.remedy[:1].upper()}{problem.remedy[1:]}"
            found.setdefault(problem.kind, []).append(f"{problem.sentence('in this run')} {remedy}")
    return found


def _added(before: Fates, after: Fates, source: str | None) -> Fates:
    """What *after* has more than *before*, of *source*."""
    wanted = None if source is None else {source, OTHER_SOURCES}
    had = {(period.number, *cell[:3]): cell.posts for period in before for cell in period.cells}
    periods = []
    for period in after:
        more = [
            Cell(*cell[:3], cell.posts - had.get((period.number, *cell[:3]), 0))
            for cell in period.cells
            if wanted is None or cell.source in wanted
        ]
        periods.append(Period(period.number, tuple(cell for cell in more if cell.posts > 0)))
    return tuple(periods)


def worker_result_lines(result: WorkerResult, sent: int, remedies: Mapping[str, str]) -> list[str]:
    """One line for each number that is not zero, with its cause and remedy: those of `causes` where there are any."""
    why, lines = result.why, list[str]()
    if result.dead:
        lines.append(
            f"dead: {some(result.dead, 'post')}. The workers refused them, and they count nowhere; "
            "`brandpulse dlq list` shows each"
        )
        for reason, count in sorted(result.reasons.items(), key=lambda item: -item[1]):
            lines.append(
                f"  {count:,} {reason}" if "dead" in why else f"  {count:,} {reason}. {remedies.get(reason, '')}"
            )
        lines += _indented(why.get("dead", ()))
    if result.unmatched:
        every = "none of the posts names a brand" if result.unmatched >= sent > 0 else "they name no brand"
        lines.append(
            f"unmatched: {some(result.unmatched, 'post')}. Not counted, since {every} of the brands file"
            + ("" if "unmatched" in why else "; check its terms and handles")
        )
        lines += _indented(why.get("unmatched", ()))
    if result.unread:
        lines.append(
            f"unread: {some(result.unread, 'post')}. Not counted: a brand is named in a language or script that the "
            "model does not read" + ("" if "unread" in why else "; BRANDPULSE_WORKER_WEIGHTS names another model")
        )
        lines += _indented(why.get("unread", ()))
    if result.repeated:
        lines.append(
            f"repeated: {some(result.repeated, 'post')}. The workers left them out, since they had counted the same "
            "source and id"
        )
    if result.late:
        lines.append(
            f"late: {some(result.late, 'post')}, behind what was counted already. They count, and are never alerted on"
            + (
                ""
                if "late" in why
                else ". For a file of the past, set BRANDPULSE_NAMESPACE and BRANDPULSE_POSTS_TOPIC to a place of its "
                "own"
            )
        )
        lines += _indented(why.get("late", ()))
    return lines


def _indented(sentences: Iterable[str]) -> list[str]:
    return [f"  {sentence}" for sentence in sentences]


def some(number: int, thing: str) -> str:
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
    """What became of rows that were not sent."""
    lines = []
    if in_file:
        lines.append(f"repeated in the file: {some(in_file, 'row')}. The first row of each id counts")
    if sent_before:
        lines.append(
            f"sent before: {some(sent_before, 'post')}. They are not sent again; --again sends them once more, and "
            "they count twice"
        )
    if changed:
        lines.append(
            f"  {changed:,} of them with another text, author or time than now: the post that was sent first counts"
        )
    if other_source:
        lines.append(f"  {other_source:,} of them under another source, with the same id, time, author and text")
    if rejected:
        lines.append(f"rejected: {some(rejected, 'row')}. Each with its reason: {rejects}")
    return lines
