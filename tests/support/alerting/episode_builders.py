"""Episodes, notifications and deliveries that show only what matters."""

from datetime import UTC, datetime
from typing import Any

from alerting.notifications.delivery import Delivery
from brandpulse.schema.episodes import Episode, Evidence, ExamplePost, Notification, Transition

AT = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)


def an_evidence(**changes: Any) -> Evidence:
    return Evidence(
        **{
            "window_start": AT,
            "window_end": AT,
            "posts": 50,
            "negative_posts": 30,
            "authors": 50,
            "negative_authors": 30,
            "negative_share": 0.6,
            "baseline_share": 0.2,
            "p_value": 1e-9,
            "reason": "Negative share rose: 30 of 50 authors.",
            "examples": [ExamplePost(id="1", source="test", text="awful", created_at=AT)],
            **changes,
        }
    )


def an_episode(key: str = "Acme Air:negative_share:2026-03-02T10:00Z", **changes: Any) -> Episode:
    proof = changes.pop("latest", an_evidence())
    return Episode(
        **{
            "key": key,
            "brand": "Acme Air",
            "rule": "negative_share",
            "severity": "critical",
            "state": "firing",
            "started_at": AT,
            "fired_at": AT,
            "updated_at": AT,
            "first": proof,
            "peak": proof,
            "latest": proof,
            **changes,
        }
    )


def a_notification(
    transition: Transition = "triggered", *, key: str = "k", receiver: str = "pager", **changes: Any
) -> Notification:
    if transition == "resolved":
        changes = {"state": "resolved", "resolved_at": AT, **changes}
    return Notification(
        id=f"{key}:{transition}@{receiver}",
        receiver=receiver,
        transition=transition,
        episode=an_episode(key, **changes),
    )


def a_delivery(
    transition: Transition = "triggered", *, key: str = "k", receiver: str = "pager", **changes: Any
) -> Delivery:
    notification = a_notification(transition, key=key, receiver=receiver)
    return Delivery(**{"id": notification.id, "notification": notification, "decided_ms": 0, **changes})
