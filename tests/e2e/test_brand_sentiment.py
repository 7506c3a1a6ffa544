"""Counts and scored posts of a worker with a multi-head model. Its weights are small and untrained, so its scores are
arbitrary."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from brandpulse.kafka.topic_scan import read_to_end
from brandpulse.schema.posts import ScoredPost
from model.spec.heads import EMOTIONS
from tests.support.builders import NOON_MS, a_post
from tests.support.model.brand_weights import a_brand_folder
from tests.support.running_pipeline import Pipeline, counted

MOODS = ("lost my bag", "is the best", "opens at nine", "hold music: 😡", "and nothing else matters", "again and again")


@pytest.fixture
def pipeline(tmp_path: Path, kafka: str, redis_url: str, namespace: str) -> Iterator[Pipeline]:
    # A post gets at most three emotions: only joy is above its threshold.
    thresholds = {"emotion": dict.fromkeys(EMOTIONS, 1.0) | {"joy": 0.0}}
    weights = a_brand_folder(tmp_path / "weights", seed=7, spread=4.0, thresholds=thresholds)
    pipeline = Pipeline(
        tmp_path,
        kafka,
        redis_url,
        namespace,
        BRANDPULSE_WORKER_ENGINE="openvino",
        BRANDPULSE_WORKER_WEIGHTS=str(weights),
    )
    pipeline.create_topics()
    yield pipeline
    pipeline.stop()


def test_panes_equal_the_scores_of_the_scored_posts(pipeline: Pipeline) -> None:
    texts = [f"{names} {mood} {number}" for number in range(20) for mood in MOODS for names in ("acme", "@bolt, ACME")]
    pipeline.produce([a_post(str(number), text, NOON_MS + number) for number, text in enumerate(texts)])
    worker = pipeline.service("worker")
    expected = len(texts) + len(texts) // 2
    stats = pipeline.wait_for(lambda stats: counted(stats) == expected and stats["lag"] == 0)
    topic = pipeline.env["BRANDPULSE_SCORED_TOPIC"]
    scored = [
        ScoredPost.model_validate_json(message.value() or b"")
        for message in read_to_end(pipeline.bootstrap_servers, topic)
    ]
    assert len(scored) == len(texts)
    labels = Counter((score.brand, score.label) for post in scored for score in post.brands)
    for brand, row in stats["brands"].items():
        assert {label: labels[brand, label] for label in ("negative", "neutral", "positive", "irrelevant")} == {
            name: number for name, number in row.items() if name != "posts"
        }
        assert row["posts"] == sum(row.values()) - row["posts"]
        assert row["irrelevant"] > 0, "seed 7 says all four of both brands"
    both = [post for post in scored if len(post.brands) == 2]
    assert any(one.label != other.label for one, other in (post.brands for post in both))
    for post in scored:
        assert post.model.startswith("tiny-brand@")
        assert post.emotions is not None
        assert list(post.emotions) == ["joy"]
        assert None not in (post.mood, post.complaint, post.crisis, post.sarcasm, post.brands[0].urgency)
    assert worker.stop() == 0, worker.log_tail()


def test_doctor_and_stats_report_the_brand(pipeline: Pipeline) -> None:
    pipeline.produce([a_post("1", "acme is late")])
    pipeline.service("worker")
    pipeline.wait_for(lambda stats: counted(stats) == 1)
    shown = pipeline.run("stats")
    assert "irrelevant" in shown.stdout
    row = json.loads(pipeline.run("stats", "--json").stdout)["brands"]["Acme"]
    assert row["posts"] == row["negative"] + row["neutral"] + row["positive"] + row["irrelevant"] == 1
    examined = pipeline.run("doctor")
    assert re.search(r"a test complaint scores \d+% negative", examined.stdout), examined.stdout + examined.stderr
