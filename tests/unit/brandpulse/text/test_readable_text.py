import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brandpulse.text.characters import normalize_text
from brandpulse.text.readable_text import INVISIBLE, readable_text


@pytest.mark.parametrize(
    ("original", "form"),
    [
        ("plain words", "plain words"),
        ("I <3 you & me, AT&T < 4", "I <3 you & me, AT&T < 4"),
        ("two\nlines  kept", "two\nlines  kept"),
        ("caf&eacute; &amp; bar", "café & bar"),
        ("&amp;amp;lt;3", "<3"),
        ("late<br>again<br/>and again", "late\nagain\nand again"),
        ("<p>Acme <b>Air</b></p><p>is late</p>", "Acme Air\nis late"),
        ("&lt;p&gt;Acme Air&lt;/p&gt;", "Acme Air"),
        ("Ac<wbr>me", "Ac<wbr>me"),
        ("<p>seen<span style='display: none'>un<b>se</b>en</span>!</p>", "seen!"),
        ("<p>seen<span hidden>unseen<br></span>!</p>", "seen!"),
        ("<span class='invisible'>https://</span>a.example/x", "https://a.example/x"),
        ("Ac\u200bme\u00ad Air\ufeff", "Acme Air"),
        ("\u202eAcme\u202c \u2066Air\u2069\u200f", "Acme Air"),
        ("cafe\u0301", "café"),
        ("a\x00b\x07c\td", "a b c\td"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("Ac\u200dme\u200c", "Acme"),
        ("👩\u200d💻 ❤\ufe0f", "👩\u200d💻 ❤\ufe0f"),
        ("\U0001f3f4\U000e0067\U000e0062\U000e007f x\U000e0041y", "\U0001f3f4\U000e0067\U000e0062\U000e007f xy"),
        ("", ""),
        ("<br>", ""),
    ],
)
def test_post_becomes_the_text_that_people_read(original: str, form: str) -> None:
    assert readable_text(original) == form


pieces = st.sampled_from(
    ["<b>", "</b>", "<br>", "<", "&", "&lt;", "&amp;", "&gt;", "#60;", "amp;", "b", "\u200b", "\u200d", "e\u0301", "\n"]
)


@given(st.lists(pieces, max_size=8).map("".join) | st.text())
def test_form_of_a_form_is_the_same(text: str) -> None:
    form = readable_text(text)
    assert readable_text(form) == form


@pytest.mark.parametrize(
    "text", ["\u200d\u200d\u200d", "\u212a\u200d\u212a", "a\u200d\u200c\u200db", "\u200d\U000e0041\u200d"]
)
def test_joiners_that_join_nothing_are_removed_at_once(text: str) -> None:
    assert not {"\u200c", "\u200d"} & set(readable_text(text))


def test_a_run_of_joiners_between_persian_letters_is_one_joiner() -> None:
    assert readable_text("\u0645\u06cc\u200c\u200c\u200c\u062e") == "\u0645\u06cc\u200c\u062e"


def test_matcher_ignores_every_invisible_character_of_a_keyword() -> None:
    assert normalize_text("ac" + INVISIBLE + "me") == "acme"


@pytest.mark.parametrize("piece", ["<a ", "<b><!--", "&amp;", "<span hidden>", "</", "&#60;b", "<b", "\u200b<b>"])
def test_hostile_text_takes_less_than_a_second(piece: str) -> None:
    began = time.process_time()
    readable_text("<b>" + (piece * 20_000)[:20_000])
    assert time.process_time() - began < 1.0
