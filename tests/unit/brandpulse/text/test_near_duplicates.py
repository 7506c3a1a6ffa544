"""Posts with the same text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brandpulse.state.stored_posts import HourPost
from brandpulse.text.near_duplicates import copy_groups, normal_form

TEXT = "Acme lost my bag again, I want a refund"


@pytest.mark.parametrize(
    "copy",
    [
        "@kim_r Acme lost my bag again, I want a refund",
        "Acme lost my bag again, I want a refund @kim_r @lee",
        "@user @user Acme lost my bag again, I want a refund",
        "＠kim_r Acme lost my bag again, I want a refund",
        "@kim@mastodon.social Acme lost my bag again, I want a refund",
        "Acme lost my bag again, I want a refund https://t.co/Ab1",
        "Acme lost my bag again, I want a refund http://example.org/x?y=1&amp;z=2",
        "Acme lost my bag again, I want a refund pic.twitter.com/XyZ12",
        "ACME LOST MY BAG AGAIN, I WANT A REFUND",
        "Acme  lost my\nbag again,\tI want a refund",
        "Acme lost my bag again - I want a refund!!!",
        "Acme lost my bag again, I want a refund 17",
        "Acme lost my bag again, I want a refund (2)",
        "Acme lost my bag again, I want a refund #4471 12:30",
        "Acme lost my bag again, I want a refund 😡😡",
        "🔥 Acme lost my bag again ✈️, I want a refund 👩🏽‍✈️",
        "RT @kim_r: Acme lost my bag again, I want a refund",
        "RT @kim_r: RT @lee: Acme lost my bag again, I want a refund",
        "rt Acme lost my bag again, I want a refund",
        "Acme lost my bag again, I want a refund via @kim_r",
        "&quot;Acme lost my bag again, I want a refund&quot;",
        "“Acme lost my bag again, I want a refund”",
        "Acme lost my bag again, I&#39;want a refund",
        "<p>Acme lost my bag again, I want a refund</p>",
        '<p><span class="h-card"><a href="https://m.social/@kim" class="u-url">@<span>kim</span></a></span> '
        "Acme lost my bag again,<br>I want a refund</p>",
        "Ａｃｍｅ lost my bag again, I want a refund",
        "Acme lost my b\u200bag ag\u00adain, I want a refund",
    ],
)
def test_a_copy_has_the_normal_form_of_its_text(copy: str) -> None:
    assert normal_form(copy) == normal_form(TEXT)


@pytest.mark.parametrize(
    "other",
    [
        "Acme lost my bag, I want a refund",
        "Acme lost my bags again, I want a refund",
        "Acme lost 2 of my bags again, I want a refund",
        "Bolt lost my bag again, I want a refund",
        "so true RT @kim: Acme lost my bag again, I want a refund",
        "",
        "17",
        "😡",
    ],
)
def test_a_text_with_another_word_is_another_text(other: str) -> None:
    assert normal_form(other) != normal_form(TEXT)


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("😡😡", "😡 😡 @kim", True),
        ("😡", "🎉", False),
        ("https://example.org/a", "https://example.org/b", False),
        ("¡Devuélvanme el dinero!", "devuélvanme el dinero", True),
        ("返金してください。", "返金してください！！ @kim", True),
        ("أريد استرداد أموالي", "أريد استرداد أموالي!!", True),
        ("I <3 Acme", "I &lt;3 Acme", True),
        ("flight 447 was late", "flight 448 was late", False),
    ],
)
def test_texts_of_other_scripts_and_signs_compare(first: str, second: str, same: bool) -> None:
    assert (normal_form(first) == normal_form(second)) is same


@given(st.text(max_size=300))
def test_any_text_has_a_normal_form_of_bounded_size(text: str) -> None:
    assert 0 < len(normal_form(text) + "x") <= 502


def a_post(number: int, text: str = TEXT, *, author: int | None = None, negative: float = 0.9) -> HourPost:
    return HourPost(
        id=str(number),
        source="x",
        text=text,
        created_ms=number,
        author=f"{number if author is None else author:016x}",
        negative=negative,
    )


def test_text_of_many_accounts_precedes_more_negative_ones() -> None:
    campaign = [a_post(n, f"@user{n} {TEXT} {n}", negative=0.6) for n in range(21)]
    alone = [a_post(100 + n, f"other {'word ' * n}", negative=0.99) for n in range(5)]
    groups = copy_groups([*alone, *campaign])
    assert [(len(one.posts), len(one.authors)) for one in groups] == [(21, 21), *[(1, 1)] * 5]


def test_copies_by_one_account_count_as_one_account() -> None:
    groups = copy_groups([a_post(n, author=7, negative=0.8) for n in range(20)] + [a_post(50, "worse", negative=0.99)])
    assert [(one.posts[0].text, len(one.posts), len(one.authors)) for one in groups] == [("worse", 1, 1), (TEXT, 20, 1)]


def test_cut_off_repost_belongs_to_the_whole_text() -> None:
    long = "Acme has just cancelled every flight of the day and tells nobody at the airport what to do now"
    groups = copy_groups([a_post(1, long), a_post(2, "RT @kim: " + long[:70] + "…"), a_post(3, "why…")])
    assert sorted(len(one.posts) for one in groups) == [1, 2]
