"""Reads JSON documents value by value: arrays, objects that hold an array of posts, and values in a row.

A document of any size is read in a buffer of about one value. The parser of the standard library finds where a value
ends, in C; its own result is used only to see what it holds.
"""

import codecs
import io
import json
import re
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

import msgspec

from ingest.files.forms.opening import FormError

READ_BYTES = 2**20
_AHEAD_CHARS = 4_096
"""Enough to see an assignment, or the first member of an object. A packed file may begin with smaller pieces."""
MAX_VALUE_CHARS = 64 * 2**20
"""A longer value is not a post, nor a page of posts."""
LISTS = ("data", "posts", "tweets", "statuses", "items", "results", "records", "feed", "documents", "mentions")
"""Members of an object that may be the array of posts: `data` of the X API, `posts` and `records` of Bluesky."""
_ASSIGNED = re.compile(r"\s*(?:(?:var|let|const)\s+)?[A-Za-z_$][\w.$]*\s*=\s*(?=[\[{])")
"""The assignment in front of the array in a file of the X archive: `window.YTD.tweets.part0 = `."""
_SPACE = re.compile(r"[\s\ufeff\x1e]*")
_NEXT = re.compile(r"[\s,]*")
_MEMBER = re.compile(r'\s*"((?:[^"\\]|\\.)*)"\s*:\s*')
_LIST_FIRST = re.compile(rf'\s*\{{\s*"(?:{"|".join(LISTS)})"\s*:\s*\[\s*\{{')
_OPEN_END = re.compile(r"[\[{,:]\s*$")
_SCAN = json.JSONDecoder(strict=False).raw_decode
_SCAN_LONG_INTEGERS = json.JSONDecoder(strict=False, parse_int=float).raw_decode
"""Slower. Python converts no integer of more than 4,300 digits."""


class CutError(FormError):
    """The document is damaged or ends too early."""


def is_json_document(head: str) -> bool:
    """Whether a file that starts with *head* is an array, an object with an array of posts, or JavaScript around one.

    False for lines with one post each.
    """
    text = head.lstrip("\ufeff \t\r\n")
    if text.startswith("[") or _ASSIGNED.match(text):
        return True
    if not text.startswith("{"):
        return False
    first, newline, _ = text.partition("\n")
    try:
        value = msgspec.json.decode(first)
    except (msgspec.DecodeError, UnicodeError):
        return not newline or bool(_LIST_FIRST.match(text) or _OPEN_END.search(first))
    return _posts_member(value) is not None


def _posts_member(value: Any) -> str | None:
    """The member of *value* that is an array of posts. An object with a text of its own is a post."""
    if not isinstance(value, dict) or "text" in value or "body" in value:
        return None
    for name in LISTS:
        found = value.get(name)
        if isinstance(found, list) and found and all(isinstance(one, dict) for one in found):
            return name
    return None


def json_values(file: BinaryIO, codec: str) -> Iterator[bytes]:
    """The posts of a document as JSON in UTF-8, and lines between them that are no JSON, as they are.

    Raises CutError, UnicodeError.
    """
    return _Values(file, codec).values()


