"""Adds the marker and emoji to the encoder's tokenizer, in unused slots of its vocabulary."""

import json
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from brandpulse.text.normalization import EMOJI, MARKER

_UNUSED = re.compile(r"\[unused\d+\]")
_FACES = ((0x1F600, 0x1F64F), (0x1F910, 0x1F92F), (0x1F970, 0x1F97A), (0x1F440, 0x1F450), (0x1F490, 0x1F49F))
"""Faces, hands and hearts are always added, because their names state their meaning."""


def extend_tokenizer(tokenizer: Path, texts: Iterable[str]) -> tuple[str, dict[int, str]]:
    """The tokenizer file as JSON with tokens for the marker and each emoji of *texts*, and id -> name of new tokens.

    Tokens that exist already are not returned: they keep their trained embeddings. The marker has the name `target`.
    """
    description: dict[str, Any] = json.loads(tokenizer.read_text(encoding="utf-8"))
    known = _token_places(description["model"])
    free = sorted((place, word) for word, place in known.items() if _UNUSED.fullmatch(word))
    missing = [sign for sign in [MARKER, *_emoji(texts)] if sign not in known]
    names: dict[int, str] = {}
    for sign, (place, word) in zip(missing, free, strict=False):
        _rename(description["model"], word, sign, place)
        names[place] = "target" if sign == MARKER else unicodedata.name(sign).lower().replace("-", " ")
        description["added_tokens"].append(
            {"id": place, "content": sign, "single_word": False, "lstrip": False, "rstrip": False}
            | {"normalized": False, "special": True}
        )
    return json.dumps(description, ensure_ascii=False), names


def _token_places(model: Mapping[str, Any]) -> dict[str, int]:
    """Token -> id. WordPiece stores a mapping, Unigram a list of [token, log probability]."""
    vocabulary = model["vocab"]
    if isinstance(vocabulary, list):
        return {token: place for place, (token, _) in enumerate(vocabulary)}
    return dict(vocabulary)


def _rename(model: Mapping[str, Any], word: str, sign: str, place: int) -> None:
    vocabulary = model["vocab"]
    if isinstance(vocabulary, list):
        vocabulary[place][0] = sign
    else:
        del vocabulary[word]
        vocabulary[sign] = place


def embed_new_tokens(
    table: npt.NDArray[np.float32], names: dict[int, str], tokenizer: Tokenizer
) -> npt.NDArray[np.float32]:
    """*table* (words, width) with each new token at the mean of its name's word pieces: 😡 starts as "pouting face"."""
    table = table.copy()
    for place, name in names.items():
        pieces: Sequence[int] = tokenizer.encode(name, add_special_tokens=False).ids
        table[place] = table[pieces].mean(axis=0)
    return table


def _emoji(texts: Iterable[str]) -> list[str]:
    signs = {chr(code) for first, last in _FACES for code in range(first, last + 1)}
    for text in texts:
        if not text.isascii():
            signs.update(EMOJI.findall(text))
    return sorted(sign for sign in signs if unicodedata.name(sign, ""))
