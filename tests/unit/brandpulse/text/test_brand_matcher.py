"""Which brands a post names."""

import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brandpulse.config.brands_file import Brand
from brandpulse.errors import ConfigError
from brandpulse.text.brand_matcher import BrandMatcher
from brandpulse.text.characters import normalize_text
from brandpulse.text.match_form import match_form

UNITED = Brand(name="United", terms=["united"], handles=["@united"], hashtags=["#flyunited"])


def named(text: str, *brands: Brand) -> tuple[str, ...]:
    return BrandMatcher(brands or (UNITED,)).match(text)


@pytest.mark.parametrize(
    "text",
    [
        "united is late",
        "Why, UNITED?",
        "(united)",
        "“United”",
        "#united cancelled us",
        "united.com is down",
        "ask united's staff",
        "flying ＵＮＩＴＥＤ today",
        "𝐔𝐧𝐢𝐭𝐞𝐝 at its best",
        "United™ is proud",
        "uni\u00adted",
        "United-",
        "Delta/United merge",
    ],
)
def test_term_matches_as_a_whole_word_in_any_case_and_width(text: str) -> None:
    assert named(text) == ("United",)


@pytest.mark.parametrize(
    "text",
    [
        "reunited at last",
        "unitedly",
        "united_fan",
        "united2",
        "2united",
        "the unitédé",
        "@unitedway helps",
        "@reunited",
        "see https://news.example/united/today",
        "see www.news.example?q=united",
        "see news.example/united",
        "write to united@example.org",
        "write to help@united.com",
        "thanks @bob.united",
        "",
    ],
)
def test_term_inside_words_handles_links_and_addresses_does_not_match(text: str) -> None:
    assert named(text) == ()


HANDLE_ONLY = Brand(name="United", handles=["united"])


@pytest.mark.parametrize(
    "text",
    [
        "@united why",
        ".@United why",
        "(@UNITED)",
        "thanks @united.",
        "@united's crew",
        "@united-rebooked to OMA",
        "@united,@delta",
        "@united/@delta",
        "@delta/@united",
        "＠united why",
        "ありがとう@unitedさん",
        "@@united",
    ],
)
def test_handle_matches_exactly(text: str) -> None:
    assert named(text, HANDLE_ONLY) == ("United",)


@pytest.mark.parametrize(
    "text",
    [
        "united",
        "#united",
        "@unitedway",
        "@united_uk",
        "@united.bsky.social",
        "@united@mastodon.example",
        "x@united.com",
        "x@united",
        "https://video.example/@united/1",
        "video.example/@united",
        "@bob@united",
        "@ united",
    ],
)
def test_handle_inside_handles_addresses_and_links_does_not_match(text: str) -> None:
    assert named(text, HANDLE_ONLY) == ()


def test_link_ends_at_unprintable_characters_and_emoji() -> None:
    assert named("www.x.de/bolt\x1bunited") == ("United",)
    assert named("x.de/bolt\x07united late") == ("United",)
    assert named("www.x.de/bolt\U0001f621united") == ("United",)
    assert named("www.x.de/bolt-united") == ()


def test_handle_may_be_a_domain_or_a_fediverse_address() -> None:
    brand = Brand(name="Acme", handles=["@acme.example.social", "acme@instance.example"])
    assert named("hi @acme.example.social!", brand) == ("Acme",)
    assert named("hi @acme@instance.example", brand) == ("Acme",)
    assert named("hi @acme", brand) == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("love it #FlyUnited", ("United",)),
        ("#flyunited.", ("United",)),
        ("#flyunited2015", ()),
        ("#xflyunited", ()),
        ("x#flyunited", ()),
        ("flyunited", ()),
        ("https://example.org/#flyunited", ()),
    ],
)
def test_hashtag_matches_exactly(text: str, expected: tuple[str, ...]) -> None:
    assert named(text, Brand(name="United", hashtags=["#flyunited"])) == expected


def test_term_with_a_sign_is_a_handle_or_a_hashtag() -> None:
    brand = Brand(name="Aerolux", terms=["@Aerolux", "#AeroluxAir"])
    assert named("hey @aerolux", brand) == ("Aerolux",)
    assert named("hey #aeroluxair", brand) == ("Aerolux",)
    assert named("aerolux, @aeroluxfan and aeroluxair", brand) == ()


APPLE = Brand(name="Apple", terms=["apple"], handles=["apple"], require=["iphone", "app store"], exclude=["pie"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("my apple is red", ()),
        ("my Apple iPhone is red", ("Apple",)),
        ("apple: the App  Store is down", ("Apple",)),
        ("apple iphones", ()),
        ("apple iphone, and a PIE", ()),
        ("apple iphone magpie", ("Apple",)),
        ("@apple help", ("Apple",)),
        ("@apple, a pie?", ("Apple",)),
        ("#apple pie, no iphone", ()),
    ],
)
def test_context_words_apply_to_terms_but_not_to_handles(text: str, expected: tuple[str, ...]) -> None:
    assert named(text, APPLE) == expected


