"""Keeps standard input in a file, because a file is read several times."""

import contextlib
import fcntl
import hashlib
import io
import os
import select
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, cast

from ingest.files.forms.opening import FormError

_BLOCK_BYTES = 2**20
_LOOK_SECONDS = 0.2
"""How long a stop of the run may wait."""


@contextlib.contextmanager
def stored(stream: BinaryIO, folder: Path, should_stop: Callable[[], bool]) -> Iterator[Path | None]:
    """The content of *stream* as a file in *folder*, which is deleted afterwards. None if it was stopped before.

    Its name is the content's digest and its time is fixed, so that the checkpoint of a stopped run fits if the same
    content is piped again. Files of killed runs are deleted. Raises FormError.
    """
    with contextlib.ExitStack() as stack:
        try:
            path = _copied(stream, folder, stack, should_stop)
        except FileExistsError:
            raise FormError("is the same content that another `brandpulse ingest file -` is sending now") from None
        except OSError as error:
            raise FormError(
                f"cannot be kept in {folder}: {error.strerror or error}. Set BRANDPULSE_HOME to a directory with space"
            ) from error
        yield path


def _copied(
    stream: BinaryIO, folder: Path, stack: contextlib.ExitStack, should_stop: Callable[[], bool]
) -> Path | None:
    folder.mkdir(parents=True, exist_ok=True)
    _delete_left(folder)
    file = stack.enter_context(tempfile.NamedTemporaryFile(dir=folder, delete=False))  # noqa: SIM115
    path = Path(file.name)
    copied = stack.enter_context(contextlib.ExitStack())
    copied.callback(path.unlink, missing_ok=True)
    fcntl.flock(file, fcntl.LOCK_EX)
    digest = hashlib.sha256()
    for block in _blocks(stream, should_stop):
        digest.update(block)
        file.write(block)
    if should_stop():
        return None
    file.flush()
    named = folder / digest.hexdigest()[:24]
    named.touch(exist_ok=False)
    path.replace(named)
    copied.pop_all()
    stack.callback(named.unlink, missing_ok=True)
    os.utime(named, (0, 0))
    return named


def _blocks(stream: BinaryIO, should_stop: Callable[[], bool]) -> Iterator[bytes]:
    """The content of *stream* until its end or a stop."""
    # Python repeats a read that a signal interrupts, so a read starts only when there is something to read.
    read = cast("io.BufferedReader", stream).read1
    while not should_stop():
        if select.select([stream], [], [], _LOOK_SECONDS)[0]:
            if not (block := read(_BLOCK_BYTES)):
                return
            yield block


def _delete_left(folder: Path) -> None:
    for path in folder.iterdir():
        with contextlib.suppress(OSError), path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink(missing_ok=True)
