"""`brandpulse model serve` as a process: start, responses, rejected start, draining."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from signal import SIGINT, SIGTERM
from typing import Any

import httpx
import pytest

from brandpulse.runtime.child_process import Child, free_port
from brandpulse.runtime.service_registry import running
from model.spec.heads import EMOTIONS
from tests.support.model.brand_weights import a_brand_folder
from tests.support.patience import patience, wait_until
from tests.support.repository import ROOT

SERVE = [sys.executable, "-m", "brandpulse", "model", "serve"]


class Served:
    """One process, and a client for its address."""

    def __init__(self, folder: Path, *options: str, **env: str) -> None:
        self.home = folder / "home"
        settings = {"BRANDPULSE_HOME": str(self.home), "BRANDPULSE_SERVE_PORT": "0", **env}
        self.child = Child("serve", [*SERVE, *options], log=folder / "serve.log", env=settings, cwd=ROOT)
        self.child.wait_ready(lambda: bool(running(self.home, "serve")))
        self.url = str(running(self.home, "serve")[0]["url"])
        self.client = httpx.Client(base_url=self.url, timeout=patience(20), trust_env=False)

    def answers(self) -> bool:
        try:
            self.client.get("/healthz")
        except httpx.TransportError:
            return False
        return True

    def half_a_request(self, body: bytes, *, sent: int) -> socket.socket:
        """A request whose body stops after *sent* bytes."""
        line = socket.create_connection(("127.0.0.1", int(self.url.rsplit(":", 1)[1])), timeout=patience(20))
        head = "POST /v1/score HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        line.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:sent])
        return line


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    started: list[Served] = []

    def start(*options: str, **env: str) -> Served:
        started.append(Served(tmp_path, *options, **env))
        return started[-1]

    yield start
    for served in started:
        served.client.close()
        served.child.stop()


def everything(line: socket.socket) -> bytes:
    return b"".join(iter(lambda: line.recv(65_536), b""))


def test_stop_fails_readyz_first_and_lets_requests_finish(serve: Callable[..., Served]) -> None:
    served = serve("--engine", "keyword", BRANDPULSE_SERVE_DRAIN_SECONDS="2")
    body = b'{"text": "awful, and half sent"}'
    line = served.half_a_request(body, sent=10)

    served.child.signal(SIGTERM)
    wait_until(lambda: served.client.get("/readyz").status_code == 503, seconds=20)
    assert served.client.get("/healthz").status_code == 200
    assert served.client.post("/v1/score", json={"text": "great"}).status_code == 200
    wait_until(lambda: not served.answers(), seconds=20)
    line.sendall(body[10:])

    assert everything(line).startswith(b"HTTP/1.1 200 ")
    assert served.child.wait(patience(20)) == 0
    assert running(served.home, "serve") == []


def test_sigint_does_not_wait_for_load_balancers(serve: Callable[..., Served]) -> None:
    served = serve("--engine", "keyword", BRANDPULSE_SERVE_DRAIN_SECONDS="300")

    served.child.signal(SIGINT)

    assert served.child.wait(patience(20)) == 0


def test_second_stop_signal_ends_the_wait(serve: Callable[..., Served]) -> None:
    served = serve("--engine", "keyword", BRANDPULSE_SERVE_DRAIN_SECONDS="300")
    served.child.signal(SIGTERM)
    wait_until(lambda: served.client.get("/readyz").status_code == 503, seconds=20)

    served.child.signal(SIGTERM)

    assert served.child.wait(patience(20)) == 0


def test_endless_request_is_cut_after_the_grace_period(serve: Callable[..., Served]) -> None:
    served = serve("--engine", "keyword", BRANDPULSE_SERVE_DRAIN_SECONDS="0", BRANDPULSE_SERVE_GRACE_SECONDS="1")
    line = served.half_a_request(b'{"text": "never"}', sent=5)
    served.child.signal(SIGTERM)

    assert served.child.wait(patience(20)) == 0
    line.close()


def test_multi_head_weights_return_all_heads(serve: Callable[..., Served], tmp_path: Path) -> None:
    thresholds = {"risk": {"complaint": 0.0, "crisis": 1.0}, "emotion": dict.fromkeys(EMOTIONS, 0.0)}
    weights = a_brand_folder(tmp_path / "weights", thresholds=thresholds)

    served = serve("--weights", str(weights), "--engine", "openvino", "--precision", "fp32", "--threads", "1")
    texts: list[Any] = ["great", {"text": "@acmeair lost my bag 😡", "targets": ["Acme Air", "Nordbank"]}]
    first, second = served.client.post("/v1/score", json={"texts": texts, "all_emotions": True}).json()["results"]

    assert (len(first["emotions"]["labels"]), len(first["emotions"]["probabilities"])) == (3, 28)
    assert [target["found"] for target in second["targets"]] == [True, False]
    assert second["targets"][1]["probabilities"]["irrelevant"] == 0.95
    assert (second["complaint"]["flag"], second["crisis"]["flag"]) == (True, False)
    assert {"mood", "sarcasm", "urgency", "informative", "sentiment"} <= set(second)
    assert served.client.get("/v1/model").json()["thresholds"]["risk"] == {
        "complaint": 0.0,
        "crisis": 1.0,
        "informative": 0.5,
    }


def test_log_contains_no_text_and_no_token(serve: Callable[..., Served]) -> None:
    token = "sesame-sesame-sesame"
    served = serve("--engine", "keyword", BRANDPULSE_SERVE_TOKEN=token, BRANDPULSE_LOG_LEVEL="DEBUG")
    headers = {"Authorization": f"Bearer {token}"}

    served.client.post("/v1/score", json={"text": "my secret diary"}, headers=headers)
    served.client.post("/v1/score", json={"text": "my secret diary", "wrong": 1}, headers=headers)
    served.client.post("/v1/score", json={"text": "my secret diary"}, headers={"Authorization": "Bearer knock-knock"})

    log = served.child.log_tail(1_000)
    assert "model ready" in log
    assert not [word for word in (token, "secret diary", "knock-knock") if word in log]


@pytest.mark.parametrize(
    ("options", "env", "words"),
    [
        (["--host", "0.0.0.0"], {}, "BRANDPULSE_SERVE_TOKEN: .*BRANDPULSE_SERVE_HOST=0.0.0.0"),
        (["--port", "{taken}"], {}, "cannot listen on 127.0.0.1:{taken}.*BRANDPULSE_SERVE_PORT"),
        (
            ["--host", "no.such.host.invalid"],
            {"BRANDPULSE_SERVE_TOKEN": "t" * 16},
            "cannot listen on no.such.host.invalid",
        ),
        (["--engine", "openvino", "--weights", "/nowhere"], {}, "/nowhere"),
    ],
)
def test_invalid_configuration_stops_the_start_with_a_reason(
    options: list[str], env: dict[str, str], words: str, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", free_port())) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [*SERVE, "--engine", "keyword", *(option.replace("{taken}", port) for option in options)],
            env={**os.environ, "BRANDPULSE_HOME": str(tmp_path), "BRANDPULSE_SERVE_PORT": "0", **env},
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=patience(60),
            check=False,
        )

    assert done.returncode != 0
    assert re.search(words.replace("{taken}", port), done.stderr)
    assert "Traceback" not in done.stderr
