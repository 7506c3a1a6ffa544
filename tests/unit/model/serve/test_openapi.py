"""The service matches its description: schemathesis sends allowed and forbidden requests."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from pydantic import BaseModel

from model.serve.api_models import ModelAnswer, ScoreAnswer, TicketAnswer
from model.serve.request_guard import GuardRules
from model.serve.service import Service
from tests.support.model.serve_builders import AllHeadsScorer, serving
from tests.support.patience import patience

RIGHT = {"Authorization": f"Bearer {'t' * 16}"}
POSTS: dict[str, type[BaseModel]] = {"/v1/score": ScoreAnswer, "/v1/tickets": TicketAnswer}
POSITIVE, NEGATIVE = schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with serving(Service(scorer=AllHeadsScorer()), GuardRules(token="t" * 16)) as client:
        yield client


@pytest.fixture(scope="module")
def schema(client: httpx.Client) -> Any:
    return schemathesis.openapi.from_url(f"{client.base_url}/openapi.json")


@pytest.fixture(scope="module")
def description(client: httpx.Client) -> Any:
    return client.get("/openapi.json").json()


@pytest.mark.parametrize(
    ("method", "path", "mode", "examples"),
    [
        ("POST", "/v1/score", POSITIVE, 25),
        ("POST", "/v1/score", NEGATIVE, 25),
        ("POST", "/v1/tickets", POSITIVE, 15),
        ("POST", "/v1/tickets", NEGATIVE, 15),
        ("GET", "/v1/model", POSITIVE, 3),
        ("GET", "/metrics", POSITIVE, 3),
        ("GET", "/healthz", POSITIVE, 1),
        ("GET", "/readyz", POSITIVE, 1),
    ],
)
def test_every_response_matches_the_description(
    schema: Any, method: str, path: str, mode: schemathesis.GenerationMode, examples: int
) -> None:
    # Not schema.parametrize(): its plugin is incompatible with this pytest.
    @settings(
        max_examples=examples, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(case=schema[path][method].as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        case.call_and_validate(headers=RIGHT, timeout=patience(10))

    ask()


def test_the_example_requests_are_valid(client: httpx.Client, description: Any) -> None:
    for path, answer in POSTS.items():
        examples = description["paths"][path]["post"]["requestBody"]["content"]["application/json"]["examples"]
        for example in examples.values():
            sent = client.post(path, json=example["value"], headers=RIGHT)
            assert sent.status_code == 200, example["summary"]
            answer.model_validate_json(sent.content, strict=True)


def test_the_example_responses_match_their_schema(description: Any) -> None:
    answers: dict[str, type[BaseModel]] = {**POSTS, "/v1/model": ModelAnswer}
    for path, answer in answers.items():
        (operation,) = description["paths"][path].values()
        told = operation["responses"]["200"]["content"]["application/json"]
        answer.model_validate(told["example"], strict=True)


def test_the_description_contains_the_limits(description: Any) -> None:
    schemas = description["components"]["schemas"]

    assert schemas["Many"]["properties"]["texts"]["maxItems"] == 128
    assert schemas["One"]["properties"]["text"]["maxLength"] == 10_000
    assert schemas["Item"]["properties"]["targets"]["maxItems"] == 16
    assert schemas["Item"]["properties"]["targets"]["items"]["maxLength"] == 120


def test_the_token_is_required_as_described(client: httpx.Client, description: Any) -> None:
    for path, operations in description["paths"].items():
        for method, operation in operations.items():
            answer = client.request(method, path, headers={"Content-Type": "application/json"}, content=b"{}")
            assert (answer.status_code == 401) is ("security" in operation), path
