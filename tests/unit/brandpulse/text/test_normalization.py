import pytest
from hypothesis import given
from hypothesis import strategies as st

from brandpulse.text.normalization import normalize

SOCIAL = st.lists(
    st.one_of(
        st.text(max_size=6),
        st.sampled_from(
            ["@", "@ab", "http", "https://", "www.", "&amp;", "&lt;", "amp;", "&#x40;", "&#", ";", "l", " ", "\x00"]
        ),
    ),
    max_size=20,
).map("".join)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("@united lost my bag", "@user lost my bag"),
        ("see https://t.co/abc?x=1 and www.example.com/x now", "see http and http now"),
        ("mail me at a@b.example", "mail me at a@b.example"),
        ("fish &amp; chips &lt;3", "fish & chips <3"),
        ("escaped twice &amp;lt;3", "escaped twice <3"),
        ("AT&T and R&D stay", "AT&T and R&D stay"),
        ("sooooo goooood!!!!!!", "sooo goood!!!"),
        ("it cost 10000 in 2000", "it cost 10000 in 2000"),
        ("good\tday\r\n\r\nall", "good day all"),
        ("nul\x00 here \ud83d too", "nul here too"),
        ("😂😂😂😂😂 stays an emoji 👍🏽❤️", "😂 😂 😂 stays an emoji 👍 ❤"),
        ("#Hashtags and CASE stay", "#Hashtags and CASE stay"),
        ("@user said http already", "@user said http already"),
    ],
)
def test_social_text_takes_the_form_of_the_training_texts(raw: str, expected: str) -> None:
    assert normalize(raw) == expected


@given(SOCIAL)
def test_normalising_again_changes_nothing(text: str) -> None:
    once = normalize(text)
    assert normalize(once) == once


@given(SOCIAL, st.integers(min_value=1, max_value=40))
def test_a_cut_text_is_bounded_and_stable(text: str, limit: int) -> None:
    once = normalize(text, max_characters=limit)
    assert len(once) <= limit
    assert normalize(once, max_characters=limit) == once


@given(st.text())
def test_the_result_can_be_encoded(text: str) -> None:
    assert "\x00" not in normalize(text)
    normalize(text).encode("utf-8")


def test_megabyte_of_text_is_cut_off_first() -> None:
    assert len(normalize("&amp;" * 200_000)) <= 2_000
