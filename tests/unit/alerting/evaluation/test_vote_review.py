"""A campaign of one text does not page; the same number of people with texts of their own does."""

import random
from collections.abc import Sequence

import pytest

from alerting.detection import vote_review
from alerting.detection.hour_history import HourHistory
from alerting.detection.share_baseline import BaselinePolicy
from alerting.detection.share_detector import DetectPolicy, WindowCounts
from alerting.detection.vote_review import VoteReviewer
from alerting.detection.votes.copied_votes import Uncounted, VotePolicy
from alerting.evaluation.evaluator import EvaluationReport, Evaluator
from alerting.evaluation.policies import Policies
from alerting.notifications.routing import Route
from alerting.store.memory_store import MemoryAlertStore
from brandpulse.state.author_lookup import KnownAuthors
from brandpulse.state.author_sketches import AuthorCounts
from brandpulse.state.keys import HOUR_MS, MINUTE_MS
from brandpulse.state.pane_reader import Minutes
from brandpulse.state.panes import Pane
from brandpulse.state.partition_state import PartitionStatus
from brandpulse.state.stored_posts import HourPost, NegativePost, SampledPost, WindowPosts
from tests.support.alerting.post_streams import MONDAY, PostStream
from tests.support.builders import a_status

BRAND = "Acme Air"
CAMPAIGN = MONDAY + 720
TEXT = "Acme Air lost my bag in Bergen again and nothing happens, so I want a refund"
POLICIES = Policies(detect=DetectPolicy(min_history_hours=6))


