"""Mastodon: posts with chosen hashtags, and chosen lists, on one server.

Source: docs.joinmastodon.org (streaming, timelines) and mastodon/mastodon streaming/index.js. A stream cannot be
resumed: after a connection the timelines are read forwards from the last post, so nothing is missed.
"""

from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import quote, urlencode, urlsplit

import aiohttp
import msgspec
from pydantic import Field, field_validator, model_validator

from brandpulse.text.html_text import html_text
from ingest.sources.event_time import event_time, zoned_time
from ingest.sources.events import Batch, Cursor, Delete, Edit, Event, NewPost, Skip
from ingest.sources.secrets import SecretName, secret
from ingest.sources.source import SourceConfigError, SourceContext, SourceError, SourceSettings
from ingest.sources.web_client import check_web_address, get

PAGE = 40
"""Posts per page of a timeline: the most that the API gives."""
KNOWN_POSTS = 20_000
"""A deletion names the server's own number of a post. So many recent numbers are remembered with the post's address."""


class MastodonSettings(SourceSettings):
    kind: Literal["mastodon"]
    server: str = Field(examples=["https://mastodon.social"])
    token_env: SecretName
    """Variable with an access token of a plain account: its blocks, mutes and languages filter the stream."""
    hashtags: tuple[str, ...] = ()
    """With or without the #."""
    lists: tuple[str, ...] = ()
    """Numbers of lists of the account."""

    @field_validator("server")
    @classmethod
    def _address(cls, server: str) -> str:
        return check_web_address(server, "https://mastodon.social")

    @field_validator("hashtags")
    @classmethod
    def _bare(cls, hashtags: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(hashtag.removeprefix("#") for hashtag in hashtags)

    @model_validator(mode="after")
    def _reads_something(self) -> "MastodonSettings":
        if not (self.hashtags or self.lists):
            raise ValueError("needs at least one of hashtags or lists; Mastodon has no stream of words")
        return self


class StatusDecoder:
    """Turns statuses into posts; remembers their addresses for deletions."""

    def __init__(self, server: str) -> None:
        self._domain = urlsplit(server).hostname or server
        self._addresses: OrderedDict[str, str] = OrderedDict()

    def status(
        self, status: object, *, edited: bool = False, may_be_old: bool = False, arrived: datetime | None = None
    ) -> Event:
        """The event of a status of the API. *may_be_old* as in `event_time`; *arrived* is by default now."""
        if not isinstance(status, dict) or not isinstance(status.get("id"), str):
            return Skip("no_status")
        uri = status.get("uri")
        if not isinstance(uri, str):
            return Skip("no_address")
        self._addresses[status["id"]] = uri
        if len(self._addresses) > KNOWN_POSTS:
            self._addresses.popitem(last=False)
        if edited:
            return Edit(uri)
        if status.get("reblog"):
            return Skip("repost")
        account = status.get("account")
        name = account.get("acct") if isinstance(account, dict) else None
        text = _text(status)
        if not isinstance(name, str) or not name or not text:
            return Skip("no_author" if text else "no_text")
        declared = zoned_time(status.get("created_at"))
        at, replaced = event_time(declared, arrived or datetime.now(UTC), may_be_old=may_be_old)
        author = name if "@" in name else f"{name}@{self._domain}"
        return NewPost(uri, text, at, author, _word(status.get("language")), _word(status.get("url")), replaced)

    def deletion(self, number: str) -> Event:
        uri = self._addresses.pop(number, None)
        return Delete(id=uri) if uri is not None else Skip("deletion_of_unknown")


def _text(status: Mapping[str, Any]) -> str:
    parts = [html_text(value) for name in ("spoiler_text", "content") if isinstance(value := status.get(name), str)]
    text = "\n".join(part for part in parts if part)
    if text:
        return text
    media = status.get("media_attachments")
    descriptions = [one.get("description") for one in media if isinstance(one, dict)] if isinstance(media, list) else []
    return "\n".join(words for words in descriptions if isinstance(words, str) and words.strip())


class MastodonSource:
    """Reads the streams of one server. The cursor: name of each stream -> number of its last post."""

    def __init__(self, settings: MastodonSettings) -> None:
        self.settings = settings
        self._token = secret(settings.token_env, source=settings.name)
        self._decoder = StatusDecoder(settings.server)

    @property
    def _streams(self) -> dict[str, tuple[str, dict[str, str]]]:
        """Name -> (path of its timeline, what the stream is subscribed with)."""
        tags = {
            f"tag:{tag}": (f"tag/{quote(tag, safe='')}", {"stream": "hashtag", "tag": tag})
            for tag in self.settings.hashtags
        }
        lists = {
            f"list:{number}": (f"list/{quote(number, safe='')}", {"stream": "list", "list": number})
            for number in self.settings.lists
        }
        return tags | lists

    async def check(self, context: SourceContext) -> str:
        instance = await self._json("/api/v2/instance", context)
        access = _at(instance, "configuration", "timelines_access", "hashtag_feeds")
        disabled = [where for where in ("local", "remote") if _at(access, where) == "disabled"]
        if self.settings.hashtags and disabled:
            raise SourceConfigError(
                f"{self.settings.server} gives no {' and no '.join(disabled)} posts of hashtags: its stream would be "
                "silent. Choose another server"
            )
        account = await self._json("/api/v1/accounts/verify_credentials", context)
        return f"{self.settings.server} accepts the token of @{_at(account, 'acct')}"

    async def read(self, cursor: Cursor | None, context: SourceContext) -> AsyncIterator[Batch]:
        streams = self._streams
        last = {name: str(cursor[name]) for name in streams if cursor and name in cursor}
        if new := streams.keys() - last.keys():
            # A hashtag that was added begins now: its history would look like a rise.
            for name in sorted(new):
                last[name] = await self._newest(streams[name][0], context)
            yield Batch((), dict(last))
        socket = await self._connect(context)
        try:
            for _, wanted in streams.values():
                await socket.send_json({"type": "subscribe", **wanted})
            # After the subscription, so that no post falls between: what comes twice counts once.
            for name, (path, _) in streams.items():
                async for batch in self._missed(name, path, last, context):
                    yield batch
            yield Batch((), dict(last), caught_up=True)
            async for event, stream, number in self._live(socket, streams):
                if stream is not None and number is not None:
                    last[stream] = number
                yield Batch((event,), dict(last))
        finally:
            await socket.close()

    async def _newest(self, path: str, context: SourceContext) -> str:
        found = await self._json(f"/api/v1/timelines/{path}?limit=1", context)
        return str(_at(found[0], "id")) if isinstance(found, list) and found else "0"

    async def _missed(self, name: str, path: str, last: dict[str, str], context: SourceContext) -> AsyncIterator[Batch]:
        """The posts after *last*, oldest first. `min_id` pages forwards; `since_id` would leave the middle out."""
        while True:
            query = urlencode({"min_id": last[name], "limit": PAGE})
            page = await self._json(f"/api/v1/timelines/{path}?{query}", context)
            if not isinstance(page, list) or not page:
                return
            events = [self._decoder.status(status, may_be_old=True) for status in reversed(page)]
            newest = str(_at(page[0], "id"))
            if newest == last[name]:
                return
            last[name] = newest
            yield Batch(events, dict(last), caught_up=False)

    async def _connect(self, context: SourceContext) -> aiohttp.ClientWebSocketResponse:
        instance = await self._json("/api/v2/instance", context)
        host = _at(instance, "configuration", "urls", "streaming") or self.settings.server.replace("http", "ws", 1)
        try:
            return await context.session.ws_connect(
                f"{host}/api/v1/streaming", headers=self._headers(), heartbeat=30, max_msg_size=4 << 20
            )
        except aiohttp.WSServerHandshakeError as error:
            message = error.headers.get("X-Error-Message", "") if error.headers else ""
            reason = f"{host} refused the stream with {error.status} {message}".rstrip()
            if error.status in (401, 403):
                raise SourceConfigError(f"{reason}; check the token in {self.settings.token_env}") from error
            raise SourceError(reason) from error

    async def _live(
        self, socket: aiohttp.ClientWebSocketResponse, streams: Mapping[str, object]
    ) -> AsyncIterator[tuple[Event, str | None, str | None]]:
        """(event, its stream, the server's number of a new post)."""
        while True:
            message = await socket.receive()
            if message.type is not aiohttp.WSMsgType.TEXT:
                reason = f"{message.data} {message.extra or ''}".rstrip()
                raise SourceError(f"{self.settings.server} closed the stream: {reason}")
            yield self._event(message.data, streams)

    def _event(self, data: str, streams: Mapping[str, object]) -> tuple[Event, str | None, str | None]:
        try:
            frame = msgspec.json.decode(data)
        except msgspec.DecodeError:
            return Skip("not_json"), None, None
        if not isinstance(frame, dict):
            return Skip("not_an_object"), None, None
        if "error" in frame:
            reason = f"{self.settings.server}: {frame['error']}"
            if frame.get("status") in (401, 403, 404):
                raise SourceConfigError(reason)
            raise SourceError(reason)
        kind, payload = frame.get("event"), frame.get("payload")
        if kind == "delete":
            return self._decoder.deletion(str(payload)), None, None
        if kind not in ("update", "status.update"):
            return Skip("other_kind"), None, None
        try:
            status = msgspec.json.decode(str(payload))
        except msgspec.DecodeError:
            return Skip("not_json"), None, None
        event = self._decoder.status(status, edited=kind == "status.update")
        name = _name(frame.get("stream"))
        number = _at(status, "id") if kind == "update" and name in streams else None
        return event, name, number

    async def _json(self, path: str, context: SourceContext) -> Any:
        answer = await get(context, f"{self.settings.server}{path}", headers=self._headers())
        try:
            return msgspec.json.decode(answer.body)
        except msgspec.DecodeError as error:
            raise SourceError(f"{self.settings.server}{path} answered with something that is not JSON") from error

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token.get_secret_value()}"}


def _name(stream: object) -> str | None:
    """The stream's name in the cursor."""
    if not isinstance(stream, Sequence) or len(stream) < 2:
        return None
    return {"hashtag": f"tag:{stream[1]}", "list": f"list:{stream[1]}"}.get(str(stream[0]))


def _at(value: object, *path: str) -> Any:
    for part in path:
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _word(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
