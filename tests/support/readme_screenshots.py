"""The README's pictures of the live page: `python -m tests.support.readme_screenshots docs/pictures`.

It takes half a minute and needs Chromium. The demo's stack scores the shipped sample until the middle of the crisis,
while Aerolux fires. The end-to-end tests write Grafana's pictures to BRANDPULSE_TEST_PICTURES.
"""

import gzip
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal, NamedTuple

import redis
from playwright.sync_api import Browser, ViewportSize

from brandpulse.devstack import demo
from brandpulse.devstack.supervisor import Stack
from brandpulse.devstack.up import start_services
from brandpulse.runtime.console import Console
from brandpulse.sample.generate import CRISIS_END
from brandpulse.state.pane_reader import PaneReader
from tests.support.dashboards.browser import a_browser
from tests.support.patience import wait_until

UNTIL = CRISIS_END - timedelta(minutes=25)
MOST_BYTES = 300_000


class Look(NamedTuple):
    """One theme and size of the page."""

    name: str
    scheme: Literal["dark", "light"]
    viewport: ViewportSize
    pixels_per_point: int = 1


LOOKS = (
    Look("dark", "dark", {"width": 1360, "height": 1300}),
    Look("light", "light", {"width": 1360, "height": 1300}),
    Look("phone", "light", {"width": 390, "height": 844}, pixels_per_point=2),
)


def main(folder: Path) -> None:
    """Write `page-<look>.png` for each look. Fails if one is too large for a README."""
    folder.mkdir(parents=True, exist_ok=True)
    say = Console(stderr=True, soft_wrap=True).print
    with tempfile.TemporaryDirectory() as name, a_browser() as browser:
        stack = Stack(Path(name), env=demo.DEMO_ENV, report=say)
        try:
            demo._start_receiver(stack)
            start_services(stack, workers=1)
            send(stack, until_the_crisis())
            for path in pictures(browser, stack.addresses["page_url"], folder):
                size = path.stat().st_size
                say(f"{path}  {size:,} bytes")
                assert size < MOST_BYTES, f"{path} is too large for a README"
        finally:
            stack.stop()


def until_the_crisis() -> list[str]:
    """The sample's lines up to UNTIL."""
    with gzip.open(demo.SAMPLE / "posts.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [line for line in lines if datetime.fromisoformat(json.loads(line)["created_at"]) < UNTIL]


def send(stack: Stack, lines: list[str]) -> None:
    """Send *lines* at the demo's speed; returns once they are counted."""
    path = stack.home / "sample.jsonl"
    path.write_text("".join(lines))
    subprocess.run(
        [sys.executable, "-m", "brandpulse", "ingest", "file", str(path), "--speed", str(demo.SPEED)],
        env={**os.environ, **demo.DEMO_ENV, "BRANDPULSE_HOME": str(stack.home)},
        check=True,
    )
    with redis.Redis.from_url(stack.addresses["redis_url"]) as client:
        reader = PaneReader(client, demo.DEMO_ENV["BRANDPULSE_NAMESPACE"])
        wait_until(lambda: all(partition.lag == 0 and partition.caught_up for partition in reader.partitions()))


def pictures(browser: Browser, url: str, folder: Path) -> Iterator[Path]:
    """A picture of the page in each look, once it shows Aerolux firing."""
    for look in LOOKS:
        context = browser.new_context(
            viewport=look.viewport,
            color_scheme=look.scheme,
            device_scale_factor=look.pixels_per_point,
            reduced_motion="reduce",
        )
        page = context.new_page()
        page.goto(url)
        page.locator("#firing .episode").filter(has_text="Aerolux").wait_for()
        page.locator(".plot").wait_for()
        page.get_by_text("partitions caught up").wait_for()
        page.wait_for_timeout(500)  # fonts and the first event
        path = folder / f"page-{look.name}.png"
        page.screenshot(path=path)
        context.close()
        yield path


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m tests.support.readme_screenshots FOLDER")
    main(Path(sys.argv[1]))
