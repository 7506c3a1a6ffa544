"""Ids from spreadsheets."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.files.reading.identifiers import IdColumn, RoundedIds, clean_author, clean_id, id_flaw


@pytest.mark.parametrize(
    "value",
    [
        *("nan", "NaN", "None", "NULL", "null", "N/A", "n/a", "NA", "undefined", "true", "FALSE", "NaT", "<NA>", "\\N"),
        *("#N/A", "#REF!", "#VALUE!", "#NAME?", "#DIV/0!", "#NV", "#BEZUG!", "####", "[object Object]", "(null)"),
        *("-", "—", "", " ", "?", "0", "00", "0.0", "-1", "00000000-0000-0000-0000-000000000000", "=A1", '=""'),
        *("1.9E+18", "1,9E+18", "1.9e+18", "1E+18", "1E18", "1899999999999990000.0"),
        *(True, False, 5.7e17, 1.5, float("nan"), [1], {"$oid": "1"}, 0),
    ],
)
def test_value_that_is_not_an_id_is_rejected(value: object) -> None:
    assert id_flaw(clean_id(value)) is not None


@pytest.mark.parametrize(
    ("value", "post_id"),
    [
        *((dress, "123") for dress in ('="123"', " 123", "123 ", "123.0", "123.00", "123,0", "'123", "=123", '"123"')),
        *(
            (dress, "123")
            for dress in ("\u200b123", "\ufeff123", "\xa0123", "１２３", "1\u200d23", "123\t", 123, 123.0)
        ),
        ("1,234,567", "1234567"),
        ("1 234 567", "1234567"),
        ("t3_1abc", "t3_1abc"),
        ("12e4567", "12e4567"),
        ("k7e1234", "k7e1234"),
        ("00123", "00123"),
        ("at://did:plc:x/app.bsky.feed.post/3k", "at://did:plc:x/app.bsky.feed.post/3k"),
        ("7f0c8b1e-0000-4000-8000-000000000000", "7f0c8b1e-0000-4000-8000-000000000000"),
        ("1.2.3", "1.2.3"),
        ("570306133677760513", "570306133677760513"),
    ],
)
def test_id_is_cleaned_of_its_decoration(value: object, post_id: str) -> None:
    assert clean_id(value) == post_id
    assert id_flaw(post_id) is None


@given(st.text(max_size=30) | st.integers() | st.floats() | st.booleans() | st.lists(st.integers(), max_size=1))
def test_cleaning_is_idempotent(value: object) -> None:
    once = clean_id(value)
    id_flaw(once)
    if isinstance(once, str) and id_flaw(once) is None and once[:1] not in "='\"`":
        assert clean_id(once) == once


def rounded(post_id: str, digits: int = 15) -> str:
    return post_id[:digits] + "0" * (len(post_id) - digits)


@pytest.mark.parametrize("length", [16, 17, 18, 19])
def test_rounded_column_is_detected(length: int) -> None:
    draw = random.Random(length)
    ids = [rounded(str(draw.randrange(10 ** (length - 1), 10**length))) for _ in range(50)]
    column = IdColumn(ids)
    assert all("rounded" in (column.parse(post_id)[1] or "") for post_id in ids)
    assert all(IdColumn(ids, trust=True).parse(post_id)[1] is None for post_id in ids)


def test_one_rounded_id_of_nineteen_digits_is_enough() -> None:
    assert IdColumn(["1899999999999990000"] * 2).parse("1899999999999990000")[1] is not None


def test_ids_rounded_to_seventeen_digits_are_detected() -> None:
    draw = random.Random(1)
    ids = [rounded(str(draw.randrange(10**18, 10**19)), 17) for _ in range(50)]
    assert all(IdColumn(ids).parse(post_id)[1] for post_id in ids)


@pytest.mark.parametrize("length", [15, 16, 17, 18, 19, 20])
def test_correct_ids_are_not_called_rounded(length: int) -> None:
    draw = random.Random(length)
    ids = [str(draw.randrange(10 ** (length - 1), 10**length)) for _ in range(20_000)]
    column = IdColumn(ids[:1_000])
    assert not any(column.parse(post_id)[1] for post_id in ids)


def test_consecutive_ids_with_one_round_number_are_accepted() -> None:
    ids = [str(1_900_000_000_000_000_000 + number) for number in range(5)]
    assert not any(IdColumn(ids).parse(post_id)[1] for post_id in ids)


def test_rounded_part_after_correct_ids_is_detected() -> None:
    draw = random.Random(3)
    right = [str(draw.randrange(10**18, 10**19)) for _ in range(100)]
    late = [rounded(str(draw.randrange(10**18, 10**19))) for _ in range(300)]
    column = RoundedIds(right)
    assert sum(column.flaw(post_id) is not None for post_id in late) >= 150


def test_zero_is_an_id_if_rows_are_numbered_from_zero() -> None:
    assert IdColumn(["0", "1", "2", "3"]).parse("0")[1] is None
    assert IdColumn(["0", "0", "1", "2"]).parse("0")[1] is not None
    assert IdColumn(["0", "77"]).parse("0")[1] is not None


def test_author_in_scientific_notation_is_rejected() -> None:
    assert clean_author("1.9E+18")[1] is not None
    assert clean_author("1E18")[1] is not None
    assert clean_author(" ann") == ("ann", None)
    assert clean_author("12e4567") == ("12e4567", None)
