import json

from brandpulse.posts import ScoredPost
from stream_workers.hand_over import encode_scored
from tests.builders import NOON_MS, a_scored, rfc3339


def test_what_is_written_is_a_scored_post_and_nothing_more() -> None:
    written = encode_scored(a_scored("7", "negative", brands=("Acme", "Bolt"), offset=12), "log-1", 3, "m@1")
    assert set(json.loads(written)) == set(ScoredPost.model_fields)
    post = ScoredPost.model_validate_json(written)
    assert (post.id, post.topic_id, post.partition, post.offset, post.model) == ("7", "log-1", 3, 12, "m@1")
    assert [(mention.brand, mention.sentiment) for mention in post.brands] == [
        ("Acme", "negative"),
        ("Bolt", "negative"),
    ]
    assert post.created_at.isoformat() == rfc3339(NOON_MS)
    assert post.probabilities == [0.8, 0.15, 0.05]
    assert len(post.author) == 16
