"""Repeated notifications: firing episodes whose alerts expire, and resolves that a late trigger may have undone.
Pure."""

from collections.abc import Sequence, Set

from alerting.notifications.delivery import Delivery, DeliveryKey
from alerting.store.alert_store import AlerterState
from brandpulse.schema.episodes import Episode

RECENT_RESOLVE_MS = 15 * 60_000
"""Older resolves are not repeated at a takeover: an alerter that posts even later reports it itself."""


def episodes_to_resend(state: AlerterState, receiver: str, busy: Set[DeliveryKey]) -> list[Episode]:
    """Open episodes that *receiver* was notified of, without those whose delivery key is *busy*."""
    return [
        one.episode
        for one in state.open.values()
        if receiver in one.memory.told and (receiver, one.episode.key) not in busy
    ]


def second_resolve(late: Delivery, *, token: int, now_ms: int) -> Delivery:
    """A resolve for the delivery key of *late*, whose episode is over."""
    sent = late.notification
    over = sent.model_copy(
        update={
            "id": f"{sent.episode.key}:resolved@{sent.receiver}",
            "transition": "resolved",
            "episode": sent.episode.model_copy(
                update={"state": "resolved", "resolved_at": sent.episode.resolved_at or sent.episode.updated_at}
            ),
        }
    )
    return Delivery(id=f"{late.id}#late-{token}", notification=over, decided_ms=now_ms)


def resolves_to_repeat(
    delivered: Sequence[Delivery], pending: Sequence[Delivery], *, stateful: set[str], token: int, now_ms: int
) -> list[Delivery]:
    """New deliveries that repeat the last resolve of each recently closed delivery key. *delivered* is newest first."""
    seen = {delivery.key for delivery in pending}
    repeats = []
    for delivery in delivered:
        if delivery.key in seen:
            continue
        seen.add(delivery.key)
        recent = delivery.delivered_ms is not None and now_ms - delivery.delivered_ms <= RECENT_RESOLVE_MS
        if delivery.notification.transition == "resolved" and recent and delivery.notification.receiver in stateful:
            repeats.append(
                Delivery(
                    id=f"{delivery.notification.id}#repeat-{token}",
                    notification=delivery.notification,
                    decided_ms=now_ms,
                )
            )
    return repeats
