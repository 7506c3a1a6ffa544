"""Redrive: filters, letters to send and to skip, record ids in headers."""

from dataclasses import replace

import pytest

from brandpulse.ops.redrive import DeadLetterFilter, plan_redrive
from brandpulse.schema.dead_letters import DeadLetter, RecordId, dead_letters, record_id_headers, record_id_of

LETTER = DeadLetter(RecordId("log-1", 1, 7), "posts", 1_000, "wrong_field", "Expected `str`", b"k", b'{"id": "B1"}')


class DeadLetterRecord:
    """A record of the dead-letter topic."""

    def __init__(self, headers: list[tuple[str, bytes]] | None, value: bytes = b"v") -> None:
        self._headers, self._value = headers, value

    def headers(self) -> list[tuple[str, bytes]] | None:
        return self._headers

    def key(self) -> bytes:
        return b"k"

    def value(self) -> bytes:
        return self._value


def written(reason: str, **facts: object) -> DeadLetterRecord:
    headers = {"topic": "posts", "record_ms": 5, "reason": reason, "error": "e"} | facts
    named = [(f"brandpulse.{name}", str(value).encode()) for name, value in headers.items()]
    return DeadLetterRecord(record_id_headers(RecordId("log-1", 1, 7)) + named)


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
def test_dead_letter_filter_matches_all_its_fields(wanted: DeadLetterFilter, matches: bool) -> None:
    assert wanted.matches(LETTER) is matches


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, ""),
        ({"topic": "other"}, "of another topic: set BRANDPULSE_POSTS_TOPIC=other"),
        ({"cut": 5_000_000}, "truncated: larger than the broker accepts"),
        ({"origin": RecordId("log-1", 4, 7)}, "its partition no longer exists: the topic has 4"),
    ],
)
def test_letters_that_cannot_be_sent_are_skipped_with_a_reason(changes: dict[str, object], reason: str) -> None:
    letter = replace(LETTER, **changes)  # type: ignore[arg-type]
    plan = plan_redrive([letter], topic="posts", partitions=4, redriven=(), counted=())
    assert (plan.send, plan.skip) == (([letter], {}) if not reason else ([], {reason: [letter]}))


def test_letters_counted_since_are_skipped() -> None:
    other = replace(LETTER, origin=RecordId("log-1", 1, 8))
    plan = plan_redrive([LETTER, other], topic="posts", partitions=4, redriven={LETTER}, counted={other})
    assert (plan.send, sum(map(len, plan.skip.values()))) == ([], 2)


def test_a_letter_written_twice_has_its_newest_reason() -> None:
    messages = [written("unscorable"), written("unscorable"), written("wrong_field", again_at=90, record_ms=6)]
    [letter] = dead_letters([*messages, DeadLetterRecord(None), DeadLetterRecord([("other", b"1")])])
    assert (letter.reason, letter.deaths, letter.record_ms, letter.id) == ("wrong_field", 2, 5, "1:7")


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("brandpulse.topic_id", b"x")],
        [*record_id_headers(RecordId("x", 1, 7))[:2], ("brandpulse.offset", b"seven")],
    ],
)
def test_incomplete_headers_give_no_record_id(headers: list[tuple[str, bytes | None]]) -> None:
    assert record_id_of(headers) is None
