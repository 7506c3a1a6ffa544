"""The commands of `brandpulse ingest` for live sources."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer

FAILED = 1

SourcesOption = Annotated[
    Path | None, typer.Option("--sources", help="The sources file. Default: BRANDPULSE_SOURCES_FILE, or sources.yaml.")
]


def run_command(sources: SourcesOption = None) -> None:
    """Read all live sources of the sources file and send their posts, until Ctrl-C or SIGTERM.

    The file is read again when it changes. A killed run resumes where the broker had confirmed the posts.
    """
    from ingest.run import main

    _use_sources(sources)
    raise typer.Exit(main())


def check_command(sources: SourcesOption = None) -> None:
    """Ask each source of the sources file whether it would work, and name the fault. Sends nothing."""
    from brandpulse.ops.source_check import check_sources
    from brandpulse.runtime.console import Console

    _use_sources(sources)
    console = Console(soft_wrap=True)
    failed = False
    for name, works, answer in check_sources():
        failed |= not works
        console.print(f"{'ok    ' if works else 'FAILS '} {name}: {answer}", style="" if works else "red", markup=False)
    if failed:
        raise typer.Exit(FAILED)


def gaps_command(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per gap.")] = False,
) -> None:
    """List the periods that live sources could not read, newest first. Posts of these periods may be missing."""
    from brandpulse.ops.source_check import read_gaps
    from brandpulse.runtime.console import Console

    gaps = read_gaps()
    if as_json:
        for gap in gaps:
            typer.echo(json.dumps(gap))
        return
    console = Console(soft_wrap=True)
    if not gaps:
        console.print("no gap is known")
    for gap in gaps:
        state = ", refilled" if gap["refilled"] else ""
        console.print(f"{gap['source']}: {gap['begin']} to {gap['end']} ({gap['reason']}{state})", markup=False)


def _use_sources(path: Path | None) -> None:
    if path is not None:
        os.environ["BRANDPULSE_SOURCES_FILE"] = str(path)
