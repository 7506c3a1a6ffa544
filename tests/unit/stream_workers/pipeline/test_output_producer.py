import json

import pytest

from brandpulse.schema.posts import BRAND_SENTIMENTS, URGENCIES, ScoredPost
from model.spec.heads import BY_NAME, EMOTIONS, TARGET
from model.urgency.rule import LEVELS
from stream_workers.pipeline.output_producer import encode_scored
from stream_workers.scoring.post_labels import label_fields
from tests.support.builders import NOON_MS, a_scored, rfc3339


def test_output_is_a_valid_scored_post() -> None:
    scored = a_scored("7", towards={"Acme": "negative", "Bolt": "irrelevant"}, offset=12)
    written = encode_scored(scored, "log-1", 3, "m@1")
    assert set(json.loads(written)) == set(ScoredPost.model_fields)
    post = ScoredPost.model_validate_json(written)
    assert (post.id, post.topic_id, post.partition, post.offset, post.model) == ("7", "log-1", 3, 12, "m@1")
    assert [(brand.brand, brand.label, brand.probabilities) for brand in post.brands] == [
        ("Acme", "negative", [0.8, 0.15, 0.05, 0.0]),
        ("Bolt", "irrelevant", [0.1, 0.05, 0.05, 0.8]),
    ]
    assert post.created_at.isoformat() == rfc3339(NOON_MS)
    assert (post.sentiment, post.probabilities) == ("neutral", [0.1, 0.8, 0.1])
    assert len(post.author) == 16


def test_field_without_a_model_head_is_null() -> None:
    post = ScoredPost.model_validate_json(encode_scored(a_scored(), "log-1", 3, "m@1"))
    assert (post.emotions, post.mood, post.complaint, post.crisis, post.sarcasm) == (None, None, None, None, None)
    assert post.brands[0].urgency is None


def some_heads(**emotions: float) -> dict[str, list[float]]:
    return {
        "sentiment": [0.7, 0.2, 0.1],
        "emotion": [emotions.get(name, 0.01) for name in EMOTIONS],
        "mood": [0.1, 0.1, 0.1, 0.7],
        "risk": [0.9, 0.03, 0.02],
        "sarcasm": [0.25],
    }


def test_output_contains_every_head() -> None:
    found = label_fields(some_heads(anger=0.6))
    assert found == {
        "sentiment": "negative",
        "probabilities": [0.7, 0.2, 0.1],
        "emotions": {"anger": 0.6},
        "mood": "sadness",
        "complaint": 0.9,
        "crisis": 0.03,
        "sarcasm": 0.25,
    }


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, []),
        ({"joy": 0.5}, ["joy"]),
        ({"joy": 0.49}, []),
        ({"anger": 0.6, "fear": 0.9, "joy": 0.7}, ["fear", "joy", "anger"]),
        ({"neutral": 0.3, "joy": 0.3}, ["neutral"]),
    ],
)
def test_emotions_above_their_threshold_are_sorted_by_probability(given: dict[str, float], expected: list[str]) -> None:
    thresholds = [0.3 if name == "neutral" else 0.5 for name in EMOTIONS]
    assert list(label_fields(some_heads(**given), thresholds)["emotions"]) == expected


def test_model_and_panes_use_the_same_label_order() -> None:
    assert BRAND_SENTIMENTS == TARGET
    assert URGENCIES == LEVELS
    assert BY_NAME["risk"].labels[:2] == ("complaint", "crisis")
