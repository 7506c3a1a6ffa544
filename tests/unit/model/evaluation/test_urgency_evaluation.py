"""The labelled texts for urgency, and the metrics on them."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from brandpulse.errors import ConfigError
from model.data.labelled_posts import leak_key
from model.evaluation.urgency_evaluation import (
    GOLD_FILE,
    LabelledText,
    candidates,
    choose_thresholds,
    evaluate_scorer,
    expected_cost,
    marked_text,
    measure,
    mix_weights,
    parse_mix,
    read_labelled_texts,
    split_halves,
    urgency_metrics,
)
from model.inference.scorer import Scores
from model.inputs.target_marking import MarkedText
from model.urgency.rule import LEVELS, Thresholds, levels_of

GUIDELINE = GOLD_FILE.parent / "GUIDELINE.md"


class Keywords:
    """A scorer with every head that urgency reads: texts with `broken` are complaints."""

    name, version, heads = "keywords", "1", ("sentiment", "risk", "target")

    def score(self, posts: Sequence[MarkedText]) -> Scores:
        complaint = np.array([0.9 if "broken" in post.text or "not" in post.text else 0.1 for post in posts])
        risk = np.stack([complaint, complaint * 0, complaint * 0], axis=1).astype(np.float32)
        sentiment = np.stack([complaint, 1 - complaint, complaint * 0], axis=1).astype(np.float32)
        return Scores(
            {"sentiment": sentiment, "risk": risk},
            np.tile(np.array([[0.7, 0.2, 0.1, 0.0]], dtype=np.float32), (len(posts), 1)),
        )


def test_there_are_400_labelled_texts_in_two_halves() -> None:
    choosing, judging = split_halves(read_labelled_texts())

    assert len(choosing) == len(judging) == 200
    assert not {row.text for row in choosing} & {row.text for row in judging}
    for half in (choosing, judging):
        assert min(Counter(row.level for row in half).values()) >= 45
        assert set(Counter(row.kind for row in half)) == {"post", "ticket"}


def test_each_labelled_text_occurs_once_per_target() -> None:
    rows = read_labelled_texts()

    assert len({(leak_key(row.text), row.target) for row in rows}) == len(rows)


def test_each_reason_is_one_of_the_guideline() -> None:
    guideline = GUIDELINE.read_text(encoding="utf-8")
    rows = [json.loads(line) for line in GOLD_FILE.read_text(encoding="utf-8").splitlines()]

    assert {reason for reason in {row["reason"] for row in rows} if f"`{reason}`" not in guideline} == set()


def test_the_halves_do_not_depend_on_the_order_of_the_file() -> None:
    rows = read_labelled_texts()

    assert split_halves(rows[::-1]) == split_halves(rows)


def test_an_unnamed_target_is_not_absent() -> None:
    post = marked_text(LabelledText("My order never came.", "Acme", "ticket", 1))

    assert (post.targets, post.absent) == (1, frozenset())


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ({"text": "a", "kind": "post", "urgency": "low"}, "line 1: no field 'target'"),
        ({"text": "a", "target": "b", "kind": "post", "urgency": "hoch"}, "line 1: urgency: .* got 'hoch'"),
    ],
)
def test_an_invalid_row_is_named(row: dict[str, str], complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "judged.jsonl"
    path.write_text(json.dumps(row), encoding="utf-8")

    with pytest.raises(ValueError, match=complaint):
        read_labelled_texts(path)


def test_rows_are_weighted_by_their_level_in_a_stream() -> None:
    gold = np.array([0, 0, 1, 2])

    assert mix_weights(gold, (0.7, 0.25, 0.05)).tolist() == pytest.approx([0.35, 0.35, 0.25, 0.05])


def test_a_missed_high_costs_ten_times_a_false_one() -> None:
    one = np.array([1.0])

    assert expected_cost(np.array([2]), np.array([0]), one) == 10 * expected_cost(np.array([0]), np.array([2]), one)


def test_the_chosen_thresholds_have_the_lowest_cost() -> None:
    generator = np.random.default_rng(3)
    gold = generator.integers(0, 3, 40)
    concern = generator.random(40) + 0.3 * gold
    chosen, cost = choose_thresholds(concern, concern, gold)
    weights = mix_weights(gold)

    assert cost == pytest.approx(expected_cost(gold, levels_of(concern, concern, chosen), weights))
    for medium in candidates(concern):
        for high in candidates(concern):
            other = expected_cost(gold, levels_of(concern, concern, Thresholds(medium, high)), weights)
            assert other >= cost - 1e-9


def test_thresholds_between_separate_levels_cost_nothing() -> None:
    gold, values = np.array([0, 0, 1, 1, 2, 2]), np.array([0.1, 0.2, 0.4, 0.5, 0.8, 0.9])

    chosen, cost = choose_thresholds(values, values, gold)

    assert cost == 0
    assert (chosen.medium, chosen.high) == (0.4, 0.8)


def test_precision_in_a_stream_counts_non_urgent_posts() -> None:
    gold, called = np.array([0, 0, 2, 2]), np.array([2, 0, 2, 0])

    found = urgency_metrics(gold, called, (0.95, 0.0, 0.05))

    assert (found["precision_high"], found["recall_high"]) == (0.5, 0.5)
    assert found["precision_high_in_stream"] == pytest.approx(0.025 / (0.025 + 0.475))


@pytest.mark.parametrize("mix", ["", "0.7,0.3", "0.7,0.2,0.2", "1.2,-0.3,0.1", "a,b,c", "nan,0.5,0.5"])
def test_an_invalid_mix_is_a_config_error(mix: str) -> None:
    with pytest.raises(ConfigError, match="three shares that sum to 1"):
        parse_mix(mix)


def test_an_engine_without_the_head_risk_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match="needs the head 'risk'"):
        measure(None, engine="keyword")


def test_the_report_compares_the_rule_with_alternatives(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "urgency.json"

    evaluate_scorer(Keywords(), json_out=out, show_choice=True)

    report = json.loads(out.read_text(encoding="utf-8"))
    rule = report["rules"]["the rule"]
    assert report["n"] == sum(map(sum, rule["confusion"])) == 200
    low, high = rule["ci"]["recall_high"]
    assert low <= rule["recall_high"] <= high
    assert {f"always {name}" for name in LEVELS} < set(report["rules"])
    assert report["rules"]["always high"]["recall_high"] == 1.0
    assert "THRESHOLDS" in capsys.readouterr().out
