"""Copies of a text among recent ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brandpulse.state.stored_posts import HourPost
from brandpulse.text.near_copies import CopyIndex, edit_distance, similarity
from brandpulse.text.near_duplicates import normal_words, posts_by_text

TEXT = "Acme Air lost my bag in Bergen again and after four calls the desk still has no idea, so I want a refund"


def _distance(one: str, other: str) -> int:
    """The textbook algorithm."""
    row = list(range(len(other) + 1))
    for number, letter in enumerate(one, start=1):
        after = [number]
        for place, found in enumerate(other, start=1):
            after.append(min(row[place] + 1, after[-1] + 1, row[place - 1] + (letter != found)))
        row = after
    return row[-1]


@given(st.text("abc", max_size=30), st.text("abc", max_size=30))
def test_edit_distance_equals_that_of_the_textbook(one: str, other: str) -> None:
    assert edit_distance(one, other) == _distance(one, other)


@pytest.mark.parametrize(
    "copy",
    [
        TEXT.replace("Bergen", "Tromsø"),
        TEXT.replace("four calls", "five calls"),
        TEXT.replace("again", "agian").replace("refund", "reefund"),
        "Wow: " + TEXT,
        "RT @kim_r: " + TEXT + " https://t.co/Ab1 #neveragain",
        TEXT.replace("want", "need"),
    ],
)
def test_a_text_with_few_changes_is_a_copy(copy: str) -> None:
    index = CopyIndex()
    group = index.add(normal_words(TEXT))
    assert index.add(normal_words(copy)) == group


@pytest.mark.parametrize(
    "other",
    [
        "Acme Air lost my bag in Bergen",
        "Acme Air found my bag in Bergen and the desk was so kind about it that I will fly with them again next week",
        TEXT + " " + TEXT,
    ],
)
def test_a_text_with_many_changes_is_no_copy(other: str) -> None:
    index = CopyIndex()
    group = index.add(normal_words(TEXT))
    assert index.add(normal_words(other)) != group


def test_a_short_text_with_another_word_is_no_copy() -> None:
    index = CopyIndex()
    assert index.add(normal_words("Acme is down in Oslo")) != index.add(normal_words("Acme is down in Rome"))
    assert index.add(normal_words("Acme is down in OSLO!")) == index.add(normal_words("Acme is down in Oslo"))


def test_a_chain_of_small_changes_does_not_join_its_ends() -> None:
    words = [f"word{number}" for number in range(20)]
    index = CopyIndex()
    groups = [index.add([*(f"other{at}" for at in range(changed)), *words[changed:]]) for changed in range(21)]
    assert groups[0] == groups[1] == groups[2]
    assert groups[0] != groups[-1]


def test_the_window_holds_at_most_its_number_of_texts() -> None:
    index = CopyIndex(max_texts=10)
    first = index.add(normal_words(TEXT))
    for number in range(100):
        index.add([f"{number}{letter}" * 4 for letter in "abcdefgh"])
    assert len(index) == 10
    assert len(index._bands) <= 10 * 48  # no band is left of a forgotten text
    assert index.add(normal_words(TEXT)) != first


def test_similarity_counts_letters_or_words() -> None:
    assert similarity(["abcdefghij"], ["abcdefghix"]) == 0.9
    ten = list("abcdefghij")
    assert similarity(ten, [*ten[:9], "another"]) == 0.9
    assert similarity([], []) == 1.0


def _post(number: int, text: str) -> HourPost:
    return HourPost(id=f"{number}", source="forum", text=text, created_ms=number, author=f"{number:016x}", negative=0.9)


def test_posts_by_text_do_not_depend_on_their_order() -> None:
    texts = [TEXT, TEXT.replace("Bergen", "Oslo"), "Acme is down", TEXT.replace("four", "six"), "Acme is down!", "Yes"]
    posts = [_post(number, text) for number, text in enumerate(texts)]
    found = posts_by_text(posts)
    assert [[post.id for post in group] for group in found] == [["0", "1", "3"], ["2", "4"], ["5"]]
    assert posts_by_text(posts[::-1]) == found
