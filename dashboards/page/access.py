"""Which request may read the page, and which may act on it. Pure but for the request it looks at.

Without tokens, only this machine reaches the page, and everyone on it may do both. The viewing token reads. An
operator's token reads and acts; what is done with it is recorded under the operator's name.
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import web

from brandpulse.runtime.http_security import has_token, is_loopback

COOKIE = "brandpulse_page"
OPEN_PATHS = frozenset({"/healthz", "/readyz"})
REFUSED = (
    "This page wants a token.\n\n"
    "In a browser: open it once with ?token=YOUR-TOKEN, it is remembered in a cookie.\n"
    "From a program: send the header Authorization: Bearer YOUR-TOKEN.\n"
    "To read: the value of BRANDPULSE_PAGE_TOKEN where the page runs.\n"
    "To act: your own token in BRANDPULSE_PAGE_OPERATOR_TOKENS there.\n"
)
MAY_NOT_ACT = (
    "this token may read and not act. Open the page with an operator's token, one of BRANDPULSE_PAGE_OPERATOR_TOKENS"
)
MISADDRESSED = (
    "This page answers only under a loopback name, such as http://127.0.0.1.\n"
    "To serve it under another name, set BRANDPULSE_PAGE_TOKEN and restart it.\n"
)


@dataclass(frozen=True, slots=True)
class Person:
    """Who sent a request, as far as the page knows."""

    name: str | None
    """Of an operator; None: the page does not know."""
    may_act: bool


class Access:
    """Decides about one request at a time."""

    def __init__(self, token: str | None, operators: Mapping[str, str] | None = None) -> None:
        """*token* reads; *operators*: name -> token of each person who may act."""
        self._open = token is None
        self._may_all_act = token is None and not operators
        named: list[tuple[str, Person]] = [] if token is None else [(token, Person(None, may_act=False))]
        named += [(secret, Person(name, may_act=True)) for name, secret in (operators or {}).items()]
        # Not the token itself: a leaked cookie opens this page, not whatever else was given the same secret.
        self._known = [
            (secret, hmac.new(secret.encode(), b"brandpulse live page", hashlib.sha256).hexdigest(), person)
            for secret, person in named
        ]

    def refuse(self, request: web.Request) -> web.Response | None:
        """None lets it pass; a response is the answer in its place."""
        if request.path in OPEN_PATHS:
            return None
        host = request.host.rsplit(":", 1)[0] if not request.host.endswith("]") else request.host
        if self._open and not is_loopback(host):
            # Without a token a foreign web page could point its own name at 127.0.0.1 and read along.
            return web.Response(status=421, text=MISADDRESSED)
        known, shown = self._person(request), request.query.get("token")
        if shown is not None:
            for secret, cookie, person in self._known:
                # An operator who opens a link with the viewing token stays an operator.
                if _same(shown, secret) and (person.may_act or known is None or not known.may_act):
                    return self._welcome(request, cookie)
        if known is None and not self._open:
            return web.Response(status=401, text=REFUSED, headers={"WWW-Authenticate": "Bearer"})
        return self._without_token(request) if shown is not None else None

    def person(self, request: web.Request) -> Person:
        """Who sent *request*, which was not refused."""
        return self._person(request) or Person(None, may_act=self._may_all_act)

    def _person(self, request: web.Request) -> Person | None:
        """Of several tokens shown at once the one that may act counts."""
        held, header = request.cookies.get(COOKIE, ""), request.headers.get("Authorization", "")
        found = [person for secret, cookie, person in self._known if _same(held, cookie) or has_token(header, secret)]
        return max(found, key=lambda person: person.may_act, default=None)

    def _welcome(self, request: web.Request, cookie: str) -> web.Response:
        response = self._without_token(request)
        # Lax, not Strict: a link in a chat or an alert must open the page with its cookie.
        response.set_cookie(
            COOKIE, cookie, httponly=True, samesite="Lax", secure=request.secure, max_age=30 * 86_400, path="/"
        )
        return response

    def _without_token(self, request: web.Request) -> web.Response:
        """The same address without the token, so that it stays out of history, bookmarks and screenshots."""
        rest = [(name, value) for name, value in request.query.items() if name != "token"]
        place = request.rel_url.with_query(rest)
        return web.Response(status=302, headers={"Location": "/" + str(place).lstrip("/"), "Cache-Control": "no-store"})


def _same(shown: str, wanted: str) -> bool:
    return hmac.compare_digest(shown.encode(), wanted.encode())
