"""`brandpulse backtest`: run the alerter's rules over a recording or the stored history. Needs no Kafka."""

import json
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from brandpulse.errors import ConfigError

if TYPE_CHECKING:
    from alerting.rules.models import RuleSet
    from brandpulse.backtest.backtest import Backtest, PastEpisode
    from brandpulse.backtest.recording import RecordedTexts, Tally
    from brandpulse.backtest.volume_backtest import Surge
    from brandpulse.config.facets import Facet
    from brandpulse.schema.episodes import Evidence

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Run the alerter's rules over recorded posts, a series of counts, or the stored history.",
)


class Sentiment(StrEnum):
    POST = "post"
    BRAND = "brand"


class Engine(StrEnum):
    AUTO = "auto"
    OPENVINO = "openvino"
    TORCH = "torch"
    KEYWORD = "keyword"


@app.command()
def posts(  # noqa: PLR0917 - typer passes options by name
    recording: Annotated[
        Path, typer.Option("--in", exists=True, dir_okay=False, help="Recorded posts: JSON lines, plain or .gz.")
    ],
    brands: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="Path of the brands file.")],
    out: Annotated[Path, typer.Option(dir_okay=False, help="Write the episodes here, one JSON object a line.")],
    sentiment: Annotated[
        Sentiment, typer.Option(help="Score posts towards each brand, or each post as a whole.")
    ] = Sentiment.BRAND,
    engine: Annotated[Engine, typer.Option(help="Set the engine of the model.")] = Engine.AUTO,
    scores: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Read known scores from this file, and write new ones to it.")
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(file_okay=False, help="Draw a chart of each brand into this folder, as SVG.")
    ] = None,
    rules: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Path of a rules file. Default: the default rules.")
    ] = None,
) -> None:
    """List the episodes that the alerter would have fired on recorded posts.

    Times are those of the arrival clock: `arrived_at` of the posts, else `created_at`.
    Posts count as in a worker, rules run as in the alerter, with the same BRANDPULSE_ settings.
    """
    from alerting.rules.brand_zones import zones_by_brand
    from alerting.rules.loader import facet_names_of, load_rules
    from alerting.rules.models import DEFAULT_RULES
    from alerting.settings import AlerterSettings
    from brandpulse.backtest.backtest import Backtest
    from brandpulse.backtest.recorded_evidence import with_evidence
    from brandpulse.backtest.recording import Tally
    from brandpulse.config.brands_file import load_brands
    from brandpulse.config.settings import Settings, load_settings
    from stream_workers.settings import WorkerSettings

    _check_folders(out, scores)
    policies = load_settings(AlerterSettings).policies()
    wanted = DEFAULT_RULES if rules is None else load_rules(rules, facets=facet_names_of(brands))
    facets = _watched_facets(wanted, brands, sentiment, scores)
    texts, tally = _scored_texts(recording, brands, scores, engine=engine, sentiment=sentiment, facets=facets)
    worker = load_settings(WorkerSettings)
    backtest = Backtest(
        policies, worker.retention(), worker.dedup_limits(), rules=wanted, zones=zones_by_brand(load_brands(brands))
    )
    backtest.feed(texts.posts(recording, tally))
    partitions = load_settings(Settings).partitions
    episodes = with_evidence(
        backtest.finish(), texts.posts(recording, Tally()), dropped=backtest.panes.dropped, partitions=partitions
    )
    out.write_text("".join(json.dumps(_episode_row(one)) + "\n" for one in episodes), encoding="utf-8")
    if picture is not None:
        _draw_brands(picture, backtest, episodes)
    _print_episodes(episodes)
    status = backtest.panes.status
    unread = f"{status.unread} in a language that the model does not read, " if status.unread else ""
    typer.echo(
        f"{tally.lines} lines: {backtest.panes.posts} posts counted, {status.late} of them late, "
        f"{status.repeated} duplicates, {status.unmatched} without a brand, {unread}"
        f"{tally.invalid + status.dead} invalid. "
        f"{tally.scored} texts scored."
    )


