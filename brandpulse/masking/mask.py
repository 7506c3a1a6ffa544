"""`Mask` replaces private data before a text is stored, shown or sent. The only definition of masking."""

import re
from collections.abc import Iterable
from functools import lru_cache

from brandpulse.masking.addresses import ADDRESS, POSTCODE, find_addresses, find_british_postcodes, find_postcodes
from brandpulse.masking.codes import (
    ADDRESS_OF_MACHINE,
    BIRTH_DATE,
    BOOKING,
    IDENTITY,
    REFERENCE,
    TRACKING,
    find_birth_dates,
    find_bookings,
    find_identities,
    find_identity_numbers,
    find_machines,
    find_mixed_identities,
    find_references,
    find_tracking,
    find_tracking_forms,
)
from brandpulse.masking.handles import (
    EMAIL,
    PROFILE,
    USER,
    Found,
    find_handles,
    find_mentions,
    find_named,
    find_profiles,
    find_spelt_mail,
)
from brandpulse.masking.hints import Hint, Hints
from brandpulse.masking.payment import CARD, IBAN, find_cards, find_ibans, find_security_codes
from brandpulse.masking.phones import PHONE, find_phones
from brandpulse.masking.plain_view import BLANK, PlainView

PLACEHOLDERS = (
    USER,
    EMAIL,
    PROFILE,
    PHONE,
    CARD,
    IBAN,
    ADDRESS,
    POSTCODE,
    BOOKING,
    REFERENCE,
    IDENTITY,
    TRACKING,
    BIRTH_DATE,
    ADDRESS_OF_MACHINE,
)
ROUNDS = 4

_PLACEHOLDER = re.compile(
    rf"{USER}(?![\w]|[.\-·@]\w)|" + "|".join(re.escape(one) for one in PLACEHOLDERS if one != USER)
)


_PLAIN_HANDLE = re.compile(r"(?<![\w.])@(\w{1,64})(?![.\-·]?\w)")
_MIXED = re.compile(r"[A-Z][ \-]?[0-9]|[0-9][A-Z]")
"""Codes of letters and digits, in upper case."""
_PAN = re.compile(r"[A-Z]{5}[0-9]{4}")
_CODED = re.compile(r"[0-9](?:[0-9]{4}|[A-Z]{2}(?![A-Za-z0-9])|[0-9]{2} [0-9]{3}(?![0-9]))")
"""A possible postcode, or its end."""
_ENTITY = re.compile(r"&(?:#[xX]?0{0,4}[46][04];|commat;)")
_GOES_ON = re.compile(r"[.\-·@]?\w")
_SPELT = Hint.AT | Hint.DOT
_WORDED = Hint.SECURITY | Hint.BIRTH | Hint.BOOKING | Hint.IDENTITY
_WITHOUT_DIGITS = Hint.LINK | Hint.NAMED | Hint.AT | Hint.DOT | Hint.BOOKING
_STREETS = Hint.NUMBER_FIRST | Hint.FRENCH | Hint.LATIN | Hint.GERMAN | Hint.BOX | Hint.UNIT


REMEMBERED, REMEMBERED_CHARS = 4_096, 500
"""Number and largest length of texts whose masked form is cached: two megabytes."""


class Mask:
    """Replaces private data by placeholders such as `[email]`; `mask(mask(text)) == mask(text)`.

    *keep* are the brands' own handles, without the @. They name no person, and show which brand the post is about.
    """

    def __init__(self, keep: Iterable[str] = ()) -> None:
        self._keep = frozenset(handle.casefold().lstrip("@") for handle in keep)
        # A post is masked once for each place where it is stored or sent: scored post, hour, day.
        self._cached = lru_cache(maxsize=REMEMBERED)(self._masked)

    def __call__(self, text: str) -> str:
        return self._cached(text) if len(text) <= REMEMBERED_CHARS else self._masked(text)

    def _masked(self, text: str) -> str:
        for _ in range(ROUNDS):
            found = self.find(text)
            if not found:
                break
            text = _replaced(text, found)
            if "/" not in text and all(one[2] is USER for one in found):
                # Names are found first, and the other patterns have searched the rest of the text. Only a link may
                # take another form when the name beside it is replaced.
                break
        return text

    def find(self, text: str) -> list[Found]:
        """Private data in *text*: begin, end, placeholder. A match that another one hides is found in a later round."""
        view = text
        plain = None
        if not text.isascii():
            plain = PlainView(text)
            view = plain.text
        if "[" in view or USER in view:
            view = _PLACEHOLDER.sub(_blank, view)
        hints = Hints(view)
        digits = _digits(view)
        if not digits and not hints.kinds & _WITHOUT_DIGITS and "@" not in view and "&" not in view:
            return []
        if not digits and not hints.kinds & _WITHOUT_DIGITS and "<a" not in view and "&" not in view:
            # Most posts have at most handles.
            return _placed(plain, list(find_handles(view, self._kept)))
        search = _Search(view)
        self._find_names(search, hints)
        if digits:
            _find_numbers(search, digits, hints)
        elif Hint.BOOKING in hints:
            search.take(find_bookings(search.view, hints))
        return _placed(plain, search.found)

    def _find_names(self, search: "_Search", hints: Hints) -> None:
        view, keep = search.view, self._kept
        if Hint.LINK in hints:
            search.take(find_profiles(view, keep))
        if "@" in view or ("&" in view and _ENTITY.search(view)):
            if "<a" in view:
                search.take(find_mentions(search.view, keep))
            search.take(find_handles(search.view, keep))
        if hints.kinds & _SPELT:
            search.take(find_spelt_mail(search.view))
        if Hint.NAMED in hints:
            search.take(find_named(search.view, keep))

    def _kept(self, name: str) -> bool:
        return name.casefold() in self._keep


