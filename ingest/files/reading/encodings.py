"""Detects the encoding of a file. A certain result is used; guesses are shown to the user, who chooses."""

import codecs
import unicodedata
from dataclasses import dataclass

_BYTE_ORDER_MARKS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_CANDIDATES = (
    "cp1252", "cp1251", "gb18030", "shift_jis", "big5", "euc_kr", "euc_jp", "cp1254", "cp1250", "cp1253", "cp1255",
    "cp1256", "cp874", "koi8_r", "mac_roman", "cp850",
)  # fmt: skip
"""Most frequent first, for encodings that decode a text equally well."""
_SHOWN = 3
_SHOWN_CHARS = 60


class EncodingError(Exception):
    """Why the bytes cannot be decoded. The message does not include the file name."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """A Python codec, and a note for the user about the choice."""

    codec: str
    note: str | None = None

    @property
    def is_utf8(self) -> bool:
        return self.codec in ("utf-8", "utf-8-sig")


def detect_encoding(head: bytes, *, named: str | None = None) -> Encoding:
    """The encoding of a file that starts with *head*; *named* is the user's choice. Raises EncodingError."""
    mark = next((codec for bom, codec in _BYTE_ORDER_MARKS if head.startswith(bom)), None)
    if named is not None:
        return _named(head, named, mark)
    if mark is not None:
        note = None if mark == "utf-8-sig" else f"read as {mark.upper()}, from its byte order mark"
        return Encoding(mark, note)
    if (wide := _wide_codec(head)) is not None:
        return Encoding(wide, f"read as {wide.upper()}: without a byte order mark, but every second byte is zero")
    _check_not_binary(head)
    if decodes(head, "utf-8"):
        return Encoding("utf-8-sig")
    lines = head.split(b"\n")
    odd = [number for number, line in enumerate(lines[:-1] or lines, 1) if not decodes(line, "utf-8")]
    right = sum(not line.isascii() for line in lines) - len(odd)
    if len(odd) < 2 or len(odd) <= right:
        # A few rows that are not UTF-8 are rejected row by row.
        return Encoding("utf-8-sig")
    raise EncodingError(_explained(lines, odd))


def decodes(data: bytes, codec: str) -> bool:
    """Whether *data*, which may end inside a character, is text in *codec*."""
    try:
        codecs.getincrementaldecoder(codec)().decode(data, final=False)
    except ValueError:
        return False
    return True


def _named(head: bytes, named: str, mark: str | None) -> Encoding:
    try:
        codec = codecs.lookup(named.strip()).name
        b"".decode(codec)
    except (LookupError, ValueError) as error:
        raise EncodingError(
            f"--encoding: unknown encoding {named!r}; for example utf-8, cp1252, cp1251, gb18030, shift_jis"
        ) from error
    if mark is not None and codec.startswith(f"{mark}-") and not codec.startswith("utf-8"):
        # utf-16-le would leave the mark in the first column's name.
        return Encoding(mark, f"read as {mark}, from --encoding")
    if mark is not None and not mark.startswith(codec):
        raise EncodingError(
            f"--encoding {named}: the file has the byte order mark of {mark.removesuffix('-sig').upper()}"
        )
    if codec == "utf-8":
        return Encoding("utf-8-sig")
    lines = head.split(b"\n")
    if not codec.startswith(("utf-16", "utf-32")) and not decodes(head, codec):
        odd = sum(not decodes(line, codec) for line in lines)
        if odd * 20 > len(lines):
            raise EncodingError(f"--encoding {named}: {odd} of the first {len(lines)} lines are not {codec}")
    return Encoding(codec, f"read as {codec}, from --encoding")


def _wide_codec(head: bytes) -> str | None:
    """UTF-16 of a file without a byte order mark; None if it is something else."""
    half = len(head) // 2
    if half <= 4:
        return None
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if max(even, odd) <= half * 0.6 or min(even, odd) >= half * 0.1:
        return None
    codec = "utf-16-le" if odd > even else "utf-16-be"
    return codec if decodes(head, codec) else None


