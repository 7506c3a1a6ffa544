"""Which letters a redrive takes, sends and leaves; and what a letter says of itself."""

from dataclasses import replace

import pytest

from brandpulse.ops.redrive import DeadLetterFilter, plan_redrive
from brandpulse.schema.dead_letters import DeadLetter, RecordId, dead_letters, record_id_headers, record_id_of

LETTER = DeadLetter(RecordId("log-1", 1, 7), "posts", 1_000, "wrong_field", "Expected `str`", b"k", b'{"id": "B1"}')


class Written:
    """A record of the dead letters' topic."""

    def __init__(self, headers: list[tuple[str, bytes]] | None, value: bytes = b"v") -> None:
        self._headers, self._value = headers, value

    def headers(self) -> list[tuple[str, bytes]] | None:
        return self._headers

    def key(self) -> bytes:
        return b"k"

    def value(self) -> bytes:
        return self._value


def written(reason: str, **facts: object) -> Written:
    headers = {"topic": "posts", "record_ms": 5, "reason": reason, "error": "e"} | facts
    named = [(f"brandpulse.{name}", str(value).encode()) for name, value in headers.items()]
    return Written(record_id_headers(RecordId("log-1", 1, 7)) + named)


@pytest.mark.parametrize(
    ("wanted", "matches"),
    [
        (DeadLetterFilter(), True),
        (DeadLetterFilter(ids=("1:7",)), True),
        (DeadLetterFilter(ids=("log-1:1:7",)), True),
        (DeadLetterFilter(ids=("log-2:1:7",)), False),
        (DeadLetterFilter(reasons=("too_old",)), False),
        (DeadLetterFilter(reasons=("too_old", "wrong_field")), True),
        (DeadLetterFilter(partition=0), False),
        (DeadLetterFilter(since_ms=1_000, until_ms=1_001), True),
        (DeadLetterFilter(since_ms=1_001), False),
        (DeadLetterFilter(until_ms=1_000), False),
        (DeadLetterFilter(text="b1"), True),
        (DeadLetterFilter(text="EXPECTED"), True),
        (DeadLetterFilter(text="nothing of it"), False),
    ],
)
def test_filters_restrict_what_they_name(wanted: DeadLetterFilter, matches: bool) -> None:
    assert wanted.matches(LETTER) is matches


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({}, ""),
        ({"topic": "other"}, "of another topic: set BRANDPULSE_POSTS_TOPIC=other"),
        ({"cut": 5_000_000}, "truncated: larger than the broker accepts"),
        ({"origin": RecordId("log-1", 4, 7)}, "its partition no longer exists: the topic has 4"),
    ],
)
def test_what_cannot_come_back_stays_and_says_why(changes: dict[str, object], why: str) -> None:
    letter = replace(LETTER, **changes)  # type: ignore[arg-type]
    plan = plan_redrive([letter], topic="posts", partitions=4, redriven=(), counted=())
    assert (plan.send, plan.skip) == (([letter], {}) if not why else ([], {why: [letter]}))


def test_what_was_counted_since_stays() -> None:
    other = replace(LETTER, origin=RecordId("log-1", 1, 8))
    plan = plan_redrive([LETTER, other], topic="posts", partitions=4, redriven={LETTER}, counted={other})
    assert (plan.send, sum(map(len, plan.skip.values()))) == ([], 2)


def test_a_letter_written_twice_is_one_and_its_newest_death_speaks() -> None:
    messages = [written("unscorable"), written("unscorable"), written("wrong_field", again_at=90, record_ms=6)]
    [letter] = dead_letters([*messages, Written(None), Written([("other", b"1")])])
    assert (letter.reason, letter.deaths, letter.record_ms, letter.id) == ("wrong_field", 2, 5, "1:7")


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("brandpulse.topic_id", b"x")],
        [*record_id_headers(RecordId("x", 1, 7))[:2], ("brandpulse.offset", b"seven")],
    ],
)
def test_headers_that_name_no_place_are_no_identity(headers: list[tuple[str, bytes | None]]) -> None:
    assert record_id_of(headers) is None
