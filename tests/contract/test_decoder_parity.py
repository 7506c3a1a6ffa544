"""The native decoder returns what Python returns, or leaves the row to Python."""

import json
import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brandpulse.config.brands_file import Brand
from brandpulse.config.facets import Facet
from brandpulse.config.variants import Variants
from brandpulse.schema.identity import AuthorHasher, post_digest
from brandpulse.schema.unknown_authors import PREFIX, TRIMMED, UNKNOWN, is_unknown
from brandpulse.text.brand_matcher import LONGEST_CHUNK, BrandMatcher
from brandpulse.text.characters import normalize_text
from brandpulse.text.match_form import match_form
from brandpulse.text.readable_text import readable_text
from stream_workers.decoding.batch_decoder import LengthLimits
from stream_workers.decoding.post_decoder import MAX_RECORD_BYTES, DecodedPost
from stream_workers.decoding.records import Record
from tests.support.builders import a_post, decode

_native = pytest.importorskip("stream_workers._native", reason="the native module is not built: make native")

BRANDS = (
    Brand(name="United", terms=["united", "united airlines"], handles=["@united"], hashtags=["#flyunited", "#united"]),
    Brand(name="Delta", terms=["delta"], handles=["delta"], require=["flight", "gate 7"], exclude=["delta variant"]),
    Brand(name="AT&T", terms=["at&t", "a"], handles=["@att"]),
    Brand(name="Café", terms=["café noir", "ＮＯＩＲ", "straße", "i̇stanbul"]),
    Brand(name="Apple", terms=["アップル", "苹果", "애플", "apple.com", "apple/pie", "_x"], hashtags=["#アップル"]),
    Brand(name="Acme", terms=["acme air", "mcgill's", "bolt & nut", "zürich re", "μtorrent"], hashtags=["acme"]),
    Brand(
        name="Exact", terms=["zürich re", "acme air", "reunited"], variants=Variants(accents=False, lookalikes=False)
    ),
    Brand(name="Nur", terms=["نورتل", "בזקטל"], variants=Variants(vowel_marks=False, hashtag_endings=["زعل", "x"])),
    Brand(name="Nour", terms=["نورتل", "בזקטל", "الأهلي"]),
    Brand(name="Odd", terms=["c++", "-", "e-mail", "www.odd", "a@b", "http", "😀", "@bob", "…", "x" * 200]),
)
FACETS = (Facet(name="delay", words=["late", "never  again", "t.co"]), Facet(name="money", words=["refund", "$"]))
MATCHER = BrandMatcher(BRANDS, FACETS)
AUTHORS = AuthorHasher("a key")
READER = _native.BatchDecoder(
    MATCHER.patterns,
    MATCHER.kinds,
    MATCHER.plain,
    MATCHER.in_ascii,
    *MATCHER.endings,
    AUTHORS.key,
    sorted(UNKNOWN),
    TRIMMED,
    PREFIX,
    LengthLimits(),
)


class Row(NamedTuple):
    event_ms: int
    author: int
    digest: bytes
    patterns_found: tuple[int, ...]
    source: str = ""
    unknown: bool = False


def read(values: Sequence[bytes | None]) -> list[Row | None]:
    """The native result of each value; None if it is left to Python."""
    status, event_ms, authors, digests, words, sets, sources, names = READER.decode(values)
    assert names[0] == ""
    assert len(set(names)) == len(names)
    assert sets[0] == ()
    assert len(set(sets)) == len(sets)
    rows = [
        Row(int(moment), int(author), digests[12 * at : 12 * at + 12], sets[word], names[source], state == 2)
        for at, (moment, author, word, source, state) in enumerate(
            zip(
                np.frombuffer(event_ms, "i8"),
                np.frombuffer(authors, "i8"),
                np.frombuffer(words, "u4"),
                np.frombuffer(sources, "u4"),
                status,
                strict=True,
            )
        )
    ]
    assert len(status) == len(rows) == len(values)
    left = Row(0, 0, bytes(12), ())
    assert all(row == left for row, is_read in zip(rows, status, strict=True) if not is_read)
    return [row if is_read else None for row, is_read in zip(rows, status, strict=True)]


def reference(value: bytes | None) -> Row | None:
    """The result of Python; None for a dead letter."""
    [item] = decode([Record(0, 0, None, value)])
    if not isinstance(item, DecodedPost):
        return None
    post = item.post
    patterns_found = tuple(sorted({pattern for pattern, _, _ in MATCHER.find_hits(normalize_text(post.text))}))
    if not patterns_found:
        return Row(item.event_ms, 0, bytes(12), (), post.source)
    unknown = is_unknown(post.author_id)
    author = AUTHORS.of_post(post.source, post.id) if unknown else AUTHORS(post.source, post.author_id)
    return Row(item.event_ms, author, post_digest(post.source, post.id), patterns_found, post.source, unknown)


