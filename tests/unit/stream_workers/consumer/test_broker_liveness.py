"""What counts as a reply of Kafka."""

import logging
from collections.abc import Callable, Collection
from concurrent.futures import Future

import pytest
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import ListOffsetsResultInfo

from stream_workers.consumer.broker_liveness import BrokerLiveness, RequestLogEnds


def _ends_at(offset: int) -> "Future[ListOffsetsResultInfo]":
    reply: Future[ListOffsetsResultInfo] = Future()
    reply.set_result(ListOffsetsResultInfo(offset, 0, 0))
    return reply


def _refused() -> "Future[ListOffsetsResultInfo]":
    reply: Future[ListOffsetsResultInfo] = Future()
    reply.set_exception(KafkaException(KafkaError(KafkaError._NOENT)))
    return reply


def _cancelled() -> "Future[ListOffsetsResultInfo]":
    reply: Future[ListOffsetsResultInfo] = Future()
    reply.cancel()
    return reply


def _all(make: "Callable[[], Future[ListOffsetsResultInfo]]") -> RequestLogEnds:
    return lambda partitions, _seconds: {partition: make() for partition in partitions}


def _request_fails(_partitions: Collection[int], _seconds: float) -> "dict[int, Future[ListOffsetsResultInfo]]":
    raise KafkaException(KafkaError(KafkaError._STATE))


@pytest.mark.parametrize(
    ("ask", "silent"),
    [
        (_all(lambda: _ends_at(0)), 0.0),
        (_all(lambda: _ends_at(-1001)), 60.0),
        (_all(_refused), 60.0),
        (_all(_cancelled), 60.0),
        (_all(Future), 60.0),
        (_request_fails, 60.0),
    ],
    ids=["end of an empty log", "no end", "error", "cancelled", "no reply", "request failed"],
)
def test_only_a_log_end_counts_as_a_reply(ask: RequestLogEnds, silent: float) -> None:
    liveness = BrokerLiveness(ask)
    for now in range(100, 161):
        liveness.update({3: 7}, float(now))
    assert liveness.silent_seconds(3) == silent


def test_lost_leader_silences_only_its_own_partitions(caplog: pytest.LogCaptureFixture) -> None:
    lost = {1}
    liveness = BrokerLiveness(lambda partitions, _: {p: _ends_at(9) for p in partitions if p not in lost})
    with caplog.at_level(logging.INFO):
        for now in range(100, 141):
            liveness.update({0: 7, 1: 7}, float(now))
        assert (liveness.silent_seconds(0), liveness.silent_seconds(1) > 30) == (0.0, True)
        lost.clear()
        for now in range(141, 161):
            liveness.update({0: 7, 1: 7}, float(now))
        assert liveness.silent_seconds(1) == 0.0
    assert [line.getMessage() for line in caplog.records] == ["kafka not responding", "kafka responding again"]


def test_one_request_at_a_time_is_open() -> None:
    requested: list[float] = []

    def never(partitions: Collection[int], _seconds: float) -> "dict[int, Future[ListOffsetsResultInfo]]":
        requested.append(now)
        return {partition: Future() for partition in partitions}

    liveness, now = BrokerLiveness(never), 0.0
    for now in range(100, 131):
        liveness.update({0: 7}, float(now))
    assert requested == [100, 110, 120, 130]


def test_forgotten_partition_is_not_requested() -> None:
    requested: list[set[int]] = []

    def note(partitions: Collection[int], _seconds: float) -> "dict[int, Future[ListOffsetsResultInfo]]":
        requested.append(set(partitions))
        return {partition: _ends_at(9) for partition in partitions}

    liveness = BrokerLiveness(note)
    liveness.update({0: 7, 1: 7}, 100.0)
    liveness.forget(1)
    liveness.update({0: 7}, 105.0)
    liveness.forget(0)
    liveness.update({}, 110.0)
    assert requested == [{0, 1}, {0}]
