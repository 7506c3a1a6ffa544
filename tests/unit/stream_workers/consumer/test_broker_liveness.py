"""What counts as an answer of Kafka's, and what as none."""

import logging
from collections.abc import Callable, Collection
from concurrent.futures import Future

import pytest
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import ListOffsetsResultInfo

from stream_workers.consumer.broker_liveness import BrokerLiveness, RequestLogEnds


def _ends_at(offset: int) -> "Future[ListOffsetsResultInfo]":
    answer: Future[ListOffsetsResultInfo] = Future()
    answer.set_result(ListOffsetsResultInfo(offset, 0, 0))
    return answer


def _refused() -> "Future[ListOffsetsResultInfo]":
    answer: Future[ListOffsetsResultInfo] = Future()
    answer.set_exception(KafkaException(KafkaError(KafkaError._NOENT)))
    return answer


def _cancelled() -> "Future[ListOffsetsResultInfo]":
    answer: Future[ListOffsetsResultInfo] = Future()
    answer.cancel()
    return answer


def _all(make: "Callable[[], Future[ListOffsetsResultInfo]]") -> RequestLogEnds:
    return lambda partitions, _seconds: {partition: make() for partition in partitions}


def _not_even_asked(_partitions: Collection[int], _seconds: float) -> "dict[int, Future[ListOffsetsResultInfo]]":
    raise KafkaException(KafkaError(KafkaError._STATE))


@pytest.mark.parametrize(
    ("ask", "silent"),
    [
        (_all(lambda: _ends_at(0)), 0.0),
        (_all(lambda: _ends_at(-1001)), 60.0),
        (_all(_refused), 60.0),
        (_all(_cancelled), 60.0),
        (_all(Future), 60.0),
        (_not_even_asked, 60.0),
    ],
    ids=["an empty log's end", "no end", "an error", "a client that went", "nothing", "not asked"],
)
def test_only_the_end_of_a_log_is_an_answer(ask: RequestLogEnds, silent: float) -> None:
    answers = BrokerLiveness(ask)
    for now in range(100, 161):
        answers.update({3: 7}, float(now))
    assert answers.silent_seconds(3) == silent


def test_a_leader_that_is_gone_silences_its_own_partitions_alone(caplog: pytest.LogCaptureFixture) -> None:
    gone = {1}
    answers = BrokerLiveness(lambda partitions, _: {p: _ends_at(9) for p in partitions if p not in gone})
    with caplog.at_level(logging.INFO):
        for now in range(100, 141):
            answers.update({0: 7, 1: 7}, float(now))
        assert (answers.silent_seconds(0), answers.silent_seconds(1) > 30) == (0.0, True)
        gone.clear()
        for now in range(141, 161):
            answers.update({0: 7, 1: 7}, float(now))
        assert answers.silent_seconds(1) == 0.0
    assert [line.getMessage() for line in caplog.records] == ["kafka not responding", "kafka responding again"]


def test_one_question_at_a_time_is_open() -> None:
    asked: list[float] = []

    def never(partitions: Collection[int], _seconds: float) -> "dict[int, Future[ListOffsetsResultInfo]]":
        asked.append(now)
        return {partition: Future() for partition in partitions}

    answers, now = BrokerLiveness(never), 0.0
    for now in range(100, 131):
        answers.update({0: 7}, float(now))
    assert asked == [100, 110, 120, 130]


def test_what_was_given_away_is_not_asked_about() -> None:
    asked: list[set[int]] = []

    def note(partitions: Collection[int], _seconds: float) -> "dict[int, Future[ListOffsetsResultInfo]]":
        asked.append(set(partitions))
        return {partition: _ends_at(9) for partition in partitions}

    answers = BrokerLiveness(note)
    answers.update({0: 7, 1: 7}, 100.0)
    answers.forget(1)
    answers.update({0: 7}, 105.0)
    answers.forget(0)
    answers.update({}, 110.0)
    assert asked == [{0, 1}, {0}]
