"""Numbers of cards (ISO/IEC 7812, by Luhn's check) and of accounts (IBAN, ISO 13616, by its check modulo 97)."""

import re
from collections.abc import Iterator, Sequence

from brandpulse.masking.handles import Found

CARD = "[card]"
IBAN = "[iban]"
CHECKS = 200
"""Candidates that are checked in one text. Further ones are masked by their form alone, which bounds the time."""

LONGEST = 19
"""Digits of a card."""
_GROUP = re.compile(r"\d+")
_RUN = re.compile(r"\d(?:[ .\-_]{0,2}\d){12,}+")
_ISSUERS = {
    13: re.compile(r"4"),
    14: re.compile(r"3(?:0[0-5]|095|[689])"),
    15: re.compile(r"3[47]|2131"),
    16: re.compile(r"4|5[0-9]|6[0-9]|2[2-7]|35|3[0689]|8[0-2]|9792"),
    17: re.compile(r"5[06-8]|6"),
    18: re.compile(r"5[06-8]|6[0-9]"),
    19: re.compile(r"4|5[06-8]|6"),
}
_FIRST = frozenset("2345689")
"""First digits of cards: 1 and 7 are old airlines' and fuel cards."""
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)
_SECURITY = re.compile(
    r"\b(?:cvv2?|cvc2?|cvn|csc|prüfziffer|kartenprüfnummer|security code|cryptogramme)"
    r"\b[ :.#=]{0,3}(?:(?:is|code|number|ist)[ :]{1,2})?(\d{3,4})(?!\w)",
    re.IGNORECASE,
)

_COUNTRIES = {
    15: "NO",
    16: "BE",
    18: "DK FI FK FO GL NL SD",
    19: "MK SI",
    20: "AT BA EE KZ LT LU MN XK",
    21: "CH HR LI LV",
    22: "BG BH CR DE GB GE IE ME RS VA",
    23: "AE GI IL IQ OM SO TL",
    24: "AD CZ ES MD PK RO SA SE SK TN VG",
    25: "LY PT ST",
    26: "IS TR",
    27: "BI DJ FR GR IT MC MR SM",
    28: "AL AZ BY CY DO GT HN HU LB NI PL SV",
    29: "BR EG PS QA UA",
    30: "JO KW MU YE",
    31: "MT SC",
    32: "LC",
    33: "RU",
}
"""Length of an IBAN -> countries, of SWIFT's registry."""
_IBAN_LENGTHS = {country: length for length, countries in _COUNTRIES.items() for country in countries.split()}
_IBAN = re.compile(
    r"(?<![^\W\d_])(?:(?<=IBAN)|(?<=iban)|(?<![\w]))([A-Za-z]{2})[ .\-]?\d[ ]?\d(?:[ .\-]{0,2}[A-Za-z0-9]){11,40}+"
)


def find_cards(view: str) -> Iterator[Found]:
    """Each number that begins and ends with a group of digits."""
    checks = 0
    for run in _RUN.finditer(view):
        groups = [(found.start(), found.group()) for found in _GROUP.finditer(view, run.start(), run.end())]
        at = 0
        while at < len(groups):
            if groups[at][1][0] not in _FIRST:
                at += 1
                continue
            last, asked = _card_from(groups, at, sure=checks > CHECKS)
            checks += asked
            if last < 0:
                at += 1
                continue
            yield groups[at][0], groups[last][0] + len(groups[last][1]), CARD
            at = last + 1


def _card_from(groups: Sequence[tuple[int, str]], first: int, *, sure: bool) -> tuple[int, int]:
    """The last group of the longest card number that begins with group *first*, or -1; and the number of checks."""
    found, asked, digits = -1, 0, ""
    for at in range(first, min(first + LONGEST, len(groups))):
        digits += groups[at][1]
        if len(digits) > LONGEST:
            break
        issuers = _ISSUERS.get(len(digits))
        if issuers is None or not issuers.match(digits):
            continue
        asked += 1
        if sure or (is_luhn(digits) and len(set(digits)) > 1):
            found = at
    return found, asked


def find_security_codes(view: str) -> Iterator[Found]:
    """The three or four digits of a card's back."""
    for found in _SECURITY.finditer(view):
        yield found.start(1), found.end(1), CARD


def is_luhn(digits: str) -> bool:
    return (sum(map(int, digits[-1::-2])) + sum(_DOUBLED[int(d)] for d in digits[-2::-2])) % 10 == 0


def find_ibans(view: str) -> Iterator[Found]:
    for found in _IBAN.finditer(view):
        wanted = _IBAN_LENGTHS.get(found.group(1).upper())
        if wanted is None:
            continue
        seen, at = 0, found.start(1)
        while at < found.end() and seen < wanted:
            seen += view[at].isalnum()
            at += 1
        if seen < wanted or (at < len(view) and view[at].isalnum()):
            continue
        number = "".join(c for c in view[found.start(1) : at] if c.isalnum()).upper()
        if number.isascii() and (is_iban(number) or view[: found.start(1)].casefold().rstrip(" :.").endswith("iban")):
            yield found.start(1), at, IBAN


def is_iban(number: str) -> bool:
    """Its letters and digits, in upper case."""
    return int("".join(str(int(c, 36)) for c in number[4:] + number[:4])) % 97 == 1
