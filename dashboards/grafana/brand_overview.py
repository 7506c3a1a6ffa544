"""The dashboard for brand and communication teams: is a brand burning, since when, how much."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.grafana import panels as p
from dashboards.grafana.panels import Column, Query, of_leader

UID = "brandpulse-brands"
TITLE = "brandpulse · Brands"
BRAND = "{brand=~`${brand:regex}`}"
"""Between back quotes PromQL reads no escapes, and `:regex` escapes as Prometheus' expressions want it. The data
source's own format leaves a quote in a name as it is, which ends the string: a parse error in each panel."""
SHARE = f"max by (brand) ({of_leader('brandpulse_window_negative_ratio', BRAND)})"
USUAL = f"max by (brand) ({of_leader('brandpulse_baseline_negative_ratio', BRAND)})"
POSTS = f"sum by (brand) ({of_leader('brandpulse_window_posts', BRAND)})"
FACET = f"max by (brand, facet) ({of_leader('brandpulse_window_facet_ratio', BRAND)})"
FACET_USUAL = f"max by (brand, facet) ({of_leader('brandpulse_baseline_facet_ratio', BRAND)})"
DELAY = of_leader("brandpulse_expected_delay_seconds", BRAND)
OPEN = f"sum by (brand) ({of_leader('brandpulse_episodes_open', BRAND)})"
FIRING = f"({OPEN} > bool 0) or 0 * {POSTS}"
"""1 or 0 of every brand: the alerter has no series for a brand that has never fired."""


def build() -> Dashboard:
    """The whole dashboard, from the metrics of the worker and the alerter."""
    return (
        p.board(
            TITLE,
            uid=UID,
            description="Negative share, volume and episodes per brand, in event time.",
            other=("Pipeline", "brandpulse-pipeline"),
        )
        .with_variable(p.brand_variable())
        .with_panel(
            p.number(
                "Episodes firing",
                Query(f"sum({OPEN}) or vector(0)", instant=True),
                steps=((None, p.CALM), (1, p.BAD)),
            )
        )
        .with_panel(p.number("Highest negative share", Query(f"max({SHARE})"), unit=p.PERCENT, spark=True, width=5))
        .with_panel(
            p.number(
                "Largest rise above usual",
                Query(f"max({SHARE} - {USUAL})"),
                unit=p.PERCENT,
                steps=((None, "text"), (0.1, p.WARN), (0.2, p.BAD)),
                spark=True,
                width=5,
            )
        )
        .with_panel(p.number("Mentions, last hour", Query(f"sum({POSTS})"), spark=True, width=5))
        .with_panel(
            p.number(
                "Posts are decided up to",
                Query("max(brandpulse_alerter_clock_seconds) * 1000", instant=True),
                unit=p.AGO,
                width=5,
            )
        )
        .with_row(p.row("Mood"))
        .with_panel(
            p.lines(
                "Negative share of the last hour, against usual",
                Query(SHARE, "{{brand}}"),
                Query(USUAL, "{{brand}}, usual"),
                unit=p.PERCENT,
                dashed=".*, usual",
                width=15,
                height=10,
                also="A share is of people who write about the brand: each author has one vote.",
            )
        )
        .with_panel(
            p.rows(
                "Brands now",
                {"brand": "Brand"},
                [
                    Column("Negative", Query(SHARE, instant=True), p.PERCENT),
                    Column("Usual", Query(USUAL, instant=True), p.PERCENT),
                    Column(
                        "Rise",
                        Query(f"{SHARE} - {USUAL}", instant=True),
                        p.PERCENT,
                        ((None, "text"), (0.1, p.WARN), (0.2, p.BAD)),
                    ),
                    Column("Posts", Query(POSTS, instant=True), "locale"),
                ],
                width=9,
                height=10,
            )
        )
        .with_row(p.row("Facets"))
        .with_panel(
            p.lines(
                "Share of people in each facet, against usual",
                Query(FACET, "{{brand}}: {{facet}}"),
                Query(FACET_USUAL, "{{brand}}: {{facet}}, usual"),
                unit=p.PERCENT,
                dashed=".*, usual",
                width=14,
                also="Choose one brand above to read it. Empty where no rule of kind facet_share watches a facet.",
            )
        )
        .with_panel(
            p.rows(
                "Facets now",
                {"brand": "Brand", "facet": "Facet"},
                [
                    Column("People", Query(FACET, instant=True), p.PERCENT),
                    Column("Usual", Query(FACET_USUAL, instant=True), p.PERCENT),
                    Column(
                        "× usual",
                        Query(f"{FACET} / {FACET_USUAL}", instant=True),
                        decimals=1,
                        steps=((None, "text"), (2, p.WARN), (4, p.BAD)),
                    ),
                ],
                width=10,
            )
        )
        .with_row(p.row("Volume"))
        .with_panel(
            p.lines(
                "Mentions counted a minute, by sentiment towards the brand",
                Query(
                    f"60 * sum by (sentiment) (rate(brandpulse_posts_counted_total{BRAND}[$__rate_interval]))",
                    "{{sentiment}}",
                ),
                stacked=True,
                colours=p.SENTIMENT_COLOURS,
                width=8,
                also="What is irrelevant names the brand and says nothing about it: it is part of no share.",
            )
        )
        .with_panel(p.lines("Mentions in the last hour, by brand", Query(POSTS, "{{brand}}"), width=8))
        .with_panel(
            p.lines(
                "How long a rise goes untold, by brand",
                Query(f"clamp_max(max by (brand) ({DELAY}), 86400)", "{{brand}}"),
                unit=p.SECONDS,
                width=8,
                also="A line at one day may mean longer.",
            )
        )
        .with_row(p.row("Episodes"))
        .with_panel(
            p.timeline(
                "Firing",
                Query(FIRING, "{{brand}}"),
                mappings=(("0", "quiet", p.CALM), ("1", "firing", p.BAD)),
                height=7,
            )
        )
        .with_panel(
            p.lines(
                "Episodes triggered, updated, resolved",
                Query(
                    "sum by (transition) (increase(brandpulse_episode_transitions_total[$__rate_interval]))",
                    "{{transition}}",
                ),
                bars=True,
                stacked=True,
                every="5m",
                soft_top=4,
                colours={"triggered": p.BAD, "updated": p.WARN, "resolved": p.CALM},
                height=7,
            )
        )
        .build()
    )
