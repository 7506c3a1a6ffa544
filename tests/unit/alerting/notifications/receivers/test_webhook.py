import hashlib
import hmac

from pydantic import SecretStr

from alerting.notifications.receivers.webhook import idempotency_key, signature
from tests.support.alerting.episode_builders import a_notification


def test_the_signature_is_an_hmac_of_the_sent_bytes() -> None:
    expected = hmac.new(b"s3cret", b'{"a":1}', hashlib.sha256).hexdigest()
    assert signature(b'{"a":1}', SecretStr("s3cret")) == f"sha256={expected}"


def test_the_idempotency_key_is_the_id_or_its_hash() -> None:
    assert idempotency_key(a_notification(key="Acme Air")) == "Acme Air:triggered@pager"
    for odd in ("Müller", "a\r\nb"):
        key = idempotency_key(a_notification(key=odd))
        assert len(key) == 64
        assert key.isalnum()
