"""Limits of requests, and their error responses."""

import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from brandpulse.text.normalization import MARKER
from model.serve.api_models import Limits, Problem
from model.serve.request_guard import GuardRules
from model.serve.service import Service
from tests.support.model.serve_builders import WatchedScorer, serving
from tests.support.patience import patience

LIMITS = Limits(texts=3, text_characters=50, targets=2, target_characters=10)
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    rules = GuardRules(max_body_bytes=4_096, body_timeout_seconds=0.5)
    with serving(Service(scorer=WatchedScorer(), limits=LIMITS), rules) as client:
        yield client


def problem(answer: httpx.Response, status: int) -> Problem:
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    told = Problem.model_validate_json(answer.content, strict=True)
    assert told.status == status
    return told


@pytest.mark.parametrize(
    ("body", "field", "value", "detail"),
    [
        ({"text": "x" * 51}, "text", "x" * 51, "has 51 characters, at most 50 are allowed"),
        ({"texts": ["a", "x" * 51]}, "texts[1]", "x" * 51, "has 51 characters, at most 50 are allowed"),
        (
            {"texts": ["a", {"text": "x" * 200}]},
            "texts[1].text",
            "x" * 80 + "… (200 characters)",
            "has 200 characters, at most 50 are allowed",
        ),
        ({"texts": ["a"] * 4}, "texts", "(a list of 4)", "has 4 entries, at most 3 are allowed"),
        ({"texts": []}, "texts", "(a list of 0)", None),
        (
            {"text": "a", "targets": ["b", "c", "d"]},
            "targets",
            "(a list of 3)",
            "has 3 entries, at most 2 are allowed",
        ),
        (
            {"text": "a", "targets": ["b", "c" * 11]},
            "targets[1]",
            "c" * 11,
            "has 11 characters, at most 10 are allowed",
        ),
        (
            {"texts": ["a", {"text": "b", "targets": ["c", " \t"]}]},
            "texts[1].targets[1]",
            " \t",
            "must not be blank",
        ),
        ({"text": "a", "targets": [""]}, "targets[0]", "", None),
        ({"text": "a", "targets": "Acme"}, "targets", "Acme", None),
        ({"text": "a", "targets": {"a": 1}}, "targets", "(an object of 1)", None),
        ({"text": "a", "targets": ["\ud83d"]}, "targets[0]", r"\ud83d", "contains half of a surrogate pair"),
        ({"text": "a", "target": ["b"]}, "target", "(a list of 1)", "is not a field of this request"),
        ({"text": "a", "texts": ["b"]}, "text", "a", "is not a field of this request"),
        ({"text": "a", "<one>": 1, "b": 2}, "body", "1", "is not a field of this request"),
        ({"targets": ["a"]}, "text", "(missing)", "is required"),
        ({}, "text", "(missing)", "is required"),
        ({"text": None}, "text", "None", None),
        ({"text": 5}, "text", "5", None),
        ({"text": ["a"]}, "text", "(a list of 1)", None),
        ({"texts": "abc"}, "texts", "abc", None),
        ({"texts": [1]}, "texts[0]", "1", None),
        ({"texts": [["a"]]}, "texts[0]", "(a list of 1)", None),
        ({"texts": [{"text": "a", "all_emotions": True}]}, "texts[0].all_emotions", "True", None),
        ({"text": "a", "all_emotions": "yes"}, "all_emotions", "yes", None),
        ([], "body", "(a list of 0)", None),
        ("text", "body", "text", None),
        (None, "body", "None", None),
        (10**4_000, "body", None, None),
    ],
)
def test_invalid_json_fields_are_422_and_named(
    client: httpx.Client, body: Any, field: str, value: str | None, detail: str | None
) -> None:
    told = problem(client.post("/v1/score", content=json.dumps(body), headers=JSON), 422)

    assert told.errors is not None
    assert told.errors[0].field == field
    assert value is None or told.errors[0].value == value
    assert detail is None or told.errors[0].detail == detail
    assert told.detail.startswith(f"{field}: ")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "field"),
        (b"{", "The body is not JSON: Expecting property name"),
        (b'{"text": "a"', "(character 12)"),
        (b'{"text": "a"} {}', "The body is not JSON: Extra data"),
        (b'{"text": "\xff"}', "The body is not UTF-8 (byte 10)"),
        (b"[" * 2_000 + b"]" * 2_000, "nested too deeply"),
        (b'{"text": ' + b"9" * 4_050 + b"}", "field"),
        (b'{"texts": [' + b"9" * 4_070 + b"]}", "field"),
    ],
)
def test_unparsable_bodies_are_explained(client: httpx.Client, body: bytes, words: str) -> None:
    answer = client.post("/v1/score", content=body, headers=JSON)

    told = problem(answer, 422 if words == "field" else 400)
    assert words in told.detail or told.errors is not None


