"""Builders that fill a real Redis like the worker and the alerter, for tests of its readers."""

import random
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import redis

from brandpulse.schema.episodes import Episode, Evidence, ExamplePost, SourceCount, Term
from brandpulse.state.author_sketches import Authors
from brandpulse.state.keys import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    AlertingKeys,
    NamespaceKeys,
    PartitionKeys,
    facet_of,
    facet_series,
)
from brandpulse.state.panes import Pane
from brandpulse.state.stored_posts import HourPost, NegativePost
from brandpulse.state.watched_facets import Watch, WatchedFacets, encode_facets

ACME = "Acme Air"
BANK = "Nordbank"
JUICE = "Zest / Söhne & Co"
"""A name with all characters that a URL must escape."""
BRANDS = (ACME, BANK, JUICE)
END = datetime(2025, 11, 18, 14, 32, 20, tzinfo=UTC)
CRISIS_MINUTES = 95
LONG_FACET = "delivery_was_late_or_cold_or_never_came"
FACETS = {"refund": (0.04, 0.22), "urgent": (0.1, 0.1), LONG_FACET: (0.02, 0.01)}
"""Share of Acme Air's posts, normally and in its crisis."""
FAR_FUTURE_MS = 4_102_444_800_000
"""As the time of a worker's last report: it never counts as gone."""
WORDS = (
    "@user three hours on the tarmac with {brand} and nobody tells us anything",
    "{brand} lost my suitcase for the second time this year. Never again.",
    "So {brand} cancelled our flight by text message. At the gate. With two children.",
    "Waiting 90 minutes in the {brand} hotline, then the line drops. Unbelievable @user",
    "Anyone else stuck because of the {brand} outage? App says all is fine, it is not.",
)


