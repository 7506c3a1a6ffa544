"""Keeps standard input in a file, because a file is read several times."""

import contextlib
import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ingest.files.forms.opening import FormError

_BLOCK_BYTES = 2**20


@contextlib.contextmanager
def stored(stream: BinaryIO, folder: Path) -> Iterator[Path]:
    """The content of *stream* as a file in *folder*, which is deleted afterwards. Raises FormError.

    Its name is the content's digest and its time is fixed, so that the checkpoint of a stopped run fits if the same
    content is piped again. Files of killed runs are deleted.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _delete_left(folder)
        with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            path = Path(file.name)
            try:
                digest = hashlib.sha256()
                while block := stream.read(_BLOCK_BYTES):
                    digest.update(block)
                    file.write(block)
                file.flush()
                named = folder / digest.hexdigest()[:24]
                path = path.replace(named)
                os.utime(path, (0, 0))
                yield path
            finally:
                path.unlink(missing_ok=True)
    except OSError as error:
        raise FormError(
            f"cannot be kept in {folder}: {error.strerror or error}. Set BRANDPULSE_HOME to a directory with space"
        ) from error


def _delete_left(folder: Path) -> None:
    for path in folder.iterdir():
        with contextlib.suppress(OSError), path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink(missing_ok=True)
