"""The shipped sample stream contains what the demo needs."""

import gzip
from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

import brandpulse.sample
from brandpulse.config.brands_file import load_brands
from brandpulse.sample import phrases
from brandpulse.sample.generate import (
    ANGRY_AUTHOR,
    ANGRY_POSTS,
    BEGIN,
    CRISIS_BEGIN,
    CRISIS_END,
    END,
    VIRAL_BEGIN,
    VIRAL_END,
    SamplePost,
    as_lines,
    pack,
    write_stream,
)
from brandpulse.schema.posts import POST_DECODER, Post, Sentiment
from brandpulse.text.brand_matcher import BrandMatcher

FOLDER = Path(brandpulse.sample.__file__).parent


@pytest.fixture(scope="module")
def stream() -> list[SamplePost]:
    return write_stream()


def share(posts: Iterable[SamplePost], sentiment: Sentiment) -> float:
    counted = Counter(post.sentiment for post in posts)
    return counted[sentiment] / counted.total()


def about(stream: Iterable[SamplePost], brand: str, begin: datetime = BEGIN, end: datetime = END) -> list[SamplePost]:
    return [each for each in stream if brand in each.brands and begin <= each.post.created_at < end]


def test_the_shipped_file_equals_the_generated_stream(stream: list[SamplePost]) -> None:
    # Unpacked: two builds of zlib may pack the same lines differently.
    assert gzip.decompress((FOLDER / "posts.jsonl.gz").read_bytes()) == as_lines(stream)


def test_packed_file_contains_no_time() -> None:
    assert pack(b"x\n")[4:8] == b"\0\0\0\0"
    assert gzip.decompress(pack(b"x\n")) == b"x\n"


def test_every_line_is_a_valid_post_for_both_decoders(stream: list[SamplePost]) -> None:
    for line in as_lines(stream).splitlines():
        assert POST_DECODER.decode(line).source == Post.model_validate_json(line).source == "sample"


def test_the_matcher_finds_the_intended_brands(stream: list[SamplePost]) -> None:
    matcher = BrandMatcher(load_brands(FOLDER / "brands.yaml"))
    found = [matcher.match(each.post.text) for each in stream]
    assert found == [each.brands for each in stream]
    assert {len(brands) for brands in found} == {0, 1, 2}


def test_numbers_of_posts_and_authors_are_in_range(stream: list[SamplePost]) -> None:
    assert 2_800 < len(stream) < 3_300
    assert 1_300 < len({each.post.author_id for each in stream}) < 1_700
    assert len({each.post.text for each in stream}) > 0.9 * len(stream)


def test_phrases_are_many_and_distinct() -> None:
    by_brand = (phrases.AEROLUX, phrases.CRISIS, phrases.CAFETTO, phrases.BANKORA)
    cores = [core for cores in by_brand for texts in cores.values() for core in texts]
    around = [text for texts in (*phrases.OPENERS.values(), *phrases.CLOSERS.values()) for text in texts]
    assert len(set(cores)) == len(cores) > 200
    assert len(set(around)) > 80


@pytest.mark.parametrize("brand", ["Aerolux", "Cafetto", "Bankora"])
def test_before_the_crisis_a_fifth_of_the_posts_is_negative(stream: list[SamplePost], brand: str) -> None:
    usual = [each for each in about(stream, brand, end=CRISIS_BEGIN) if each.post.author_id != ANGRY_AUTHOR]
    assert 0.13 < share(usual, "negative") < 0.27


def test_in_the_crisis_many_authors_raise_volume_and_negative_share(stream: list[SamplePost]) -> None:
    crisis = about(stream, "Aerolux", CRISIS_BEGIN, CRISIS_END)
    day = timedelta(days=1)
    usual = about(stream, "Aerolux", CRISIS_BEGIN - day, CRISIS_END - day)
    assert 3 < len(crisis) / len(usual) < 6
    assert share(crisis, "negative") > 0.65
    assert len({each.post.author_id for each in crisis}) > 0.8 * len(crisis)


def test_after_the_crisis_eight_hours_are_as_usual(stream: list[SamplePost]) -> None:
    assert timedelta(hours=8) < END - CRISIS_END
    after = about(stream, "Aerolux", CRISIS_END + timedelta(hours=1))
    assert share(after, "negative") < 0.3
    assert max(each.post.created_at for each in after) > CRISIS_END + timedelta(hours=9)


def test_the_angry_author_writes_thirty_posts_about_one_brand(stream: list[SamplePost]) -> None:
    angry = {each.post.id: each for each in stream if each.post.author_id == ANGRY_AUTHOR}
    assert len(angry) == ANGRY_POSTS
    assert {each.brands for each in angry.values()} == {("Cafetto",)}


def test_the_viral_hour_has_many_positive_posts(stream: list[SamplePost]) -> None:
    viral = about(stream, "Bankora", VIRAL_BEGIN, VIRAL_END)
    assert len(viral) > 70
    assert share(viral, "positive") > 0.8


def test_some_posts_are_duplicates_and_some_are_hours_late(stream: list[SamplePost]) -> None:
    copies = Counter(each.post.id for each in stream)
    assert sum(count - 1 for count in copies.values()) == 14
    late, newest, seen = 0, BEGIN, set[str]()
    for each in stream:
        late += each.post.id not in seen and each.post.created_at < newest - timedelta(hours=1)
        seen.add(each.post.id)
        newest = max(newest, each.post.created_at)
    assert late == 3
