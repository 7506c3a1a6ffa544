from pathlib import Path
from typing import Any

import numpy as np
import pytest

from brandpulse.errors import ConfigError
from model.cpu.inference_streams import Streams
from model.cpu.openvino_scorer import OpenVinoScorer
from model.inference.score_cache import CachingScorer
from model.inputs.target_marking import MarkedText, mark, plain
from model.loader import load_scorer
from tests.support.model.brand_weights import a_brand_folder

POSTS = [
    mark(f"Acme {word} my day {word} {'and on ' * number}and Globex {other}", ["Acme", "Globex", "Initech"])
    for number, (word, other) in enumerate(
        zip(
            ["made", "ruined", "saved", "cost", "brightened", "darkened"],
            ["too", "not", "never", "also", "sometimes", "still"],
            strict=True,
        )
    )
] * 3 + [plain("nothing at all"), plain(""), mark("Acme", ["Acme"])]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return a_brand_folder(tmp_path_factory.mktemp("sure"), exit_confidence={"sentiment": 0.8, "target": 0.8})


def scorer(folder: Path, **given: object) -> OpenVinoScorer:
    return OpenVinoScorer(folder, threads=2, precision="fp32", **{"exit_policy": "auto"} | given)  # type: ignore[arg-type]


def with_confidence(path: Path, sentiment: float, target: float) -> Path:
    return a_brand_folder(path, exit_confidence={"sentiment": sentiment, "target": target})


def test_a_low_confidence_post_gets_the_full_depth_answer(tmp_path: Path) -> None:
    folder = with_confidence(tmp_path, 1.01, 1.01)
    early, full = scorer(folder, exit_policy="early"), scorer(folder, exit_policy="full")
    ours, theirs = early.score(POSTS), full.score(POSTS)
    for name, table in ours.heads.items():
        np.testing.assert_allclose(table, theirs.heads[name], atol=1e-4)
    np.testing.assert_allclose(ours.target, theirs.target, atol=1e-4)
    assert early.settled == 0


def test_an_early_answer_needs_confidence_for_post_and_all_targets(tmp_path: Path, folder: Path) -> None:
    first = scorer(with_confidence(tmp_path / "none", 0.0, 0.0)).score(POSTS)
    full = scorer(folder, exit_policy="full").score(POSTS)
    tiers = scorer(folder)
    mixed = tiers.score(POSTS)
    settled = 0
    at = 0
    for row, post in enumerate(POSTS):
        named = [at + number for number in range(post.targets) if number not in post.absent]
        sure = first.heads["sentiment"][row].max() >= 0.8 and (first.target[named].max(axis=1) >= 0.8).all()
        expected = first if sure else full
        for name, table in mixed.heads.items():
            np.testing.assert_allclose(table[row], expected.heads[name][row], atol=1e-4)
        mine = slice(at, at + post.targets)
        np.testing.assert_allclose(mixed.target[mine], expected.target[mine], atol=1e-4)
        settled += bool(sure)
        at += post.targets
    assert 0 < settled < len(POSTS)
    assert (tiers.settled, tiers.degraded) == (settled, 0)


def test_overloaded_low_confidence_posts_are_degraded(tmp_path: Path, folder: Path) -> None:
    lagging = True
    tiers = scorer(folder, overloaded=lambda: lagging)
    early = scorer(with_confidence(tmp_path, 0.0, 0.0)).score(POSTS)
    hasty = tiers.score(POSTS)
    np.testing.assert_allclose(hasty.heads["sentiment"], early.heads["sentiment"], atol=1e-4)
    assert 0 < len(hasty.degraded) == tiers.degraded < len(POSTS)
    lagging = False
    calm = tiers.score(POSTS)
    assert not calm.degraded
    changed = np.abs(calm.heads["emotion"] - hasty.heads["emotion"]).max(axis=1) > 1e-4
    assert set(np.flatnonzero(changed).tolist()) == set(hasty.degraded)


