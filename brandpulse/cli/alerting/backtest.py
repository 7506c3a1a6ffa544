"""`brandpulse backtest`: what the alerter would have told of recorded posts. No Kafka, no Redis."""

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
    from brandpulse.backtest.recording import Tally, Texts
    from brandpulse.backtest.volume_backtest import Surge
    from brandpulse.config.facets import Facet
    from brandpulse.schema.episodes import Evidence

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Run the alerter's rules over what was recorded, the clock simulated.",
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
def posts(  # noqa: PLR0917 - typer calls it by name
    recording: Annotated[Path, typer.Option("--in", exists=True, dir_okay=False, help="JSON lines, .gz or plain.")],
    brands: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="The brands file.")],
    out: Annotated[Path, typer.Option(dir_okay=False, help="Episodes, one JSON object a line.")],
    sentiment: Annotated[Sentiment, typer.Option(help="Towards the brand, or of the whole post.")] = Sentiment.BRAND,
    engine: Annotated[Engine, typer.Option(help="Of the model.")] = Engine.AUTO,
    scores: Annotated[Path | None, typer.Option(dir_okay=False, help="Keep scores here and use them again.")] = None,
    picture: Annotated[Path | None, typer.Option(file_okay=False, help="Draw each brand's days there, as SVG.")] = None,
    rules: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="A rules file; none: the rules without one.")
    ] = None,
) -> None:
    """The episodes of recorded posts, fired and resolved on the arrival clock (`arrived_at`, else `created_at`).

    Rules and limits are the alerter's own: the BRANDPULSE_ALERTER_ variables count here, too.
    """
    from alerting.rules.brand_zones import zones_by_brand
    from alerting.rules.loader import facet_names_of, load_rules
    from alerting.rules.models import DEFAULT_RULES
    from alerting.settings import AlerterSettings
    from brandpulse.backtest.backtest import Backtest
    from brandpulse.backtest.recorded_evidence import with_posts
    from brandpulse.backtest.recording import Tally
    from brandpulse.config.brands_file import load_brands
    from brandpulse.config.settings import Settings, load_settings
    from stream_workers.settings import WorkerSettings

    _want_folders_of(out, scores)
    policies = load_settings(AlerterSettings).policies()
    wanted = DEFAULT_RULES if rules is None else load_rules(rules, facets=facet_names_of(brands))
    facets = _facets_of(wanted, brands, sentiment, scores)
    texts, tally = _scored(recording, brands, scores, engine=engine, sentiment=sentiment, facets=facets)
    worker = load_settings(WorkerSettings)
    backtest = Backtest(
        policies, worker.retention(), worker.repeat_limits(), rules=wanted, zones=zones_by_brand(load_brands(brands))
    )
    backtest.feed(texts.posts(recording, tally))
    partitions = load_settings(Settings).partitions
    episodes = with_posts(
        backtest.finish(), texts.posts(recording, Tally()), dropped=backtest.panes.dropped, partitions=partitions
    )
    out.write_text("".join(json.dumps(_row(one)) + "\n" for one in episodes), encoding="utf-8")
    if picture is not None:
        _draw_brands(picture, backtest, episodes)
    _show(episodes)
    status = backtest.panes.status
    typer.echo(
        f"{tally.lines} lines: {backtest.panes.posts} posts counted, {status.late} of them late, "
        f"{status.repeated} repeated, {status.unmatched} name no brand, {tally.invalid + status.dead} invalid. "
        f"{tally.scored} texts scored."
    )


