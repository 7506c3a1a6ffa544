"""Numbers of cards (ISO/IEC 7812, by Luhn's check) and of accounts (IBAN, ISO 13616, by its check modulo 97)."""

import re
from collections.abc import Iterator

from brandpulse.masking.handles import Found

CARD = "[card]"
IBAN = "[iban]"
CHECKS = 200
"""Of one text. A text with more candidates is made to keep us busy: from then on the form alone is enough."""

_RUN = re.compile(r"\d(?:[ .\-_]{0,2}\d){12,}+")
_ISSUERS = {
    13: re.compile(r"4"),
    14: re.compile(r"3(?:0[0-5]|095|[689])"),
    15: re.compile(r"3[47]|1800|2131"),
    16: re.compile(r"4|5[0-9]|6[0-9]|2[2-7]|35|3[0689]|8[0-2]|9792|1946"),
    17: re.compile(r"5[06-8]|6"),
    18: re.compile(r"5[06-8]|6[0-9]"),
    19: re.compile(r"4|5[06-8]|6"),
}
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)
_SECURITY = re.compile(r"\b(?:cvv2?|cvc2?|cvn|csc|prüfziffer|kartenprüfnummer|security code|cryptogramme)\b[ :.#=]{0,3}(?:(?:is|code|number|ist)[ :]{1,2})?(\d{3,4})(?!\w)", re.IGNORECASE)

_IBAN_LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BI": 27, "BR": 29, "BY": 28, "CH": 21,
    "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DJ": 27, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18, "FK": 18, "FO": 18,
    "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28, "HN": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23,
    "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LC": 32, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "LY": 25, "MC": 27,
    "MD": 24, "ME": 22, "MK": 19, "MN": 20, "MR": 27, "MT": 31, "MU": 30, "NI": 28, "NL": 18, "NO": 15, "OM": 23, "PK": 24, "PL": 28,
    "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22, "RU": 33, "SA": 24, "SC": 31, "SD": 18, "SE": 24, "SI": 19, "SK": 24, "SM": 27,
    "SO": 23, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20, "YE": 30,
}  # fmt: skip
_IBAN = re.compile(r"(?<![^\W\d_])(?:(?<=IBAN)|(?<=iban)|(?<![\w]))([A-Za-z]{2})[ .\-]?\d[ ]?\d(?:[ .\-]{0,2}[A-Za-z0-9]){11,40}+")


def find_cards(view: str) -> Iterator[Found]:
    checks = 0
    for run in _RUN.finditer(view):
        places = [at for at in range(run.start(), run.end()) if view[at].isdecimal()]
        digits = "".join(view[at] for at in places)
        first = 0
        while first <= len(digits) - 13:
            length = next((n for n in (16, 15, 19, 18, 17, 14, 13) if _is_card(digits, places, first, n, checks)), 0)
            checks += digits[first] in "34569"
            if length:
                last = first + length
                if _whole(places, digits, first, last):
                    yield places[first], places[last - 1] + 1, CARD
                    first = last
                    continue
            first += 1


def find_security_codes(view: str) -> Iterator[Found]:
    """The three or four digits of a card's back."""
    for found in _SECURITY.finditer(view):
        yield found.start(1), found.end(1), CARD


def _is_card(digits: str, places: list[int], first: int, length: int, checks: int) -> bool:
    number = digits[first : first + length]
    if len(number) < length or not _ISSUERS[length].match(number) or not _whole(places, digits, first, first + length):
        return False
    return checks > CHECKS or (is_luhn(number) and len(set(number)) > 1)


def _whole(places: list[int], digits: str, first: int, last: int) -> bool:
    """Whether a number begins and ends where groups do."""
    return (first == 0 or places[first] - places[first - 1] > 1) and (
        last == len(digits) or places[last] - places[last - 1] > 1
    )


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
    """Of its letters and digits, in capitals."""
    return int("".join(str(int(c, 36)) for c in number[4:] + number[:4])) % 97 == 1
