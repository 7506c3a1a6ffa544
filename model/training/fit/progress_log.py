"""The progress log of a training run: one JSON object per line on standard error, and a log record."""

import json
import logging
import sys

logger = logging.getLogger(__name__)


def log_progress(event: str, **fields: object) -> None:
    """Logs *event*. Printed numbers are rounded to four decimal places; `fields` of the log record are exact."""
    shown = {key: round(value, 4) if isinstance(value, float) else value for key, value in fields.items()}
    print(json.dumps({"event": event} | shown), file=sys.stderr, flush=True)
    logger.debug(event, extra={"fields": fields})
