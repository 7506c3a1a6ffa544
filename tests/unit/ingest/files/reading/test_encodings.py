"""The encoding of a file."""

import codecs

import pytest

from ingest.files.reading.encodings import EncodingError, detect_encoding, guess_encodings

POSTS = {
    "cp1251": "Рейс снова отменили, деньги так и не вернули",
    "koi8_r": "Очень плохое обслуживание, больше не полечу",
    "gb18030": "退款等了三个星期还没有到账，真的很生气",
    "big5": "等了三個小時沒有人回應，非常失望",
    "shift_jis": "三時間も待たされました。二度と使いません。",
    "euc_jp": "荷物が届きません。返金してください。",
    "euc_kr": "세 시간을 기다렸는데 아무도 답이 없어요",
    "cp1252": "Três horas de espera e ninguém responde – péssimo serviço",
    "cp1250": "Czekałem trzy godziny, nikt nie odpowiedział, wstyd",
    "cp1254": "Üç saat bekledik, kimse cevap vermedi, çok kötüydü şaka gibi",
    "cp1253": "Περίμενα τρεις ώρες και κανείς δεν απάντησε",
    "cp1256": "انتظرت ثلاث ساعات ولم يرد أحد",
    "cp874": "รอสามชั่วโมงไม่มีใครตอบ",
}
"""Sentences that were not used for choosing the weights."""


def written(codec: str) -> bytes:
    return "".join(f"{number},{POSTS[codec]},2026-03-02T10:00:00Z,user{number}\n" for number in range(20)).encode(codec)


@pytest.mark.parametrize("codec", POSTS)
def test_correct_encoding_is_among_the_three_suggestions(codec: str) -> None:
    data = written(codec)
    assert data.decode(codec) in [data.decode(found) for found in guess_encodings(data)[:3]]


def test_most_encodings_are_the_first_guess() -> None:
    hits = [
        codec
        for codec in POSTS
        if written(codec).decode(guess_encodings(written(codec))[0]) == written(codec).decode(codec)
    ]
    assert len(hits) >= 11, sorted(set(POSTS) - set(hits))


@pytest.mark.parametrize("codec", POSTS)
def test_text_that_is_not_utf8_raises_an_error_with_a_remedy(codec: str) -> None:
    with pytest.raises(EncodingError, match=r"is not UTF-8 from line 1 on.*--encoding \w+ reads"):
        detect_encoding(written(codec))
    assert codecs.lookup(detect_encoding(written(codec), named=codec).codec) == codecs.lookup(codec)


def test_single_invalid_rows_leave_a_file_utf8() -> None:
    assert detect_encoding("é,1\n".encode() * 3 + b"caf\xe9,2\n" * 2).is_utf8
    assert detect_encoding(b"a,1\ncaf\xe9,2\n").is_utf8
    assert detect_encoding("é".encode() * 40_000 + b"\xc3").is_utf8


def test_encoding_that_does_not_match_is_rejected() -> None:
    with pytest.raises(EncodingError, match="of the first 21 lines are not ascii"):
        detect_encoding(written("cp1251"), named="ascii")
