"""`brandpulse erase`: take a deleted post's text out of what is kept."""

from typing import Annotated

import typer

from brandpulse.config.settings import Settings, load_settings
from brandpulse.ops.erasure import Erased, PostId, erase
from brandpulse.redis.client import connect

app = typer.Typer(add_completion=False)


@app.callback(invoke_without_command=True)
def run(
    post: Annotated[
        tuple[str, str],
        typer.Option("--post", metavar="SOURCE ID", help="Source and id of the post, as its producer wrote them."),
    ],
) -> None:
    """Erase a post's text from kept posts, samples, episodes and notifications. Counts stay as they are.

    Exit code 1: no text of that post is kept.
    """
    settings = load_settings(Settings)
    wanted = PostId(*post)
    found = erase(connect(settings.redis_address()), settings.namespace, wanted)
    for line in _report(wanted, found, settings):
        typer.echo(line)
    if not found.total:
        raise typer.Exit(1)


def _report(post: PostId, found: Erased, settings: Settings) -> list[str]:
    named = f"post {post.id!r} of source {post.source!r}"
    done = (
        f"erased from Redis: {found.kept} kept posts, {found.samples} samples of words, {found.episodes} episodes, "
        f"{found.notifications} notifications"
        if found.total
        else f"no text of {named} is kept in Redis; workers will keep none if they still read it"
    )
    return [
        f"{named}: {done}",
        "Counts stay as they are. What remains:",
        f"  Kafka topics {settings.posts_topic}, {settings.scored_topic}, {settings.dlq_topic}, "
        f"{settings.alerts_topic}: until their retention ends (`kafka-configs --describe` shows retention.ms)",
        "  receivers: what they were sent before; a notification that is being sent in this minute may still hold it",
        "  a replay into another namespace reads the topic again: run this command again after it",
    ]
