"""Texts that people labelled. The label of a post is found by its text, without handles and brand names."""

import gzip
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from brandpulse.config.brands_file import Brand
from brandpulse.errors import ConfigError

SENTIMENTS = ("neg", "neu", "pos")
EXAMPLE = '{"text": "They lost my bag again", "sentiment": "neg"}'


class LabelledTexts:
    """Whether people labelled a text as negative. A text with different labels is unknown."""

    def __init__(self, rows: Iterable[tuple[str, bool]], brands: Sequence[Brand]) -> None:
        terms = {term for brand in brands for term in (brand.name, *brand.terms, *brand.handles, *brand.hashtags)}
        named = "|".join(re.escape(term) for term in sorted(terms, key=len, reverse=True))
        self._ignored = re.compile(rf"(?:@\w+|\brt\b|(?<!\w)(?:{named})(?!\w)|\W)+", re.IGNORECASE)
        self._negative: dict[str, bool | None] = {}
        for text, negative in rows:
            plain = self._plain(text)
            self._negative[plain] = negative if self._negative.get(plain, negative) == negative else None

    def is_negative(self, text: str) -> bool | None:
        """None if the text has no label."""
        return self._negative.get(self._plain(text))

    def _plain(self, text: str) -> str:
        return self._ignored.sub(" ", text).strip().casefold()


def read_labelled_texts(paths: Sequence[Path], brands: Sequence[Brand]) -> LabelledTexts:
    """Reads JSON lines with `text` and `sentiment`, plain or `.gz`. Raises ConfigError with line, field and value."""
    return LabelledTexts([row for path in paths for row in _rows(path)], brands)


def _rows(path: Path) -> Iterable[tuple[str, bool]]:
    try:
        body = path.read_bytes()
        lines = (gzip.decompress(body) if path.suffix == ".gz" else body).decode("utf-8").splitlines()
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the labelled texts of {path}: {error}") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise ConfigError(f"{path}:{number} is not JSON: {error}") from error
        row = row if isinstance(row, dict) else {}
        text, sentiment = row.get("text"), row.get("sentiment")
        if not isinstance(text, str) or sentiment not in SENTIMENTS:
            field, value = ("text", text) if not isinstance(text, str) else ("sentiment", sentiment)
            raise ConfigError(
                f"{path}:{number}: {field}: {value!r} is not one of {', '.join(SENTIMENTS)}"
                if field == "sentiment"
                else f"{path}:{number}: {field}: {value!r} is not a text. A valid line:\n{EXAMPLE}"
            )
        yield text, sentiment == "neg"