class _Values:
    def __init__(self, file: BinaryIO, codec: str) -> None:
        # Unlike `read`, it returns what was unpacked before the place where a packed file is cut.
        self._read = cast("io.BufferedReader", file).read1
        wide = codec.startswith(("utf-16", "utf-32"))
        self._errors = "surrogatepass" if wide else "surrogateescape"
        self._decode = codecs.getincrementaldecoder(codec)(self._errors).decode
        self._text = ""
        self._at = 0
        self._begin = 0
        self._ended = False
        self._count = 0

    def values(self) -> Iterator[bytes]:
        self._look_ahead()
        if assigned := _ASSIGNED.match(self._text):
            self._at = assigned.end()
        while True:
            self._skip(_SPACE)
            self._look_ahead()
            first = self._peek()
            if first == "":
                return
            if first == "[":
                self._at += 1
                yield from self._elements()
            elif first in (";", ","):
                self._at += 1
            elif first == "{" and _LIST_FIRST.match(self._text, self._at):
                yield from self._members()
            else:
                yield from self._single()

    def _single(self) -> Iterator[bytes]:
        """One value that is no array: a post, or an object with an array of posts."""
        try:
            value = self._value()
        except CutError:
            while (end := self._text.find("\n", self._at)) < 0:
                if len(self._text) - self._at > MAX_VALUE_CHARS or not self._more(double=True):
                    raise
            begin, self._at = self._at, end + 1
            yield self._text[begin:end].encode("utf-8", self._errors)
            return
        member = _posts_member(value)
        if member is None:
            yield self._bytes()
            return
        for one in value[member]:
            self._count += 1
            yield json.dumps(one).encode()

    def _members(self) -> Iterator[bytes]:
        """An object that starts with its array of posts, which may be longer than the memory."""
        self._at = self._text.index("{", self._at) + 1
        while True:
            self._skip(_NEXT)
            if self._peek() == "}":
                self._at += 1
                return
            member = _MEMBER.match(self._text, self._at)
            while member is None or member.end() == len(self._text):
                if not self._more():
                    raise self._broken()
                member = _MEMBER.match(self._text, self._at)
            self._at = member.end()
            if member[1] in LISTS and self._peek() == "[":
                self._at += 1
                yield from self._elements()
            else:
                self._value()

    def _elements(self) -> Iterator[bytes]:
        while True:
            self._skip(_NEXT)
            if self._peek() == "]":
                self._at += 1
                return
            if self._peek() == "":
                raise self._broken()
            self._value()
            yield self._bytes()

    def _value(self) -> Any:
        """The value at the position, which moves behind it; its text starts at `_begin`."""
        scan = _SCAN
        while True:
            try:
                value, end = scan(self._text, self._at)
            except RecursionError:
                raise CutError("nests its values too deeply") from None
            except json.JSONDecodeError as error:
                too_long = len(self._text) - self._at > MAX_VALUE_CHARS
                if too_long or self._is_wrong(error) or not self._more(double=True):
                    raise self._broken() from error
                continue
            except ValueError:
                scan = _SCAN_LONG_INTEGERS
                continue
            if end == len(self._text) and not self._ended and self._more():
                continue  # a number may go on
            self._begin, self._at = self._at, end
            return value

    def _bytes(self) -> bytes:
        """The text of the last value."""
        self._count += 1
        return self._text[self._begin : self._at].encode("utf-8", self._errors)

    def _is_wrong(self, error: json.JSONDecodeError) -> bool:
        """Whether more text cannot make the value whole."""
        return error.pos < len(self._text) - 16 and not error.msg.startswith("Unterminated")

    def _broken(self) -> CutError:
        at = f"after post {self._count}" if self._count else "before its first post"
        if self._ended:
            return CutError(f"is damaged or cut {at}: its JSON does not end")
        return CutError(f"is damaged {at}: this is not JSON: {self._text[self._at : self._at + 60]!r}")

    def _skip(self, pattern: re.Pattern[str]) -> None:
        while True:
            found = pattern.match(self._text, self._at)
            self._at = found.end() if found is not None else self._at
            if self._at < len(self._text) or not self._more():
                return

    def _look_ahead(self) -> None:
        while len(self._text) - self._at < _AHEAD_CHARS and self._more():
            pass

    def _peek(self) -> str:
        if self._at == len(self._text):
            self._more()
        return self._text[self._at : self._at + 1]

    def _more(self, *, double: bool = False) -> bool:
        """Read on; drops what was used. False at the end of the file. *double*: as much as there is already."""
        if self._ended:
            return False
        rest = self._text[self._at :]
        read = self._read(max(READ_BYTES, len(rest) if double else 0))
        self._ended = not read
        self._text = rest + self._decode(read, final=self._ended)
        self._at = 0
        return not self._ended