@app.command()
def bound(  # noqa: PLR0917 - typer passes options by name
    recording: Annotated[
        Path, typer.Option("--in", exists=True, dir_okay=False, help="Recorded posts: JSON lines, plain or .gz.")
    ],
    brands: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="Path of the brands file.")],
    truth: Annotated[
        Path, typer.Option(exists=True, dir_okay=False, help="Known incidents, JSON: brand, kind, alert, start, end.")
    ],
    sentiment: Annotated[
        Sentiment, typer.Option(help="Score posts towards each brand, or each post as a whole.")
    ] = Sentiment.BRAND,
    engine: Annotated[Engine, typer.Option(help="Set the engine of the model.")] = Engine.AUTO,
    scores: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Read known scores from this file, and write new ones to it.")
    ] = None,
    labelled: Annotated[
        list[Path] | None,
        typer.Option(
            exists=True, dir_okay=False, help="Labelled texts, JSON lines with text and sentiment. Repeatable."
        ),
    ] = None,
    episodes: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="Compare the bound with these episodes of `backtest posts`."),
    ] = None,
    false_alarms: Annotated[
        float, typer.Option(min=0.001, max=1_000, help="Set the budget: expected false pages per brand in four weeks.")
    ] = 1.0,
    recall: Annotated[
        float, typer.Option(min=0.01, max=1, help="Also print the shortest delays that make up this recall.")
    ] = 0.85,
    out: Annotated[
        Path | None,
        typer.Option(dir_okay=False, help="Write the delays of each incident here, one JSON object a line."),
    ] = None,
) -> None:
    """Print the minimum delay of any detector of the share on known incidents, given the model's output.

    An oracle knows start, usual share and course of each incident, and sums the evidence of its posts:
    predicted labels, scores, and with --labelled perfect labels; each without and with the volume.
    Posts count by event time.
    """
    from brandpulse.backtest.delay_bound.labelled_incidents import read_fired_times, read_incidents
    from brandpulse.backtest.delay_bound.labelled_texts import read_labelled_texts
    from brandpulse.backtest.delay_bound.report import report
    from brandpulse.config.brands_file import load_brands

    _check_folders(out, scores)
    incidents = read_incidents(truth)
    labels = read_labelled_texts(labelled, load_brands(brands)) if labelled else None
    fired = None if episodes is None else read_fired_times(episodes)
    texts, _ = _scored_texts(recording, brands, scores, engine=engine, sentiment=sentiment)
    report(texts, recording, incidents, labelled=labels, fired=fired, false_alarms=false_alarms, recall=recall, out=out)


@app.command()
def counts(  # noqa: PLR0917 - typer passes options by name
    series: Annotated[
        Path, typer.Option("--in", exists=True, dir_okay=False, help="Counts, CSV: timestamp,value. Plain or .gz.")
    ],
    out: Annotated[
        Path, typer.Option(dir_okay=False, help="Write the scores here, CSV: timestamp,value,anomaly_score.")
    ],
    picture: Annotated[Path | None, typer.Option(dir_okay=False, help="Draw a chart here, as SVG.")] = None,
    false_alarms: Annotated[
        float | None,
        typer.Option(
            min=0.001, max=1_000, help="Set the budget: expected false onsets in four weeks.", show_default="1"
        ),
    ] = None,
    time_zone: Annotated[
        str | None,
        typer.Option(help="Set the time zone of hours of the day and week: an IANA name.", show_default="UTC"),
    ] = None,
    brands: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Take the time zone from this brands file.")
    ] = None,
    brand: Annotated[
        str | None, typer.Option(help="Name the brand in --brands. Not needed if all its brands have one time zone.")
    ] = None,
) -> None:
    """Score the surges of a series of counts: in [0, 1] at each onset, else 0. A score of 1 is an alarm.

    Each row counts the posts of one interval; all intervals have one width.
    A score depends on no later row. An interval without a row is missing, not zero.
    """
    from alerting.detection.volume_score import VolumePolicy
    from alerting.rules.brand_zones import zone_of_counts
    from brandpulse.backtest.count_series import missing_intervals, read_counts, step_seconds
    from brandpulse.backtest.volume_backtest import find_surges, score_counts, write_scores

    _check_folders(out, picture)
    policy = VolumePolicy() if false_alarms is None else VolumePolicy(false_alarms=false_alarms)
    zone = zone_of_counts(time_zone, brands, brand)
    rows = read_counts(series)
    step = step_seconds(rows)
    scored = list(score_counts(rows, step_seconds=step, policy=policy, zone=zone))
    surges = find_surges(scored, policy)
    if picture is not None:
        from brandpulse.backtest.charts.volume_chart import draw_volume_chart

        picture.write_text(draw_volume_chart(series.name, scored, surges, step_seconds=step), encoding="utf-8")
    write_scores(out, scored)
    _print_surges(surges)
    typer.echo(f"{len(rows)} rows of {step:g} s, {missing_intervals(rows, step)} missing, {len(surges)} onsets.")


@app.command()
def preview(
    rules: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Path of a rules file. Default: the default rules.")
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=90, help="Set how many days to replay.")] = 28,
    picture: Annotated[
        Path | None, typer.Option(file_okay=False, help="Draw a chart of each brand into this folder, as SVG.")
    ] = None,
) -> None:
    """Count the pages that each rule would have sent over the stored history. Reads Redis only."""
    from brandpulse.cli.alerting.backtest_preview import run

    run(rules=rules, days=days, picture=picture)


def _draw_brands(folder: Path, backtest: "Backtest", episodes: "Sequence[PastEpisode]") -> None:
    from alerting.detection.hour_history import HourHistory
    from brandpulse.backtest.charts.brand_chart import write_brand_chart
    from brandpulse.backtest.charts.hourly_series import hour_points
    from brandpulse.runtime import local_hours

    panes, policies = backtest.panes, backtest.policies
    for brand in panes.brands():
        shown = [one for one in episodes if one.episode.brand == brand]
        hours = panes.all_hours(brand)
        history = HourHistory(panes, policies.baseline, zones=lambda brand: backtest.zones.get(brand, local_hours.UTC))
        history.read([brand], before_hour=max(hours) + 1, since_hour=min(hours))
        points = hour_points(history, brand, hours, policy=policies.detect, episodes=[one.episode for one in shown])
        write_brand_chart(folder, brand, points, shown)


