"""The running processes and their addresses: one small JSON file per process under BRANDPULSE_HOME, and the stack's."""

import contextlib
import getpass
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from brandpulse.errors import ConfigError

ADDRESSES = "stack.json"


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Replace *path* atomically: a reader sees the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as file:
        json.dump(content, file, indent=2)
        file.write("\n")
    Path(file.name).replace(path)


def read_addresses(home: Path) -> dict[str, str]:
    """The addresses that `up` wrote under *home*; empty if nothing was started. Raises ConfigError if damaged."""
    path = home / ADDRESSES
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigError(
            f"cannot read {path}: {error.strerror}. BRANDPULSE_HOME={home} must be a folder that the user "
            f"{user_name() or os.getuid()} may enter; set it to another folder, or fix its owner and permissions"
        ) from error
    except ValueError as error:
        raise ConfigError(f"{path} is damaged: it is not JSON. Delete it and run `brandpulse up` again") from error
    return {str(name): str(value) for name, value in content.items()}


@contextlib.contextmanager
def announced(home: Path, service: str, **facts: Any) -> Iterator[Path]:
    """While the context is open, `<home>/run/<service>-<pid>.json` holds this process's address for other commands."""
    path = home / "run" / f"{service}-{os.getpid()}.json"
    write_json(path, {"service": service, "pid": os.getpid(), **facts})
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def running(home: Path, service: str) -> list[dict[str, Any]]:
    """The facts that each live process of *service* announced under *home*; files of dead ones are skipped."""
    found = []
    for path in sorted((home / "run").glob(f"{service}-*.json")):
        try:
            facts = json.loads(path.read_text(encoding="utf-8"))
            os.kill(int(facts["pid"]), 0)
        except (OSError, ValueError, KeyError, ProcessLookupError):
            continue
        found.append(facts)
    return found


def user_name() -> str:
    """The user who runs this command, for a record; empty if the system has no name."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ""
