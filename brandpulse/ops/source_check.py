"""Checks of the live sources for the command line: whether each would work, and which periods are missing."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import aiohttp

from brandpulse.config.settings import Settings, load_settings
from brandpulse.errors import BrandpulseError, TransientError
from brandpulse.redis.client import connect
from ingest.settings import IngestSettings
from ingest.sources.brand_filter import BrandFilter
from ingest.sources.kinds import source_kinds
from ingest.sources.position_store import RedisPositionStore
from ingest.sources.service import source_context
from ingest.sources.source import SourceContext, SourceSettings
from ingest.sources.sources_file import load_sources
from ingest.sources.spending.ledger import Ledger, MemoryLedger, RedisLedger
from ingest.webhook.settings import WebhookConfig, load_webhook

CHECK_SECONDS = 40.0
"""The longest that one source is waited for."""


def check_sources() -> list[tuple[str, bool, str]]:
    """(name, whether it works, its answer or the fault) of each source, in the file's order. Raises ConfigError."""
    settings, ingest = load_settings(Settings), load_settings(IngestSettings)
    sources = load_sources(ingest.sources_file)
    webhook = _webhook_line(load_webhook(ingest.sources_file))
    budgets, ledger = _budgets(sources, settings)
    return webhook + budgets + asyncio.run(_check_all(sources, BrandFilter(settings.brands_file), ledger))


def _budgets(sources: list[SourceSettings], settings: Settings) -> tuple[list[tuple[str, bool, str]], Ledger]:
    """(the fault, if Redis does not answer; where sources with a budget book what they use up)."""
    if not any(source.enabled and getattr(source, "limit", None) is not None for source in sources):
        return [], MemoryLedger()
    ledger = RedisLedger(connect(settings.redis_address()), settings.namespace)
    try:
        ledger.spendings(datetime.now(UTC))
    except TransientError as error:
        cure = "start it with `brandpulse up`, or correct BRANDPULSE_REDIS_URL"
        fault = f"{error}; what was used today is unknown, and sources with a budget do not read; {cure}"
        return [("budgets", False, fault)], MemoryLedger()
    return [], ledger


def _webhook_line(webhook: WebhookConfig | None) -> list[tuple[str, bool, str]]:
    if webhook is None:
        return []
    settings = webhook.settings
    names = ", ".join(sender.name for sender in settings.senders)
    return [("webhook", True, f"POST /v1/posts at {settings.host}:{settings.port}; senders: {names}")]


async def _check_all(sources: list[SourceSettings], brands: BrandFilter, ledger: Ledger) -> list[tuple[str, bool, str]]:
    async with source_context(brands, asyncio.Event(), ledger=ledger) as context:
        return list(await asyncio.gather(*(_check(settings, context) for settings in sources)))


async def _check(settings: SourceSettings, context: SourceContext) -> tuple[str, bool, str]:
    if not settings.enabled:
        return settings.name, True, "not enabled"
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            return settings.name, True, await source_kinds()[settings.kind].create(settings).check(context)
    except TimeoutError:
        return settings.name, False, f"no answer within {CHECK_SECONDS:.0f} s; check the network and the address"
    except BrandpulseError as error:
        return settings.name, False, str(error)
    except (aiohttp.ClientError, OSError) as error:
        return settings.name, False, f"cannot connect: {error}; check the network, a proxy, and the address"


def read_gaps() -> list[dict[str, Any]]:
    """The gaps of all sources, newest first. Raises ConfigError, TransientError, StateError."""
    settings = load_settings(Settings)
    return [
        {
            "source": gap.source,
            "begin": gap.begin.isoformat(timespec="seconds"),
            "end": gap.end.isoformat(timespec="seconds"),
            "reason": gap.reason,
            "refilled": gap.refilled,
        }
        for gap in RedisPositionStore(connect(settings.redis_address()), settings.namespace).gaps()
    ]
