"""Reduces the vocabulary of a Unigram tokenizer to the pieces that given texts need, and writes the tokenizer.

Two thirds of a multilingual encoder are its word table, most of it for languages that a model is not used for.
"""

import json
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any

from tokenizers import Tokenizer

SPECIAL = ("[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]")
"""The first tokens, under the names of BERT. Padding is 0, as in every batch of this package."""
SPACE = "▁"
_BATCH = 4096


def unigram_tokenizer(pieces: Sequence[str], scores: Sequence[float], *, unused: int = 0) -> str:
    """A tokenizer of `SPECIAL`, *pieces* with their *scores* (log probabilities) and *unused* slots, as JSON.

    The slots are for `model.inputs.vocabulary.extend_tokenizer`. Text is split at white space; each word starts with
    `SPACE`. Characters without a piece become [UNK].
    """
    least = min(scores, default=0.0)
    slots = [[f"[unused{number}]", least] for number in range(unused)]
    known = [[piece, float(score)] for piece, score in zip(pieces, scores, strict=True)]
    added = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    begin, end = ({"SpecialToken": {"id": name, "type_id": 0}} for name in ("[CLS]", "[SEP]"))
    single: list[dict[str, Any]] = [begin, {"Sequence": {"id": "A", "type_id": 0}}, end]
    description = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": place, "content": name} | added for place, name in enumerate(SPECIAL)],
        "normalizer": {"type": "NFKC"},
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "WhitespaceSplit"},
                {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": "always", "split": True},
            ],
        },
        "post_processor": {
            "type": "TemplateProcessing",
            "single": single,
            "pair": [*single, {"Sequence": {"id": "B", "type_id": 0}}, end],
            "special_tokens": {
                name: {"id": name, "ids": [SPECIAL.index(name)], "tokens": [name]} for name in ("[CLS]", "[SEP]")
            },
        },
        "decoder": {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": "always", "split": True},
        "model": {
            "type": "Unigram",
            "unk_id": SPECIAL.index("[UNK]"),
            "vocab": [*([name, 0.0] for name in SPECIAL), *known, *slots],
            "byte_fallback": False,
        },
    }
    return json.dumps(description, ensure_ascii=False)


def needed_pieces(
    pieces: Sequence[str], scores: Sequence[float], texts: Iterable[str], *, size: int, rare: int = 2
) -> list[int]:
    """The indexes of at most *size* of *pieces*, in their order; *texts* are normalized.

    First each single character of the writing systems in *texts*, so that none of their words is unknown; then the
    pieces that occur in *texts* *rare* times or more, most frequent first; then those with the highest score that
    consist of characters of these writing systems. Raises ValueError if *size* is too small for the characters.
    """
    counts, systems = _count_pieces(pieces, scores, texts)
    written = [at for at, piece in enumerate(pieces) if piece and _systems(piece) <= systems]
    kept = {at for at in written if len(piece := pieces[at]) == 1 or (len(piece) == 2 and piece[0] == SPACE)}
    if len(kept) > size:
        raise ValueError(f"{size} pieces do not suffice for the {len(kept)} characters of the texts' writing systems")
    frequent = [at for at, count in counts.most_common() if count >= rare]
    by_score = sorted(written, key=lambda at: -scores[at])
    for at in [*frequent, *by_score]:
        if len(kept) == size:
            break
        kept.add(at)
    return sorted(kept)


def _count_pieces(
    pieces: Sequence[str], scores: Sequence[float], texts: Iterable[str]
) -> tuple[Counter[int], frozenset[str]]:
    """How often *texts* contain each piece, and the writing systems of one in a thousand of their letters or more."""
    tokenizer = Tokenizer.from_str(unigram_tokenizer(pieces, scores))
    counts: Counter[int] = Counter()
    letters: Counter[str] = Counter()
    for batch in _batches(texts):
        for encoding in tokenizer.encode_batch_fast(batch, add_special_tokens=False):
            counts.update(encoding.ids)
        letters.update("".join(batch))
    systems: Counter[str] = Counter()
    for letter, count in letters.items():
        systems[_system(letter)] += count
    least = systems.total() / 1_000
    first = len(SPECIAL)
    found = Counter({token - first: count for token, count in counts.items() if token >= first})
    return found, frozenset(name for name, count in systems.items() if count >= least) | {""}


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(texts)
    while batch := list(islice(rest, _BATCH)):
        yield batch


def _systems(piece: str) -> frozenset[str]:
    return frozenset(map(_system, piece.replace(SPACE, "")))


@lru_cache(maxsize=65_536)
def _system(character: str) -> str:
    """The writing system of a letter, e.g. `LATIN`: the first word of its name. Empty for other characters."""
    if unicodedata.category(character)[0] not in "LM":
        return ""
    return unicodedata.name(character, "?").split()[0].split("-")[0]
