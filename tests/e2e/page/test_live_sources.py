"""Periods that a live source did not read, on the page in a real browser: where they are, and why."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
import redis
from playwright.sync_api import ViewportSize, expect

from brandpulse.state.keys import SourceKeys
from brandpulse.state.live_sources import GapRecord, SourceRecord
from tests.e2e.page.test_page import (
    DESKTOP,
    PHONE,
    OpenPage,
    Pages,
    browser,
    open_page,
    pages,
    whole_and_without_violations,
)
from tests.support.dashboards.stored_state import ACME, StoredStream

__all__ = ["browser", "open_page", "pages"]
HOUR = timedelta(hours=1)
FAULT = "cannot connect to jetstream.example: no route to host"


@pytest.fixture
def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def live(redis_url: str, namespace: str, now: datetime) -> Iterator[redis.Redis]:
    """A day of one brand. Its only source lost an hour, read another one later, and is not read for 49 minutes."""
    away = now - timedelta(minutes=49)
    lost, refilled = (now - 6 * HOUR, now - 5 * HOUR), (now - 11 * HOUR, now - 10 * HOUR)
    with redis.Redis.from_url(redis_url) as client:
        stream = StoredStream(client, namespace)
        for minute in range(24 * 60):
            at = now - timedelta(minutes=minute)
            if at < away and not lost[0] <= at < lost[1]:
                stream.add(ACME, at, negative=minute % 3 == 0, neutral=2)
        stream.store(away)
        stream.write_alerter(evaluated_until=away)
        keys = SourceKeys(namespace)
        record = SourceRecord("bluesky", "waiting", now + HOUR, FAULT, away, None, away, 1.0, 7, 1, {"sent": 4_000})
        calm = SourceRecord("feed", "reading", now + HOUR, outcomes={"sent": 3, "no_brand": 40}, last_event=away)
        client.hset(keys.states, mapping={"bluesky": msgspec.json.encode(record), "news": msgspec.json.encode(calm)})
        gaps = [
            GapRecord("bluesky", *lost, "the server keeps ten minutes"),
            GapRecord("news", *refilled, "stopped", True),
        ]
        client.rpush(keys.gaps, *(msgspec.json.encode(gap) for gap in gaps))
        yield client


def test_chart_headline_and_sources_show_what_was_not_read(
    live: redis.Redis, pages: Pages, open_page: OpenPage, now: datetime
) -> None:
    page = open_page(pages.start())
    expect(page.locator("#verdict")).to_have_text("No brand is firing, but 1 live source is not read")
    since = f"{now - timedelta(minutes=49):%H:%M} UTC"
    expect(page.locator("#banners li").first).to_contain_text("bluesky has not been read since")
    expect(page.locator("#banners li").first).to_contain_text(FAULT)
    expect(page.locator("#banners")).not_to_contain_text("news")
    states = page.locator("#sources .partition")
    expect(states.nth(0)).to_contain_text(f"not read since {since}")
    expect(states.nth(1)).to_contain_text("3 posts sent, 40 without a post for a brand")

    expect(page.locator(".chart-svg .gap.away")).to_have_count(1)
    expect(page.locator(".chart-svg .gap.lost")).to_have_count(1)
    expect(page.locator(".chart-svg .gap.refilled")).to_have_count(1)
    expect(page.locator(".missing li")).to_have_count(3)
    expect(page.locator(".missing li").first).to_contain_text(f"bluesky: not read since {since} ({FAULT})")
    expect(page.locator(".card .spark-gap")).not_to_have_count(0)
    # The stream's clock stopped with the source: the chart goes on until now, so that the hole is in it.
    plot, hole = page.locator(".plot").bounding_box(), page.locator(".chart-svg .gap.away").bounding_box()
    assert plot is not None
    assert hole is not None
    assert plot["x"] + plot["width"] - (hole["x"] + hole["width"]) < 60

    page.locator(".plot").focus()
    page.keyboard.press("End")
    expect(page.locator(".tip-gap")).to_contain_text("bluesky: not read since")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_gaps_fit_and_axe_finds_no_violation(
    live: redis.Redis, pages: Pages, open_page: OpenPage, viewport: ViewportSize, scheme: str
) -> None:
    page = open_page(pages.start(), viewport=viewport, scheme=scheme)
    expect(page.locator(".missing li")).to_have_count(3)
    whole_and_without_violations(page, viewport)


def test_page_without_a_post_names_the_sources_that_are_not_read(
    redis_url: str, namespace: str, pages: Pages, open_page: OpenPage, now: datetime
) -> None:
    record = SourceRecord("bluesky", "waiting", now + HOUR, FAULT, now - HOUR)
    with redis.Redis.from_url(redis_url) as client:
        client.hset(SourceKeys(namespace).states, "bluesky", msgspec.json.encode(record))
    page = open_page(pages.start())
    expect(page.locator("#verdict")).to_have_text("No posts yet: 1 live source is not read")
    expect(page.locator("#banners li")).to_contain_text(FAULT)


def test_page_without_live_sources_shows_none(pages: Pages, open_page: OpenPage) -> None:
    page = open_page(pages.start())
    expect(page.locator("#sources")).to_be_hidden()
    expect(page.locator("#banners")).to_be_hidden()
