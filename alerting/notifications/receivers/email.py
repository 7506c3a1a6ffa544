"""Email through an SMTP server. All messages of an episode form one thread; a transition has a fixed Message-ID."""

import asyncio
import hashlib
import smtplib
import ssl
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Literal

from pydantic import SecretStr

from alerting.notifications.delivery import SendResult
from alerting.notifications.receivers.message_text import lines, title
from alerting.notifications.receivers.receiver import ReceiverContext
from alerting.notifications.receivers.receiver_config import EmailConfig
from brandpulse.schema.episodes import Notification, Severity

Tls = Literal["starttls", "tls", "none"]
HANDED_OVER, REFUSED, WRONG_PASSWORD, BUSY = 250, 400, 401, 503


class Email:
    """One or more mailboxes."""

    wants_every_update = False
    keeps_state = False

    def __init__(
        self,
        name: str,
        *,
        host: str,
        port: int,
        tls: Tls,
        sender: str,
        to: tuple[str, ...],
        username: str | None,
        password: SecretStr | None,
        min_severity: Severity,
        timeout_seconds: float,
    ) -> None:
        self.name = name
        self.min_severity = min_severity
        self._host, self._port, self._tls = host, port, tls
        self._sender, self._to = sender, to
        self._username, self._password = username, password
        self._timeout_seconds = timeout_seconds

    @classmethod
    def from_config(cls, config: EmailConfig, secret: SecretStr | None, context: ReceiverContext) -> "Email":
        return cls(
            config.name,
            host=config.host,
            port=config.port,
            tls=config.tls,
            sender=config.sender,
            to=config.to,
            username=config.username,
            password=secret,
            min_severity=config.min_severity,
            timeout_seconds=context.timeout_seconds,
        )

    async def deliver(self, notification: Notification) -> SendResult:
        return await asyncio.to_thread(self._send, mail(notification, sender=self._sender, to=self._to))

    def _send(self, message: EmailMessage) -> SendResult:
        try:
            with self._connect() as server:
                if self._tls == "starttls":
                    server.starttls(context=ssl.create_default_context())
                if self._username is not None and self._password is not None:
                    server.login(self._username, self._password.get_secret_value())
                refused = server.send_message(message)
        except (smtplib.SMTPException, OSError) as error:
            return _failure_of(error)
        # Some mailboxes accepted the message: a retry would deliver it to them twice.
        return SendResult(HANDED_OVER, f"not accepted for {', '.join(refused)}" if refused else "")

    def _connect(self) -> smtplib.SMTP:
        if self._tls == "tls":
            context = ssl.create_default_context()
            return smtplib.SMTP_SSL(self._host, self._port, timeout=self._timeout_seconds, context=context)
        return smtplib.SMTP(self._host, self._port, timeout=self._timeout_seconds)

    async def close(self) -> None:
        """Nothing to close: each message has its own connection."""


def mail(notification: Notification, *, sender: str, to: tuple[str, ...]) -> EmailMessage:
    """Plain text, with the subject on one line."""
    domain = sender.rsplit("@", 1)[1]
    thread = f"<{_digest(notification.episode.key)}@{domain}>"
    message = EmailMessage()
    message["Subject"] = title(notification)
    message["From"] = sender
    message["To"] = ", ".join(to)
    message["Date"] = format_datetime(notification.episode.updated_at)
    message["Message-ID"] = f"<{_digest(notification.id)}@{domain}>"
    message["References"] = thread
    message["In-Reply-To"] = thread
    message["Auto-Submitted"] = "auto-generated"
    message.set_content("\n".join(lines(notification)) + "\n")
    return message


def _failure_of(error: OSError) -> SendResult:
    """SMTP's 4xx means retry, its 5xx is permanent."""
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return SendResult(BUSY if error.smtp_code < 500 else WRONG_PASSWORD, _response_of(error))
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return _refusal(error.recipients)
    if isinstance(error, smtplib.SMTPResponseException):
        return SendResult(BUSY if 400 <= error.smtp_code < 500 else REFUSED, _response_of(error))
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return SendResult(REFUSED, str(error))
    return SendResult(None, f"{type(error).__name__}: {error}")


def _refusal(recipients: dict[str, tuple[int, bytes]]) -> SendResult:
    answer = "; ".join(
        f"{address}: {code} {text.decode(errors='replace')}" for address, (code, text) in recipients.items()
    )
    busy = any(400 <= code < 500 for code, _ in recipients.values())
    return SendResult(BUSY if busy else REFUSED, answer)


def _response_of(error: smtplib.SMTPResponseException) -> str:
    text = error.smtp_error
    return f"{error.smtp_code} {text.decode(errors='replace') if isinstance(text, bytes) else text}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
