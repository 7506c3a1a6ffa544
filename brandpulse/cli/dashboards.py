"""`brandpulse dashboards`: the live page, and Grafana dashboards as code."""

from typing import Annotated

import typer

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Serve the live page; build and publish the Grafana dashboards.",
)


@app.command()
def page() -> None:
    """Serve the live page in the foreground until SIGTERM. Settings: BRANDPULSE_PAGE_HOST, _PORT, _TOKEN."""
    from dashboards.page.run import main

    raise typer.Exit(main())


@app.command()
def build(
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit with code 1 if a file is out of date.")
    ] = False,
) -> None:
    """Write dashboards/grafana/json/*.json from the code."""
    from dashboards.grafana.files import stale, write

    if check:
        paths = stale()
        for path in paths:
            typer.echo(f"out of date: {path}. Run `brandpulse dashboards build`", err=True)
        raise typer.Exit(1 if paths else 0)
    changed = write()
    for path in changed:
        typer.echo(f"written: {path}")
    if not changed:
        typer.echo("all files are up to date")


@app.command()
def publish() -> None:
    """Upload both dashboards to a running Grafana. Settings: BRANDPULSE_GRAFANA_URL, _TOKEN, _USER, _FOLDER."""
    from brandpulse.config.settings import load_settings
    from dashboards.grafana.files import built
    from dashboards.grafana.publish import Publisher
    from dashboards.settings import GrafanaSettings

    settings = load_settings(GrafanaSettings)
    token = settings.token.get_secret_value() if settings.token is not None else ""
    publisher = Publisher(settings.url, token, user=settings.user, timeout_seconds=settings.timeout_seconds)
    for result in publisher.publish(built(), folder=settings.folder):
        typer.echo(f"{result.outcome}: {result.title} {result.url}")