def agree(*values: bytes | None) -> None:
    for value, row in zip(values, read(values), strict=True):
        assert row is None or row == reference(value), value


def record(text: str = "united is late", **fields: Any) -> bytes:
    return json.dumps(a_post() | {"text": text} | fields).encode()


PIECES = [
    *(
        "#AcmeAir",
        "#AcmeAirFail",
        "#acmefail",
        "#unitedsucks",
        "acme-air",
        "acme_air",
        "acmeair",
        "mcgills",
        "bolt&nut",
    ),
    *(
        "Аcme",
        "Αcme Air",
        "асме air",
        "Zurich Re",
        "zuerich re",
        "ünited",
        "unitеd",
        "ø",
        "й",
        "Ё",
        "ї",
        "κ",
        "ᴀᴄᴍᴇ air",
    ),
    *(
        "ونورتل",
        "نـورتل",
        "نُورتل",
        "#نورتلزعل",
        "לבזקטל",
        "בָּזקטל",
        "שׁ",
        "ـ",
        " ـ ",
        "َ",
        "للأهلي",
        "الاهلي",
        "أ",
        "ی",
        "\u0323",
    ),
    *("\u200b", "\u034f", "\u202e", "´", "′", "`", "fail", "sucks", "_", "\u0410", "\u03bf"),
    *(word for brand in BRANDS for word in (*brand.terms, *brand.require, *brand.exclude)),
    *(word for facet in FACETS for word in facet.words),
    *("@united", "@UnitedWay", "@united.com", "@united@an.instance", "@bob.united", "#united", "#UNITED2", "@", "#"),
    *("https://", "http://", "www.", "https://united.com/delta", "news.example/united", "t.co/a", "/", "//", "://"),
    *("united@example.org", "help@united.com", "a+b@united-x.co", "reunited", "united's", "UNITED", "Delta/United"),
    *("&amp;", "&lt;", "&gt;", "&quot;", "&apos;", "&#39;", "&#x27;", "&#X2f;", "&nbsp;", "&amp", "&copy;", "&copy"),
    *("<b>", "</b>", "<br/>", "<p>", "<", "</", "3 < 4", "b>", "&lt;b&gt;", "&amp;lt;", "&amp;#60;", "<!--", "-->"),
    *("<span hidden>", "</span>", '<a href="https://united.example/x">united.ex…</a>', "amp;", "lt;", "#38;", "\u2066"),
    *("&", "&a", "&a;", "&ab;", "&#", "&#;", "&#x", "&#97;", "&#0097;", "&#12345678;", "&#abcdef12;", "&#+5;", "&;"),
    *(" ", "  ", "\n", "\t", "\r", "\x0b", "\x0c", "\x1c", "\x1f", "\x00", "\x7f", "\x85", "\xa0", "\u2028", "\u3000"),
    *("’", "“", "–", "…", "™", "é", "É", "e\u0301", "ß", "İ", "ı", "i\u0307", "Σ", "ς", "ﬁ", "½", "ª", "µ"),
    *("😀", "❤\ufe0f", "👍🏽", "🇩🇪", "👩\u200d💻", "\u200b", "\u00ad", "\ufeff", "\ue000", "\U000e0041", "𝐔𝐧𝐢𝐭𝐞𝐝"),
    *("アッフ\u309aル", "ｱｯﾌﾟﾙ", "ﾟ", "한", "\u1100\u1161", "\u11a8", "각", "ไทย", "ا", "\ufdfa", "\u0345", "ͺ", "ᾳ"),
    *(".", ",", "!", "-", "_", "+", "'", '"', "\\", "(", ")", "1", "x", "y" * LONGEST_CHUNK, "z" * 506),
]
PLAIN = [piece for piece in PIECES if piece.isascii() and not re.search("[&</@]|www", piece)] + [
    " @united ",
    " @UnitedWay: ",
]
texts = st.lists(st.sampled_from(PIECES) | st.sampled_from([" ", " ", "united", "late"]), max_size=12).map("".join)
ascii_texts = st.lists(
    st.sampled_from([piece for piece in PIECES if piece.isascii()]) | st.just(" "), min_size=1, max_size=12
).map("".join)
odd_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)

