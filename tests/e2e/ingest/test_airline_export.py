"""Real posts: a week of posts to six airlines, compared with human labels.

Runs where BRANDPULSE_TEST_AIRLINE names the CSV file (its licence keeps it out of the repository).
"""

import csv
import gzip
import json
import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from brandpulse.config.brands_file import load_brands
from brandpulse.text.brand_matcher import BrandMatcher
from brandpulse.text.languages import OTHER, LanguageIdentifier
from tests.support.running_pipeline import Pipeline, counted

AIRLINE = os.environ.get("BRANDPULSE_TEST_AIRLINE", "")
MAP = "text=text,created_at=tweet_created,author_id=name,id=tweet_id"
BRANDS = """brands:
  - {name: American, handles: ["@americanair"]}
  - {name: Delta, handles: ["@jetblue"]}
  - {name: Southwest, handles: ["@southwestair"]}
  - {name: US Airways, handles: ["@usairways"]}
  - {name: United, handles: ["@united"]}
  - {name: Virgin America, handles: ["@virginamerica"]}
"""

pytestmark = [
    pytest.mark.skipif(not AIRLINE, reason="set BRANDPULSE_TEST_AIRLINE to the file of airline tweets"),
    pytest.mark.timeout(600),
]


@pytest.fixture
def pipeline(tmp_path: Path, kafka: str, redis_url: str, namespace: str) -> Iterator[Pipeline]:
    pipeline = Pipeline(tmp_path, kafka, redis_url, namespace, BRANDPULSE_WORKER_ENGINE="auto")
    Path(pipeline.env["BRANDPULSE_BRANDS_FILE"]).write_text(BRANDS)
    yield pipeline
    pipeline.stop()


def ranks(values: list[float]) -> list[int]:
    return [sorted(values).index(value) for value in values]


def test_real_posts_count_once_with_shares_near_the_labels(pipeline: Pipeline) -> None:
    with gzip.open(AIRLINE, "rt", encoding="utf-8") as lines:
        rows = {row["tweet_id"]: row for row in csv.DictReader(lines)}
    matcher = BrandMatcher(load_brands(Path(pipeline.env["BRANDPULSE_BRANDS_FILE"])))
    identify = LanguageIdentifier(["en"]).identify
    expected: dict[str, int] = defaultdict(int)
    for row in rows.values():
        # The shipped model reads English: a few of these posts are in other languages.
        for brand in matcher.match(row["text"]) if identify([row["text"]]) != [OTHER] else ():
            expected[brand] += 1
    first = pipeline.service("worker")
    sent = pipeline.run("ingest", "file", AIRLINE, "--map", MAP, "--json")
    assert sent.returncode == 0, sent.stderr
    counts = json.loads(sent.stdout.splitlines()[-1])
    assert (counts["read"], counts["sent"] + counts["repeated"]) == (10_155, 10_155)
    pipeline.wait_for(lambda stats: counted(stats) > 3_000, seconds=300)
    first.kill()
    pipeline.service("worker")
    stats = pipeline.wait_for(lambda stats: counted(stats) >= sum(expected.values()) and stats["lag"] == 0, seconds=300)
    assert {brand: row["posts"] for brand, row in stats["brands"].items()} == expected
    negative_labels: dict[str, list[bool]] = defaultdict(list)
    for row in rows.values():
        negative_labels[row["airline"]].append(row["airline_sentiment"] == "negative")
    labels = [sum(negative_labels[brand]) / len(negative_labels[brand]) for brand in expected]
    brand_rows = [stats["brands"][brand] for brand in expected]
    shares = [row["negative"] / (row["posts"] - row["irrelevant"]) for row in brand_rows]
    far = {
        brand: (share, label)
        for brand, share, label in zip(expected, shares, labels, strict=True)
        if abs(share - label) > 0.20
    }
    assert far == {}
    n = len(labels)
    squares = sum((a - b) ** 2 for a, b in zip(ranks(shares), ranks(labels), strict=True))
    spearman = 1 - 6 * squares / (n * (n * n - 1))
    assert spearman >= 0.7
