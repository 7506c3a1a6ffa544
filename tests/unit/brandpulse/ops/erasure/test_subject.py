"""Which records belong to a post or an author, also those that cannot be read."""

import json

import pytest

from brandpulse.errors import ConfigError
from brandpulse.ops.erasure.kafka_records import Retention
from brandpulse.ops.erasure.subject import Subject
from brandpulse.schema.identity import AuthorHasher, author_hex
from brandpulse.state.erasure.erased_posts import PostId

POST = Subject.post(PostId("forum", "77"))
KIM = Subject.author("forum", "kim-r", ["new key", "old key"])


@pytest.mark.parametrize(
    ("subject", "key", "value", "theirs"),
    [
        (POST, b"77", b'{"id": "77", "source": "forum", "text": 1}', True),
        (POST, b"77", b'{"id": 77, "source": "forum"}', True),
        (POST, b"77", b'{"id": "77", "source": "other"}', False),
        (POST, b"770", b'{"id": "770", "source": "forum"}', False),
        (POST, b"77", b'{"id": "77", "source": "forum", "te', True),
        (POST, b"1", b"77 of 88", False),
        (KIM, b"1", b'{"id": "1", "source": "forum", "author_id": "kim-r"}', True),
        (KIM, b"1", b'{"id": "1", "source": "forum", "author_id": "kim-ro"}', False),
        (KIM, b"1", b'{"id": "1", "source": "forum", "author_id": "ann", "text": "kim-r"}', False),
        (KIM, b"1", b'{"id": "1", "source": "forum", "author_id": "kim-r", "text": "\xff', True),
        (KIM, b"1", b'{"source": "forum", "author_id": "kim-rose", "text": "\xff', False),
        (KIM, None, None, False),
    ],
)
def test_dead_letter_belongs_to_the_subject_it_names(
    subject: Subject, key: bytes | None, value: bytes | None, theirs: bool
) -> None:
    assert subject.owns_letter(key, value) is theirs


def test_author_is_found_under_the_current_and_the_former_key() -> None:
    for key in ("new key", "old key"):
        assert KIM.owns_scored({"source": "forum", "author": author_hex(AuthorHasher(key)("forum", "kim-r"))})
    assert not KIM.owns_scored({"source": "forum", "author": author_hex(AuthorHasher("third")("forum", "kim-r"))})


def test_author_id_that_names_no_person_is_rejected() -> None:
    with pytest.raises(ConfigError, match=r"\[deleted\]"):
        Subject.author("reddit", "[deleted]", ["key"])


@pytest.mark.parametrize(
    ("retention", "said"),
    [
        (Retention(), "does not say when"),
        (Retention("delete", None, 0), "for ever"),
        (Retention("compact", 1_000, 0), "until the topic is compacted"),
        (Retention("delete", 86_400_000, 2 * 86_400_000), "until 1970-01-02T00:00:00"),
        (Retention("delete", 86_400_000, 2 * 86_400_000), "up to 2 days later"),
    ],
)
def test_report_says_until_when_a_topic_keeps_a_record(retention: Retention, said: str) -> None:
    assert said in retention.describe(0)


def test_post_is_found_although_its_id_is_escaped_in_json() -> None:
    post = {"id": "caf\u00e9", "source": "forum"}
    assert Subject.post(PostId("forum", "caf\u00e9")).owns_letter(b"x", json.dumps(post).encode())
