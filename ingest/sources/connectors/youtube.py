"""YouTube: comments of chosen videos and channels, from the Data API v3.

Source: developers.google.com/youtube/v3 (commentThreads.list, errors, quota). Each request costs a unit of the
project's quota, failed ones too. Threads come newest first, and there is no "since": pages are read until the known
ones. Replies are not read.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal
from urllib.parse import quote

from pydantic import Field, field_validator, model_validator

from brandpulse.text.html_text import html_text
from ingest.sources.connectors.daily_budget import DailyBudget
from ingest.sources.event_time import zoned_time
from ingest.sources.events import Batch, Cursor, Event, Gap, NewPost, Skip
from ingest.sources.secrets import SecretName, secret
from ingest.sources.source import SourceConfigError, SourceContext, SourceError, SourceSettings
from ingest.sources.spending.ledger import Limit
from ingest.sources.web_client import Answer, ask, check_web_address, json_object, retry_after

log = logging.getLogger(__name__)

API = "https://www.googleapis.com"
PAGE = 100
MOST_PAGES = 100
"""Pages of one look at a video or channel: what is older is a gap."""
LATE = timedelta(hours=1)
"""Comments may appear so long after their time: YouTube checks some of them first."""
CLOCKS_DIFFER = timedelta(minutes=1)
"""Between this machine and YouTube."""
MOST_KNOWN = 2_000
DAY_SECONDS = 86_400
PACIFIC = "America/Los_Angeles"
"""The quota's day begins at midnight there."""
UNAVAILABLE_SECONDS = 6 * 3_600.0
"""A video without comments is asked for again after so long."""
UNAVAILABLE = {
    "commentsDisabled": "comments_disabled",
    "videoNotFound": "not_found",
    "channelNotFound": "not_found",
    "forbidden": "private",
}
"""Reasons that concern one video or channel -> outcome."""
SPENT = ("quotaExceeded", "dailyLimitExceeded")
SLOWER = ("rateLimitExceeded", "userRateLimitExceeded")
PASSING = ("processingFailure", "backendError")
"""Reasons that end by themselves."""


class YouTubeSettings(SourceSettings):
    kind: Literal["youtube"]
    key_env: SecretName
    """Variable with an API key of a Google Cloud project that has the YouTube Data API v3."""
    videos: Annotated[tuple[str, ...], Field(max_length=1_000)] = ()
    """Ids of videos: what follows `watch?v=` in the address."""
    channels: Annotated[tuple[str, ...], Field(max_length=1_000)] = ()
    """Ids of channels, `UC…`: comments on all their videos."""
    poll_minutes: Annotated[float, Field(gt=0, le=1_440)] = 10.0
    """Pause between two looks. It is longer if the budget does not last the day otherwise."""
    units_per_day: Annotated[int, Field(ge=1, le=100_000_000)] = 9_000
    """Most requests a day (Pacific time). Google gives a project 10,000 units by default."""
    api: str = API

    @field_validator("videos", "channels")
    @classmethod
    def _ids(cls, ids: tuple[str, ...]) -> tuple[str, ...]:
        for one in ids:
            if not one or not all(mark.isalnum() or mark in "-_" for mark in one):
                raise ValueError(
                    f"{one!r} is no id such as dQw4w9WgXcQ (video) or UC_x5XG1OV2P6uZZ5FSM9Ttw (channel); addresses "
                    "and @names are not read"
                )
        return ids

    @field_validator("api")
    @classmethod
    def _web_address(cls, api: str) -> str:
        return check_web_address(api, API)

    @model_validator(mode="after")
    def _reads_something(self) -> "YouTubeSettings":
        if not (self.videos or self.channels):
            raise ValueError("needs at least one of videos or channels")
        return self

    @property
    def limit(self) -> Limit:
        return Limit("units", self.units_per_day, PACIFIC)

    @property
    def pause_seconds(self) -> float:
        """Between two looks at all videos and channels."""
        looks = len(self.videos) + len(self.channels)
        return max(self.poll_minutes * 60, looks * DAY_SECONDS / self.units_per_day)


class UnavailableError(SourceError):
    """One video or channel gives no comments. *outcome* labels a metric."""

    def __init__(self, message: str, outcome: str) -> None:
        super().__init__(message)
        self.outcome = outcome


class PageExpiredError(SourceError):
    """YouTube no longer knows the page."""


@dataclass(slots=True)
class _Target:
    """A video or channel, as the cursor stores it."""

    first: datetime
    """Comments from before are history."""
    at: datetime
    """Time of the newest comment that was read."""
    known: list[str] = field(default_factory=list)
    """Ids of comments that were read and are at most `LATE` older."""

    def is_new(self, comment: NewPost) -> bool:
        return comment.created_at >= max(self.at - LATE, self.first) and comment.id not in self.known


