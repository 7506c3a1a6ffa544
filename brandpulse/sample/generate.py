"""Generates the sample stream, always the same: `python -m brandpulse.sample.generate`."""

import gzip
import io
import math
import random
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from brandpulse.sample import phrases
from brandpulse.schema.posts import SENTIMENTS, Post, Sentiment

SEED = 20260302
BEGIN = datetime(2026, 3, 2, tzinfo=UTC)
"""A Monday."""
END = BEGIN + timedelta(hours=66)

CRISIS_BEGIN = BEGIN + timedelta(days=2, hours=5, minutes=40)
"""The first wave of departures on Wednesday: Aerolux's check-in systems go down."""
CRISIS_END = CRISIS_BEGIN + timedelta(hours=2, minutes=30)
CRISIS_RAMP = timedelta(minutes=10)
CRISIS_EBB = timedelta(minutes=12)
"""Time after the end in which the excess falls to 1/e."""
CRISIS_VOLUME = 4.0
CRISIS_NEGATIVE = 0.75

VIRAL_BEGIN = BEGIN + timedelta(days=1, hours=17)
VIRAL_END = VIRAL_BEGIN + timedelta(hours=1)
VIRAL_POSTS = 70

ANGRY_BEGIN = BEGIN + timedelta(days=1, hours=10, minutes=20)
ANGRY_POSTS = 30
ANGRY_AUTHOR = "kettle_of_wrath"

TWO_BRAND_POSTS = 24
NO_BRAND_POSTS = 45
REDELIVERED = 14
LATE = 3

UNSURE_FILE = Path(__file__).with_name("unsure_texts.txt")
"""Texts whose label depends on the precision of the model; `brandpulse.sample.unsure_texts` finds them."""
REWRITES = 100
"""How often a text is drawn before the generator gives up."""

# Posts per hour over the day, UTC, relative to the mean: the waking hours of a European country.
DAY = (
    *(0.45, 0.35, 0.3, 0.3, 0.4, 0.7, 0.95, 1.15, 1.25, 1.25, 1.2, 1.2),
    *(1.3, 1.25, 1.2, 1.15, 1.2, 1.35, 1.45, 1.5, 1.4, 1.2, 0.9, 0.6),
)


@dataclass(frozen=True, slots=True)
class Voice:
    """How people talk about one brand."""

    brand: str
    posts_per_hour: float
    negative: float
    positive: float
    cores: dict[Sentiment, tuple[str, ...]]
    mentions: tuple[str, ...]


VOICES = (
    Voice("Aerolux", 19.0, 0.22, 0.30, phrases.AEROLUX, ("Aerolux", "Aerolux", "@aerolux", "@Aerolux", "#FlyAerolux")),
    Voice("Cafetto", 12.5, 0.16, 0.42, phrases.CAFETTO, ("Cafetto", "Cafetto", "cafetto", "@cafetto", "#Cafetto")),
    Voice("Bankora", 10.0, 0.20, 0.30, phrases.BANKORA, ("Bankora", "Bankora", "bankora", "@bankora", "@BankoraCare")),
)


@dataclass(frozen=True, slots=True)
class SamplePost:
    """A post with its intended labels. The file contains only the posts."""

    post: Post
    sentiment: Sentiment
    brands: tuple[str, ...]


def write_stream(unsure: Collection[str] | None = None) -> list[SamplePost]:
    """The stream in order of arrival, redelivered and late posts included.

    Texts in *unsure* are written otherwise; by default those of `UNSURE_FILE`.
    """
    if unsure is None:
        unsure = UNSURE_FILE.read_text(encoding="utf-8").splitlines()
    return _Generator(random.Random(SEED), frozenset(unsure)).stream()


def as_lines(stream: Sequence[SamplePost]) -> bytes:
    """JSON lines of the file, before compression."""
    return b"".join(written.post.model_dump_json(exclude_none=True).encode() + b"\n" for written in stream)


def crisis_strength(at: datetime) -> float:
    """0 in a usual minute, 1 at the height of the crisis: a short ramp, a plateau, an exponential decay."""
    if at < CRISIS_BEGIN:
        return 0.0
    if at < CRISIS_END:
        return min(1.0, (at - CRISIS_BEGIN) / CRISIS_RAMP)
    strength = math.exp(-((at - CRISIS_END) / CRISIS_EBB))
    return strength if strength > 0.02 else 0.0


