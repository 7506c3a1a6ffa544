import logging
import re

import pytest

from brandpulse.runtime.logging_setup import KeyValueFormatter, quoted

FIELD = re.compile(r' ([A-Za-z_]+)=("(?:[^"\\]|\\.)*"|[^\s"=]+)')
UNESCAPED = {"n": "\n", "r": "\r", "t": "\t"}


def line_of(message: str = "kafka client error", *, error: BaseException | None = None, **fields: object) -> str:
    record = logging.makeLogRecord(
        {
            "name": "stream_workers.consumer.post_reader",
            "levelname": "WARNING",
            "created": 1_772_445_600.123,
            "msg": message,
            **fields,
        }
    )
    if error is not None:
        record.exc_info = (type(error), error, error.__traceback__)
    return KeyValueFormatter().format(record)


def fields_of(line: str) -> dict[str, str]:
    """The fields that a logfmt parser reads from *line*."""

    def value(raw: str) -> str:
        if not raw.startswith('"'):
            return raw
        return re.sub(
            r"\\(?:u([0-9a-f]{4})|(.))",
            lambda found: chr(int(found[1], 16)) if found[1] else UNESCAPED.get(found[2], found[2]),
            raw[1:-1],
        )

    return {name: value(raw) for name, raw in FIELD.findall(line)}


@pytest.mark.parametrize(
    "value",
    [
        "plain",
        "no route to host",
        "",
        'say "hi"',
        "C:\\new",
        "a=b",
        "two\nlines",
        "\x1b[31mred",
        "\u2028",
        "Zürich",
        "[0, 1]",
    ],
)
def test_logfmt_parser_reads_each_value_back(value: str) -> None:
    line = line_of(error_text=value, partition=3)
    assert fields_of(line) == {"error_text": value, "partition": "3"}
    assert len(line.splitlines()) == 1


def test_a_plain_word_has_no_quotes() -> None:
    assert line_of(partition=3, owner="host:9101") == (
        "2026-03-02T10:00:00.123Z WARNING stream_workers.consumer.post_reader kafka client error "
        "partition=3 owner=host:9101"
    )
    assert quoted("no host") == '"no host"'


def test_a_traceback_is_a_field_of_the_same_line() -> None:
    try:
        int("broken\nvalue")
    except ValueError as error:
        line = line_of("a bug", error=error)
    assert len(line.splitlines()) == 1
    assert fields_of(line)["traceback"].splitlines()[-1].startswith("ValueError: invalid literal")
    assert "test_logging_setup.py" in line


def test_a_message_with_line_breaks_stays_one_line() -> None:
    assert len(line_of("first\nsecond\x0b\x85third").splitlines()) == 1
