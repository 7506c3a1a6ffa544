"""A brand's negative posts for the page: near-duplicates grouped, with the number of copies and accounts. Pure."""

from collections.abc import Callable, Iterable, Mapping

import msgspec

from brandpulse.state.author_lookup import KnownAuthors
from brandpulse.state.keys import HOUR_MS, MINUTE_MS
from brandpulse.state.stored_posts import HourPost
from brandpulse.text.near_duplicates import copy_groups

LISTED_HOURS = 3
"""Hours of event time in which copies are counted; older posts are listed too."""
LISTED_TEXTS = 20
SINCE_STEP_MS = 10 * MINUTE_MS
"""The start of the three hours moves in steps of this size: known authors are read once per step."""


class ListedPost(msgspec.Struct, frozen=True, kw_only=True):
    """The newest post of a text. Its first fields are those of `brandpulse.state.stored_posts.NegativePost`."""

    id: str
    source: str
    text: str
    created_ms: int
    author: str
    negative: float
    url: str | None = None
    copies: int = 1
    """Posts with this text, including this one."""
    accounts: int = 1
    new_accounts: int | None = None
    """Accounts without a post about the brand in the 7 days before the three hours; None if unknown."""
    at_least: bool = False
    """Some posts are not stored: the three numbers are lower bounds."""


def since_ms(clock_ms: int) -> int:
    """Start of the time in which copies are counted."""
    return clock_ms // SINCE_STEP_MS * SINCE_STEP_MS - LISTED_HOURS * HOUR_MS


def listed_posts(
    posts: Iterable[HourPost],
    known: Callable[[], KnownAuthors],
    urls: Mapping[tuple[str, str], str | None],
    *,
    since: int,
    at_least: bool,
) -> list[ListedPost]:
    """Groups *posts* by text: texts of three or more accounts first, then the newest.

    *known* is called if any text has copies. For a text that was posted before *since*, copies and new accounts are
    incomplete. *at_least*: posts after *since* are incomplete too.
    """
    groups = copy_groups(posts, surest=False)[:LISTED_TEXTS]
    known_authors = known() if any(len(group.posts) > 1 for group in groups) else None
    complete = [group.posts[-1].created_ms >= since for group in groups]
    return [
        ListedPost(
            **msgspec.structs.asdict(group.posts[0]),
            url=urls.get((group.posts[0].source, group.posts[0].id)),
            copies=len(group.posts),
            accounts=len(group.authors),
            new_accounts=known_authors.new_among(group.authors)
            if known_authors is not None and whole and len(group.posts) > 1
            else None,
            at_least=(at_least or not whole) and len(group.posts) > 1,
        )
        for group, whole in zip(groups, complete, strict=True)
    ]
