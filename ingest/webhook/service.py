"""The webhook receiver of a process: listens as the sources file says, and follows its changes."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

from aiohttp import web

from brandpulse.config.yaml_file import stamp_of
from brandpulse.errors import ConfigError
from brandpulse.runtime.backoff import pause
from brandpulse.runtime.lifecycle import cannot_listen
from brandpulse.runtime.metrics import Telemetry
from ingest.sources.delivery import PostDelivery
from ingest.webhook.receiver import ANSWER_SECONDS, DELIVERY_SECONDS, PATH, Receiver
from ingest.webhook.settings import WebhookConfig, load_webhook

log = logging.getLogger(__name__)

RELOAD_SECONDS = 2.0
STOP_SECONDS = ANSWER_SECONDS + 2.0
"""How long open requests may go on after a stop."""
MOST_HEADER_BYTES = 16_384


class Listener:
    """One listening port. `close` refuses new connections and lets open requests end."""

    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver
        # Signatures are over the bytes as sent, and a small compressed body can be a huge one.
        self._runner = web.AppRunner(
            receiver.app(),
            shutdown_timeout=1.0,
            access_log=None,
            auto_decompress=False,
            lingering_time=2.0,
            max_field_size=MOST_HEADER_BYTES,
        )
        self._site: web.TCPSite | None = None
        self.url = ""

    async def open(self, host: str, port: int) -> None:
        """Raises ConfigError if the port cannot be had."""
        await self._runner.setup()
        try:
            self._site = web.TCPSite(self._runner, host, port)
            await self._site.start()
        except OSError as error:
            await self._runner.cleanup()
            raise cannot_listen(host, port, error, variable="`webhook.port` in the sources file") from error
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{self._runner.addresses[0][1]}{PATH}"

    async def close(self) -> None:
        # aiohttp's own shutdown ignores the rest of a body that is still arriving.
        if self._site is not None:
            await self._site.stop()
        self.receiver.stopping = True
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.receiver.idle.wait(), STOP_SECONDS)
        await self._runner.cleanup()


class WebhookService:
    """The receiver of the sources file at *path*, if it has one."""

    def __init__(self, path: Path, *, bootstrap_servers: str, topic: str, telemetry: Telemetry) -> None:
        self._path = path
        self._telemetry = telemetry
        # A producer of its own: a flood of one kind cannot fill the queue of the other, and a sender waits for seconds,
        # while a live source can wait for a minute.
        self._new_delivery: Callable[[], PostDelivery] = lambda: PostDelivery(
            bootstrap_servers, topic, timeout_seconds=DELIVERY_SECONDS
        )
        self._delivery: PostDelivery | None = None
        self._config: WebhookConfig | None = None
        self._listener: Listener | None = None

    @contextlib.asynccontextmanager
    async def running(self, stop: asyncio.Event) -> AsyncIterator[None]:
        """Listens until *stop*. Raises ConfigError if the file is wrong, or the port cannot be had."""
        stamp = stamp_of(self._path)
        await self._apply(load_webhook(self._path))
        task = asyncio.create_task(self._follow(stop, stamp), name="webhook")
        try:
            yield
        finally:
            if not stop.is_set():  # the process ends for another reason
                task.cancel()
            await asyncio.wait({task})
            await self._close()
        if not task.cancelled():
            task.result()

    def state(self) -> Mapping[str, str] | None:
        """What /readyz shows: `listening`, or `failing` while the broker does not confirm posts."""
        if self._listener is None:
            return None
        status = "failing" if self._listener.receiver.failing else "listening"
        return {"status": status, "url": self._listener.url}

    async def _follow(self, stop: asyncio.Event, stamp: object) -> None:
        while not stop.is_set():
            await pause(stop, RELOAD_SECONDS)
            if stop.is_set() or (now := stamp_of(self._path)) == stamp:
                continue
            stamp = now
            try:
                await self._apply(load_webhook(self._path))
            except ConfigError as error:
                log.warning("webhook settings invalid: the receiver before goes on", extra={"reason": str(error)})
        await self._close_listener()

    async def _apply(self, config: WebhookConfig | None) -> None:
        before, listener = self._config, self._listener
        if config == before:
            return
        if config is None:
            await self._close_listener()
        elif listener is not None and before is not None and _address(config) == _address(before):
            listener.receiver.configure(config)
            log.info("webhook settings loaded", extra={"senders": len(config.settings.senders)})
        else:
            await self._listen(config)
        self._config = config

    async def _listen(self, config: WebhookConfig) -> None:
        """Opens the new port before it closes the one before."""
        if self._delivery is None:
            self._delivery = self._new_delivery()
        listener = Listener(Receiver(config, self._delivery, self._telemetry))
        await listener.open(*_address(config))
        await self._close_listener()
        self._listener = listener
        log.info("webhook listening", extra={"url": listener.url, "senders": len(config.settings.senders)})

    async def _close_listener(self) -> None:
        if self._listener is not None:
            listener, self._listener = self._listener, None
            await listener.close()
            log.info("webhook stopped", extra={"url": listener.url})

    async def _close(self) -> None:
        await self._close_listener()
        if self._delivery is not None and (left := await self._delivery.close(DELIVERY_SECONDS)):
            log.warning("webhook posts unconfirmed at the stop: their senders had no 200", extra={"posts": left})


def _address(config: WebhookConfig) -> tuple[str, int]:
    return config.settings.host, config.settings.port
