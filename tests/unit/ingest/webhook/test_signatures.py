"""Known vectors: the first of each kind is from its documentation, those of Stripe are from `openssl dgst`."""

import pytest

from ingest.webhook.signatures import AUTHENTICATORS, Authenticator, SenderKind, key_of

STANDARD_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
STANDARD_SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
STANDARD_BODY = b'{"test": 2432232314}'
SIGNED_AT = 1_614_265_330
GITHUB_SECRET = "It's a Secret to Everybody"
GITHUB_SIGNATURE = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
STRIPE_SECRET = "whsec_test_secret_of_stripe"
STRIPE_V1 = "066023adba245b1ffb9a49fe6671a8fac6b37a01b9403f0e1da65f7939d8ce59"
OTHER = "another secret of the sender"


def of(kind: SenderKind, *secrets: str) -> Authenticator:
    return AUTHENTICATORS[kind]([key_of(kind, secret) for secret in secrets])


def standard_headers(signature: str = STANDARD_SIGNATURE, *, at: object = SIGNED_AT) -> dict[str, str]:
    return {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": str(at),
        "webhook-signature": signature,
    }


@pytest.mark.parametrize(
    "signature",
    [
        STANDARD_SIGNATURE,
        f"v1,AAAA {STANDARD_SIGNATURE}",
        f"{STANDARD_SIGNATURE} v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw",
        f"nonsense , v1 {STANDARD_SIGNATURE}",
    ],
)
def test_standard_webhook_with_a_right_signature_is_genuine(signature: str) -> None:
    sender = of("standard-webhooks", STANDARD_SECRET)
    assert sender.fault(standard_headers(signature), STANDARD_BODY, SIGNED_AT) is None


@pytest.mark.parametrize("signature", ["", "v1", "v1,", ",", "v1,\udcff", "v2" + STANDARD_SIGNATURE[2:], "v1,g0hM9SsE"])
def test_standard_webhook_with_a_malformed_signature_is_refused(signature: str) -> None:
    sender = of("standard-webhooks", STANDARD_SECRET)
    assert sender.fault(standard_headers(signature), STANDARD_BODY, SIGNED_AT) == "the signature does not match"


@pytest.mark.parametrize("change", ["body", "id", "secret"])
def test_standard_webhook_that_was_changed_is_refused(change: str) -> None:
    secret = "whsec_" + "A" * 32 if change == "secret" else STANDARD_SECRET
    headers = standard_headers() | ({"webhook-id": "msg_other"} if change == "id" else {})
    body = STANDARD_BODY + b" " if change == "body" else STANDARD_BODY
    assert of("standard-webhooks", secret).fault(headers, body, SIGNED_AT) == "the signature does not match"


@pytest.mark.parametrize(
    ("away", "fault"),
    [
        (-600, "the time is 600 s ahead of the clock of this machine"),
        (-300, None),
        (300, None),
        (301, "the time is 301 s behind the clock of this machine"),
        (600, "the time is 600 s behind the clock of this machine"),
    ],
)
def test_signed_time_may_be_five_minutes_off(away: int, fault: str | None) -> None:
    now = SIGNED_AT + away
    standard = of("standard-webhooks", STANDARD_SECRET)
    assert standard.fault(standard_headers(), STANDARD_BODY, now) == fault
    stripe = of("stripe", STRIPE_SECRET)
    assert stripe.fault({"Stripe-Signature": f"t={SIGNED_AT},v1={STRIPE_V1}"}, STANDARD_BODY, now) == fault


@pytest.mark.parametrize(
    "at", ["", "soon", "1e9", "-5", "1_614_265_330", "1614265330.0", "9" * 5_000, "１６１４２６５３３０"]
)
def test_signed_time_that_is_no_number_is_refused(at: str) -> None:
    fault = of("standard-webhooks", STANDARD_SECRET).fault(standard_headers(at=at), STANDARD_BODY, SIGNED_AT)
    assert fault == "the time is missing, or is not in seconds since 1970"


def test_github_signature_of_the_documentation_is_genuine() -> None:
    headers = {"X-Hub-Signature-256": GITHUB_SIGNATURE}
    assert of("github", GITHUB_SECRET).fault(headers, b"Hello, World!", 0) is None
    assert of("github", GITHUB_SECRET).fault(headers, b"Hello, World", 0) == "the signature does not match"
    assert of("github", OTHER).fault(headers, b"Hello, World!", 0) == "the signature does not match"


@pytest.mark.parametrize(
    "signature",
    [
        f"t={SIGNED_AT},v1={STRIPE_V1}",
        f"t={SIGNED_AT}, v0=1,v1=00,v1={STRIPE_V1}",
        f"v1={STRIPE_V1},t=" + str(SIGNED_AT),
    ],
)
def test_stripe_signature_is_genuine(signature: str) -> None:
    assert of("stripe", STRIPE_SECRET).fault({"Stripe-Signature": signature}, STANDARD_BODY, SIGNED_AT) is None


@pytest.mark.parametrize(
    "signature", ["", ",", "t", f"v1={STRIPE_V1}", f"t={SIGNED_AT}", f"t={SIGNED_AT},v0={STRIPE_V1}"]
)
def test_stripe_signature_without_a_part_is_refused(signature: str) -> None:
    assert of("stripe", STRIPE_SECRET).fault({"Stripe-Signature": signature}, STANDARD_BODY, SIGNED_AT) is not None


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer wrong", f"Basic {OTHER}", OTHER, "Bearer \udcff"])
def test_bearer_with_another_token_does_not_concern_the_sender(header: str) -> None:
    assert not of("bearer", OTHER).concerns({"Authorization": header})


def test_both_secrets_of_a_sender_are_accepted() -> None:
    assert of("bearer", "the new token", OTHER).concerns({"Authorization": f"bearer {OTHER}"})
    github = of("github", OTHER, GITHUB_SECRET)
    assert github.fault({"X-Hub-Signature-256": GITHUB_SIGNATURE}, b"Hello, World!", 0) is None
    standard = of("standard-webhooks", "whsec_" + "A" * 32, STANDARD_SECRET)
    assert standard.fault(standard_headers(), STANDARD_BODY, SIGNED_AT) is None
    stripe = of("stripe", OTHER, STRIPE_SECRET)
    assert stripe.fault({"Stripe-Signature": f"t={SIGNED_AT},v1={STRIPE_V1}"}, STANDARD_BODY, SIGNED_AT) is None


def test_secrets_are_not_shown() -> None:
    assert "Everybody" not in repr(of("github", GITHUB_SECRET))
