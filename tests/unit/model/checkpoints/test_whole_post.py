import json
from pathlib import Path

import numpy as np

from model.checkpoints.tensor_files import WORD_TABLE
from model.checkpoints.whole_post import load_whole_post, pack_whole_post
from model.spec.weights import WHOLE_POST_WEIGHTS


def test_packed_weights_load_unchanged(tmp_path: Path) -> None:
    shipped = load_whole_post(WHOLE_POST_WEIGHTS)
    tensors = dict(shipped.tensors)
    manifest = pack_whole_post(
        tmp_path,
        tensors,
        config=shipped.config,
        tokenizer=WHOLE_POST_WEIGHTS / "tokenizer.json",
        manifest=shipped.manifest,
    )
    again = load_whole_post(tmp_path)
    assert again.manifest == manifest
    for name, tensor in tensors.items():
        # Half a step of 8 bits for the word table, of float16's 11 for the rest.
        limit = np.abs(tensor).max() / 254 if name == WORD_TABLE else np.abs(tensor).max() / 2**11
        assert np.abs(again.tensors[name] - tensor).max() <= limit * 1.01, name


def test_the_shipped_report_belongs_to_the_shipped_weights() -> None:
    report = json.loads((WHOLE_POST_WEIGHTS / "report.json").read_text())
    assert report["version"] == load_whole_post(WHOLE_POST_WEIGHTS).manifest.version
    assert report["macro_recall"] >= 0.70
    assert report["ece"] <= 0.05


def test_the_model_card_states_the_figures_of_the_report() -> None:
    card = (WHOLE_POST_WEIGHTS / "MODEL_CARD.md").read_text()
    report = json.loads((WHOLE_POST_WEIGHTS / "report.json").read_text())
    for name in ("accuracy", "macro_recall", "macro_f1", "ece"):
        assert f"{report[name]:.3f}" in card, name
