"""The preset `aspects`: a tagger finds the terms, a map assigns categories, the head `target` scores each."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from model.inputs.target_marking import mark_spans
from model.presets.aspects.categories import Categories, read_map
from model.presets.aspects.data import Sentence, Span, found_terms, read_sentences, term_key
from model.presets.preset import Data, Preset, data_file
from model.presets.result_table import Row, show_table
from model.spec.heads import SENTIMENT, TARGET

if TYPE_CHECKING:
    from model.inference.scorer import Scorer
    from model.presets.aspects.tagger import Tagger

GOLD_TERMS = Path(__file__).parents[2] / "gold" / "categories.jsonl"
RESAMPLES = 1_000


def span_sentiments(
    scorer: "Scorer", texts: Sequence[str], spans: Sequence[Sequence[Span]]
) -> list[list[dict[str, float]]]:
    """For each span of each text its probabilities of negative, neutral and positive; one pass per text.

    A found term is relevant: P(irrelevant) is distributed over the three labels.
    """
    posts = [
        mark_spans(
            text, [(start, end, at) for at, (start, end) in enumerate(found)], targets=len(found), keep_words=True
        )
        for text, found in zip(texts, spans, strict=True)
    ]
    said = scorer.score(posts).target[:, [TARGET.index(label) for label in SENTIMENT]].astype(np.float64)
    said = said / np.maximum(said.sum(axis=1, keepdims=True), 1e-9)
    named = [dict(zip(SENTIMENT, row, strict=True)) for row in said.tolist()]
    starts = np.cumsum([0, *(len(found) for found in spans)]).tolist()
    return [named[start:end] for start, end in pairwise(starts)]


Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts per sentence, (n,) each."""

    listed: Counts
    found: Counts
    right: Counts
    """Found terms that are labelled."""
    right_pairs: Counts
    """Found terms that are labelled and whose predicted polarity is correct."""
    judged_right: Counts
    """Labelled terms whose polarity is correct when the head gets the labelled spans."""

    def figures(self, rows: npt.NDArray[np.int64]) -> dict[str, float]:
        """The metrics over *rows*, which may contain repetitions."""
        listed, found = self.listed[rows].sum(), self.found[rows].sum()
        right, pairs = self.right[rows].sum(), self.right_pairs[rows].sum()
        return {
            "term precision": _share(right, found),
            "term recall": _share(right, listed),
            "term F1": _share(2 * right, listed + found),
            "polarity accuracy, listed terms": _share(self.judged_right[rows].sum(), listed),
            "polarity accuracy, found terms": _share(pairs, right),
            "pair F1": _share(2 * pairs, listed + found),
        }


def _share(part: int, whole: int) -> float:
    return float(part) / float(whole) if whole else 0.0


def tally_answers(given: Sequence[Sentence], tagger: "Tagger", scorer: "Scorer") -> Tally:
    """Compares the terms of *tagger* and the scores of *scorer* with the labels of the sentences."""
    texts = [sentence.text for sentence in given]
    found = tagger.spans(texts)
    said = span_sentiments(scorer, texts, found)
    listed = [sentence.spans() for sentence in given]
    said_of_listed = span_sentiments(scorer, texts, listed)
    counts = []
    for at, sentence in enumerate(given):
        gold = {term_key(term): label for term, label in sentence.terms.items()}
        answers = _by_term(texts[at], found[at], said[at])
        on_listed = _by_term(texts[at], listed[at], said_of_listed[at])
        right = answers.keys() & gold.keys()
        counts.append(
            (
                len(gold),
                len(answers),
                len(right),
                sum(answers[term] == gold[term] for term in right),
                sum(on_listed.get(term) == label for term, label in gold.items()),
            )
        )
    columns = np.array(counts, dtype=np.int64).reshape(-1, 5).T
    return Tally(*columns)


def _by_term(text: str, spans: Sequence[Span], said: Sequence[Mapping[str, float]]) -> dict[str, str]:
    """Term -> the most probable polarity; for repeated terms, by the mean."""
    together: dict[str, Counter[str]] = {}
    for term, probabilities in zip(found_terms(text, spans), said, strict=True):
        together.setdefault(term_key(term), Counter()).update(probabilities)
    return {term: max(SENTIMENT, key=sums.__getitem__) for term, sums in together.items()}


def tally_rows(what: str, data: str, counted: Tally, *, seed: int = 13) -> list[Row]:
    """The metrics with their bootstrap intervals over sentences."""
    generator = np.random.default_rng(seed)
    n = len(counted.listed)
    draws = [counted.figures(generator.integers(0, n, n)) for _ in range(RESAMPLES)]
    found = []
    for name, value in counted.figures(np.arange(n)).items():
        low, high = np.percentile([draw[name] for draw in draws], [2.5, 97.5])
        found.append(Row(what, data, n, name, value, (float(low), float(high))))
    return found


def categories_row(categories: Categories, path: Path = GOLD_TERMS) -> Row:
    """Accuracy of the map on the hand-labelled terms."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    right = [categories(row["term"]) == row["category"] for row in rows]
    return Row("categories", "179 terms of MAMS sorted by hand", len(rows), "accuracy", sum(right) / len(rows))


def chosen_data(chosen: Preset, *, publishable: bool) -> list[Data]:
    return [data for data in chosen.data if data.publish or not publishable]


def train_from_preset(
    chosen: Preset, data: Path, out: Path, *, base: Path, publishable: bool = False, rows: int | None = None
) -> None:
    """Trains the tagger on the sets of *chosen* in *data*; with *publishable* only on redistributable ones."""
    from model.presets.aspects.train_tagger import train_tagger
    from model.training.fit.recipe import Schedule

    used = chosen_data(chosen, publishable=publishable)
    given = [sentence for one in used for sentence in read_sentences(data_file(data, one.files[0]))]
    held_out = {sentence.text for one in used for sentence in read_sentences(data_file(data, one.files[1]))}
    kept = [sentence for sentence in given if sentence.text not in held_out][:rows]
    facts = {
        "data": [f"{one.name}: {one.terms}" for one in used],
        "publish": all(one.publish for one in used),
        "leaked": len(given) - len(kept) if rows is None else None,
    }
    train_tagger(kept, out, schedule=Schedule.model_validate(chosen.recipe), base=base, facts=facts)


def evaluate_tagger(
    chosen: Preset, data: Path, tagger: "Tagger", scorer: "Scorer", *, json_out: Path | None = None
) -> dict[str, Any]:
    """Prints and returns the metrics of *tagger* and *scorer* on the validation part of each set in *data*."""
    rows: list[Row] = []
    for one in chosen.data:
        given = read_sentences(data_file(data, one.files[1]))
        rows += tally_rows(one.name, one.files[1].split(".")[0], tally_answers(given, tagger, scorer))
    rows.append(categories_row(Categories(read_map("restaurants"), tagger.vector)))
    return show_table(
        chosen, rows, json_out=json_out, engine=scorer.name, version=scorer.version, tagger=dict(tagger.manifest)
    )
