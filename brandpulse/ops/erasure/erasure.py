"""One erasure from end to end: Redis, dead letters, tombstones; and the report of what remains. Blocking."""

from dataclasses import dataclass, replace

import redis

from brandpulse.config.settings import Settings
from brandpulse.ops.erasure.dead_letter_removal import LettersFound, can_delete, find_letters, remove_letters
from brandpulse.ops.erasure.kafka_records import (
    TopicTraces,
    find_posts,
    find_scored,
    retention_of,
    write_tombstones,
)
from brandpulse.ops.erasure.subject import Subject
from brandpulse.runtime.clock import wall_ms
from brandpulse.state.erasure.erased_posts import PostId, forbid, hide_letters
from brandpulse.state.erasure.stored_text import Erased, erase


@dataclass(frozen=True, slots=True)
class ErasureReport:
    """What an erasure found, and what it left."""

    subject: Subject
    redis: Erased
    letters: int = 0
    letters_refused: str | None = None
    """Why the broker deleted no dead letter; they are hidden then."""
    tombstones: int = 0
    remains: tuple[str, ...] = ()
    """A line for each place that still holds text, with the time when that ends."""

    @property
    def total(self) -> int:
        return self.redis.total + self.letters


def erase_subject(client: redis.Redis, settings: Settings, subject: Subject, *, kafka: bool = True) -> ErasureReport:
    """Erase *subject*; without *kafka*, only in Redis. Raises TransientError: run it again, it continues.

    An author's posts are looked up in Kafka: samples, episodes and notifications name posts, not authors.
    """
    namespace = settings.namespace
    posts = set() if subject.is_author else {PostId(subject.source, subject.id)}
    # At once, so that text does not come in while Kafka is searched.
    forbid(client, namespace, posts=posts, authors=subject.hashes)
    first = erase(client, namespace, posts, authors=subject.hashes)
    if not kafka:
        return ErasureReport(subject, first, remains=(_NOT_READ,))
    servers = settings.bootstrap_servers()
    topics = [TopicTraces(settings.posts_topic), TopicTraces(settings.scored_topic)]
    if subject.is_author:
        topics = [
            find_posts(servers, settings.posts_topic, subject),
            find_scored(servers, settings.scored_topic, subject),
        ]
        found = set().union(*(topic.posts for topic in topics))
        first = _sum(first, erase(client, namespace, found, authors=subject.hashes)) if found else first
    scored_retention = retention_of(servers, settings.scored_topic)
    tombstones = 0
    if scored_retention.compacted:
        keys = topics[1].keys if subject.is_author else {subject.id.encode()}
        tombstones = write_tombstones(servers, settings.scored_topic, keys)
    letters = find_letters(servers, settings.dlq_topic, subject)
    refused = _remove(client, settings, subject, letters)
    report = ErasureReport(subject, first, len(letters.record_ids), refused, tombstones)
    return replace(report, remains=_remains(servers, settings, report, topics, letters))


_NOT_READ = (
    "Kafka was not read (--redis-only): its topics hold the text until their retention ends, and dead letters stay. "
    "Words of an author's posts in samples, and examples of episodes, were found only for posts that Redis still names"
)


def _remove(client: redis.Redis, settings: Settings, subject: Subject, letters: LettersFound) -> str | None:
    if not letters.last:
        return None
    servers, topic = settings.bootstrap_servers(), settings.dlq_topic
    hide_letters(client, settings.namespace, sorted(letters.record_ids))
    # Asked before anything is copied: a broker without deletion would keep the letters and the copies.
    refused = can_delete(servers, topic, min(letters.last))
    return refused if refused is not None else remove_letters(servers, topic, letters, subject)


def _remains(
    servers: str, settings: Settings, report: ErasureReport, topics: list[TopicTraces], letters: LettersFound
) -> tuple[str, ...]:
    now_ms = wall_ms()
    lines = []
    for traces in topics:
        if traces.records == 0:
            lines.append(f"Kafka topic {traces.topic}: no record")
            continue
        until = retention_of(servers, traces.topic).describe(traces.newest_ms or now_ms)
        number = "its record, if there is one" if traces.records is None else f"{traces.records} records"
        lines.append(f"Kafka topic {traces.topic}: {number}, {until}")
    if report.letters_refused is not None:
        until = retention_of(servers, settings.dlq_topic).describe(letters.newest_ms or now_ms)
        lines.append(
            f"Kafka topic {settings.dlq_topic}: {report.letters} dead letters, {until}. `brandpulse dlq` does not show "
            f"or send them any more. The broker did not delete them: {report.letters_refused}"
        )
    until = retention_of(servers, settings.alerts_topic).describe(now_ms)
    lines.append(f"Kafka topic {settings.alerts_topic}: notifications that quoted a post, {until}")
    lines.append("receivers: notifications that they got earlier, or are getting in this minute")
    return tuple(lines)


def _sum(first: Erased, second: Erased) -> Erased:
    return Erased(
        first.posts + second.posts,
        first.samples + second.samples,
        first.episodes + second.episodes,
        first.notifications + second.notifications,
    )
