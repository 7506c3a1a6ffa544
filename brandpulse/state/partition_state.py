"""What the store knows of one partition: the stored form of `{ns:topic:p}:state`, for its writer and its readers."""

from collections.abc import Mapping
from dataclasses import dataclass

from brandpulse.errors import StateError
from brandpulse.state.outcomes.near_misses import decode_near_misses
from brandpulse.state.outcomes.post_outcomes import Fates, decode_fates

NO_CLOCK = -(2**62)
"""Before the first post there is no time yet."""


@dataclass(frozen=True, slots=True)
class Generation:
    """One set of the repeat memory: its number, and the partition's clock (ms) when it was begun."""

    number: int
    began_ms: int
    size: int


@dataclass(frozen=True, slots=True)
class PartitionStatus:
    """One partition as its last applied batch left it. Moments are event time, ms since 1970."""

    topic: str
    partition: int
    next: int
    """Offset after the last applied record: the truth that Kafka's committed offset only follows."""
    topic_id: str
    epoch: int = -1
    """Leader epoch of the record before `next`; -1: not known. It tells this log from one whose end was cut off and
    written anew. Stored as `next:epoch`, so that a version that does not know it cannot leave an old one behind."""
    clock_ms: int = NO_CLOCK
    """Largest min(event time, record time) so far."""
    lateness_ms: int = 0
    late: int = 0
    repeated: int = 0
    dead: int = 0
    unmatched: int = 0
    unread: int = 0
    """Posts that name a brand in a language that the model does not read."""
    keyless: int = 0
    """Records without a key: the same id may lie in two partitions, and counts in each."""
    lost: int = 0
    """Offsets that retention removed before we read them."""
    redriven: int = 0
    """Dead letters that were sent again and then counted, or found to be counted or to name no brand."""
    generations: tuple[Generation, ...] = ()
    owner: str = ""
    seen_wall_ms: int = 0
    """Wall clock of the owner's last sign of life: it was there, and Kafka answered it about this partition."""
    caught_up: bool = False
    """The owner has read to the log's end, for some seconds now: the partition is idle, not slow."""
    lag: int = 0
    paused: str = ""
    """Why the partition waits for a person, or empty."""
    allowed_until: int = 0
    """Offset up to which a person has let invalid posts through (`brandpulse dlq allow`)."""
    life: str = ""
    """A random word of each beginning: who still holds the state of before a store lost everything is told apart from
    who began the same log again, also at the same offset."""
    writer: str = ""
    """A random word of whoever wrote last, new at each load. Who finds its own, at the `next` that it left, knows what
    lies there without reading it: nobody wrote in between, not even after a store lost its last writes."""

    fates: Fates = ()
    """What became of the posts of each source in recent record time."""
    near_misses: tuple[tuple[str, int], ...] = ()
    """Words near a brand's in posts that name none, and of how many sampled posts (`brandpulse.state.outcomes.near_misses`)."""

    @property
    def watermark_ms(self) -> int:
        """No on-time post is expected below this event time."""
        return self.clock_ms - self.lateness_ms

    @classmethod
    def decode(cls, topic: str, partition: int, stored: Mapping[bytes, bytes]) -> "PartitionStatus":
        """Raises StateError if a field has a value no version of ours wrote."""

        def number(name: str, default: int = 0) -> int:
            raw = stored.get(name.encode())
            try:
                return default if raw is None else int(raw)
            except ValueError:
                raise StateError(f"state of {topic}:{partition}: field {name!r} is {raw!r}, not a number") from None

        def word(name: str) -> str:
            return stored.get(name.encode(), b"").decode()

        try:
            generations = tuple(
                Generation(*map(int, part.split(":"))) for part in word("generations").split(",") if part
            )
        except (TypeError, ValueError):
            raise StateError(f"state of {topic}:{partition}: generations {word('generations')!r}") from None
        try:
            epoch_at, epoch = map(int, word("epoch").split(":")) if word("epoch") else (-1, -1)
        except ValueError:
            raise StateError(f"state of {topic}:{partition}: epoch {word('epoch')!r} is not 'next:epoch'") from None
        return cls(
            topic=topic,
            partition=partition,
            next=number("next"),
            epoch=epoch if epoch_at == number("next") else -1,
            topic_id=word("topic_id"),
            life=word("life"),
            writer=word("writer"),
            clock_ms=number("clock_ms", NO_CLOCK),
            lateness_ms=number("lateness_ms"),
            late=number("late"),
            repeated=number("repeated"),
            dead=number("dead"),
            unmatched=number("unmatched"),
            lost=number("lost"),
            redriven=number("redriven"),
            generations=generations,
            owner=word("owner"),
            seen_wall_ms=number("seen_wall_ms"),
            caught_up=word("caught_up") == "1",
            lag=number("lag"),
            paused=word("paused"),
            allowed_until=number("allowed_until"),
            unread=number("unread"),
            keyless=number("keyless"),
            fates=decode_fates(stored.get(b"fates", b"")),
            near_misses=decode_near_misses(stored.get(b"near_misses", b"")),
        )


def encode_generations(generations: tuple[Generation, ...]) -> str:
    return ",".join(f"{g.number}:{g.began_ms}:{g.size}" for g in generations)
