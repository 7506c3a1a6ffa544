"""Entry point of the live page: `brandpulse dashboards page`."""

import asyncio
import logging

from aiohttp import web

from brandpulse.config.settings import Settings, load_settings
from brandpulse.redis.client import check_connection
from brandpulse.runtime.lifecycle import cannot_listen, stop_event
from brandpulse.runtime.logging_setup import set_up_logging
from brandpulse.runtime.service_registry import announced
from dashboards.page.redis_reader import PageStore, page_client
from dashboards.page.server import PageServer
from dashboards.settings import PageSettings

logger = logging.getLogger(__name__)


def main() -> int:
    """Serve until SIGTERM or SIGINT; returns 0 after a clean stop. Raises ConfigError."""
    settings, page = load_settings(Settings), load_settings(PageSettings)
    set_up_logging(settings.log_level)
    client = page_client(settings.redis_address())
    check_connection(client)
    try:
        asyncio.run(serve(settings, page, PageStore(client, settings.namespace)))
    finally:
        client.close()
    return 0


async def serve(settings: Settings, page: PageSettings, store: PageStore) -> None:
    """Serve *store* until a stop signal. Raises ConfigError when the address is in use."""
    token = page.token.get_secret_value() if page.token is not None else None
    server = PageServer(store, token=token, operators=page.operators(), max_open_pages=page.max_open_pages)
    # No access log: the URL of a first visit contains the token.
    runner = web.AppRunner(server.app(), access_log=None, shutdown_timeout=3.0)
    await runner.setup()
    try:
        url = await _listen(runner, page.host, page.port)
        with announced(settings.home, "page", url=url):
            logger.info("page ready", extra={"url": url})
            await stop_event().wait()
    finally:
        await runner.cleanup()


async def _listen(runner: web.AppRunner, host: str, port: int) -> str:
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        raise cannot_listen(host, port, error, variable="BRANDPULSE_PAGE_PORT") from error
    bound_port = runner.addresses[0][1]
    return f"http://{f'[{host}]' if ':' in host else host}:{bound_port}"
