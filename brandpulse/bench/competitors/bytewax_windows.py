"""bytewax as its documentation shows it: its Kafka source, then its event-time windows, counts in memory."""

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

from brandpulse.bench.competitors.runner import Counts, NativeCounts, Stopwatch, read_arguments
from brandpulse.schema.posts import POST_DECODER

Mention = tuple[str, datetime]
KeysOf = Callable[[list[Any]], list[tuple[str, int]]]
"""From Kafka messages to (brand, event time in ms) of each mention."""


class MemorySink(DynamicSink[Any]):
    """Stores the results of the windows in memory."""

    def __init__(self) -> None:
        self.results: list[Any] = []

    def build(self, _step_id: str, _worker_index: int, _worker_count: int) -> StatelessSinkPartition[Any]:
        return _SinkPartition(self.results)


class _SinkPartition(StatelessSinkPartition[Any]):
    def __init__(self, results: list[Any]) -> None:
        self._results = results

    def write_batch(self, items: list[Any]) -> None:
        self._results += items


def _in_python(brands: Path) -> KeysOf:
    counts = Counts(brands)
    return lambda messages: [key for message in messages for key in counts.keys_of(POST_DECODER.decode(message.value))]


def _natively(brands: Path) -> KeysOf:
    counts = NativeCounts(brands)
    return lambda messages: counts.keys_of([message.value for message in messages])


def main() -> None:
    arguments = read_arguments()
    watch = Stopwatch()
    keys_of = _natively(arguments.brands) if arguments.native else _in_python(arguments.brands)

    def mentions(messages: list[Any]) -> Iterable[Mention]:
        out = [(brand, datetime.fromtimestamp(event_ms / 1_000, UTC)) for brand, event_ms in keys_of(messages)]
        watch.add(len(messages))
        return out

    flow = Dataflow("bench")
    source = KafkaSource([arguments.bootstrap_servers], [arguments.topic], tail=False)
    named = op.flat_map_batch("mentions", op.input("posts", flow, source), mentions)
    clock: windowing.EventClock[Mention] = windowing.EventClock(
        lambda mention: mention[1], wait_for_system_duration=timedelta(minutes=2)
    )
    minutes = windowing.TumblingWindower(length=timedelta(minutes=1), align_to=datetime(2026, 1, 1, tzinfo=UTC))
    counted = windowing.count_window("minutes", named, clock, minutes, lambda mention: mention[0])
    op.output("counts", counted.down, MemorySink())
    run_main(flow)  # type: ignore[no-untyped-call]
    watch.report()


if __name__ == "__main__":
    main()
