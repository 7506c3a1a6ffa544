"""How the brands of a post are marked for the model."""

import re
import time

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from brandpulse.config.brands_file import Brand
from brandpulse.text.brand_matcher import BrandMatcher
from brandpulse.text.characters import normalize_text, normalize_with_offsets
from brandpulse.text.normalization import MARKER, normalize
from model.inputs.target_marking import MarkedText
from stream_workers.scoring.brand_marker import BrandMarker

AEROLUX = Brand(name="Aerolux", terms=["aerolux"], handles=["@aerolux"], hashtags=["#flyaerolux"])
BOLT = Brand(name="Bolt", terms=["bolt"], handles=["@bolt"])


def marked(text: str, *brands: Brand) -> MarkedText:
    """*text* as the model reads it."""
    matcher = BrandMatcher(brands or (AEROLUX, BOLT))
    return BrandMarker(matcher).mark(text, matcher.match(text))


def shown(text: str, *brands: Brand) -> str:
    """The marked text, with the number of each marker's brand in file order."""
    post = marked(text, *brands)
    parts = post.text.split(MARKER)
    numbers = iter(post.mentions)
    return parts[0] + "".join(f"<{next(numbers)}>{part}" for part in parts[1:])


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("aerolux is late", "<0> is late"),
        ("why, AEROLUX?", "why, <0> ?"),
        ("@Aerolux why", "<0> why"),
        (".@aerolux why", ". <0> why"),
        ("thanks @aerolux.", "thanks <0> ."),
        ("@@aerolux", "<0>"),
        ("#FlyAerolux!", "<0> !"),
        ("#aerolux cancelled", "<0> cancelled"),
        ("##aerolux", "<0>"),
        ("aerolux's staff", "<0> 's staff"),
        ("aerolux.com is down", "<0> .com is down"),
        ("Bolt/aerolux merge", "<1> / <0> merge"),
        ("@aerolux and AeroLux and #flyaerolux", "<0> and <0> and <0>"),
        ("@ann asks @aerolux, not @aeroluxfan", "@user asks <0> , not @user"),
        ("bolt is bad, aerolux is good", "<1> is bad, <0> is good"),
        (
            "aerolux, see https://news.example/aerolux and mail help@aerolux.com",
            "<0> , see http and mail help@aerolux.com",
        ),
        ("@aerolux😡why", "<0> 😡 why"),
        ("😡@aerolux", "😡 <0>"),
        ("aerolux👍🏽bolt", "<0> 👍 <1>"),
        ("flying ＡＥＲＯＬＵＸ today", "flying <0> today"),
        ("𝐀𝐞𝐫𝐨𝐥𝐮𝐱 at its best", "<0> at its best"),
        ("Aerolux™ is proud", "<0> ™ is proud"),
        ("aero\u00adlux", "<0>"),
        ("“Aerolux”", "“ <0> ”"),
        ("é bolt é aerolux é", "é <1> é <0> é"),
        ("&lt;@aerolux&gt; &amp; bolt", "< <0> > & <1>"),
        ("so baaaaaad, aerolux!!!!!!", "so baaad, <0> !!!"),
        ("aerolux\n\n  bolt", "<0> <1>"),
    ],
)
def test_every_mention_is_replaced_by_a_marker(text: str, seen: str) -> None:
    assert shown(text) == seen


ACME, AIR = Brand(name="Acme", terms=["acme"]), Brand(name="Acme Air", terms=["acme air"])
FRANCE = Brand(name="Air France", terms=["air france"])
TWINS = Brand(name="One", terms=["express"]), Brand(name="Two", terms=["express"])
CITY = Brand(name="Delta", terms=["delta"], handles=["delta"], require=["flight"])


@pytest.mark.parametrize(
    ("text", "brands", "seen"),
    [
        pytest.param("acme air is late", (ACME, AIR), "<0> <1> is late", id="inside another brand's longer mention"),
        pytest.param("acme air, by acme", (ACME, AIR), "<0> <1> , by <0>", id="inside, and by itself"),
        pytest.param("acme air france", (AIR, FRANCE), "<0> <1>", id="across another's edge"),
        pytest.param("the express is late", TWINS, "the <0> <1> is late", id="the same words"),
        pytest.param(
            "acme acme air",
            (Brand(name="A", terms=["acme", "acme air"]),),
            "<0> <0>",
            id="longer term of the same brand",
        ),
        pytest.param("my delta flight", (CITY,), "my <0> flight", id="homonym with its context"),
        pytest.param("@delta in the delta", (CITY,), "<0> in the delta", id="homonym without context: only the handle"),
        pytest.param("@delta flight to the delta", (CITY,), "<0> flight to the <0>", id="homonym with both"),
        pytest.param("我今天喝了星巴克咖啡", (Brand(name="X", terms=["星巴克"]),), "我今天喝了 <0> 咖啡", id="Chinese"),
        pytest.param(
            "新しいNikeの靴", (Brand(name="X", terms=["nike"]),), "新しい <0> の靴", id="Latin within Japanese"
        ),
        pytest.param("ﾄﾖﾀの車", (Brand(name="X", terms=["トヨタ"]),), "<0> の車", id="half width kana"),
        pytest.param("ガストの味", (Brand(name="X", terms=["ガスト"]),), "<0> の味", id="voiced kana"),
        pytest.param("ありがとう@aeroluxさん", (AEROLUX,), "ありがとう <0> さん", id="handle within Japanese"),
        pytest.param("삼성은 좋다", (Brand(name="X", terms=["삼성"]),), "<0> 은 좋다", id="Korean with its particle"),
        pytest.param("man\u0303ana es mía", (Brand(name="X", terms=["mañana"]),), "<0> es mía", id="accent apart"),
        pytest.param("the cafe\u0301", (Brand(name="X", terms=["café"]),), "the <0>", id="accent apart, at the end"),
        pytest.param("die STRASSE", (Brand(name="X", terms=["straße"]),), "die <0>", id="casefolded longer"),
        pytest.param("at Wendy’s now", (Brand(name="X", terms=["wendy's"]),), "at <0> now", id="typographic"),
        pytest.param("AT&amp;T again", (Brand(name="X", terms=["AT&T"]),), "<0> again", id="entity"),
        pytest.param(
            "hi @acme@instance.example!",
            (Brand(name="X", handles=["acme@instance.example"]),),
            "hi <0> !",
            id="fediverse",
        ),
        pytest.param("hi @a.b.social!", (Brand(name="X", handles=["a.b.social"]),), "hi <0> !", id="domain as handle"),
    ],
)
def test_adjacent_mentions_and_other_scripts_are_marked(text: str, brands: tuple[Brand, ...], seen: str) -> None:
    assert shown(text, *brands) == seen


