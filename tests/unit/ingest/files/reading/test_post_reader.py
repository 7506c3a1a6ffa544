"""Posts of a file, and the summary of rejected rows."""

import csv
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from ingest.files.reading.post_reader import Duplicate, PostReader, ReadOptions
from ingest.files.reading.row import InputError, Reject
from ingest.files.reading.row_mapping import OutgoingPost, resolve
from ingest.files.reading.row_reader import RowFile

TIME = "2026-03-02T10:00:00Z"
HEADER = ["id", "text", "created_at", "author_id"]


def csv_file(folder: Path, rows: Sequence[Sequence[object]], header: Sequence[str] = HEADER) -> Path:
    path = folder / "posts.csv"
    with path.open("w", newline="") as sheet:
        csv.writer(sheet).writerows([header, *rows])
    return path


def json_file(folder: Path, *posts: dict[str, Any]) -> Path:
    path = folder / "posts.jsonl"
    base: dict[str, Any] = {"text": "hi", "created_at": TIME, "author_id": "ann"}
    path.write_text("".join(json.dumps(base | post) + "\n" for post in posts))
    return path


def reader(path: Path, mapping: Mapping[str, str] | None = None, **reading: Any) -> PostReader:
    file = RowFile(path)
    return PostReader(file, resolve(mapping or {}, file.columns), ReadOptions(**({"source": "posts"} | reading)))


def kinds(posts: PostReader) -> list[str]:
    return [type(made).__name__ for made in posts.read()]


def test_values_that_are_not_ids_are_rejected_by_cause(tmp_path: Path) -> None:
    ids = ["nan", "None", "#N/A", "0", "1.9E+18", "1899999999999990000"]
    rows = [[post_id, f"text {n}", TIME, f"p{n}"] for n, post_id in enumerate(ids * 2)]
    posts = reader(csv_file(tmp_path, rows))
    assert Counter(kinds(posts)) == {"Reject": 12}
    messages = "\n".join(posts.summary.lines())
    assert "rejected 6: id is not an id but a placeholder for a missing value (first in line 2: 'nan')" in messages
    assert "rejected 2: id is not an id: a spreadsheet rounded it to 15 digits" in messages
    assert "rejected 2: id is not an id: a spreadsheet rounded it to scientific notation" in messages


def rounded_ids(number: int) -> list[str]:
    """Ids of tweets as rounded by a spreadsheet: 15 digits, then zeros."""
    return [f"{569_748_316_776_325 + 7_919 * place}000" for place in range(number)]


def test_distinct_rounded_ids_are_accepted_with_a_note(tmp_path: Path) -> None:
    ids = rounded_ids(50)
    rows = [[post_id, f"text {n}", TIME, f"p{n}"] for n, post_id in enumerate(ids)]
    posts = reader(csv_file(tmp_path, [*rows, rows[0]]))
    assert Counter(kinds(posts)) == {"OutgoingPost": 50, "Duplicate": 1}
    assert "end in zeros, as if a spreadsheet had rounded them" in "\n".join(posts.summary.lines())


def test_rounded_id_of_two_posts_rejects_the_later_one(tmp_path: Path) -> None:
    """After the sampled rows: posts that were sent before cannot be undone."""
    ids = rounded_ids(1_100)
    rows = [[post_id, f"text {n}", TIME, f"p{n}"] for n, post_id in enumerate(ids)]
    posts = reader(csv_file(tmp_path, [*rows, [ids[7], "another text", TIME, "q"]]))
    made = list(posts.read())
    assert isinstance(made[-1], Reject)
    assert made[-1].line == 1_102
    assert "a spreadsheet rounded it to 15 digits" in made[-1].reason
    assert made[-1].reason.endswith("another post has the same")
    assert all(isinstance(one, OutgoingPost) for one in made[:-1])


def test_rounded_ids_are_rejected_if_two_posts_share_one(tmp_path: Path) -> None:
    rows = [[post_id, f"text {n}", TIME, f"p{n}"] for n, post_id in enumerate(rounded_ids(50) + rounded_ids(1))]
    assert Counter(kinds(reader(csv_file(tmp_path, rows)))) == {"Reject": 51}


