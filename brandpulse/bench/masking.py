"""`brandpulse bench masking`: recall of the mask on personal data, and its false masks on readable text."""

import json
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.table import Table

from brandpulse.errors import ConfigError
from brandpulse.masking.mask import Mask
from brandpulse.runtime.console import Console

READABLE = "readable"
BRAND_HANDLES = ("AcmeAir", "AcmeCare")
"""Brand handles in the labelled texts."""
ROUNDS = 5


@dataclass(frozen=True, slots=True)
class LabelledText:
    """A text and its spans: begin, end, kind. Spans of kind `readable` must stay unmasked."""

    half: str
    country: str
    text: str
    spans: Sequence[tuple[int, int, str]]


@dataclass(slots=True)
class MaskingReport:
    """Counts by (kind, country). A span is found if the mask hides all its letters and digits, and falsely masked if it
    hides one of them."""

    private: Counter[tuple[str, str]] = field(default_factory=Counter)
    found: Counter[tuple[str, str]] = field(default_factory=Counter)
    readable: Counter[str] = field(default_factory=Counter)
    """By country."""
    false: Counter[str] = field(default_factory=Counter)
    outside: Counter[str] = field(default_factory=Counter)
    """Masks that touch no span, by country."""

    @property
    def recall(self) -> float:
        return self.found.total() / self.private.total()

    @property
    def false_share(self) -> float:
        """False masks, relative to the readable spans."""
        return (self.false.total() + self.outside.total()) / self.readable.total()


def labelled_texts(path: Path) -> list[LabelledText]:
    """Read labelled texts from the JSON lines in *path*. Raises ConfigError."""
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
        return [
            LabelledText(row["half"], row["country"], row["text"], [(b, e, kind) for b, e, kind in row["spans"]])
            for row in rows
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{path} is no file of labelled texts ({error}). "
            f'Each line must be {{"half", "country", "text", "spans": [[begin, end, kind]]}}'
        ) from None


def evaluate_masking(texts: Iterable[LabelledText], mask: Mask) -> MaskingReport:
    """Compare the masks of *texts* with their spans."""
    report = MaskingReport()
    for labelled in texts:
        masked = mask.find(labelled.text)
        hidden = {at for begin, end, _ in masked for at in range(begin, end)}
        for begin, end, kind in labelled.spans:
            letters = [at for at in range(begin, end) if labelled.text[at].isalnum()]
            if kind == READABLE:
                report.readable[labelled.country] += 1
                report.false[labelled.country] += any(at in hidden for at in letters)
            else:
                report.private[kind, labelled.country] += 1
                report.found[kind, labelled.country] += all(at in hidden for at in letters)
        report.outside[labelled.country] += sum(
            not any(begin < stop and end > start for start, stop, _ in labelled.spans) for begin, end, _ in masked
        )
    return report


def run(data: Path, *, texts: Path | None = None) -> None:
    """Print the report of each half of *data*, and the time per post over *texts* (JSON lines with a text)."""
    console = Console()
    mask = Mask(BRAND_HANDLES)
    halves: dict[str, list[LabelledText]] = defaultdict(list)
    for labelled_text in labelled_texts(data):
        halves[labelled_text.half].append(labelled_text)
    for half, labelled in halves.items():
        _print(console, half, evaluate_masking(labelled, mask))
    posts = [text.text for labelled in halves.values() for text in labelled] if texts is None else _texts(texts)
    console.print(f"{microseconds(posts):.1f} µs of CPU time per post, over {len(posts)} posts")


def microseconds(texts: Sequence[str]) -> float:
    """CPU time of masking per text: the median of several rounds, each without a cache of earlier ones."""
    rounds = []
    for _ in range(ROUNDS):
        mask = Mask(BRAND_HANDLES)
        began = time.process_time()
        for text in texts:
            mask(text)
        rounds.append(time.process_time() - began)
    return statistics.median(rounds) / len(texts) * 1e6


def _texts(path: Path) -> list[str]:
    try:
        return [str(json.loads(line)["text"]) for line in path.read_text(encoding="utf-8").splitlines() if line]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"--texts {path} is no file of posts, JSON lines with a text ({error})") from None


def _print(console: Console, half: str, report: MaskingReport) -> None:
    countries = sorted(report.readable)
    table = Table("kind", *countries, "recall", title=f"part {half}: masked spans of all personal data")
    for kind in dict.fromkeys(kind for kind, _ in report.private):
        cells = [f"{report.found[kind, country]}/{report.private[kind, country]}" for country in countries]
        table.add_row(kind, *cells, f"{_share(report.found, report.private, kind):.3f}")
    table.add_row(
        "false masks", *(f"{report.false[c] + report.outside[c]}/{report.readable[c]}" for c in countries), ""
    )
    console.print(table)
    console.print(
        f"part {half}: recall {report.recall:.4f} of {report.private.total()}, "
        f"false masks {100 * report.false_share:.2f} % of {report.readable.total()} readable spans"
    )


def _share(found: Mapping[tuple[str, str], int], private: Mapping[tuple[str, str], int], kind: str) -> float:
    return sum(n for (one, _), n in found.items() if one == kind) / sum(
        n for (one, _), n in private.items() if one == kind
    )
