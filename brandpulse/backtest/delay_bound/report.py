"""The report of `brandpulse backtest bound`: the oracle's delays on incidents, beside those of the alerter."""

import json
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.table import Table

from brandpulse.backtest.delay_bound.labelled_incidents import Incident, detection_delay
from brandpulse.backtest.delay_bound.labelled_texts import LabelledTexts
from brandpulse.backtest.delay_bound.oracle import (
    LABELS,
    Floats,
    Ints,
    Oracle,
    OutputModel,
    earliest_delays,
    score_output_model,
    score_symbols,
    summarize_delays,
    votes_of,
)
from brandpulse.backtest.recorded_post import RecordedPost
from brandpulse.backtest.recording import RecordedTexts, Tally
from brandpulse.errors import ConfigError
from brandpulse.runtime.console import Console
from brandpulse.state.keys import MINUTE_MS
from brandpulse.state.panes import IRRELEVANT, counted_as

NEGATIVE = 0
UNKNOWN = 2
HUMAN_LABELS = OutputModel(np.array([0.0, 1.0, 1.0]), np.array([1.0, 0.0, 1.0]))
"""As `LABELS`; a post without a label is no evidence."""
DETECTOR = "the detector"
VOLUME = " and volume"


@dataclass(slots=True)
class BrandPosts:
    """The posts of one brand, each once."""

    minutes: "array[int]" = field(default_factory=lambda: array("q"))
    authors: "array[int]" = field(default_factory=lambda: array("q"))
    scores: "array[float]" = field(default_factory=lambda: array("d"))
    """P(negative)."""
    predicted: "array[int]" = field(default_factory=lambda: array("b"))
    """1: the classifier predicts negative."""
    labelled: "array[int]" = field(default_factory=lambda: array("b"))
    """1: people labelled it as negative; `UNKNOWN`: it has no label."""


class _Evidence(NamedTuple):
    """What an oracle reads."""

    name: str
    output: OutputModel
    symbols: Callable[[BrandPosts], Ints]


def report(
    texts: RecordedTexts,
    recording: Path,
    incidents: Sequence[Incident],
    *,
    labelled: LabelledTexts | None,
    fired: Mapping[str, Sequence[datetime]] | None,
    false_alarms: float,
    recall: float,
    out: Path | None,
) -> None:
    """Print the delays over all incidents with `alert`, in all, by kind and by brand."""
    posts = posts_by_brand(texts.posts(recording, Tally()), labelled)
    for incident in incidents:
        if incident.brand not in posts:
            raise ConfigError(
                f"brand: there is an incident of {incident.brand!r}, but no post of the recording names this brand"
            )
    delays = _oracle_delays(posts, incidents, labelled is not None, false_alarms)
    alerted = [incident for incident in incidents if incident.alert]
    if fired is not None:
        delays = {DETECTOR: [detection_delay(incident, fired) for incident in alerted], **delays}
    if out is not None:
        out.write_text(
            "".join(_row(incident, number, delays) for number, incident in enumerate(alerted)), encoding="utf-8"
        )
    _print(posts, alerted, delays, recall)
    if labelled is not None:
        labels = [label for one in posts.values() for label in one.labelled]
        Console().print(f"{len(labels)} posts, {labels.count(UNKNOWN)} of them without a label.")


