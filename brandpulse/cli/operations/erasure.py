"""`brandpulse erase`: remove the text of a deleted post from what is stored."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from brandpulse.config.settings import Settings
    from brandpulse.ops.erasure import Erased, PostId

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.callback(invoke_without_command=True, subcommand_metavar="")
def erase_post(
    post: Annotated[
        tuple[str, str],
        typer.Option("--post", metavar="SOURCE ID", help="Source and id of the post, as its producer wrote them."),
    ],
) -> None:
    """Erase a post's text from recent posts, samples, episodes and notifications. Counts stay.

    Exit code 1: no text of that post is stored.
    """
    from brandpulse.config.settings import Settings, load_settings
    from brandpulse.ops.erasure import PostId, erase
    from brandpulse.redis.client import connect

    settings = load_settings(Settings)
    wanted = PostId(*post)
    erased = erase(connect(settings.redis_address()), settings.namespace, wanted)
    for line in _report(wanted, erased, settings):
        typer.echo(line)
    if not erased.total:
        raise typer.Exit(1)


def _report(post: "PostId", erased: "Erased", settings: "Settings") -> list[str]:
    name = f"post {post.id!r} of source {post.source!r}"
    result = (
        f"erased from Redis: {erased.posts} recent posts, {erased.samples} samples of words, {erased.episodes} "
        f"episodes, {erased.notifications} notifications"
        if erased.total
        else "Redis stores no text of it; workers that still read it will store none"
    )
    return [
        f"{name}: {result}",
        "Counts stay. The text remains in:",
        f"  Kafka topics {settings.posts_topic}, {settings.scored_topic}, {settings.dlq_topic}, "
        f"{settings.alerts_topic}, until their retention ends (`kafka-configs --describe` shows retention.ms)",
        "  receivers: notifications that they got earlier, or are getting in this minute",
        "  namespaces of later replays, which read the topic again: run this command again after a replay",
    ]
