"""PagerDuty's Events API v2.

An update is sent only if the severity rose, as a trigger with the same dedup_key: PagerDuty adds it to the open
incident. The half-hourly updates are not sent: if the incident was resolved by hand in PagerDuty, a trigger would page
the same person again for a known problem.
"""

import json
from typing import Any

import aiohttp
from pydantic import SecretStr

from alerting.notifications.delivery import SendResult
from alerting.notifications.plain_text import cut, one_line, without_links
from alerting.notifications.receivers.http_post import post
from alerting.notifications.receivers.message_text import accounts_text, example_text, member_text, term_text
from alerting.notifications.receivers.receiver import ReceiverContext
from alerting.notifications.receivers.receiver_config import PagerDutyConfig
from brandpulse.schema.episodes import Episode, Evidence, Notification, Severity

MAX_SUMMARY_CHARS = 1_024
MAX_EVENT_BYTES = 512_000
"""PagerDuty's limit is 512 KB; it rejects larger events with 400 or 413."""
MAX_EXAMPLE_CHARS = 500
SUMMARY_BRAND_CHARS = 60
"""Text messages and lock screens show about 130 characters: brand, people and share must fit in them."""
MAX_FIELD_CHARS = 255
MAX_BRAND_CHARS = 100
"""With 500 members and four bytes a character, this stays 200 KB below the limit."""


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

    @classmethod
    def from_config(cls, config: PagerDutyConfig, secret: SecretStr | None, context: ReceiverContext) -> "PagerDuty":
        return cls(
            config.name,
            url=str(config.url),
            routing_key=secret or SecretStr(""),
            min_severity=config.min_severity,
            session=context.session,
            timeout_seconds=context.timeout_seconds,
        )

    async def deliver(self, notification: Notification) -> SendResult:
        body = encode(event(notification, routing_key=self._routing_key.get_secret_value()))
        return await post(self._session, self._url, body, headers={}, timeout_seconds=self._timeout_seconds)

    async def close(self) -> None:
        """Nothing to close: the caller owns the session."""


def event(notification: Notification, *, routing_key: str) -> dict[str, Any]:
    """*notification* as an Events v2 body."""
    episode = notification.episode
    if notification.transition in ("resolved", "acknowledged"):
        action = "resolve" if notification.transition == "resolved" else "acknowledge"
        return {"routing_key": routing_key, "event_action": action, "dedup_key": episode.key}
    latest, brand = episode.latest, cut(one_line(episode.brand), MAX_FIELD_CHARS)
    found: dict[str, Any] = {
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
        found["client_url"] = notification.link
        found["links"] = [{"href": notification.link, "text": "brandpulse"}]
    return found


def summary(episode: Episode) -> str:
    """One line for a phone's screen, at most 1,024 characters. A long brand name is cut."""
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
        # A volume rule compares no share with a usual one.
        **(
            {"baseline_share": round(latest.baseline_share, 4)}
            if latest.usual_authors is None
            else {"usual_authors": round(latest.usual_authors, 1)}
        ),
        **({"accounts": counted} if (counted := accounts_text(latest)) else {}),
        "p_value": latest.p_value,
        "peak_share": round(episode.peak.negative_share, 4),
        "terms": [term_text(one) for one in latest.terms] or latest.terms_missing or "",
        **({"terms_missing": latest.terms_missing} if latest.terms and latest.terms_missing else {}),
        f"sources_of_kept_{'negative_' if latest.usual_authors is None else ''}posts": {
            without_links(one_line(one.source)): one.posts for one in latest.sources
        },
        # Without links, because PagerDuty makes them clickable.
        "examples": [example_text(post, most_chars=MAX_EXAMPLE_CHARS) for post in latest.examples],
        **_group(episode),
    }


def _group(episode: Episode) -> dict[str, Any]:
    """The members of a group, the most severe first, as many as always fit."""
    if not episode.members:
        return {}
    return {
        "episodes": episode.members_total,
        "members": [member_text(one, most_chars=MAX_BRAND_CHARS) for one in episode.members],
    }


def encode(found: dict[str, Any]) -> bytes:
    """*found* as JSON within PagerDuty's limit. If it is too large, the details are dropped."""
    body = json.dumps(found, ensure_ascii=False).encode()
    if len(body) <= MAX_EVENT_BYTES:
        return body
    payload = found["payload"] | {"custom_details": {"left_out": "the details exceed PagerDuty's size limit"}}
    return json.dumps(found | {"payload": payload}, ensure_ascii=False).encode()
