"""`brandpulse silence`: stop the notifications of some episodes for a while, except those of their ends."""

from datetime import UTC, datetime
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from brandpulse.schema.silences import Silence
    from brandpulse.state.operator_requests import OperatorRequestStore

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Add, list and end silences and maintenance windows. Times without a zone are UTC.",
)


@app.command()
def add(  # noqa: PLR0917 - options, given by name
    brand: Annotated[str | None, typer.Option(help="Silence only this brand. Default: all brands.")] = None,
    rule: Annotated[
        str | None, typer.Option(help="Silence only this rule, for example stream_silent. Default: all rules.")
    ] = None,
    below: Annotated[
        str | None, typer.Option(help="Silence only episodes below this severity: critical, error or warning.")
    ] = None,
    everything: Annotated[bool, typer.Option("--everything", help="Silence all brands and rules.")] = False,
    for_: Annotated[str | None, typer.Option("--for", help="Set the duration: 90m, 2h, 1d12h, 1w.")] = None,
    until: Annotated[datetime | None, typer.Option(help="Set the end instead of a duration: 2026-03-02T18:00.")] = None,
    start: Annotated[
        datetime | None, typer.Option("--from", help="Set a later start, of a maintenance window. Default: now.")
    ] = None,
    why: Annotated[str, typer.Option(help="Set the reason that `list` shows.")] = "",
    by: Annotated[str, typer.Option(help="Set the author that `list` shows. Default: the name of this user.")] = "",
) -> None:
    """Silence the episodes that match all given options. Prints the silence's id."""
    from brandpulse.errors import ConfigError
    from brandpulse.runtime.console import echo
    from brandpulse.runtime.service_registry import user_name
    from brandpulse.schema.episodes import SEVERITIES

    if not (brand or rule or below or everything):
        raise ConfigError("choose what to silence: --brand, --rule, --below, or --everything")
    if below is not None and below not in SEVERITIES:
        raise ConfigError(f"--below {below!r} is not a severity; use one of {', '.join(SEVERITIES)}")
    now = datetime.now(UTC)
    starts_at, ends_at = _period(now, start=start, duration=for_, until=until)
    silence = _silence(
        brand=brand,
        rule=rule,
        below=below,
        starts_at=starts_at,
        ends_at=ends_at,
        created_at=now,
        by=by or user_name(),
        why=why,
    )
    _requests().add(silence)
    typer.echo(silence.id)
    echo(f"Silent {_span(silence)}: {_what(silence)}.", err=True)
    if brand is not None and brand not in (known := _brands()):
        # Not an error: a window may be added before the brand's first post. But a misspelt name silences nothing.
        near = get_close_matches(brand, known, n=3, cutoff=0.5) or known[:5]
        echo(f"No post has named the brand {brand!r} yet; known brands: {', '.join(near) or 'none'}.", err=True)


@app.command("list")
def show_list(
    all_: Annotated[bool, typer.Option("--all", help="List silences that ended in the last week, too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
) -> None:
    """List active and later silences, sorted by end."""
    from rich.table import Table

    from brandpulse.runtime.console import Console, id_column

    now = datetime.now(UTC)
    silences = [one for one in _requests().read(now).silences if all_ or one.ends_at > now]
    if as_json:
        for one in silences:
            typer.echo(one.model_dump_json())
        return
    console = Console()
    ids = id_column("id", (one.id for one in silences), width=console.width)
    table = Table(ids, "state", "what", "when", "by", "why")
    for one in silences:
        state = "active" if one.is_active(now) else ("ended" if one.ends_at <= now else "later")
        table.add_row(one.id, state, _what(one), _span(one), one.by, one.why)
    console.print(table if silences else "No silence is active.")


@app.command()
def expire(silence_id: Annotated[str, typer.Argument(help="Id of a silence; see `brandpulse silence list`.")]) -> None:
    """End a silence now. Each episode that is still firing is notified once."""
    from brandpulse.runtime.console import echo

    ended = _requests().expire(silence_id, datetime.now(UTC))
    echo(f"{ended.id} has ended: {_what(ended)}")


def _period(
    now: datetime, *, start: datetime | None, duration: str | None, until: datetime | None
) -> tuple[datetime, datetime]:
    """Start and end. Raises ConfigError unless exactly one of *duration* and *until* is set, and the end is to come."""
    from brandpulse.errors import ConfigError
    from brandpulse.schema.silences import RefusedError, silence_length

    if (duration is None) == (until is None):
        raise ConfigError("set the end with one of --for 2h and --until 2026-03-02T18:00")
    starts_at = _aware(start) if start is not None else now
    try:
        ends_at = starts_at + silence_length(duration) if duration is not None else _aware(until or now)
    except RefusedError as error:
        raise ConfigError(f"--for: {error}") from None
    if ends_at <= now:
        raise ConfigError(
            f"the silence ends in the past, at {ends_at:%Y-%m-%d %H:%M} UTC; set a later --until or --for"
        )
    return starts_at, ends_at


def _silence(**fields: object) -> "Silence":
    """Raises ConfigError for a field that is not valid."""
    from pydantic import ValidationError

    from brandpulse.config.validation import reason_of
    from brandpulse.errors import ConfigError
    from brandpulse.schema.silences import Silence

    try:
        return Silence.model_validate(fields)
    except ValidationError as error:
        raise ConfigError(f"the silence is not valid: {reason_of(error)}") from None


def _aware(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _what(silence: "Silence") -> str:
    parts = [silence.brand or "every brand", f"rule {silence.rule}" if silence.rule else "every rule"]
    if silence.below is not None:
        parts.append(f"below {silence.below}")
    return ", ".join(parts)


def _span(silence: "Silence") -> str:
    return f"{silence.starts_at.astimezone(UTC):%Y-%m-%d %H:%M} to {silence.ends_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _brands() -> list[str]:
    from brandpulse.config.settings import Settings, load_settings
    from brandpulse.redis.client import connect
    from brandpulse.state.pane_reader import PaneReader

    settings = load_settings(Settings)
    return PaneReader(connect(settings.redis_address()), settings.namespace).brands()


def _requests() -> "OperatorRequestStore":
    from brandpulse.config.settings import Settings, load_settings
    from brandpulse.redis.client import connect
    from brandpulse.state.operator_requests import OperatorRequestStore

    settings = load_settings(Settings)
    client = connect(settings.redis_address())
    return OperatorRequestStore(client, settings.namespace)
