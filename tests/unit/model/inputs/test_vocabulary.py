"""Tokens for the marker and for emoji in the unused slots of a vocabulary."""

import json
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from brandpulse.text.normalization import MARKER
from model.inputs.vocabulary import embed_new_tokens, extend_tokenizer
from model.training.encoders.unigram_vocabulary import unigram_tokenizer

PIECES = ["▁", "▁love", "▁face", "▁target", "a", "😍"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "tokenizer.json").write_text(unigram_tokenizer(PIECES, [-9.0] * len(PIECES), unused=200))
    return tmp_path / "tokenizer.json"


def test_a_unigram_tokenizer_gets_the_marker_as_one_token(path: Path) -> None:
    description, names = extend_tokenizer(path, [])
    tokenizer = Tokenizer.from_str(description)

    marker = tokenizer.token_to_id(MARKER)
    assert marker is not None
    assert names[marker] == "target"
    assert tokenizer.encode(f"love {MARKER} love").tokens == ["[CLS]", "▁love", MARKER, "▁love", "[SEP]"]
    assert tokenizer.encode(f"a{MARKER}a").ids.count(marker) == 1
    assert len(json.loads(description)["model"]["vocab"]) == len(json.loads(path.read_text())["model"]["vocab"])


def test_an_emoji_with_a_piece_keeps_its_token(path: Path) -> None:
    before = Tokenizer.from_file(str(path)).token_to_id("😍")
    description, names = extend_tokenizer(path, ["😍 🦔"])
    assert Tokenizer.from_str(description).token_to_id("😍") == before
    assert before not in names
    assert "hedgehog" in names.values()


def test_a_new_token_starts_at_the_mean_of_its_names_pieces(path: Path) -> None:
    description, names = extend_tokenizer(path, [])
    tokenizer = Tokenizer.from_str(description)
    table = np.arange(tokenizer.get_vocab_size() * 2, dtype=np.float32).reshape(-1, 2)

    found = embed_new_tokens(table, names, tokenizer)

    assert found[tokenizer.token_to_id(MARKER)].tolist() == table[tokenizer.token_to_id("▁target")].tolist()
