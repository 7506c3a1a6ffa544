"""`brandpulse bench languages`: accuracy of the language identification by language and length, its time and memory."""

import gzip
import json
import os
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, cast

from rich.table import Table

import model
from brandpulse.errors import ConfigError
from brandpulse.runtime.console import Console
from brandpulse.runtime.process_memory import resident_bytes
from brandpulse.text.languages import OTHER, LanguageIdentifier, evidence

GOLD_FILE = Path(model.__file__).parent / "gold" / "languages.jsonl"
"""Posts of our own in 34 languages, ten and more each."""
LONG = 30
"""Characters of words from which a text counts as long."""
SHORT = 12
BATCH = 512


@dataclass(slots=True)
class LanguageReport:
    """Results for the texts of one language and one class of lengths."""

    texts: int = 0
    right: int = 0
    wrong: Counter[str] = field(default_factory=Counter)
    """Language that was named instead -> texts."""

    @property
    def accuracy(self) -> float:
        return self.right / self.texts if self.texts else 1.0


Reports = dict[tuple[str, str], LanguageReport]
"""(language, class of lengths) -> results."""


def length_class(text: str) -> str:
    """By the characters of its words, without handles, links, hashtags and emoji."""
    characters = len(evidence(text))
    return f"{LONG}+" if characters >= LONG else f"{SHORT}-{LONG - 1}" if characters >= SHORT else f"<{SHORT}"


def labelled_texts(paths: Iterable[Path]) -> list[tuple[str, str]]:
    """(text, language) of JSON lines, plain or `.gz`; a row without `lang` is English. Raises ConfigError."""
    found: list[tuple[str, str]] = []
    for path in paths:
        number = 0
        try:
            with _open(path) as lines:
                for line in lines:
                    number += 1
                    row = json.loads(line)
                    found.append((str(row["text"]), str(row.get("lang", "en"))))
        except (OSError, EOFError, ValueError, KeyError, AttributeError, TypeError) as error:
            raise ConfigError(
                f'{path}, line {number}: expected JSON lines with "text" and "lang" ({error!r})'
            ) from None
    return found


def _open(path: Path) -> IO[bytes]:
    return cast("IO[bytes]", gzip.open(path)) if path.suffix == ".gz" else path.open("rb")


def evaluate_languages(identifier: LanguageIdentifier, texts: Sequence[tuple[str, str]]) -> Reports:
    """The results of *texts*, with their languages; the right answer for an unsupported language is `OTHER`."""
    reports: Reports = {}
    answers = identifier.identify([text for text, _ in texts])
    for (text, language), answer in zip(texts, answers, strict=True):
        report = reports.setdefault((language, length_class(text)), LanguageReport())
        report.texts += 1
        if answer == (language if language in identifier.languages else OTHER):
            report.right += 1
        else:
            report.wrong[answer] += 1
    return reports


def total(reports: Reports, wanted: str) -> LanguageReport:
    """All languages of the class of lengths *wanted*."""
    whole = LanguageReport()
    for (_, length), report in reports.items():
        if length == wanted:
            whole.texts += report.texts
            whole.right += report.right
            whole.wrong.update(report.wrong)
    return whole


def run(paths: Sequence[Path], *, languages: Sequence[str], json_out: Path | None = None) -> None:
    """Print the table, and the cost. Raises ConfigError."""
    texts = labelled_texts(paths)
    before, started = resident_bytes(os.getpid()), time.process_time()
    identifier = LanguageIdentifier(languages)
    identifier.load()
    loading, memory = time.process_time() - started, resident_bytes(os.getpid()) - before
    reports = evaluate_languages(identifier, texts)
    milliseconds = {
        "all texts": _milliseconds(identifier, [text for text, _ in texts]),
        "English texts": _milliseconds(identifier, [text for text, language in texts if language == "en"]),
    }
    lengths = (f"{LONG}+", f"{SHORT}-{LONG - 1}", f"<{SHORT}")
    rows = {"all": [total(reports, length) for length in lengths]} | {
        language: [reports.get((language, length), LanguageReport()) for length in lengths]
        for language in sorted({language for language, _ in reports})
    }
    console = Console()
    table = Table("language", *[f"{length} characters" for length in lengths], f"wrong of {LONG}+")
    for name, found in rows.items():
        shown = [f"{one.accuracy:.3f} of {one.texts:,}" if one.texts else "" for one in found]
        table.add_row(name, *shown, ", ".join(f"{wrong} {posts}" for wrong, posts in found[0].wrong.most_common(3)))
    console.print(table)
    times = ", ".join(f"{name} {value:.0f} ms" for name, value in milliseconds.items() if value)
    console.print(f"CPU time for 1,000 texts in batches of {BATCH}: {times}.")
    console.print(f"Loading py3langid takes {loading:.1f} s of CPU time and {memory / 1e6:.0f} MB.")
    if json_out is not None:
        figures = {
            f"{name} {length}": {"texts": one.texts, "accuracy": one.accuracy, "wrong": dict(one.wrong)}
            for name, found in rows.items()
            for length, one in zip(lengths, found, strict=True)
        }
        cost = {"milliseconds": milliseconds, "loading_seconds": loading, "memory_bytes": memory}
        json_out.write_text(json.dumps({"languages": list(languages), "accuracy": figures, "cost": cost}, indent=1))


def _milliseconds(identifier: LanguageIdentifier, texts: Sequence[str]) -> float:
    """CPU time for 1,000 texts."""
    started = time.process_time()
    for start in range(0, len(texts), BATCH):
        identifier.identify(texts[start : start + BATCH])
    return (time.process_time() - started) * 1e6 / len(texts) if texts else 0.0