def decode_thread(thread: object) -> Event:
    """The event of a comment thread: its first comment. Pure."""
    snippet = thread.get("snippet") if isinstance(thread, dict) else None
    comment = snippet.get("topLevelComment") if isinstance(snippet, dict) else None
    body = comment.get("snippet") if isinstance(comment, dict) else None
    if not isinstance(snippet, dict) or not isinstance(comment, dict) or not isinstance(body, dict):
        return Skip("no_comment")
    number, at = comment.get("id"), zoned_time(body.get("publishedAt"))
    if not isinstance(number, str) or not number or at is None:
        return Skip("no_time" if number else "no_id")
    original, shown = body.get("textOriginal"), body.get("textDisplay")
    text = original if isinstance(original, str) else html_text(shown) if isinstance(shown, str) else ""
    channel = body.get("authorChannelId")
    author = channel.get("value") if isinstance(channel, dict) else None
    # A deleted account has no channel any more.
    author = author or body.get("authorChannelUrl") or body.get("authorDisplayName")
    if not text.strip() or not isinstance(author, str):
        return Skip("no_text" if isinstance(author, str) else "no_author")
    video = body.get("videoId") or snippet.get("videoId")
    url = f"https://www.youtube.com/watch?v={quote(video)}&lc={quote(number)}" if isinstance(video, str) else None
    return NewPost(number, text, at, author, None, url)


