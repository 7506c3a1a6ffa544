"""Exports that are recognised by their columns."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ingest.files.presets.catalogue import PRESETS, is_header, recognise
from ingest.files.presets.preset import joined
from ingest.files.reading.post_reader import PostReader, ReadOptions
from ingest.files.reading.row import Reject
from ingest.files.reading.row_mapping import OutgoingPost, resolve
from ingest.files.reading.row_reader import RowFile
from ingest.files.reading.time_zones import place_zone
from tests.support.workbooks import write_workbook

BRANDWATCH = [
    line.split("|")
    for line in (
        "Query Id|Query Name|Date|Title|Snippet|Full Text|Url|Domain|Language|Author|X Author ID",
        "1|Acme|2026-03-02 10:00:00.0|Acme Air late|…|Three hours &amp; no word|https://n.example/1|n.example|en||",
        "1|Acme|2026-03-02 10:01:00.0|Bags gone|…|Bags gone again|https://x.example/2|x.example|en|ann|'1570000001",
    )
]
MELTWATER = [
    line.split("|")
    for line in (
        "Date|Headline|URL|Opening Text|Hit Sentence|Source|Influencer|Language|Tweet Id",
        "15-Nov-2025 03:22PM|Acme Air|https://m.example/1|They lost a bag||Daily||English|",
        '15-Nov-2025 03:23PM||https://m.example/2|so late again||X|@ann|English|="1570000000000000001"',
        "15-Nov-2025 03:24PM||https://m.example/3|so late||X|@bo|English|1.57E+17",
    )
]
TALKWALKER = [
    line.split("|")
    for line in (
        "url|published|title|content|lang|source_type|extra_author_attributes.name|domain_url",
        "https://t.example/1|2026-03-02 10:00:00|Acme Air|They lost a bag|en|BLOG|Ann Bee|t.example",
        "https://t.example/2|2026-03-02 10:01:00||so late|en|ONLINENEWS||news.example",
        "|2026-03-02 10:02:00||no address|en|BLOG|Cy|t.example",
    )
]
SPRINKLR = [
    line.split("|")
    for line in (
        "Universal Message Id|Created Time|Title|Message|Permalink|Sender Screen Name|Sender Id|Language",
        "u1|2026-03-02 10:00:00||so late|https://s.example/1|ann|77|en",
        "u2|2026-03-02 10:01:00|Acme Air|They lost a bag|https://s.example/2|bo||en",
        "|2026-03-02 10:02:00||no message id|https://s.example/3|cy||en",
    )
]
COMMENT: dict[str, Any] = {"id": "k1", "body": "x", "author": "ann", "created_utc": 1_772_445_600, "link_id": "t3_a"}
POST: dict[str, Any] = COMMENT | {"title": "Acme Air", "selftext": "is late"}
V2 = {"id": "7", "text": "cut…", "created_at": "2026-03-02T10:00:00Z", "author_id": "5", "conversation_id": "7"}


def csv_file(folder: Path, rows: Sequence[Sequence[str]], *, codec: str = "utf-8") -> Path:
    path = folder / "export.csv"
    with path.open("w", newline="", encoding=codec) as file:
        csv.writer(file, delimiter="\t" if codec != "utf-8" else ",").writerows(rows)
    return path


def lines_file(folder: Path, *objects: Any) -> Path:
    (folder / "export.jsonl").write_text("".join(json.dumps(one) + "\n" for one in objects))
    return folder / "export.jsonl"


def read(path: Path) -> tuple[str, list[dict[str, Any] | Reject]]:
    """Name of the preset, and the posts."""
    file = RowFile(path, is_header=is_header)
    found = recognise(file.columns, is_json=file.format in ("json", "jsonl"))
    assert found is not None, file.columns
    file.derive(found.derived)
    options = ReadOptions("s", zone=place_zone("Europe/Berlin"))
    posts = PostReader(file, resolve(found.columns, file.columns), options).read()
    return found.preset.name, [json.loads(one.payload) if isinstance(one, OutgoingPost) else one for one in posts]  # type: ignore[misc]


def test_brandwatch_is_read_behind_its_preamble(tmp_path: Path) -> None:
    preamble = [["Report:", "Acme Air"], ["From:", "1 Mar 2026", "To:", "2 Mar 2026"], []]
    name, (news, post) = read(csv_file(tmp_path, [*preamble, *BRANDWATCH]))
    assert name == "brandwatch"
    assert isinstance(news, dict)
    assert isinstance(post, dict)
    assert (news["id"], news["author_id"]) == ("https://n.example/1", "n.example")
    assert news["text"] == "Acme Air late\n\nThree hours & no word"
    assert news["created_at"] == "2026-03-02T09:00:00Z"
    assert (post["author_id"], post["text"]) == ("1570000001", "Bags gone again")


def test_brandwatch_workbook_gives_the_same_posts(tmp_path: Path) -> None:
    book = write_workbook(tmp_path / "a.xlsx", {"Notes": [["x"]], "Mentions": [["Report"], *BRANDWATCH]})
    assert read(book) == read(csv_file(tmp_path, BRANDWATCH))


def test_meltwater_in_utf16_is_read_and_lost_ids_are_rejected(tmp_path: Path) -> None:
    name, (news, post, lost) = read(csv_file(tmp_path, MELTWATER, codec="utf-16"))
    assert name == "meltwater"
    assert isinstance(news, dict)
    assert isinstance(post, dict)
    assert (news["id"], news["text"]) == ("https://m.example/1", "Acme Air\n\nThey lost a bag")
    assert (news["author_id"], news["created_at"]) == ("Daily", "2025-11-15T14:22:00Z")
    assert (post["id"], post["author_id"]) == ("1570000000000000001", "@ann")
    assert isinstance(lost, Reject)
    assert "scientific notation" in lost.reason


@pytest.mark.parametrize(
    ("name", "rows", "expected"),
    [
        (
            "talkwalker",
            TALKWALKER,
            [
                ("https://t.example/1", "Acme Air\n\nThey lost a bag", "Ann Bee", "en"),
                ("https://t.example/2", "so late", "news.example", "en"),
                ("id", "is missing: an empty id"),
            ],
        ),
        (
            "sprinklr",
            SPRINKLR,
            [
                ("u1", "so late", "77", "en"),
                ("u2", "Acme Air\n\nThey lost a bag", "bo", "en"),
                ("https://s.example/3", "no message id", "cy", "en"),
            ],
        ),
    ],
)
def test_rows_of_unverified_presets_become_posts(
    tmp_path: Path, name: str, rows: Sequence[Sequence[str]], expected: list[tuple[str, ...]]
) -> None:
    found, posts = read(csv_file(tmp_path, rows))
    assert found == name
    assert [
        (one.field, one.reason)
        if isinstance(one, Reject)
        else (one["id"], one["text"], one["author_id"], one.get("lang"))
        for one in posts
    ] == expected
    assert [one["created_at"] for one in posts[:2] if isinstance(one, dict)] == [
        "2026-03-02T09:00:00Z",
        "2026-03-02T09:01:00Z",
    ]


def test_reddit_comments_that_are_gone_are_rejected(tmp_path: Path) -> None:
    gone: list[dict[str, Any]] = [
        {"body": "[deleted]"},
        {"body": "[removed]"},
        {"body": "y", "_meta": {"was_deleted_later": True}},
    ]
    rows = [COMMENT, *(COMMENT | {"id": f"k{n}"} | one for n, one in enumerate(gone, 2))]
    name, (first, *rest) = read(lines_file(tmp_path, *rows))
    assert name == "reddit-comments"
    assert isinstance(first, dict)
    assert (first["id"], first["created_at"]) == ("t1_k1", "2026-03-02T10:00:00Z")
    assert [(one.field, one.reason.split(" by ")[0]) for one in rest if isinstance(one, Reject)] == [
        ("text", "was deleted"),
        ("text", "was removed"),
        ("text", "was deleted later"),
    ]


def test_reddit_posts_join_the_title_and_part_deleted_authors(tmp_path: Path) -> None:
    rows = [
        {k: v for k, v in POST.items() if k not in ("body", "link_id")} | change
        for change in ({}, {"id": "k2", "selftext": "", "author": "[deleted]"}, {"id": "k3", "author": "[deleted]"})
    ]
    name, posts = read(lines_file(tmp_path, *rows))
    assert name == "reddit-posts"
    assert [(one["id"], one["text"], one["author_id"]) for one in posts if isinstance(one, dict)] == [
        ("t3_k1", "Acme Air\n\nis late", "ann"),
        ("t3_k2", "Acme Air", "deleted-k2"),
        ("t3_k3", "Acme Air\n\nis late", "deleted-k3"),
    ]


@pytest.mark.parametrize(
    ("preset", "content", "post"),
    [
        ("x-v2", {"data": [V2 | {"note_tweet": {"text": "long"}}], "includes": {}}, ("7", "long", "5")),
        (
            "x-v1",
            {"id_str": "8", "text": "a &lt; b", "created_at": "Mon Mar 02 10:00:00 +0000 2026", "user": {"id_str": "5"}},  # noqa: E501
            ("8", "a < b", "5"),
        ),
        (
            "bluesky",
            {"posts": [{"uri": "at://a/b/c", "author": {"did": "did:plc:1"},
                        "record": {"text": "hi", "createdAt": "2026-03-02T10:00:00Z"}}]},
            ("at://a/b/c", "hi", "did:plc:1"),
        ),
    ],
)  # fmt: skip
def test_platform_documents_are_recognised(
    tmp_path: Path, preset: str, content: dict[str, Any], post: tuple[str, str, str]
) -> None:
    name, (found,) = read(lines_file(tmp_path, content))
    assert name == preset
    assert isinstance(found, dict)
    assert (found["id"], found["text"], found["author_id"]) == post


def test_tweets_of_an_archive_belong_to_its_owner(tmp_path: Path) -> None:
    tweet = {"id_str": "9", "full_text": "I &amp; you", "created_at": "Mon Mar 02 10:00:00 +0000 2026", "lang": "en"}
    (tmp_path / "tweets.js").write_text("window.YTD.tweets.part0 = " + json.dumps([{"tweet": tweet}], indent=1))
    name, (post,) = read(tmp_path / "tweets.js")
    assert name == "x-archive"
    assert isinstance(post, dict)
    assert (post["id"], post["text"], post["author_id"]) == ("9", "I & you", "archive-owner")


def test_column_that_only_later_objects_have_is_read(tmp_path: Path) -> None:
    long = V2 | {"id": "8", "note_tweet": {"text": "the whole of a long post"}}
    _, posts = read(lines_file(tmp_path, *({"data": [V2 | {"id": f"a{n}"}]} for n in range(120)), {"data": [long]}))
    last = posts[-1]
    assert isinstance(last, dict)
    assert last["text"] == "the whole of a long post"


def test_posts_of_brandpulse_are_no_preset() -> None:
    assert recognise(["schema_version", "id", "text", "created_at", "author_id", "conversation_id"]) is None
    assert recognise(["id", "text", "created_at", "author_id"]) is None


def test_unverified_presets_say_so() -> None:
    found = recognise(["Date", "URL", "Headline", "Hit Sentence"])
    assert found is not None
    assert "not verified with real files" in found.line
    assert {preset.name for preset in PRESETS if not preset.verified} == {"meltwater", "talkwalker", "sprinklr"}


@pytest.mark.parametrize(
    ("title", "body", "text"),
    [
        ("Bags", "gone", "Bags\n\ngone"),
        ("Bags go…", "Bags gone", "Bags gone"),
        ("", "gone", "gone"),
        ("A", "", "A"),
        ("UPS", "upset", "UPS\n\nupset"),
    ],
)
def test_title_is_joined_unless_the_body_repeats_it(title: str, body: str, text: str) -> None:
    assert joined(title, body) == text
