"""Stored summaries of past hours: the same numbers and the same decisions, with less to read."""

import random
from collections.abc import Callable, Sequence

import pytest
import redis

from alerting.detection.hour_history import HourHistory
from alerting.detection.share_baseline import BaselinePolicy
from alerting.detection.share_detector import DetectPolicy
from alerting.evaluation import hour_summary_cache
from alerting.evaluation.evaluator import Evaluator
from alerting.evaluation.hour_summary_cache import HourSummaryReader
from alerting.evaluation.policies import Policies
from alerting.notifications.routing import Route
from alerting.store.memory_store import MemoryAlertStore
from brandpulse.state.keys import DAY_MS, MINUTE_MS, AlertingKeys, PartitionKeys, facet_series
from brandpulse.state.pane_reader import PaneReader
from tests.support.alerting.post_streams import MONDAY, TOPIC, PostStream, write_status

HOUR = MONDAY // 60
BRANDS = ["Acme", "Bolt", "Nord bank"]
MakeReader = Callable[[redis.Redis, str], PaneReader]


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three brands are as many as a thousand: none is looked at whole."""
    monkeypatch.setattr(hour_summary_cache, "FEW_SERIES", 0)


def counts(reader: PaneReader, names: Sequence[str], first_hour: int, last_hour: int) -> object:
    """People and panes, as `HourHistory` reads them."""
    return reader.hour_authors(names, first_hour, last_hour), reader.hours(names, first_hour, last_hour)


def a_day_of_each(*, days: int = 1, facet: str = "") -> PostStream:
    stream, rng = PostStream(), random.Random(7)
    for brand in BRANDS:
        for minute in range(MONDAY, MONDAY + days * 1_440, 7):
            stream.post(brand, minute, negative=rng.random() < 0.3, facet=facet if rng.random() < 0.2 else "")
    return stream


def forget_sketches(client: redis.Redis, namespace: str, brands: Sequence[str]) -> None:
    """Counting them again finds no people."""
    for brand in brands:
        for partition in range(2):
            client.delete(PartitionKeys(namespace, TOPIC, partition).hour_authors(brand, MONDAY * MINUTE_MS // DAY_MS))


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize("seed", range(4))
def test_summaries_equal_the_panes_for_any_leader_and_time(
    redis_client: redis.Redis, namespace: str, seed: int
) -> None:
    """Posts come on time and up to three hours late; leaders follow each other, with a day without a leader."""
    rng = random.Random(seed)
    stream = PostStream()
    leader, plain = HourSummaryReader(redis_client, namespace), PaneReader(redis_client, namespace)
    hour = HOUR
    while hour < HOUR + 90:
        for _ in range(rng.randrange(20)):
            late = rng.choice((0, 0, 0, 1, 2, 3))
            stream.post(rng.choice(BRANDS), (hour - late) * 60 + rng.randrange(60), negative=rng.random() < 0.4)
        if rng.random() < 0.1:
            stream.irrelevant(rng.choice(BRANDS), hour * 60)
        stream.write(redis_client, namespace)
        hour += rng.choice((1, 1, 2, 3, 24))
        if rng.random() < 0.2:
            leader = HourSummaryReader(redis_client, namespace)
        names = rng.sample(BRANDS, rng.choice((1, 3, 3)))
        first = rng.choice((HOUR - 30, hour - 4))
        assert counts(leader, names, first, hour - 1) == counts(plain, names, first, hour - 1)


@pytest.mark.usefixtures("many")
def test_a_new_leader_does_not_count_settled_days_again(redis_client: redis.Redis, namespace: str) -> None:
    a_day_of_each().write(redis_client, namespace)
    first = counts(HourSummaryReader(redis_client, namespace), BRANDS, HOUR, HOUR + 27)
    assert first == counts(PaneReader(redis_client, namespace), BRANDS, HOUR, HOUR + 27)
    forget_sketches(redis_client, namespace, BRANDS)
    assert counts(HourSummaryReader(redis_client, namespace), BRANDS, HOUR, HOUR + 27) == first


@pytest.mark.usefixtures("many")
def test_a_day_that_was_read_incomplete_is_counted_again(redis_client: redis.Redis, namespace: str) -> None:
    stream = a_day_of_each()
    for brand in BRANDS:
        stream.post(brand, MONDAY + 700)
    stream.write(redis_client, namespace)
    counts(HourSummaryReader(redis_client, namespace), BRANDS, HOUR, HOUR + 10)
    for brand in BRANDS:
        stream.post(brand, MONDAY + 610)
    stream.write(redis_client, namespace)
    later = HOUR + 200
    found = counts(HourSummaryReader(redis_client, namespace), BRANDS, HOUR, later)
    assert found == counts(PaneReader(redis_client, namespace), BRANDS, HOUR, later)


def test_a_backfill_of_a_settled_day_is_found_by_a_running_leader(
    redis_client: redis.Redis, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hour_summary_cache, "FEW_SERIES", 1)
    stream = a_day_of_each(days=2)
    stream.write(redis_client, namespace)
    history = HourHistory(HourSummaryReader(redis_client, namespace), BaselinePolicy())
    history.read(BRANDS, before_hour=HOUR + 48)
    before = history.people(BRANDS[-1], HOUR + 5)
    for _ in range(40):
        stream.post(BRANDS[-1], MONDAY + 330)
    stream.write(redis_client, namespace)
    for _ in BRANDS:
        history.read(BRANDS, before_hour=HOUR + 48)
    assert history.people(BRANDS[-1], HOUR + 5) == before + 40
    successor = HourHistory(HourSummaryReader(redis_client, namespace), BaselinePolicy())
    successor.read(BRANDS, before_hour=HOUR + 48)
    assert successor.people(BRANDS[-1], HOUR + 5) == before + 40


def test_with_few_brands_a_backfill_is_found_at_once(redis_client: redis.Redis, namespace: str) -> None:
    stream = a_day_of_each()
    stream.write(redis_client, namespace)
    counts(HourSummaryReader(redis_client, namespace), BRANDS, HOUR, HOUR + 27)
    stream.post(BRANDS[0], MONDAY + 5)
    stream.write(redis_client, namespace)
    found = counts(HourSummaryReader(redis_client, namespace), BRANDS, HOUR, HOUR + 27)
    assert found == counts(PaneReader(redis_client, namespace), BRANDS, HOUR, HOUR + 27)


@pytest.mark.usefixtures("many")
def test_a_shorter_read_does_not_shorten_stored_summaries(redis_client: redis.Redis, namespace: str) -> None:
    """As a leader that continues after the store lost its last second."""
    a_day_of_each().write(redis_client, namespace)
    whole = counts(HourSummaryReader(redis_client, namespace), BRANDS, HOUR, HOUR + 27)
    counts(HourSummaryReader(redis_client, namespace), BRANDS, HOUR, HOUR + 10)
    assert counts(HourSummaryReader(redis_client, namespace), BRANDS, HOUR, HOUR + 27) == whole


@pytest.mark.usefixtures("many")
def test_an_hour_of_irrelevant_posts_has_a_pane_and_no_people(redis_client: redis.Redis, namespace: str) -> None:
    stream = a_day_of_each()
    stream.irrelevant(BRANDS[0], MONDAY + 1_500)
    stream.write(redis_client, namespace)
    keys = PartitionKeys(namespace, TOPIC, 0)
    redis_client.hdel(keys.hour_authors(BRANDS[0], (MONDAY + 1_500) // 1_440), "1")  # a worker writes no empty sketch
    plain = counts(PaneReader(redis_client, namespace), BRANDS, HOUR, HOUR + 27)
    for _ in range(2):
        assert counts(HourSummaryReader(redis_client, namespace), BRANDS, HOUR, HOUR + 27) == plain


@pytest.mark.usefixtures("many")
def test_summaries_of_another_version_are_counted_again(redis_client: redis.Redis, namespace: str) -> None:
    a_day_of_each().write(redis_client, namespace)
    for stored in (b"", b"none of ours", b"\x92\x01\x90\x90"):
        redis_client.hset(AlertingKeys(namespace).hours(namespace, HOUR // 24), BRANDS[1], stored)
        found = counts(HourSummaryReader(redis_client, namespace), BRANDS, HOUR, HOUR + 27)
        assert found == counts(PaneReader(redis_client, namespace), BRANDS, HOUR, HOUR + 27)


@pytest.mark.usefixtures("many")
def test_summaries_of_facets_are_stored_beside_those_of_brands(redis_client: redis.Redis, namespace: str) -> None:
    a_day_of_each(facet="refund").write(redis_client, namespace)
    series = [facet_series(brand, "refund") for brand in BRANDS]
    first = HourSummaryReader(redis_client, namespace).hour_authors(series, HOUR, HOUR + 27)
    assert first == PaneReader(redis_client, namespace).hour_authors(series, HOUR, HOUR + 27)
    forget_sketches(redis_client, namespace, series)
    assert HourSummaryReader(redis_client, namespace).hour_authors(series, HOUR, HOUR + 27) == first


@pytest.mark.usefixtures("many")
def test_another_namespace_has_its_own_summaries(redis_client: redis.Redis, namespace: str) -> None:
    a_day_of_each().write(redis_client, namespace)
    counts(HourSummaryReader(redis_client, namespace), BRANDS, HOUR, HOUR + 27)
    shadow = f"{namespace}s"
    a_day_of_each(days=2).write(redis_client, shadow)
    redis_client.set(f"{{{namespace}}}:live", shadow)
    found = counts(HourSummaryReader(redis_client, namespace), BRANDS, HOUR, HOUR + 27)
    assert found == counts(PaneReader(redis_client, shadow), BRANDS, HOUR, HOUR + 27)
    stored = [key.decode() for key in redis_client.scan_iter(f"{AlertingKeys(namespace).tag}:hours:*")]
    assert {key.rsplit(":", 2)[1] for key in stored} == {namespace, shadow}
    assert all(redis_client.ttl(key) > 90 * 86_400 for key in stored)


def decisions(client: redis.Redis, namespace: str, stream: PostStream, make: MakeReader) -> list[object]:
    """All notifications of leaders that follow each other every seven hours."""
    stream.write(client, namespace)
    store = MemoryAlertStore()
    reported: list[object] = []
    for until in range(MONDAY + 420, stream.last_minute, 140):
        if (until - MONDAY) % 420 == 0:
            evaluator = a_leader(make(client, namespace), store)
        for partition in range(2):
            write_status(client, namespace, partition, watermark_ms=until * MINUTE_MS, next_offset=until)
        report = evaluator.evaluate(10**12)
        reported += [(transition, episode, why) for episode, transition, why in report.transitions]
        reported += [delivery.notification for delivery in report.deliveries]
    return reported


def a_leader(reader: PaneReader, store: MemoryAlertStore) -> Evaluator:
    store.release("leader")
    token = store.acquire("leader", lease_ms=2**53)
    assert token is not None
    return Evaluator(
        reader,
        store,
        token=token,
        policies=Policies(detect=DetectPolicy(min_history_hours=6)),
        routes=[Route("pager", wants_every_update=True)],
    )


@pytest.mark.usefixtures("many")
def test_decisions_with_and_without_stored_summaries_are_equal(redis_client: redis.Redis, namespace: str) -> None:
    rng = random.Random(3)
    stream = PostStream()
    crisis = range(MONDAY + 2_000, MONDAY + 2_120)
    for brand, share in zip(BRANDS, (0.85, 0.2, 0.7), strict=True):
        stream.steady(brand, range(MONDAY, MONDAY + 2_000), per_minute=1, share=0.2, rng=rng)
        stream.steady(brand, crisis, per_minute=2, share=share, rng=rng)
        stream.steady(brand, range(MONDAY + 2_120, MONDAY + 2_500), per_minute=1, share=0.2, rng=rng)
    counted = decisions(redis_client, f"{namespace}a", stream, PaneReader)
    kept = decisions(redis_client, f"{namespace}b", stream, HourSummaryReader)
    assert len(counted) > 6
    assert kept == counted
