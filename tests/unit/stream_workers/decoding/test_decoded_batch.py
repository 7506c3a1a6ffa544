"""The decoded batch. tests/contract/test_decoder_parity.py compares the native decoder."""

import sys

import pytest

from brandpulse.config.brands_file import Brand
from brandpulse.config.facets import Facet
from brandpulse.schema.identity import AuthorHasher, post_digest
from brandpulse.state.keys import MINUTE_MS
from brandpulse.text.brand_matcher import BrandMatcher
from stream_workers.aggregation.packed_ids import PackedIds, pack
from stream_workers.decoding.batch_decoder import NativeBatchDecoder, PythonBatchDecoder, fastest_decoder
from stream_workers.decoding.decoded_batch import DecodedBatch
from stream_workers.decoding.records import Record, Records
from tests.support.builders import NOON_MS, a_post, a_record

BRANDS = [Brand(name="Acme", terms=["acme"]), Brand(name="Bolt", terms=["bolt"], require=["car"])]
MATCHER = BrandMatcher(BRANDS, [Facet(name="refund", words=["refund"])])
HASH = AuthorHasher("key")


def read(*texts: str, first: int = 0) -> DecodedBatch:
    records = [
        a_record(a_post(str(first + at), text, NOON_MS + at * MINUTE_MS), first + at) for at, text in enumerate(texts)
    ]
    return PythonBatchDecoder(MATCHER, HASH).decode(Records.from_records(records))


def test_each_row_has_brands_facets_time_and_hashes() -> None:
    rows = read("acme refund", "nothing", "the bolt car of acme", "bolt alone")
    assert [rows.match(row).brands for row in range(4)] == [("Acme",), (), ("Acme", "Bolt"), ()]
    assert [rows.match(row).facets for row in (0, 2)] == [{0}, set()]
    assert rows.matched.tolist() == [0, 2]
    assert rows.event_ms.tolist() == [NOON_MS + at * MINUTE_MS for at in range(4)]
    assert [rows.digest(row) for row in rows.matched] == [post_digest("test", "0"), post_digest("test", "2")]
    assert rows.authors[rows.matched].tolist() == [HASH("test", "author-0"), HASH("test", "author-2")]
    assert rows.post(3).text == "bolt alone"


def test_row_without_a_post_is_dead_with_its_reason() -> None:
    records = [a_record(a_post("0", "acme")), Record(1, NOON_MS, b"k", b"junk"), Record(2, NOON_MS, None, None)]
    rows = PythonBatchDecoder(MATCHER, HASH).decode(Records.from_records(records))
    assert {row: letter.reason for row, letter in rows.dead.items()} == {1: "not_json", 2: "empty"}
    assert rows.dead[1].record == records[1]
    assert rows.matched.tolist() == [0]


def test_text_that_breaks_the_matcher_is_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    def fragile(text: str) -> tuple[tuple[str, ...], frozenset[int]]:
        if "?" in text:
            raise IndexError("unexpected")
        return ("Acme",), frozenset()

    monkeypatch.setattr(MATCHER, "match_with_facets", fragile)
    rows = read("acme", "acme?", "acme")
    assert (rows.dead[1].reason, rows.dead[1].message) == ("unmatchable", "IndexError: unexpected")
    assert rows.matched.tolist() == [0, 2]


def test_filter_by_time_keeps_wanted_and_dead_rows() -> None:
    rows = read("acme", "bolt car", "acme refund", "nothing")
    rows.mark_dead(0, "unmatchable", "x")
    filtered = rows.filter_by_time(lambda at_ms: at_ms >= NOON_MS + 2 * MINUTE_MS)
    assert filtered.records.offsets.tolist() == [0, 2, 3]
    assert (set(filtered.dead), filtered.matched.tolist()) == ({0}, [1])
    assert (filtered.match(1).brands, filtered.post(1).id, filtered.digest(1)) == (
        ("Acme",),
        "2",
        post_digest("test", "2"),
    )
    assert rows.filter_by_time(lambda _at: True) is rows


def test_concatenated_batches_equal_one_batch() -> None:
    first, second = read("nothing", "acme"), read("bolt car", "junk", "acme", first=2)
    second.mark_dead(1, "unscorable", "x")
    joined = DecodedBatch.concatenate([first, second])
    assert joined.records.offsets.tolist() == [0, 1, 2, 3, 4]
    assert joined.matched.tolist() == [1, 2, 4]
    assert [joined.match(row).brands for row in range(5)] == [(), ("Acme",), ("Bolt",), (), ("Acme",)]
    assert (set(joined.dead), joined.post(4).id) == ({3}, "4")
    assert [joined.digest(row) for row in joined.matched] == [post_digest("test", one) for one in "124"]


def test_without_native_code_python_decodes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(fastest_decoder(MATCHER, HASH, native=False), PythonBatchDecoder)
    monkeypatch.setitem(sys.modules, "stream_workers._native", None)
    assert isinstance(fastest_decoder(MATCHER, HASH), PythonBatchDecoder)


def test_packed_ids_are_a_sequence_of_ids() -> None:
    one, two, three = (post_digest("test", number) for number in "123")
    ids = PackedIds(one + two)
    ids.append(three)
    assert (list(ids), len(ids), ids[2], ids[-1], ids[:2]) == ([one, two, three], 3, three, three, [one, two])
    assert (pack(ids), pack([one, two])) == (one + two + three, one + two)
    ids.extend(ids.subrange(1, 2))
    assert ids == [one, two, three, two]
    with pytest.raises(IndexError):
        _ = ids[4]


def test_batch_that_breaks_native_code_is_decoded_in_python(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("stream_workers._native", reason="make native")

    class Broken:
        def decode(self, _values: object) -> None:
            raise RuntimeError("the native reader broke")

    reader = NativeBatchDecoder(MATCHER, HASH)
    monkeypatch.setattr(reader, "_native", Broken())
    rows = reader.decode(Records.from_records([a_record(a_post("7", "acme"), 7)]))
    assert rows.match(0).brands == ("Acme",)
    assert [line.__dict__["first_offset"] for line in caplog.records] == [7]
