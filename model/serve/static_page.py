"""The page for trying a text: files read once at the start; browsers revalidate them and mostly get 304."""

import hashlib
from pathlib import Path

from fastapi import FastAPI, Request
from starlette.responses import Response

from model.serve.problems import problem

STATIC = Path(__file__).parent / "static"
CONTENT_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


class StaticFile:
    """One file in memory."""

    def __init__(self, path: Path) -> None:
        self._body = path.read_bytes()
        self._etag = f'"{hashlib.sha256(self._body).hexdigest()[:16]}"'
        self._content_type = f"{CONTENT_TYPES[path.suffix]}; charset=utf-8"

    def answer(self, request: Request) -> Response:
        headers = {"ETag": self._etag, "Cache-Control": "no-cache"}
        if self._etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(self._body, headers=headers | {"Content-Type": self._content_type})


def add_page(api: FastAPI) -> None:
    """Adds the routes `/` and `/static/…`; they are not in the API's description."""
    files = {path.name: StaticFile(path) for path in STATIC.iterdir() if path.suffix in CONTENT_TYPES}

    @api.get("/", include_in_schema=False)
    async def page(request: Request) -> Response:
        return files["index.html"].answer(request)

    @api.get("/static/{name}", include_in_schema=False)
    async def static(request: Request, name: str) -> Response:
        file = files.get(name)
        return file.answer(request) if file is not None else problem(404, f"The file {name[:80]!r} does not exist.")
