import pytest

from stream_workers.masking import NameMask


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("@ann thanks", "@user thanks"),
        ("cc @ann_b, @Carl!", "cc @user, @user!"),
        ("ask @ann@mastodon.example now", "ask @user now"),
        ("mail ann.b@example.com now", "mail @user now"),
        ("@acmeair where is my bag @ann", "@acmeair where is my bag @user"),
        ("no names", "no names"),
    ],
)
def test_people_are_masked_and_brands_are_not(text: str, masked: str) -> None:
    assert NameMask(keep=["AcmeAir"])(text) == masked
