"""One text of 21 accounts among other posts, and a piece of news that 60 people repeat: alert, page and command."""

import json
import random
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from brandpulse.runtime import running
from dashboards.page.store import PageStore
from tests.builders import NOON_MS, a_post
from tests.journey.pipeline import BRANDS, Pipeline, counted

RULES = """rules:
  - {name: negative, kind: negative_share}
  - {name: volume, kind: volume}
"""
MINUTE_MS = 60_000
PER_MINUTE = 2
CAMPAIGN, NEWS, END = 40 * 60, 46 * 60, 46 * 60 + 50
SYLLABLES = ["ba", "co", "de", "fi", "gu", "ha", "jo", "ku", "le", "mi", "no", "pa", "qui", "ro", "su", "ta"]


@pytest.fixture
def pipeline(tmp_path: Path, kafka: str, redis_url: str, namespace: str) -> Iterator[Pipeline]:
    pipeline = Pipeline(
        tmp_path,
        kafka,
        redis_url,
        namespace,
        BRANDPULSE_RULES_FILE=str(tmp_path / "rules.yaml"),
        BRANDPULSE_RECEIVERS_FILE=str(tmp_path / "receivers.yaml"),
        BRANDPULSE_ALERTER_TICK_SECONDS="0.2",
    )
    (tmp_path / "brands.yaml").write_text(BRANDS)
    (tmp_path / "rules.yaml").write_text(RULES)
    pipeline.create_topics(partitions=4)
    yield pipeline
    pipeline.stop()


def posts() -> list[dict[str, Any]]:
    """Two days of different texts by different people, one in twelve negative; then the campaign, then the news."""
    rng = random.Random(4)
    written: list[dict[str, Any]] = []

    def write(minute: int, text: str, author: str) -> None:
        at = NOON_MS + minute * MINUTE_MS + len(written) % 50 * 1_000
        written.append(a_post(str(len(written)), text, at, author_id=author))

    for minute in range(END):
        for number in range(PER_MINUTE):
            words = " ".join("".join(rng.choices(SYLLABLES, k=3)) for _ in range(4))
            mood = "is awful" if rng.random() < 1 / 12 else "opens at nine"
            write(minute, f"acme {mood} {words}", f"person-{minute}-{number}")
        for account in range(21) if minute == CAMPAIGN else ():
            # The first two wrote about the brand before.
            who = f"person-{minute - 300}-{account}" if account < 2 else f"campaign-{account}"
            at = minute + account // 3
            write(at, f"RT @boss{account}: Acme is AWFUL, just awful: boycott!! https://t.co/{account} {account}", who)
            write(at, f"@friend{account} acme is awful, just awful... boycott", who)
        if NEWS <= minute < NEWS + 30:
            for number in range(2):
                write(minute, f"Acme opens a new line to Bergen {'!' * number}", f"reader-{minute}-{number}")
    return written


def until(true: Callable[[], Any], *, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def events(url: str) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"{url}/events", timeout=5) as answer:
        found: list[dict[str, Any]] = json.load(answer)
    return [one["payload"]["custom_details"] for one in found if one["event_action"] == "trigger"]


def test_a_campaign_and_repeated_news_are_shown_with_their_numbers(
    pipeline: Pipeline, redis_client: redis.Redis, namespace: str
) -> None:
    written = posts()
    cut = next(number for number, post in enumerate(written) if post["author_id"].startswith("reader-"))
    pipeline.produce(written[:cut])
    pipeline.service("worker")
    pipeline.wait_for(lambda stats: counted(stats) == cut and stats["lag"] == 0)
    pipeline.service("mock-receiver")
    until(lambda: running(pipeline.home, "mock-receiver"))
    url = str(running(pipeline.home, "mock-receiver")[0]["url"])
    pager = {"name": "pager", "kind": "pagerduty", "url": f"{url}/v2/enqueue", "routing_key": "0" * 32}
    (pipeline.home / "receivers.yaml").write_text(json.dumps({"receivers": [pager]}))
    pipeline.service("alerter")

    until(lambda: [one for one in events(url) if one["rule"] == "negative"])
    [page] = [one for one in events(url) if one["rule"] == "negative"]
    print(page)
    assert "boycott" in page["examples"][0]

    pipeline.produce(written[cut:])
    pipeline.wait_for(lambda stats: counted(stats) == len(written) and stats["lag"] == 0)
    until(lambda: [one for one in events(url) if one["rule"] == "volume"])
    [page] = [one for one in events(url) if one["rule"] == "volume"]
    print(page)
    listed = PageStore(redis_client, namespace).negatives("Acme")
    print(listed[:3])
    done = pipeline.run("episodes", "list", "--json")
    for line in done.stdout.splitlines():
        shown = pipeline.run("episodes", "show", json.loads(line)["key"])
        print(shown.stdout, shown.stderr)
