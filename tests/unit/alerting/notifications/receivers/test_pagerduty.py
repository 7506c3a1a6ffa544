import json

import pytest

from alerting.notifications.receivers.pagerduty import MAX_EVENT_BYTES, encode, event, summary
from brandpulse.devstack.mock_receiver import problems
from brandpulse.schema.episodes import ExamplePost, SourceCount, Term, Transition
from tests.support.alerting.episode_builders import AT, a_notification, an_episode, an_evidence

KEY = "0" * 32


@pytest.mark.parametrize(
    ("transition", "action"), [("triggered", "trigger"), ("updated", "trigger"), ("resolved", "resolve")]
)
def test_every_transition_is_a_valid_event_with_one_dedup_key(transition: Transition, action: str) -> None:
    made = event(a_notification(transition, key="Acme Air:negative_share:2026-03-02T10:00Z"), routing_key=KEY)
    assert problems(made) == []
    assert (made["event_action"], made["dedup_key"]) == (action, "Acme Air:negative_share:2026-03-02T10:00Z")


def test_a_trigger_contains_numbers_posts_and_a_link() -> None:
    notification = a_notification().model_copy(update={"link": "http://page/"})
    made = event(notification, routing_key=KEY)
    assert made["payload"]["custom_details"]["negative_share"] == 0.6
    assert made["payload"]["custom_details"]["examples"] == ["awful"]
    assert made["payload"]["severity"] == "critical"
    assert made["links"] == [{"href": "http://page/", "text": "brandpulse"}]


def test_a_trigger_contains_words_and_sources() -> None:
    proof = an_evidence(
        terms=[Term(term="lost luggage", posts=8, of=20, usual_share=0.01)], sources=[SourceCount(source="x", posts=14)]
    )
    details = event(a_notification(latest=proof), routing_key=KEY)["payload"]["custom_details"]
    assert details["terms"] == ["lost luggage (8 of 20 posts, usually 1%)"]
    assert details["sources_of_kept_negative_posts"] == {"x": 14}
    bare = event(a_notification(latest=an_evidence(terms_missing="why")), routing_key=KEY)["payload"]["custom_details"]
    assert bare["terms"] == "why"


@pytest.mark.parametrize("chars", [1, 2_000])
def test_the_summary_is_cut_by_code_points_not_bytes(chars: int) -> None:
    cut = summary(an_episode(latest=an_evidence(reason="💥" * chars)))
    assert len(cut) == min(len("Acme Air: ") + chars, 1_024)
    assert cut.endswith("💥" if chars == 1 else "…")


def test_details_that_are_too_large_are_dropped() -> None:
    made = event(a_notification(), routing_key=KEY)
    made["payload"]["custom_details"]["examples"] = ["x" * MAX_EVENT_BYTES]
    body = encode(made)
    assert len(body) < MAX_EVENT_BYTES
    assert problems(json.loads(body)) == []
    assert "left_out" in json.loads(body)["payload"]["custom_details"]


def test_long_posts_are_cut() -> None:
    post = ExamplePost(id="1", source="test", text="x" * 20_000, created_at=AT)
    made = event(a_notification(latest=an_evidence(examples=[post])), routing_key=KEY)
    [text] = made["payload"]["custom_details"]["examples"]
    assert len(text) == 500
