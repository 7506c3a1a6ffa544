"""Completes the API's description: examples, problem responses, the token."""

from typing import Any

from fastapi import FastAPI

from model.serve.api_models import ModelAnswer, Problem, ScoreAnswer, TicketAnswer
from model.serve.problems import PROBLEM

DESCRIPTION = (
    "Scores a text in one pass of one encoder: sentiment, sentiment towards each target, emotions, mood, complaint and "
    "crisis risk, sarcasm, and urgency. Errors are RFC 9457 problem details that name field and value. 503 responses "
    "have the header Retry-After."
)
_SENTIMENT = {"label": "negative", "probabilities": {"negative": 0.9312, "neutral": 0.0541, "positive": 0.0147}}
_TOWARDS = {
    "target": "Acme Air",
    "found": True,
    "label": "negative",
    "probabilities": {"negative": 0.9017, "neutral": 0.0521, "positive": 0.0103, "irrelevant": 0.0359},
}
_SCORE = {
    "sentiment": _SENTIMENT,
    "targets": [_TOWARDS],
    "emotions": {"labels": ["anger", "annoyance"]},
    "mood": {"label": "anger", "probabilities": {"anger": 0.95, "joy": 0.01, "optimism": 0.01, "sadness": 0.03}},
    "complaint": {"flag": True, "probability": 0.9621},
    "crisis": {"flag": False, "probability": 0.0087},
    "informative": {"flag": False, "probability": 0.1202},
    "sarcasm": {"flag": False, "probability": 0.2114},
    "urgency": "medium",
}
_MODEL = {"name": "openvino int8", "version": "0123456789ab"}


def _request_examples(**bodies: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    examples = {name: {"summary": summary, "value": value} for name, (summary, value) in bodies.items()}
    return {"requestBody": {"content": {"application/json": {"examples": examples}}}}


SCORE = _request_examples(
    one=(
        "One text and one brand",
        {"text": "@acmeair you lost my bag AGAIN 😡 still waiting", "targets": ["Acme Air"]},
    ),
    batch=(
        "Several texts, one of them with aspects",
        {
            "texts": [
                "Great crew, thank you!",
                {"text": "Lovely screen, awful battery", "targets": ["screen", "battery"], "keep_words": True},
            ]
        },
    ),
    emotions=("With the probabilities of all emotions", {"text": "I did not expect that", "all_emotions": True}),
)
TICKETS = _request_examples(
    ticket=(
        "A ticket",
        {
            "id": 35436,
            "subject": "Still no refund",
            "description": "I have asked three times. Nobody answers. I want my money back today.",
            "brand": "Acme Air",
        },
    ),
)
_ANSWERS: dict[type[Any], dict[str, Any]] = {
    ScoreAnswer: {"model": _MODEL, "results": [_SCORE]},
    TicketAnswer: {
        "id": 35436,
        "tags": ["sentiment_negative", "urgency_medium", "emotion_angry", "complaint"],
        "model": _MODEL,
        "result": _SCORE | {"targets": []},
    },
    ModelAnswer: {
        "model": _MODEL,
        "heads": {"sentiment": ["negative", "neutral", "positive"], "sarcasm": ["sarcasm"]},
        "thresholds": {"sarcasm": {"sarcasm": 0.5}},
        "limits": {"texts": 128, "text_characters": 10_000, "targets": 16, "target_characters": 120},
    },
}


def responses_of(model: type[Any]) -> dict[int | str, dict[str, Any]]:
    """FastAPI's `responses` for *model*, with an example."""
    return {200: {"model": model, "content": {"application/json": {"example": _ANSWERS[model]}}}}


def describe(api: FastAPI, *, wants_token: bool) -> None:
    """Completes the description of *api*. Call it after all routes are added."""
    schema = api.openapi()
    parts = schema.setdefault("components", {})
    parts["schemas"].pop("HTTPValidationError", None)
    parts["schemas"].pop("ValidationError", None)
    problem_schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    parts["schemas"] |= problem_schema.pop("$defs") | {"Problem": problem_schema}
    if wants_token:
        parts["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    problem = {"content": {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}}}
    for path, operations in schema["paths"].items():
        for operation in operations.values():
            operation["responses"].pop("422", None)
            operation["responses"] |= {
                "4XX": {"description": "Invalid request; the response names the problem."} | problem,
                "5XX": {"description": "Overloaded (503, with Retry-After), or an internal error (500)."} | problem,
            }
            if wants_token and path not in ("/healthz", "/readyz"):
                operation["security"] = [{"token": []}]
