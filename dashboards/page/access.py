"""Access control of the page: which requests can read, and which can act.

Without tokens, only this machine can reach the page, and every request can read and act. The read-only token can read.
An operator token can read and act; each action is recorded under the operator's name.
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import web

from brandpulse.runtime.http_security import has_token, is_loopback

COOKIE = "brandpulse_page"
OPEN_PATHS = frozenset({"/healthz", "/readyz"})
UNAUTHORIZED = (
    "This page requires a token.\n\n"
    "Browser: open the page once with ?token=YOUR-TOKEN; a cookie stores it.\n"
    "Program: send the header Authorization: Bearer YOUR-TOKEN.\n"
    "To read: use the value of BRANDPULSE_PAGE_TOKEN of the page's process.\n"
    "To act: use your own token from BRANDPULSE_PAGE_OPERATOR_TOKENS.\n"
)
READ_ONLY = "this token is read-only. Open the page with an operator token from BRANDPULSE_PAGE_OPERATOR_TOKENS"
NOT_LOOPBACK = (
    "Without a token this page accepts only loopback names, such as http://127.0.0.1.\n"
    "To serve it under another name, set BRANDPULSE_PAGE_TOKEN and restart it.\n"
)


@dataclass(frozen=True, slots=True)
class Caller:
    """The sender of a request."""

    name: str | None
    """The operator's name; None if the token has none."""
    may_act: bool


class Access:
    """Authorizes requests."""

    def __init__(self, token: str | None, operators: Mapping[str, str] | None = None) -> None:
        """*token* can read; *operators* maps each operator's name to a token that can also act."""
        self._without_tokens = token is None
        self._everyone_may_act = token is None and not operators
        named: list[tuple[str, Caller]] = [] if token is None else [(token, Caller(None, may_act=False))]
        named += [(secret, Caller(name, may_act=True)) for name, secret in (operators or {}).items()]
        # The cookie is derived from the token: a leaked cookie opens only this page, no other service with that token.
        self._known = [
            (secret, hmac.new(secret.encode(), b"brandpulse live page", hashlib.sha256).hexdigest(), caller)
            for secret, caller in named
        ]

    def check(self, request: web.Request) -> web.Response | None:
        """None if the request is allowed, otherwise the response to send instead."""
        if request.path in OPEN_PATHS:
            return None
        host = request.host.rsplit(":", 1)[0] if not request.host.endswith("]") else request.host
        if self._without_tokens and not is_loopback(host):
            # DNS rebinding: another site could point its own name at 127.0.0.1 and read the page.
            return web.Response(status=421, text=NOT_LOOPBACK)
        caller, shown = self._caller(request), request.query.get("token")
        if shown is not None:
            for secret, cookie, owner in self._known:
                # An operator who opens a link with the read-only token stays an operator.
                if _equal(shown, secret) and (owner.may_act or caller is None or not caller.may_act):
                    return self._set_cookie(request, cookie)
        if caller is None and not self._without_tokens:
            return web.Response(status=401, text=UNAUTHORIZED, headers={"WWW-Authenticate": "Bearer"})
        return self._without_token(request) if shown is not None else None

    def caller(self, request: web.Request) -> Caller:
        """The sender of *request*, which `check` has allowed."""
        return self._caller(request) or Caller(None, may_act=self._everyone_may_act)

    def _caller(self, request: web.Request) -> Caller | None:
        """If a request has several tokens, one that may act has precedence."""
        stored, header = request.cookies.get(COOKIE, ""), request.headers.get("Authorization", "")
        found = [one for secret, cookie, one in self._known if _equal(stored, cookie) or has_token(header, secret)]
        return max(found, key=lambda one: one.may_act, default=None)

    def _set_cookie(self, request: web.Request, cookie: str) -> web.Response:
        response = self._without_token(request)
        # Lax, not Strict: the browser must send the cookie when a link in a chat or an alert opens the page.
        response.set_cookie(
            COOKIE, cookie, httponly=True, samesite="Lax", secure=request.secure, max_age=30 * 86_400, path="/"
        )
        return response

    def _without_token(self, request: web.Request) -> web.Response:
        """Redirect to the same address without the token: it must not appear in history, bookmarks or screenshots."""
        rest = [(name, value) for name, value in request.query.items() if name != "token"]
        location = request.rel_url.with_query(rest)
        return web.Response(
            status=302, headers={"Location": "/" + str(location).lstrip("/"), "Cache-Control": "no-store"}
        )


def _equal(given: str, secret: str) -> bool:
    return hmac.compare_digest(given.encode(), secret.encode())
