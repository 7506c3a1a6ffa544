"""The dashboard for brand and communication teams: which brands are firing, since when, how far above baseline."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.grafana import panels as p
from dashboards.grafana.panels import Column, Query, of_leader

UID = "brandpulse-brands"
TITLE = "brandpulse · Brands"
BRAND = "{brand=~`${brand:regex}`}"
"""PromQL reads no escapes between backquotes, and `:regex` escapes for Prometheus' regular expressions. The data
source's default format does not escape a quote in a name, which would end the string: a parse error in each panel."""
SHARE = f"max by (brand) ({of_leader('brandpulse_window_negative_ratio', BRAND)})"
BASELINE = f"max by (brand) ({of_leader('brandpulse_baseline_negative_ratio', BRAND)})"
POSTS = f"sum by (brand) ({of_leader('brandpulse_window_posts', BRAND)})"
FACET = f"max by (brand, facet) ({of_leader('brandpulse_window_facet_ratio', BRAND)})"
WITHOUT_VOTE = of_leader("brandpulse_window_people_without_vote", BRAND)
FACET_BASELINE = f"max by (brand, facet) ({of_leader('brandpulse_baseline_facet_ratio', BRAND)})"
DELAY = of_leader("brandpulse_expected_delay_seconds", BRAND)
OPEN = f"sum by (brand) ({of_leader('brandpulse_episodes_open', BRAND)})"
FIRING = f"({OPEN} > bool 0) or 0 * {POSTS}"
"""1 or 0 for every brand: the alerter has no series for a brand that has never fired."""


def build() -> Dashboard:
    """The dashboard, from the metrics of the worker and the alerter."""
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
                "Largest rise above baseline",
                Query(f"max({SHARE} - {BASELINE})"),
                unit=p.PERCENT,
                steps=((None, "text"), (0.1, p.WARN), (0.2, p.BAD)),
                spark=True,
                width=5,
            )
        )
        .with_panel(p.number("Mentions, last hour", Query(f"sum({POSTS})"), spark=True, width=5))
        .with_panel(
            p.number(
                "Alerts evaluated until",
                Query("max(brandpulse_alerter_clock_seconds) * 1000", instant=True),
                unit=p.AGO,
                width=5,
            )
        )
        .with_row(p.row("Sentiment"))
        .with_panel(
            p.lines(
                "Negative share, last hour vs. baseline",
                Query(SHARE, "{{brand}}"),
                Query(BASELINE, "{{brand}}, baseline"),
                unit=p.PERCENT,
                dashed=".*, baseline",
                width=15,
                height=10,
                also="A share counts people who post about the brand: each author counts once.",
            )
        )
        .with_panel(
            p.rows(
                "Brands now",
                {"brand": "Brand"},
                [
                    Column("Negative", Query(SHARE, instant=True), p.PERCENT),
                    Column("Baseline", Query(BASELINE, instant=True), p.PERCENT),
                    Column(
                        "Rise",
                        Query(f"{SHARE} - {BASELINE}", instant=True),
                        p.PERCENT,
                        ((None, "text"), (0.1, p.WARN), (0.2, p.BAD)),
                    ),
                    Column("Posts", Query(POSTS, instant=True), "locale"),
                ],
                width=9,
                height=10,
            )
        )
        .with_panel(
            p.lines(
                "People without a vote, last hour",
                Query(f"max by (brand, reason) ({WITHOUT_VOTE}) or vector(0)", "{{brand}}: {{reason}}"),
                width=24,
                height=6,
            )
        )
        .with_row(p.row("Facets"))
        .with_panel(
            p.lines(
                "Share of people per facet vs. baseline",
                Query(FACET, "{{brand}}: {{facet}}"),
                Query(FACET_BASELINE, "{{brand}}: {{facet}}, baseline"),
                unit=p.PERCENT,
                dashed=".*, baseline",
                width=14,
                also="Select one brand above. The chart is empty if no rule of kind facet_share watches a facet.",
            )
        )
        .with_panel(
            p.rows(
                "Facets now",
                {"brand": "Brand", "facet": "Facet"},
                [
                    Column("Share", Query(FACET, instant=True), p.PERCENT),
                    Column("Baseline", Query(FACET_BASELINE, instant=True), p.PERCENT),
                    Column(
                        "Ratio",
                        Query(f"{FACET} / {FACET_BASELINE}", instant=True),
                        decimals=1,
                        steps=((None, "text"), (2, p.WARN), (4, p.BAD)),
                    ),
                ],
                width=10,
            )
        )
        .with_row(p.row("Volume"))
        .with_panel(p.live_sources())
        .with_panel(
            p.lines(
                "Mentions per minute by sentiment",
                Query(
                    f"60 * sum by (sentiment) (rate(brandpulse_posts_counted_total{BRAND}[$__rate_interval]))",
                    "{{sentiment}}",
                ),
                stacked=True,
                colours=p.SENTIMENT_COLOURS,
                width=8,
                also="Irrelevant posts name the brand and say nothing about it. No share includes them.",
            )
        )
        .with_panel(p.lines("Mentions, last hour, by brand", Query(POSTS, "{{brand}}"), width=8))
        .with_panel(
            p.lines(
                "Detection delay by brand",
                Query(f"clamp_max(max by (brand) ({DELAY}), 86400)", "{{brand}}"),
                unit=p.SECONDS,
                width=8,
                also="Values are capped at one day.",
            )
        )
        .with_row(p.row("Episodes"))
        .with_panel(
            p.timeline(
                "Firing episodes",
                Query(FIRING, "{{brand}}"),
                mappings=(("0", "quiet", p.CALM), ("1", "firing", p.BAD)),
                height=7,
            )
        )
        .with_panel(
            p.lines(
                "Episode changes per 5 minutes",
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
