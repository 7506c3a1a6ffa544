"""News sites and blogs: RSS, Atom and news sitemaps.

A feed shows only its newest items, so items may come and go between two looks: if none of the items of the last look is
left, the period between is a gap. Sites block readers that ask too often: ETag, Last-Modified, `Cache-Control: max-age`
and `Retry-After` are obeyed.
"""

import asyncio
import calendar
import hashlib
import re
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from xml.etree import ElementTree

from pydantic import Field, field_validator

from brandpulse.text.html_text import html_text
from ingest.sources.event_time import event_time
from ingest.sources.events import Batch, Cursor, Event, Gap, NewPost, Skip
from ingest.sources.source import SourceConfigError, SourceContext, SourceError, SourceSettings
from ingest.sources.web_client import Answer, check_web_address, get

NEWS = "{http://www.google.com/schemas/sitemap-news/0.9}"
SITEMAP = "{http://www.sitemaps.org/schemas/sitemap/0.9}"
FIRST_HOURS = 24
"""The first look at a feed sends items that are at most this old."""
UNCONDITIONAL_SECONDS = 86_400
"""Some servers answer 304 for ever: once a day a feed is fetched without ETag."""
MOST_SEEN = 1_000
MAX_AGE_SECONDS = 6 * 3_600


class FeedSettings(SourceSettings):
    kind: Literal["feed"]
    urls: Annotated[tuple[str, ...], Field(min_length=1, max_length=200, examples=[["https://example.org/rss.xml"]])]
    """Addresses of RSS or Atom feeds, or of news sitemaps."""
    poll_minutes: Annotated[float, Field(gt=0, le=1_440)] = 30.0
    """Pause between two looks at a feed. A server may ask for a longer one."""

    @field_validator("urls")
    @classmethod
    def _web_addresses(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        for url in urls:
            check_web_address(url, "https://example.org/rss.xml")
        return urls


@dataclass(frozen=True, slots=True)
class Item:
    """One item of a feed."""

    id: str
    text: str
    at: datetime | None
    author: str
    url: str | None
    lang: str | None = None


@dataclass(slots=True)
class _Feed:
    """The state of one feed, as the cursor stores it."""

    url: str
    seen: list[str] = field(default_factory=list)
    """Hashes of the newest items that were seen."""
    looked_at: float = 0.0
    """Last fetch whose answer could be read, in seconds since 1970; 0: never."""
    etag: str = ""
    modified: str = ""
    whole_at: float = 0.0
    """Last fetch without a condition."""
    due: float = 0.0


def parse_feed(body: bytes, url: str) -> list[Item]:
    """The items of a feed or news sitemap, in its order. Raises SourceError if it is neither. Pure."""
    if b"<urlset" in body[:2_000]:
        return list(_sitemap_items(body, url))
    import feedparser

    # Its own cleaning of HTML is slow, and html_text does it.
    found = feedparser.parse(body, sanitize_html=False, resolve_relative_uris=False)
    if not found.get("version") and not found.entries:
        kind = "a web page" if b"<html" in body[:2_000].lower() else "something else"
        raise SourceError(f"{url} is no feed: it answered with {kind}")
    site = urlsplit(url).hostname or url
    lang = found.feed.get("language")
    return [_item(entry, site, lang if isinstance(lang, str) else None) for entry in found.entries]


def _item(entry: Mapping[str, Any], site: str, lang: str | None) -> Item:
    title, summary = html_text(str(entry.get("title", ""))), html_text(str(entry.get("summary", "")))
    text = title if not summary or summary.startswith(title) else f"{title}\n{summary}"
    text = summary if summary.startswith(title) else text
    link = entry.get("link") if isinstance(entry.get("link"), str) else None
    moment = entry.get("published_parsed") or entry.get("updated_parsed")
    at = datetime.fromtimestamp(calendar.timegm(moment), UTC) if moment else None
    given = str(entry.get("id") or "")
    # A guid such as `17` is unique in its feed only.
    key = given if "://" in given or given.startswith("urn:") else f"{site}/{given}" if given else link
    key = key or hashlib.blake2b(f"{title}\0{at}".encode(), digest_size=12).hexdigest()
    return Item(key[:256], text, at, site, link, lang)


def _sitemap_items(body: bytes, url: str) -> Iterable[Item]:
    if b"<!DOCTYPE" in body[:2_000] or b"<!ENTITY" in body:
        raise SourceError(f"{url} declares XML entities, which are not read")
    try:
        root = ElementTree.fromstring(body)  # noqa: S314 - nothing in it declares an entity
    except ElementTree.ParseError as error:
        raise SourceError(f"{url} is no complete XML: {error}") from error
    site = urlsplit(url).hostname or url
    for entry in root.iter(f"{SITEMAP}url"):
        place, title = entry.findtext(f"{SITEMAP}loc"), entry.findtext(f".//{NEWS}title")
        if not place or not title:
            continue
        lang = entry.findtext(f".//{NEWS}language")
        at = _iso(entry.findtext(f".//{NEWS}publication_date"))
        yield Item(place.strip()[:256], title.strip(), at, site, place.strip(), lang)


def _iso(value: str | None) -> datetime | None:
    try:
        moment = datetime.fromisoformat((value or "").strip())
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


class FeedSource:
    """Looks at its feeds in turn. The cursor: url -> what was seen."""

    def __init__(self, settings: FeedSettings) -> None:
        self.settings = settings

    async def check(self, context: SourceContext) -> str:
        counts = []
        for url in self.settings.urls:
            answer = await get(context, url)
            items = await asyncio.to_thread(parse_feed, answer.body, url)
            counts.append(f"{urlsplit(url).hostname}: {len(items)} items")
        return ", ".join(counts)

    async def read(self, cursor: Cursor | None, context: SourceContext) -> AsyncIterator[Batch]:
        feeds = {url: _Feed(url, **(cursor or {}).get(url, {})) for url in self.settings.urls}
        faults: dict[str, Exception] = {}
        started = time.time()
        if all(feed.due > started for feed in feeds.values()):
            yield Batch((), _stored(feeds.values()), caught_up=False)
        while True:
            now, failed = time.time(), 0
            for feed in feeds.values():
                if feed.due > now:
                    continue
                try:
                    events, gap = await self._look(feed, context)
                except (SourceError, SourceConfigError) as error:
                    faults[feed.url] = error
                    wait = getattr(error, "retry_after_seconds", None) or 0.0
                    feed.due = time.time() + max(wait, self.settings.poll_minutes * 60)
                    failed += 1
                    continue
                faults.pop(feed.url, None)
                caught_up = all(one.looked_at >= started for one in feeds.values())
                yield Batch(events, _stored(feeds.values()), gap, caught_up=caught_up)
            if len(faults) == len(feeds):
                # All fail: the core reports it, and waits. One that may recover keeps the source alive.
                transient = (fault for fault in faults.values() if isinstance(fault, SourceError))
                raise next(transient, next(iter(faults.values())))
            if failed:
                yield Batch((Skip("feed_failed"),) * failed, _stored(feeds.values()))
            await asyncio.sleep(max(0.01, min(feed.due for feed in feeds.values()) - time.time()))

    async def _look(self, feed: _Feed, context: SourceContext) -> tuple[Sequence[Event], Gap | None]:
        now = time.time()
        headers = {}
        if now - feed.whole_at < UNCONDITIONAL_SECONDS:
            headers = {"If-None-Match": feed.etag} if feed.etag else {}
            headers |= {"If-Modified-Since": feed.modified} if feed.modified else {}
        answer = await get(context, feed.url, headers=headers)
        feed.due = now + max(self.settings.poll_minutes * 60, min(_max_age(answer), MAX_AGE_SECONDS))
        if answer.status == 304:
            feed.looked_at = now
            return (), None
        items = await asyncio.to_thread(parse_feed, answer.body, feed.url)
        # Only after a good parse: else a cut answer would hide its items for ever, and begin the next gap too late.
        before, feed.looked_at = feed.looked_at, now
        feed.etag, feed.modified = answer.headers.get("ETag", ""), answer.headers.get("Last-Modified", "")
        if not headers:
            feed.whole_at = now
        return _new_events(feed, items, before=before, now=now)


def _new_events(feed: _Feed, items: Sequence[Item], *, before: float, now: float) -> tuple[list[Event], Gap | None]:
    """Events of the items that the last look, at *before*, did not show; and the gap since then, if there is one."""
    arrived = datetime.fromtimestamp(now, UTC)
    hashes = [hashlib.blake2b(item.id.encode(), digest_size=8).hexdigest() for item in items]
    known = set(feed.seen)
    gap = None
    if before and known and items and not known & set(hashes):
        oldest = min((item.at for item in items if item.at), default=arrived)
        begin = datetime.fromtimestamp(before, UTC)
        if oldest > begin:
            gap = Gap(begin, oldest, f"{urlsplit(feed.url).hostname} had more new items than its feed shows")
    events: list[Event] = []
    for item, digest in zip(reversed(items), reversed(hashes), strict=True):
        if digest in known:
            continue
        if not before and (item.at is None or arrived - item.at > timedelta(hours=FIRST_HOURS)):
            events.append(Skip("before_start"))
            continue
        if not item.text:
            events.append(Skip("no_text"))
            continue
        # After an absence an item may be days old, but not older than the look before.
        waited = item.at is not None and item.at.timestamp() >= before > 0
        at, replaced = event_time(item.at, arrived, may_be_old=waited)
        events.append(NewPost(item.id, item.text, at, item.author, item.lang, item.url, replaced))
    feed.seen = list(dict.fromkeys([*hashes, *feed.seen]))[:MOST_SEEN] if items else feed.seen
    return events, gap


def _stored(feeds: Iterable[_Feed]) -> dict[str, Any]:
    return {
        feed.url: {
            "seen": feed.seen,
            "looked_at": feed.looked_at,
            "etag": feed.etag,
            "modified": feed.modified,
            "whole_at": feed.whole_at,
            "due": feed.due,
        }
        for feed in feeds
    }


def _max_age(answer: Answer) -> float:
    found = re.search(r"\bmax-age=(\d{1,9})", answer.headers.get("Cache-Control", ""))
    return float(found.group(1)) if found else 0.0
