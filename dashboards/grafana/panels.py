"""Builders of Grafana panels. A panel's description is the meaning and the remedy from the metric table.

Queries are PromQL with Grafana's variables: `$datasource`, `${brand:regex}`, `$__rate_interval`.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard, prometheus, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.models import common, units
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from brandpulse.runtime.metric_definitions import ALERTER_METRICS, INGEST_METRICS, WORKER_METRICS, Metric

METRICS = {metric.name: metric for metric in (*WORKER_METRICS, *ALERTER_METRICS, *INGEST_METRICS)}
DATASOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
NEGATIVE, NEUTRAL, POSITIVE, IRRELEVANT = "#e0503a", "#8793a5", "#2ba58f", "#4d5866"
"""The colours of the live page."""
PERCENT, SECONDS, AGO = units.PercentUnit, units.Seconds, units.DateTimeFromNow
CALM, WARN, BAD = "green", "orange", "red"
SENTIMENT_COLOURS = {"negative": NEGATIVE, "neutral": NEUTRAL, "positive": POSITIVE, "irrelevant": IRRELEVANT}
COLUMN_WIDTH = 80
"""In pixels: four numbers and a name fit into a third of the screen."""
_METRIC_NAME = re.compile(r"brandpulse_[a-z_]+")
_HISTOGRAM_PARTS = ("_bucket", "_count", "_sum")


@dataclass(frozen=True, slots=True)
class Query:
    """One PromQL expression; *legend* names its series with `{{label}}`."""

    expr: str
    legend: str = ""
    instant: bool = False


def metrics_of(expr: str) -> list[Metric]:
    """The metrics that *expr* reads. Raises KeyError for a name that is not in the metric table."""
    names: list[str] = []
    for found in _METRIC_NAME.findall(expr):
        part = next((end for end in _HISTOGRAM_PARTS if found.endswith(end)), "")
        names.append(found if found in METRICS else found.removesuffix(part))
    return [METRICS[name] for name in dict.fromkeys(names)]


def describe(queries: Iterable[Query], *, also: str = "") -> str:
    """The panel's description in Markdown: what it shows, and what to do when it looks bad."""
    metrics = {metric.name: metric for query in queries for metric in metrics_of(query.expr)}
    # The leader metric only filters here; it has its own panel.
    if len(metrics) > 1:
        metrics.pop("brandpulse_alerter_leader", None)
    lines = [f"{metric.meaning}\n\n**If it looks bad:** {metric.remedy}" for metric in metrics.values()]
    return "\n\n".join([*([also] if also else []), *lines])


def of_leader(metric: str, selector: str = "") -> str:
    """*metric* of the leading alerter only: a standby keeps exporting its last values."""
    return f"{metric}{selector} and on (job, instance) brandpulse_alerter_leader == 1"


def quantile(share: float, histogram: str) -> str:
    """The *share* quantile of a histogram."""
    return f"histogram_quantile({share}, sum by (le) (rate({histogram}_bucket[$__rate_interval])))"


def thresholds(*steps: tuple[float | None, str]) -> dashboard.ThresholdsConfig:
    """Each colour applies from its value up; the first value is None, minus infinity."""
    return (
        dashboard.ThresholdsConfig()
        .mode(models.ThresholdsMode.ABSOLUTE)
        .steps([models.Threshold(value=value, color=colour) for value, colour in steps])
    )


