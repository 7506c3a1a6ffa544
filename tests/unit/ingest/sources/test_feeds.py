"""Feeds: what an item becomes, and when a look at a feed means that items were lost."""

from datetime import UTC, datetime, timedelta

import pytest

from ingest.sources.connectors.feeds import FeedSettings, Item, _Feed, _new_events, parse_feed
from ingest.sources.events import NewPost, Skip
from ingest.sources.source import SourceError

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
RSS = (
    '<?xml version="1.0"?><rss version="2.0"><channel><title>News</title><language>en</language>{items}</channel></rss>'
)


def rss(*items: str) -> bytes:
    return RSS.format(items="".join(f"<item>{item}</item>" for item in items)).encode()


def test_an_item_has_title_and_summary_as_text() -> None:
    body = rss(
        "<title>Acme &amp; Co cut jobs</title>"
        "<description>&lt;p&gt;The airline&lt;br&gt;said so&lt;/p&gt;</description>"
        "<link>https://n.example/1</link><guid>17</guid><pubDate>Mon, 30 Nov 2026 12:00:00 GMT</pubDate>"
    )
    [item] = parse_feed(body, "https://n.example/rss.xml")
    assert item == Item(
        "n.example/17", "Acme & Co cut jobs\nThe airline\nsaid so", NOON, "n.example", "https://n.example/1", "en"
    )


def test_atom_and_its_zone_are_read() -> None:
    body = (
        b'<feed xmlns="http://www.w3.org/2005/Atom"><title>x</title><entry><title>Acme late</title><id>urn:1</id>'
        b"<updated>2026-11-30T13:00:00+01:00</updated></entry></feed>"
    )
    [item] = parse_feed(body, "https://n.example/atom.xml")
    assert (item.id, item.at) == ("urn:1", NOON)


def test_an_item_without_guid_link_and_date_has_a_stable_id() -> None:
    first, second = (parse_feed(rss("<title>Acme late</title>"), "https://n.example/")[0] for _ in range(2))
    assert first.id == second.id
    assert first.at is None


def test_a_news_sitemap_is_read() -> None:
    body = (
        b'<?xml version="1.0"?><urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9" '
        b'xmlns:news="http://www.google.com/schemas/sitemap-news/0.9"><url><loc>https://n.example/1</loc><news:news>'
        b"<news:publication><news:name>N</news:name><news:language>en</news:language></news:publication>"
        b"<news:publication_date>2026-11-30T12:00:00Z</news:publication_date><news:title>Acme late</news:title>"
        b"</news:news></url><url><loc>https://n.example/2</loc></url></urlset>"
    )
    [item] = parse_feed(body, "https://n.example/sitemap.xml")
    assert item == Item("https://n.example/1", "Acme late", NOON, "n.example", "https://n.example/1", "en")


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"<!DOCTYPE html><html><body>hello</body></html>", "is no feed: it answered with a web page"),
        (b"\x00\x01\x02", "is no feed: it answered with something else"),
        (b"", "is no feed"),
        (b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "b">]><urlset></urlset>', "declares XML entities"),
        (b"<urlset><url>", "is no complete XML"),
    ],
)
def test_something_else_is_refused_with_what_it_is(body: bytes, sentence: str) -> None:
    with pytest.raises(SourceError, match=sentence):
        parse_feed(body, "https://n.example/")


def test_an_entity_bomb_ends_within_its_size() -> None:
    bomb = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 12))
    body = f'<?xml version="1.0"?><!DOCTYPE rss [<!ENTITY e0 "lol">{bomb}]>' + RSS.format(
        items="<item><title>&e11;</title></item>"
    ).removeprefix('<?xml version="1.0"?>')
    try:
        items = parse_feed(body.encode(), "https://n.example/")
    except SourceError:
        return
    assert sum(len(item.text) for item in items) < 10_000


def items(*numbers: int, at: datetime = NOON) -> list[Item]:
    return [Item(f"i{n}", f"acme {n}", at, "n.example", None) for n in numbers]


def look(feed: _Feed, found: list[Item], *, at: datetime = NOON) -> tuple[list[object], object]:
    before, feed.looked_at = feed.looked_at, at.timestamp()
    events, gap = _new_events(feed, found, before=before, now=at.timestamp())
    return list(events), gap


def test_each_item_is_sent_once_oldest_first() -> None:
    feed = _Feed("https://n.example/")
    events, _ = look(feed, items(2, 1))
    assert [event.id for event in events if isinstance(event, NewPost)] == ["i1", "i2"]
    events, gap = look(feed, items(3, 2, 1))
    assert ([event.id for event in events if isinstance(event, NewPost)], gap) == (["i3"], None)


def test_the_first_look_leaves_old_and_undated_items_out() -> None:
    feed = _Feed("https://n.example/")
    old, undated = items(1, at=NOON - timedelta(days=3))[0], Item("u", "acme", None, "n.example", None)
    assert look(feed, [old, undated])[0] == [Skip("before_start"), Skip("before_start")]


def test_a_feed_whose_items_are_all_new_has_a_gap() -> None:
    feed = _Feed("https://n.example/")
    look(feed, items(2, 1))
    later = NOON + timedelta(hours=2)
    _, gap = look(feed, items(9, 8, at=NOON + timedelta(hours=1)), at=later)
    assert gap is not None
    assert (gap.begin, gap.end) == (NOON, NOON + timedelta(hours=1))  # type: ignore[attr-defined]


def test_items_of_an_absence_keep_their_times_and_older_ones_do_not() -> None:
    feed = _Feed("https://n.example/")
    look(feed, items(1))
    back, old = NOON + timedelta(days=5), Item("old", "acme", NOON - timedelta(days=9), "n.example", None)
    events, _ = look(feed, [old, *items(2, at=NOON + timedelta(hours=1)), *items(1)], at=back)
    found = {event.id: event.created_at for event in events if isinstance(event, NewPost)}
    assert found == {"i2": NOON + timedelta(hours=1), "old": back}


def test_an_empty_feed_is_no_gap_and_forgets_nothing() -> None:
    feed = _Feed("https://n.example/")
    look(feed, items(1))
    assert look(feed, [])[1] is None
    assert look(feed, items(1))[0] == []


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="is no web address"):
        FeedSettings(name="n", kind="feed", urls=("n.example/rss",))
