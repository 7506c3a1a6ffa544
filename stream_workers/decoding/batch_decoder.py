"""Decodes the records of one partition's batch, in native code (`stream_workers/native/`) or in Python.

Native code decodes a row only if it is certain to get Python's result, and leaves the others to Python: both decoders
return the same for every record.
"""

import logging
from collections.abc import Collection, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from brandpulse.errors import InvalidPostError
from brandpulse.schema.identity import DIGEST_BYTES, AuthorHasher, post_digest
from brandpulse.schema.posts import MAX_ID_CHARS, MAX_LANG_CHARS, MAX_SOURCE_CHARS, MAX_TEXT_CHARS, MAX_URL_CHARS
from brandpulse.schema.unknown_authors import PREFIX, TRIMMED, UNKNOWN, is_unknown
from brandpulse.state.outcomes.post_outcomes import NO_SOURCE
from brandpulse.text.brand_matcher import LONGEST_CHUNK, BrandMatcher
from stream_workers.decoding.decoded_batch import NO_MATCH, DecodedBatch, TextMatch
from stream_workers.decoding.post_decoder import MAX_RECORD_BYTES, decode_post, event_ms_of, read_source
from stream_workers.decoding.records import Records

log = logging.getLogger(__name__)

CACHED_MATCHES = 10_000
"""Recent sets of patterns whose match is cached."""
UNKNOWN_AUTHOR_STATUS = 2
"""Native code's status of a decoded row whose author is unknown."""


class LengthLimits(NamedTuple):
    """Limits that native code takes from Python."""

    record_bytes: int = MAX_RECORD_BYTES
    text_chars: int = MAX_TEXT_CHARS
    id_chars: int = MAX_ID_CHARS
    source_chars: int = MAX_SOURCE_CHARS
    lang_chars: int = MAX_LANG_CHARS
    url_chars: int = MAX_URL_CHARS
    chunk_chars: int = LONGEST_CHUNK
    """Characters without a space in which keywords are found."""


class BatchDecoder(Protocol):
    """Decodes the records of one partition. Called from one thread."""

    def decode(self, records: Records) -> DecodedBatch: ...


class PythonBatchDecoder:
    """Decodes record by record: the reference."""

    def __init__(self, matcher: BrandMatcher, author_hash: AuthorHasher) -> None:
        self._matcher = matcher
        self._author_hash = author_hash

    def decode(self, records: Records) -> DecodedBatch:
        n = len(records)
        batch = DecodedBatch(
            records,
            np.zeros(n, np.int64),
            np.zeros(n, np.int64),
            np.zeros((n, DIGEST_BYTES), np.uint8),
            np.zeros(n, np.intp),
            [NO_MATCH],
            {},
            {},
            np.zeros(n, np.intp),
            [NO_SOURCE],
            np.zeros(n, np.bool_),
        )
        self.fill(batch, range(n))
        return batch

    def fill(self, batch: DecodedBatch, wanted: Collection[int]) -> None:
        """Decode the *wanted* rows of *batch*, which are empty so far."""
        matches = list(batch.matches)
        match_numbers = {match: number for number, match in enumerate(matches)}
        names = list(batch.source_names)
        sources = {name: number for number, name in enumerate(names)}
        batch.source_names = names

        def source_number(source: str) -> int:
            if source not in sources:
                sources[source] = len(names)
                names.append(source)
            return sources[source]

        for row in wanted:
            try:
                post = decode_post(batch.records.values[row])
            except InvalidPostError as error:
                batch.sources[row] = source_number(read_source(batch.records.values[row]))
                batch.mark_dead(row, error.reason, str(error))
                continue
            batch.event_ms[row] = event_ms_of(post)
            batch.sources[row] = source_number(post.source)
            try:
                match = TextMatch(*self._matcher.match_with_facets(post.text))
            except Exception as error:
                # Catches everything: a text that breaks the matcher must not stop the worker.
                batch.mark_dead(row, "unmatchable", f"{type(error).__name__}: {error}")
                continue
            if not match.brands:
                continue
            if match not in match_numbers:
                match_numbers[match] = len(matches)
                matches.append(match)
            batch.cache_post(row, post)
            batch.match_numbers[row] = match_numbers[match]
            batch.unknown_author[row] = is_unknown(post.author_id)
            batch.authors[row] = self._author_hash.of_author(post.source, post.author_id, post.id)
            batch.digests[row] = np.frombuffer(post_digest(post.source, post.id), np.uint8)
        batch.matches = matches


