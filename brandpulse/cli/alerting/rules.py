"""`brandpulse rules`: check a rules file, print an example."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from alerting.rules.models import CommonRule, Rule

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Check a rules file: what is detected, and which receivers are notified when.",
)


@app.command()
def check(
    file: Annotated[Path | None, typer.Argument(help="Path of the rules file. Default: BRANDPULSE_RULES_FILE.")] = None,
) -> None:
    """Read a rules file as the alerter does. Exit code 0: the file is valid."""
    from rich.table import Table

    from alerting.notifications.receivers.receivers_file import load_receivers
    from alerting.rules.loader import facet_names_of, load_rules, unknown_brands
    from alerting.rules.models import DEFAULT_RULES
    from alerting.settings import AlerterSettings
    from brandpulse.config.brands_file import load_brands
    from brandpulse.config.settings import Settings, load_settings
    from brandpulse.runtime.console import Console

    alerter, settings = load_settings(AlerterSettings), load_settings(Settings)
    path = file or alerter.rules_file
    receivers = None
    if alerter.receivers_file is not None:
        receivers = {config.name for config in load_receivers(alerter.receivers_file)}
    rules = (
        DEFAULT_RULES
        if path is None
        else load_rules(path, receivers=receivers, facets=facet_names_of(settings.brands_file))
    )
    table = Table("rule", "kind", "brands", "receivers", "quiet hours")
    for rule in rules.rules:
        table.add_row(rule.name, _kind(rule), _brands(rule), _receivers(rule), _quiet_hours(rule))
    console = Console()
    console.print("No rules file is set: these are the default rules." if path is None else f"{path} is valid.")
    console.print(table)
    if receivers is None:
        console.print("BRANDPULSE_RECEIVERS_FILE is not set: the names of receivers were not checked.")
    if settings.brands_file.exists():
        for brand in unknown_brands(rules, {brand.name for brand in load_brands(settings.brands_file)}):
            console.print(
                f"Warning: {settings.brands_file} has no brand {brand!r}: the rule matches nothing under that name."
            )


@app.command()
def example() -> None:
    """Print an example rules file."""
    from alerting.rules.loader import EXAMPLE

    typer.echo(EXAMPLE, nl=False)


def _kind(rule: "Rule") -> str:
    from alerting.rules.models import FacetShareRule

    return f"{rule.kind} of {rule.facet}" if isinstance(rule, FacetShareRule) else rule.kind


def _brands(rule: "CommonRule") -> str:
    return "all" if rule.brands == "all" else ", ".join(rule.brands)


def _receivers(rule: "CommonRule") -> str:
    if rule.receivers is None:
        return "all"
    return ", ".join(
        one.name if one.min_severity is None else f"{one.name} from {one.min_severity}" for one in rule.receivers
    )


def _quiet_hours(rule: "CommonRule") -> str:
    return "\n".join(
        f"{one.start:%H:%M}-{one.end:%H:%M} {one.time_zone} ({', '.join(one.days)}), below {one.below}"
        for one in rule.quiet_hours
    )