class _Generator:
    def __init__(self, rng: random.Random, unsure: Collection[str]) -> None:
        self._rng = rng
        self._unsure = unsure
        self._authors = _author_names(rng, 2_100)
        self._number = 0

    def stream(self) -> list[SamplePost]:
        written = [
            *(post for voice in VOICES for post in self._usual(voice)),
            *self._viral(),
            *self._angry(),
            *self._scattered(phrases.TWO_BRANDS, TWO_BRAND_POSTS),
            *self._scattered(phrases.NO_BRAND, NO_BRAND_POSTS),
        ]
        written.sort(key=lambda each: each.post.created_at)
        return self._as_delivered(_numbered(written))

    def _usual(self, voice: Voice) -> Iterator[SamplePost]:
        """Everyday posts about one brand; for Aerolux, also the crisis."""
        minute = BEGIN
        while minute < END:
            crisis = crisis_strength(minute) if voice.brand == "Aerolux" else 0.0
            volume = voice.posts_per_hour / 60 * DAY[minute.hour] * (1 + crisis * (CRISIS_VOLUME - 1))
            for _ in range(_poisson(self._rng, volume)):
                # In the crisis most posts are about it; the others stay as usual.
                about_it = self._rng.random() < crisis
                cores = phrases.CRISIS if about_it else voice.cores
                negative = CRISIS_NEGATIVE if about_it else voice.negative
                positive = 0.05 if about_it else voice.positive
                sentiment = self._sentiment(negative, positive)
                text = self._text(cores[sentiment], sentiment, voice.mentions)
                yield self._written(text, sentiment, (voice.brand,), at=self._within(minute))
            minute += timedelta(minutes=1)

    def _viral(self) -> Iterator[SamplePost]:
        """An hour of praise for Bankora: high volume, and no reason to page."""
        mentions = VOICES[2].mentions
        for _ in range(VIRAL_POSTS):
            # Squared, so that most posts come in the first minutes.
            at = VIRAL_BEGIN + (VIRAL_END - VIRAL_BEGIN) * self._rng.random() ** 2
            yield self._written(self._text(phrases.VIRAL, "positive", mentions), "positive", ("Bankora",), at=at)

    def _angry(self) -> Iterator[SamplePost]:
        """Thirty posts of one author about Cafetto: they count as one person."""
        for number in range(ANGRY_POSTS):
            at = ANGRY_BEGIN + timedelta(seconds=190 * number + self._rng.randrange(60))
            text = self._text(phrases.ANGRY, "negative", ("Cafetto", "@cafetto"))
            yield self._written(text, "negative", ("Cafetto",), at=at, author=ANGRY_AUTHOR)

    def _scattered(self, texts: Sequence[tuple[str, Sentiment]], count: int) -> Iterator[SamplePost]:
        for number in range(count):
            template, sentiment = texts[number % len(texts)]
            text = _filled(template, self._rng)
            again = random.Random(f"{SEED} {number} {text}")
            while text in self._unsure:
                template, sentiment = again.choice(texts)
                text = _filled(template, again)
            brands = tuple(voice.brand for voice in VOICES if _names(text, voice.brand))
            yield self._written(text, sentiment, brands, at=BEGIN + (END - BEGIN) * self._rng.random())

    def _as_delivered(self, stream: list[SamplePost]) -> list[SamplePost]:
        """*stream* with some posts delivered twice and a few hours late."""
        places = self._rng.sample(range(200, len(stream) - 200), REDELIVERED + LATE)
        again = [(place + self._rng.randrange(1, 120), stream[place]) for place in places[:REDELIVERED]]
        late = [(place + 150, stream[place]) for place in places[REDELIVERED:]]
        moved = {id(written) for _, written in late}
        arrivals = [(float(place), written) for place, written in enumerate(stream) if id(written) not in moved]
        arrivals += [(place + 0.5, written) for place, written in again + late]
        return [written for _, written in sorted(arrivals, key=lambda arrival: arrival[0])]

    def _sentiment(self, negative: float, positive: float) -> Sentiment:
        draw = self._rng.random()
        if draw < negative:
            return SENTIMENTS[0]
        return SENTIMENTS[2] if draw < negative + positive else SENTIMENTS[1]

    def _text(self, cores: Sequence[str], sentiment: Sentiment, mentions: Sequence[str]) -> str:
        return self._sure(lambda rng: _composed(cores, sentiment, mentions, rng))

    def _sure(self, draw: Callable[[random.Random], str]) -> str:
        """A text of *draw* that is not unsure. Drawing again leaves the rest of the stream as it is."""
        text = first = draw(self._rng)
        again = random.Random(f"{SEED} {first}")
        for _ in range(REWRITES):
            if text not in self._unsure:
                return text
            text = draw(again)
        raise ValueError(f"no other text was found for {first!r}: change its phrase in brandpulse/sample/phrases.py")

    def _within(self, minute: datetime) -> datetime:
        return minute + timedelta(seconds=self._rng.randrange(60))

    def _written(
        self, text: str, sentiment: Sentiment, brands: tuple[str, ...], *, at: datetime, author: str = ""
    ) -> SamplePost:
        post = Post(
            schema_version=1,
            id="unnumbered",
            text=text,
            created_at=at.replace(microsecond=0),
            author_id=author or self._author(),
            source="sample",
            lang="en",
        )
        return SamplePost(post, sentiment, brands)

    def _author(self) -> str:
        # One post in six is by one of a hundred frequent authors.
        often = self._rng.random() < 1 / 6
        return self._authors[self._rng.randrange(100 if often else len(self._authors))]


