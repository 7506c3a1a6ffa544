"""`brandpulse erase`: remove a deleted post, or a person, from what is stored."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from brandpulse.ops.erasure.erasure import ErasureReport

NOTHING = ("", "")

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.callback(invoke_without_command=True, subcommand_metavar="")
def erase(
    *,
    post: Annotated[
        tuple[str, str],
        typer.Option(
            "--post",
            metavar="SOURCE ID",
            show_default=False,
            help="Source and id of a post, as its producer wrote them.",
        ),
    ] = NOTHING,
    author: Annotated[
        tuple[str, str],
        typer.Option(
            "--author",
            metavar="SOURCE AUTHOR_ID",
            show_default=False,
            help="Source and author id of a person, as the producer wrote them. The whole topic of posts is read.",
        ),
    ] = NOTHING,
    redis_only: Annotated[
        bool, typer.Option("--redis-only", help="Do not read Kafka: leave dead letters, and find fewer samples.")
    ] = False,
) -> None:
    """Erase a post, or a person's posts, from Redis and the dead letters. Counts stay.

    The report says what remains in Kafka and until when. A later replay does not bring the text back.

    Exit code 1: no text of that post or person was stored.
    """
    from brandpulse.config.settings import Settings, load_settings
    from brandpulse.ops.erasure.erasure import erase_subject
    from brandpulse.ops.erasure.subject import Subject
    from brandpulse.redis.client import connect
    from brandpulse.runtime.console import echo
    from brandpulse.state.erasure.erased_posts import PostId

    settings = load_settings(Settings)
    if post != NOTHING and author == NOTHING:
        subject = Subject.post(PostId(*post))
    elif author != NOTHING and post == NOTHING:
        subject = Subject.author(*author, keys=settings.author_keys())
    else:
        raise typer.BadParameter("give one of --post SOURCE ID and --author SOURCE AUTHOR_ID")
    report = erase_subject(connect(settings.redis_address()), settings, subject, kafka=not redis_only)
    for line in _lines(report):
        echo(line)
    if not report.total:
        raise typer.Exit(1)


def _lines(report: "ErasureReport") -> list[str]:
    found = report.redis
    result = (
        f"erased from Redis: {found.posts} recent posts, {found.samples} samples of words, {found.episodes} "
        f"episodes, {found.notifications} notifications"
        if found.total
        else "Redis stores no text of it; workers that still read it will store none"
    )
    lines = [f"{report.subject}: {result}"]
    if report.letters and report.letters_refused is None:
        lines.append(f"deleted from Kafka: {report.letters} dead letters")
    if report.tombstones:
        lines.append(f"tombstones written for compaction: {report.tombstones}")
    return [*lines, "Counts stay. The text remains in:", *(f"  {line}" for line in report.remains)]