@pytest.mark.parametrize(
    ("text", "brands"),
    [
        pytest.param("x" * 1_998 + " aerolux", (AEROLUX,), id="cut off with the end"),
        pytest.param("yeeeeees is back", (Brand(name="X", terms=["yeeeeees"]),), id="shortened by the normaliser"),
        pytest.param("a❤b is back", (Brand(name="X", terms=["a❤b"]),), id="taken apart by the normaliser"),
        pytest.param("AT&ampT again", (Brand(name="X", terms=["AT&T"]),), id="sloppy entity"),
    ],
)
def test_mention_not_found_again_gets_a_leading_marker(text: str, brands: tuple[Brand, ...]) -> None:
    post = marked(text, *brands)
    assert (post.mentions, post.targets, post.absent) == ((0,), 1, frozenset())
    assert post.text.startswith(f"{MARKER} : ")


SENTENCES = ("why is my {} bag lost", "{}", "I left @bob for {} and {}!", "l'{} é tão bom 😡{}😡", "“{}”: {}'s {}.")


@pytest.mark.parametrize("sentence", SENTENCES)
def test_marked_text_is_the_same_for_every_brand(sentence: str) -> None:
    names = ("aerolux", "BOLT", "@Bolt", "#flyaerolux", "#bolt")
    read = {marked(sentence.replace("{}", name)) for name in names}
    assert len(read) == 1


WORDS = st.sampled_from(
    [
        "aerolux",
        "@aerolux",
        "#flyaerolux",
        "Bolt",
        "@bolt",
        "acme air",
        "acme",
        "é",
        "😡",
        "&amp;",
        "www.x.de/bolt",
        "ß",
        "、",
    ]
)
TEXTS = st.lists(WORDS | st.text(max_size=5), max_size=12).flatmap(
    lambda words: st.sampled_from(["", " ", "\n"]).map(lambda space: space.join(words))
)
ALL = (AEROLUX, BOLT, ACME, AIR)


@given(TEXTS)
def test_each_matched_brand_has_a_marker(text: str) -> None:
    matcher = BrandMatcher(ALL)
    brands = matcher.match(text)
    post = BrandMarker(matcher).mark(text, brands)
    assert post.targets == len(brands)
    assert set(post.mentions) == set(range(len(brands)))
    assert len(post.mentions) == post.text.count(MARKER)
    assert post.absent == frozenset()
    assert normalize(post.text, keep_markers=True) == post.text


@example("www.x.de/bolt\x1baerolux")
@given(TEXTS)
def test_marked_text_no_longer_names_the_brand(text: str) -> None:
    # A hashtag attached to a word does not match. When a marker replaces that word, the hashtag matches.
    assume(not re.search(r"\w[#@]", text))
    matcher = BrandMatcher(ALL)
    post = BrandMarker(matcher).mark(text, matcher.match(text))
    left_over = set(matcher.match(post.text.replace(MARKER, ","))) - {"Acme"}
    assert left_over == set() or post.text.startswith(f"{MARKER} : ")


@given(st.text(max_size=60))
def test_offsets_lead_back_to_the_original_characters(text: str) -> None:
    plain = normalize(text, keep_handles=True)
    folded, starts, ends = normalize_with_offsets(plain)
    assert len(folded) == len(starts) == len(ends)
    for at, character in enumerate(folded):
        assert 0 <= starts[at] < ends[at] <= len(plain)
        assert character == " " or character in normalize_text(plain[starts[at] : ends[at]])


@pytest.mark.parametrize("text", ["@aerolux" * 2_500, "aerolux " * 2_500, "a-" * 8_000 + "/@aerolux", "é" * 20_000])
def test_marking_any_text_is_fast(text: str) -> None:
    started = time.process_time()
    marked(text[:20_000])
    assert time.process_time() - started < 1.0
