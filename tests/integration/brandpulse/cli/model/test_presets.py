"""`brandpulse model preset` on a few artificial rows with small untrained weights."""

import gzip
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest
from typer.testing import CliRunner

from brandpulse.cli.model.presets import app
from tests.support.model.brand_weights import a_brand_folder

GOOD, BAD, PLAIN = "lovely superb kind", "awful broken rude", "train platform nine"
WORDS = {"pos": GOOD, "neg": BAD, "neu": PLAIN}


def write_rows(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress("\n".join(json.dumps(row) for row in rows).encode()))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return a_brand_folder(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve to thirty rows for each data set of the presets."""
    folder = tmp_path_factory.mktemp("data")
    labels = ["pos", "neg", "neu"] * 10
    sentiment = [{"text": f"{WORDS[label]} {at}", "sentiment": label} for at, label in enumerate(labels)]
    for name in ("sentiment_semeval.val", "airline.val", "financial_phrasebank.train"):
        write_rows(folder / "multihead" / f"{name}.jsonl.gz", sentiment)
    others = [row | {"text": f"{row['text']} b"} for row in sentiment[:12]]
    write_rows(folder / "multihead" / "financial_phrasebank.val.jsonl.gz", others)
    complaints = [
        {"text": f"{WORDS[label]} c{at}", "complaint": int(label == "neg")} for at, label in enumerate(labels)
    ]
    write_rows(folder / "multihead" / "complaints.val.jsonl.gz", complaints)
    emotions = [{"text": f"{WORDS[label]} d{at}", "emotions": ["joy"]} for at, label in enumerate(labels)]
    write_rows(folder / "multihead" / "goemotions.val.jsonl.gz", [*emotions, {"text": "hm", "emotions": ["anger"]}])
    for name in ("aspect_mams", "aspect_rest14", "aspect_laptop14"):
        for part, count in (("train", 12), ("val", 6)):
            aspects = [
                {"text": f"{name} {part} {at} soup {word}", "target": "soup", "target_sentiment": label}
                for at, (label, word) in enumerate(list(WORDS.items()) * (count // 3))
            ]
            write_rows(folder / "multihead" / f"{name}.{part}.jsonl.gz", aspects)
    for part, count in (("train", 24), ("dev", 12)):
        lines = "".join(f"{[BAD, GOOD][at % 2]} {part} {at}\t{at % 2}\n" for at in range(count))
        (folder / "sst2").mkdir(exist_ok=True)
        (folder / "sst2" / f"{part}.tsv.gz").write_bytes(gzip.compress(lines.encode()))
    return folder


def figures(arguments: list[str], out: Path) -> dict[tuple[str, str, str], float]:
    said = CliRunner().invoke(app, [*arguments, "--json", str(out)], catch_exceptions=False)
    assert said.exit_code == 0, said.output
    report = json.loads(out.read_text(encoding="utf-8"))
    found = {(row["what"], row["data"], row["figure"]): row["value"] for row in report["rows"]}
    assert all(0 <= value <= 10 for value in found.values())
    return found


def test_all_presets_are_listed_with_terms() -> None:
    said = CliRunner().invoke(app, ["list"])

    assert said.exit_code == 0
    assert "finance: Sentiment of financial news" in said.output
    assert "CC BY-NC-SA 3.0" in said.output


def test_tweets_prints_its_table(data: Path, weights: Path, tmp_path: Path) -> None:
    found = figures(["tweets", "--data", str(data), "--weights", str(weights), "--threads", "1"], tmp_path / "o.json")

    assert ("as shipped", "Airline tweets", "macro recall") in found


def test_tickets_evaluates_all_labels_and_shows_examples(data: Path, weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "o.json"
    found = figures(["tickets", "--data", str(data), "--weights", str(weights), "--threads", "1"], out)

    assert {what for what, _, _ in found} == {
        "urgency, posts and tickets",
        "urgency, tickets",
        "complaint",
        "emotion",
        "sentiment",
    }
    examples = json.loads(out.read_text(encoding="utf-8"))["examples"]
    assert all({"sentiment", "target_sentiment", "emotion", "urgency"} <= set(one) for one in examples)


def test_reviews_trains_and_evaluates(data: Path, weights: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    out = str(tmp_path / "out")
    found = figures(["reviews", "--data", str(data), "--weights", str(weights), "--out", out], tmp_path / "o.json")

    assert {(what, part) for what, part, _ in found} == {
        (what, f"SST-2, {part}") for what in ("as shipped", "trained on 24") for part in ("test", "all others")
    }


def test_finance_evaluates_before_and_after_the_training(data: Path, weights: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    out = str(tmp_path / "out")
    found = figures(["finance", "--data", str(data), "--weights", str(weights), "--out", out], tmp_path / "o.json")

    assert {what for what, _, _ in found} == {"as shipped", "trained on it"}


def test_aspects_are_found_scored_and_summarised(data: Path, weights: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    out, report = tmp_path / "tagger", tmp_path / "o.json"
    common = ["--weights", str(weights), "--threads", "1"]
    found = figures(["aspects", "--data", str(data), "--out", str(out), "--publishable", *common], report)

    assert {data for _, data, _ in found} >= {"aspect_mams", "aspect_rest14", "aspect_laptop14"}
    manifest = json.loads((out / "model.json").read_text(encoding="utf-8"))
    assert (manifest["publish"], manifest["sentences"]) == (True, 12)

    said = CliRunner().invoke(app, ["summarise", "--tagger", str(out), *common], input="soup lovely\n\nawful soup\n")

    assert [json.loads(line)["text"] for line in said.stdout.splitlines()] == ["soup lovely", "", "awful soup"]


@pytest.mark.parametrize("name", ["finance", "reviews", "aspects"])
def test_a_training_preset_without_torch_names_the_package(
    name: str, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model.loader.torch_is_installed", lambda: False)
    said = CliRunner().invoke(
        app, [name, "--data", str(tmp_path), "--out", str(tmp_path / "o"), "--weights", str(weights)]
    )

    assert "pip install 'brandpulse[train]'" in str(said.exception)


def test_a_missing_data_set_is_named(weights: Path, tmp_path: Path) -> None:
    said = CliRunner().invoke(app, ["tweets", "--data", str(tmp_path), "--weights", str(weights)])

    assert said.exit_code == 1
    assert "sentiment_semeval.val.jsonl.gz is neither there nor" in str(said.exception)
