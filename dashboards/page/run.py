"""Entry point of the live page: `brandpulse dashboards page`."""

import asyncio
import logging
import signal
import sys

from aiohttp import web

from brandpulse.errors import ConfigError
from brandpulse.runtime import announced
from brandpulse.settings import Settings, load_settings
from dashboards.page.server import PageServer
from dashboards.page.store import PageStore, connect
from dashboards.settings import PageSettings

logger = logging.getLogger(__name__)


def main() -> int:
    """Serve until SIGTERM or SIGINT. Returns the process's exit code."""
    try:
        settings = load_settings(Settings)
        page = load_settings(PageSettings)
        client = connect(settings.redis_address())
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    try:
        asyncio.run(serve(settings, page, PageStore(client, settings.namespace)))
    except OSError as error:
        print(f"cannot listen on BRANDPULSE_PAGE_HOST={page.host} port {page.port}: {error}", file=sys.stderr)
        return 1
    finally:
        client.close()
    return 0


async def serve(settings: Settings, page: PageSettings, store: PageStore) -> None:
    """Serve *store* until a signal asks to stop. Raises OSError when the address is taken."""
    token = page.token.get_secret_value() if page.token is not None else None
    server = PageServer(store, token=token, max_open_pages=page.max_open_pages)
    # No access log: the address of a first visit holds the token.
    runner = web.AppRunner(server.app(), access_log=None, shutdown_timeout=3.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, page.host, page.port)
        await site.start()
        host, port = runner.addresses[0][:2]
        url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        with announced(settings.home, "page", url=url):
            logger.info("serving the live page", extra={"url": url})
            print(f"live page: {url}", flush=True)
            await _asked_to_stop()
    finally:
        await runner.cleanup()


async def _asked_to_stop() -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()


if __name__ == "__main__":
    sys.exit(main())