moments = (
    st.datetimes(timezones=st.timezones()).map(lambda moment: moment.isoformat())
    | st.datetimes().map(lambda moment: f"{moment.isoformat()}Z")
    | st.builds(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}{}{}".format,
        st.sampled_from([0, 1, 1600, 1900, 1969, 1970, 2000, 2023, 2024, 2026, 2100, 2255, 2256, 9999]),
        st.integers(0, 13),
        st.integers(0, 32),
        st.integers(0, 24),
        st.integers(0, 60),
        st.integers(0, 61),
        st.sampled_from(["", ".", ".5", ".000001", ".999999", ".9999995", ".1234567", ",5"])
        | st.from_regex(r"\.\d{1,6}"),
        st.sampled_from(
            ["Z", "z", "", "+00:00", "-00:00", "+05:30", "-23:59", "+24:00", "+0100", "+01", " Z", "+14:60"]
        ),
    )
    | st.sampled_from(["2026-03-02 12:00:00Z", "2026-03-02t12:00:00Z", "2026-3-02T12:00:00Z", "0", "", "１026-03-02"])
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(odd_texts, inner, max_size=3),
    max_leaves=6,
)
ids = st.sampled_from(["1", "0" * 256, "0" * 257, "é" * 256, "é" * 257, "😀", "\x00"]) | odd_texts
fields = st.fixed_dictionaries(
    {"text": texts},
    optional={
        "id": ids,
        "source": ids | st.sampled_from(["s" * 64, "s" * 65]),
        "author_id": ids,
        "created_at": moments,
        "lang": st.none() | st.sampled_from(["", "en", "l" * 16, "l" * 17, "é" * 16, 7]),
        "url": st.none() | st.sampled_from(["u" * 2_048, "u" * 2_049, "https://x", True]),
        "schema_version": st.sampled_from([1, 1, 1, 1.0, 2, True, "1", None, 10]),
        "user": values,
        "geo": values,
    },
)


@st.composite
def records(draw: st.DrawFn) -> bytes:
    """A post as producers write it: fields in any order, with or without escapes and spaces; a few written twice."""
    post = a_post() | draw(fields)
    items = draw(st.permutations(sorted(post.items())))
    if draw(st.integers(0, 9)) == 0:
        items.append(draw(st.sampled_from(items)))
    dumps = json.JSONEncoder(ensure_ascii=draw(st.booleans())).encode
    space = draw(st.sampled_from(["", "", " ", "\n\t", "\r\n "]))
    body = f"{space},{space}".join(f"{dumps(name)}{space}:{space}{dumps(value)}" for name, value in items)
    written = f"{space}{{{space}{body}{space}}}{space}"
    if draw(st.booleans()):
        written = written.replace("/", "\\/")
    return written.encode("utf-8", "surrogatepass")


@given(ascii_texts)
def test_ascii_text_is_decoded_as_in_python(text: str) -> None:
    agree(record(text))


@given(st.lists(st.sampled_from(PLAIN) | st.just(" "), min_size=1, max_size=12).map("".join))
def test_ascii_text_without_links_is_decoded_natively(text: str) -> None:
    value = record(text)
    assert read([value]) == [reference(value)]


@given(texts | odd_texts)
def test_any_text_is_decoded_as_in_python(text: str) -> None:
    agree(record(text), json.dumps(a_post() | {"text": text}, ensure_ascii=False).encode())


@given(records())
def test_any_record_is_decoded_as_in_python(value: bytes) -> None:
    agree(value)


@given(moments)
def test_any_timestamp_is_decoded_as_in_python(moment: str) -> None:
    agree(record(created_at=moment))


EDITS: list[Callable[[bytes, int, int], bytes]] = [
    lambda value, at, byte: value[:at] + bytes([byte]) + value[at + 1 :],
    lambda value, at, byte: value[:at] + bytes([byte]) + value[at:],
    lambda value, at, _: value[:at] + value[at + 1 :],
    lambda value, at, byte: value[:at] + value[at + byte :],
    lambda value, at, byte: value[:at] + value[max(0, at - byte) :],
]
bytes_of_json = st.sampled_from(list(b'"\\{}[]:, \n0123456789-+.eEtrufalsn/bZ')) | st.integers(0, 255)


@given(records(), st.lists(st.tuples(st.sampled_from(EDITS), st.floats(0, 1), bytes_of_json), min_size=1, max_size=3))
def test_damaged_record_is_decoded_as_in_python(
    value: bytes, edits: list[tuple[Callable[[bytes, int, int], bytes], float, int]]
) -> None:
    for edit, place, byte in edits:
        value = edit(value, int(place * len(value)), byte)
    agree(value)


author_pieces = st.sampled_from(
    [*"u/U-_[]@#.(0 ", "\u200b", "\u00a0", "\x1f", "deleted", "DELETED", "None", "ann", "user"]
) | (st.sampled_from(["gelöscht", "GELO\u0308SCHT", "Удалён", "ΑΝΏΝΥΜΟΣ", "un\u212anown", "İ", "匿名"]))


