"""Telephone numbers: international form, national forms of many countries, and any number after a word for phone."""

import re
from collections.abc import Iterator

from brandpulse.masking.codes import _UNITS as UNITS
from brandpulse.masking.handles import Found
from brandpulse.masking.hints import Hint, Hints, at_words
from brandpulse.masking.plain_view import BLANK

PHONE = "[phone]"
LONGEST = 15
"""Digits, with the country code: ITU-T E.164."""

LONG_NUMBER = re.compile(r"\d(?:[ .\-/()]{0,3}\d){6}")
"""No telephone number has fewer digits."""
_RUN = re.compile(r"\d(?:[ .\-/()]{0,3}\d){6,}+")
_S = r"[ .\-/]"
_INTERNATIONAL = re.compile(r"(?<![\w+])(?:\+[ ]?|00[ ]?(?=[1-9]))\(?\d(?:[ .\-/()]{0,3}\d){6,}+")
_NATIONAL = re.compile(
    r"(?<![\w.,+])(?<!\d[/\-])(?:"
    rf"(?:\+?1{_S}?)?(?:\([2-9]\d\d\)[ ]?|[2-9]\d\d{_S}?)[2-9]\d\d{_S}?\d{{4}}|"  # North America
    rf"\(?0(?!\.\d)(?:[ .\-/()]{{0,3}}\d){{8,11}}|"  # a leading zero: UK, DE, FR, IT, AU, JP, NL, IN, ...
    rf"3[2-9]\d{_S}?\d{{3}}{_S}?\d{{3,4}}|3[2-9]\d{_S}?\d\d{_S}?\d\d{_S}?\d\d\d?|"  # Italy, mobile
    r"[4-9]\d\d[ \-]\d{3}[ \-]\d{3}|[6-9]\d\d(?:[ .\-]\d\d){3}|"
    r"[6-9]\d[ .\-]\d{3}[ .\-]\d\d[ .\-]\d\d|[6-9]\d{8}|"  # Spain, Poland, Portugal
    r"[6-9]\d{4}[ \-]\d{5}|[6-9]\d{9}|"  # India
    rf"\(?[1-9][1-9]\)?[ ]?(?:9[ ]?)?\d{{4}}-\d{{4}}|\([1-9][1-9]\)[ ]?9?\d{{4}}[ ]?\d{{4}}|"
    rf"[1-9][1-9][ ]9\d{{4}}[ ]\d{{4}}|[1-9][1-9]9\d{{8}}|9\d{{4}}-\d{{4}}|"  # Brazil
    r"1[3-9]\d[ \-]?\d{4}[ \-]?\d{4}|"  # China
    r"[78][ ]?[ (\-]\d{3}[) \-]{1,2}\d{3}[ \-]?\d\d[ \-]?\d\d|"  # Russia
    r"[1-9]\d(?:[ .]\d\d){3}(?=[ ]?(?:$|[.,;!?]))|"  # Denmark
    r"\(\d{2,5}\)[ ]?\d(?:[ \-]?\d){5,8}"  # an area in brackets
    r")(?!\w)(?!-\d)(?![.,]\d)"
)
_EXTENSION = re.compile(
    r"[ ,]{0,2}(?:x|ext\.?|extension|dw|durchwahl|poste|ramal|int\.?)[ .:\-]{0,2}\d{1,5}(?!\w)", re.IGNORECASE
)
_WORDS = (
    r"tel|tél|telefon\w{0,8}|tele(?:ph)?one|teléfono|telefono|telefone|téléphone|phones?|fone|"
    r"fon|mobile|mobil(?:nummer|funk)?|móvil|movil|handy(?:nummer)?|cell|cellulare|cellphone|"
    r"celular|cel|"
    r"portable|whats ?app|zap|wpp|calls?|called|calling|text|txt|ring|rings|sms|fax|anrufen?|"
    r"ruft|rufen?|rückruf(?:nummer)?|appele[rz]|appelle[rz]?|rappele[rz]|rappelle[rz]?|joindre|"
    r"llama|llamad|llamar|llamadme|llámame|llamen|chiamate|chiamatemi|chiamare|chiamami|chiama|"
    r"liga|ligar|ligue|liguem|contact|landline|hotline|helpline|reach me|reach us|contatto|"
    r"contato|"
    r"signal|viber|imessage|facetime|upi|gpay|paytm|phonepe|pix|bizum|venmo|zelle|wa\.me/\+?|tel:"
)
_BEHIND_WORD = re.compile(
    rf"(?:(?<!\w)(?:{_WORDS})(?![^\W\d])|[☎☏📞📱📲☏])"
    rf"[^\d\0\n+(]{{0,25}}?(?P<number>\+?\(?\d(?:[ .\-/()]{{0,3}}\d){{6,14}})(?!\w)(?![.,]\d)",
    re.IGNORECASE,
)

