"""A schema registry with Confluent's interface: schemas by number and GUID, references, and the faults of real ones."""

import json
import uuid
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from brandpulse.runtime.lifecycle import listening


@dataclass(slots=True)
class RegistryServer:
    schemas: list[dict[str, Any]] = field(default_factory=list)
    """Number n is at n - 1."""
    subjects: dict[str, dict[str, Any]] = field(default_factory=dict)
    failures: deque[int] = field(default_factory=deque)
    """Statuses of the next answers."""
    requests: list[str] = field(default_factory=list)
    url: str = ""

    def add(self, schema: Any, **more: Any) -> int:
        """The number of a new schema; *more*: schemaType, references."""
        self.schemas.append({"schema": json.dumps(schema), **more})
        return len(self.schemas)

    @staticmethod
    def guid(number: int) -> uuid.UUID:
        return uuid.UUID(int=number)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["RegistryServer"]:
        app = web.Application()
        app.router.add_get("/{path:.*}", self._answer)
        async with listening(app, "127.0.0.1", 0, shutdown_seconds=0.1) as url:
            self.url = url
            yield self

    async def _answer(self, request: web.Request) -> web.Response:
        path = request.match_info["path"]
        self.requests.append(path)
        if self.failures:
            return web.json_response({"error_code": 50_001}, status=self.failures.popleft())
        if path == "subjects":
            return web.json_response(list(self.subjects))
        found: Any = None
        if path.startswith("schemas/ids/"):
            found = self._numbered(int(path.rpartition("/")[2]))
        elif path.startswith("schemas/guids/"):
            found = self._numbered(uuid.UUID(path.rpartition("/")[2]).int)
        elif path.startswith("subjects/"):
            found = self.subjects.get(path.split("/")[1])
        if found is None:
            return web.json_response({"error_code": 40_403, "message": "Schema not found"}, status=404)
        return web.json_response(found)

    def _numbered(self, number: int) -> dict[str, Any] | None:
        return self.schemas[number - 1] if 0 < number <= len(self.schemas) else None
