"""bytewax's own way: its Kafka source, batches decoded and matched, then its event-time windows, counts in memory."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import bytewax.operators as op
from bytewax.connectors.kafka import KafkaSource
from bytewax.dataflow import Dataflow
from bytewax.operators import windowing
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.testing import run_main

from brandpulse.bench.competitors.runner import Counts, NativeCounts, Stopwatch, job
from brandpulse.schema.posts import POST_DECODER

Mention = tuple[str, datetime]
KeysOf = Callable[[list[Any]], list[tuple[str, int]]]
"""Of Kafka messages: (brand, event time in ms) of each mention."""


class Kept(DynamicSink[Any]):
    """Keeps what the windows gave, in memory."""

    def __init__(self) -> None:
        self.found: list[Any] = []

    def build(self, _step_id: str, _worker_index: int, _worker_count: int) -> StatelessSinkPartition[Any]:
        return _Part(self.found)


class _Part(StatelessSinkPartition[Any]):
    def __init__(self, found: list[Any]) -> None:
        self._found = found

    def write_batch(self, items: list[Any]) -> None:
        self._found += items


def _in_python(brands: Path) -> KeysOf:
    counts = Counts(brands)
    return lambda messages: [key for one in messages for key in counts.keys_of(POST_DECODER.decode(one.value))]


def _natively(brands: Path) -> KeysOf:
    counts = NativeCounts(brands)
    return lambda messages: counts.keys_of([message.value for message in messages])


def main() -> None:
    given = job()
    watch = Stopwatch()
    keys_of = _natively(given.brands) if given.native else _in_python(given.brands)

    def mentions(messages: list[Any]) -> Iterable[Mention]:
        out = [(brand, datetime.fromtimestamp(moment / 1_000, UTC)) for brand, moment in keys_of(messages)]
        watch.saw(len(messages))
        return out

    flow = Dataflow("bench")
    source = KafkaSource([given.bootstrap_servers], [given.topic], tail=False)
    named = op.flat_map_batch("mentions", op.input("posts", flow, source), mentions)
    clock: windowing.EventClock[Mention] = windowing.EventClock(
        lambda mention: mention[1], wait_for_system_duration=timedelta(minutes=2)
    )
    minutes = windowing.TumblingWindower(length=timedelta(minutes=1), align_to=datetime(2026, 1, 1, tzinfo=UTC))
    counted = windowing.count_window("minutes", named, clock, minutes, lambda mention: mention[0])
    op.output("kept", counted.down, Kept())
    run_main(flow)  # type: ignore[no-untyped-call]
    watch.tell()


if __name__ == "__main__":
    main()