@app.command()
def bound(  # noqa: PLR0917 - typer calls it by name
    recording: Annotated[Path, typer.Option("--in", exists=True, dir_okay=False, help="JSON lines, .gz or plain.")],
    brands: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="The brands file.")],
    truth: Annotated[
        Path, typer.Option(exists=True, dir_okay=False, help="JSON: incidents with brand, kind, alert, start, end.")
    ],
    sentiment: Annotated[Sentiment, typer.Option(help="Towards the brand, or of the whole post.")] = Sentiment.BRAND,
    engine: Annotated[Engine, typer.Option(help="Of the model.")] = Engine.AUTO,
    scores: Annotated[Path | None, typer.Option(dir_okay=False, help="Keep scores here and use them again.")] = None,
    labelled: Annotated[
        list[Path] | None,
        typer.Option(exists=True, dir_okay=False, help="Texts and what people say of them, as JSON lines. Repeatable."),
    ] = None,
    episodes: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Of `backtest posts`, to set beside the bound.")
    ] = None,
    false_alarms: Annotated[float, typer.Option(min=0.001, max=1_000, help="Budget a brand in four weeks.")] = 1.0,
    recall: Annotated[float, typer.Option(min=0.01, max=1, help="Delays of the earliest that make it up, too.")] = 0.85,
    out: Annotated[Path | None, typer.Option(dir_okay=False, help="Each incident's minutes, as JSON lines.")] = None,
) -> None:
    """The least delay that any detector of the share could have had on known incidents, with what the model told.

    An oracle that knows start, usual share and course of each incident sums what its posts tell: labels as predicted,
    scores, and with --labelled perfect labels; each without and with the volume as evidence. Posts count by event time.
    """
    from brandpulse.backtest.delay_bound.labelled_incidents import read_fired, read_incidents
    from brandpulse.backtest.delay_bound.labelled_texts import read_labelled
    from brandpulse.backtest.delay_bound.report import report
    from brandpulse.config.brands_file import load_brands

    _want_folders_of(out, scores)
    incidents = read_incidents(truth)
    told = read_labelled(labelled, load_brands(brands)) if labelled else None
    fired = None if episodes is None else read_fired(episodes)
    texts, _ = _scored(recording, brands, scores, engine=engine, sentiment=sentiment)
    report(texts, recording, incidents, labelled=told, fired=fired, false_alarms=false_alarms, recall=recall, out=out)


@app.command()
def counts(  # noqa: PLR0917 - typer calls it by name
    series: Annotated[
        Path, typer.Option("--in", exists=True, dir_okay=False, help="CSV: timestamp,value. Plain or .gz.")
    ],
    out: Annotated[Path, typer.Option(dir_okay=False, help="CSV: timestamp,value,anomaly_score.")],
    picture: Annotated[Path | None, typer.Option(dir_okay=False, help="Draw it there, as SVG.")] = None,
    false_alarms: Annotated[
        float | None, typer.Option(min=0.001, max=1_000, help="Budget in four weeks.", show_default="1")
    ] = None,
    time_zone: Annotated[
        str | None,
        typer.Option(help="Set the clock of the hours of day and week: an IANA name.", show_default="UTC"),
    ] = None,
    brands: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Take the time zone from this brands file.")
    ] = None,
    brand: Annotated[
        str | None, typer.Option(help="Name the brand in --brands; not needed where all have the same time zone.")
    ] = None,
) -> None:
    """When a series of counts surged: a score in [0, 1] at each onset, else 0; 1 is worth an alarm.

    Each row counts the posts of one interval, of equal width. A score depends on no row after it. Intervals without a
    row are missing, not zero.
    """
    from alerting.detection.volume_score import VolumePolicy
    from alerting.rules.brand_zones import zone_of_counts
    from brandpulse.backtest.count_series import missing, read_counts, step_seconds
    from brandpulse.backtest.volume_backtest import look_back, surges, write_scores

    _want_folders_of(out, picture)
    policy = VolumePolicy() if false_alarms is None else VolumePolicy(false_alarms=false_alarms)
    zone = zone_of_counts(time_zone, brands, brand)
    rows = read_counts(series)
    step = step_seconds(rows)
    looked = list(look_back(rows, step_seconds=step, policy=policy, zone=zone))
    found = surges(looked, policy)
    if picture is not None:
        from brandpulse.backtest.charts.volume_chart import draw_counts

        picture.write_text(draw_counts(series.name, looked, found, step_seconds=step), encoding="utf-8")
    write_scores(out, looked)
    _show_surges(found)
    typer.echo(f"{len(rows)} rows of {step:g} s, {missing(rows, step)} missing, {len(found)} onsets.")


@app.command()
def preview(
    rules: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="A rules file; none: the rules without one.")
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=90, help="How far back.")] = 28,
    picture: Annotated[Path | None, typer.Option(file_okay=False, help="Draw each brand's days there, as SVG.")] = None,
) -> None:
    """How many pages each rule would have sent over the stored history, before the file is saved. Reads Redis only."""
    from brandpulse.cli.alerting.backtest_preview import run

    run(rules=rules, days=days, picture=picture)


