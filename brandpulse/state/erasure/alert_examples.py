"""Removes the text of a post from the examples of episodes and notifications. Blocking.

A post of which the alerter read the text earlier does not come back: once `erasures` has changed, Redis rejects the
alerter's calls or keeps the stored text.
"""

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

import msgspec
import redis

from brandpulse.errors import TransientError
from brandpulse.redis.error_hints import reaching_redis
from brandpulse.schema.episodes import ExamplePost
from brandpulse.state.erasure.erased_posts import PostId
from brandpulse.state.keys import AlertingKeys

ERASED_TEXT = "(erased)"
MAX_TRIES = 20

_SWAP = """
-- KEYS: erasures, then the key of each change, then the keys to search. ARGV: marker, the erased text that follows it,
-- number of changes; per change: 'h' or 'l', field, value as read, new value.
-- Returns 1; 0 if another client wrote in between: read again.
local marker, erased, changes = ARGV[1], ARGV[2], tonumber(ARGV[3])
for i = 1, changes do
    local at = 4 + (i - 1) * 4
    if ARGV[at] == 'h' and redis.call('HGET', KEYS[i + 1], ARGV[at + 1]) ~= ARGV[at + 2] then
        return 0
    end
end
for i = 1, changes do
    local at = 4 + (i - 1) * 4
    if ARGV[at] == 'h' then
        redis.call('HSET', KEYS[i + 1], ARGV[at + 1], ARGV[at + 3])
    else
        for place, value in ipairs(redis.call('LRANGE', KEYS[i + 1], 0, -1)) do
            if value == ARGV[at + 2] then
                redis.call('LSET', KEYS[i + 1], place - 1, ARGV[at + 3])
            end
        end
    end
end
for i = changes + 2, #KEYS do
    local kind = redis.call('TYPE', KEYS[i]).ok
    local values = {}
    if kind == 'hash' then
        values = redis.call('HVALS', KEYS[i])
    elseif kind == 'list' then
        values = redis.call('LRANGE', KEYS[i], 0, -1)
    end
    for _, value in ipairs(values) do
        local from = 1
        while true do
            local _, last = string.find(value, marker, from, true)
            if last == nil then
                break
            end
            if string.sub(value, last + 1, last + #erased) ~= erased then
                return 0
            end
            from = last + 1
        end
    end
end
redis.call('INCR', KEYS[1])
return 1
"""


def note_erasure(client: redis.Redis, keys: AlertingKeys) -> None:
    """Texts were removed from stored posts: what the alerter read before is not written any more."""
    with reaching_redis():
        client.incr(keys.erasures)


def examples_among(client: redis.Redis, keys: AlertingKeys, posts: Collection[PostId]) -> list[PostId]:
    """Those of *posts* that are an example of an episode or a notification. Raises TransientError."""
    if not posts:
        return []
    named: set[PostId] = set()
    with reaching_redis():
        # Hashes first: an entry moves from a hash to a list, never back.
        for key in _hashes(keys):
            stored: Any = client.hgetall(key)
            for value in stored.values():
                _collect(msgspec.json.decode(value), named)
        for key in _lists(keys):
            values: Any = client.lrange(key, 0, -1)
            for value in values:
                _collect(msgspec.json.decode(value), named)
    return sorted(named.intersection(posts))


def _collect(value: Any, named: set[PostId]) -> None:
    """Add the posts of all examples in *value*, decoded JSON, to *named*."""
    if isinstance(value, list):
        for item in value:
            _collect(item, named)
    elif isinstance(value, dict):
        if isinstance(value.get("source"), str) and isinstance(value.get("id"), str) and "text" in value:
            named.add(PostId(value["source"], value["id"]))
        for item in value.values():
            _collect(item, named)


def _hashes(keys: AlertingKeys) -> tuple[str, ...]:
    return keys.episodes, keys.outbox, keys.quarantine, keys.late


def _lists(keys: AlertingKeys) -> tuple[str, ...]:
    return keys.closed, keys.delivered


def erase_examples(client: redis.Redis, keys: AlertingKeys, post: PostId) -> tuple[int, int]:
    """Replace the text of *post* in all examples; the numbers of changed episodes and notifications.

    Raises TransientError if Redis is unreachable or changes faster than it is read.
    """
    with reaching_redis():
        return _erase_examples(client, keys, post)


def _erase_examples(client: redis.Redis, keys: AlertingKeys, post: PostId) -> tuple[int, int]:
    hashes, lists = _hashes(keys), _lists(keys)
    marker, erased = _marker(post), msgspec.json.encode(ERASED_TEXT)
    swap = client.register_script(_SWAP)
    for _ in range(MAX_TRIES):
        changes: list[tuple[str, str, bytes, bytes, bytes]] = []
        for key in hashes:
            stored: Any = client.hgetall(key)
            changes += [
                (key, "h", field, value, _with_text_erased(value, post))
                for field, value in stored.items()
                if marker in value
            ]
        for key in lists:
            values: Any = client.lrange(key, 0, -1)
            changes += [
                (key, "l", b"", value, _with_text_erased(value, post))
                for value in dict.fromkeys(values)
                if marker in value
            ]
        changes = [change for change in changes if change[3] != change[4]]
        arguments: list[Any] = [marker, erased, len(changes)]
        for _key, kind, field, before, after in changes:
            arguments += [kind, field, before, after]
        if swap(keys=[keys.erasures, *(change[0] for change in changes), *hashes, *lists], args=arguments):
            episodes = sum(change[0] in (keys.episodes, keys.closed) for change in changes)
            return episodes, len(changes) - episodes
    raise TransientError("the alerter writes episodes faster than they can be searched. Run the command again")


def _marker(post: PostId) -> bytes:
    """The JSON of an example of *post*, from after the brace to before its text."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    example = ExamplePost(id=post.id, source=post.source, text="", created_at=at).model_dump_json().encode()
    return example[1 : example.index(b'"text":') + len(b'"text":')]


def _with_text_erased(value: bytes, post: PostId) -> bytes:
    """*value*, a JSON document, with the text of each example of *post* replaced."""
    return msgspec.json.encode(_erase_in(msgspec.json.decode(value), post))


def _erase_in(value: Any, post: PostId) -> Any:
    if isinstance(value, list):
        return [_erase_in(item, post) for item in value]
    if not isinstance(value, dict):
        return value
    changed = {name: _erase_in(field, post) for name, field in value.items()}
    if "text" in changed and (changed.get("source"), changed.get("id")) == post:
        changed["text"] = ERASED_TEXT
    return changed
