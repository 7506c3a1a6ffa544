"""The optional native reader of records, built by `make native`; docs/decisions/0016-native-rows.md."""

from collections.abc import Sequence

class RowReader:
    """Reads records as `decode`, `BrandMatcher.standing`, `post_digest` and `AuthorHasher` do, or leaves them to these.

    Built once, never changed, safe to share between threads; `read` works without the GIL.
    """

    def __init__(
        self,
        patterns: Sequence[str],
        kinds: Sequence[str],
        plain: Sequence[bool],
        author_key: bytes,
        unknown_authors: Sequence[str],
        trimmed: str,
        prefix: str,
    ) -> None:
        """The matcher's patterns, kinds and plain ones, by number, the authors' key, and which authors are unknown, as
        `brandpulse.schema.unknown_authors` says. Raises ValueError."""

    def read(
        self, values: Sequence[bytes | None]
    ) -> tuple[bytes, bytes, bytes, bytes, bytes, list[tuple[int, ...]], bytes, list[str]]:
        """(status, event_ms, authors, digests, words, sets, sources, names): columns of native-endian numbers, a row a
        record; sets; names.

        * status, u8: 1 is read, 2 is read and has a word and an unknown author, 0 is left to Python, and then the row's
          other numbers are 0.
        * event_ms, i64.
        * authors, i64, and digests, 12 bytes: of a post that has a word; else 0.
        * words, u32: number of a set.
        * sets: the distinct sets of numbers of patterns that stand in these posts, each ascending; the first is empty.
        * sources, u32: number of a name.
        * names: the distinct sources of these posts; the first is empty, that of rows left to Python.

        Raises TypeError for a value that is neither bytes nor None, and RuntimeError for a bug of its own.
        """

class IdFilter:
    """Says of an id of 12 bytes that it was surely never added, or that it may have been; grows with what is added.

    Safe to share between threads; works without the GIL. Both raise ValueError for half an id.
    """

    def add(self, ids: bytes) -> None:
        """*ids*, one behind the other."""

    def may_hold(self, ids: bytes) -> bytes:
        """A byte for each of *ids*: 0 where it was never added. Of a hundred such one has a 1 all the same."""