class StoredStream:
    """Writes panes, author sketches and partition states of one namespace, and keeps every sum it wrote."""

    def __init__(self, client: redis.Redis, namespace: str, *, topic: str = "posts", partitions: int = 4) -> None:
        self.client = client
        self.names = NamespaceKeys(namespace)
        self.alerting = AlertingKeys(namespace)
        self.keys = [PartitionKeys(namespace, topic, number) for number in range(partitions)]
        self.minutes: dict[tuple[int, str, int], Pane] = defaultdict(Pane)
        self.minute_authors: dict[tuple[int, str, int], Authors] = defaultdict(Authors)
        self.hour_authors: dict[tuple[int, str, int], Authors] = defaultdict(Authors)
        self.next = [0] * partitions

    def add(
        self, brand: str, at: datetime, *, negative: int = 0, neutral: int = 0, positive: int = 0, irrelevant: int = 0
    ) -> None:
        """Count posts of *brand* at *at*, each by a different author, over the partitions in turn; not yet stored."""
        minute = _ms(at) // MINUTE_MS
        kinds = [("negative", negative), ("neutral", neutral), ("positive", positive), ("irrelevant", irrelevant)]
        for kind in (kind for kind, number in kinds for _ in range(number)):
            partition = sum(self.next) % len(self.keys)
            self.next[partition] += 1
            score = {"negative": -700_000, "neutral": 0, "positive": 800_000, "irrelevant": 0}[kind]
            self.minutes[partition, brand, minute] += Pane(**{kind: 1}, score_micros=score)
            if kind == "irrelevant":
                continue
            author = random.Random(f"{brand}{minute}{sum(self.next)}").getrandbits(62)
            self.minute_authors[partition, brand, minute].add(author, negative=kind == "negative")
            self.hour_authors[partition, brand, minute // 60].add(author, negative=kind == "negative")

    def total(self, brand: str, first_minute: int, last_minute: int) -> Pane:
        found = (
            pane
            for (_, b, minute), pane in self.minutes.items()
            if b == brand and first_minute <= minute <= last_minute
        )
        return sum(found, Pane())

    def store(self, clock: datetime, **state: object) -> None:
        """Write everything, and each partition's state as of *clock*; *state* overrides its fields."""
        pipeline = self.client.pipeline(transaction=False)
        newest = max((minute for _, _, minute in self.minutes), default=0)
        hours: dict[tuple[int, str, int], Pane] = defaultdict(Pane)
        for (partition, brand, minute), pane in self.minutes.items():
            keys = self.keys[partition]
            hours[partition, brand, minute // 60] += pane
            pipeline.hset(keys.minute_panes(brand, minute // 60), str(minute % 60), pane.encode())
            if minute > newest - 180:
                authors = self.minute_authors[partition, brand, minute].encode()
                pipeline.hset(keys.minute_authors(brand, minute // 60), str(minute % 60), authors)
        for (partition, brand, hour), pane in hours.items():
            keys, day = self.keys[partition], hour * HOUR_MS // DAY_MS
            pipeline.hset(keys.hour_panes(brand, day), str(hour % 24), pane.encode())
            pipeline.hset(
                keys.hour_authors(brand, day), str(hour % 24), self.hour_authors[partition, brand, hour].encode()
            )
            pipeline.zadd(keys.index, {keys.hour_panes(brand, day): (day + 91) * 24})
            if not facet_of(brand):
                pipeline.sadd(self.names.brands, brand)
        for keys in self.keys:
            fields = {
                "next": self.next[keys.partition],
                "topic_id": "topic-one",
                "clock_ms": _ms(clock),
                "lateness_ms": 120_000,
                "late": 3,
                "repeated": 17,
                "dead": 2,
                "unmatched": 5,
                "owner": "worker-1",
                "seen_wall_ms": FAR_FUTURE_MS,
                "caught_up": 1,
                "lag": 0,
            } | state
            pipeline.hset(keys.state, mapping={name: str(value) for name, value in fields.items()})
            pipeline.sadd(self.names.partitions, f"{keys.topic}:{keys.partition}")
        pipeline.execute()

    def set_state(self, partition: int, **fields: object) -> None:
        self.client.hset(self.keys[partition].state, mapping={name: str(value) for name, value in fields.items()})

    def write_negatives(self, brand: str, posts: Iterable[NegativePost]) -> None:
        for number, post in enumerate(posts):
            key = self.keys[number % len(self.keys)].negatives(brand)
            self.client.zadd(key, {msgspec.json.encode(post): post.created_ms})

    def write_hour_posts(self, brand: str, posts: Iterable[HourPost]) -> None:
        """Negative posts, spread over the partitions."""
        for number, post in enumerate(posts):
            key = self.keys[number % len(self.keys)].hour_posts(brand, post.created_ms // HOUR_MS, negative=True)
            self.client.zadd(key, {msgspec.json.encode(post): -number})

    def write_open(self, *episodes: Episode) -> None:
        for episode in episodes:
            self.client.hset(self.alerting.episodes, episode.key, episode.model_dump_json())

    def write_closed(self, *episodes: Episode) -> None:
        for episode in episodes:
            self.client.lpush(self.alerting.closed, episode.model_dump_json())

    def write_facets(self, facets: WatchedFacets) -> None:
        self.client.set(self.alerting.facets, encode_facets(facets))

    def write_alerter(self, *, evaluated_until: datetime, leader: str = "alerter-1") -> None:
        self.client.set(self.alerting.lease, leader)
        self.client.set(self.alerting.evaluated_until, _ms(evaluated_until))


def a_negative_post(text: str = "awful", **changes: object) -> NegativePost:
    fields: dict[str, Any] = {
        "id": "p1",
        "source": "bluesky",
        "text": text,
        "created_ms": _ms(END),
        "author": "00ff00ff00ff00ff",
        "negative": 0.97,
    } | changes
    return NegativePost(**fields)


def evidence(end: datetime, **changes: object) -> Evidence:
    fields: dict[str, Any] = {
        "window_start": end - timedelta(hours=1),
        "window_end": end,
        "posts": 521,
        "negative_posts": 322,
        "authors": 498,
        "negative_authors": 309,
        "negative_share": 309 / 498,
        "baseline_share": 0.183,
        "p_value": 4.1e-12,
        "reason": "309 of 498 people wrote negatively in the last hour: 62%, where 18% is usual at this time of day.",
        "examples": [
            ExamplePost(id=f"x{i}", source="bluesky", text=text.format(brand=ACME), created_at=end)
            for i, text in enumerate(WORDS[:3])
        ],
        "terms": [
            Term(term="check-in", posts=14, of=26, usual_share=0.012),
            Term(term="lost luggage", posts=6, of=26, usual_share=0.0),
        ],
        "sources": [SourceCount(source="bluesky", posts=21), SourceCount(source="mastodon", posts=9)],
    } | changes
    return Evidence(**fields)


def an_episode(brand: str = ACME, *, fired: datetime = END - timedelta(minutes=84), **changes: object) -> Episode:
    fields: dict[str, Any] = {
        "key": f"{brand}:share_spike:{fired:%Y-%m-%dT%H:%M}",
        "brand": brand,
        "rule": "share_spike",
        "severity": "critical",
        "state": "firing",
        "started_at": fired - timedelta(minutes=11),
        "fired_at": fired,
        "updated_at": END,
        "first": evidence(fired, negative_share=0.41),
        "peak": evidence(END - timedelta(minutes=20), negative_share=0.66),
        "latest": evidence(END.replace(second=0)),
    } | changes
    return Episode(**fields)


def a_resolved_episode(brand: str, *, fired: datetime, lasted: timedelta, peak: float) -> Episode:
    return an_episode(
        brand,
        fired=fired,
        state="resolved",
        resolved_at=fired + lasted,
        updated_at=fired + lasted,
        peak=evidence(fired, negative_share=peak, baseline_share=0.11),
    )


def two_days_with_a_crisis(
    client: redis.Redis, namespace: str, *, days: float = 2.0, partitions: int = 4
) -> StoredStream:
    """Three brands over two days that end at END; Acme Air has been in a crisis for 95 minutes."""
    stream = StoredStream(client, namespace, partitions=partitions)
    dice, beside, beyond = random.Random(11), random.Random(12), random.Random(13)
    pace = {ACME: 3.2, BANK: 1.4, JUICE: 0.5}
    mood = {ACME: (0.18, 0.50), BANK: (0.11, 0.55), JUICE: (0.06, 0.38)}
    for step in range(int(days * 1_440)):
        at = END.replace(second=0) - timedelta(minutes=step)
        daylight = 0.35 + 0.65 * max(0.0, 1 - abs(at.hour + at.minute / 60 - 15) / 9)
        for brand in BRANDS:
            burning = brand == ACME and step < CRISIS_MINUTES
            posts = _poisson(dice, pace[brand] * daylight * (2.4 if burning else 1.0))
            negative_share, neutral_share = (0.62, 0.28) if burning else mood[brand]
            negative = sum(dice.random() < negative_share for _ in range(posts))
            neutral = sum(dice.random() < neutral_share / (1 - negative_share) for _ in range(posts - negative))
            irrelevant = 0 if brand == JUICE else _poisson(beside, pace[brand] * daylight / 10)
            positive = posts - negative - neutral
            stream.add(brand, at, negative=negative, neutral=neutral, positive=positive, irrelevant=irrelevant)
            for facet, parts in FACETS.items() if brand == ACME else ():
                inside = sum(beyond.random() < parts[burning] for _ in range(posts))
                stream.add(facet_series(brand, facet), at, neutral=inside)
    stream.store(END)
    for brand in BRANDS:
        texts = [WORDS[i % len(WORDS)].format(brand=brand) for i in range(12)]
        stream.write_negatives(
            brand,
            [
                a_negative_post(
                    text,
                    id=f"{brand}-{i}",
                    created_ms=_ms(END - timedelta(minutes=4 * i)),
                    negative=0.97 - i / 40,
                    url=f"https://example.org/{i}",
                )
                for i, text in enumerate(texts)
            ],
        )
    stream.write_open(an_episode())
    stream.write_closed(
        a_resolved_episode(ACME, fired=END - timedelta(hours=41), lasted=timedelta(minutes=55), peak=0.37),
        a_resolved_episode(BANK, fired=END - timedelta(hours=22), lasted=timedelta(hours=2, minutes=10), peak=0.44),
    )
    stream.write_facets({"refund": [Watch("refunds")], "urgent": [], LONG_FACET: [Watch("late", (ACME,))]})
    stream.write_alerter(evaluated_until=END.replace(second=0) - timedelta(minutes=2))
    return stream


def _poisson(dice: random.Random, mean: float) -> int:
    number, left = 0, dice.expovariate(1.0)
    while left < mean:
        number += 1
        left += dice.expovariate(1.0)
    return number


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)