def test_context_words_apply_to_hashtags_and_terms_with_a_sign() -> None:
    brand = Brand(name="Delta", terms=["@delta"], hashtags=["delta"], exclude=["river"])
    assert named("#delta of the river", brand) == ()
    assert named("@delta, the river!", brand) == ("Delta",)


def test_brands_that_share_a_keyword_match_once_in_file_order() -> None:
    second = Brand(name="B", terms=["express", "express mail"])
    first = Brand(name="A", terms=["express"])
    assert named("Express mail, express!", second, first) == ("B", "A")


def test_longer_overlapping_term_does_not_hide_a_shorter_one() -> None:
    air = Brand(name="Air", terms=["acme air"])
    line = Brand(name="Line", terms=["air lines"])
    assert named("acme air lines", air, line) == ("Air", "Line")


@pytest.mark.parametrize(
    ("term", "text"),
    [
        ("Straße", "die STRASSE"),
        ("Wendy's", "at Wendy’s now"),
        ("Coca-Cola", "a coca‑cola"),
        ("AT&T", "AT&amp;T again"),
        ("acme air", "acme\n  air"),
        ("İstanbul Kart", "istanbul kart, İSTANBUL KART"),
        ("Işık", "IŞIK"),
        ("ﬁat", "FIAT"),
        ("c++", "i like C++, really"),
        ("Mañana", "man\u0303ana"),
        ("टाटा", "मेरी टाटा कार"),
    ],
)
def test_spelling_variants_of_one_word_are_the_same(term: str, text: str) -> None:
    assert named(text, Brand(name="X", terms=[term])) == ("X",)


def test_term_matches_inside_a_run_of_an_unspaced_script() -> None:
    assert named("我今天喝了星巴克咖啡", Brand(name="星巴克", terms=["星巴克"])) == ("星巴克",)
    assert named("新しいNikeの靴", Brand(name="Nike", terms=["nike"])) == ("Nike",)
    assert named("삼성은 좋다", Brand(name="Samsung", terms=["삼성"])) == ("Samsung",)
    pie = Brand(name="Apple", terms=["アップル"], exclude=["アップルパイ"])
    assert named("アップルパイ", pie) == ()


def test_term_before_a_combining_mark_does_not_match() -> None:
    assert named("टाटाी", Brand(name="Tata", terms=["टाटा"])) == ()
    assert named("ที่", Brand(name="Thai", terms=["ท"])) == ()


def test_keyword_with_an_empty_normalized_form_raises() -> None:
    with pytest.raises(ConfigError, match="brand 'X'"):
        BrandMatcher([Brand(name="X", terms=["\u200d"])])
    with pytest.raises(ConfigError, match="brand 'X'"):
        BrandMatcher([Brand(name="X", terms=["@"])])


@given(
    st.text(max_size=80),
    st.text(min_size=1, max_size=6).filter(lambda word: match_form(normalize_text(word)).strip("@# ") != ""),
)
def test_any_text_and_keyword_are_accepted(text: str, word: str) -> None:
    assert BrandMatcher([Brand.model_construct(name="X", terms=[word])]).match(text) in {(), ("X",)}


@given(st.lists(st.sampled_from(["united", "@united", "#united", "Delta", "reunited", ",", "x@united.com"])))
def test_words_between_spaces_match_independently(words: list[str]) -> None:
    assert (named(" ".join(words)) == ("United",)) == bool({"united", "@united", "#united"} & set(words))


def many_brands(count: int) -> list[Brand]:
    rng = random.Random(7)
    names = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(5, 12))) + str(i) for i in range(count)]
    return [Brand(name=name, terms=[name], handles=[name]) for name in names]


def test_ten_thousand_brands_cost_about_as_much_as_ten() -> None:
    few, many = BrandMatcher(many_brands(10)), BrandMatcher(many_brands(10_000))
    texts = [f"post {i}: the flight was late again and nobody at the desk of acme{i} knew why" for i in range(500)]

    def seconds(matcher: BrandMatcher) -> float:
        begin = time.process_time()
        for text in texts:
            matcher.match(text)
        return time.process_time() - begin

    # Side by side and best of many, so that a busy machine slows both. A loop over brands would be 1,000 times slower.
    pairs = [(seconds(few), seconds(many)) for _ in range(15)]
    assert min(slow for _, slow in pairs) < 8 * min(fast for fast, _ in pairs)


@pytest.mark.parametrize(
    "text",
    [
        "acme &#" + "1" * 5_000 + ";",
        "a-" * 8_000 + "/@united",
        "a-" * 2_000 + "/@united" * 100,
        "@united" * 2_000,
        "http://" * 2_500 + "united",
    ],
)
def test_marking_any_text_is_fast(text: str) -> None:
    matcher = BrandMatcher([UNITED])
    started = time.process_time()
    matcher.match(text[:20_000])
    assert time.process_time() - started < 1.0, "these took 5 s to hours"
