"""`brandpulse silence`: tell nobody of some episodes for a while. Their ends are told all the same."""

from datetime import UTC, datetime
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from brandpulse.schema.silences import Silence
    from brandpulse.state.operator_requests import OperatorRequestStore

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Silences and maintenance windows. Times without a zone are UTC."
)


@app.command()
def add(  # noqa: PLR0917 - options, given by name
    brand: Annotated[str | None, typer.Option(help="Only this brand.")] = None,
    rule: Annotated[str | None, typer.Option(help="Only this rule, such as stream_silent.")] = None,
    below: Annotated[
        str | None, typer.Option(help="Only what is less grave than this: critical, error, warning.")
    ] = None,
    everything: Annotated[bool, typer.Option("--everything", help="All brands and rules.")] = False,
    for_: Annotated[str | None, typer.Option("--for", help="How long: 90m, 2h, 1d12h.")] = None,
    until: Annotated[datetime | None, typer.Option(help="Or until when.")] = None,
    start: Annotated[datetime | None, typer.Option("--from", help="A maintenance window begins later.")] = None,
    why: Annotated[str, typer.Option(help="For whoever wonders.")] = "",
    by: Annotated[str, typer.Option(help="Default: the name of this user.")] = "",
) -> None:
    """Silence what matches all that is given. Prints the silence's id."""
    from pydantic import ValidationError

    from brandpulse.config.validation import sentence
    from brandpulse.runtime.console import echo
    from brandpulse.runtime.service_registry import user_name
    from brandpulse.schema.episodes import SEVERITIES
    from brandpulse.schema.silences import RefusedError, Silence, silence_length

    if not (brand or rule or below or everything):
        raise RefusedError("say what: --brand, --rule or --below, or --everything")
    if (for_ is None) == (until is None):
        raise RefusedError("say how long, one way: --for 2h, or --until 2026-03-02T18:00")
    if below is not None and below not in SEVERITIES:
        raise RefusedError(f"--below {below!r} is no severity; right ones: {', '.join(SEVERITIES)}")
    now = datetime.now(UTC)
    begins = _aware(start) if start is not None else now
    ends = begins + silence_length(for_) if for_ is not None else _aware(until or now)
    if ends <= now:
        raise RefusedError(f"it would have ended at {ends:%Y-%m-%d %H:%M} UTC already")
    try:
        silence = Silence.model_validate(
            {
                "brand": brand,
                "rule": rule,
                "below": below,
                "starts_at": begins,
                "ends_at": ends,
                "created_at": now,
                "by": by or user_name(),
                "why": why,
            }
        )
    except ValidationError as error:
        told = "; ".join(f"{'.'.join(map(str, one['loc']))} {sentence(one)}".strip() for one in error.errors())
        raise RefusedError(f"this is no silence: {told}") from None
    _book().add(silence)
    typer.echo(silence.id)
    echo(f"Silent {_span(silence)}: {_what(silence)}.", err=True)
    if brand is not None and brand not in (known := _brands()):
        # Not refused: a window may be made before the brand's first post. But a typing error silences nothing.
        near = get_close_matches(brand, known, n=3, cutoff=0.5) or known[:5]
        echo(f"No post has named the brand {brand!r} yet; known are {', '.join(near) or 'none'}.", err=True)


@app.command("list")
def show_list(
    all_: Annotated[bool, typer.Option("--all", help="Ended ones too, for a week.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Silences that are active or will be, by their end."""
    from rich.table import Table

    from brandpulse.runtime.console import Console, id_column

    now = datetime.now(UTC)
    silences = [one for one in _book().read(now).silences if all_ or one.ends_at > now]
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
    console.print(table if silences else "Nothing is silenced.")


@app.command()
def expire(silence_id: str) -> None:
    """End a silence now. What still fires is told once."""
    from brandpulse.runtime.console import echo

    ended = _book().expire(silence_id, datetime.now(UTC))
    echo(f"{ended.id} has ended: {_what(ended)}")


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


def _book() -> "OperatorRequestStore":
    from brandpulse.config.settings import Settings, load_settings
    from brandpulse.redis.client import connect
    from brandpulse.state.operator_requests import OperatorRequestStore

    settings = load_settings(Settings)
    client = connect(settings.redis_address())
    return OperatorRequestStore(client, settings.namespace)