def posts_by_brand(scored_posts: Iterable[RecordedPost], labelled: LabelledTexts | None) -> dict[str, BrandPosts]:
    """The relevant posts of each brand, each once."""
    seen: set[tuple[str, str]] = set()
    posts: dict[str, BrandPosts] = defaultdict(BrandPosts)
    labels: dict[str, int] = {}
    for post in scored_posts:
        if not post.brands or (post.source, post.id) in seen:
            continue
        seen.add((post.source, post.id))
        if labelled is not None and post.text not in labels:
            negative = labelled.is_negative(post.text)
            labels[post.text] = UNKNOWN if negative is None else int(negative)
        for brand, four in zip(post.brands, post.probabilities, strict=True):
            label, _ = counted_as(four)
            if label == IRRELEVANT:
                continue
            one = posts[brand]
            one.minutes.append(post.event_ms // MINUTE_MS)
            one.authors.append(post.author)
            one.scores.append(four[NEGATIVE])
            one.predicted.append(label == NEGATIVE)
            one.labelled.append(labels.get(post.text, UNKNOWN))
    return posts


def _oracle_delays(
    posts: Mapping[str, BrandPosts], incidents: Sequence[Incident], has_labels: bool, false_alarms: float
) -> dict[str, list[float | None]]:
    """Name of the evidence -> delay of each incident with `alert`."""
    spans: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for incident in incidents:
        spans[incident.brand].append((incident.first_minute, incident.end_minute))
    delays: dict[str, list[float | None]] = {}
    for evidence in _evidences(posts, has_labels):
        oracles = {brand: _oracle(posts[brand], evidence, within) for brand, within in spans.items()}
        for brand, oracle in oracles.items():
            if not oracle.calm_hours:
                raise ConfigError(f"brand {brand!r}: every hour has an incident, so there is no baseline")
        for volume in (False, True):
            delays[evidence.name + VOLUME * volume] = [
                oracles[one.brand].delay((one.first_minute, one.end_minute), false_alarms=false_alarms, volume=volume)
                for one in incidents
                if one.alert
            ]
    return delays


def _evidences(posts: Mapping[str, BrandPosts], has_labels: bool) -> list[_Evidence]:
    scores = np.concatenate([_floats(one.scores) for one in posts.values()])
    labels = np.concatenate([np.array(one.labelled) for one in posts.values()])
    # Without a label, the score is the best estimate.
    negative = np.where(labels == UNKNOWN, scores, labels)
    found = [
        _Evidence("labels", LABELS, lambda one: np.array(one.predicted, np.int64)),
        _Evidence("scores", score_output_model(scores, negative), lambda one: score_symbols(_floats(one.scores))),
    ]
    if has_labels:
        found.append(_Evidence("perfect labels", HUMAN_LABELS, lambda one: np.array(one.labelled, np.int64)))
    return found


def _floats(values: "array[float]") -> Floats:
    return np.array(values, np.float64)


def _oracle(posts: BrandPosts, evidence: _Evidence, spans: Sequence[tuple[int, int]]) -> Oracle:
    minutes = np.array(posts.minutes, np.int64)
    order = np.argsort(minutes, kind="stable")
    votes = votes_of(
        minutes[order],
        np.array(posts.authors, np.int64)[order],
        evidence.symbols(posts)[order],
        symbol_count=len(evidence.output.if_not),
    )
    return Oracle(votes, evidence.output, spans)


def _row(incident: Incident, number: int, delays: Mapping[str, Sequence[float | None]]) -> str:
    minutes = {name: each[number] for name, each in delays.items()}
    return json.dumps({**incident.model_dump(mode="json"), "minutes": minutes}) + "\n"


def _print(
    posts: Mapping[str, BrandPosts],
    incidents: Sequence[Incident],
    delays: Mapping[str, Sequence[float | None]],
    recall: float,
) -> None:
    console = Console(width=200)
    at_recall = [f"{name} at {recall:g}" for name in ("p50", "p95")]
    table = Table("evidence", "found", "recall", "p50", "p95", "p50 of all", *at_recall)
    table.title = "minutes from the start of an incident"
    for name, minutes in delays.items():
        every, earliest = summarize_delays(minutes), summarize_delays(earliest_delays(minutes, recall))
        table.add_row(
            name,
            f"{every.found} of {every.incidents}",
            f"{every.found / max(every.incidents, 1):.2f}",
            *(_minutes(value) for value in (every.p50, every.p95, every.p50_of_all, earliest.p50, earliest.p95)),
        )
    console.print(table)
    per_minute = {brand: len(one.minutes) / max(max(one.minutes) - min(one.minutes), 1) for brand, one in posts.items()}
    # Volume is hardly evidence in most recordings: only the first table and the file have it.
    shown = {name: minutes for name, minutes in delays.items() if not name.endswith(VOLUME)}
    for title, name_of in (
        ("kind", lambda one: one.kind),
        ("brand", lambda one: f"{one.brand}, {per_minute[one.brand]:.1f} posts/min"),
    ):
        console.print(_grouped(title, [name_of(one) for one in incidents], shown))
    if DETECTOR in delays:
        sooner = sum(_is_before(*both) for both in zip(delays[DETECTOR], delays["labels"], strict=True))
        console.print(f"{DETECTOR} paged before the oracle of labels in {sooner} of {len(incidents)} incidents.")


def _grouped(title: str, groups: Sequence[str], delays: Mapping[str, Sequence[float | None]]) -> Table:
    table = Table(title, "incidents", *delays, title="found, and p50 of those found")
    for group in dict.fromkeys(sorted(groups)):
        cells = []
        for minutes in delays.values():
            within = summarize_delays([one for one, name in zip(minutes, groups, strict=True) if name == group])
            cells.append(f"{within.found}, {_minutes(within.p50)}")
        table.add_row(group, str(groups.count(group)), *cells)
    return table


def _is_before(one: float | None, other: float | None) -> bool:
    return one is not None and (other is None or one < other)


def _minutes(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"
