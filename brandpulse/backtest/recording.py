"""Reads recorded posts, and scores each distinct text once."""

import gzip
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import IO, Annotated, Any, cast

import msgspec

from brandpulse.backtest.post_scoring import MatchedText, TargetScore, TextScoring
from brandpulse.backtest.recorded_post import RecordedPost
from brandpulse.backtest.score_file import Scores
from brandpulse.errors import ConfigError
from brandpulse.state.keys import facet_of
from brandpulse.text.languages import OTHER, LanguageIdentifier
from brandpulse.text.readable_text import readable_text
from stream_workers.scoring.facet_matcher import FacetMatcher
from stream_workers.scoring.post_scores import BrandScore, FourProbabilities, build_post_scores

AuthorHash = Callable[[str, str, str], int]
"""Source, author id and post id -> keyed hash: `brandpulse.schema.identity.AuthorHasher.of_author`."""
BATCH_TEXTS = 4_096
DeclaredText = tuple[str, str | None]
"""A text and the language that its source gives, if languages are identified."""


class RecordedLine(msgspec.Struct, frozen=True, gc=False):
    """One line. Without `arrived_at` a post arrives when it was created, but not before the previous line."""

    id: str
    text: str
    created_at: Annotated[datetime, msgspec.Meta(tz=True)]
    author_id: str
    source: str
    arrived_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    lang: Any = None
    """A language code, as in `brandpulse.schema.posts.Post`; any other value is ignored."""

    @property
    def language(self) -> str | None:
        return self.lang if isinstance(self.lang, str) else None


@dataclass(slots=True)
class Tally:
    """Counters of what was read."""

    lines: int = 0
    invalid: int = 0
    scored: int = 0
    """Texts that the model scored; the others were in the score file."""


def recorded_lines(path: Path, tally: Tally) -> Iterator[RecordedLine]:
    """The lines of a file of JSON lines, plain or `.gz`, in order. Raises ConfigError if it cannot be read."""
    decoder = msgspec.json.Decoder(RecordedLine)
    try:
        with _open(path) as lines:
            for line in lines:
                tally.lines += 1
                try:
                    recorded = decoder.decode(line)
                    # As the worker: `stream_workers.decoding.post_decoder.decode_post`.
                    yield msgspec.structs.replace(recorded, text=readable_text(recorded.text))
                except (msgspec.MsgspecError, UnicodeDecodeError):
                    tally.invalid += 1
    except (OSError, EOFError) as error:
        raise ConfigError(f"cannot read the posts of {path}: {error}") from error


def _open(path: Path) -> IO[bytes]:
    if path.suffix == ".gz":
        return cast("IO[bytes]", gzip.open(path, "rb"))
    return path.open("rb")


