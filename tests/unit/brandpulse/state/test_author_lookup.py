"""Authors who wrote about a brand before, found in author sketches."""

import random

import pytest

from brandpulse.schema.identity import author_hex
from brandpulse.state.author_lookup import KnownAuthors, author_number, coupon_of, coupons_in
from brandpulse.state.author_sketches import Authors


def authors(many: int, seed: int = 1) -> list[int]:
    pick = random.Random(seed)
    return [pick.getrandbits(64) - 2**63 for _ in range(many)]


def sketch(of: list[int], *, again: int = 0) -> bytes:
    """As a worker writes it; *again*: so many times read and written by a later batch."""
    found = Authors()
    found.add_many(of, negative=of[::2])
    for _ in range(again):
        found = Authors.decode(found.encode())
    return found.encode()


@pytest.mark.parametrize("many", [0, 1, 2, 7, 8, 9, 40, 150, 190])
@pytest.mark.parametrize("again", [0, 2])
def test_small_sketch_contains_each_of_its_authors(many: int, again: int) -> None:
    inside = authors(many)
    assert coupons_in(sketch(inside, again=again)) == frozenset(map(coupon_of, inside))


def test_accounts_in_no_sketch_are_new() -> None:
    everyone = authors(300)
    known = KnownAuthors([sketch(everyone[:100]), sketch(everyone[50:180])])
    words = [author_hex(author) for author in everyone]
    assert [author_number(word) for word in words] == everyone
    assert known.new_among(words) == 120
    assert known.new_among(words[:180]) == 0


@pytest.mark.parametrize("sketches", [[], [sketch(authors(400))], [sketch(authors(5)), sketch(authors(400))]])
def test_new_accounts_are_unknown_without_history_or_coupons(sketches: list[bytes]) -> None:
    assert KnownAuthors(sketches).new_among([author_hex(1)]) is None
