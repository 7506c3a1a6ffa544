"""A worker with weights for two languages. They are small and untrained, so the scores are arbitrary."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from brandpulse.kafka.topic_scan import read_to_end
from brandpulse.schema.posts import ScoredPost
from tests.support.builders import NOON_MS, a_post
from tests.support.model.brand_weights import a_brand_folder
from tests.support.running_pipeline import Pipeline, counted

ENGLISH = "acme cancelled my flight and they do not care"
GERMAN = "acme hat meinen Flug gestrichen und niemand hilft mir"
RUSSIAN = "acme снова отменила мой рейс и не возвращает деньги"


@pytest.fixture
def pipeline(tmp_path: Path, kafka: str, redis_url: str, namespace: str) -> Iterator[Pipeline]:
    english = a_brand_folder(tmp_path / "english", name="english", seed=7, languages=("en",))
    german = a_brand_folder(tmp_path / "german", name="german", seed=8, languages=("de",))
    pipeline = Pipeline(
        tmp_path,
        kafka,
        redis_url,
        namespace,
        BRANDPULSE_WORKER_ENGINE="openvino",
        BRANDPULSE_WORKER_WEIGHTS=str(english),
        BRANDPULSE_MODEL_LANGUAGES=f"de={german}",
    )
    pipeline.create_topics()
    yield pipeline
    pipeline.stop()


def test_each_language_is_scored_by_its_weights_and_counted(pipeline: Pipeline) -> None:
    texts = [f"{text} {'again ' * (number % 3)}" for number in range(30) for text in (ENGLISH, GERMAN, RUSSIAN)]
    pipeline.produce([a_post(str(number), text, NOON_MS + number) for number, text in enumerate(texts)])
    worker = pipeline.service("worker")
    stats = pipeline.wait_for(lambda stats: counted(stats) == 60 and stats["unread"] == 30 and stats["lag"] == 0)
    assert stats["languages"] == {"Acme": {"de": 30, "en": 30, "other": 30}}
    topic = pipeline.env["BRANDPULSE_SCORED_TOPIC"]
    scored = [
        ScoredPost.model_validate_json(message.value() or b"")
        for message in read_to_end(pipeline.bootstrap_servers, topic)
    ]
    assert len(scored) == 60
    assert {(post.language, post.model.partition("@")[0]) for post in scored} == {("en", "english"), ("de", "german")}
    assert len({post.model for post in scored}) == 2
    shown = pipeline.run("stats")
    assert "de 30 (33%), en 30 (33%), other 30 (33%)" in " ".join(shown.stdout.split())
    assert worker.stop() == 0, worker.log_tail()


def test_wrong_setting_stops_the_worker_with_its_item(pipeline: Pipeline) -> None:
    stopped = pipeline.run("worker", env={"BRANDPULSE_MODEL_LANGUAGES": "de=/nowhere"})
    assert stopped.returncode != 0
    assert "BRANDPULSE_MODEL_LANGUAGES" in stopped.stderr + stopped.stdout
    assert "de=/nowhere" in stopped.stderr + stopped.stdout


def test_score_command_names_language_and_weights(pipeline: Pipeline) -> None:
    english = pipeline.env["BRANDPULSE_WORKER_WEIGHTS"]
    asked = pipeline.run("model", "score", "--weights", english, "--json", ENGLISH, GERMAN, RUSSIAN)
    assert asked.returncode == 0, asked.stderr
    answers = [json.loads(line) for line in asked.stdout.splitlines()]
    assert [(one["language"], one["supported"], one["weights"].partition("@")[0]) for one in answers] == [
        ("en", True, "english"),
        ("de", True, "german"),
        ("other", False, "english"),
    ]