def test_full_depth_answers_early_only_while_overloaded(folder: Path) -> None:
    lagging = False
    scored = scorer(folder, exit_policy="full", overloaded=lambda: lagging)
    full, early = scorer(folder, exit_policy="full"), scorer(folder)
    calm = scored.score(POSTS)
    np.testing.assert_allclose(calm.heads["emotion"], full.score(POSTS).heads["emotion"], atol=1e-4)
    assert (scored.settled, scored.version) == (0, full.version)
    lagging = True
    hasty = scored.score(POSTS)
    early.score(POSTS)
    assert (scored.settled, scored.degraded) == (early.settled, len(hasty.degraded))


@pytest.mark.parametrize("lagging", [False, True])
def test_overload_support_adds_no_batches(folder: Path, monkeypatch: pytest.MonkeyPatch, lagging: bool) -> None:
    begun: list[Streams] = []
    start = Streams.start

    def told(self: Streams, *given: Any) -> Any:
        begun.append(self)
        return start(self, *given)

    monkeypatch.setattr(Streams, "start", told)
    hurrying = scorer(folder, exit_policy="full", overloaded=lambda: lagging)
    never = scorer(folder, exit_policy="full")
    begun.clear()
    hurrying.score(POSTS)
    mine = begun.copy()
    begun.clear()
    never.score(POSTS)
    # With the graph split in two, full depth was a quarter slower even without overload.
    assert len(mine) == len(begun) > 0


def test_degraded_scores_are_not_cached(folder: Path) -> None:
    lagging = True
    tiers = scorer(folder, overloaded=lambda: lagging)
    cached = CachingScorer(tiers, max_entries=100)
    doubled = [*POSTS[:3], *POSTS[:3]]
    hasty = cached.score(doubled)
    lagging = False
    calm = cached.score(doubled)
    assert {row % 3 for row in hasty.degraded} == {row for row in hasty.degraded if row < 3}
    assert not calm.degraded
    fresh = scorer(folder).score(doubled)
    np.testing.assert_allclose(calm.heads["sentiment"], fresh.heads["sentiment"], atol=1e-4)
    np.testing.assert_allclose(calm.target, fresh.target, atol=1e-4)


def test_too_many_doubtful_posts_are_finished_during_the_call(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = with_confidence(tmp_path, 1.01, 1.01)
    many = POSTS * 60
    expected = scorer(folder, exit_policy="full").score(many)
    monkeypatch.setattr("model.cpu.openvino_scorer._MAX_DOUBTFUL_TOKENS", 500)
    found = scorer(folder).score(many)
    np.testing.assert_allclose(found.target, expected.target, atol=1e-4)


def test_weights_without_exit_confidence_run_at_full_depth(tmp_path: Path) -> None:
    folder = a_brand_folder(tmp_path)
    assert scorer(folder).name == "openvino fp32"
    with pytest.raises(ConfigError, match="tiers"):
        scorer(folder, exit_policy="early")


def test_the_version_contains_precision_and_exit_policy(folder: Path) -> None:
    full, early = (
        scorer(folder, exit_policy="full"),
        load_scorer("openvino", folder, 1, precision="fp32", exit_policy="early"),
    )
    assert early.version == f"{full.version}-early"


def test_a_post_of_many_mentions_and_one_of_many_targets_are_scored(folder: Path) -> None:
    posts = [mark("Acme " * 60, ["Acme"]), mark("nothing", [f"Brand{number}" for number in range(40)])]
    scores = scorer(folder).score(posts)
    assert scores.target.shape == (41, 4)
    np.testing.assert_allclose(scores.target.sum(axis=1), 1.0, atol=1e-5)


def test_a_post_without_its_markers_is_scored(folder: Path) -> None:
    assert scorer(folder).score([MarkedText("no marker", (), 2)]).target.shape == (2, 4)
