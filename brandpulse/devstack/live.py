"""`brandpulse live`: the stack with live sources for some brands, in one command and without an account."""

import json
import webbrowser
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote
from urllib.request import urlopen

import yaml

from brandpulse.config.brands_file import load_brands_file
from brandpulse.config.settings import Settings, load_settings
from brandpulse.devstack.supervisor import Stack
from brandpulse.devstack.up import run_stack
from brandpulse.errors import ConfigError
from brandpulse.runtime.console import Console, styled
from brandpulse.runtime.service_registry import running

NEWS = "https://news.google.com/rss/search?q={query}&hl=en"
"""Google's news search as a feed: not documented, about 100 items. Give `--feed` for others."""


def live_brands(names: Sequence[str]) -> dict[str, Any]:
    """The brands file for *names*: each is matched as written, as a hashtag and as a handle without spaces."""
    brands = []
    for name in names:
        joined = "".join(character for character in name if character.isalnum())
        brand: dict[str, Any] = {"name": name, "terms": [name]}
        if joined and joined.casefold() != name.casefold():
            brand |= {"hashtags": [joined], "handles": [joined]}
        brands.append(brand)
    return {"brands": brands}


def live_sources(names: Sequence[str], feeds: Sequence[str]) -> dict[str, Any]:
    """The sources file: Bluesky, Hacker News, and *feeds* or else a news search for each brand."""
    urls = list(feeds) or [NEWS.format(query=quote(f'"{name}"')) for name in names]
    return {
        "sources": [
            {"name": "bluesky", "kind": "bluesky"},
            {"name": "hacker-news", "kind": "hacker-news"},
            {"name": "news", "kind": "feed", "urls": urls, "poll_minutes": 15},
        ]
    }


def run_live(names: Sequence[str], *, feeds: Sequence[str], page_port: int, show: bool) -> int:
    """Write both files to `<home>/live`, start the stack on them, and report each source until Ctrl-C; returns 0.

    *show*: open the page in a browser. Raises ConfigError, StartError.
    """
    blank = [name for name in names if not any(character.isalnum() for character in name)]
    if blank:
        raise ConfigError(f'{blank[0]!r} is no brand: a name needs letters or digits, for example "Acme Air"')
    settings = load_settings(Settings)
    folder = settings.home / "live"
    brands, sources = folder / "brands.yaml", folder / "sources.yaml"
    folder.mkdir(parents=True, exist_ok=True)
    _write(brands, live_brands(names))
    _write(sources, live_sources(names, feeds))
    load_brands_file(brands)
    console = Console(stderr=True, soft_wrap=True)
    return run_stack(
        settings.model_copy(update={"brands_file": brands}),
        workers=1,
        page_port=page_port,
        sources=sources,
        ready=_show(console, show=show),
        tick=_reporter(settings.home, console),
    )


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(yaml.safe_dump(content, allow_unicode=True, sort_keys=False), encoding="utf-8")


def _show(console: Console, *, show: bool) -> Callable[[Stack], None]:
    def ready(stack: Stack) -> None:
        url = stack.addresses["page_url"]
        opened = show and webbrowser.open(url)
        place = "the page is open" if opened else f"open {url}"
        console.print(styled(("live", "bold green"), f": {place}. Ctrl-C stops."))

    return ready


def _reporter(home: Path, console: Console) -> Callable[[], None]:
    """Prints each change of a source's state, with the reason."""
    known: dict[str, str] = {}

    def report() -> None:
        for name, (status, reason) in _states(home).items():
            # A reason alone may alternate with each server that is tried.
            if status == "connecting" or known.get(name) == status:
                continue
            known[name] = status
            color = {"reading": "green", "waiting": "yellow", "refused": "red"}.get(status, "")
            console.print(styled(f"{name:<12}", (status, color), f"  {reason}" if reason else ""))

    return report


def _states(home: Path) -> dict[str, tuple[str, str]]:
    for facts in running(home, "ingest"):
        try:
            with urlopen(f"{facts['url']}/readyz", timeout=2) as answer:  # noqa: S310 - our own address
                body = json.load(answer)
        except OSError as error:
            # 503, while no source reads, has the same body.
            read = getattr(error, "read", None)
            body = json.loads(read()) if read is not None else {}
        return {name: (str(state["status"]), str(state["reason"])) for name, state in body.get("sources", {}).items()}
    return {}
