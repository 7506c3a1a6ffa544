"""What a training run tells while it runs: one JSON object a line on standard error, and a log record."""

import json
import logging
import sys

logger = logging.getLogger(__name__)


def log_progress(event: str, **fields: object) -> None:
    """Numbers are shown to four places; the record's `fields` hold them whole."""
    shown = {key: round(value, 4) if isinstance(value, float) else value for key, value in fields.items()}
    print(json.dumps({"event": event} | shown), file=sys.stderr, flush=True)
    logger.debug(event, extra={"fields": fields})
