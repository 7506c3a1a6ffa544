"""Near misses of brand keywords in posts that name no brand."""

import pytest

from brandpulse.config.brands_file import Brand
from brandpulse.schema.identity import AuthorHasher
from brandpulse.state.outcomes.near_misses import KEPT, with_near_misses
from brandpulse.text.brand_matcher import BrandMatcher
from stream_workers.decoding.batch_decoder import PythonBatchDecoder
from stream_workers.decoding.records import Records
from stream_workers.scoring.near_misses import SAMPLED, SAMPLED_OF_LARGE, NearMissFinder
from tests.support.builders import a_post, a_record

BRANDS = [
    Brand(
        name="Acme",
        terms=["acme air", "Zürich Re", "McGill's", "bolt & nut", "yay! mail", "ΆΛΦΑ"],
        handles=["@acmeair"],
    ),
    Brand(name="Nour", terms=["نورتل", "בזקטל"]),
    Brand(name="Short", terms=["abc"]),
]
FINDER = NearMissFinder(BRANDS)


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("fly #AcmeAir today", {"#AcmeAir for acme air"}),
        ("AcmeAir again", {"AcmeAir for acme air"}),
        ("ACME-AIR, late", {"ACME-AIR, for acme air"}),
        ('@<span class="x">acmeair</span> hi', {"@<span>acmeair</span> for acme air"}),
        ("Acme<br>Air", {"Acme<br>Air for acme air"}),
        ("my Zurich Re claim", {"Zurich Re for Zürich Re"}),
        ("McGill´s is closed", {"McGill´s for McGill's"}),
        ("Bolt&Nut", {"Bolt&Nut for bolt & nut"}),
        ("Yay!Mail down", {"Yay!Mail for yay! mail"}),
        ("Ac\u200bme Air", {"Ac<U+200B>me Air for acme air"}),
        ("ac\u034fme air", {"ac\u034fme air for acme air"}),
        ("ΑΛΦΑ", {"ΑΛΦΑ for ΆΛΦΑ"}),
        ("خدمة بنورتل", {"بنورتل for نورتل"}),
        ("נורא לבזקטל", {"לבזקטל for בזקטל"}),
        ("نـورتل", {"نـورتل for نورتل"}),
        ("a b c acme is an air line", set()),
        ("nothing of the kind", set()),
    ],
)
def test_near_miss_is_found(text: str, near: set[str]) -> None:
    assert FINDER.find(text) == near


def test_only_a_sample_of_a_batch_is_searched() -> None:
    reader = PythonBatchDecoder(BrandMatcher(BRANDS), AuthorHasher("key"))
    posts = [a_record(a_post(str(n), "AcmeAir" if n % 2 else "acme air"), n) for n in range(400)]
    assert FINDER.find_in_batch(reader.decode(Records.from_records(posts))) == {
        "AcmeAir for acme air": SAMPLED_OF_LARGE
    }
    assert FINDER.find_in_batch(reader.decode(Records.from_records(posts[:100]))) == {"AcmeAir for acme air": SAMPLED}


def test_stored_near_misses_are_limited_to_the_most_common() -> None:
    kept = with_near_misses((), {"common": 1_000})
    for n in range(500):
        kept = with_near_misses(kept, {f"rare {n}": 1})
    assert len(kept) == KEPT
    assert kept[0] == ("common", 1_000)
