"""`brandpulse backtest bound`: what any detector could have told of a recording's incidents, beside what one did."""

import json
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import typer

from brandpulse.backtest.delay_bound.labelled_incidents import Incident, told_after
from brandpulse.backtest.delay_bound.labelled_texts import LabelledTexts
from brandpulse.backtest.delay_bound.oracle import (
    LABELS,
    Floats,
    Ints,
    Oracle,
    Reading,
    delays_of,
    earliest,
    score_reading,
    score_symbols,
    votes_of,
)
from brandpulse.backtest.recorded_post import RecordedPost
from brandpulse.backtest.recording import Tally, Texts
from brandpulse.errors import ConfigError
from brandpulse.state.keys import MINUTE_MS
from brandpulse.state.panes import IRRELEVANT, counted_as

if TYPE_CHECKING:
    from rich.table import Table

NEGATIVE = 0
UNKNOWN = 2
PEOPLE = Reading(np.array([0.0, 1.0, 1.0]), np.array([1.0, 0.0, 1.0]))
"""As `LABELS`; a post whose label nobody told says nothing."""
PAGED = "the detector"
VOLUME = " and volume"


@dataclass(slots=True)
class Posts:
    """One brand's, each once: event minutes, authors, scores, whether called negative, what people say."""

    minutes: "array[int]" = field(default_factory=lambda: array("q"))
    authors: "array[int]" = field(default_factory=lambda: array("q"))
    scores: "array[float]" = field(default_factory=lambda: array("d"))
    called: "array[int]" = field(default_factory=lambda: array("b"))
    people: "array[int]" = field(default_factory=lambda: array("b"))


class _Evidence(NamedTuple):
    """What an oracle may read."""

    name: str
    reading: Reading
    symbols: Callable[[Posts], Ints]


def report(
    texts: Texts,
    recording: Path,
    incidents: Sequence[Incident],
    *,
    labelled: LabelledTexts | None,
    fired: Mapping[str, Sequence[datetime]] | None,
    false_alarms: float,
    recall: float,
    out: Path | None,
) -> None:
    """Print the bound over all incidents that had to be alerted, by kind and by brand."""
    posts = posts_by_brand(texts.posts(recording, Tally()), labelled)
    for incident in incidents:
        if incident.brand not in posts:
            raise ConfigError(
                f"brand: no post of the recording names {incident.brand!r}, of which there is an incident"
            )
    told = _told(posts, incidents, labelled is not None, false_alarms)
    wanted = [incident for incident in incidents if incident.alert]
    if fired is not None:
        told = {PAGED: [told_after(incident, fired) for incident in wanted], **told}
    if out is not None:
        out.write_text(
            "".join(_row(incident, number, told) for number, incident in enumerate(wanted)), encoding="utf-8"
        )
    _print(posts, wanted, told, recall)
    if labelled is not None:
        everyone = [label for one in posts.values() for label in one.people]
        typer.echo(f"{len(everyone)} posts, of {everyone.count(UNKNOWN)} nobody told the label.")


