"""Assigns the rows of the training sets to validation parts. Pure: the files are in `folder`."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from brandpulse.errors import ConfigError
from model.data.labelled_posts import leak_key
from model.data.parts_manifest import PartFacts, SetFacts
from model.training.parts.rule import Part, SplitRule, SplitSet, is_moment

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class SetRow:
    """One row of a set: what is written, and what decides about it."""

    row: Row
    where: str
    """File and line, for errors."""
    topic: str | None
    time: str | None
    columns: Mapping[str, Any]
    """The row as it was read."""


@dataclass(frozen=True, slots=True)
class SplitRows:
    """Rows by part, and the remaining training rows of each set."""

    training: dict[str, list[SetRow]]
    parts: dict[str, list[SetRow]]


def percentile(seed: str, value: str) -> int:
    """A number from 0 to 99 that depends on *seed* and *value* only, equal for other case."""
    # JSON may hold half a surrogate pair, which UTF-8 has no form for.
    digest = hashlib.sha256(f"{seed}:{value.casefold()}".encode(errors="surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") % 100


def set_row(columns: Mapping[str, Any], row: Row, where: str, names: SplitSet) -> SetRow:
    """*columns* as read, with its topic and time. Raises ConfigError that names a value of the wrong form."""
    topic, time = (columns.get(name) if name else None for name in (names.topic, names.time))
    if topic in (None, ""):
        topic = None
    elif not isinstance(topic, str):
        raise ConfigError(f"{where}: {names.topic}: expected a topic as text, got {topic!r}")
    if time in (None, ""):
        time = None
    elif not (isinstance(time, str) and is_moment(time)):
        raise ConfigError(f"{where}: {names.time}: expected a time such as 2015-10-05T12:00, got {time!r}")
    return SetRow(row, where, topic, time, columns)


def split_rows(rule: SplitRule, sets: Mapping[str, Sequence[SetRow]]) -> SplitRows:
    """Each row of *sets* in the first part that takes it, else in training; the order is kept.

    Raises ConfigError that names a column that no row has, or a part that takes no row.
    """
    parts: dict[str, list[SetRow]] = {part.name: [] for part in rule.parts}
    training: dict[str, list[SetRow]] = {}
    for name, rows in sets.items():
        own = [part for part in rule.parts if part.of == name]
        _check_columns(name, rule.sets[name], own, rows)
        training[name] = []
        for row in rows:
            taker = next((part for part in own if takes(part, row, rule.seed)), None)
            (training[name] if taker is None else parts[taker.name]).append(row)
    for part in rule.parts:
        if not parts[part.name]:
            raise ConfigError(f"parts.{part.name}: takes no row of {part.of}. {_described(part, sets[part.of])}")
    return SplitRows(training, parts)


def takes(part: Part, row: SetRow, seed: str) -> bool:
    """Whether *row* fulfils all conditions of *part*. A row without time or topic fulfils no condition on it."""
    if part.since is not None and (row.time is None or _cut(row.time, part.since) < part.since):
        return False
    if part.before is not None and (row.time is None or _cut(row.time, part.before) >= part.before):
        return False
    if any(str(row.columns.get(column)) not in values for column, values in part.where.items()):
        return False
    if part.topics is not None and not (row.topic is not None and _drawn(part.topics, seed, row.topic)):
        return False
    return part.posts is None or _drawn(part.posts, seed, leak_key(row.row["text"]))


def part_keys(parts: Mapping[str, Iterable[SetRow]]) -> dict[str, set[str]]:
    """Part -> `leak_key` of each text."""
    return {name: {leak_key(row.row["text"]) for row in rows} - {""} for name, rows in parts.items()}


def set_facts(read: int, rows: Sequence[SetRow], names: SplitSet) -> SetFacts:
    """Counts of a set; *rows* are those that remain for the training."""
    return SetFacts(
        read=read,
        kept=len(rows),
        topics=len(topics_of(rows)) if names.topic else None,
        without_topic=sum(row.topic is None for row in rows) if names.topic else 0,
        without_time=sum(row.time is None for row in rows) if names.time else 0,
    )


def part_facts(part: Part, rows: Sequence[SetRow], names: SplitSet, keys: Mapping[str, set[str]]) -> PartFacts:
    """Counts of a part; *keys* are those of `part_keys`."""
    times = sorted(row.time for row in rows if row.time is not None)
    own = [leak_key(row.row["text"]) for row in rows]
    shared = {name: sum(key in of for key in own) for name, of in keys.items() if name != part.name}
    labels = Counter(str(row.row.get("target_sentiment") or row.row.get("sentiment") or "none") for row in rows)
    return PartFacts(
        of=part.of,
        kind=part.kind,
        use=part.use,
        rows=len(rows),
        topics=len(topics_of(rows)) if names.topic else None,
        first=times[0] if times else None,
        last=times[-1] if times else None,
        labels=dict(sorted(labels.items())),
        shared_texts={name: count for name, count in shared.items() if count},
    )


def topics_of(rows: Iterable[SetRow]) -> set[str]:
    """The distinct topics, in lower case."""
    return {row.topic.casefold() for row in rows if row.topic is not None}


def _cut(time: str, moment: str) -> str:
    """*time* as far as *moment* is written; `2015-10-05 12` and `2015-10-05T12` are equal."""
    return time[: len(moment)].replace(" ", "T")


def _drawn(share: tuple[int, int], seed: str, value: str) -> bool:
    return share[0] <= percentile(seed, value) < share[1]


def _check_columns(name: str, names: SplitSet, parts: Sequence[Part], rows: Sequence[SetRow]) -> None:
    wanted = {f"sets.{name}.topic": names.topic, f"sets.{name}.time": names.time}
    wanted |= {f"parts.{part.name}.where": column for part in parts for column in part.where}
    if not rows:
        raise ConfigError(f"sets.{name}: its training file has no rows")
    for setting, column in wanted.items():
        if column is not None and not any(column in row.columns for row in rows):
            known = ", ".join(dict.fromkeys(column for row in rows[:100] for column in row.columns))
            raise ConfigError(f"{setting}: no row has the column {column!r}; the columns are {known}")


def _described(part: Part, rows: Sequence[SetRow]) -> str:
    """What the set offers to the conditions of *part*."""
    found = []
    if part.since or part.before:
        times = sorted(row.time for row in rows if row.time is not None)
        found.append(f"Its times go from {times[0]} to {times[-1]}." if times else "No row has a time.")
    if part.topics is not None:
        found.append(f"It has {len(topics_of(rows))} topics.")
    for column in part.where:
        values = Counter(str(row.columns.get(column)) for row in rows)
        found.append(f"{column} is {', '.join(value for value, _ in values.most_common(5))}.")
    return " ".join([*found, "An earlier part may have taken the rows: parts take rows in order."])
