"""Which texts a model supports, by the languages that it declares."""

import gzip
import json
import time
from collections import Counter

import pytest

from brandpulse.schema.posts import MAX_TEXT_CHARS
from brandpulse.text.languages import OTHER, LanguageIdentifier, evidence
from tests.support.repository import ROOT

ENGLISH = LanguageIdentifier(["en"])
DATA = ROOT.parent / "shared/data/multilingual/sentiment_umsab.val.jsonl.gz"
GOLD = ROOT / "model/gold/languages.jsonl"
FOREIGN = [
    "Acme Air annule mon vol sans prévenir, c'est une honte, je ne reviendrai jamais",
    "Mein Flug mit Acme Air wurde schon wieder gestrichen und niemand hilft mir",
    "Acme Air otra vez cancela el vuelo y no me devuelven el dinero",
    "Acme Air снова отменила рейс и не возвращает деньги",
    "アップルの新しい電話は本当にひどい",
    "Acme Air 又取消了我的航班，真糟糕",
    "خطوط أكمي ألغت رحلتي مرة أخرى",
    "애크미 항공이 또 취소했다",
]
READ = [
    "Acme Air cancelled my flight again and nobody helps",
    "acme air lol",
    "Acme Air 😡😡😡",
    "#acmeair #refund https://t.co/x @acmeair",
    "Café Zürich by Société Générale is great",
    "Why does アップル cancel the order again?",
    "never again Acme",
    "😡",
    "Acme",
    "acme air = worst. airline. ever.",
]


@pytest.mark.parametrize("text", FOREIGN)
def test_text_in_unsupported_language_is_unread(text: str) -> None:
    assert ENGLISH.identify([text]) == [OTHER]


@pytest.mark.parametrize("text", READ)
def test_english_emoji_names_and_links_are_read(text: str) -> None:
    assert ENGLISH.identify([text]) == ["en"]


@pytest.mark.parametrize(
    ("text", "declared", "found"),
    [
        ("Acme Air terrible", "es-MX", OTHER),
        ("Acme Air terrible", "und", "en"),
        ("Acme Air vuelo terrible cancelado ahora", "en-GB", "en"),
        ("Acme Air was late and they do not care about us", "tl", "en"),
        ("Acme Air снова отменила рейс", "en", OTHER),
    ],
)
def test_declared_language_decides_if_the_text_does_not(text: str, declared: str, found: str) -> None:
    assert ENGLISH.identify([text], [declared]) == [found]


def test_each_supported_language_is_named() -> None:
    identifier = LanguageIdentifier(["en", "de", "ru", "hi"])
    assert identifier.names == ("en", "de", "ru", "hi", OTHER)
    assert identifier.identify([FOREIGN[1], FOREIGN[3], FOREIGN[2], FOREIGN[6], READ[0]]) == [
        "de",
        "ru",
        OTHER,
        OTHER,
        "en",
    ]


def test_hindi_in_either_script_is_hindi() -> None:
    texts = ["मेरा ऑर्डर फिर से रद्द कर दिया", "yaar acme ne mera order phir se cancel kar diya", "acme air was late yaar"]
    assert LanguageIdentifier(["en", "hi"]).identify(texts) == ["hi", "hi", "en"]
    assert ENGLISH.identify(texts) == [OTHER, OTHER, "en"]


def test_short_text_is_english_unless_declared_otherwise() -> None:
    identifier = LanguageIdentifier(["en", "de"])
    assert identifier.identify(["super", "super", "super"], [None, "de", "fr"]) == ["en", "de", "en"]


def test_model_without_english_reads_short_texts_as_its_own() -> None:
    assert LanguageIdentifier(["de", "fr"]).identify(
        ["lol", "😡", "this is not a language that it supports at all"]
    ) == [
        "de",
        "de",
        OTHER,
    ]


def test_surrogates_and_empty_texts_have_a_language() -> None:
    assert ENGLISH.identify(["", "\ud83d", "\ud83d\ud83d schrecklich schlechter Dienst, nie wieder"]) == [
        "en",
        "en",
        OTHER,
    ]


@pytest.mark.parametrize("part", ["a-", "-a", "我", "a", "#", "&#", "a.", "<a>b", "@", "a@ "])
def test_longest_text_without_spaces_is_searched_in_linear_time(part: str) -> None:
    text = part * (MAX_TEXT_CHARS // len(part))
    started = time.process_time()
    evidence(text)
    assert time.process_time() - started < 0.25, "these took 0.4 to 9 s"


def test_addresses_links_and_tags_are_no_evidence() -> None:
    text = "<br>@acme me@acme.example a-b.example/x #tag www.acme.example &amp; (@acme) RT words stay well-made"
    assert evidence(text) == "words stay well made"


def test_gold_posts_of_many_languages_are_identified() -> None:
    """The least accuracy that is accepted on these posts; docs/decisions has the measured one."""
    identifier = LanguageIdentifier(["en", "ar", "de", "es", "fr", "hi", "it", "pt"])
    rows = [json.loads(line) for line in GOLD.read_text(encoding="utf-8").splitlines()]
    found = identifier.identify([row["text"] for row in rows])
    wrong = [
        (row["id"], language)
        for row, language in zip(rows, found, strict=True)
        if language != (row["lang"] if row["lang"] in identifier.languages else OTHER)
    ]
    assert len(wrong) <= 0.02 * len(rows), wrong


@pytest.mark.skipif(not DATA.exists(), reason="the multilingual posts are not here")
def test_few_english_and_most_foreign_posts_are_unread() -> None:
    posts, unread = Counter[str](), Counter[str]()
    with gzip.open(DATA, "rt", encoding="utf-8") as lines:
        for line in lines:
            post = json.loads(line)
            posts[post["lang"]] += 1
            unread[post["lang"]] += ENGLISH.identify([post["text"]]) == [OTHER]
    assert unread["en"] <= 0.01 * posts["en"]
    assert all(unread[lang] >= 0.8 * posts[lang] for lang in ("ar", "de", "es", "fr", "it", "pt"))
