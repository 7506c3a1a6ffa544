"""Start of the service."""

import asyncio
import socket

import pytest

from brandpulse.config.settings import load_settings
from brandpulse.errors import ConfigError
from model.serve.run import bind_socket
from model.serve.settings import ServeSettings


async def test_responses_do_not_wait_for_acknowledgements() -> None:
    no_delay = asyncio.get_running_loop().create_future()

    def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        no_delay.set_result(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    with bind_socket("127.0.0.1", 0) as listener:
        async with await asyncio.start_server(serve, sock=listener):
            _, writer = await asyncio.open_connection(*listener.getsockname())
            assert await no_delay != 0
            writer.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "[::1]"])
def test_all_forms_of_the_host_are_accepted(host: str) -> None:
    if ":" in host and not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    with bind_socket(host, 0) as listener:
        assert listener.getsockname()[1] > 0


def test_an_unavailable_address_is_reported() -> None:
    with pytest.raises(ConfigError, match=r"cannot listen on 203\.0\.113\.1:80 .*BRANDPULSE_SERVE_PORT"):
        bind_socket("203.0.113.1", 80)


@pytest.mark.parametrize(
    "variable", ["BRANDPULSE_SERVE_OVERLOAD_WAITING_TEXTS", "BRANDPULSE_SERVE_HURRY_WAITING_TEXTS"]
)
def test_overload_setting_is_read_by_its_new_and_its_deprecated_name(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "7")
    assert load_settings(ServeSettings).overload_waiting_texts == 7