def number(
    title: str,
    query: Query,
    *,
    unit: str = "short",
    steps: Sequence[tuple[float | None, str]] = ((None, "text"),),
    mappings: Sequence[tuple[str, str, str]] = (),
    also: str = "",
    width: int = 4,
    spark: bool = False,
) -> stat.Panel:
    """One big number. *mappings* are (value, text, colour)."""
    panel = (
        stat.Panel()
        .title(title)
        .description(describe([query], also=also))
        .datasource(DATASOURCE)
        .with_target(_target(query, "A"))
        .unit(unit)
        .thresholds(thresholds(*steps))
        .color_scheme(dashboard.FieldColor().mode(models.FieldColorModeId.THRESHOLDS))
        .reduce_options(common_builders.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
        .graph_mode(common.BigValueGraphMode.AREA if spark else common.BigValueGraphMode.NONE)
        .color_mode(common.BigValueColorMode.VALUE)
        .height(4)
        .span(width)
        .no_value("–")
    )
    return panel.mappings([_value_mapping(mappings)]) if mappings else panel


def lines(
    title: str,
    *queries: Query,
    unit: str = "short",
    width: int = 12,
    height: int = 8,
    also: str = "",
    stacked: bool = False,
    bars: bool = False,
    top: float | None = None,
    colours: dict[str, str] | None = None,
    dashed: str | None = None,
    soft_top: float | None = None,
    every: str | None = None,
    points: bool = False,
) -> timeseries.Panel:
    """Series over time.

    *dashed* is a regular expression: matching series are drawn as reference lines. *soft_top* is the end of the axis
    while all values are small, *every* the minimum time between two points.
    """
    panel = (
        timeseries.Panel()
        .title(title)
        .description(describe(queries, also=also))
        .datasource(DATASOURCE)
        .unit(unit)
        .min(0)
        .height(height)
        .span(width)
        .line_width(0 if bars else 2)
        .fill_opacity(70 if bars else 25 if stacked else 8)
        .draw_style(common.GraphDrawStyle.BARS if bars else common.GraphDrawStyle.LINE)
        .show_points(common.VisibilityMode.AUTO if points else common.VisibilityMode.NEVER)
        .span_nulls(120_000)
        .legend(
            common_builders.VizLegendOptions()
            .display_mode(common.LegendDisplayMode.LIST)
            .placement(common.LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        .tooltip(
            common_builders.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI).sort(common.SortOrder.DESCENDING)
        )
    )
    for query, ref_id in zip(queries, "ABCDEFGH", strict=False):
        panel = panel.with_target(_target(query, ref_id))
    if stacked:
        panel = panel.stacking(common_builders.StackingConfig().mode(common.StackingMode.NORMAL).group("A"))
    if top is not None:
        panel = panel.max(top)
    if soft_top is not None:
        panel = panel.axis_soft_max(soft_top)
    if every is not None:
        panel = panel.interval(every)
    for name, colour in (colours or {}).items():
        panel = panel.override_by_name(name, [_fixed(colour)])
    if dashed is not None:
        dash = {"fill": "dash", "dash": [8, 6]}
        hidden = {"legend": True, "tooltip": False, "viz": False}
        panel = panel.override_by_regexp(
            f"/^{dashed}$/",
            [
                _fixed(NEUTRAL),
                models.DynamicConfigValue(id_val="custom.hideFrom", value=hidden),
                models.DynamicConfigValue(id_val="custom.lineStyle", value=dash),
                models.DynamicConfigValue(id_val="custom.fillOpacity", value=0),
                models.DynamicConfigValue(id_val="custom.lineWidth", value=1),
            ],
        )
    return panel


def timeline(
    title: str,
    query: Query,
    *,
    mappings: Sequence[tuple[str, str, str]],
    width: int = 12,
    height: int = 6,
    also: str = "",
) -> statetimeline.Panel:
    """States over time, one row per series. *mappings* are (value, text, colour)."""
    return (
        statetimeline.Panel()
        .title(title)
        .description(describe([query], also=also))
        .datasource(DATASOURCE)
        .with_target(_target(query, "A"))
        .mappings([_value_mapping(mappings)])
        # With a threshold colour mode Grafana ignores the mappings and shows "1+".
        .color_scheme(dashboard.FieldColor().mode(models.FieldColorModeId.FIXED).fixed_color(NEUTRAL))
        .show_value(common.VisibilityMode.AUTO)
        .row_height(0.8)
        .fill_opacity(75)
        .legend(common_builders.VizLegendOptions().show_legend(False))
        .height(height)
        .span(width)
    )


@dataclass(frozen=True, slots=True)
class Column:
    """One number of a table row; *steps* set its text colour."""

    title: str
    query: Query
    unit: str = "short"
    steps: Sequence[tuple[float | None, str]] = ()
    decimals: int | None = None
    """None: one for percentages, zero for other numbers."""


def rows(
    title: str, labels: dict[str, str], columns: Sequence[Column], *, width: int = 12, height: int = 8, also: str = ""
) -> table.Panel:
    """A table with one row per combination of *labels* (Prometheus label -> heading) and one column per query."""
    panel = (
        table.Panel()
        .title(title)
        .description(describe([column.query for column in columns], also=also))
        .datasource(DATASOURCE)
        .height(height)
        .span(width)
        .with_transformation(models.DataTransformerConfig(id_val="merge", options={}))
    )
    names = dict(labels)
    order = {label: index for index, label in enumerate(labels)}
    for index, (column, ref_id) in enumerate(zip(columns, "ABCDEFGH", strict=False), start=len(labels)):
        field = "Value" if len(columns) == 1 else f"Value #{ref_id}"
        names[field], order[field] = column.title, index
        panel = panel.with_target(_target(column.query, ref_id).format(PromQueryFormat.TABLE))
        default_decimals = 1 if column.unit == PERCENT else 0
        looks = [
            models.DynamicConfigValue(id_val="unit", value=column.unit),
            models.DynamicConfigValue(id_val="custom.width", value=COLUMN_WIDTH),
            models.DynamicConfigValue(
                id_val="decimals", value=default_decimals if column.decimals is None else column.decimals
            ),
        ]
        if column.steps:
            colours = [{"value": value, "color": colour} for value, colour in column.steps]
            looks += [
                models.DynamicConfigValue(id_val="thresholds", value={"mode": "absolute", "steps": colours}),
                models.DynamicConfigValue(id_val="custom.cellOptions", value={"type": "color-text"}),
            ]
        panel = panel.override_by_name(column.title, looks)
    return panel.with_transformation(
        models.DataTransformerConfig(
            id_val="organize",
            options={"excludeByName": {"Time": True}, "indexByName": order, "renameByName": names},
        )
    )


def board(title: str, *, uid: str, description: str, other: tuple[str, str]) -> dashboard.Dashboard:
    """An empty dashboard with the data source variable, and a link to the *other* one (title, uid)."""
    link = (
        dashboard.DashboardLink(other[0])
        .type(models.DashboardLinkType.LINK)
        .icon("dashboard")
        .url(f"/d/{other[1]}")
        .tooltip(other[0])
        .keep_time(True)
        .include_vars(True)
    )
    return (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags(["brandpulse"])
        .timezone("utc")
        .editable()
        .refresh("30s")
        .time("now-6h", "now")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .link(link)
        .with_variable(
            # The id must be the name: with the SDK's default of zeros, Grafana 10 does not find the variable again.
            dashboard.DatasourceVariable("datasource")
            .id("datasource")
            .label("Data source")
            .type("prometheus")
            .regex("")
            .current(models.VariableOption(text="default", value="default", selected=True))
        )
    )


def brand_variable() -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable("brand")
        .id("brand")
        .label("Brand")
        .datasource(DATASOURCE)
        .query({"query": "label_values(brandpulse_window_posts, brand)", "refId": "brands"})
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_CASE_INSENSITIVE_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(models.VariableOption(text="All", value="$__all", selected=True))
    )


def live_sources() -> statetimeline.Panel:
    """Whether each live source is read: beside charts of volume, because a source that is away looks like calm."""
    return timeline(
        "Live sources",
        Query("max by (name) (brandpulse_source_up) or vector(2)", "{{name}}"),
        mappings=(("0", "not read", BAD), ("1", "read", CALM), ("2", "no live source", NEUTRAL)),
        width=24,
        also="While a source is not read, fewer posts do not mean calm.",
    )


def row(title: str) -> dashboard.Row:
    return dashboard.Row(title)


def _target(query: Query, ref_id: str) -> prometheus.Dataquery:
    metrics_of(query.expr)  # A misspelled metric name fails here instead of showing an empty panel.
    target = prometheus.Dataquery().expr(query.expr).ref_id(ref_id).datasource(DATASOURCE)
    if query.legend:
        target = target.legend_format(query.legend)
    return target.instant() if query.instant else target.range()


def _value_mapping(mappings: Sequence[tuple[str, str, str]]) -> models.ValueMap:
    options = {
        value: models.ValueMappingResult(text=text, color=colour, index=index)
        for index, (value, text, colour) in enumerate(mappings)
    }
    return models.ValueMap(options=options)


def _fixed(colour: str) -> models.DynamicConfigValue:
    return models.DynamicConfigValue(id_val="color", value={"mode": "fixed", "fixedColor": colour})
