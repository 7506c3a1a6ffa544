"""Log lines for machines and people: time, level, event, then the fields as key=value."""

import logging
import sys
from datetime import UTC, datetime

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class KeyValueFormatter(logging.Formatter):
    """`2026-03-02T10:00:00.123Z INFO stream_workers.reader assigned partitions=[0, 1]`."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        fields = "".join(f" {name}={value}" for name, value in vars(record).items() if name not in _STANDARD)
        line = f"{at} {record.levelname} {record.name} {record.getMessage()}{fields}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def set_up_logging(level: str) -> None:
    """To stderr, once, at the entry of a service."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(KeyValueFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for chatty in ("faust", "mode", "aiokafka", "aiohttp.access"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
