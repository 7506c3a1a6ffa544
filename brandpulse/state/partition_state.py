"""The state of one partition: the stored form of `{ns:topic:p}:state`, for its writer and its readers."""

from collections.abc import Mapping
from dataclasses import dataclass

from brandpulse.errors import StateError
from brandpulse.state.outcomes.language_counts import LanguageCounts, decode_language_counts
from brandpulse.state.outcomes.near_misses import decode_near_misses
from brandpulse.state.outcomes.post_outcomes import PostOutcomes, decode_outcomes

NO_CLOCK = -(2**62)
"""The clock before the first post."""


@dataclass(frozen=True, slots=True)
class Generation:
    """One set of the memory of duplicates: its number, and the partition's clock (ms) when it began."""

    number: int
    began_ms: int
    size: int


@dataclass(frozen=True, slots=True)
class PartitionStatus:
    """One partition after its last applied batch. Times are event time, ms since 1970."""

    topic: str
    partition: int
    next: int
    """Offset after the last applied record. It decides; Kafka's committed offset only follows."""
    topic_id: str
    epoch: int = -1
    """Leader epoch of the record before `next`; -1: not known. It distinguishes this log from one whose end was cut
    off and written again. Stored as `next:epoch`, so that older versions, which do not write it, leave no stale one."""
    clock_ms: int = NO_CLOCK
    """Largest min(event time, record time) so far."""
    lateness_ms: int = 0
    late: int = 0
    repeated: int = 0
    dead: int = 0
    unmatched: int = 0
    unread: int = 0
    """Posts that name a brand in a language that the model does not support."""
    keyless: int = 0
    """Records without a key: the same id may lie in two partitions, and counts in each."""
    lost: int = 0
    """Offsets that retention removed before they were read."""
    redriven: int = 0
    """Dead letters that were sent again and then processed: counted, a duplicate, or without a brand."""
    generations: tuple[Generation, ...] = ()
    owner: str = ""
    seen_wall_ms: int = 0
    """Wall clock when the owner last reported that Kafka answers it about this partition."""
    caught_up: bool = False
    """The owner has been at the log's end for some seconds: the partition is idle, not slow."""
    lag: int = 0
    paused: str = ""
    """Why the partition is paused, or empty."""
    allowed_until: int = 0
    """Offset up to which a person has allowed invalid posts (`brandpulse dlq allow`)."""
    life: str = ""
    """A random token, new whenever the state begins from nothing. After a store lost everything, it distinguishes a
    worker with the old state from one that began the same log again, even at the same offset."""
    writer: str = ""
    """A random token of the last writer, new at each load. If a worker finds its own token and its own `next`, the
    stored state is what it wrote: no other worker wrote in between, and the store lost no writes."""

    post_outcomes: PostOutcomes = ()
    """Outcomes of the posts of each source in recent record time."""
    near_misses: tuple[tuple[str, int], ...] = ()
    """Near misses of brand words in posts that name no brand, with the number of sampled posts."""
    languages: LanguageCounts = ()
    """Posts of each brand by language, since the partition's beginning."""

    @property
    def watermark_ms(self) -> int:
        """No on-time post is expected below this event time."""
        return self.clock_ms - self.lateness_ms

    @classmethod
    def decode(cls, topic: str, partition: int, stored: Mapping[bytes, bytes]) -> "PartitionStatus":
        """Raises StateError if a field has a value that no version writes."""

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
            post_outcomes=decode_outcomes(stored.get(b"fates", b"")),
            near_misses=decode_near_misses(stored.get(b"near_misses", b"")),
            languages=decode_language_counts(stored.get(b"languages", b"")),
        )


def encode_generations(generations: tuple[Generation, ...]) -> str:
    return ",".join(f"{g.number}:{g.began_ms}:{g.size}" for g in generations)
