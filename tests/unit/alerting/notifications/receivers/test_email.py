"""Mail through a real SMTP server."""

import email
import smtplib
from collections.abc import Iterator
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from pydantic import SecretStr

from alerting.notifications.receivers.email import Email
from brandpulse.runtime.child_process import free_port
from tests.support.alerting.episode_builders import a_notification


class Post:
    """An SMTP server that responds as configured."""

    def __init__(self) -> None:
        self.mails: list[Any] = []
        self.answer = "250 OK"
        self.refuses: dict[str, str] = {}

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.refuses:
            return self.refuses[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.answer.startswith("250"):
            assert isinstance(envelope.content, bytes)
            self.mails.append((envelope.rcpt_tos, email.message_from_bytes(envelope.content)))
        return self.answer


@pytest.fixture
def post() -> Iterator[tuple[Post, int]]:
    post = Post()
    port = free_port()
    controller = Controller(post, hostname="127.0.0.1", port=port)
    controller.start()
    yield post, port
    controller.stop()


def receiver(port: int, **changes: Any) -> Email:
    return Email(
        "mail",
        **{
            "host": "127.0.0.1",
            "port": port,
            "tls": "none",
            "sender": "alerts@brandpulse.example",
            "to": ("kim@example.org", "lou@example.org"),
            "username": None,
            "password": None,
            "min_severity": "info",
            "timeout_seconds": 2.0,
            **changes,
        },
    )


async def test_a_mail_contains_the_reason(post: tuple[Post, int]) -> None:
    outcome = await receiver(post[1]).deliver(a_notification())
    assert outcome.status == 250
    [(to, message)] = post[0].mails
    assert to == ["kim@example.org", "lou@example.org"]
    assert message["Subject"] == "[critical] Acme Air fires: negative share"
    assert "30 of 50 authors" in message.get_payload(decode=True).decode()


@pytest.mark.parametrize(
    ("answer", "status"),
    [("451 later", 503), ("552 too much mail", 400), ("421 going down", 503)],
)
async def test_smtp_4xx_is_retried_and_5xx_is_quarantined(post: tuple[Post, int], answer: str, status: int) -> None:
    post[0].answer = answer
    outcome = await receiver(post[1]).deliver(a_notification())
    assert outcome.status == status
    assert answer.split(maxsplit=1)[1] in outcome.answer


@pytest.mark.parametrize(("code", "status"), [("450 full", 503), ("550 nobody", 400)])
async def test_rejected_mailboxes_are_named(post: tuple[Post, int], code: str, status: int) -> None:
    post[0].refuses = dict.fromkeys(["kim@example.org", "lou@example.org"], code)
    outcome = await receiver(post[1]).deliver(a_notification())
    assert outcome.status == status
    assert "kim@example.org" in outcome.answer


async def test_a_mail_accepted_by_some_mailboxes_is_not_sent_again(post: tuple[Post, int]) -> None:
    post[0].refuses = {"kim@example.org": "550 nobody"}
    outcome = await receiver(post[1]).deliver(a_notification())
    assert outcome.status == 250
    assert "not accepted for kim@example.org" in outcome.answer


async def test_an_unavailable_server_is_a_result_without_status() -> None:
    assert (await receiver(free_port()).deliver(a_notification())).status is None


async def test_a_server_without_tls_gets_no_password(post: tuple[Post, int]) -> None:
    one = receiver(post[1], tls="starttls", username="u", password=SecretStr("sssecret"))
    outcome = await one.deliver(a_notification())
    assert outcome.status == 400
    assert "sssecret" not in outcome.answer
    assert post[0].mails == []


def test_a_wrong_password_quarantines_the_delivery() -> None:
    from alerting.notifications.receivers.email import _failure_of

    assert _failure_of(smtplib.SMTPAuthenticationError(535, b"no")).status == 401
    assert _failure_of(smtplib.SMTPAuthenticationError(454, b"later")).status == 503
