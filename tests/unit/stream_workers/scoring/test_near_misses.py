"""Near misses of brand keywords in posts that name no brand."""

import pytest

from brandpulse.config.brands_file import Brand, BrandsFile
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
# With every other spelling off, each of them is a near miss.
OFF = dict.fromkeys(("joined", "hashtags", "accents", "apostrophes", "lookalikes", "vowel_marks", "prefixes"), False)
STRICT = BrandsFile.model_validate(
    {"variants": OFF, "brands": [brand.model_dump(exclude={"variants"}) for brand in BRANDS]}
)
FINDER = NearMissFinder(STRICT.brands, BrandMatcher(STRICT.brands))
USUAL = NearMissFinder(BRANDS, BrandMatcher(BRANDS))


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("fly #AcmeAir today", {"#AcmeAir for acme air"}),
        ("AcmeAir again", {"AcmeAir for acme air"}),
        ("ACME-AIR, late", {"ACME-AIR, for acme air"}),
        ('@<span class="x">acmeair</span> hi', {"@<span>acmeair</span> for acme air"}),
        ("Acme<br>Air", {"Acme<br>Air for acme air"}),
        ("my Zurich Re claim", {"Zurich Re for Zürich Re"}),
        ("McGills is closed", {"McGills for McGill's"}),
        ("Bolt&Nut", {"Bolt&Nut for bolt & nut"}),
        ("Yay!Mail down", {"Yay!Mail for yay! mail"}),
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


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("Acme<br>Air", {"Acme<br>Air for acme air"}),
        ("#AcmeAirlines2 and #boycottAcmeAir", {"#AcmeAirlines2 for acme air", "#boycottAcmeAir for acme air"}),
        ("#AcmeAir acme-air #AcmeAirFail bolt&nut", set()),
    ],
)
def test_spelling_that_matches_is_no_near_miss(text: str, near: set[str]) -> None:
    assert USUAL.find(text) == near


def test_only_a_sample_of_a_batch_is_searched() -> None:
    reader = PythonBatchDecoder(BrandMatcher(STRICT.brands), AuthorHasher("key"))
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
