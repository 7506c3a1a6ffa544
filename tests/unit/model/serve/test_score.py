"""`/v1/score`: responses, and batching of requests."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
import pytest

from brandpulse.text.normalization import MARKER
from model.inference.score_cache import CachingScorer
from model.inference.scorer import Scores
from model.inputs.target_marking import MarkedText
from model.serve.api_models import Limits, ModelAnswer, ScoreAnswer
from model.serve.run import OverloadCheck
from model.serve.service import Batching, Service
from model.spec.heads import SENTIMENT
from tests.support.model.serve_builders import POISON, AllHeadsScorer, WatchedScorer, serving, serving_keywords
from tests.support.patience import patience, wait_until


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with serving_keywords() as client:
        yield client


@pytest.fixture(scope="module")
def all_heads() -> Iterator[httpx.Client]:
    thresholds = {"emotion": [0.8] + [0.25] * 27, "risk": [0.71, 0.2, 0.9], "sarcasm": [0.7]}
    with serving(Service(scorer=AllHeadsScorer(), thresholds=thresholds)) as client:
        yield client


def score(client: httpx.Client, **body: Any) -> list[dict[str, Any]]:
    answer = client.post("/v1/score", json=body)
    assert answer.status_code == 200, answer.text
    ScoreAnswer.model_validate_json(answer.content, strict=True)
    results: list[dict[str, Any]] = answer.json()["results"]
    return results


def test_one_text_gets_one_result_with_the_model_s_name_and_version(client: httpx.Client) -> None:
    answer = client.post("/v1/score", json={"text": "awful, broken, useless"}).json()

    assert answer["model"] == {"name": "keyword", "version": "keyword-1"}
    (result,) = answer["results"]
    assert result["sentiment"]["label"] == "negative"
    assert sum(result["sentiment"]["probabilities"].values()) == pytest.approx(1, abs=2e-4)
    assert result["targets"] == []


def test_a_batch_is_answered_in_its_order(client: httpx.Client) -> None:
    results = score(client, texts=["awful", {"text": "great"}, "", {"text": "the bus is great", "targets": ["bus"]}])

    assert [result["sentiment"]["label"] for result in results] == ["negative", "positive", "neutral", "positive"]
    assert [len(result["targets"]) for result in results] == [0, 0, 0, 1]


def test_an_unnamed_target_is_irrelevant(client: httpx.Client) -> None:
    results = score(
        client,
        texts=[
            {"text": "@acmeair lost my bag, awful", "targets": ["Nordbank", "Acme Air", "acme air"]},
            {"text": "thanks Nordbank, great help", "targets": ["Nordbank"]},
        ],
    )

    told = [[(t["target"], t["found"], t["label"]) for t in result["targets"]] for result in results]
    assert told == [
        [("Nordbank", False, "irrelevant"), ("Acme Air", True, "negative"), ("acme air", True, "negative")],
        [("Nordbank", True, "positive")],
    ]


def test_the_model_reads_words_of_aspects_not_of_names() -> None:
    scorer = WatchedScorer()
    text = {"text": "love the battery", "targets": ["battery"]}
    with serving(Service(scorer=scorer)) as client:
        score(client, texts=[text, text | {"keep_words": True}])

    assert [post.replace(MARKER, "<m>") for post in scorer.calls[0]] == ["love the <m>", "love the <m> battery"]


def test_missing_heads_are_left_out(client: httpx.Client) -> None:
    assert set(score(client, text="awful")[0]) == {"sentiment", "targets"}


def test_all_heads_are_returned_with_threshold_flags(all_heads: httpx.Client) -> None:
    result = score(all_heads, text="0.7 whatever", targets=["whatever"])[0]

    assert result["sentiment"]["label"] == "negative"
    assert result["targets"][0]["probabilities"] == {
        "negative": 0.1,
        "neutral": 0.2,
        "positive": 0.6,
        "irrelevant": 0.1,
    }
    assert result["mood"] == {
        "label": "anger",
        "probabilities": {"anger": 0.7, "joy": 0.1, "optimism": 0.1, "sadness": 0.1},
    }
    assert result["complaint"] == {"flag": False, "probability": 0.7}
    assert result["crisis"] == {"flag": True, "probability": 0.3}
    assert result["informative"] == {"flag": False, "probability": 0.3}
    assert result["urgency"] == "medium"
    assert result["sarcasm"] == {"flag": True, "probability": 0.7}  # at its threshold


def test_emotions_reach_their_thresholds_or_all_on_request(all_heads: httpx.Client) -> None:
    few, many = score(all_heads, texts=["0.7 a", "0.9 b"])
    assert few["emotions"]["labels"][:2] == ["amusement", "anger"]
    assert "admiration" not in few["emotions"]["labels"]
    assert many["emotions"] == {"labels": ["admiration"]}

    asked = score(all_heads, texts=["0.7 a", "0.9 b"], all_emotions=True)
    assert len(asked[0]["emotions"]["probabilities"]) == 28
    assert asked[1]["emotions"]["probabilities"]["admiration"] == 0.9


def test_the_model_is_described(all_heads: httpx.Client) -> None:
    told = ModelAnswer.model_validate_json(all_heads.get("/v1/model").content)

    assert told.heads["sentiment"] == list(SENTIMENT)
    assert told.thresholds["risk"] == {"complaint": 0.71, "crisis": 0.2, "informative": 0.9}
    assert told.limits["texts"] == Limits().texts


def test_concurrent_requests_share_a_pass_of_the_model() -> None:
    scorer = WatchedScorer()
    with serving(Service(scorer=scorer)) as client, ThreadPoolExecutor(20) as callers:
        scorer.gate.clear()
        first = callers.submit(score, client, text="the first")
        assert scorer.entered.wait(patience(10))
        others = [callers.submit(score, client, text=f"number {number}") for number in range(16)]
        wait_until(lambda: waiting(client) == 16, seconds=10)
        scorer.gate.set()
        assert [len(one.result()) for one in (first, *others)] == [1] * 17

    assert [len(call) for call in scorer.calls] == [1, 16]
    assert scorer.threads == {"scorer_0"}


def test_health_responds_while_the_model_works() -> None:
    scorer = WatchedScorer()
    with serving(Service(scorer=scorer)) as client, ThreadPoolExecutor(1) as callers:
        scorer.gate.clear()
        held = callers.submit(score, client, text="held")
        assert scorer.entered.wait(patience(10))

        assert client.get("/healthz").text == client.get("/readyz").text == "ok\n"
        scorer.gate.set()
        held.result()


def test_a_full_queue_is_503_with_retry_after() -> None:
    scorer = WatchedScorer()
    service = Service(scorer=scorer, batching=Batching(waiting=3))
    with serving(service) as client, ThreadPoolExecutor(4) as callers:
        scorer.gate.clear()
        held = [callers.submit(score, client, text="held")]
        assert scorer.entered.wait(patience(10))
        held.append(callers.submit(score, client, texts=["waits", "waits too"]))
        wait_until(lambda: waiting(client) == 2, seconds=10)

        refused = client.post("/v1/score", json={"texts": ["one", "two"]})
        scorer.gate.set()

        assert refused.status_code == 503
        assert int(refused.headers["Retry-After"]) >= 1
        assert refused.headers["Content-Type"] == "application/problem+json"
        assert refused.json()["detail"] == "Overloaded: 2 texts are waiting, the maximum is 3."
        assert [len(one.result()) for one in held] == [1, 2]
        assert len(score(client, texts=["one", "two"])) == 2


def test_a_disconnected_client_is_not_scored() -> None:
    scorer = WatchedScorer()
    with serving(Service(scorer=scorer)) as client, ThreadPoolExecutor(2) as callers:
        scorer.gate.clear()
        held = callers.submit(score, client, text="held")
        assert scorer.entered.wait(patience(10))
        with pytest.raises(httpx.ReadTimeout):
            client.post("/v1/score", json={"texts": ["impatient", "impatient too"]}, timeout=0.3)
        wait_until(lambda: waiting(client) == 0, seconds=10)
        scorer.gate.set()
        held.result()
        score(client, text="patient")

        metrics = client.get("/metrics").text
    assert scorer.calls == [["held"], ["patient"]]
    assert 'brandpulse_serve_requests_total{path="/v1/score",status="499"} 1.0' in metrics


def test_a_failing_text_fails_only_its_own_request() -> None:
    scorer = WatchedScorer()
    with serving(Service(scorer=scorer)) as client, ThreadPoolExecutor(4) as callers:
        scorer.gate.clear()
        held = callers.submit(score, client, text="held")
        assert scorer.entered.wait(patience(10))
        good = [callers.submit(score, client, text=f"good {number}") for number in range(2)]
        bad = callers.submit(client.post, "/v1/score", json={"texts": ["fine", POISON]})
        wait_until(lambda: waiting(client) == 4, seconds=10)
        scorer.gate.set()

        assert [one.result()[0]["sentiment"]["label"] for one in (*good, held)] == ["positive", "positive", "neutral"]
        assert bad.result().status_code == 500
        assert bad.result().json()["detail"] == "The model failed on text 1 of this request (counted from 0)."
        assert "brandpulse_serve_failed_texts_total 1.0" in client.get("/metrics").text


def test_overload_degrades_results_and_marks_them() -> None:
    crowded = OverloadCheck(2)
    service = Service(scorer=DegradingScorer(crowded=crowded), batching=Batching(texts=1))
    crowded.service = service
    scorer = service.scorer
    assert isinstance(scorer, DegradingScorer)
    with serving(service) as client, ThreadPoolExecutor(4) as callers:
        scorer.gate.clear()
        held = callers.submit(score, client, text="held")
        assert scorer.entered.wait(patience(10))
        crowd = callers.submit(score, client, texts=["one", "two", "three", "four"])
        wait_until(lambda: waiting(client) == 4, seconds=10)
        scorer.gate.set()

        for name in ("degraded", "hurried"):  # the second one is deprecated
            assert name not in held.result()[0]
            assert [result.get(name) for result in crowd.result()] == [True, True, None, None]
        metrics = client.get("/metrics").text
    assert "brandpulse_posts_degraded_total 2.0" in metrics
    assert "brandpulse_posts_hurried_total 2.0" in metrics


def test_without_the_setting_no_result_is_degraded() -> None:
    assert not OverloadCheck(None, Service(scorer=WatchedScorer()))()
    assert not OverloadCheck(1)()


def test_a_repeated_text_is_scored_once() -> None:
    scorer = WatchedScorer()
    with serving(Service(scorer=CachingScorer(scorer))) as client:
        for _ in range(3):
            score(client, texts=["the same", "the same", {"text": "the same", "targets": ["same"]}])

        metrics = client.get("/metrics").text
    assert [len(call) for call in scorer.calls] == [2]
    assert "brandpulse_score_cache_hits_total 7.0" in metrics
    assert "brandpulse_score_cache_misses_total 2.0" in metrics


@dataclass
class DegradingScorer(WatchedScorer):
    """Degrades its scores while overloaded, like the engine with early exit."""

    crowded: OverloadCheck = field(default_factory=lambda: OverloadCheck(None))

    def score(self, posts: Sequence[MarkedText]) -> Scores:
        degraded = frozenset(range(len(posts))) if self.crowded() else frozenset[int]()
        return replace(super().score(posts), degraded=degraded)


def waiting(client: httpx.Client) -> int:
    lines = client.get("/metrics").text.splitlines()
    return int(float(next(line for line in lines if line.startswith("brandpulse_serve_waiting_texts")).split()[1]))
