"""`brandpulse kafka`: what `brandpulse up --broker kafka` needs and no Python wheel carries."""

import typer

from brandpulse.apache_kafka.jars import VERSION, check_java, fetch, pinned
from brandpulse.settings import Settings, load_settings

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


@app.command("fetch")
def fetch_jars() -> None:
    """Fetch Apache Kafka's jars through Maven (44 MB, once), and check each against its pinned SHA-256."""
    folder = load_settings(Settings).kafka_jars
    java = check_java()
    fetched = fetch(folder)
    verb = "fetched" if fetched else "all there"
    typer.echo(f"Apache Kafka {VERSION}: {len(pinned())} jars {verb}, checked, in {folder}; Java {java}")
    typer.echo("start it with `brandpulse up --broker kafka`")
