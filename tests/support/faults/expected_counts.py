"""The counts that the log implies: they come from the log itself, not from what a producer believes it sent."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import redis

from brandpulse.kafka.topic_scan import read_to_end
from brandpulse.schema.dead_letters import dead_letters
from brandpulse.state.keys import HOUR_MS
from brandpulse.state.pane_reader import PaneReader
from tests.support.faults.traffic import MINUTE_MS, Meaning

Place = tuple[int, int]
"""Partition, offset."""
LATENESS_MS = 120_000


@dataclass
class Truth:
    """Reads a topic of posts and one of dead letters, each time from its last position, and adds up the counts."""

    bootstrap_servers: str
    topic: str
    dlq_topic: str
    meanings: dict[bytes | None, Meaning] = field(default_factory=dict)
    minutes: Counter[tuple[str, int, str]] = field(default_factory=Counter)
    """(brand, minute since 1970, sentiment) -> posts."""
    counted: set[str] = field(default_factory=set)
    dead: dict[Place, str] = field(default_factory=dict)
    """Record that must be a dead letter -> reason."""
    repeated: int = 0
    unmatched: int = 0
    late: int = 0
    records: int = 0
    ends: dict[int, int] = field(default_factory=dict)
    _clocks: dict[int, int] = field(default_factory=dict)
    _letters: list[Any] = field(default_factory=list)
    _letters_end: dict[int, int] = field(default_factory=dict)

    def look(self) -> None:
        """Take in what the topic of posts gained."""
        for message in read_to_end(self.bootstrap_servers, self.topic, start=self.ends):
            partition, offset = message.partition(), message.offset()
            self.ends[partition] = offset + 1
            self.records += 1
            self._take(partition, offset, self.meanings[message.value()])

    def _take(self, partition: int, offset: int, meaning: Meaning) -> None:
        if meaning.dead:
            self.dead[partition, offset] = meaning.dead
            return
        if meaning.said and meaning.post_id in self.counted:
            self.repeated += 1
            return
        clock = self._clocks.get(partition, meaning.at_ms)
        self._clocks[partition] = max(clock, meaning.at_ms)
        if not meaning.said:
            self.unmatched += 1
            return
        self.counted.add(meaning.post_id)
        self.late += meaning.at_ms < clock - LATENESS_MS
        for brand, sentiment in meaning.said:
            self.minutes[brand, meaning.at_ms // MINUTE_MS, sentiment] += 1

    def differences(self, client: redis.Redis, namespace: str) -> dict[str, Any]:
        """Differences of the store and the dead letters; empty when all is exact."""
        reader = PaneReader(client, namespace)
        found: dict[str, Any] = {}
        statuses = reader.partitions()
        for name, wanted in (
            ("next", sum(self.ends.values())),
            ("dead", len(self.dead)),
            ("repeated", self.repeated),
            ("unmatched", self.unmatched),
            ("late", self.late),
            ("lost", 0),
        ):
            if (seen := sum(getattr(status, name) for status in statuses)) != wanted:
                found[name] = {"seen": seen, "right": wanted}
        if found.get("next"):
            return found  # on its way; the rest would only be noise
        for span in ("minutes", "hours"):
            right, seen = self._panes(span), _stored(reader, span, self.minutes)
            if lost := right - seen:
                found[f"lost in {span}"] = {"posts": sum(lost.values()), "panes": _some(lost)}
            if doubled := seen - right:
                found[f"doubled in {span}"] = {"posts": sum(doubled.values()), "panes": _some(doubled)}
        return found | self._letters_otherwise()

    def _panes(self, span: str) -> Counter[tuple[str, int, str]]:
        if span == "minutes":
            return self.minutes
        hours: Counter[tuple[str, int, str]] = Counter()
        for (brand, minute, sentiment), posts in self.minutes.items():
            hours[brand, minute * MINUTE_MS // HOUR_MS, sentiment] += posts
        return hours

    def _letters_otherwise(self) -> dict[str, Any]:
        for message in read_to_end(self.bootstrap_servers, self.dlq_topic, start=self._letters_end):
            self._letters_end[message.partition()] = message.offset() + 1
            self._letters.append(message)
        found = {(one.origin.partition, one.origin.offset): one.reason for one in dead_letters(self._letters)}
        if found == self.dead:
            return {}
        both = found.items() ^ self.dead.items()
        return {"letters": {"seen": len(found), "right": len(self.dead), "differ": sorted(both)[:10]}}


def _some(panes: Counter[tuple[str, int, str]]) -> dict[str, int]:
    return {" ".join(map(str, where)): posts for where, posts in list(panes.items())[:5]}


def _stored(reader: PaneReader, span: str, minutes: Counter[tuple[str, int, str]]) -> Counter[tuple[str, int, str]]:
    brands = sorted({brand for brand, _, _ in minutes} | set(reader.brands()))
    first = min((minute for _, minute, _ in minutes), default=0) - 60
    last = max((minute for _, minute, _ in minutes), default=0) + 60
    if span == "minutes":
        panes = {brand: found.panes for brand, found in reader.minutes(brands, first, last).items()}
    else:
        hours = reader.hours(brands, first * MINUTE_MS // HOUR_MS, last * MINUTE_MS // HOUR_MS)
        panes = dict(hours.items())
    return Counter(
        {
            (brand, at, sentiment): posts
            for brand, found in panes.items()
            for at, pane in found.items()
            for sentiment in ("negative", "neutral", "positive", "irrelevant")
            if (posts := getattr(pane, sentiment))
        }
    )
