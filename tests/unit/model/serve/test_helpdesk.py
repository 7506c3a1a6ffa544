"""Tags of tickets."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from model.serve.api_models import Ticket, TicketAnswer
from model.serve.helpdesk import EMOTION_TAGS, MOOD_TAGS, UNTAGGED_EMOTIONS, emotion_tags, tags, ticket_request
from model.serve.service import Service
from model.spec.heads import EMOTIONS, MOODS
from tests.support.model.serve_builders import AllHeadsScorer, serving
from tests.support.repository import ROOT


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    thresholds = {"emotion": [0.5] * 27 + [0.05], "risk": [0.5] * 3, "sarcasm": [0.9]}
    with serving(Service(scorer=AllHeadsScorer(), thresholds=thresholds)) as client:
        yield client


@pytest.mark.parametrize(
    ("ticket", "text", "targets"),
    [
        (Ticket(subject="No refund", description="Since May."), "No refund. Since May.", ()),
        (Ticket(subject=" Why? ", description="Since May."), "Why? Since May.", ()),
        (Ticket(description="Since May."), "Since May.", ()),
        (Ticket(subject="No refund"), "No refund.", ()),
        (Ticket(), "", ()),
        (Ticket(subject="", description=None, brand="", product=" "), "", ()),
        (Ticket(description="x" * 60_000), "x" * 2_000, ()),
        (Ticket(subject="a", brand="Acme", product="Acme One"), "a.", ("Acme", "Acme One")),
        (Ticket(subject="a", brand="Acme", product="Acme"), "a.", ("Acme",)),
    ],
)
def test_a_ticket_is_one_text_with_brand_and_product_as_targets(
    ticket: Ticket, text: str, targets: tuple[str, ...]
) -> None:
    assert ticket_request(ticket).text == text
    assert ticket_request(ticket).targets == targets


@pytest.mark.parametrize(
    ("score", "ticket", "expected"),
    [
        ({}, Ticket(), []),
        ({"urgency": "high"}, Ticket(), ["urgency_high"]),
        ({"emotions": {"labels": ["grief", "neutral", "anger"]}}, Ticket(), ["emotion_angry", "emotion_disappointed"]),
        (
            {"complaint": {"flag": True}, "crisis": {"flag": False}, "sarcasm": {"flag": True}},
            Ticket(),
            ["complaint", "sarcasm"],
        ),
        (
            {"targets": [{"target": "Acme", "label": "negative"}, {"target": "One", "label": "irrelevant"}]},
            Ticket(brand="Acme", product="One"),
            ["brand_negative"],
        ),
        (
            {"targets": [{"target": "Acme", "label": "positive"}]},
            Ticket(brand="Acme", product="Acme"),
            ["brand_positive", "product_positive"],
        ),
    ],
)
def test_each_relevant_score_is_a_tag(score: dict[str, Any], ticket: Ticket, expected: list[str]) -> None:
    whole: dict[str, Any] = {"sentiment": {"label": "negative"}, "targets": []} | score

    assert tags(whole, ticket) == ["sentiment_negative", *expected]


def test_a_ticket_is_tagged_over_http(client: httpx.Client) -> None:
    answer = client.post(
        "/v1/tickets",
        json={
            "id": 35436,
            "subject": "0.8 Still no refund",
            "description": "Acme never answers",
            "brand": "Acme",
            "requester": {"email": "not read"},
        },
    )

    told = TicketAnswer.model_validate_json(answer.content, strict=True)
    assert told.id == 35436
    assert told.tags == [
        "sentiment_negative",
        "urgency_medium",
        "brand_positive",
        "emotion_angry",
        "emotion_happy",
        "complaint",
    ]
    assert told.result.sentiment.label == "negative"


def test_the_example_in_the_docs_gets_documented_tags(client: httpx.Client) -> None:
    recipe = (ROOT / "docs" / "how-to" / "helpdesk.md").read_text(encoding="utf-8")
    sent = re.search(r"-d '(\{.*?\})'", recipe, re.DOTALL)
    assert sent is not None

    answer = client.post("/v1/tickets", content=sent[1], headers={"Content-Type": "application/json"})

    families = {tag.split("_")[0] for tag in answer.json()["tags"]}
    table = "".join(line for line in recipe.splitlines() if line.startswith("| `"))
    assert families
    assert [family for family in families if f"`{family}" not in table] == []


@pytest.mark.parametrize("nothing", ["", None])
def test_missing_ticket_fields_may_be_empty_or_null(client: httpx.Client, nothing: str | None) -> None:
    fields = ("subject", "description", "brand", "product")

    assert client.post("/v1/tickets", json=dict.fromkeys(fields, nothing)).json()["tags"][0] == "sentiment_negative"


@pytest.mark.parametrize(("sent", "told"), [("A-7", "A-7"), (92.0, 92), (None, None), (0, 0)])
def test_the_ticket_id_is_returned(client: httpx.Client, sent: object, told: object) -> None:
    assert client.post("/v1/tickets", json={"id": sent}).json()["id"] == told


@pytest.mark.parametrize("sent", [True, 1.5, -1, 2**53, [], {}, "x" * 201])
def test_an_invalid_id_is_named(client: httpx.Client, sent: object) -> None:
    answer = client.post("/v1/tickets", json={"id": sent})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "id"


def moods(**shares: float) -> dict[str, Any]:
    return {"mood": {"probabilities": shares}}


def test_each_emotion_has_one_tag_or_is_untagged() -> None:
    assert sorted([label for labels in EMOTION_TAGS.values() for label in labels] + list(UNTAGGED_EMOTIONS)) == sorted(
        EMOTIONS
    )
    assert set(MOOD_TAGS) | {"optimism"} == set(MOODS)
    assert set(MOOD_TAGS.values()) <= set(EMOTION_TAGS)


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        ({}, []),
        ({"emotions": {"labels": []}}, []),
        ({"emotions": {"labels": ["surprise", "neutral"]}}, []),
        ({"emotions": {"labels": ["joy", "annoyance", "anger"]}}, ["angry", "happy"]),
        (moods(anger=0.5, joy=0.5), ["angry", "happy"]),
        (moods(anger=0.49, joy=0.2, optimism=0.2, sadness=0.11), []),
        (moods(optimism=0.9), []),
        ({"emotions": {"labels": ["anger"]}} | moods(sadness=0.8), ["angry", "disappointed"]),
    ],
)
def test_a_tag_needs_one_of_its_emotions_or_a_probable_mood(score: dict[str, Any], expected: list[str]) -> None:
    assert emotion_tags(score) == expected


def test_the_table_in_the_docs_is_the_mapping() -> None:
    recipe = (ROOT / "docs" / "how-to" / "helpdesk.md").read_text(encoding="utf-8")
    _, *rows = re.findall(r"^\| (\w+) \| ([a-z, ]+) \| (\w*) ?\|$", recipe, re.MULTILINE)

    told = {word: tuple(emotions.split(", ")) for word, emotions, _ in rows}
    assert told == {**EMOTION_TAGS, "none": UNTAGGED_EMOTIONS}
    assert {mood: word for word, _, mood in rows if mood and word != "none"} == MOOD_TAGS
