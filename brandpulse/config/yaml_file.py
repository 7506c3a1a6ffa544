"""Reads YAML files of the configuration. Errors give file, line, key, value and a right example."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from brandpulse.config.validation import sentence
from brandpulse.errors import ConfigError

SHOWN_VALUE = 80
SECRET_WORDS = ("key", "secret", "password", "token")
"""Values under keys that contain one of these are not repeated in an error."""


Stamp = tuple[int, int, int, int]


def stamp_of(path: Path) -> Stamp | None:
    """Changes when the file's content may have changed; None if there is no file.

    A mounted ConfigMap changes by a link, so the inode is part of it.
    """
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino, stat.st_dev


@dataclass(frozen=True, slots=True)
class YamlFile:
    """The content of a file, and the line of each part."""

    path: Path
    content: Any
    root: yaml.Node | None

    def line_of(self, place: Sequence[str | int]) -> int | None:
        """The line (from 1) of the deepest part of *place* that exists in the file."""
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
        """One line for each problem. *name* describes a place, such as the rule's name. The error's places are relative
        to *under*."""
        lines = []
        for problem in error.errors():
            place = self._in_file(problem["loc"], under)
            line = self.line_of((*under, *place))
            at = str(self.path) if line is None else f"{self.path}:{line}"
            key = ".".join(str(part) for part in place) or "the file"
            lines.append(f"  {at}: {key}{name(place)}: {sentence(problem)}{_shown(problem, key)}")
        return "\n".join(lines)

    def _in_file(self, place: Sequence[str | int], under: Sequence[str | int]) -> list[str | int]:
        """*place* without the kind that pydantic inserts for a tagged union."""
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
    # The value of an unknown key may be a secret in the wrong place.
    unhelpful = value is None or problem["type"] in ("missing", "extra_forbidden")
    return "" if hidden or unhelpful else f", got {str(value)[:SHOWN_VALUE]!r}"


class _UniqueKeyLoader(yaml.SafeLoader):
    """SafeLoader that refuses a duplicate key; the plain one silently keeps the last value."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        lines: dict[Any, int] = {}
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                continue
            name, line = key.value if isinstance(key, yaml.ScalarNode) else None, key.start_mark.line + 1
            if name is not None and name in lines:
                raise yaml.constructor.ConstructorError(
                    problem=f"{name!r} is written twice, first in line {lines[name]}. Join both under one {name!r}",
                    problem_mark=key.start_mark,
                )
            lines[name] = line
        return super().construct_mapping(node, deep)


_YAML_SENTENCES = (
    ("found character '\\t'", "a tab where YAML requires spaces"),
    ("could not find expected ':'", "a key has no colon after it, or a text spans two lines without quotes"),
    ("mapping values are not allowed", "a second colon in one line: put a text that holds `: ` in quotes"),
    ("expected ',' or ']'", "a list that begins with [ has no comma, or no ] at its end"),
    ("expected ',' or '}'", "fields that begin with { have no comma, or no } at their end"),
    ("expected <block end>", "the indentation of this line does not match the lines above it"),
    ("expected the node content", "a value is missing or a bracket is not closed"),
    ("while scanning a quoted scalar", "a quotation mark is not closed"),
    ("found unexpected end of stream", "a quotation mark is not closed"),
    ("found undefined alias", "`*` begins a reference to a value that does not exist: put a text with * in quotes"),
    ("expected alphabetic or numeric", "`*` or `&` begins a reference: put such a text in quotes"),
    ("found character '@'", "a text that begins with @ needs quotes"),
    ("found character '%'", "a text that begins with % needs quotes"),
    ("found character '`'", "a text that begins with ` needs quotes"),
    ("found unknown escape", "a backslash in double quotes: write \\\\, or use single quotes"),
    ("special characters are not allowed", "the file contains a control character"),
    ("could not determine a constructor", "tags (`!name`) are not allowed"),
    ("found a tab", "a tab where YAML requires spaces"),
    ("expected a single document", "`---` begins a second document; only one is allowed"),
    ("found unhashable key", "a list or a group of fields cannot be a key: put a text with [ or { in quotes"),
    ("found invalid", "a special character is used wrongly: put the text in quotes"),
)


def load_yaml(text: str) -> Any:
    """As `yaml.safe_load`, but refuses a duplicate key. Raises yaml.YAMLError, ValueError."""
    return yaml.load(text, Loader=_UniqueKeyLoader)  # noqa: S506 - a SafeLoader


def yaml_reason(error: yaml.YAMLError) -> str:
    """The error in plain words: `line 3: a tab where YAML requires spaces`."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = str(getattr(error, "problem", None) or getattr(error, "reason", None) or "")
    context = str(getattr(error, "context", None) or "")
    reason = next((words for part, words in _YAML_SENTENCES if part in problem or part in context), problem)
    line = "" if mark is None else f"line {mark.line + 1}: "
    return f"{line}{reason or 'it cannot be read'}"


def read_yaml(path: Path, *, what: str, variable: str, example: str) -> YamlFile:
    """The file at *path*, called *what* in errors. Raises ConfigError, which names *variable* and shows *example*."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(
            f"cannot read the {what} {path}: {reason}. Name one with {variable}, for example:\n{example}"
        ) from error
    try:
        return YamlFile(path, load_yaml(text), yaml.compose(text, Loader=_UniqueKeyLoader))
    except yaml.YAMLError as error:
        reason = yaml_reason(error)
        raise ConfigError(f"the {what} {path} is not YAML: {reason}\nFor example:\n{example}") from error
    except (ValueError, RecursionError) as error:
        # A date such as 2026-13-45, or ten thousand brackets.
        raise ConfigError(f"the {what} {path} is not YAML: {error}\nFor example:\n{example}") from error