def test_a_number_with_too_many_digits_is_explained() -> None:
    with serving(Service(scorer=WatchedScorer())) as client:
        answer = client.post("/v1/score", content=b'{"text": ' + b"9" * 5_000 + b"}", headers=JSON)

    assert problem(answer, 400).detail == "The body contains a number with too many digits."


@pytest.mark.parametrize(
    "text",
    ["", "\x00", "a\x00b", "\ud83d", "cut \ud83d off", "\udc00\ud800", MARKER, "\u202eevil", "🏴" * 50, "\ufffe"],
)
def test_any_text_within_the_limits_is_scored(client: httpx.Client, text: str) -> None:
    answer = client.post("/v1/score", content=json.dumps({"text": text, "targets": ["b"]}), headers=JSON)

    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("target", ["\x00", MARKER, "(", "[a-", "\\", "#", "@", "😡", "a" * 10, "é\u0301"])
def test_any_target_within_the_limits_is_scored(client: httpx.Client, target: str) -> None:
    answer = client.post("/v1/score", json={"text": "a great day", "targets": [target]})

    assert answer.status_code == 200, answer.text
    assert answer.json()["results"][0]["targets"][0]["target"] == target


def test_a_large_body_is_413_with_or_without_its_length(client: httpx.Client) -> None:
    body = b'{"text": "' + b"x" * 5_000 + b'"}'

    told = problem(client.post("/v1/score", content=body, headers=JSON), 413)
    assert told.detail == "The body has 5012 bytes, at most 4096 are allowed."
    untold = problem(client.post("/v1/score", content=iter([body[:3_000], body[3_000:]]), headers=JSON), 413)
    assert untold.detail == "The body has more than 4096 bytes, at most 4096 are allowed."


def test_a_client_still_sending_receives_the_error(client: httpx.Client) -> None:
    with connected(client) as line:
        line.sendall(HEAD + b"Content-Length: 20000\r\n\r\n")
        for _ in range(4):
            line.sendall(b"x" * 5_000)
            threading.Event().wait(0.05)  # without waiting for the body the client would see a reset by now
        answer = line.recv(4_096)

    assert answer.startswith(b"HTTP/1.1 413 ")


def test_a_client_that_sends_far_too_much_is_disconnected(client: httpx.Client) -> None:
    sent = 0
    with connected(client) as line:
        line.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        with pytest.raises(OSError):  # a reset or a broken pipe
            while sent < 100_000_000:
                line.sendall(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
                sent += 0x10000

    assert sent < 50_000_000


def test_a_missing_body_is_408(client: httpx.Client) -> None:
    with connected(client) as line:
        line.sendall(HEAD + b'Content-Length: 100\r\n\r\n{"text')
        answer = b"".join(iter(lambda: line.recv(4_096), b""))

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"was not received within 0.5 s" in answer


HEAD = b"POST /v1/score HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


def connected(client: httpx.Client) -> socket.socket:
    port = client.base_url.port
    assert port is not None
    return socket.create_connection(("127.0.0.1", port), timeout=patience(10))


@pytest.mark.parametrize(
    ("method", "path", "headers", "status", "words"),
    [
        ("POST", "/v1/score", {}, 415, "Content-Type"),
        ("POST", "/v1/score", {"Content-Type": "text/plain"}, 415, "text/plain"),
        ("POST", "/v1/score", {"Content-Type": "application/jsonp"}, 415, "application/jsonp"),
        ("GET", "/v1/score", {}, 405, "/v1/score does not support GET"),
        ("DELETE", "/", {}, 405, "DELETE"),
        ("GET", "/v2", {}, 404, "/v2 does not exist"),
        ("GET", "/docs", {}, 404, "/docs"),
        ("GET", "/static/nothing.js", {}, 404, "nothing.js"),
        ("GET", "/static/..%2fapp.py", {}, 404, "/static"),
    ],
)
def test_a_wrong_path_method_or_content_type_is_a_problem(
    client: httpx.Client, method: str, path: str, headers: dict[str, str], status: int, words: str
) -> None:
    assert words in problem(client.request(method, path, headers=headers, content=b"{}"), status).model_dump_json()


def test_other_json_content_types_are_accepted(client: httpx.Client) -> None:
    for kind in ("application/json; charset=utf-8", "Application/JSON", "application/cloudevents+json"):
        assert client.post("/v1/score", content=b'{"text": "a"}', headers={"Content-Type": kind}).status_code == 200