def test_duplicates_with_other_content_are_reported(tmp_path: Path) -> None:
    rows = [["5", "one", TIME, "a"], ["5", "one", TIME, "a"], ["5", "two", TIME, "a"], ["5", "one", TIME, "b"]]
    posts = reader(csv_file(tmp_path, rows))
    assert kinds(posts) == ["OutgoingPost", "Duplicate", "Duplicate", "Duplicate"]
    assert posts.summary.changed == 2
    (message,) = posts.summary.lines()
    assert message.startswith("2 rows repeat the id of an earlier row with other content")
    assert "'5' in line 4, '5' in line 5" in message
    assert "--map" in message


@pytest.mark.parametrize("other", ["text", "created_at", "author_id"])
def test_any_changed_required_field_makes_a_duplicate_changed(tmp_path: Path, other: str) -> None:
    changed = {"id": "5", "text": "hello", "created_at": "2026-03-02T11:00:00Z", "author_id": "bob"}
    posts = reader(json_file(tmp_path, {"id": "5"}, {"id": "5"} | {other: changed[other]}))
    assert kinds(posts) == ["OutgoingPost", "Duplicate"]
    assert posts.summary.changed == 1


def test_decorated_ids_of_one_post_are_plain_duplicates(tmp_path: Path) -> None:
    dresses = ["123", '="123"', " 123", "123.0", "'123", "\u200b123", "１２３"]
    posts = reader(csv_file(tmp_path, [[dress, "hi", TIME, dress] for dress in dresses]))
    assert kinds(posts) == ["OutgoingPost", *["Duplicate"] * 6]
    assert posts.summary.changed == 0


def test_wrong_id_column_is_rejected_before_sending(tmp_path: Path) -> None:
    path = csv_file(tmp_path, [[n, f"text {n}", TIME, f"p{n % 3}"] for n in range(1, 30)])
    with pytest.raises(InputError, match=r"column 'author_id' does not contain ids: 26 of the first 29 posts .*--map"):
        reader(path, {"id": "author_id", "author_id": "author_id"})
    assert len(kinds(reader(path, {"id": "author_id"}, trust_ids=True))) == 29
    assert set(kinds(reader(path))) == {"OutgoingPost"}


def test_source_column_is_used_and_noted(tmp_path: Path) -> None:
    path = json_file(tmp_path, {"id": "5", "source": "reddit"}, {"id": "5", "source": "bluesky"}, {"id": "5"})
    posts = reader(path)
    made = [post for post in posts.read() if isinstance(post, OutgoingPost)]
    assert [post.source for post in made] == ["reddit", "bluesky", "posts"]
    assert [json.loads(post.payload)["source"] for post in made] == ["reddit", "bluesky", "posts"]
    assert any("its own source, from column 'source' (bluesky, reddit)" in line for line in posts.summary.lines())


def test_given_source_applies_to_all_rows_and_is_noted(tmp_path: Path) -> None:
    path = json_file(tmp_path, {"id": "5", "source": "reddit"}, {"id": "6", "source": "bluesky"})
    posts = reader(path, source="mine", source_is_given=True)
    assert [post.source for post in posts.read() if isinstance(post, OutgoingPost)] == ["mine", "mine"]
    assert any("'source' is not used, because --source is set" in line for line in posts.summary.lines())
    with pytest.raises(InputError, match="cannot go together"):
        reader(path, {"source": "source"}, source_is_given=True)


def test_column_of_apps_is_not_used_as_source_unless_mapped(tmp_path: Path) -> None:
    path = json_file(
        tmp_path, {"id": "5", "source": "Twitter for iPhone"}, {"id": "6", "source": '<a href="x">Web</a>'}
    )
    posts = reader(path)
    assert [post.source for post in posts.read() if isinstance(post, OutgoingPost)] == ["posts", "posts"]
    assert any("--map source=source" in line for line in posts.summary.lines())
    mapped = reader(path, {"source": "source"})
    assert next(post.source for post in mapped.read() if isinstance(post, OutgoingPost)) == "Twitter for iPhone"


