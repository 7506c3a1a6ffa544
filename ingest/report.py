"""The last lines of `brandpulse ingest file`: what became of each row, why, and what to do about it. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from brandpulse.partitions import PartitionStatus


@dataclass(frozen=True, slots=True)
class Fate:
    """What the workers did with the records of the topic while a command waited."""

    counted: int
    late: int = 0
    dead: int = 0
    repeated: int = 0
    unmatched: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)
    """Dead letters by reason, as far as they could be read."""

    def all_well(self, sent: int) -> bool:
        """Whether every post was read, and some of them name a brand."""
        return self.dead == 0 and not (0 < sent <= self.unmatched)

    def numbers(self) -> dict[str, int | dict[str, int]]:
        """For the line of JSON."""
        counts: dict[str, int | dict[str, int]] = {
            "counted": self.counted,
            "late": self.late,
            "dead": self.dead,
            "repeated_by_workers": self.repeated,
            "unmatched": self.unmatched,
        }
        return counts | ({"dead_reasons": dict(self.reasons)} if self.reasons else {})


def fate(
    sent: int, before: Iterable[PartitionStatus], after: Iterable[PartitionStatus], reasons: Mapping[str, int]
) -> Fate:
    """From the partitions' counters before and after. Posts of other producers are in them too."""
    first, last = _totals(before), _totals(after)
    late, dead, repeated, unmatched = (max(0, last[name] - first[name]) for name in _COUNTERS)
    return Fate(max(0, sent - dead - repeated - unmatched), late, dead, repeated, unmatched, dict(reasons))


_COUNTERS = ("late", "dead", "repeated", "unmatched")


def _totals(statuses: Iterable[PartitionStatus]) -> Counter[str]:
    totals: Counter[str] = Counter()
    for status in statuses:
        for name in _COUNTERS:
            totals[name] += getattr(status, name)
    return totals


def fate_lines(told: Fate, sent: int, remedies: Mapping[str, str]) -> list[str]:
    """One line for each number that is not zero, with its cause and remedy."""
    lines = []
    if told.dead:
        lines.append(
            f"dead: {some(told.dead, 'post')}. The workers refused them, and they count nowhere; "
            "`brandpulse dlq list` shows each"
        )
        for reason, count in sorted(told.reasons.items(), key=lambda item: -item[1]):
            lines.append(f"  {count:,} {reason}. {remedies.get(reason, '')}".rstrip())
    if told.unmatched:
        every = "none of the posts names a brand" if told.unmatched >= sent > 0 else "they name no brand"
        lines.append(
            f"unmatched: {some(told.unmatched, 'post')}. Not counted, since {every} of the brands file; check its "
            "terms and handles"
        )
    if told.repeated:
        lines.append(
            f"repeated: {some(told.repeated, 'post')}. The workers left them out, since they had counted the same "
            "source and id"
        )
    if told.late:
        lines.append(
            f"late: {some(told.late, 'post')}, behind what was counted already. They count, and are never alerted on. "
            "For a file of the past set BRANDPULSE_NAMESPACE and BRANDPULSE_POSTS_TOPIC to a place of its own"
        )
    return lines


def some(number: int, thing: str) -> str:
    """`1 post`, `1,440 posts`."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def row_lines(
    *,
    in_file: int,
    sent_before: int,
    changed: int,
    elsewhere: int,
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
    if elsewhere:
        lines.append(f"  {elsewhere:,} of them under another source, with the same id, time, author and text")
    if rejected:
        lines.append(f"rejected: {some(rejected, 'row')}. Each with its reason: {rejects}")
    return lines
