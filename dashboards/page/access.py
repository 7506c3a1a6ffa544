"""Who may read the page: anyone on this machine, or whoever shows the token. Pure but for the request it looks at."""

import hashlib
import hmac

from aiohttp import web

from brandpulse.exposure import is_loopback, shows_token

COOKIE = "brandpulse_page"
OPEN_PATHS = frozenset({"/healthz", "/readyz"})
SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
REFUSED = (
    "This page wants a token.\n\n"
    "In a browser: open it once with ?token=YOUR-TOKEN, it is remembered in a cookie.\n"
    "From a program: send the header Authorization: Bearer YOUR-TOKEN.\n"
    "The token is the value of BRANDPULSE_PAGE_TOKEN where the page runs.\n"
)
MISADDRESSED = (
    "This page answers only under a loopback name, such as http://127.0.0.1.\n"
    "To serve it under another name, set BRANDPULSE_PAGE_TOKEN and restart it.\n"
)


class Access:
    """Decides about one request at a time."""

    def __init__(self, token: str | None) -> None:
        self._token = token
        # Not the token itself: a leaked cookie opens this page, not whatever else was given the same secret.
        self._cookie = hmac.new((token or "").encode(), b"brandpulse live page", hashlib.sha256).hexdigest()

    def refuse(self, request: web.Request) -> web.Response | None:
        """None lets it pass; a response is the answer in its place."""
        if request.path in OPEN_PATHS:
            return None
        if self._token is None:
            # Without a token a foreign web page could point its own name at 127.0.0.1 and read along.
            host = request.host.rsplit(":", 1)[0] if not request.host.endswith("]") else request.host
            return None if is_loopback(host) else web.Response(status=421, text=MISADDRESSED)
        if _same(request.cookies.get(COOKIE, ""), self._cookie) or self._bearer(request):
            return self._without_token(request) if "token" in request.query else None
        if _same(request.query.get("token", ""), self._token):
            return self._welcome(request)
        return web.Response(status=401, text=REFUSED, headers={"WWW-Authenticate": "Bearer"})

    def _bearer(self, request: web.Request) -> bool:
        return shows_token(request.headers.get("Authorization", ""), self._token)

    def _welcome(self, request: web.Request) -> web.Response:
        response = self._without_token(request)
        # Lax, not Strict: a link in a chat or an alert must open the page with its cookie.
        response.set_cookie(
            COOKIE, self._cookie, httponly=True, samesite="Lax", secure=request.secure, max_age=30 * 86_400, path="/"
        )
        return response

    def _without_token(self, request: web.Request) -> web.Response:
        """The same address without the token, so that it stays out of history, bookmarks and screenshots."""
        rest = [(name, value) for name, value in request.query.items() if name != "token"]
        place = request.rel_url.with_query(rest)
        return web.Response(status=302, headers={"Location": "/" + str(place).lstrip("/"), "Cache-Control": "no-store"})


def _same(shown: str, wanted: str) -> bool:
    return hmac.compare_digest(shown.encode(), wanted.encode())
