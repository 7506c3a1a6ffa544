"""PagerDuty's Events API v2: a notification as an event, and its hand-over.

An update goes out only when the severity rose, as a trigger with the same dedup_key: PagerDuty adds it to the open
incident. The half-hourly updates do not, because someone may have resolved the incident by hand in PagerDuty, and a
trigger would page him again for what he knows.
"""

import json
from typing import Any

import aiohttp
from pydantic import SecretStr

from alerting.notifications.delivery import SendResult
from alerting.notifications.plain_text import cut, one_line, without_links
from alerting.notifications.receivers.http_post import post
from alerting.notifications.receivers.message_text import example_text, member_text, term_text
from brandpulse.schema.episodes import Episode, Evidence, Notification, Severity

MAX_SUMMARY_CHARS = 1_024
MAX_EVENT_BYTES = 512_000
"""PagerDuty says 512 KB, and refuses with 400 or 413 what is larger."""
MAX_EXAMPLE_CHARS = 500
SUMMARY_BRAND_CHARS = 60
"""A text message and a lock screen end near 130 characters: brand, people and share stand before that."""
MAX_FIELD_CHARS = 255
MAX_BRAND_CHARS = 100
"""With 500 members and four bytes a character still 200 KB below the bound."""


class PagerDuty:
    """One PagerDuty service."""

    wants_every_update = False
    keeps_state = True

    def __init__(
        self,
        name: str,
        *,
        url: str,
        routing_key: SecretStr,
        min_severity: Severity,
        session: aiohttp.ClientSession,
        timeout_seconds: float,
    ) -> None:
        self.name = name
        self.min_severity = min_severity
        self._url = url
        self._routing_key = routing_key
        self._session = session
        self._timeout_seconds = timeout_seconds

    async def deliver(self, notification: Notification) -> SendResult:
        body = encode(event(notification, routing_key=self._routing_key.get_secret_value()))
        return await post(self._session, self._url, body, headers={}, timeout_seconds=self._timeout_seconds)

    async def close(self) -> None:
        """The session is the sender's."""


def event(notification: Notification, *, routing_key: str) -> dict[str, Any]:
    """*notification* as an Events v2 body."""
    episode = notification.episode
    if notification.transition in ("resolved", "acknowledged"):
        action = "resolve" if notification.transition == "resolved" else "acknowledge"
        return {"routing_key": routing_key, "event_action": action, "dedup_key": episode.key}
    latest, brand = episode.latest, cut(one_line(episode.brand), MAX_FIELD_CHARS)
    made: dict[str, Any] = {
        "routing_key": routing_key,
        "event_action": "trigger",
        "dedup_key": episode.key,
        "client": "brandpulse",
        "payload": {
            "summary": summary(episode),
            "source": f"brandpulse/{brand}",
            "severity": episode.severity,
            "timestamp": latest.window_end.isoformat(),
            "component": brand,
            "group": brand,
            "class": episode.rule,
            "custom_details": details(episode, latest),
        },
    }
    if notification.link is not None:
        made["client_url"] = notification.link
        made["links"] = [{"href": notification.link, "text": "brandpulse"}]
    return made


def summary(episode: Episode) -> str:
    """One line for a phone's screen, at most 1,024 characters; a long brand name leaves room for what happened."""
    name = "all brands" if episode.brand == "*" else cut(one_line(episode.brand), SUMMARY_BRAND_CHARS)
    return cut(f"{name}: {one_line(episode.latest.reason)}", MAX_SUMMARY_CHARS)


def details(episode: Episode, latest: Evidence) -> dict[str, Any]:
    return {
        "brand": one_line(episode.brand),
        "rule": episode.rule,
        "started_at": episode.started_at.isoformat(),
        "fired_at": episode.fired_at.isoformat(),
        "window": f"{latest.window_start.isoformat()} to {latest.window_end.isoformat()}",
        **({"facet": latest.facet} if latest.facet else {}),
        "posts": latest.posts,
        "negative_posts": latest.negative_posts,
        "authors": latest.authors,
        "negative_authors": latest.negative_authors,
        "negative_share": round(latest.negative_share, 4),
        # Where volume was tested nothing was compared with a usual share.
        **(
            {"baseline_share": round(latest.baseline_share, 4)}
            if latest.usual_authors is None
            else {"usual_authors": round(latest.usual_authors, 1)}
        ),
        "p_value": latest.p_value,
        "peak_share": round(episode.peak.negative_share, 4),
        "terms": [term_text(one) for one in latest.terms] or latest.terms_missing or "",
        **({"terms_missing": latest.terms_missing} if latest.terms and latest.terms_missing else {}),
        f"sources_of_kept_{'negative_' if latest.usual_authors is None else ''}posts": {
            without_links(one_line(one.source)): one.posts for one in latest.sources
        },
        # Without links: PagerDuty makes them live.
        "examples": [example_text(post, most_chars=MAX_EXAMPLE_CHARS) for post in latest.examples],
        **_group(episode),
    }


def _group(episode: Episode) -> dict[str, Any]:
    """The members of a group, the gravest first, as many as are sure to fit."""
    if not episode.members:
        return {}
    return {
        "episodes": episode.members_total,
        "members": [member_text(one, most_chars=MAX_BRAND_CHARS) for one in episode.members],
    }


def encode(made: dict[str, Any]) -> bytes:
    """*made* as JSON within PagerDuty's bound: the details go before the alert does."""
    body = json.dumps(made, ensure_ascii=False).encode()
    if len(body) <= MAX_EVENT_BYTES:
        return body
    payload = made["payload"] | {"custom_details": {"left_out": "the details were larger than PagerDuty takes"}}
    return json.dumps(made | {"payload": payload}, ensure_ascii=False).encode()
