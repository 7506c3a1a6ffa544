"""A rule kind is one module and one entry in the table of rule kinds."""

from collections.abc import Sequence
from typing import Any, Literal, get_args

from alerting.episodes.lifecycle import Decision, Memory, OpenEpisode, episode_key, minute_start
from alerting.evaluation.evaluator import RULE_KINDS, EvaluationReport, Evaluator
from alerting.evaluation.policies import Policies
from alerting.evaluation.rule_evaluator import BrandMinute, RuleContext, RuleViews
from alerting.notifications.routing import Route
from alerting.rules.models import CommonRule, Grouping, Rule, RuleSet
from alerting.store.memory_store import MemoryAlertStore
from alerting.store.pending_commit import RuleDecision
from brandpulse.state.author_lookup import KnownAuthors
from brandpulse.state.author_sketches import AuthorCounts
from brandpulse.state.keys import MINUTE_MS
from brandpulse.state.pane_reader import Minutes
from brandpulse.state.panes import Pane
from brandpulse.state.partition_state import PartitionStatus
from brandpulse.state.stored_posts import NegativePost, SampledPost, WindowPosts
from tests.support.alerting.episode_builders import an_episode
from tests.support.alerting.post_streams import MONDAY, PostStream
from tests.support.builders import a_status

BRANDS = ("Acme Air", "Blue Bank")
LAST = MONDAY + 10


class PostCountRule(CommonRule):
    """Fires if a brand has at least *posts* posts in the shortest window."""

    kind: Literal["post_count"] = "post_count"
    posts: int


class PostCountEvaluator:
    """Rule kind `post_count`."""

    def __init__(self, context: RuleContext) -> None:
        self.minutes: list[int] = []

    def read(self, rules: RuleSet, brands: Sequence[str], minutes: Sequence[int]) -> None:
        self.minutes = list(minutes)

    def decide(self, rules: RuleSet, minute: BrandMinute) -> list[RuleDecision]:
        window = minute.windows[0]
        every: Sequence[CommonRule] = rules.rules
        assert window.last_minute == self.minutes[minute.index]
        return [
            RuleDecision(minute.brand, rule.name, _fire(minute.brand, rule.name, window.last_minute))
            for rule in every
            if isinstance(rule, PostCountRule) and rule.applies_to(minute.brand)
            if window.posts >= rule.posts and (minute.brand, rule.name) not in minute.open_episodes
        ]

    def views(self) -> RuleViews:
        return RuleViews()


def _fire(brand: str, rule: str, minute: int) -> Decision:
    at = minute_start(minute + 1)
    episode = an_episode(episode_key(brand, rule, at), brand=brand, rule=rule, started_at=at, fired_at=at)
    return Decision("many posts", "triggered", OpenEpisode(episode, Memory(told_at=at)))


class StreamReader:
    """A stream in memory as a pane source; its past is empty."""

    def __init__(self, stream: PostStream) -> None:
        self._stream = stream

    def partitions(self) -> list[PartitionStatus]:
        return [a_status(clock_ms=(LAST + 1) * MINUTE_MS, lateness_ms=0, owner="worker-1", caught_up=False, lag=1)]

    def brands(self) -> list[str]:
        return self._stream.brands()

    def minutes(
        self, brands: Sequence[str], first_minute: int, last_minute: int, *, authors: bool = False
    ) -> dict[str, Minutes]:
        return {brand: self._stream.minutes(brand) for brand in brands}

    def hours(self, brands: Sequence[str], first_hour: int, last_hour: int) -> dict[str, dict[int, Pane]]:
        return {brand: {} for brand in brands}

    def hour_authors(
        self, brands: Sequence[str], first_hour: int, last_hour: int
    ) -> dict[str, dict[int, AuthorCounts]]:
        return {brand: {} for brand in brands}

    def negatives(self, brand: str, limit: int) -> list[NegativePost]:
        return []

    def window_posts(self, series: str, first_ms: int, end_ms: int) -> WindowPosts:
        return WindowPosts()

    def known_authors(self, brand: str, before_ms: int) -> KnownAuthors:
        return KnownAuthors([])

    def samples(self, brand: str, first_day: int, last_day: int) -> dict[int, list[SampledPost]]:
        return {}


def evaluated(rules: RuleSet) -> tuple[EvaluationReport, MemoryAlertStore]:
    """The report of one evaluation over ten minutes, in the last of which Acme Air has five posts."""
    stream = PostStream()
    for brand in BRANDS:
        stream.post(brand, MONDAY)
    for _ in range(5):
        stream.post("Acme Air", LAST)
    store = MemoryAlertStore()
    token = store.acquire("me", lease_ms=1_000)
    assert token is not None
    evaluator = Evaluator(
        StreamReader(stream),
        store,
        token=token,
        policies=Policies(),
        routes=[Route("pager")],
        rules=lambda: rules,
        kinds={**RULE_KINDS, "post_count": PostCountEvaluator},
    )
    return evaluator.evaluate((LAST + 1) * MINUTE_MS), store


def test_a_fourth_rule_kind_pages_through_the_table_alone() -> None:
    rules: Any = (PostCountRule(name="many_posts", posts=5),)
    report, store = evaluated(RuleSet.model_construct(rules=rules, grouping=Grouping()))
    fired = [(episode.brand, episode.rule, transition) for episode, transition, _ in report.transitions]
    assert fired == [("Acme Air", "many_posts", "triggered")]
    assert [delivery.notification.receiver for delivery in store.pending()] == ["pager"]
    assert [episode.rule for episode in report.open] == ["many_posts"]


def test_every_kind_of_the_rules_file_has_an_evaluator() -> None:
    union = get_args(get_args(Rule)[0])
    kinds = {get_args(rule.model_fields["kind"].annotation)[0] for rule in union}
    assert kinds == set(RULE_KINDS)