_ISBN = re.compile(
    r"(?<![\w\-])97[89](?:[ \-]?\d){9}[ \-]?\d(?![\w\-])|\bISBN(?:-1[03])?:?[ ]?(?:\d[ \-]?){9,12}[\dX]", re.IGNORECASE
)
READABLE = re.compile(
    r"(?:https?://|www\.)[^\s\0]++|(?<![\w.\-])(?:[\w\-]++\.)++[a-z]{2,6}/[^\s\0]++|"
    rf"{_ISBN.pattern}|"
    r"(?<![\w./\-])(?:\d{1,2}([./\-])\d{1,2}\1(?:\d{4}|\d\d)(?!\1?\d)|(?:19|20)\d\d([./\-])\d{1,2}\2\d{1,2}(?!\2?\d))|"
    r"(?<![\w.\-])(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:[0-2]\d|3[01])(?![\w\-])|"
    r"(?<![\w.\-])(?:19|20)\d\d[ ]?-[ ]?(?:19|20)\d\d(?![\w\-])|"
    r"(?<!\d)\d{1,2}:\d\d(?::\d\d)?(?!\d)|"
    r"(?:[€£$₹¥]|\b(?:rs|eur|usd|gbp|inr|chf|brl|r\$)\.?)[ ]?\d(?:[., ]?\d)*+|"
    r"(?<![\w.,+])\d{1,3}(?:,\d{2,3})+(?:\.\d+)?(?![\d])|(?<![\w.,+])\d{1,3}(?:\.\d{3})++(?:,\d+)?(?![\w]|[.\-]\d)|"
    r"(?<![\w.,+])\d{1,3}(?: \d{3})++(?=[ ]?(?:€|£|\$|eur|euros?|zł|kr|km|people|people|"
    r"personnes|personas|habitantes|habitants|spect|zuschauer|views|followers)\b)",
    re.IGNORECASE,
)
_NOT_BEFORE = frozenset(
    ("rs", "rs.", "eur", "usd", "gbp", "inr", "chf", "brl", "isbn", "sbn:", "isbn:", "n-10", "n-13")
)


def find_phones(view: str, hints: Hints) -> Iterator[Found]:
    if not LONG_NUMBER.search(view):
        return
    found = _candidates(view, hints)
    if found and not all(_surely(view, *one) for one in found):
        found = _candidates(READABLE.sub(_blank, view), hints)
    end = 0
    for begin, stop in sorted(found, key=lambda one: (one[0], -one[1])):
        if begin < end:
            continue
        extension = _EXTENSION.match(view, stop)
        end = stop if extension is None else extension.end()
        yield begin, end, PHONE


def _candidates(view: str, hints: Hints) -> list[tuple[int, int]]:
    return [*_international(view), *_behind_words(view, hints), *_national(view)]


def _surely(view: str, begin: int, end: int) -> bool:
    """Whether the text around a number of only digits rules out other meanings, so that `READABLE` is not needed."""
    if not view[begin:end].isdecimal() or end - begin == 8:
        return False
    before = view[max(0, begin - 6) : begin]
    return not before or (
        before[-1] == " "
        and not before[-2:-1].isdecimal()
        and before.strip()[-4:].casefold() not in _NOT_BEFORE
        and before[-2:-1] not in "€£$₹¥"
    )


def _blank(found: re.Match[str]) -> str:
    return BLANK * (found.end() - found.start())


def _international(view: str) -> Iterator[tuple[int, int]]:
    if "+" not in view and "00" not in view:
        return
    for found in _INTERNATIONAL.finditer(view):
        begin, end = found.span()
        end = _within(view, begin, end)
        digits = [c for c in view[begin:end] if c.isdecimal()]
        if len(digits) >= 7 and not _round(digits) and not UNITS.match(view, end):
            yield begin, end


def _within(view: str, begin: int, end: int) -> int:
    """The end of the last group of digits that does not make the number too long."""
    digits, last = 0, begin
    most = LONGEST + 2 * view.startswith("00", begin)
    for at in range(begin, end):
        if view[at].isdecimal():
            digits += 1
            if digits > most:
                return last if last > begin else at
            if at + 1 == end or not view[at + 1].isdecimal():
                last = at + 1
    return end


def _national(view: str) -> Iterator[tuple[int, int]]:
    last = 0
    for run in _RUN.finditer(view):
        begin = max(last, run.start() - 3)
        while (found := _NATIONAL.search(view, begin, run.end() + 3)) is not None:
            begin = last = found.end()
            if _national_is_phone(view, found):
                yield found.span()


def _national_is_phone(view: str, found: re.Match[str]) -> bool:
    digits = [c for c in found.group() if c.isdecimal()]
    return not _round(digits) and not UNITS.match(view, found.end())


def _behind_words(view: str, hints: Hints) -> Iterator[tuple[int, int]]:
    for found in at_words(_BEHIND_WORD, view, hints, Hint.PHONE):
        digits = [c for c in found.group("number") if c.isdecimal()]
        if not _round(digits) and not UNITS.match(view, found.end()):
            yield found.span("number")


def _round(digits: list[str]) -> bool:
    return digits[-5:] == ["0"] * 5 or (len(set(digits)) == 1 and len(digits) > 11)
