"""The score of authors who behave like a bot."""

import pytest

from alerting.detection.votes.author_behaviour import BehaviourPost, noise_score
from brandpulse.state.keys import MINUTE_MS


def posts(number: int, *, minutes: float = 1, texts: int | None = None, link: bool = False) -> list[BehaviourPost]:
    return [
        BehaviourPost(int(at * minutes * MINUTE_MS), at % (texts or number), 1 if link else 12, link)
        for at in range(number)
    ]


@pytest.mark.parametrize(
    ("written", "least", "most"),
    [
        (posts(2, texts=1, link=True), 0.0, 0.0),
        (posts(5), 0.0, 0.0),
        (posts(60), 0.6, 0.6),
        (posts(60, minutes=30), 0.0, 0.0),
        (posts(3, texts=1), 0.6, 0.7),
        (posts(10, texts=1, minutes=60), 0.9, 0.9),
        (posts(4, link=True), 1.0, 1.0),
        (posts(30, texts=10), 0.85, 0.9),
    ],
    ids=["few", "usual", "many", "slow", "three repeats", "ten repeats", "only links", "many and repeated"],
)
def test_a_score_follows_from_rate_repeats_and_links(written: list[BehaviourPost], least: float, most: float) -> None:
    assert least - 1e-9 <= noise_score(written) <= most + 1e-9