def posts_by_brand(scored_posts: Iterable[RecordedPost], labelled: LabelledTexts | None) -> dict[str, Posts]:
    """What *scored_posts* say about each brand: each post once, and none that names a brand and says nothing about it."""
    seen: set[tuple[str, str]] = set()
    posts: dict[str, Posts] = defaultdict(Posts)
    people: dict[str, int] = {}
    for post in scored_posts:
        if not post.brands or (post.source, post.id) in seen:
            continue
        seen.add((post.source, post.id))
        if labelled is not None and post.text not in people:
            negative = labelled.is_negative(post.text)
            people[post.text] = UNKNOWN if negative is None else int(negative)
        for brand, four in zip(post.brands, post.probabilities, strict=True):
            label, _ = counted_as(four)
            if label == IRRELEVANT:
                continue
            one = posts[brand]
            one.minutes.append(post.event_ms // MINUTE_MS)
            one.authors.append(post.author)
            one.scores.append(four[NEGATIVE])
            one.called.append(label == NEGATIVE)
            one.people.append(people.get(post.text, UNKNOWN))
    return posts


def _told(
    posts: Mapping[str, Posts], incidents: Sequence[Incident], with_people: bool, false_alarms: float
) -> dict[str, list[float | None]]:
    """Name of the evidence -> minutes for each incident that had to be alerted."""
    spans: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for incident in incidents:
        spans[incident.brand].append((incident.first_minute, incident.end_minute))
    told: dict[str, list[float | None]] = {}
    for evidence in _evidences(posts, with_people):
        oracles = {brand: _oracle(posts[brand], evidence, within) for brand, within in spans.items()}
        for brand, oracle in oracles.items():
            if not oracle.calm_hours:
                raise ConfigError(f"brand {brand!r}: incidents in each of its hours, so none tells what is usual")
        for volume in (False, True):
            told[evidence.name + VOLUME * volume] = [
                oracles[one.brand].told_after(
                    (one.first_minute, one.end_minute), false_alarms=false_alarms, volume=volume
                )
                for one in incidents
                if one.alert
            ]
    return told


def _evidences(posts: Mapping[str, Posts], with_people: bool) -> list[_Evidence]:
    scores = np.concatenate([_floats(one.scores) for one in posts.values()])
    people = np.concatenate([np.array(one.people) for one in posts.values()])
    # Where nobody told, a score is taken at its word.
    negative = np.where(people == UNKNOWN, scores, people)
    found = [
        _Evidence("labels", LABELS, lambda one: np.array(one.called, np.int64)),
        _Evidence("scores", score_reading(scores, negative), lambda one: score_symbols(_floats(one.scores))),
    ]
    if with_people:
        found.append(_Evidence("perfect labels", PEOPLE, lambda one: np.array(one.people, np.int64)))
    return found


def _floats(values: "array[float]") -> Floats:
    return np.array(values, np.float64)


def _oracle(posts: Posts, evidence: _Evidence, spans: Sequence[tuple[int, int]]) -> Oracle:
    minutes = np.array(posts.minutes, np.int64)
    order = np.argsort(minutes, kind="stable")
    votes = votes_of(
        minutes[order],
        np.array(posts.authors, np.int64)[order],
        evidence.symbols(posts)[order],
        symbols_in_all=len(evidence.reading.if_not),
    )
    return Oracle(votes, evidence.reading, spans)


def _row(incident: Incident, number: int, told: Mapping[str, Sequence[float | None]]) -> str:
    minutes = {name: each[number] for name, each in told.items()}
    return json.dumps({**incident.model_dump(mode="json"), "minutes": minutes}) + "\n"


def _print(
    posts: Mapping[str, Posts], wanted: Sequence[Incident], told: Mapping[str, Sequence[float | None]], recall: float
) -> None:
    from rich.table import Table

    from brandpulse.runtime.console import Console

    console = Console(width=200)
    at_recall = [f"{name} at {recall:g}" for name in ("p50", "p95")]
    table = Table("evidence", "found", "recall", "p50", "p95", "p50 of all", *at_recall)
    table.title = "minutes from an incident's start"
    for name, minutes in told.items():
        all_of, soonest = delays_of(minutes), delays_of(earliest(minutes, recall))
        table.add_row(
            name,
            f"{all_of.found} of {all_of.incidents}",
            f"{all_of.found / max(all_of.incidents, 1):.2f}",
            *(_minutes(value) for value in (all_of.p50, all_of.p95, all_of.p50_of_all, soonest.p50, soonest.p95)),
        )
    console.print(table)
    per_minute = {brand: len(one.minutes) / max(max(one.minutes) - min(one.minutes), 1) for brand, one in posts.items()}
    # Volume hardly tells anything of most recordings: it stands in the first table and in the file.
    shown = {name: minutes for name, minutes in told.items() if not name.endswith(VOLUME)}
    for title, name_of in (
        ("kind", lambda one: one.kind),
        ("brand", lambda one: f"{one.brand}, {per_minute[one.brand]:.1f} posts/min"),
    ):
        console.print(_grouped(title, [name_of(one) for one in wanted], shown))
    if PAGED in told:
        sooner = sum(_before(*both) for both in zip(told[PAGED], told["labels"], strict=True))
        console.print(f"{PAGED} paged before the oracle of labels in {sooner} of {len(wanted)} incidents.")


def _grouped(title: str, groups: Sequence[str], told: Mapping[str, Sequence[float | None]]) -> "Table":
    from rich.table import Table

    table = Table(title, "incidents", *told, title="found, and p50 of those found")
    for group in dict.fromkeys(sorted(groups)):
        cells = []
        for minutes in told.values():
            within = delays_of([one for one, name in zip(minutes, groups, strict=True) if name == group])
            cells.append(f"{within.found}, {_minutes(within.p50)}")
        table.add_row(group, str(groups.count(group)), *cells)
    return table


def _before(one: float | None, other: float | None) -> bool:
    return one is not None and (other is None or one < other)


def _minutes(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"
