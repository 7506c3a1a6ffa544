"""Scores each distinct text once: most posts of a spike are reposts and copies."""

import hashlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from model.inference.lru_cache import LruCache
from model.inference.scorer import Probabilities, Scorer, Scores, begin
from model.inputs.target_marking import MarkedText
from model.spec.heads import BY_NAME, TARGET


@dataclass(slots=True)
class CachingScorer:
    """A scorer that caches the scores of *inner* for the *max_entries* most recently used posts.

    The key is the marked text with the target of each marker, and its language, which selects the weights. Copies
    within one call are scored once; copies in two concurrent calls are scored twice. An entry takes about 500 bytes
    plus 16 per target, for any length of the post.
    Degraded scores are not cached. The function that `begin` returns may be called on another thread.
    """

    inner: Scorer
    max_entries: int = 50_000
    hits: int = field(default=0, init=False)
    """Posts answered from the cache since the start."""
    misses: int = field(default=0, init=False)
    """Posts scored by *inner* since the start."""
    _entries: LruCache[bytes, bytes] = field(init=False, repr=False)
    """`cache_key` of a post -> float32: its row in each head, then the rows of its targets."""
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)
    """Protects the entries."""

    def __post_init__(self) -> None:
        self._entries = LruCache(self.max_entries)

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def version(self) -> str:
        return self.inner.version

    @property
    def heads(self) -> tuple[str, ...]:
        return self.inner.heads

    def score(self, posts: Sequence[MarkedText]) -> Scores:
        return self.begin(posts)()

    def begin(self, posts: Sequence[MarkedText]) -> Callable[[], Scores]:
        """As `model.inference.scorer.PipelinedScorer.begin`."""
        keys = [cache_key(post) for post in posts]
        known: dict[bytes, bytes] = {}
        missing: dict[bytes, MarkedText] = {}
        with self._lock:
            for key, post in zip(keys, posts, strict=True):
                if (entry := self._entries.get(key)) is None:
                    missing[key] = post
                else:
                    known[key] = entry
        finish_inner = begin(self.inner, list(missing.values())) if missing else None
        self.misses += len(missing)
        self.hits += len(keys) - len(missing)

        def finish() -> Scores:
            degraded: set[bytes] = set()
            if finish_inner is not None:
                scored = finish_inner()
                known.update(zip(missing, self._entries_of(scored, list(missing.values())), strict=True))
                order = list(missing)
                degraded.update(order[row] for row in scored.degraded)
                self._store({key: known[key] for key in missing if key not in degraded})
            return self._scores([known[key] for key in keys], [row for row, key in enumerate(keys) if key in degraded])

        return finish

    def _entries_of(self, scores: Scores, posts: Sequence[MarkedText]) -> list[bytes]:
        table = np.concatenate([scores.heads[name] for name in self._post_heads()], axis=1).astype(np.float32)
        entries: list[bytes] = []
        at = 0
        for row, post in enumerate(posts):
            entries.append(table[row].tobytes() + scores.target[at : at + post.targets].astype(np.float32).tobytes())
            at += post.targets
        return entries

    def _scores(self, entries: Sequence[bytes], degraded: Sequence[int]) -> Scores:
        widths = {name: len(BY_NAME[name].labels) for name in self._post_heads()}
        width = 4 * sum(widths.values())
        table = np.frombuffer(b"".join(entry[:width] for entry in entries), dtype=np.float32).reshape(-1, width // 4)
        target = np.frombuffer(b"".join(entry[width:] for entry in entries), dtype=np.float32)
        heads: dict[str, Probabilities] = {}
        at = 0
        for name, labels in widths.items():
            heads[name] = table[:, at : at + labels]
            at += labels
        return Scores(heads, target.reshape(-1, len(TARGET)), frozenset(degraded))

    def _post_heads(self) -> list[str]:
        return [name for name in self.inner.heads if BY_NAME[name].reads == "post"]

    def _store(self, entries: dict[bytes, bytes]) -> None:
        with self._lock:
            for key, entry in entries.items():
                self._entries.put(key, entry)


def cache_key(post: MarkedText) -> bytes:
    """16-byte hash of everything that the model reads of *post*; collisions are negligible."""
    about = f"{post.mentions}{post.targets}{sorted(post.absent)}" if post.targets else ""
    return hashlib.blake2b(f"{about}{post.language}\x00{post.text}".encode(), digest_size=16).digest()
