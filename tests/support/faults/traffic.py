"""Posts of the fault suite, valid and invalid, each with its expected outcome, without any code of the workers."""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.support.builders import NOON_MS, a_post

MINUTE_MS = 60_000
ROUND_MS = 10 * MINUTE_MS
"""Event time of one round."""
TEXTS: dict[str, tuple[tuple[str, str], ...]] = {
    "acme is awful": (("Acme", "negative"),),
    "acme is great": (("Acme", "positive"),),
    "acme opens at nine": (("Acme", "neutral"),),
    "@bolt is awful": (("Bolt", "negative"),),
    "acme and @bolt are great": (("Acme", "positive"), ("Bolt", "positive")),
    "no brand here": (),
}
"""Text -> brands it names and what the keyword engine says of each."""
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
HUGE_BYTES = 5_000_000


@dataclass(frozen=True, slots=True)
class Meaning:
    """What must become of a record: counted under a post's id, or dead for a reason."""

    post_id: str = ""
    at_ms: int = 0
    said: tuple[tuple[str, str], ...] = ()
    dead: str = ""


@dataclass(frozen=True, slots=True)
class Sent:
    key: bytes | None
    value: bytes | None
    meaning: Meaning


def good_posts(pick: random.Random, number: int, posts: int) -> list[Sent]:
    """Posts of round *number*; a tenth of them twice, some minutes late."""
    out = []
    for i in range(posts):
        text = pick.choice(list(TEXTS))
        at_ms = NOON_MS + number * ROUND_MS + pick.randrange(ROUND_MS) - (pick.random() < 0.05) * 5 * MINUTE_MS
        post_id = f"r{number}-{i}"
        post = a_post(post_id, text, at_ms, author_id=f"a{pick.randrange(300)}")
        out.append(Sent(post_id.encode(), json.dumps(post).encode(), Meaning(post_id, at_ms, TEXTS[text])))
    out += pick.sample(out, posts // 10)
    pick.shuffle(out)
    return out


def poison(pick: random.Random, number: int, *, huge: bool) -> list[Sent]:
    """One of each kind of record that cannot count."""

    def dead(reason: str, value: bytes | None) -> Sent:
        return Sent(f"{pick.random()}".encode(), value, Meaning(dead=reason))

    def wrong(reason: str, name: str, **changes: Any) -> Sent:
        at_ms = NOON_MS + number * ROUND_MS
        return dead(reason, json.dumps(a_post(f"p{number}-{name}", "acme", at_ms) | changes).encode())

    whole = json.dumps(a_post(f"p{number}-x", "acme", NOON_MS)).encode()
    tag = f"{number}".encode()
    records = [
        dead("empty", None),
        dead("not_json", whole[:-5] + b" " * number),
        dead("not_json", b"\x00" * (5 + number)),
        dead("not_json", b'{"x":' * (5_000 + number)),
        dead("not_utf8", whole.replace(b'"acme"', b'"acme ' + tag + b' \xff\xfe"')),
        dead("not_json", whole.replace(b'"acme"', b'"acme ' + tag + b' \\ud800"')),
        wrong("wrong_field", "type", id=number),
        wrong("wrong_field", "list", text=["acme"]),
        wrong("wrong_field", "version", schema_version=2),
        wrong("wrong_field", "zone", created_at="2026-03-02T12:00:00"),
        wrong("wrong_field", "long", text="acme " * 5_000),
        wrong("too_old", "1970", created_at="1970-01-01T00:00:00Z"),
        wrong("from_the_future", "2100", created_at="2100-01-01T00:00:00Z"),
    ]
    if huge:
        # Random, so that no codec makes it small.
        records.append(wrong("too_large", "huge", text="acme " + pick.randbytes(HUGE_BYTES // 2).hex()))
    return records


def odd_but_good(number: int) -> list[Sent]:
    """Valid posts that look invalid: NUL characters, astral ones, a moment far in the past minutes."""
    at_ms = NOON_MS + number * ROUND_MS
    out = []
    texts = {"nul": "acme \x00 is awful", "astral": "acme \U0001f4a9 is awful", "right to left": "\u202eacme is awful"}
    for name, text in texts.items():
        post_id = f"o{number}-{name}"
        value = json.dumps(a_post(post_id, text, at_ms)).encode()
        out.append(Sent(post_id.encode(), value, Meaning(post_id, at_ms, (("Acme", "negative"),))))
    return out


def warm_up(partitions: int) -> list[tuple[int, Sent]]:
    """A post for each partition: without one it has no clock, and 1970 would be as good a time as any."""
    out = []
    for partition in range(partitions):
        post_id = f"warm-{partition}"
        value = json.dumps(a_post(post_id, "acme opens at nine", NOON_MS)).encode()
        out.append((partition, Sent(post_id.encode(), value, Meaning(post_id, NOON_MS, TEXTS["acme opens at nine"]))))
    return out


def one_round(pick: random.Random, number: int, burst: int, *, flow: int, huge: bool) -> Sequence[Sent]:
    """Everything that round *number* may send, in its order: poison among the *burst*, good posts after it."""
    posts = good_posts(pick, number, burst + flow)
    records = [*posts[:burst], *odd_but_good(number)]
    for bad in poison(pick, number, huge=huge):
        records.insert(pick.randrange(burst), bad)
    return [*records, *posts[burst:]]
