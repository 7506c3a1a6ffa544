"""Log format: one line a record; time, level, logger, event, then the fields as key=value."""

import logging
import re
import sys
from datetime import UTC, datetime

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_PLAIN = re.compile(r"[^\s\"'=\\\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_ESCAPED = re.compile(r"[\"\\\x00-\x1f\x7f-\x9f\u2028\u2029]")


class KeyValueFormatter(logging.Formatter):
    """`2026-03-02T10:00:00.123Z INFO stream_workers.run worker ready model="minilm 3" error="no route to host"`.

    logfmt: a value with spaces, quotes, an equals sign or control characters is quoted, with backslash escapes, and a
    traceback is the field `traceback`. So each record is one line.
    """

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        fields = "".join(
            f" {name}={quoted(str(value))}" for name, value in vars(record).items() if name not in _STANDARD
        )
        if record.exc_info:
            fields += f" traceback={quoted(self.formatException(record.exc_info))}"
        if record.stack_info:
            fields += f" stack={quoted(record.stack_info)}"
        return f"{at} {record.levelname} {record.name} {_escaped(record.getMessage())}{fields}"


def quoted(value: str) -> str:
    """*value* in logfmt: bare if it is one plain word, else in double quotes with escapes."""
    return value if _PLAIN.fullmatch(value) else f'"{_escaped(value)}"'


def _escaped(text: str) -> str:
    return _ESCAPED.sub(lambda found: _ESCAPES.get(found[0]) or f"\\u{ord(found[0]):04x}", text)


def set_up_logging(level: str) -> None:
    """Log to stderr. Called once, when a service starts."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(KeyValueFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for chatty in ("faust", "mode", "aiokafka", "aiohttp.access"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