def _check_not_binary(head: bytes) -> None:
    # Single NUL bytes are rejected with their row.
    controls = sum(head.count(bytes([code])) for code in range(32) if code not in b"\t\n\r\x0c\x1b")
    if controls * 20 > len(head):
        raise EncodingError("is a binary file, not CSV, JSON or XLSX")


def _explained(lines: list[bytes], odd: list[int]) -> str:
    found = guess_encodings(b"\n".join(lines[number - 1] for number in odd[:200]))
    line = lines[odd[0] - 1]
    read = [(codec, _around_first_odd(line.decode(codec, errors="replace"))) for codec in found[:_SHOWN]]
    begin = f"is not UTF-8 from line {odd[0]} on"
    if not read:
        return f"{begin}; set its encoding, for example --encoding cp1252"
    shown = "; ".join(f"--encoding {codec} reads {text!r}" for codec, text in read)
    return f"{begin}. It looks like {read[0][0]}. Choose the encoding with the correct text: {shown}"


def _around_first_odd(text: str) -> str:
    first = next((place for place, character in enumerate(text) if not character.isascii()), 0)
    begin = max(0, first - _SHOWN_CHARS // 3)
    return text[begin : begin + _SHOWN_CHARS].strip()


def guess_encodings(data: bytes) -> list[str]:
    """Encodings that decode all of *data*, most likely first."""
    scored: list[tuple[float, int, str]] = []
    seen: set[str] = set()
    for place, codec in enumerate(_CANDIDATES):
        try:
            text = data.decode(codec)
        except ValueError:
            continue
        if text not in seen:
            seen.add(text)
            scored.append((-_plausible(text, codec) / len(data), place, codec))
    return [codec for _, _, codec in sorted(scored)]


_RARE = frozenset("þðýÞÐÝ¤¦¨¬¯°±²³´¶·¸¹º¼½¾×÷ţ")


def _plausible(text: str, codec: str) -> float:
    """How plausible *text* is: letters of one script next to each other, in normal case."""
    score, before = 0.0, " "
    for character in text:
        if not character.isascii():
            score += _weight(character, before, codec)
        before = character
    return score


def _weight(character: str, before: str, codec: str) -> float:
    code = ord(character)
    if 0x3040 <= code < 0x3100:
        return 2.0 if codec in ("shift_jis", "euc_jp") else 0.0
    if 0xAC00 <= code < 0xD7A4:
        return 2.0 if codec == "euc_kr" else 0.0
    if 0x4E00 <= code < 0xA000:
        return 1.6 if codec != "euc_kr" and _is_common_han(character) else -1.0
    if 0x3000 <= code < 0x3020 or 0xFF00 <= code < 0xFF61:
        return 1.0
    kind = unicodedata.category(character)
    if kind[0] in "LM" and code < 0xFF00:
        return _letter_weight(character, before, upper=kind == "Lu")
    return 0.5 if character in "’‘“”„…–—«»€£¿¡•™®©§\u00a0" else -1.0


def _letter_weight(character: str, before: str, *, upper: bool) -> float:
    script = _script(character)
    if character in _RARE:
        return -0.3
    if (upper and before.islower()) or (before.isalpha() and script != _script(before)):
        return -1.0
    if script == "LATIN" and not before.isascii() and before.isalpha():
        # Two adjacent accented letters are rare.
        return -0.5
    return 0.6 if upper else 1.0


def _is_common_han(character: str) -> bool:
    for codec in ("gb2312", "big5", "shift_jis"):
        try:
            lead = character.encode(codec)[0]
        except UnicodeEncodeError:
            continue
        # The first level of each standard has the frequent characters.
        if (codec, lead) < (codec, {"gb2312": 0xD8, "big5": 0xC7, "shift_jis": 0x99}[codec]):
            return True
    return False


def _script(character: str) -> str:
    return unicodedata.name(character, "?").split(" ")[0]