def _numbered(stream: Sequence[SamplePost]) -> list[SamplePost]:
    return [
        SamplePost(each.post.model_copy(update={"id": f"s{number:05d}"}), each.sentiment, each.brands)
        for number, each in enumerate(stream, 1)
    ]


def _author_names(rng: random.Random, count: int) -> list[str]:
    first = "ada ben cleo dan eva finn gus hana ivo jule kai lena milo nora otto pia quin rosa sami tess udo vera"
    last = "apple brook cloud dune ember fern grove hill iris jade kite lake moss night oak pine reef sky tide wolf"
    names: dict[str, None] = {}
    while len(names) < count:
        joint = rng.choice(("_", ".", ""))
        number = rng.choice(("", "", str(rng.randrange(100))))
        names[f"{rng.choice(first.split())}{joint}{rng.choice(last.split())}{number}"] = None
    return list(names)


def _composed(cores: Sequence[str], sentiment: Sentiment, mentions: Sequence[str], rng: random.Random) -> str:
    core = _filled(rng.choice(cores).replace("{b}", rng.choice(mentions)), rng)
    asks = core.endswith("?")
    openers = phrases.QUESTION_OPENERS if asks else phrases.OPENERS[sentiment]
    closers = phrases.QUESTION_CLOSERS if asks else phrases.CLOSERS[sentiment]
    opener = rng.choice(openers) if rng.random() < 0.4 else ""
    if opener or core[:1] in "@#" or rng.random() < 0.7:
        core = core[:1].upper() + core[1:]
    if core[-1] not in "?!":
        core += "." if rng.random() < 0.8 else ("!" if sentiment != "neutral" else "")
    closer = rng.choice(closers) if rng.random() < 0.45 else ""
    return " ".join(part for part in (opener, core, closer) if part)


def _filled(template: str, rng: random.Random) -> str:
    return template.format_map({name: rng.choice(fillers) for name, fillers in phrases.SLOTS.items()})


def _names(text: str, brand: str) -> bool:
    """Whether the sample's *text* names *brand*; too simple for real posts."""
    words = "".join(character if character.isalnum() else " " for character in text.lower()).split()
    return brand.lower() in words


def _poisson(rng: random.Random, mean: float) -> int:
    """A Poisson number by Knuth's method, which suits the small means of one minute."""
    limit, product, count = math.exp(-mean), rng.random(), 0
    while product > limit:
        product *= rng.random()
        count += 1
    return count


def pack(lines: bytes) -> bytes:
    """*lines* compressed with gzip, without time or file name, so that the bytes are always the same."""
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", fileobj=packed, mode="wb", compresslevel=9, mtime=0) as file:
        file.write(lines)
    return packed.getvalue()


def main() -> None:
    path = Path(__file__).with_name("posts.jsonl.gz")
    stream = write_stream()
    path.write_bytes(pack(as_lines(stream)))
    print(f"{len(stream)} posts written to {path}")


if __name__ == "__main__":
    main()
