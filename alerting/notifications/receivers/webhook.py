"""A generic webhook: the Notification as JSON, as in schemas/notification.v1.schema.json.

    Idempotency-Key: <notification id>              the same transition, sent twice, has the same key
    X-Brandpulse-Signature: sha256=<hex>            HMAC-SHA256 of the body's bytes, when a secret is set

A 2xx response is success. Delivery is at least once: to act only once, a receiver must remember the keys it has seen.
"""

import hashlib
import hmac

import aiohttp
from pydantic import SecretStr

from alerting.notifications.delivery import SendResult
from alerting.notifications.receivers.http_post import post
from alerting.notifications.receivers.receiver import ReceiverContext
from alerting.notifications.receivers.receiver_config import WebhookConfig
from brandpulse.schema.episodes import Notification, Severity


class Webhook:
    """One HTTP endpoint."""

    wants_every_update = True
    keeps_state = True

    def __init__(
        self,
        name: str,
        *,
        url: str,
        secret: SecretStr | None,
        min_severity: Severity,
        session: aiohttp.ClientSession,
        timeout_seconds: float,
    ) -> None:
        self.name = name
        self.min_severity = min_severity
        self._url = url
        self._secret = secret
        self._session = session
        self._timeout_seconds = timeout_seconds

    @classmethod
    def from_config(cls, config: WebhookConfig, secret: SecretStr | None, context: ReceiverContext) -> "Webhook":
        return cls(
            config.name,
            url=str(config.url),
            secret=secret,
            min_severity=config.min_severity,
            session=context.session,
            timeout_seconds=context.timeout_seconds,
        )

    async def deliver(self, notification: Notification) -> SendResult:
        body = notification.model_dump_json().encode()
        headers = {"Idempotency-Key": idempotency_key(notification)}
        if self._secret is not None:
            headers["X-Brandpulse-Signature"] = signature(body, self._secret)
        return await post(self._session, self._url, body, headers=headers, timeout_seconds=self._timeout_seconds)

    async def close(self) -> None:
        """Nothing to close: the caller owns the session."""


def idempotency_key(notification: Notification) -> str:
    """The notification's id, hashed if a brand name contains characters that a header cannot carry."""
    return (
        notification.id
        if notification.id.isascii() and notification.id.isprintable()
        else (hashlib.sha256(notification.id.encode()).hexdigest())
    )


def signature(body: bytes, secret: SecretStr) -> str:
    return "sha256=" + hmac.new(secret.get_secret_value().encode(), body, hashlib.sha256).hexdigest()