class CampaignReader:
    """Twelve calm hours, then 40 negative accounts in ten minutes, and what they wrote."""

    def __init__(self, texts: Sequence[str], *, begin: int = MONDAY, praise: Sequence[str] = ()) -> None:
        self.stream = PostStream()
        self.negative: list[HourPost] = []
        self.others: list[HourPost] = []
        draw = random.Random(3)
        for minute in range(begin, CAMPAIGN + 20):
            for _ in range(2):
                self._post(minute, f"post {draw.random()}"[:12], negative=draw.random() < 0.2)
        for number, text in enumerate(texts):
            self._post(CAMPAIGN + number // 4, text, negative=True)
        for number, text in enumerate(praise):
            self._post(CAMPAIGN + number // 20, text, negative=False)
        self.until = CAMPAIGN

    def _post(self, minute: int, text: str, *, negative: bool) -> None:
        author = len(self.negative) + len(self.others)
        self.stream.post(BRAND, minute, negative=negative, author=author)
        name = f"{author:016x}"
        (self.negative if negative else self.others).append(
            HourPost(id=name, source="forum", text=text, created_ms=minute * MINUTE_MS, author=name, negative=0.5)
        )

    def partitions(self) -> list[PartitionStatus]:
        return [a_status(clock_ms=self.until * MINUTE_MS, lateness_ms=0, owner="worker-1", caught_up=False, lag=1)]

    def brands(self) -> list[str]:
        return self.stream.brands()

    def minutes(
        self, brands: Sequence[str], first_minute: int, last_minute: int, *, authors: bool = False
    ) -> dict[str, Minutes]:
        return {brand: self.stream.minutes(brand) for brand in brands}

    def hours(self, brands: Sequence[str], first_hour: int, last_hour: int) -> dict[str, dict[int, Pane]]:
        return {brand: dict.fromkeys(range(MONDAY // 60, CAMPAIGN // 60), Pane(neutral=1)) for brand in brands}

    def hour_authors(
        self, brands: Sequence[str], first_hour: int, last_hour: int
    ) -> dict[str, dict[int, AuthorCounts]]:
        return {
            brand: {hour: seen for hour, seen in self.stream.hours(brand).items() if first_hour <= hour <= last_hour}
            for brand in brands
        }

    def negatives(self, brand: str, limit: int) -> list[NegativePost]:
        return []

    def window_posts(self, series: str, first_ms: int, end_ms: int) -> WindowPosts:
        negative, others = (
            [post for post in posts if first_ms <= post.created_ms < end_ms] for posts in (self.negative, self.others)
        )
        return WindowPosts(negative, others)

    def known_authors(self, brand: str, before_ms: int) -> KnownAuthors:
        return KnownAuthors([])

    def samples(self, brand: str, first_day: int, last_day: int) -> dict[int, list[SampledPost]]:
        return {}


def evaluated(reader: CampaignReader, *, policy: VotePolicy | None = None) -> list[EvaluationReport]:
    """A report of each of 15 minutes from the beginning of the campaign."""
    store = MemoryAlertStore()
    token = store.acquire("me", lease_ms=1_000)
    assert token is not None
    policies = Policies(detect=POLICIES.detect, votes=policy or VotePolicy())
    evaluator = Evaluator(reader, store, token=token, policies=policies, routes=[Route("pager")])
    reports = []
    for reader.until in range(CAMPAIGN, CAMPAIGN + 15):
        reports.append(evaluator.evaluate(reader.until * MINUTE_MS))
    return reports


def opened(reports: Sequence[EvaluationReport]) -> list[str]:
    return [change for report in reports for episode, change, _ in report.transitions if episode.brand == BRAND]


def different_texts(number: int) -> list[str]:
    words = random.Random(5)
    return [" ".join(words.choices("abcdefghijklmnopqrstuvwxyz", k=40)) for _ in range(number)]


def test_forty_accounts_with_one_text_do_not_page() -> None:
    reports = evaluated(CampaignReader([f"{TEXT} {number}" for number in range(40)]))
    assert opened(reports) == []
    [seen] = [view.finding for view in reports[-1].views.values()]
    assert seen.window is not None
    assert seen.window.copied == 19  # 24 of them are in its ten minutes


def test_forty_accounts_with_texts_of_their_own_page() -> None:
    reports = evaluated(CampaignReader(different_texts(40)))
    assert opened(reports)[:1] == ["triggered"]
    [first] = [one.first for one in reports[-1].open if one.brand == BRAND]
    assert (first.copied_authors, first.excluded_authors) == (0, 0)


def test_forty_accounts_with_one_text_page_without_a_limit() -> None:
    texts = [f"{TEXT} {number}" for number in range(40)]
    reports = evaluated(CampaignReader(texts), policy=VotePolicy(votes_per_text=1_000))
    assert opened(reports)[:1] == ["triggered"]
    [first] = [one.first for one in reports[-1].open if one.brand == BRAND]
    assert first.one_text_accounts is not None
    assert first.one_text_accounts > 8
    assert first.shown_accounts is not None
    assert first.shown_accounts >= first.one_text_accounts


@pytest.mark.parametrize("same", [True, False])
def test_copied_praise_does_not_hide_a_rise(same: bool) -> None:
    praise = [f"Acme Air made my whole week, the crew was lovely and all on time {number}" for number in range(300)]
    reader = CampaignReader(
        different_texts(40), begin=CAMPAIGN - 36 * 60, praise=praise if same else different_texts(340)[40:]
    )
    assert ("triggered" in opened(evaluated(reader))) is same


def reviewed(store: MemoryAlertStore, reader: CampaignReader, last_minute: int) -> tuple[list[WindowCounts], ...]:
    history = HourHistory(reader, BaselinePolicy())
    history.read([BRAND], before_hour=last_minute // 60 - 2)
    windows = [WindowCounts(last_minute, 180)]
    return VoteReviewer(reader.window_posts, store, VotePolicy()).review(BRAND, windows, history, (9,))


def test_a_new_leader_uses_what_was_saved_of_past_hours() -> None:
    store, reader = MemoryAlertStore(), CampaignReader([f"{TEXT} {number}" for number in range(40)])
    # The hour of the campaign is now before the longest window, and its posts are still stored.
    last_minute = CAMPAIGN + 4 * 60 - 1
    _, [slow] = reviewed(store, reader, last_minute)
    assert slow.copied == 35
    assert store.uncounted_votes() == {(BRAND, CAMPAIGN // 60): Uncounted(copied=35, copied_negative=35)}
    reader.negative, reader.others = [], []
    _, [later] = reviewed(store, reader, last_minute + 60)
    assert later.copied == 35
    reviewed(store, reader, last_minute + 60 * 60)
    assert store.uncounted_votes() == {}


@pytest.mark.parametrize("hours", [3, 4])
def test_posts_are_read_while_they_are_stored(hours: int) -> None:
    asked: list[tuple[int, int]] = []

    def stored(_series: str, first_ms: int, end_ms: int) -> WindowPosts:
        asked.append((first_ms, end_ms))
        return WindowPosts()

    reader = CampaignReader([])
    last_minute = CAMPAIGN + hours * 60 - 1
    history = HourHistory(reader, BaselinePolicy())
    VoteReviewer(stored, MemoryAlertStore(), VotePolicy()).review(BRAND, [WindowCounts(last_minute, 180)], history, ())
    assert asked == [((last_minute // 60 - 4) * HOUR_MS, (last_minute + 1) * MINUTE_MS)]


def test_reviews_stop_at_the_limit_of_posts_and_begin_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vote_review, "MAX_POSTS", 60)
    reader = CampaignReader([f"{TEXT} {number}" for number in range(40)])
    reviewer = VoteReviewer(reader.window_posts, MemoryAlertStore(), VotePolicy())
    history, windows = HourHistory(reader, BaselinePolicy()), [WindowCounts(CAMPAIGN + 15, 180, 400, 100, 400, 100)]
    first, second = ([reviewer.review(BRAND, windows, history, ())[0][0].copied] for _ in range(2))
    assert (first[0] is not None, second) == (True, [None])
    reviewer.reset_limits()
    assert reviewer.review(BRAND, windows, history, ())[0][0].copied == first[0]
