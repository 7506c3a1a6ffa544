"""The measurement of near copies."""

from brandpulse.bench.copies import EDITS, evaluate_copies, shipped_texts
from brandpulse.text.near_copies import LEAST_LETTERS
from brandpulse.text.near_duplicates import normal_form


def test_copies_of_shipped_texts_are_found_and_kept_apart() -> None:
    texts = shipped_texts()[::40]
    report = evaluate_copies(texts)
    assert report.originals > 100
    assert report.copies.keys() == EDITS.keys()
    assert report.recall >= 0.97
    assert report.false_share <= 0.001
    assert report.microseconds > 0


def test_shipped_texts_are_different_and_long_enough() -> None:
    forms = [normal_form(text) for text in shipped_texts()]
    assert len(set(forms)) == len(forms) > 5_000
    assert min(map(len, forms)) >= LEAST_LETTERS


def test_a_text_of_a_copy_joins_its_first_text() -> None:
    text = "Acme Air lost my bag in Bergen again and after four calls the desk has no idea where it is"
    report = evaluate_copies([text, text.replace("Bergen", "Tromsø"), "Quite another text about trains in the north"])
    assert report.originals == 2
    assert report.false_merges == 0
