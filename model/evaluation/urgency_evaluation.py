"""Evaluates the urgency rule on 400 posts and tickets written and labelled for it (`gold/`)."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from brandpulse.errors import ConfigError
from brandpulse.text.normalization import normalize
from model.data.training_examples import numbered_rows
from model.inputs.target_marking import MarkedText, find_target, mark_spans
from model.spec.heads import SENTIMENT
from model.urgency.hazard_terms import hazards
from model.urgency.rule import LEVELS, THRESHOLDS, Floats, LevelColumns, Thresholds, levels_of, signals

if TYPE_CHECKING:
    from rich.table import Table

    from model.inference.scorer import Scorer
    from model.spec.options import Engine

GOLD_FILE = Path(__file__).parents[1] / "gold" / "urgency.jsonl"

COSTS: Floats = np.array([[0.0, 0.3, 1.0], [1.0, 0.0, 0.5], [10.0, 4.0, 0.0]])
"""Cost of predicting a gold level (row) as another (column); 1 = one needless interruption. See gold/GUIDELINE.md."""

MIX = (0.70, 0.25, 0.05)
"""Share of each level in a stream. The labelled texts contain more urgent ones, so rows are weighted by level."""

RESAMPLES = 2_000


@dataclass(frozen=True, slots=True)
class LabelledText:
    """One text and its gold level."""

    text: str
    target: str
    kind: str
    level: int


def read_labelled_texts(path: Path = GOLD_FILE) -> list[LabelledText]:
    """The labelled texts in file order. Raises ValueError that names file, line and field."""
    found = []
    for line, row in numbered_rows(path):
        if missing := [name for name in ("target", "kind", "urgency") if not row.get(name)]:
            raise ValueError(f"{path}, line {line}: no field {missing[0]!r}")
        if row["urgency"] not in LEVELS:
            raise ValueError(f"{path}, line {line}: urgency: expected {', '.join(LEVELS)}, got {row['urgency']!r}")
        found.append(LabelledText(row["text"], row["target"], row["kind"], LEVELS.index(row["urgency"])))
    return found


def split_halves(rows: Sequence[LabelledText]) -> tuple[list[LabelledText], list[LabelledText]]:
    """The half for choosing thresholds and the half for evaluation, ordered by the SHA-256 of the texts."""
    ordered = sorted(rows, key=lambda row: (hashlib.sha256(row.text.encode()).hexdigest(), row.target))
    return ordered[: len(ordered) // 2], ordered[len(ordered) // 2 :]


def marked_text(row: LabelledText) -> MarkedText:
    """The text with its target marked. An unnamed target is not absent: the text was addressed to it."""
    text = normalize(row.text, keep_handles=True)
    return mark_spans(text, [(start, end, 0) for start, end in find_target(text, row.target)], targets=1)


@dataclass(frozen=True, slots=True)
class UrgencyEvidence:
    """The inputs of a rule, one value per text."""

    concern: Floats
    alarm: Floats
    complaint: Floats
    negative: Floats
    """P(negative) of the whole post."""
    named: npt.NDArray[np.bool_]
    """Whether the text names a hazard."""


def evidence(scorer: "Scorer", rows: Sequence[LabelledText]) -> UrgencyEvidence:
    posts = [marked_text(row) for row in rows]
    scores = scorer.score(posts)
    concern, alarmed = signals(scores, posts)
    return UrgencyEvidence(
        concern=concern,
        alarm=alarmed,
        complaint=scores.heads["risk"][:, 0].astype(np.float64),
        negative=scores.heads["sentiment"][:, SENTIMENT.index("negative")].astype(np.float64),
        named=np.asarray(hazards([post.text for post in posts]).any(axis=1)),
    )


def mix_weights(gold: LevelColumns, mix: Sequence[float] = MIX) -> Floats:
    """(n,): row weights that give the levels the shares of *mix*; they sum to 1."""
    counts = np.bincount(gold, minlength=len(LEVELS))
    shares = np.where(counts > 0, np.asarray(mix), 0.0)
    return np.asarray((shares / np.maximum(counts, 1))[gold] / shares.sum())


def expected_cost(gold: LevelColumns, said: LevelColumns, weights: Floats) -> float:
    """Expected cost of one post, in needless interruptions."""
    return float((weights * COSTS[gold, said]).sum())


def choose_thresholds(
    concern: Floats, alarmed: Floats, gold: LevelColumns, mix: Sequence[float] = MIX
) -> tuple[Thresholds, float]:
    """The thresholds with the lowest expected cost, and that cost.

    Candidates are the observed values and infinity; the highest of equally good ones is chosen (fewest interruptions).
    """
    weights = mix_weights(gold, mix)
    best = (np.inf, Thresholds(1.0, 1.0))
    for high in candidates(alarmed):
        for medium in candidates(concern):
            chosen = Thresholds(medium, high)
            cost = expected_cost(gold, levels_of(concern, alarmed, chosen), weights)
            if cost <= best[0] + 1e-12:
                best = min(cost, best[0]), chosen
    return best[1], best[0]


def candidates(values: Floats) -> list[float]:
    """Possible thresholds: each observed value, ascending, and infinity."""
    return [*np.unique(values).tolist(), float("inf")]


def urgency_metrics(gold: LevelColumns, said: LevelColumns, mix: Sequence[float] = MIX) -> dict[str, float]:
    """Precision and recall of `high` on these texts; precision, share and expected cost in a stream; accuracy."""
    weights = mix_weights(gold, mix)
    called, high = said == LEVELS.index("high"), gold == LEVELS.index("high")
    return {
        "precision_high": _share(called & high, called),
        "recall_high": _share(called & high, high),
        "precision_high_in_stream": _share(called & high, called, weights),
        "called_high_in_stream": float(weights[called].sum()),
        "expected_cost": expected_cost(gold, said, weights),
        "accuracy": float((gold == said).mean()),
    }


def _share(part: npt.NDArray[np.bool_], whole: npt.NDArray[np.bool_], weights: Floats | None = None) -> float:
    weights = np.ones(len(part)) if weights is None else weights
    total = float(weights[whole].sum())
    return float(weights[part].sum()) / total if total else 0.0


def intervals(
    gold: LevelColumns, said: LevelColumns, mix: Sequence[float] = MIX, *, seed: int = 13
) -> dict[str, list[float]]:
    """The bootstrap 95 % interval of each metric over texts: [low, high]."""
    generator = np.random.default_rng(seed)
    draws = []
    for _ in range(RESAMPLES):
        rows = generator.integers(0, len(gold), len(gold))
        draws.append(urgency_metrics(gold[rows], said[rows], mix))
    bounds = {name: np.percentile([draw[name] for draw in draws], [2.5, 97.5]) for name in draws[0]}
    return {name: [round(float(low), 4), round(float(high), 4)] for name, (low, high) in bounds.items()}


RuleInputs = tuple[Floats, Floats]
"""Values to compare with the threshold of `medium` and of `high`."""


def rule_variants(seen: UrgencyEvidence) -> dict[str, RuleInputs]:
    """The rule, its parts, and simple alternatives; each has its own thresholds."""
    words = seen.named.astype(np.float64)
    return {
        "the rule": (seen.concern, seen.alarm),
        "heads alone": (seen.concern, seen.concern),
        "words for high, heads for medium": (seen.concern, words),
        "words alone": (words, words),
        "P(complaint) alone": (seen.complaint, seen.complaint),
        "P(negative) of the post alone": (seen.negative, seen.negative),
    }


def measure(
    weights: Path | None,
    *,
    engine: str = "auto",
    threads: int | None = None,
    json_out: Path | None = None,
    show_choice: bool = False,
    mix: str = "0.70,0.25,0.05",
) -> dict[str, Any]:
    """`evaluate_scorer` of *weights* (None: the shipped ones).

    Raises ConfigError if the engine lacks the head `risk` or *mix* is invalid.
    """
    from model.loader import load_scorer

    scorer = load_scorer(cast("Engine", engine), weights, threads)
    if "risk" not in scorer.heads:
        raise ConfigError(f"Urgency needs the head 'risk', but {scorer.name} only has {', '.join(scorer.heads)}.")
    return evaluate_scorer(scorer, json_out=json_out, show_choice=show_choice, mix=parse_mix(mix))


def parse_mix(mix: str) -> tuple[float, ...]:
    """The shares of low, medium and high in a text such as `0.7,0.25,0.05`. Raises ConfigError."""
    try:
        shares = tuple(float(share) for share in mix.split(","))
    except ValueError:
        shares = ()
    if not (len(shares) == len(LEVELS) and min(shares) >= 0 and abs(sum(shares) - 1) < 1e-6):
        raise ConfigError(f"--mix: expected three shares that sum to 1, such as 0.7,0.25,0.05, got {mix!r}")
    return shares


def evaluate_scorer(
    scorer: "Scorer", *, json_out: Path | None = None, show_choice: bool = False, mix: Sequence[float] = MIX
) -> dict[str, Any]:
    """Prints and returns the report on the evaluation half.

    With *show_choice* the rule uses the thresholds that the other half gives now, and prints them.
    """
    from brandpulse.runtime.console import Console

    choosing, judging = split_halves(read_labelled_texts())
    gold_chosen, gold = (np.array([row.level for row in part], dtype=np.int64) for part in (choosing, judging))
    seen, held_out = evidence(scorer, choosing), evidence(scorer, judging)
    found: dict[str, Any] = {}
    on_judging = rule_variants(held_out)
    for name, (concern, alarmed) in rule_variants(seen).items():
        thresholds, cost = choose_thresholds(concern, alarmed, gold_chosen, mix)
        if name == "the rule" and not show_choice:
            thresholds = THRESHOLDS
        said = levels_of(*on_judging[name], thresholds)
        found[name] = {
            "thresholds": {"medium": thresholds.medium, "high": thresholds.high},
            "cost_on_choosing_half": cost,
        } | _report(gold, said, mix)
    for name in LEVELS:
        found[f"always {name}"] = _report(gold, np.full_like(gold, LEVELS.index(name)), mix)
    report = {
        "n": len(judging),
        "engine": scorer.name,
        "version": scorer.version,
        "mix": list(mix),
        "costs": COSTS.tolist(),
        "rules": found,
    }
    console = Console()
    console.print(_table(report))
    console.print(_confusion(found["the rule"]["confusion"]))
    if show_choice:
        console.print(f"THRESHOLDS = {found['the rule']['thresholds']}")
    if json_out is not None:
        json_out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return report


def _report(gold: LevelColumns, said: LevelColumns, mix: Sequence[float]) -> dict[str, Any]:
    size = len(LEVELS)
    counts = np.bincount(gold * size + said, minlength=size * size).reshape(size, size)
    shown = {name: round(value, 4) for name, value in urgency_metrics(gold, said, mix).items()}
    return shown | {"confusion": counts.tolist(), "ci": intervals(gold, said, mix)}


def _table(report: Mapping[str, Any]) -> "Table":
    from rich.table import Table

    low, medium, high = (f"{share:.0%}" for share in report["mix"])
    table = Table(
        title=f"Urgency of {report['n']} labelled texts ({report['engine']} {report['version']}); a stream: "
        f"{high} high, {medium} medium, {low} low; cost 1 = one needless interruption"
    )
    for heading in ("", "precision of high", "recall of high", "precision in a stream", "cost of a post in a stream"):
        table.add_column(heading, justify="right" if heading else "left")
    for name, row in report["rules"].items():
        cells = [
            f"{row[figure]:.2f} [{row['ci'][figure][0]:.2f}, {row['ci'][figure][1]:.2f}]"
            for figure in ("precision_high", "recall_high", "precision_high_in_stream", "expected_cost")
        ]
        table.add_row(name, *cells)
    return table


def _confusion(counts: Sequence[Sequence[int]]) -> "Table":
    from rich.table import Table

    table = Table(title="The rule: gold level by row, prediction by column")
    for heading in ("", *LEVELS):
        table.add_column(heading, justify="right" if heading else "left")
    for name, row in zip(LEVELS, counts, strict=True):
        table.add_row(name, *map(str, row))
    return table
