"""Which texts a model supports, by the languages that it declares."""

import gzip
import json
from collections import Counter

import pytest

from brandpulse.text.languages import LanguageFilter
from tests.support.repository import ROOT

ENGLISH = LanguageFilter(["en"])
DATA = ROOT.parent / "shared/data/multilingual/sentiment_umsab.val.jsonl.gz"
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
    assert not ENGLISH.reads(text)


@pytest.mark.parametrize("text", READ)
def test_english_emoji_names_and_links_are_read(text: str) -> None:
    assert ENGLISH.reads(text)


def test_declared_language_decides_if_the_text_does_not() -> None:
    assert not ENGLISH.reads("Acme Air terrible", lang="es-MX")
    assert ENGLISH.reads("Acme Air terrible", lang="und")
    assert ENGLISH.reads("Acme Air vuelo terrible cancelado ahora", lang="en-GB")
    assert ENGLISH.reads("Acme Air was late and they do not care about us", lang="tl")
    assert not ENGLISH.reads("Acme Air снова отменила рейс", lang="en")


def test_model_of_several_languages_reads_them() -> None:
    judge = LanguageFilter(["en", "de", "ru"])
    assert judge.reads(FOREIGN[1])
    assert judge.reads(FOREIGN[3])
    assert not judge.reads(FOREIGN[2])
    assert not judge.reads(FOREIGN[6])


@pytest.mark.skipif(not DATA.exists(), reason="the multilingual posts are not here")
def test_few_english_and_most_foreign_posts_are_unread() -> None:
    posts, unread = Counter[str](), Counter[str]()
    with gzip.open(DATA, "rt", encoding="utf-8") as lines:
        for line in lines:
            post = json.loads(line)
            posts[post["lang"]] += 1
            unread[post["lang"]] += not ENGLISH.reads(post["text"])
    assert unread["en"] <= 0.01 * posts["en"]
    assert all(unread[lang] >= 0.8 * posts[lang] for lang in ("ar", "de", "es", "fr", "it", "pt"))
