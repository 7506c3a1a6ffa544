"""Checks of `brandpulse doctor` for brand names that Grafana's brands dashboard cannot select."""

from collections.abc import Iterable

from brandpulse.ops.doctor.finding import Finding

BACK_QUOTE = "`"


def check_brand_names(names: Iterable[str]) -> list[Finding]:
    """A warning for each brand with a back quote, which ends the raw string in the dashboard's queries."""
    return [
        Finding(
            "grafana",
            f"brand {name!r} contains a back quote: if it alone is selected in the brands dashboard, all panels fail",
            "select All there, or use another quote (' or \") in the brands file",
            warning=True,
        )
        for name in names
        if BACK_QUOTE in name
    ]
