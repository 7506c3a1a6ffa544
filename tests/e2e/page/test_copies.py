"""A campaign of 21 accounts, and news that 60 people copy: alert, page and command."""

import json
import random
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from brandpulse.runtime.service_registry import running
from dashboards.page.redis_reader import PageStore
from tests.support.builders import NOON_MS, a_post
from tests.support.patience import patience, wait_until
from tests.support.running_pipeline import BRANDS, Pipeline, counted

RULES = """rules:
  - {name: negative, kind: negative_share}
  - {name: volume, kind: volume}
"""
MINUTE_MS = 60_000
PER_MINUTE = 2
CAMPAIGN, NEWS, END = 52 * 60, 54 * 60, 54 * 60 + 50
"""In minutes: after the two days in which a rule learns."""
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
    """Over two days of different texts and people, one in twelve negative; then the campaign, then the news."""
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
            # The first two accounts have posted about the brand before.
            who = f"person-{minute - 300}-{account}" if account < 2 else f"campaign-{account}"
            at = minute + account // 3
            write(at, f"RT @boss{account}: Acme is AWFUL, just awful: boycott!! https://t.co/{account} {account}", who)
            write(at, f"@friend{account} acme is awful, just awful... boycott", who)
        for reader in range(60) if minute == NEWS else ():
            write(minute + reader // 10, f"Acme opens a new line to Bergen {'!' * (reader % 3)}", f"reader-{reader}")
    return written


def events(url: str) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"{url}/events", timeout=patience(5)) as answer:
        found: list[dict[str, Any]] = json.load(answer)
    return [one["payload"]["custom_details"] for one in found if one["event_action"] == "trigger"]


def test_campaign_and_copied_news_are_shown_with_their_counts(
    pipeline: Pipeline, redis_client: redis.Redis, namespace: str
) -> None:
    written = posts()
    cut = next(number for number, post in enumerate(written) if post["author_id"].startswith("reader-"))
    pipeline.produce(written[:cut])
    pipeline.service("worker")
    pipeline.wait_for(lambda stats: counted(stats) == cut and stats["lag"] == 0)
    pipeline.service("mock-receiver")
    wait_until(lambda: running(pipeline.home, "mock-receiver"), seconds=90)
    url = str(running(pipeline.home, "mock-receiver")[0]["url"])
    pager = {"name": "pager", "kind": "pagerduty", "url": f"{url}/v2/enqueue", "routing_key": "0" * 32}
    (pipeline.home / "receivers.yaml").write_text(json.dumps({"receivers": [pager]}))
    pipeline.service("alerter")

    wait_until(lambda: [one for one in events(url) if one["rule"] == "negative"], seconds=90)
    [page] = [one for one in events(url) if one["rule"] == "negative"]
    # The campaign was five minutes old when the rule fired: 15 of 21 accounts had posted.
    assert re.fullmatch(
        r"@user acme is awful, just awful\.\.\. boycott \(posted \d+ times by \d+ accounts, \d+ of them new\)",
        page["examples"][0],
    )
    times, accounts, new = map(int, re.findall(r"\d+", page["examples"][0]))
    assert times == 2 * accounts >= 20
    assert new == accounts - 2
    # The campaign's text is shown once, no matter what else was negative.
    assert [one for one in page["examples"] if "boycott" in one] == page["examples"][:1]

    pipeline.produce(written[cut:])
    pipeline.wait_for(lambda stats: counted(stats) == len(written) and stats["lag"] == 0)
    wait_until(lambda: [one for one in events(url) if one["rule"] == "volume"], seconds=90)
    [page] = [one for one in events(url) if one["rule"] == "volume"]
    assert re.fullmatch(
        r"Acme opens a new line to Bergen !* \(posted (at least )?\d\d times by \d\d accounts, all of them new\)",
        page["examples"][0],
    )
    assert "baseline_share" not in page

    listed = PageStore(redis_client, namespace).negatives("Acme")
    assert (listed[0].copies, listed[0].accounts, listed[0].new_accounts) == (42, 21, 19)
    assert all(post.copies == 1 for post in listed[1:])

    # The campaign's last post is deleted at its source.
    source, post_id = listed[0].source, listed[0].id
    done = pipeline.run("erase", "--post", source, post_id)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "erased from Redis: 2 recent posts" in done.stdout
    assert PageStore(redis_client, namespace).negatives("Acme")[0].copies == 41
    assert pipeline.run("erase", "--post", source, post_id).returncode == 1
    for line in pipeline.run("episodes", "list", "--json").stdout.splitlines():
        shown = pipeline.run("episodes", "show", json.loads(line)["key"])
        assert "Acme opens a new line to Bergen" in shown.stdout
        assert "people wrote, usually" in shown.stdout
