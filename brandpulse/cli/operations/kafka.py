"""`brandpulse kafka`: jars for `up --broker kafka`; topics and access rules for your own Kafka cluster."""

from typing import Annotated

import typer

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Fetch Apache Kafka for `up`; create topics and access rules in your own cluster.",
)


@app.command("fetch")
def fetch_jars() -> None:
    """Fetch Apache Kafka's jars with Maven (44 MB, once) and check each against its pinned SHA-256."""
    from brandpulse.config.settings import KAFKA_VERSION, Settings, load_settings
    from brandpulse.devstack.kafka_jars import check_java, fetch, pinned

    folder = load_settings(Settings).kafka_jars
    java = check_java()
    fetched = fetch(folder)
    state = "fetched" if fetched else "already present"
    typer.echo(f"Apache Kafka {KAFKA_VERSION}: {len(pinned())} jars {state}, checked, in {folder}; Java {java}")
    typer.echo("start it with `brandpulse up --broker kafka`")


@app.command("topics")
def make_topics() -> None:
    """Create the topics that are missing. Run it as an admin if the services' users must not create topics."""
    from brandpulse.config.settings import Settings, load_settings
    from brandpulse.kafka.topics import Topic, ensure_topics

    settings = load_settings(Settings)
    wanted = [
        Topic(settings.posts_topic, settings.partitions),
        Topic(settings.scored_topic, settings.partitions),
        Topic(settings.dlq_topic),
        Topic(settings.alerts_topic),
    ]
    ids = ensure_topics(settings.bootstrap_servers(), wanted, replication_factor=settings.replication_factor)
    for name, topic_id in ids.items():
        typer.echo(f"{name}  {topic_id}")


@app.command("acls")
def show_acls(
    apply: Annotated[
        bool, typer.Option("--apply", help="Create the rules too, as the Kafka user of the settings.")
    ] = False,
) -> None:
    """Print the access rules that each service's Kafka user needs, as kafka-acls.sh commands.

    Topics, namespace and consumer group are those of the settings.
    """
    from brandpulse.config.settings import Settings, load_settings
    from brandpulse.ops.kafka_acls import acls_of, commands, create

    settings = load_settings(Settings)
    servers = settings.bootstrap_servers()
    acls = acls_of(settings)
    if apply:
        create(acls, servers)
    for line in commands(acls, servers):
        typer.echo(line)
