"""Removes the text of one post from everything that Redis stores: `brandpulse erase`. Counts stay. Blocking.

Text that a worker or the alerter read earlier is not written back: a worker's call skips erased posts (`{tag}:erased`,
see `stream_workers/state_store/lua/apply.lua`); once `erasures` has changed, Redis rejects the alerter's calls or keeps
the stored text.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
import redis

from brandpulse.errors import TransientError
from brandpulse.redis.error_hints import reaching_redis
from brandpulse.schema.episodes import ExamplePost
from brandpulse.state.keys import AlertingKeys, NamespaceKeys, PartitionKeys
from brandpulse.state.namespaces import live_namespace

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


class PostId(NamedTuple):
    """Source and id of a post, as its producer wrote them."""

    source: str
    id: str

    @property
    def digest(self) -> str:
        """Its name in samples, see `stream_workers/aggregation/post_sample.py`."""
        return hashlib.blake2b(f"{self.source}\0{self.id}".encode(), digest_size=12).hexdigest()[:12]

    @property
    def tombstones(self) -> tuple[str, str]:
        """Its members of `{tag}:erased`, as `stream_workers/state_store/lua/apply.lua` looks them up."""
        return hashlib.sha1(f"{self.source}\0{self.id}".encode(), usedforsecurity=False).hexdigest(), self.digest


@dataclass(frozen=True, slots=True)
class Erased:
    """Number of removed copies of the text, by the place that held them."""

    posts: int = 0
    """Recent posts, over brands, facets and partitions."""
    samples: int = 0
    """Words of the post in samples of usual posts."""
    episodes: int = 0
    """Examples in open and closed episodes."""
    notifications: int = 0
    """Examples in notifications that wait, were refused, or were delivered."""

    @property
    def total(self) -> int:
        return self.posts + self.samples + self.episodes + self.notifications


def erase(client: redis.Redis, namespace: str, post: PostId) -> Erased:
    """Remove the text of *post*. Raises TransientError if Redis is unreachable or changes faster than it is read."""
    posts = samples = 0
    with reaching_redis():
        for name in dict.fromkeys((namespace, live_namespace(client, namespace))):
            for keys in _partitions(client, name):
                # Before the search: from now on, a worker's writes skip this post.
                client.sadd(keys.erased, *post.tombstones)
                for key in _post_keys(client, keys):
                    members: Any = client.zrange(key, 0, -1)
                    erased = [member for member in members if _is_post(member, post)]
                    if erased:
                        client.zrem(key, *erased)
                    posts += len(erased) * (":s:" not in key)
                    samples += len(erased) * (":s:" in key)
        episodes, notifications = _erase_examples(client, AlertingKeys(namespace), post)
    return Erased(posts, samples, episodes, notifications)


def _partitions(client: redis.Redis, namespace: str) -> Iterator[PartitionKeys]:
    names: Any = client.smembers(NamespaceKeys(namespace).partitions)
    for name in sorted(names):
        topic, partition = name.decode().rsplit(":", 1)
        yield PartitionKeys(namespace, topic, int(partition))


def _post_keys(client: redis.Redis, keys: PartitionKeys) -> Iterator[str]:
    """Keys that hold posts: those per hour and day by the index, the recent ones by the names of their series."""
    members: Any = client.zrange(keys.index, 0, -1)
    names = [member.decode() for member in members]
    kinds = {f"{keys.tag}:{kind}:": kind for kind in ("kn", "ko", "s", "h")}
    listed: Any = client.smembers(NamespaceKeys(keys.namespace).brands)
    series = {name.decode() for name in listed}
    for name in names:
        prefix = next((prefix for prefix in kinds if name.startswith(prefix)), None)
        if prefix is None:
            continue
        if kinds[prefix] == "h":
            series.add(name.removeprefix(prefix).split(":", 1)[1])
        else:
            yield name
    for name in sorted(series):
        yield keys.negatives(name)


def _is_post(member: bytes, post: PostId) -> bool:
    """Whether *member*, a stored post or a post of a sample, is *post*."""
    stored = msgspec.json.decode(member)
    if isinstance(stored, dict):
        return (stored.get("source"), stored.get("id")) == post
    if isinstance(stored[1], str):
        return (stored[1], stored[0]) == post
    return bool(stored[0] == post.digest)


def _erase_examples(client: redis.Redis, keys: AlertingKeys, post: PostId) -> tuple[int, int]:
    """Numbers of episodes and notifications whose examples were erased."""
    hashes = (keys.episodes, keys.outbox, keys.quarantine, keys.late)
    lists = (keys.closed, keys.delivered)
    marker, erased = _marker(post), msgspec.json.encode(ERASED_TEXT)
    swap = client.register_script(_SWAP)
    # What the alerter reads from now on holds no post that was erased above.
    client.incr(keys.erasures)
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
