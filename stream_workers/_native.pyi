"""The optional native decoder of records, built by `make native`; docs/decisions/0016-native-rows.md."""

from collections.abc import Sequence

from stream_workers.decoding.batch_decoder import LengthLimits

class BatchDecoder:
    """Decodes records as `decode_post`, `BrandMatcher.find_hits`, `post_digest` and `AuthorHasher` do.

    Leaves a record to Python if it is not certain to get the same result.

    Built once, never changed, safe to share between threads. `decode` works without the GIL.
    """

    def __init__(
        self,
        patterns: Sequence[str],
        kinds: Sequence[str],
        plain: Sequence[bool],
        in_ascii: Sequence[bool | None],
        endings: Sequence[Sequence[str]],
        endings_of: Sequence[int],
        author_key: bytes,
        unknown_authors: Sequence[str],
        trimmed: str,
        prefix: str,
        limits: LengthLimits,
    ) -> None:
        """The matcher's properties of the same names (`endings` has two parts), the key of the author hashes, the
        unknown authors as `brandpulse.schema.unknown_authors` defines them, and the length limits.

        Raises ValueError.
        """

    def decode(
        self, values: Sequence[bytes | None]
    ) -> tuple[bytes, bytes, bytes, bytes, bytes, list[tuple[int, ...]], bytes, list[str]]:
        """(status, event_ms, authors, digests, set_numbers, sets, sources, source_names).

        Columns of native-endian numbers, one row per record; `sets` and `source_names` are lists.

        * status, u8: 1 decoded; 2 decoded, with a keyword and an unknown author; 0 left to Python, and then the row's
          other numbers are 0.
        * event_ms, i64.
        * authors, i64, and digests, 12 bytes: of a post that has a keyword; otherwise 0.
        * set_numbers, u32: index into `sets`.
        * sets: the distinct sets of pattern numbers found in these posts, each ascending; the first is empty.
        * sources, u32: index into `source_names`.
        * source_names: the distinct sources of these posts; the first is empty, that of rows left to Python.

        Raises TypeError for a value that is neither bytes nor None, and RuntimeError for a bug in native code.
        """

class IdFilter:
    """A Bloom filter over ids of 12 bytes: an id was certainly never added, or may have been. It grows with the ids.

    Safe to share between threads; works without the GIL. Both methods raise ValueError for an incomplete id.
    """

    def add(self, ids: bytes) -> None:
        """Add *ids*, concatenated."""

    def may_contain(self, ids: bytes) -> bytes:
        """One byte for each of *ids*: 0 if it was never added. About one new id in a hundred gets 1."""
