"""A TCP proxy between a client and its server: cuts connections, slows them down. One thread per direction."""

import contextlib
import socket
import threading
import time

from brandpulse.runtime.child_process import free_port
from tests.support.patience import patience

CHUNK = 65_536


class Proxy:
    """Listens on `port`; *target_port* is where it goes. `delay_seconds` holds up each piece of each direction."""

    def __init__(self, target_port: int, *, port: int | None = None) -> None:
        self.port = port or free_port()
        self.delay_seconds = 0.0
        self._target_port = target_port
        self._sockets: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> int:
        """Close every connection there is; how many sockets that were."""
        with self._lock:
            gone, self._sockets = self._sockets, set()
        for one in gone:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        return len(gone)

    def close(self) -> None:
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._target_port), timeout=patience(5))
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            for one in (client, server):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._sockets |= {client, server}
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(CHUNK):
                if self.delay_seconds:
                    time.sleep(self.delay_seconds)
                sink.sendall(piece)
        with self._lock:
            self._sockets -= {source, sink}
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
