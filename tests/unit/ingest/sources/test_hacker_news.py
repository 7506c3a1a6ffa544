from datetime import UTC, datetime

import pytest

from ingest.sources.connectors.hacker_news import decode_item
from ingest.sources.events import Delete, NewPost, Skip


def test_a_comment_keeps_author_time_text_and_address() -> None:
    item = {"id": 5, "type": "comment", "by": "ann", "time": 1_790_000_000, "text": "acme &amp; co<p>is late"}
    at = datetime.fromtimestamp(1_790_000_000, UTC)
    url = "https://news.ycombinator.com/item?id=5"
    assert decode_item(item, 5) == NewPost("5", "acme & co\nis late", at, "ann", None, url)


def test_a_story_has_its_title_and_text() -> None:
    post = decode_item({"type": "story", "by": "a", "time": 1, "title": "Acme", "text": "late"}, 1)
    assert isinstance(post, NewPost)
    assert post.text == "Acme\nlate"


@pytest.mark.parametrize(
    ("item", "event"),
    [
        (None, None),
        ({"deleted": True, "time": 1, "type": "comment"}, Delete(id="9")),
        ({"dead": True, "time": 1, "type": "story", "by": "a", "title": "x"}, Delete(id="9")),
        ({"type": "pollopt", "by": "a", "time": 1, "text": "x"}, Skip("other_kind")),
        ({"type": "story", "time": 1, "title": "x"}, Skip("no_author")),
        ({"type": "story", "by": "a", "time": True, "title": "x"}, Skip("no_author")),
        ({"type": "story", "by": "a", "time": 1}, Skip("no_text")),
        (5, Skip("other_kind")),
    ],
)
def test_another_item_is_no_post(item: object, event: object) -> None:
    assert decode_item(item, 9) == event
