"""Which namespace readers follow, and what a shadow namespace recomputes.

    {ns}:live      string   namespace whose panes readers of ns show; none: ns itself. `brandpulse replay swap` moves it
    {NAME}:replay  string   Replay as JSON: makes NAME a shadow of another namespace

Workers write to their own namespace and never follow. The alerter's own state stays under ns.
"""

import msgspec
import redis

from brandpulse.errors import StateError
from brandpulse.redis.error_hints import reaching_redis
from brandpulse.state.keys import NamespaceKeys


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """A shadow counts the posts of its parent's topic with event time from *since_ms* to before *until_ms*."""

    parent: str
    since_ms: int | None = None
    until_ms: int | None = None

    def holds(self, event_ms: int) -> bool:
        """Whether a post of event time *event_ms* is counted."""
        return (self.since_ms is None or event_ms >= self.since_ms) and (
            self.until_ms is None or event_ms < self.until_ms
        )


def live_namespace(client: redis.Redis, namespace: str) -> str:
    """The namespace that readers of *namespace* follow now. Raises TransientError."""
    with reaching_redis():
        stored = client.get(NamespaceKeys(namespace).live)
    return namespace if stored is None else bytes(stored).decode()  # type: ignore[arg-type]


def load_replay(client: redis.Redis, namespace: str) -> Replay | None:
    """What *namespace* recomputes; None if it is not a shadow. Raises TransientError, StateError."""
    key = NamespaceKeys(namespace).replay
    with reaching_redis():
        stored = client.get(key)
    try:
        return None if stored is None else msgspec.json.decode(stored, type=Replay)
    except msgspec.DecodeError as error:
        raise StateError(f"{key} holds no replay: {error}") from error