@given(st.lists(author_pieces, min_size=1, max_size=5).map("".join))
def test_unknown_authors_are_detected_as_in_python(author_id: str) -> None:
    agree(record(author_id=author_id, source="rss"), record(author_id=author_id), record("none of them"))


def test_each_character_is_normalized_as_in_python() -> None:
    """Each character between two letters, in its own pattern: it is found, or the row is left to Python."""
    points = [chr(point) for point in range(0x110000) if not 0xD800 <= point < 0xE000]
    some = [letter for letter in points if ord(letter) < 0x3100 or unicodedata.category(letter)[0] not in "LC"]
    texts = [f"q{letter}q {letter}" for letter in some]
    patterns = list(dict.fromkeys(match_form(normalize_text(readable_text(text))) for text in texts))
    n = len(patterns)
    reader = _native.BatchDecoder(
        patterns, [""] * n, [True] * n, [None] * n, [()], [0] * n, b"k", [], "", "", LengthLimits()
    )
    status, _, _, _, words, sets, _, _ = reader.decode([record(text) for text in texts])
    numbers = {pattern: number for number, pattern in enumerate(patterns)}
    wrong = [
        text
        for text, is_read, word in zip(texts, status, np.frombuffer(words, "u4"), strict=True)
        if is_read and numbers[match_form(normalize_text(readable_text(text)))] not in sets[word]
    ]
    assert wrong == []
    assert sum(status) > 5_000


@pytest.mark.parametrize(
    "text",
    [
        "nothing to see here",
        "united is late",
        "  UNITED\n\n is\tlate ",
        "thanks @United for the #FlyUnited seat!",
        "@united, why? @UnitedWay helps",
        "united https://t.co/abc123",
        "https://united.com/delta is down, united",
        "AT&T, Q&A &amp; &lt;3 &#39;united&#39;",
        "united / delta",
        "news.example/united says so: united",
        "it’s “United” – again… 😀 ❤\ufe0f café",
        "größer: die Straße nach İstanbul",
        'a \\ and a "quote"\\/',
        "苹果 и アップル",
    ],
)
def test_ordinary_post_is_decoded_natively(text: str) -> None:
    value = record(text, user={"name": "Zoë 😀", "ids": [1, 2.5, -3, None, True]}, lang="en", url=None)
    assert read([value]) == [reference(value)]
    value = json.dumps(json.loads(value), ensure_ascii=False, indent=2).encode()
    assert read([value]) == [reference(value)]


def test_unclear_link_or_address_is_left_to_python() -> None:
    assert read([record("united@example.org"), record("see news.example/united")]) == [None, None]


@pytest.mark.parametrize(
    "text", ["<b>united</b>", "&amp;lt;3", "&lt;b&gt;", "uni&a&#109;p;", "&\u200bamp;", "<\u200bb>"]
)
def test_html_is_left_to_python(text: str) -> None:
    assert read([record(text)]) == [None]


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"nope",
        b"{}",
        b"[]",
        record() + b"x",
        record("united" + "x" * 20_000),
        record(extra="x" * MAX_RECORD_BYTES),
        record(schema_version=2),
        record(created_at="2026-02-29T12:00:00Z"),
        record().replace(b"united", b"united \xff"),
        record().replace(b'"id"', b'"deep": ' + b"[" * 3_000 + b"]" * 3_000 + b', "id"'),
        record().replace(b'"united', b'"\\ud800united'),
    ],
)
def test_invalid_record_is_left_to_python(value: bytes | None) -> None:
    assert reference(value) is None
    assert read([record(), value, record()])[1:2] == [None]


def test_rows_keep_their_order_and_share_sets() -> None:
    values = [record("united", id=str(number)) for number in range(3)] + [None, record("late"), record("nothing")]
    assert read(values) == [reference(value) for value in values]
    sets = READER.decode(values)[5]
    assert len(sets) == 3


def test_value_other_than_bytes_raises() -> None:
    with pytest.raises(TypeError, match="must be bytes or None"):
        READER.decode([record(), "text"])


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ((["a"], [], [True], [None], [()], [0], b"k"), "differ in length"),
        ((["a"], [""], [True], [None, None], [()], [0], b"k"), "differ in length"),
        ((["a"], [""], [True], [None], [()], [1], b"k"), "endings_of has a number"),
        ((["a"], ["!"], [True], [None], [()], [0], b"k"), "not a kind"),
        ((["a"], [""], [True], [None], [()], [0], b""), "author_key"),
    ],
)
def test_inconsistent_arguments_raise(arguments: tuple[Any, ...], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        _native.BatchDecoder(*arguments, [], "", "", LengthLimits())