class YouTubeSource:
    """Looks at each video and channel in turn. The cursor: `video:ID` or `channel:ID` -> `first`, `at`, `known`."""

    def __init__(self, settings: YouTubeSettings) -> None:
        self.settings = settings
        self._key = secret(settings.key_env, source=settings.name)
        self._unavailable: dict[str, float] = {}
        """Target -> when it is asked for again, on the monotonic clock."""

    @property
    def _targets(self) -> list[str]:
        videos = [f"video:{one}" for one in self.settings.videos]
        return list(dict.fromkeys([*videos, *(f"channel:{one}" for one in self.settings.channels)]))

    async def check(self, context: SourceContext) -> str:
        budget, faults = self._budget(context), []
        for target in self._targets:
            try:
                await self._page(target, "", budget, context, comments=1)
            except UnavailableError as error:
                faults.append(str(error))
        if faults:
            raise SourceConfigError(f"{'; '.join(faults[:5])}; remove them from the sources file")
        looks = round(DAY_SECONDS / self.settings.pause_seconds * len(self._targets))
        spending = (await budget.spending()).sentence
        return (
            f"YouTube accepts the key; {len(self._targets)} videos and channels, looked at every "
            f"{self.settings.pause_seconds / 60:.0f} min, need about {looks:,} units a day; {spending}"
        )

    async def read(self, cursor: Cursor | None, context: SourceContext) -> AsyncIterator[Batch]:
        budget = self._budget(context)
        places = {target: place for target in self._targets if (place := _place((cursor or {}).get(target)))}
        while True:
            for target in self._targets:
                if self._unavailable.get(target, 0.0) > time.monotonic():
                    continue
                try:
                    events, gap = await self._look(target, places, budget, context)
                except UnavailableError as error:
                    log.warning(
                        "youtube comments unavailable", extra={"source": self.settings.name, "reason": str(error)}
                    )
                    self._unavailable[target] = time.monotonic() + UNAVAILABLE_SECONDS
                    if len(self._unavailable) == len(self._targets):
                        raise SourceConfigError(f"no video or channel gives comments: {error}") from error
                    events, gap = [Skip(error.outcome)], None
                else:
                    self._unavailable.pop(target, None)
                caught_up = target == self._targets[-1] and not self._unavailable
                yield Batch(events, {name: _stored(place) for name, place in places.items()}, gap, caught_up=caught_up)
            await asyncio.sleep(self.settings.pause_seconds)

    async def _look(
        self, target: str, places: dict[str, _Target], budget: DailyBudget, context: SourceContext
    ) -> tuple[list[Event], Gap | None]:
        """The new comments of *target*, oldest first, and the period that was too long ago; moves its place."""
        place = places.get(target)
        if place is None:
            # A new target begins now: its history would look like a rise.
            seen = [decode_thread(thread) for thread in (await self._page(target, "", budget, context))[0]]
            comments = [event for event in seen if isinstance(event, NewPost)]
            first = max((comment.created_at for comment in comments), default=datetime.now(UTC) - CLOCKS_DIFFER)
            known = [comment.id for comment in comments if comment.created_at == first]
            places[target] = _Target(first, first, known)
            return [], None
        try:
            events, whole = await self._since(target, place, budget, context)
        except PageExpiredError:
            events, whole = await self._since(target, place, budget, context)
        posts = [event for event in events if isinstance(event, NewPost)]
        newest = max((post.created_at for post in posts), default=place.at)
        gap = None
        if not whole and posts:
            oldest = min(post.created_at for post in posts)
            gap = Gap(place.at, oldest, f"more than {MOST_PAGES * PAGE:,} comments were written on {target}")
        fresh = [post.id for post in posts if post.created_at > max(newest, place.at) - LATE]
        places[target] = _Target(place.first, max(newest, place.at), [*fresh, *place.known][:MOST_KNOWN])
        return events[::-1], gap

    async def _since(
        self, target: str, place: _Target, budget: DailyBudget, context: SourceContext
    ) -> tuple[list[Event], bool]:
        """The comments after *place*, newest first, and whether all of them."""
        found, page = list[Event](), ""
        for _ in range(MOST_PAGES):
            threads, page = await self._page(target, page, budget, context)
            events = [decode_thread(thread) for thread in threads]
            new = [event for event in events if not isinstance(event, NewPost) or place.is_new(event)]
            found += new
            if not page or not any(isinstance(event, NewPost) for event in new):
                return found, True
        return found, False

    async def _page(
        self, target: str, page: str, budget: DailyBudget, context: SourceContext, *, comments: int = PAGE
    ) -> tuple[list[Any], str]:
        """(threads of a page, newest first; the token of the next page or an empty string)."""
        if not await budget.reserve(1):
            raise budget.spent_error()
        kind, _, number = target.partition(":")
        params = {
            "part": "snippet",
            "videoId" if kind == "video" else "allThreadsRelatedToChannelId": number,
            "order": "time",
            "maxResults": str(comments),
            "textFormat": "plainText",
            "key": self._key.get_secret_value(),
            **({"pageToken": page} if page else {}),
        }
        answer = await ask(context, f"{self.settings.api}/youtube/v3/commentThreads", params=params)
        body = json_object(answer.body)
        if answer.status != 200:
            raise self._refusal(target, answer, body, budget)
        threads, token = body.get("items"), body.get("nextPageToken")
        if not isinstance(threads, list):
            raise SourceError(f"YouTube answered for {target} with something that is no list of comments")
        return threads, token if isinstance(token, str) else ""

    def _refusal(
        self, target: str, answer: Answer, body: Mapping[str, Any], budget: DailyBudget
    ) -> SourceError | SourceConfigError:
        error = body.get("error")
        error = error if isinstance(error, dict) else {}
        errors = error.get("errors")
        first = errors[0] if isinstance(errors, list) and errors and isinstance(errors[0], dict) else {}
        details = error.get("details")
        more = [one.get("reason") for one in details if isinstance(one, dict)] if isinstance(details, list) else []
        reason, message = str(first.get("reason") or ""), html_text(str(error.get("message") or ""))
        said = f"YouTube answered {answer.status} for {target} ({reason or 'no reason'}: {message[:200]})"
        if reason in SPENT:
            wait = budget.spent_error().retry_after_seconds
            cure = "if other programs use the key, set units_per_day lower, or use a project of its own"
            return SourceError(
                f"{said}; the quota is used up until midnight Pacific time; {cure}", retry_after_seconds=wait
            )
        if reason in UNAVAILABLE or (answer.status == 404 and not reason):
            return UnavailableError(said, UNAVAILABLE.get(reason, "not_found"))
        if reason == "invalidPageToken":
            return PageExpiredError(said)
        if reason in SLOWER + PASSING or answer.status not in (400, 401, 403, 404):
            slower = 60.0 if reason in SLOWER or answer.status == 429 else None
            return SourceError(said, retry_after_seconds=retry_after(answer.headers) or slower)
        return SourceConfigError(f"{said}; {self._cure(answer.status, reason, message, more)}")

    def _cure(self, status: int, reason: str, message: str, more: Sequence[object]) -> str:
        variable = self.settings.key_env
        if "API_KEY_INVALID" in more or reason in ("keyInvalid", "keyExpired") or "API key" in message:
            return f"check the API key in {variable}"
        if status in (401, 403):
            api = "enable the YouTube Data API v3 for the project of the key"
            return f"{api} in {variable}, and check the key's restrictions"
        return "check the id in the sources file"

    def _budget(self, context: SourceContext) -> DailyBudget:
        return DailyBudget(self.settings.name, self.settings.limit, context)


def _place(stored: object) -> _Target | None:
    if not isinstance(stored, dict):
        return None
    first, at, known = zoned_time(stored.get("first")), zoned_time(stored.get("at")), stored.get("known")
    if first is None or at is None:
        return None
    return _Target(first, at, [one for one in known if isinstance(one, str)] if isinstance(known, list) else [])


def _stored(place: _Target) -> dict[str, Any]:
    return {"first": place.first.isoformat(), "at": place.at.isoformat(), "known": list(place.known)}
