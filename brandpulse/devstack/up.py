"""`brandpulse up`: starts the whole stack and keeps it running until SIGTERM or Ctrl-C."""

import shutil
from collections.abc import Callable
from pathlib import Path

from brandpulse.config.brand_warnings import brand_warnings
from brandpulse.config.brands_file import load_brands_file
from brandpulse.config.settings import Settings, load_settings
from brandpulse.devstack.embedded_servers import EmbeddedBroker
from brandpulse.devstack.supervisor import Broker, Stack, refuse_second
from brandpulse.errors import ConfigError
from brandpulse.runtime.child_process import port_answers
from brandpulse.runtime.console import Console, styled
from brandpulse.runtime.lifecycle import stop_asked
from ingest.settings import IngestSettings
from ingest.sources.sources_file import load_sources
from ingest.webhook.settings import load_webhook

CHECK_SECONDS = 0.5


def run_up(*, workers: int, page_port: int, broker: str | None = None, kafka_port: int | None = None) -> int:
    """Start the stack and watch it until SIGTERM or SIGINT; returns exit code 0. Raises ConfigError, StartError."""
    settings, ingest = load_settings(Settings), load_settings(IngestSettings)
    # A file that a variable names must exist; the default one is optional.
    named = "sources_file" in ingest.model_fields_set
    sources = ingest.sources_file if named or ingest.sources_file.exists() else None
    return run_stack(
        settings, workers=workers, page_port=page_port, broker=broker, kafka_port=kafka_port, sources=sources
    )


def run_stack(
    settings: Settings,
    *,
    workers: int,
    page_port: int,
    broker: str | None = None,
    kafka_port: int | None = None,
    sources: Path | None = None,
    ready: Callable[[Stack], None] = lambda _: None,
    tick: Callable[[], None] = lambda: None,
) -> int:
    """Run the stack with the live *sources* of a file, if one is given, until SIGTERM or SIGINT; returns 0.

    *ready* is called once when all services listen, *tick* every half second. Raises ConfigError, StartError.
    """
    home = settings.home
    file = load_brands_file(settings.brands_file)
    if sources is not None:
        load_sources(sources)
        load_webhook(sources)
    refuse_second(home)
    kind = choose_broker(home, broker)
    if page_port and port_answers(page_port):
        raise ConfigError(f"port {page_port} is in use. Choose another with --page-port, or 0 for any free one")
    console = Console(stderr=True, soft_wrap=True)
    shutil.rmtree(home / "run", ignore_errors=True)
    for warning in brand_warnings(file):
        console.print(f"warning: {settings.brands_file}: {warning}; {warning.remedy}")
    stack = Stack(
        home,
        env={
            "BRANDPULSE_BRANDS_FILE": str(settings.brands_file.resolve()),
            "BRANDPULSE_PAGE_PORT": str(page_port),
            **({"BRANDPULSE_SOURCES_FILE": str(sources.resolve())} if sources is not None else {}),
        },
        report=console.print,
        start_broker=_broker_starter(home, kind, settings.kafka_jars, kafka_port),
    )
    with stop_asked() as stop:
        try:
            stack.start_servers()
            start_services(stack, workers=workers)
            if sources is not None:
                stack.start_service("ingest", "ingest", "run")
                stack.wait_announced("ingest")
                console.print(styled(f"sources {sources}   ", ("`brandpulse ingest check` names a fault", "dim")))
            number = "1 worker" if workers == 1 else f"{workers} workers"
            running = f": {number}. Send posts with `brandpulse ingest file PATH`. Ctrl-C stops."
            console.print(styled(("up", "bold green"), running))
            ready(stack)
            while not stop.wait(CHECK_SECONDS):
                stack.restart_ended()
                tick()
        finally:
            console.print("stopping")
            stack.stop()
    return 0


def start_services(stack: Stack, *, workers: int) -> None:
    """Start workers, alerter and page; return when all of them listen. Raises StartError."""
    for number in range(1, workers + 1):
        stack.start_service(f"worker-{number}", "worker")
    stack.start_service("alerter", "alerter")
    stack.start_service("page", "dashboards", "page")
    if workers:
        stack.wait_announced("worker", workers)
    stack.wait_announced("alerter")
    [page_url, *_] = stack.wait_announced("page")
    stack.announce(page_url=page_url)
    Console(stderr=True, soft_wrap=True).print(styled("page    ", (page_url, "bold")))


def choose_broker(home: Path, requested: str | None) -> str:
    """*requested* (embedded, kafka), else the broker that *home* was used with, else embedded.

    Raises ConfigError for the embedded broker on a folder of Apache Kafka: afterwards Kafka's log would look like
    another one, and all its posts would be counted again.
    """
    has_kafka = (home / "kafka" / "data").exists()
    if requested == "embedded" and has_kafka:
        raise ConfigError(
            f"the posts under {home} are in Apache Kafka; the embedded broker would start without them. Start with "
            "`brandpulse up --broker kafka`, or set BRANDPULSE_HOME to another folder"
        )
    return requested or ("kafka" if has_kafka else "embedded")


def _broker_starter(home: Path, kind: str, jars: Path, kafka_port: int | None) -> Callable[[int | None], Broker]:
    if kind == "embedded":
        return lambda port: EmbeddedBroker(home, port=port)
    from brandpulse.devstack.apache_kafka_node import ApacheKafkaBroker

    return lambda port: ApacheKafkaBroker(home, jars=jars, port=port or kafka_port)
