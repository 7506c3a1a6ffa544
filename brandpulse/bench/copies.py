"""`brandpulse bench copies`: recall and false merges of near copies, on copies generated from the shipped texts.

A copy is a shipped text with as many edits as leave 90 % of its letters or of its words. A false merge is a text that
joins the group of another shipped text, with which it shares less than that. Shipped texts that are near copies of an
earlier one are left out of the recall: their copies have two originals.
"""

import gzip
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rich.table import Table

import model
from brandpulse import sample
from brandpulse.runtime.console import Console
from brandpulse.text.near_copies import LEAST_LETTERS, CopyIndex, similarity
from brandpulse.text.near_duplicates import normal_form, normal_words

SIMILAR = 0.9
SEED = 20_261_130
MOST_TRIES = 200
_ALPHABET = "abcdefghijklmnopqrstuvwxyz"


@dataclass(slots=True)
class CopyReport:
    """Results over all texts."""

    copies: Counter[str] = field(default_factory=Counter)
    """Kind of edit -> generated copies."""
    found: Counter[str] = field(default_factory=Counter)
    """Kind of edit -> copies that joined the group of their text."""
    originals: int = 0
    """Shipped texts that are no copy of an earlier one."""
    texts: int = 0
    """Shipped texts and generated copies."""
    false_merges: int = 0
    microseconds: float = 0.0
    """CPU time to add one text, normal form included."""

    @property
    def recall(self) -> float:
        return self.found.total() / self.copies.total() if self.copies else 1.0

    @property
    def false_share(self) -> float:
        return self.false_merges / self.texts if self.texts else 0.0


def shipped_texts() -> list[str]:
    """The texts that brandpulse ships, one of each normal form, whose copies have at least `LEAST_LETTERS` letters."""
    by_form: dict[str, str] = {}
    for text in _every_text():
        if len(form := normal_form(text)) * SIMILAR >= LEAST_LETTERS:
            by_form.setdefault(form, text)
    return list(by_form.values())


def _every_text() -> Iterator[str]:
    folder = Path(str(model.__file__)).parent
    for path in sorted([*folder.glob("gold/*.jsonl"), *folder.glob("training_posts/*.jsonl")]):
        with path.open(encoding="utf-8") as lines:
            yield from (str(row["text"]) for row in map(json.loads, lines) if "text" in row)
    with gzip.open(Path(str(sample.__file__)).parent / "posts.jsonl.gz", "rt", encoding="utf-8") as lines:
        yield from (str(json.loads(line)["text"]) for line in lines)


def evaluate_copies(texts: list[str]) -> CopyReport:
    """Add *texts* to one window, then look for a copy of each kind of each."""
    draw = random.Random(SEED)
    words = [word for text in texts for word in text.split() if word.isalpha()]
    index = CopyIndex(max_texts=2 * len(texts))
    report = CopyReport()
    group_of: list[int] = []
    first_of: dict[int, tuple[str, ...]] = {}
    began = time.process_time()
    for text in texts:
        group_of.append(index.add(normal_words(text)))
    report.microseconds = (time.process_time() - began) / max(1, len(texts)) * 1e6
    for text, group in zip(texts, group_of, strict=True):
        own = normal_words(text)
        report.texts += 1
        report.false_merges += similarity(first_of.setdefault(group, own), own) < SIMILAR
    for text, group in zip(texts, group_of, strict=True):
        if first_of[group] != normal_words(text):
            continue
        report.originals += 1
        for kind, edit in EDITS.items():
            copy = _edited(text, edit, draw, words)
            if copy is None:
                continue
            own = normal_words(copy)
            found = index.find(own)
            # Of several texts that it is a copy of, any will do.
            right = found is not None and (found == group or similarity(first_of[found], own) >= SIMILAR)
            report.texts += 1
            report.copies[kind] += 1
            report.found[kind] += right
            report.false_merges += found is not None and not right
    return report


Edit = Callable[[list[str], random.Random, list[str]], None]
"""Changes a list of words once."""


def _edited(text: str, edit: Edit, draw: random.Random, words: list[str]) -> str | None:
    """*text* with as many edits as leave 90 % of it; None if one edit is too much."""
    own = normal_words(text)
    now, edited = text.split(), None
    for _ in range(MOST_TRIES):
        before = list(now)
        edit(now, draw, words)
        if similarity(own, normal_words(" ".join(now))) < SIMILAR:
            now = before
            if edited is not None:
                break
        elif now != before:
            edited = " ".join(now)
    return edited


def _replace_word(now: list[str], draw: random.Random, words: list[str]) -> None:
    now[draw.randrange(len(now))] = draw.choice(words)


def _add_word(now: list[str], draw: random.Random, words: list[str]) -> None:
    now.insert(draw.randrange(len(now) + 1), draw.choice(words))


def _drop_word(now: list[str], draw: random.Random, _words: list[str]) -> None:
    if len(now) > 1:
        del now[draw.randrange(len(now))]


def _mistype(now: list[str], draw: random.Random, _words: list[str]) -> None:
    at = draw.randrange(len(now))
    place = draw.randrange(len(now[at]))
    now[at] = now[at][:place] + draw.choice(_ALPHABET) + now[at][place + draw.randrange(2) :]


def _dress(now: list[str], draw: random.Random, words: list[str]) -> None:
    """What a repost adds: a prefix, a mention, a link, a hashtag."""
    mention = f"@{draw.choice(words)}"
    now[:0] = draw.choice([["RT", f"{mention}:"], [mention], []])
    now += draw.choice([[f"https://example.com/{draw.randrange(10**6)}"], ["😡" * 3], [f"#{draw.choice(words)}"]])


EDITS: dict[str, Edit] = {
    "words replaced": _replace_word,
    "words added": _add_word,
    "words left out": _drop_word,
    "letters mistyped": _mistype,
    "reposted": _dress,
}


def run() -> None:
    """Print recall, false merges and the time per text."""
    console = Console()
    texts = shipped_texts()
    report = evaluate_copies(texts)
    table = Table(
        "kind of copy", "copies", "found", "recall", title=f"copies of {report.originals} texts, 90 % similar"
    )
    for kind, copies in report.copies.items():
        table.add_row(kind, f"{copies}", f"{report.found[kind]}", f"{report.found[kind] / copies:.4f}")
    console.print(table)
    console.print(
        f"recall {report.recall:.4f} of {report.copies.total()} copies; "
        f"false merges {report.false_merges} of {report.texts} texts ({100 * report.false_share:.3f} %)"
    )
    console.print(f"{report.microseconds:.0f} µs of CPU time per text")
