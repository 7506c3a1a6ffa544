"""Requests to the X API v2, and what its refusals mean."""

import logging
import math
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from pydantic import SecretStr

from brandpulse.errors import BrandpulseError
from ingest.sources.connectors.x.decoder import FIELDS
from ingest.sources.connectors.x.rules import MOST_RULES, Rule
from ingest.sources.connectors.x.settings import XSettings
from ingest.sources.source import SourceConfigError, SourceContext, SourceError
from ingest.sources.web_client import Answer, ask, json_object, retry_after

log = logging.getLogger(__name__)

SILENCE_SECONDS = 25.0
"""X sends at least an empty line every 20 seconds."""
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 5.0, 320.0
"""After failed requests, doubled each time, as X asks for."""
LIMIT_PAUSE_SECONDS = 60.0
"""After a 429 without the time at which the limit ends."""
NO_CREDIT_SECONDS = 3_600.0
RULES_AT_ONCE = 100


class TooManyConnectionsError(SourceError):
    """X counts another connection of this app, often one that broke without its notice."""


@dataclass(frozen=True, slots=True)
class StoredRule:
    """A rule as X stores it."""

    id: str
    value: str
    tag: str


class XApi:
    """The requests of one source."""

    def __init__(self, settings: XSettings, token: SecretStr, context: SourceContext) -> None:
        self._settings = settings
        self._token = token
        self._context = context
        self.failures = 0
        """Refused requests since the last post or keep-alive: the pauses grow with them."""

    async def rules(self) -> list[StoredRule]:
        """The rules of the app, those of other programs too."""
        found: list[StoredRule] = []
        page: dict[str, str] = {}
        while True:
            body = await self._json("/2/tweets/search/stream/rules", params=page)
            for rule in body.get("data") or ():
                found.append(StoredRule(str(rule.get("id")), str(rule.get("value")), str(rule.get("tag") or "")))
            token = (body.get("meta") or {}).get("next_token")
            if not token:
                return found
            page = {"pagination_token": str(token)}

    async def add_rules(self, rules: Sequence[Rule], *, only_check: bool = False) -> dict[str, str]:
        """Add *rules*, or with *only_check* let X check them. Returns the refused ones: value -> X's reason."""
        refused: dict[str, str] = {}
        for first in range(0, len(rules), RULES_AT_ONCE):
            refused |= await self._add(rules[first : first + RULES_AT_ONCE], only_check=only_check)
        return refused

    async def delete_rules(self, ids: Sequence[str]) -> None:
        for first in range(0, len(ids), RULES_AT_ONCE):
            body = {"delete": {"ids": list(ids[first : first + RULES_AT_ONCE])}}
            # A rule that is gone already is an error of the answer, and no fault.
            await self._json("/2/tweets/search/stream/rules", method="POST", json=body, fine=(200, 201, 400))

    async def search(self, query: str, window: Mapping[str, str], *, posts: int, page: str = "") -> dict[str, Any]:
        """A page of the recent search, newest first: at most *posts*, of the documented 10 to 100."""
        params = {"query": query, "max_results": str(posts), "tweet.fields": FIELDS, **window}
        return await self._json("/2/tweets/search/recent", params=params | ({"next_token": page} if page else {}))

    async def close_connections(self) -> None:
        """Ends all streams of the app, also those that X only believes to be open."""
        await ask(self._context, self._url("/2/connections/all"), method="DELETE", headers=self._headers())

    @asynccontextmanager
    async def stream(self) -> AsyncIterator[aiohttp.StreamReader]:
        """The open stream. Raises SourceError, SourceConfigError if X refuses it."""
        params = {"tweet.fields": FIELDS}
        if self._settings.backfill_minutes:
            params["backfill_minutes"] = str(self._settings.backfill_minutes)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=20, sock_read=SILENCE_SECONDS)
        url = self._url("/2/tweets/search/stream")
        async with self._context.session.get(url, params=params, headers=self._headers(), timeout=timeout) as answer:
            if answer.status != 200:
                body = await answer.content.read(64 * 1024)
                raise self._refusal(Answer(answer.status, answer.headers, body))
            yield answer.content

    async def _add(self, rules: Sequence[Rule], *, only_check: bool) -> dict[str, str]:
        """X may create no rule of a request if one is wrong: the others are sent again without it."""
        refused: dict[str, str] = {}
        waiting = list(rules)
        while waiting:
            body = {"add": [{"value": rule.value, "tag": rule.tag} for rule in waiting]}
            params = {"dry_run": "true"} if only_check else {}
            answer = await self._json(
                "/2/tweets/search/stream/rules", method="POST", json=body, params=params, fine=(200, 201, 400)
            )
            done = {str(rule.get("value")) for rule in answer.get("data") or ()}
            wrong = self._wrong_rules(answer.get("errors") or ())
            refused |= {value: reason for value, reason in wrong.items() if reason}
            left = [rule for rule in waiting if rule.value not in done and rule.value not in wrong]
            if only_check or not left or not answer.get("errors"):
                break
            if len(left) == len(waiting):
                raise SourceError(f"X created none of {len(left)} rules: {str(answer)[:200]}")
            waiting = left
        return refused

    def _wrong_rules(self, errors: Sequence[Any]) -> dict[str, str]:
        """Value -> reason; an empty reason for a rule that exists already. Raises SourceConfigError at X's limit."""
        wrong: dict[str, str] = {}
        for error in errors:
            if not isinstance(error, dict):
                continue
            title, kind = str(error.get("title")), str(error.get("type"))
            if kind.endswith("rule-cap") or title == "RulesCapExceeded":
                raise SourceConfigError(
                    f"X allows no more rules for this app ({error.get('detail') or title}); delete rules of other "
                    "programs, or have fewer brands"
                )
            details = error.get("details")
            reason = "; ".join(map(str, details)) if isinstance(details, list) else str(error.get("detail") or title)
            duplicate = title == "DuplicateRule" or kind.endswith("duplicate-rules")
            if isinstance(error.get("value"), str):
                wrong[error["value"]] = "" if duplicate else reason
        return wrong

    async def _json(
        self,
        path: str,
        *,
        method: str = "GET",
        params: Mapping[str, str] | None = None,
        json: object = None,
        fine: Sequence[int] = (200,),
    ) -> dict[str, Any]:
        answer = await ask(
            self._context, self._url(path), method=method, params=params, json=json, headers=self._headers()
        )
        body = json_object(answer.body)
        # A 400 about rules lists them; any other is a refusal of the whole request.
        listed = answer.status != 400 or (isinstance(body.get("errors"), list) and "meta" in body)
        if answer.status not in fine or not listed:
            raise self._refusal(answer)
        return body

    def _refusal(self, answer: Answer) -> BrandpulseError:
        body = json_object(answer.body)
        errors = body.get("errors")
        first = errors[0] if isinstance(errors, list) and errors and isinstance(errors[0], dict) else {}
        words = [body.get("title"), body.get("detail"), first.get("message"), first.get("detail")]
        said = ": ".join(dict.fromkeys(word for word in words if isinstance(word, str) and word)) or "no reason given"
        reason = f"X answered {answer.status} ({said[:300]})"
        variable = self._settings.token_env
        if answer.status == 401:
            return SourceConfigError(f"{reason}; check that {variable} holds the Bearer token of the app")
        if answer.status == 402:
            cure = "buy credits in the X Developer Console; the source asks again in an hour"
            return SourceError(f"{reason}: no credit is left; {cure}", retry_after_seconds=NO_CREDIT_SECONDS)
        if answer.status in (403, 404):
            cure = "check in the X Developer Console that the app belongs to a pay-per-use project with credit"
            return SourceConfigError(f"{reason}; {cure}")
        if answer.status == 429:
            return self._limited(body, answer, reason)
        if answer.status == 400:
            cure = "backfill_minutes needs Enterprise access" if self._settings.backfill_minutes else ""
            return SourceConfigError(f"{reason}; {cure or 'check extra_terms and languages of this source'}")
        pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * math.ldexp(1, min(self.failures, 10)))
        self.failures += 1
        return SourceError(reason, retry_after_seconds=pause)

    def _limited(self, body: Mapping[str, Any], answer: Answer, reason: str) -> SourceError:
        issue = str(body.get("connection_issue") or "")
        if issue == "TooManyConnections" or body.get("title") == "ConnectionException":
            return TooManyConnectionsError(
                f"{reason}; another program reads the stream with this token, or an old connection is not closed yet",
                retry_after_seconds=LIMIT_PAUSE_SECONDS / 3,
            )
        if body.get("title") == "UsageCapExceeded":
            return SourceError(
                f"{reason}; raise the app's cap in the X Developer Console", retry_after_seconds=NO_CREDIT_SECONDS
            )
        pause = LIMIT_PAUSE_SECONDS * math.ldexp(1, min(self.failures, 4))
        self.failures += 1
        until = retry_after(answer.headers)
        return SourceError(reason, retry_after_seconds=pause if until is None else until + 1)

    def _url(self, path: str) -> str:
        return self._settings.api + path

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token.get_secret_value()}"}


def check_number(wanted: Sequence[Rule]) -> None:
    """Raises SourceConfigError for more rules than X allows."""
    if len(wanted) > MOST_RULES:
        raise SourceConfigError(
            f"the brands file needs {len(wanted)} rules of X, which allows {MOST_RULES}; use a brands file with fewer "
            "brands or words"
        )
