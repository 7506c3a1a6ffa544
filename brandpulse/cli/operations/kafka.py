"""`brandpulse kafka`: jars for `up --broker kafka`; topics and ACLs for a cluster of your own."""

from typing import Annotated

import typer

from brandpulse.config.settings import KAFKA_VERSION, Settings, load_settings
from brandpulse.devstack.kafka_jars import check_java, fetch, pinned

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


@app.command("fetch")
def fetch_jars() -> None:
    """Fetch Apache Kafka's jars through Maven (44 MB, once), and check each against its pinned SHA-256."""
    folder = load_settings(Settings).kafka_jars
    java = check_java()
    fetched = fetch(folder)
    verb = "fetched" if fetched else "all there"
    typer.echo(f"Apache Kafka {KAFKA_VERSION}: {len(pinned())} jars {verb}, checked, in {folder}; Java {java}")
    typer.echo("start it with `brandpulse up --broker kafka`")


@app.command("topics")
def make_topics() -> None:
    """Make every topic that is missing, as the services would: for an admin's user, where theirs may not."""
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
    apply: Annotated[bool, typer.Option("--apply", help="Create them, as the admin user of the settings.")] = False,
) -> None:
    """Print what each service's user needs in Kafka, for the topics, namespace and worker group of the settings."""
    from brandpulse.ops.kafka_acls import acls_of, commands, create

    settings = load_settings(Settings)
    servers = settings.bootstrap_servers()
    acls = acls_of(settings)
    if apply:
        create(acls, servers)
    for line in commands(acls, servers):
        typer.echo(line)