@lru_cache(maxsize=4_096)
def masked_again(text: str) -> str:
    """Masks a stored *text* again before it is shown or sent: an older version may have masked less.

    Its remaining plain handles are those of brands: every version masks all others.
    """
    return Mask(_PLAIN_HANDLE.findall(text))(text)


def without_placeholders(text: str) -> str:
    """*text* without the placeholders that `Mask` inserted, for a search for words."""
    return _PLACEHOLDER.sub(" . ", text) if "[" in text or USER in text else text


class _Search:
    """A view in which earlier matches are blank, so that nothing is found twice."""

    def __init__(self, view: str) -> None:
        self.view = view
        self.found: list[Found] = []

    def take(self, found: Iterable[Found]) -> None:
        new = sorted(found)
        if not new:
            return
        self.found += new
        out, at = [], 0
        for begin, end, _ in new:
            out += [self.view[at : max(at, begin)], BLANK * (end - max(at, begin))]
            at = max(at, end)
        self.view = "".join(out) + self.view[at:]


def _placed(plain: PlainView | None, found: list[Found]) -> list[Found]:
    """*found* in the original text."""
    return found if plain is None else [(*plain.span(begin, end), name) for begin, end, name in found]


def _find_numbers(search: _Search, digits: int, hints: Hints) -> None:
    """The most specific patterns first: each leaves less text to the next."""
    mixed = _MIXED.search(search.view) is not None
    if digits >= 11:
        search.take(find_ibans(search.view))
        search.take(find_cards(search.view))
    if hints.kinds & _WORDED:
        _find_worded(search, digits, hints)
    if mixed and (digits >= 6 or _PAN.search(search.view)):
        search.take(find_mixed_identities(search.view))
    if mixed and digits >= 8:
        search.take(find_tracking_forms(search.view))
    if digits >= 9:
        search.take(find_identity_numbers(search.view))
    if digits >= 6 and Hint.TRACKING in hints:
        search.take(find_tracking(search.view, hints))
    if digits >= 3 and Hint.REFERENCE in hints:
        search.take(find_references(search.view, hints))
    if digits >= 4 and (search.view.count(".") >= 3 or search.view.count(":") >= 2):
        search.take(find_machines(search.view))
    _find_places(search, hints, coded=_CODED.search(search.view) is not None)
    if digits >= 7:
        search.take(find_phones(search.view, hints))


def _find_worded(search: _Search, digits: int, hints: Hints) -> None:
    if Hint.SECURITY in hints:
        search.take(find_security_codes(search.view))
    if Hint.BIRTH in hints:
        search.take(find_birth_dates(search.view, hints))
    if Hint.BOOKING in hints:
        search.take(find_bookings(search.view, hints))
    if digits >= 4 and Hint.IDENTITY in hints:
        search.take(find_identities(search.view, hints))


def _find_places(search: _Search, hints: Hints, *, coded: bool) -> None:
    """*coded*: whether the view may contain a postcode."""
    if coded or hints.kinds & _STREETS:
        search.take(find_addresses(search.view, hints, coded=coded))
    if Hint.POSTCODE in hints:
        search.take(find_postcodes(search.view, hints))
    if coded:
        search.take(find_british_postcodes(search.view))


def _digits(view: str) -> int:
    octets = view.encode("utf-8", "surrogatepass")
    return len(octets) - len(octets.translate(None, b"0123456789"))


def _blank(found: re.Match[str]) -> str:
    return BLANK * (found.end() - found.start())


def _replaced(text: str, spans: Iterable[Found]) -> str:
    out: list[str] = []
    end = 0
    for begin, stop, name in sorted(spans, key=lambda one: (one[0], -one[1])):
        if begin < end:
            continue
        if name is USER and begin == end and out and out[-1] is USER:
            # `@kim/u/lee` holds two names without anything between them.
            out.append(" ")
        out += [text[end:begin], name]
        end = stop
        if name is USER and _GOES_ON.match(PlainView(text[stop : stop + 8]).text):
            # Without a space the placeholder would be part of a longer name.
            out.append(" ")
    out.append(text[end:])
    return "".join(out)