def _draw_brands(folder: Path, backtest: "Backtest", episodes: "Sequence[PastEpisode]") -> None:
    from alerting.detection.hour_history import HourHistory
    from brandpulse.backtest.charts.brand_chart import draw
    from brandpulse.backtest.charts.hourly_series import shown_hours
    from brandpulse.runtime import local_hours

    panes, policies = backtest.panes, backtest.policies
    folder.mkdir(parents=True, exist_ok=True)
    for brand in panes.brands():
        shown = [one for one in episodes if one.episode.brand == brand]
        hours = panes.all_hours(brand)
        history = HourHistory(panes, policies.baseline, zones=lambda brand: backtest.zones.get(brand, local_hours.UTC))
        history.read([brand], before_hour=max(hours) + 1, since_hour=min(hours))
        seen = shown_hours(history, brand, hours, policy=policies.detect, episodes=[one.episode for one in shown])
        path = folder / f"{''.join(c if c.isalnum() else '-' for c in brand)}.svg"
        path.write_text(draw(brand, seen, shown), encoding="utf-8")


def _want_folders_of(*targets: Path | None) -> None:
    for target in targets:
        if target is not None and not target.absolute().parent.is_dir():
            raise ConfigError(f"{target}: there is no folder {target.absolute().parent}")


def _facets_of(rules: "RuleSet", brands: Path, sentiment: Sentiment, scores: Path | None) -> "Sequence[Facet]":
    """The facets that *rules* watch. Raises ConfigError for one that cannot be told as asked."""
    from alerting.rules.models import FacetShareRule
    from brandpulse.config.brands_file import load_brands_file

    watched = {rule.facet for rule in rules.rules if isinstance(rule, FacetShareRule)}
    facets = [facet for facet in load_brands_file(brands).facets if facet.name in watched]
    for facet in facets:
        if facet.heads:
            if sentiment is Sentiment.POST:
                raise ConfigError(f"facet {facet.name!r} is told towards a brand: leave --sentiment post")
            if scores is not None:
                raise ConfigError(
                    f"facet {facet.name!r} is told by the model, and {scores} would not keep it: leave --scores"
                )
    return facets


def _scored(
    recording: Path,
    brands: Path,
    scores: Path | None,
    *,
    engine: Engine,
    sentiment: Sentiment,
    facets: "Sequence[Facet]" = (),
) -> tuple["Texts", "Tally"]:
    """The texts of *recording* with their scores: from the model, or from the file *scores* of an earlier run."""
    from brandpulse.backtest.post_scoring import BrandScoring, PostScoring, facet_matcher
    from brandpulse.backtest.recording import Tally, Texts
    from brandpulse.backtest.score_file import read_scores, write_scores
    from brandpulse.config.brands_file import load_brands
    from brandpulse.config.settings import Settings, load_settings
    from brandpulse.text.brand_matcher import BrandMatcher
    from model.inputs.target_marking import plain
    from model.loader import load_scorer
    from stream_workers.decoding.post_decoder import AuthorHasher
    from stream_workers.scoring.brand_marker import BrandMarker

    scorer = load_scorer(engine.value)
    version = f"{scorer.name}@{scorer.version}"
    matcher = BrandMatcher(load_brands(brands), facets)
    known = read_scores(scores, version=version) if scores is not None else {}
    texts = Texts(
        BrandScoring(matcher, BrandMarker(matcher), scorer)
        if sentiment is Sentiment.BRAND
        else PostScoring(matcher, plain, scorer),
        known,
        author_hash=AuthorHasher(load_settings(Settings).author_key.get_secret_value()),
        facets=facet_matcher(facets, scorer),
        keep_heads=any(facet.heads for facet in facets),
    )
    tally = Tally()
    texts.score(recording, tally, lambda done, every: typer.echo(f"scored {done} of {every} texts", err=True))
    if scores is not None and tally.scored:
        write_scores(scores, known, version=version)
    return texts, tally


def _row(one: "PastEpisode") -> dict[str, object]:
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


def _show(episodes: Sequence["PastEpisode"]) -> None:
    from rich.table import Table

    from brandpulse.runtime.console import Console

    table = Table("brand", "fired", "resolved", "severity", "why")
    for one in episodes:
        ended = "still open" if one.resolved_at is None else f"{one.resolved_at:%Y-%m-%d %H:%M}"
        table.add_row(
            one.episode.brand, f"{one.fired_at:%Y-%m-%d %H:%M}", ended, one.episode.severity, _why(one.episode.first)
        )
    Console().print(table if episodes else "No episode.")


def _why(first: "Evidence") -> str:
    from alerting.notifications.receivers.message_text import post_evidence_lines

    return "\n".join([first.reason, *post_evidence_lines(first)])


def _show_surges(found: "Sequence[Surge]") -> None:
    from rich.table import Table

    from brandpulse.runtime.console import Console

    table = Table("onset", "score", "why")
    for surge in found:
        finding = surge.onset.finding
        table.add_row(surge.onset.count.timestamp, f"{finding.score:.2f}", finding.reason)
    Console().print(table if found else "No surge.")