class NativeBatchDecoder:
    """Decodes a batch at a time in native code, without the GIL. Python decodes the rows that it leaves."""

    def __init__(self, matcher: BrandMatcher, author_hash: AuthorHasher) -> None:
        """Raises ImportError if the native module is not built."""
        from stream_workers._native import BatchDecoder as Native

        self._native = Native(
            matcher.patterns,
            matcher.kinds,
            matcher.plain,
            matcher.in_ascii,
            *matcher.endings,
            author_hash.key,
            sorted(UNKNOWN),
            TRIMMED,
            PREFIX,
            LengthLimits(),
        )
        self._python = PythonBatchDecoder(matcher, author_hash)
        self._matcher = matcher
        self._cache: dict[tuple[int, ...], TextMatch] = {}

    def decode(self, records: Records) -> DecodedBatch:
        try:
            columns = self._native.decode(records.values)
        except RuntimeError:
            # A bug in native code: without this, the same batch would end one worker after the other.
            log.exception("native decoding failed, using Python", extra={"first_offset": int(records.offsets[0])})
            return self._python.decode(records)
        status, event_ms, authors, digests, set_numbers, sets, sources, source_names = columns
        matches, match_of_set = self._matches(sets)
        states = np.frombuffer(status, np.uint8)
        batch = DecodedBatch(
            records,
            np.frombuffer(event_ms, np.int64).copy(),
            np.frombuffer(authors, np.int64).copy(),
            np.frombuffer(digests, np.uint8).reshape(-1, DIGEST_BYTES).copy(),
            match_of_set[np.frombuffer(set_numbers, np.uint32)],
            matches,
            {},
            {},
            np.frombuffer(sources, np.uint32).astype(np.intp),
            source_names,
            states == UNKNOWN_AUTHOR_STATUS,
        )
        if left := np.flatnonzero(states == 0).tolist():
            self._python.fill(batch, left)
        return batch

    def _matches(self, sets: Sequence[tuple[int, ...]]) -> tuple[list[TextMatch], npt.NDArray[np.intp]]:
        """The distinct matches of *sets* of patterns, and for each set the index of its match; 0 without a brand."""
        numbers: dict[TextMatch, int] = {NO_MATCH: 0}
        match_of_set = np.zeros(len(sets), np.intp)
        for at, patterns in enumerate(sets):
            if (match := self._cache.get(patterns)) is None:
                if len(self._cache) >= CACHED_MATCHES:
                    self._cache.clear()
                match = self._cache[patterns] = TextMatch(*self._matcher.match_patterns(frozenset(patterns)))
            match_of_set[at] = numbers.setdefault(match, len(numbers)) if match.brands else 0
        return list(numbers), match_of_set


def fastest_decoder(matcher: BrandMatcher, author_hash: AuthorHasher, *, native: bool = True) -> BatchDecoder:
    """The native decoder if it is built and *native* is true, else the Python one."""
    if native:
        try:
            return NativeBatchDecoder(matcher, author_hash)
        except ImportError:
            log.info("native decoder not built, decoding in Python", extra={"remedy": "make native"})
        except TypeError:
            # Built from an older version, whose constructor takes other arguments.
            log.warning("native decoder is outdated, decoding in Python", extra={"remedy": "make native"})
    return PythonBatchDecoder(matcher, author_hash)
