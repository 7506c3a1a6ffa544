"""The helpdesk recipe from end to end: a signed webhook in, tags out, over real HTTP."""

import base64
import hashlib
import hmac
import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from brandpulse.runtime.child_process import Child, free_port, port_answers
from model.serve.request_guard import GuardRules
from model.serve.service import Service
from tests.support.model.serve_builders import AllHeadsScorer, serving
from tests.support.patience import patience
from tests.support.repository import ROOT

TOKEN, SECRET = "t" * 16, "webhook secret"
TICKET = {"id": "35436", "subject": "Still no refund", "description": "0.8 Acme never answers", "brand": "Acme"}
TAGS = ["sentiment_negative", "urgency_medium", "brand_positive", "emotion_angry", "emotion_happy"]
TAGS += ["complaint", "sarcasm"]


class Helpdesk(BaseHTTPRequestHandler):
    """Adds tags to tickets; records its requests."""

    asked: list[dict[str, Any]]
    status = 200

    def do_PUT(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append({"path": self.path, "body": body, "authorization": self.headers["Authorization"]})
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(json.dumps({"tags": ["earlier", *body["tags"]]}).encode())

    def log_message(self, *_: Any) -> None:
        """Logs nothing."""


@contextmanager
def a_helpdesk(status: int = 200) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    asked: list[dict[str, Any]] = []
    handler = type("Handler", (Helpdesk,), {"asked": asked, "status": status})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()


@contextmanager
def a_bridge(folder: Path, *, model: str, helpdesk: str) -> Iterator[str]:
    port = free_port()
    env = {
        "BRANDPULSE_URL": model,
        "BRANDPULSE_SERVE_TOKEN": TOKEN,
        "HELPDESK_URL": helpdesk,
        "HELPDESK_USER": "agent@example.com/token",
        "HELPDESK_PASSWORD": "api-token",
        "WEBHOOK_SECRET": SECRET,
        "BRIDGE_PORT": str(port),
    }
    command = [sys.executable, str(ROOT / "examples" / "helpdesk_bridge.py")]
    child = Child("bridge", command, log=folder / "bridge.log", env=env)
    try:
        child.wait_ready(lambda: port_answers(port))
        yield f"http://127.0.0.1:{port}"
    finally:
        child.stop()


@pytest.fixture(scope="module")
def model() -> Iterator[str]:
    with serving(Service(scorer=AllHeadsScorer()), GuardRules(token=TOKEN)) as client:
        yield str(client.base_url)


def send(bridge: str, body: dict[str, Any], *, secret: str = SECRET, age: timedelta = timedelta()) -> httpx.Response:
    content = json.dumps(body).encode()
    timestamp = (datetime.now(UTC) - age).strftime("%Y-%m-%dT%H:%M:%SZ")
    digest = hmac.digest(secret.encode(), timestamp.encode() + content, hashlib.sha256)
    headers = {
        "Content-Type": "application/json",
        "X-Zendesk-Webhook-Signature": base64.b64encode(digest).decode(),
        "X-Zendesk-Webhook-Signature-Timestamp": timestamp,
    }
    return httpx.post(bridge, content=content, headers=headers, timeout=patience(20), trust_env=False)


@pytest.mark.parametrize(
    "body",
    [TICKET, {"type": "zen:event-type:ticket.created", "detail": TICKET | {"brand_id": "7", "status": "NEW"}}],
    ids=["trigger", "event"],
)
def test_webhook_ticket_gets_its_tags(model: str, tmp_path: Path, body: dict[str, Any]) -> None:
    with a_helpdesk() as (helpdesk, asked), a_bridge(tmp_path, model=model, helpdesk=helpdesk) as bridge:
        assert send(bridge, body).status_code == 204

    agent = base64.b64encode(b"agent@example.com/token:api-token").decode()
    assert asked == [{"path": "/api/v2/tickets/35436/tags", "body": {"tags": TAGS}, "authorization": f"Basic {agent}"}]


def test_unsigned_and_old_webhooks_are_rejected(model: str, tmp_path: Path) -> None:
    with a_helpdesk() as (helpdesk, asked), a_bridge(tmp_path, model=model, helpdesk=helpdesk) as bridge:
        assert send(bridge, TICKET, secret="guessed").status_code == 401
        assert send(bridge, TICKET, age=timedelta(hours=1)).status_code == 401
        assert httpx.post(bridge, json=TICKET, trust_env=False).status_code == 401

    assert asked == []


def test_unreachable_helpdesk_or_model_is_reported_to_the_sender(model: str, tmp_path: Path) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    with a_helpdesk(status=500) as (helpdesk, _):
        with a_bridge(tmp_path, model=model, helpdesk=helpdesk) as bridge:
            assert send(bridge, TICKET).status_code == 503
        with a_bridge(tmp_path, model=nowhere, helpdesk=helpdesk) as bridge:
            answer = send(bridge, TICKET)

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")
    assert "never answers" not in (tmp_path / "bridge.log").read_text()
