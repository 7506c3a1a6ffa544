"""Entry point of `brandpulse model serve`: binds, loads the model, listens, and drains on SIGTERM."""

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import uvicorn

from brandpulse.config.settings import Settings, load_settings
from brandpulse.errors import ConfigError
from brandpulse.runtime.logging_setup import set_up_logging
from brandpulse.runtime.service_registry import announced
from model.inference.score_cache import CachingScorer
from model.language_weights import LanguageModel, load_language_model
from model.serve.api_models import Limits
from model.serve.app import application
from model.serve.request_guard import GuardRules
from model.serve.service import Batching, Service
from model.serve.settings import ServeSettings
from model.spec.options import Engine, Precision
from model.text_scoring import Thresholds

if TYPE_CHECKING:
    from model.inference.scorer import Scorer

logger = logging.getLogger(__name__)


def main(*, engine: Engine, weights: Path | None, threads: int | None, precision: Precision) -> int:
    """Serves until SIGTERM or SIGINT; returns 0 after a clean stop. Raises ConfigError."""
    settings, serve = load_settings(Settings), load_settings(ServeSettings)
    set_up_logging(settings.log_level)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    # Bind before the model is loaded, which takes seconds, and listen afterwards: a used port is reported at once, and
    # no client connects to a server that cannot answer yet.
    with bind_socket(serve.host, serve.port) as listener, ExitStack() as until_stopped:
        overload = OverloadCheck(serve.overload_waiting_texts)
        model = load_language_model(
            engine, weights, threads, precision=precision, exit_policy=serve.tiers, overloaded=overload
        )
        scorer = model.scorer
        url = _url(serve.host, listener.getsockname()[1])
        service = build_service(scorer, serve, thresholds=model.default.thresholds, languages=model)
        overload.service = service

        def ready() -> None:
            until_stopped.enter_context(announced(settings.home, "serve", url=url))
            logger.info("model ready", extra={"url": url, "model": scorer.name, "version": scorer.version})

        server = DrainingServer(
            _config(service, settings, serve), service, drain_seconds=serve.drain_seconds, ready=ready
        )
        asyncio.run(server.serve(sockets=[listener]))
    return 0


def build_service(
    scorer: "Scorer", serve: ServeSettings, *, thresholds: Thresholds, languages: LanguageModel | None = None
) -> Service:
    """The service around *scorer* with the limits of *serve*."""
    return Service(
        scorer=CachingScorer(scorer, max_entries=serve.cached_texts) if serve.cached_texts else scorer,
        thresholds=thresholds,
        languages=languages,
        batching=Batching(
            texts=serve.max_batch_texts, wait_seconds=serve.max_batch_wait_seconds, waiting=serve.max_waiting_texts
        ),
        limits=Limits(
            texts=serve.max_texts,
            text_characters=serve.max_text_characters,
            targets=serve.max_targets,
            target_characters=serve.max_target_characters,
        ),
    )


@dataclass(slots=True)
class OverloadCheck:
    """Whether at least *min_waiting* texts are waiting; None: never. The scorer calls it in its thread."""

    min_waiting: int | None
    service: Service | None = None
    """None while the scorer is loaded."""

    def __call__(self) -> bool:
        return self.min_waiting is not None and self.service is not None and self.service.waiting >= self.min_waiting


class DrainingServer(uvicorn.Server):
    """Calls *ready* once it listens. On SIGTERM `/readyz` reports it; the port closes after *drain_seconds*."""

    def __init__(
        self, config: uvicorn.Config, service: Service, *, drain_seconds: float, ready: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._ready = ready
        self._service = service
        self._drain_seconds = drain_seconds

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Handles both signals. A second signal ends the wait; uvicorn's handler would kill the process."""
        again, self._service.draining = self._service.draining, True
        if again or sig == signal.SIGINT:
            self.force_exit = again and self.should_exit
            self.should_exit = True
            return
        logger.info("draining requests", extra={"seconds": self._drain_seconds})
        loop = asyncio.get_running_loop()
        loop.call_soon_threadsafe(loop.call_later, self._drain_seconds, self._close)

    def _close(self) -> None:
        self.should_exit = True


def _config(service: Service, settings: Settings, serve: ServeSettings) -> uvicorn.Config:
    token = None if serve.token is None else serve.token.get_secret_value()
    metrics = None if settings.metrics_token is None else settings.metrics_token.get_secret_value()
    rules = GuardRules(
        token=token,
        metrics_token=metrics,
        max_body_bytes=serve.max_body_bytes,
        body_timeout_seconds=serve.body_timeout_seconds,
    )
    return uvicorn.Config(
        application(service, rules),
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="none",
        limit_concurrency=serve.max_connections,
        timeout_graceful_shutdown=serve.grace_seconds,
    )


def bind_socket(host: str, port: int) -> socket.socket:
    """A TCP socket bound to *host* and *port*, not yet listening. Raises ConfigError if the address is unavailable."""
    try:
        family, *_, address = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)[0]
        # asyncio disables Nagle's algorithm only for IPPROTO_TCP; otherwise responses wait 40 ms for an ACK.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {host}:{port} ({error.strerror or os.strerror(error.errno or 0)}). "
            "Set BRANDPULSE_SERVE_PORT to another port, or to 0 for any free one"
        ) from error
    return listener


def _url(host: str, port: int) -> str:
    return f"http://{f'[{host}]' if ':' in host and not host.startswith('[') else host}:{port}"
