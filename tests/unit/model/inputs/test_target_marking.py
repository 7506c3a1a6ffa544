"""Marks the mentions of targets, for any text and any targets."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from brandpulse.text.normalization import MARKER, normalize
from model.inputs.target_marking import MarkedText, find_target, mark, mark_spans, plain

T = MARKER


@pytest.mark.parametrize(
    ("text", "target", "expected"),
    [
        ("United lost my bag", "united", f"{T} lost my bag"),
        ("@united lost my bag", "United", f"{T} lost my bag"),
        ("#United lost my bag, @user too", "@united", f"{T} lost my bag, @user too"),
        ("thanks @united, bye @someone", "united", f"thanks {T} , bye @user"),
        ("they united against it; United lost", "united", f"they {T} against it; {T} lost"),
        ("reunited at last", "united", f"re {T} at last"),
        ("#GoogleEarth is fun", "Google Earth", f"{T} is fun"),
        ("google-earth is fun", "Google Earth", f"{T} is fun"),
        ("I play world of craft daily", "WorldOfCraft", f"I play {T} daily"),
        ("I play Land of Treecraft daily", "LandOfCraft", f"I play {T} daily"),
        ("Microsoft joins the fun", "microsoft joins the linux foundation", f"{T} the fun"),
        ("see https://united.com/x", "united", f"{T} : see http"),
        ("R&amp;D at AT&amp;T", "AT&T", f"R&D at {T}"),
        ("Müller is late", "müller", f"{T} is late"),
        ("C++ is hard", "C++", f"{T} ++ is hard"),
        ("nothing here", "", f"{T} : nothing here"),
        ("nothing here", "???", f"{T} : nothing here"),
    ],
)
def test_each_mention_becomes_one_marker(text: str, target: str, expected: str) -> None:
    assert mark(text, [target]).text == expected


def test_the_words_of_an_aspect_can_follow_its_marker() -> None:
    marked = mark("Great food, but the service was dreadful!", ["food", "service"], keep_words=True)
    assert marked.text == f"Great {T} food, but the {T} service was dreadful!"
    assert marked.mentions == (0, 1)
    assert not marked.absent


def test_a_target_that_is_not_named_is_absent_and_still_has_a_marker() -> None:
    marked = mark("@united lost my bag", ["delta", "united"])
    assert marked.text == f"{T} : {T} lost my bag"
    assert marked.mentions == (0, 1)
    assert marked.absent == {0}
    assert marked.targets == 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("@user fix this", f"{T} fix this"),
        (".@user fix this, @user", f". {T} fix this, @user"),
        ("thank you @user", f"thank you {T}"),
        ("@user123 is the only handle", f"{T} : @user is the only handle"),
        ("between @user and @user", f"{T} : between @user and @user"),
        ("RT @user what a day", f"{T} : RT @user what a day"),
        ("what a day", f"{T} : what a day"),
        ("united, @user", f"{T} , @user"),
    ],
)
def test_an_addressed_target_is_read_at_a_masked_handle_or_the_post(text: str, expected: str) -> None:
    marked = mark(text, ["United"], addressed=True)
    assert (marked.text, marked.mentions, marked.absent) == (expected, (0,), frozenset())


def test_a_target_without_a_span_gets_a_leading_marker() -> None:
    assert mark_spans("lost my bag", [], targets=1) == MarkedText(f"{T} : lost my bag", (0,), 1, frozenset())


def test_overlapping_targets_share_the_longer_span() -> None:
    marked = mark("apple pie from Apple", ["apple pie", "apple"])
    assert marked.text == f"{T} {T} from {T}"
    assert marked.mentions == (0, 1, 1)
    assert mark("apple", ["Apple", "@apple"]).mentions == (0, 1)


def test_a_marker_in_the_input_is_not_a_marker() -> None:
    assert T not in plain(f"look {T} here").text
    assert mark(f"look {T} at united", ["united"]).mentions == (0,)


def test_markers_in_a_truncated_part_are_dropped() -> None:
    marked = mark("united " + "x " * 2_000 + "united", ["united"])
    assert marked.text.count(T) == len(marked.mentions) == 1


@given(st.text(max_size=200), st.lists(st.text(min_size=1, max_size=12), max_size=4), st.booleans())
@example("İ united ẞ", ["united", "ss"], False)
def test_every_marker_has_a_target(text: str, targets: list[str], words: bool) -> None:
    marked = mark(text, targets, keep_words=words)
    assert marked.text.count(T) == len(marked.mentions)
    assert marked.targets == len(targets)
    assert set(marked.mentions) <= set(range(len(targets)))
    assert all(not find_target(normalize(text, keep_handles=True), targets[number]) for number in marked.absent)
    assert normalize(marked.text, keep_markers=True) == marked.text


@given(st.text(max_size=200))
def test_a_post_without_targets_is_just_its_normal_form(text: str) -> None:
    assert mark(text, []).text == plain(text).text == normalize(text)
