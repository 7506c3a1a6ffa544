import gzip
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from alerting.recording import Judges, Tally, Texts
from alerting.score_file import Scores, read_scores, text_digest, write_scores
from brandpulse.errors import ConfigError
from tests.builders import NOON_MS, a_post


class Model:
    """Judges by the word "bad", and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        self.asked += texts
        return np.array([(0.8, 0.1, 0.1) if "bad" in text else (0.1, 0.8, 0.1) for text in texts], dtype=np.float32)


def judges(model: Model) -> Judges:
    return Judges(
        match=lambda text: ("Acme",) if "acme" in text else (),
        normalise=str.strip,
        author_hash=lambda source, author: hash((source, author)),
        probabilities=model.probabilities,
    )


def a_recording(folder: Path, *lines: object, name: str = "posts.jsonl.gz") -> Path:
    path = folder / name
    body = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines).encode()
    path.write_bytes(gzip.compress(body) if path.suffix == ".gz" else body)
    return path


@pytest.mark.parametrize("name", ["posts.jsonl.gz", "posts.jsonl"])
def test_each_text_is_judged_once_and_each_post_gets_its_verdict(tmp_path: Path, name: str) -> None:
    path = a_recording(
        tmp_path, *(a_post(str(n), ["acme bad", " acme bad ", "acme"][n % 3], NOON_MS + n) for n in range(9)), name=name
    )
    model, tally = Model(), Tally()
    texts = Texts(judges(model), {})
    texts.score(path, tally)
    posts = list(texts.judged(path, tally))
    assert sorted(model.asked) == ["acme", "acme bad"]
    assert [round(post.probabilities[0], 1) for post in posts] == [0.8, 0.8, 0.1] * 3
    assert (tally.lines, tally.scored) == (9, 2)


def test_a_post_that_names_no_brand_is_not_judged_but_moves_the_clock(tmp_path: Path) -> None:
    path = a_recording(tmp_path, a_post("1", "nobody named"))
    model, tally = Model(), Tally()
    texts = Texts(judges(model), {})
    texts.score(path, tally)
    [post] = texts.judged(path, tally)
    assert (model.asked, post.brands, post.event_ms, tally.unmatched) == ([], (), NOON_MS, 1)


def test_a_line_that_is_no_post_is_counted_and_passed_over(tmp_path: Path) -> None:
    path = a_recording(tmp_path, "{", {"id": "1"}, a_post("2", created_at="2026-03-02T12:00:00"), a_post("3"))
    tally = Tally()
    texts = Texts(judges(Model()), {})
    texts.score(path, Tally())
    assert [post.id for post in texts.judged(path, tally)] == ["3"]
    assert (tally.lines, tally.invalid) == (4, 3)


def test_the_arrival_clock_is_arrived_at_else_created_at_and_never_goes_back(tmp_path: Path) -> None:
    path = a_recording(
        tmp_path,
        a_post("1", at_ms=NOON_MS, arrived_at="2026-03-02T12:10:00Z"),
        a_post("2", at_ms=NOON_MS + 1_000),
        a_post("3", at_ms=NOON_MS + 900_000),
    )
    texts = Texts(judges(Model()), {})
    texts.score(path, Tally())
    arrived = [post.arrived_ms - NOON_MS for post in texts.judged(path, Tally())]
    assert arrived == [600_000, 600_000, 900_000]


def test_a_file_cut_short_is_told_by_name(tmp_path: Path) -> None:
    path = a_recording(tmp_path, *(a_post(str(n)) for n in range(100)))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ConfigError, match=r"posts\.jsonl\.gz"):
        Texts(judges(Model()), {}).score(path, Tally())


def test_scores_come_back_as_they_were_written(tmp_path: Path) -> None:
    scores: Scores = {text_digest(f"text {n}"): (0.25, 0.5, 0.25) for n in range(50)} | {
        text_digest(""): (0.0, 0.0, 1.0)
    }
    write_scores(tmp_path / "scores.npz", scores, version="m@1")
    assert read_scores(tmp_path / "scores.npz", version="m@1") == scores
    assert [path.name for path in tmp_path.iterdir()] == ["scores.npz"]


def test_scores_of_another_model_are_not_used(tmp_path: Path) -> None:
    write_scores(tmp_path / "scores.npz", {text_digest("a"): (1.0, 0.0, 0.0)}, version="m@1")
    assert read_scores(tmp_path / "scores.npz", version="m@2") == {}
    assert read_scores(tmp_path / "none.npz", version="m@1") == {}


def test_a_file_that_holds_no_scores_is_told_by_name(tmp_path: Path) -> None:
    (tmp_path / "scores.npz").write_text("no zip")
    with pytest.raises(ConfigError, match=r"scores\.npz"):
        read_scores(tmp_path / "scores.npz", version="m@1")
