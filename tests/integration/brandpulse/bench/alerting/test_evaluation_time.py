import pytest
import redis

from brandpulse.bench.alerting import evaluation_time
from brandpulse.state.pane_reader import PaneReader


def test_the_bench_fills_a_store_and_evaluates_each_minute(
    redis_client: redis.Redis, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation_time, "NAMESPACE", namespace)
    evaluation_time.fill(redis_client, brands=3, partitions=2, posts_a_minute=4.0, days=3, facets=2)
    times = evaluation_time.measure(redis_client, evaluation_time.START_MINUTE, partitions=2, ticks=12, facets=2)
    assert len(times) == 13
    assert all(one.cpu > 0 for one in times)
    reader = PaneReader(redis_client, namespace)
    assert len(reader.brands()) == 3
    read = reader.minutes(["Brand 1"], evaluation_time.START_MINUTE - 59, evaluation_time.START_MINUTE)["Brand 1"]
    assert 100 < read.total(evaluation_time.START_MINUTE - 59, evaluation_time.START_MINUTE).posts < 400
