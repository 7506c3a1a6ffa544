"""Opens a file and unpacks gzip and Zstandard, found by their first bytes; names files of other kinds."""

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, cast

import zstandard

GZIP = b"\x1f\x8b"
ZSTD = b"\x28\xb5\x2f\xfd"
_ZSTD_SKIPPABLE = tuple(bytes([0x50 + number]) + b"\x2a\x4d\x18" for number in range(16))
MAX_ZSTD_WINDOW = 2**31
"""Dumps of Reddit are packed with this window; the unpacker then needs up to 2 GiB of memory."""
_PACKED_BYTES = 4096
"""Packed bytes that are unpacked at once. A hostile file unpacks to at most 32,768 times as many."""
_BUFFER_BYTES = 2**18

BROKEN = (gzip.BadGzipFile, EOFError, zlib.error, zstandard.ZstdError)
"""What reading a damaged packed file raises."""


class FormError(Exception):
    """Why a file cannot be read. The message continues a sentence that starts with the file's name."""


def packing(head: bytes) -> str | None:
    """`gzip` or `zstd` for a file that starts with *head*; None if it is not packed. Raises FormError."""
    if head.startswith(GZIP):
        return "gzip"
    if head.startswith(ZSTD) or head[:4] in _ZSTD_SKIPPABLE:
        return "zstd"
    for mark, explained in _OTHERS:
        if head.startswith(mark):
            raise FormError(explained)
    return None


_OTHERS = (
    (b"%PDF", "is a PDF document, not a file of rows; export the posts as CSV, XLSX or JSON"),
    (b"BZh", "is packed with bzip2; unpack it: bzip2 -dc FILE | brandpulse ingest file -"),
    (b"\xfd7zXZ\0", "is packed with xz; unpack it: xz -dc FILE | brandpulse ingest file -"),
    (b"7z\xbc\xaf\x27\x1c", "is a 7z archive; unpack it and give a file from inside"),
    (b"Rar!\x1a\x07", "is a RAR archive; unpack it and give a file from inside"),
    (b"PAR1", "is a Parquet file; convert it to JSON lines or CSV"),
    (b"Obj\x01", "is an Avro file; convert it to JSON lines or CSV"),
    (b"SQLite format 3\0", "is a SQLite database; export the posts as CSV"),
)


@contextmanager
def unpacked(raw: BinaryIO) -> Iterator[BinaryIO]:
    """The content of *raw*, unpacked. Reading raises one of BROKEN where the file is damaged or cut."""
    kind = packing(raw.read(16))
    raw.seek(0)
    if kind is None:
        yield raw
        return
    stream = _GzipReader(raw) if kind == "gzip" else _ZstdReader(raw)
    # Both read lines in Python code; BufferedReader does it in C.
    with io.BufferedReader(cast("Any", stream), _BUFFER_BYTES) as buffered:
        yield cast("BinaryIO", buffered)


class _GzipReader(io.RawIOBase):
    """Reads a gzip file in small pieces: what is before a damaged place is read before the error is raised."""

    def __init__(self, raw: BinaryIO) -> None:
        self._file = gzip.GzipFile(fileobj=raw)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        part = self._file.read1(len(buffer))
        buffer[: len(part)] = part
        return len(part)


class _ZstdReader(io.RawIOBase):
    """Unpacks all frames of a file. Unlike zstandard's own reader, it raises EOFError if the last one is cut."""

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        self._unpacker = zstandard.ZstdDecompressor(max_window_size=MAX_ZSTD_WINDOW)
        self._frame: Any = None
        self._packed = b""
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready:
            if not self._unpack():
                return 0
        part = self._ready[: len(buffer)]
        buffer[: len(part)] = part
        self._ready = self._ready[len(part) :]
        return len(part)

    def _unpack(self) -> bool:
        """Unpack the next bytes, perhaps to none; False at the end of the file."""
        packed = self._packed or self._raw.read(_PACKED_BYTES)
        self._packed = b""
        if not packed:
            if self._frame is not None:
                raise EOFError("the file is cut: its last Zstandard frame is not complete")
            return False
        if self._frame is None:
            self._frame = self._unpacker.decompressobj()
        self._ready = memoryview(self._frame.decompress(packed))
        if self._frame.eof:
            self._packed, self._frame = self._frame.unused_data, None
        return True
