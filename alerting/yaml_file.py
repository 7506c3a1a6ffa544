"""A YAML file of ours, and how a wrong one is told: file, line, key, value, and a right one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from brandpulse.errors import ConfigError

SHOWN_VALUE = 80
SECRET_WORDS = ("key", "secret", "password", "token")
"""Values under keys that contain one of these are not repeated in an error."""


Stamp = tuple[int, int, int, int]


def stamp_of(path: Path) -> Stamp | None:
    """What tells one content of a file from the next; None where there is none.

    A mounted ConfigMap changes by a link, so the inode counts too.
    """
    try:
        seen = path.stat()
    except OSError:
        return None
    return seen.st_mtime_ns, seen.st_size, seen.st_ino, seen.st_dev


@dataclass(frozen=True, slots=True)
class YamlFile:
    """What was read, and where each part of it stands."""

    path: Path
    content: Any
    root: yaml.Node | None

    def line_of(self, place: Sequence[str | int]) -> int | None:
        """The line of the deepest part of *place* that the file has, from 1."""
        node, line = self.root, None
        for part in place:
            if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
                node = node.value[part]
            elif isinstance(node, yaml.MappingNode):
                found = next(((key, value) for key, value in node.value if key.value == part), None)
                if found is None:
                    continue
                line, node = found[0].start_mark.line + 1, found[1]
                continue
            else:
                continue
            line = node.start_mark.line + 1
        return line

    def explain(
        self,
        error: ValidationError,
        *,
        name: Callable[[Sequence[str | int]], str] = lambda _: "",
        under: Sequence[str | int] = (),
    ) -> str:
        """One line for each problem. *name* puts a word to a place, such as the rule's own name; the error's places
        lie *under* one of the file."""
        lines = []
        for problem in error.errors():
            place = self._in_file(problem["loc"], under)
            line = self.line_of((*under, *place))
            at = str(self.path) if line is None else f"{self.path}:{line}"
            key = ".".join(str(part) for part in place) or "the file"
            message = problem["msg"].removeprefix("Value error, ")
            lines.append(f"  {at}: {key}{name(place)}: {message}{_shown(problem, key)}")
        return "\n".join(lines)

    def _in_file(self, place: Sequence[str | int], under: Sequence[str | int]) -> list[str | int]:
        """*place* without the kind that a tagged union puts in between."""
        shown: list[str | int] = []
        content = self.content
        for part in under:
            content = content[part]
        for part in place:
            if isinstance(content, dict) and part not in content and part == content.get("kind"):
                continue
            shown.append(part)
            try:
                content = content[part]
            except (KeyError, IndexError, TypeError):
                content = None
        return shown


def _shown(problem: Any, key: str) -> str:
    value = problem["input"]
    hidden = any(word in key.lower() for word in SECRET_WORDS) or isinstance(value, (dict, list))
    # What stands under an unknown key may be a secret in the wrong place.
    return "" if hidden or problem["type"] in ("missing", "extra_forbidden") else f", got {str(value)[:SHOWN_VALUE]!r}"


def read_yaml(path: Path, *, what: str, variable: str, example: str) -> YamlFile:
    """The file at *path*, called *what* in errors. Raises ConfigError, which names *variable* and shows *example*."""
    try:
        text = path.read_text(encoding="utf-8")
        return YamlFile(path, yaml.safe_load(text), yaml.compose(text, Loader=yaml.SafeLoader))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(
            f"cannot read the {what} {path}: {reason}. Name one with {variable}, for example:\n{example}"
        ) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        at = path if mark is None else f"{path}:{mark.line + 1}"
        reason = getattr(error, "problem", None) or str(error)
        raise ConfigError(f"the {what} is not YAML: {at}: {reason}\nA right one:\n{example}") from error
