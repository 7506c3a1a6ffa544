"""Sets of ids in little memory."""

from hypothesis import given
from hypothesis import strategies as st

from ingest.id_set import IdSet


@given(st.lists(st.text(max_size=3)))
def test_id_set_behaves_like_a_set(ids: list[str]) -> None:
    memory, seen = IdSet(), set[str]()
    for post_id in ids:
        assert (post_id in memory) == (post_id in seen)
        assert memory.add(post_id) == (post_id not in seen)
        seen.add(post_id)
    assert len(memory) == len(seen)


def test_id_set_grows_and_keeps_all_ids() -> None:
    memory = IdSet()
    ids = [f"post-{number}" for number in range(10_000)]
    assert all(memory.add(post_id) for post_id in ids)
    assert not any(memory.add(post_id) for post_id in ids)
    assert "post-10000" not in memory
