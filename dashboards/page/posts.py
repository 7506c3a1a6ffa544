"""Negative posts of a brand as the page lists them: each text once, with how many said it. Pure."""

from collections.abc import Callable, Iterable, Mapping

import msgspec

from brandpulse.state.author_lookup import KnownAuthors
from brandpulse.state.keys import HOUR_MS, MINUTE_MS
from brandpulse.state.stored_posts import KeptPost
from brandpulse.text.near_duplicates import copy_groups

LISTED_HOURS = 3
"""Copies are counted over so many hours of event time; older posts are listed too."""
LISTED_TEXTS = 20
SINCE_STEP_MS = 10 * MINUTE_MS
"""The three hours move on in steps: what was written before them is read once a step."""


class ListedPost(msgspec.Struct, frozen=True, kw_only=True):
    """The newest post of a text. Its first fields are those of `brandpulse.state.pane_reader.NegativePost`."""

    id: str
    source: str
    text: str
    created_ms: int
    author: str
    negative: float
    url: str | None = None
    copies: int = 1
    """Posts that say this text, this one included."""
    accounts: int = 1
    new_accounts: int | None = None
    """Those that wrote nothing about the brand in the seven days before the three hours; None: not known."""
    at_least: bool = False
    """Not all posts are kept: the three numbers are at least these."""


def since_ms(clock_ms: int) -> int:
    """Begin of the span in which copies are counted."""
    return clock_ms // SINCE_STEP_MS * SINCE_STEP_MS - LISTED_HOURS * HOUR_MS


def listed_posts(
    posts: Iterable[KeptPost],
    known: Callable[[], KnownAuthors],
    urls: Mapping[tuple[str, str], str | None],
    *,
    since: int,
    at_least: bool,
) -> list[ListedPost]:
    """*posts* by text: what three or more accounts say first, then the newest.

    *known* is asked if any text has copies. Of a text that was said before *since* not all posts are known, nor who
    was new then. *at_least*: of the time since some are missing too.
    """
    groups = copy_groups(posts, surest=False)[:LISTED_TEXTS]
    met = known() if any(len(group.posts) > 1 for group in groups) else None
    recent = [group.posts[-1].created_ms >= since for group in groups]
    return [
        ListedPost(
            **msgspec.structs.asdict(group.posts[0]),
            url=urls.get((group.posts[0].source, group.posts[0].id)),
            copies=len(group.posts),
            accounts=len(group.authors),
            new_accounts=met.new_among(group.authors) if met is not None and whole and len(group.posts) > 1 else None,
            at_least=(at_least or not whole) and len(group.posts) > 1,
        )
        for group, whole in zip(groups, recent, strict=True)
    ]
