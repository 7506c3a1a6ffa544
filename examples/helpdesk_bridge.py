"""Tag helpdesk tickets: receive the webhook, request tags from `brandpulse model serve`, write them back.

Needs only Python. Webhook and tags are Zendesk's; for another helpdesk change `is_genuine` and `write_tags`.
See docs/how-to/helpdesk.md. Settings are environment variables:

    BRANDPULSE_URL            address of the model, for example http://127.0.0.1:8080
    BRANDPULSE_SERVE_TOKEN    its token, if it has one
    HELPDESK_URL              for example https://yours.zendesk.com
    HELPDESK_USER             for example you@example.com/token
    HELPDESK_PASSWORD         the API token
    WEBHOOK_SECRET            the webhook's signing secret
    BRIDGE_PORT               8090 by default; put TLS in front of it
"""

import base64
import hashlib
import hmac
import json
import os
import urllib.request
from datetime import UTC, datetime, timedelta
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MAX_BODY_BYTES = 1_048_576
MAX_AGE = timedelta(minutes=10)
TIMEOUT_SECONDS = 4.0
"""For each of the two requests behind a webhook; the webhook's sender waits about ten seconds for an answer."""


def is_genuine(body: bytes, headers: Message, *, secret: str, now: datetime) -> bool:
    """Whether the helpdesk signed *body* within `MAX_AGE`, so that a recorded request expires."""
    timestamp = headers.get("X-Zendesk-Webhook-Signature-Timestamp", "")
    shown = headers.get("X-Zendesk-Webhook-Signature", "")
    digest = hmac.digest(secret.encode(), timestamp.encode() + body, hashlib.sha256)
    if not hmac.compare_digest(base64.b64encode(digest), shown.encode()):
        return False
    return abs(now - datetime.fromisoformat(timestamp)) < MAX_AGE


def tags_of(ticket: dict[str, Any]) -> list[str]:
    """The model's tags for *ticket*. Raises OSError if the model does not answer."""
    token = os.environ.get("BRANDPULSE_SERVE_TOKEN")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    tags: list[str] = _ask("POST", os.environ["BRANDPULSE_URL"] + "/v1/tickets", ticket, headers)["tags"]
    return tags


def write_tags(ticket_id: int, tags: list[str]) -> None:
    """Add *tags* to the ticket; adding the same tags twice changes nothing. Raises OSError."""
    user = f"{os.environ['HELPDESK_USER']}:{os.environ['HELPDESK_PASSWORD']}"
    headers = {"Authorization": "Basic " + base64.b64encode(user.encode()).decode()}
    _ask("PUT", f"{os.environ['HELPDESK_URL']}/api/v2/tickets/{ticket_id}/tags", {"tags": tags}, headers)


class Bridge(BaseHTTPRequestHandler):
    """One webhook request."""

    timeout = 10

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        if length > MAX_BODY_BYTES:
            self.send_error(413)
            return
        body = self.rfile.read(length)
        if not is_genuine(body, self.headers, secret=os.environ["WEBHOOK_SECRET"], now=datetime.now(UTC)):
            self.send_error(401)
            return
        sent = json.loads(body)
        ticket = sent.get("detail", sent)  # an event has the ticket in `detail`; a trigger's body is the ticket
        try:
            write_tags(int(ticket["id"]), tags_of(ticket))
        except OSError as error:
            self.log_message("ticket %s is not tagged: %s", ticket["id"], error)
            self.send_response(503)
            self.send_header("Retry-After", "30")  # the helpdesk may retry
            self.end_headers()
            return
        self.send_response(204)
        self.end_headers()


def _ask(method: str, url: str, body: dict[str, Any], headers: dict[str, str]) -> Any:
    request = urllib.request.Request(  # noqa: S310 - both addresses are settings
        url, json.dumps(body).encode(), {"Content-Type": "application/json", **headers}, method=method
    )
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310
        return json.load(answer)


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("BRIDGE_PORT", "8090"))), Bridge).serve_forever()