class RecordedTexts:
    """The texts of a recording, each matched and scored once although posts share texts."""

    def __init__(
        self,
        scoring: TextScoring,
        scores: Scores,
        *,
        author_hash: AuthorHash,
        facets: FacetMatcher | None = None,
        languages: LanguageIdentifier | None = None,
        routed: Collection[str] = (),
        keep_heads: bool = False,
    ) -> None:
        """*scores*: known scores; new ones are added. *languages*: identifies languages, if the model does not read
        all; *routed*: those with weights of their own. *keep_heads*: some facet needs the model's heads."""
        self._scoring = scoring
        self._scores = scores
        self._author_hash = author_hash
        self._facets = facets
        self._languages = languages
        self._routed = frozenset(routed)
        self._unread: set[DeclaredText] = set()
        """Texts that the model does not read."""
        self._keep_heads = keep_heads
        self._heads: dict[bytes, TargetScore] = {}
        self._matched: dict[DeclaredText, MatchedText] = {}
        """The model's input is not stored: it is as long as the text."""

    def score(self, path: Path, tally: Tally, progress: Callable[[int, int], None] = lambda done, all_: None) -> None:
        """Score the texts of *path* that have no score yet. Texts of one length share a batch: less padding."""
        missing: dict[tuple[bytes, ...], MatchedText] = {}
        lines = recorded_lines(path, Tally())
        while texts := list(islice(self._new_texts(lines), BATCH_TEXTS)):
            for text, matched in self._match(texts):
                self._matched[text] = replace(matched, model_input=None)
                if text not in self._unread and not self._scores.keys() >= set(matched.keys):
                    missing[matched.keys] = matched
        waiting = sorted(missing.values(), key=lambda matched: matched.length)
        tally.scored = len(waiting)
        for start in range(0, len(waiting), BATCH_TEXTS):
            batch = waiting[start : start + BATCH_TEXTS]
            keys = [key for matched in batch for key in dict.fromkeys(matched.keys)]
            for key, score in zip(
                keys,
                self._scoring.score([one.model_input for one in batch if one.model_input is not None]),
                strict=True,
            ):
                if score is None:
                    continue
                self._scores[key] = score.probabilities
                if self._keep_heads:
                    self._heads[key] = score
            progress(min(start + BATCH_TEXTS, len(waiting)), len(waiting))

    def _new_texts(self, lines: Iterator[RecordedLine]) -> Iterator[DeclaredText]:
        """The distinct texts of *lines* that were not matched yet."""
        for line in lines:
            text = self._text(line)
            if text not in self._matched:
                self._matched[text] = MatchedText(())
                yield text

    def _text(self, line: RecordedLine) -> DeclaredText:
        return line.text, line.language if self._languages is not None else None

    def _match(self, texts: Sequence[DeclaredText]) -> list[tuple[DeclaredText, MatchedText]]:
        """What each of *texts* names; those in an unsupported language become unread."""
        found = [(text, self._scoring.match(text[0])) for text in texts]
        if self._languages is None:
            return found
        named = [text for text, matched in found if matched.brands]
        languages = self._languages.identify([text for text, _ in named], [declared for _, declared in named])
        language_of = dict(zip(named, languages, strict=True))
        self._unread.update(text for text, language in language_of.items() if language == OTHER)
        return [
            (
                text,
                matched.in_language(language, routed=language in self._routed)
                if (language := language_of.get(text))
                else matched,
            )
            for text, matched in found
        ]

    def posts(self, path: Path, tally: Tally) -> Iterator[RecordedPost]:
        """The posts of *path* with their scores, in order of arrival. Call `score` on *path* first."""
        arrived_ms = -(2**62)
        for line in recorded_lines(path, tally):
            matched = self._matched[self._text(line)]
            brands, keys = matched.brands, matched.keys
            unread = self._text(line) in self._unread
            if unread:
                brands, keys = (), ()
            if not all(key in self._scores for key in keys):
                # The model failed on this text: a worker sends such a post to the dead-letter topic.
                tally.invalid += 1
                continue
            probabilities = tuple(self._scores[key] for key in keys)
            event_ms = int(line.created_at.timestamp() * 1_000)
            # The arrival clock never goes back, whatever a line contains.
            line_ms = event_ms if line.arrived_at is None else int(line.arrived_at.timestamp() * 1_000)
            arrived_ms = max(arrived_ms, line_ms)
            yield RecordedPost(
                source=line.source,
                id=line.id,
                author=self._author_hash(line.source, line.author_id, line.id) if brands else 0,
                brands=brands,
                event_ms=event_ms,
                arrived_ms=arrived_ms,
                probabilities=probabilities,
                facets=self._facets_of(matched, probabilities) if brands else (),
                text=line.text,
                unread=unread,
            )

    def _facets_of(
        self, matched: MatchedText, probabilities: tuple[FourProbabilities, ...]
    ) -> tuple[tuple[str, ...], ...]:
        if self._facets is None:
            return ()
        brands = matched.brands
        known = [self._heads.get(key) for key in matched.keys]
        heads = {} if (first := known[0]) is None else first.heads
        scores = build_post_scores(probabilities, heads, tuple(None if one is None else one.urgency for one in known))
        towards = tuple(map(BrandScore, brands, scores.targets, scores.labels, scores.score_micros, scores.urgency))
        found = self._facets.match(matched.keywords, heads, towards, matched.language)
        return tuple(tuple(facet_of(series) for series, score in found if score.brand == brand) for brand in brands)
