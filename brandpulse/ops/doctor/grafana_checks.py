"""What `brandpulse doctor` says of names that Grafana's brands dashboard cannot choose."""

from collections.abc import Iterable

from brandpulse.ops.doctor.finding import Finding

BACK_QUOTE = "`"


def check_brand_names(names: Iterable[str]) -> list[Finding]:
    """A warning for each brand whose name ends the raw string that the dashboard's queries put it in."""
    return [
        Finding(
            "grafana",
            f"brand {name!r} holds a back quote: chosen by itself in the brands dashboard, every panel is an error",
            "choose All there, or name it with another quote (' or \") in the brands file",
            warning=True,
        )
        for name in names
        if BACK_QUOTE in name
    ]
