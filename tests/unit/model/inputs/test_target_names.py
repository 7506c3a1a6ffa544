"""The forms in which a text may write a name."""

import pytest

from model.inputs.target_marking import find_target
from model.inputs.target_names import first_spans, name_forms


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        # Separators, numbers, apostrophes, plural.
        ("NovaStation5", "my nova station 5 broke", "nova station 5"),
        ("NovaStation5", "my Nova-Station V broke", "Nova-Station V"),
        ("Tern Six", "tern 6 is out", "tern 6"),
        ("Dorns", "Dorn's is shut", "Dorn's"),
        ("Dorn's", "dorns is shut", "dorns"),
        ("KnightsOath", "the new Knight’s Oath", "Knight’s Oath"),
        ("Veltanor", "two veltanors for me", "veltanors"),
        ("Borealis", "Borealis's staff", "Borealis"),
        # Ampersand.
        ("Harper & Lowe", "harper and lowe sent it", "harper and lowe"),
        ("Harper and Lowe", "#HarperLowe sent it", "#HarperLowe"),
        ("harper&lowe", "H&L sent it, so did hnl", "H&L"),
        ("harper&lowe", "h and l sent it", "h and l"),
        # A second name.
        ("Open Field Runners (OFR)", "ofr2 is out", "ofr2"),
        ("Open Field Runners (OFR)", "Open Field Runners is out", "Open Field Runners"),
        ("NovaStation5(NS5)", "preordered a ns5", "ns5"),
        # Initials.
        ("Call of Tides", "more CoT please", "CoT"),
        ("Call of Tides", "more cot3 please", "cot3"),
        ("NovaStation5", "no NS5 for me", "NS5"),
        ("Land of Lumen", "LoL went down", "LoL"),
        ("Call of Tides Silver Dawn Edition", "COT again", "COT"),
        # Parts.
        ("Jon Hardys Lantern Six", "lantern six servers", "lantern six"),
        ("Call of Tides Silver Dawn", "silver dawn servers", "silver dawn"),
        ("Call of Tides Silver Dawn", "Call of Tides servers", "Call of Tides"),
        ("VeltanorMaps", "veltanor is lost", "veltanor"),
        ("Land of Craft", "Land of Treecraft is fun", "Land of Treecraft"),
        ("GE", "#gefail again", "#ge"),
    ],
)
def test_a_name_is_found_as_it_is_written(name: str, text: str, found: str) -> None:
    start, end = find_target(text, name)[0]
    assert text[start:end] == found


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Land of Lumen", "lol, that went down"),
        ("Land of Lumen", "LOL THAT WENT DOWN"),
        ("Wings of Wool", "wow, what a day"),
        ("Land of Lumen", "the land of the free"),
        ("Home Depot Direct", "I am home"),
        ("Call of Tides", "call me"),
        ("GE", "they get it"),
        ("Dorn 2", "at 2 in the morning"),
        ("A & B", "a bear"),
        ("Tern", "no answer at all"),
    ],
)
def test_a_common_word_is_no_mention_of_a_name(name: str, text: str) -> None:
    assert find_target(text, name) == []


def test_the_most_exact_form_of_a_name_wins() -> None:
    text = "COT? I mean Call of Tides"
    assert [text[start:end] for start, end in first_spans("Call of Tides", text)] == ["Call of Tides"]


def test_the_needles_of_a_form_occur_in_each_of_its_matches() -> None:
    for name, text in (
        ("Dorns 2", "dorn's II"),
        ("Harper & Lowe", "H&L"),
        ("NovaStation5(NS5)", "NS5 and nova station five"),
    ):
        assert any(form.spans(text, text.lower()) for form in name_forms(name))
        for form in name_forms(name):
            assert form.spans(text, text.lower()) == [found.span() for found in form.pattern.finditer(text)]