def _check_folders(*targets: Path | None) -> None:
    for target in targets:
        if target is not None and not target.absolute().parent.is_dir():
            raise ConfigError(f"{target}: the folder {target.absolute().parent} does not exist")


def _watched_facets(rules: "RuleSet", brands: Path, sentiment: Sentiment, scores: Path | None) -> "Sequence[Facet]":
    """The facets that *rules* watch. Raises ConfigError if *sentiment* or *scores* excludes one of them."""
    from alerting.rules.models import FacetShareRule
    from brandpulse.config.brands_file import load_brands_file

    watched = {rule.facet for rule in rules.rules if isinstance(rule, FacetShareRule)}
    facets = [facet for facet in load_brands_file(brands).facets if facet.name in watched]
    for facet in facets:
        if facet.heads:
            if sentiment is Sentiment.POST:
                raise ConfigError(f"facet {facet.name!r} needs scores towards each brand: omit --sentiment post")
            if scores is not None:
                raise ConfigError(
                    f"facet {facet.name!r} needs the model's heads, which {scores} does not store: omit --scores"
                )
    return facets


def _scored_texts(
    recording: Path,
    brands: Path,
    scores: Path | None,
    *,
    engine: Engine,
    sentiment: Sentiment,
    facets: "Sequence[Facet]" = (),
) -> tuple["RecordedTexts", "Tally"]:
    """The texts of *recording* with their scores: from the model, or from the file *scores* of an earlier run."""
    from brandpulse.backtest.post_scoring import BrandScoring, PostScoring, facet_matcher
    from brandpulse.backtest.recording import RecordedTexts, Tally
    from brandpulse.backtest.score_file import read_scores, write_scores
    from brandpulse.config.brands_file import load_brands
    from brandpulse.config.settings import Settings, load_settings
    from brandpulse.schema.identity import AuthorHasher
    from brandpulse.text.brand_matcher import BrandMatcher
    from model.inputs.target_marking import plain
    from model.language_weights import load_language_model
    from stream_workers.scoring.brand_marker import BrandMarker

    model = load_language_model(engine.value)
    scorer = model.scorer
    version = f"{scorer.name}@{scorer.version}"
    matcher = BrandMatcher(load_brands(brands), facets)
    # A worker counts scores towards brands. Scores of whole posts exist only here, and skip no language.
    languages = model.identifier if sentiment is Sentiment.BRAND else None
    known = read_scores(scores, version=version) if scores is not None else {}
    texts = RecordedTexts(
        BrandScoring(matcher, BrandMarker(matcher), scorer)
        if sentiment is Sentiment.BRAND
        else PostScoring(matcher, plain, scorer),
        known,
        author_hash=AuthorHasher(load_settings(Settings).author_key.get_secret_value()).of_author,
        facets=facet_matcher(facets, scorer, model.routed),
        languages=languages,
        routed=model.routed if languages is not None else (),
        keep_heads=any(facet.heads for facet in facets),
    )
    tally = Tally()
    texts.score(recording, tally, lambda done, every: typer.echo(f"scored {done} of {every} texts", err=True))
    if scores is not None and tally.scored:
        write_scores(scores, known, version=version)
    return texts, tally


def _episode_row(one: "PastEpisode") -> dict[str, object]:
    episode = one.episode
    return {
        "brand": episode.brand,
        "fired_at": one.fired_at.isoformat(),
        "resolved_at": None if one.resolved_at is None else one.resolved_at.isoformat(),
        "rule": episode.rule,
        "key": episode.key,
        "severity": episode.severity,
        "started_at": episode.started_at.isoformat(),
        "reason": episode.first.reason,
        "sources_of_kept_posts": {one.source: one.posts for one in episode.first.sources},
        "terms": [one.model_dump() for one in episode.first.terms],
        "terms_missing": episode.first.terms_missing,
    }


def _print_episodes(episodes: Sequence["PastEpisode"]) -> None:
    from rich.table import Table

    from brandpulse.runtime.console import Console

    table = Table("brand", "fired", "resolved", "severity", "reason")
    for one in episodes:
        ended = "still firing" if one.resolved_at is None else f"{one.resolved_at:%Y-%m-%d %H:%M}"
        table.add_row(
            one.episode.brand, f"{one.fired_at:%Y-%m-%d %H:%M}", ended, one.episode.severity, _reason(one.episode.first)
        )
    Console().print(table if episodes else "No episode fired.")


def _reason(first: "Evidence") -> str:
    from alerting.notifications.receivers.message_text import post_evidence_lines

    return "\n".join([first.reason, *post_evidence_lines(first)])


def _print_surges(surges: "Sequence[Surge]") -> None:
    from rich.table import Table

    from brandpulse.runtime.console import Console

    table = Table("onset", "score", "reason")
    for surge in surges:
        finding = surge.onset.finding
        table.add_row(surge.onset.count.timestamp, f"{finding.score:.2f}", finding.reason)
    Console().print(table if surges else "No surge found.")