def test_invalid_source_rejects_its_row(tmp_path: Path) -> None:
    path = json_file(tmp_path, {"id": "5", "source": "x" * 65, "schema_version": 1}, {"id": "6", "source": 7})
    found = list(reader(path).read())
    assert [made.field for made in found if isinstance(made, Reject)] == ["source", "source"]


def test_dropped_values_are_counted_by_field(tmp_path: Path) -> None:
    posts = [
        {"id": str(n), "lang": "English (United Kingdom)", "url": "x" * 2_100 if n == 3 else None} for n in range(1, 5)
    ]
    found = reader(json_file(tmp_path, *posts))
    assert kinds(found) == ["OutgoingPost"] * 4
    messages = found.summary.lines()
    assert messages[0].startswith(
        "4 posts are sent without lang, which is not a text of at most 16 characters (first in line 1"
    )
    assert messages[1].startswith("1 post is sent without url")
    assert found.summary.numbers()["dropped"] == {"lang": 4, "url": 1}


def test_date_order_comes_from_the_whole_file(tmp_path: Path) -> None:
    dates = ["3/2/2026 21:00 UTC"] * 1_500 + ["13/2/2026 21:00 UTC"]
    path = csv_file(tmp_path, [[n + 1, "x", date, "a"] for n, date in enumerate(dates)])
    posts = reader(path)
    assert {post.created_at.month for post in posts.read() if isinstance(post, OutgoingPost)} == {2}
    assert any("day first" in line and "--dates month-first" in line for line in posts.summary.lines())
    asked = reader(path, day_first=False)
    assert Counter(kinds(asked)) == {"OutgoingPost": 1_500, "Reject": 1}


def test_ambiguous_dates_without_evidence_are_rejected(tmp_path: Path) -> None:
    posts = reader(csv_file(tmp_path, [["1", "x", "3/2/2026 21:00 UTC", "a"]]))
    assert kinds(posts) == ["Reject"]
    assert "--dates day-first" in posts.summary.lines()[0]


def test_open_quote_is_reported_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "posts.csv"
    lines = [
        ",".join(HEADER),
        f"1,a,{TIME},p1",
        f'2,"Acme late,{TIME},p2',
        f"3,b,{TIME},p3",
        f'4,"Acme again",{TIME},p4',
    ]
    path.write_text("\n".join(lines) + "\n")
    posts = reader(path)
    assert kinds(posts) == ["OutgoingPost", "Reject", "OutgoingPost", "OutgoingPost"]
    assert "has a quote that is not closed (first in line 3" in posts.summary.lines()[0]


def test_duplicate_is_counted_once(tmp_path: Path) -> None:
    posts = reader(json_file(tmp_path, {"id": "1"}, {"id": 1}))
    assert [made for made in posts.read() if isinstance(made, Duplicate)] == [Duplicate(2)]
    assert posts.summary.lines() == []


def test_causes_beyond_the_limit_are_counted_together(tmp_path: Path) -> None:
    rows = [
        [n + 1, "x", f"2026-03-02 10:00 Zone{'abcdefghij'[n % 10]}{'abcdefghij'[n // 10 % 10]}{'klmno'[n // 100]}", "a"]
        for n in range(500)
    ]
    posts = reader(csv_file(tmp_path, rows))
    assert Counter(kinds(posts)) == {"Reject": 500}
    assert len(posts.summary.rejected) <= 201
    assert sum(cause.count for cause in posts.summary.rejected.values()) == 500
    assert len(posts.summary.lines()) == 9


def test_post_rejected_by_its_time_makes_no_duplicate(tmp_path: Path) -> None:
    late, other = "2027-01-01T00:00:00Z", "2026-03-02T11:00:00Z"
    posts = reader(json_file(tmp_path, {"id": "5", "created_at": late}, {"id": "5", "created_at": other}))
    made = list(posts.read(reject_reason=lambda at: "is far" if at.year == 2027 else None))
    assert made[0] == Reject(1, "created_at", late, "is far")
    assert isinstance(made[1], OutgoingPost)
    assert posts.summary.numbers() == {"causes": {"created_at is far": 1}, "dropped": {}, "changed": 0}
