import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from alerting.detection.share_detector import Baseline, DetectPolicy, Finding, WindowCounts
from alerting.episodes.lifecycle import (
    Decision,
    EpisodePolicy,
    OpenEpisode,
    decide,
    episode_key,
    minute_start,
    severity_of,
)
from brandpulse.state.keys import MINUTE_MS
from tests.support.alerting.episode_builders import an_evidence
from tests.support.alerting.post_streams import MONDAY
from tests.unit.alerting.episodes.test_lifecycle_machine import finding

DETECT = DetectPolicy()
POLICY = EpisodePolicy()
USUAL = Baseline(share=0.2, rho=0.006, hours=300, authors=20_000)


def a_finding(state: str, *, minute: int = MONDAY, share: float = 0.2, authors: int = 100) -> Finding:
    """The finding of the detector with *state* at *minute*."""
    window = WindowCounts(minute, 15, authors, round(authors * share), authors, round(authors * share))
    match state:
        case "no data":
            return Finding("no data", DETECT, USUAL, stream_alive=False)
        case "no posts":
            return Finding("no data", DETECT, USUAL, WindowCounts(minute, 180))
        case "warming up":
            return Finding("warming up", DETECT, None, window)
        case "too little evidence":
            return Finding("too little evidence", DETECT, USUAL, window, newest=window)
        case "normal":
            return Finding("normal", DETECT, USUAL, window, window, window)
        case _:
            return Finding("spike", DETECT, USUAL, window, window, window)


def after(*findings: tuple[str, float]) -> list[Decision]:
    """The decisions of one finding a minute, each a state and a share."""
    opened: OpenEpisode | None = None
    decisions = []
    for number, (state, share) in enumerate(findings):
        minute = MONDAY + number
        decision = decide(
            "Acme Air", opened, a_finding(state, minute=minute, share=share), minute=minute, minutes=1, policy=POLICY
        )
        opened = decision.after
        decisions.append(decision)
    return decisions


def transitions(decisions: list[Decision]) -> list[tuple[int, str]]:
    """Minute and transition, where one happened."""
    return [(number, one.transition) for number, one in enumerate(decisions) if one.transition is not None]


def severity(inside: int, authors: int, usual: float, policy: EpisodePolicy) -> str:
    share = inside / authors
    return severity_of(
        an_evidence(authors=authors, negative_authors=inside, negative_share=share, baseline_share=usual), policy
    )


BY_RATIO = EpisodePolicy(error_ratio=4, critical_ratio=8)


@pytest.mark.parametrize(
    ("inside", "authors", "usual", "expected"),
    [
        (90, 1_000, 0.03, "warning"),  # trebled
        (145, 1_000, 0.03, "error"),
        (270, 1_000, 0.03, "critical"),
        (45, 1_000, 0.005, "warning"),  # nine times, and less than .05 more
        (70, 1_000, 0.005, "error"),  # fourteen times, and less than .0875 more
        (110, 1_000, 0.005, "critical"),
        (290, 1_000, 0.1, "warning"),
        (310, 1_000, 0.1, "error"),  # by its rise of .20
        (460, 1_000, 0.1, "critical"),
        (5, 30, 0.03, "warning"),  # five times three per cent, and may be luck
        (610, 1_000, 0.4, "error"),
    ],
)
def test_a_small_share_that_multiplies_is_severe(inside: int, authors: int, usual: float, expected: str) -> None:
    assert severity(inside, authors, usual, BY_RATIO) == expected


def test_without_ratios_only_the_rise_sets_the_severity() -> None:
    assert severity(190, 1_000, 0.01, EpisodePolicy()) == "warning"
    assert severity(220, 1_000, 0.01, EpisodePolicy()) == "error"
    assert severity(900, 1_000, 0.01, EpisodePolicy(max_severity="warning")) == "warning"


SPIKE, CALM, UP, NOTHING = ("spike", 0.5), ("normal", 0.2), ("normal", 0.4), ("no data", 0.0)
FEW, QUIET = ("too little evidence", 0.2), ("no posts", 0.0)


@pytest.mark.parametrize(
    ("story", "expected"),
    [
        ([CALM] * 5, []),
        ([SPIKE] * 30, [(0, "triggered")]),
        ([SPIKE] * 61, [(0, "triggered"), (30, "updated"), (60, "updated")]),
        ([SPIKE] + [CALM] * 16, [(0, "triggered")]),
        ([SPIKE] + [CALM] * 17, [(0, "triggered"), (17, "resolved")]),
        ([SPIKE] + [CALM] * 10 + [UP] * 10 + [CALM] * 16, [(0, "triggered")]),
        ([SPIKE] + [CALM] * 10 + [UP] * 10 + [CALM] * 17, [(0, "triggered"), (37, "resolved")]),
        ([SPIKE] + [CALM] * 10 + [NOTHING] * 100 + [CALM] * 6, [(0, "triggered")]),
        ([SPIKE] + [CALM] * 10 + [NOTHING] * 100 + [CALM] * 7, [(0, "triggered"), (117, "resolved")]),
        ([SPIKE] + [NOTHING] * 2_000, [(0, "triggered")]),
        ([SPIKE] + [("warming up", 0.2)] * 2_000, [(0, "triggered")]),
        ([SPIKE] + [FEW] * 179, [(0, "triggered")]),
        ([SPIKE] + [FEW] * 180, [(0, "triggered"), (180, "resolved")]),
        ([SPIKE] + [QUIET] * 179, [(0, "triggered")]),
        ([SPIKE] + [QUIET] * 180, [(0, "triggered"), (180, "resolved")]),
        ([SPIKE] + [QUIET] * 100 + [NOTHING] * 500 + [QUIET] * 79, [(0, "triggered")]),
        ([SPIKE] + [QUIET] * 100 + [FEW] * 80, [(0, "triggered"), (180, "resolved")]),
        ([("spike", 0.3), ("spike", 0.41)], [(0, "triggered"), (1, "updated")]),
        ([("spike", 0.41), ("spike", 0.42), ("spike", 0.3)], [(0, "triggered")]),
        ([SPIKE] + [CALM] * 17 + [SPIKE], [(0, "triggered"), (17, "resolved"), (18, "triggered")]),
    ],
)
def test_a_sequence_of_findings_has_its_transitions(
    story: list[tuple[str, float]], expected: list[tuple[int, str]]
) -> None:
    assert transitions(after(*story)) == expected


@pytest.mark.parametrize(("authors", "minutes"), [(100, 15), (20, 53), (6, 201)])
def test_with_fewer_people_it_takes_longer_to_resolve(authors: int, minutes: int) -> None:
    opened = decide("Acme Air", None, a_finding("spike", share=0.5), minute=MONDAY, minutes=1, policy=POLICY).after
    resolved = 0
    while opened is not None:
        resolved += 1
        calm = a_finding("normal", minute=MONDAY + resolved, share=0.17, authors=authors)
        opened = decide("Acme Air", opened, calm, minute=MONDAY + resolved, minutes=1, policy=POLICY).after
    assert resolved == minutes


def test_a_share_half_way_up_never_resolves() -> None:
    assert transitions(after(SPIKE, *[("normal", 0.35)] * 2_000))[0] == (0, "triggered")
    assert {what for _, what in transitions(after(SPIKE, *[("normal", 0.35)] * 2_000))[1:]} == {"updated"}


def test_an_episode_that_ends_for_lack_of_posts_gives_the_reason() -> None:
    closed = after(SPIKE, *[QUIET] * 180)[-1].closed
    assert closed is not None
    assert closed.latest.reason == "No posts about it in 180 minutes."


@pytest.mark.parametrize(("share", "severity"), [(0.3, "warning"), (0.4, "error"), (0.55, "critical")])
def test_severity_follows_the_rise(share: float, severity: str) -> None:
    [fired] = after(("spike", share))
    assert fired.after is not None
    assert fired.after.episode.severity == severity


def test_severity_never_falls_during_an_episode() -> None:
    last = after(("spike", 0.6), *[("spike", 0.3)] * 40)[-1]
    assert last.after is not None
    assert last.after.episode.severity == "critical"
    assert last.after.episode.peak.negative_share == 0.6


def test_only_updates_with_a_risen_severity_are_marked() -> None:
    _, rose = after(("spike", 0.3), ("spike", 0.6))
    assert rose.severity_rose
    assert not after(*[SPIKE] * 31)[-1].severity_rose


def test_the_key_is_brand_rule_and_start_in_event_time() -> None:
    [fired] = after(SPIKE)
    assert fired.after is not None
    assert fired.after.episode.key == "Acme Air:negative_share:2026-03-01T23:46Z"


def test_the_longest_brand_name_fits_the_key() -> None:
    key = episode_key("ü" * 300, "negative_share", minute_start(MONDAY))
    assert len(key) == 255
    assert key.endswith(":negative_share:2026-03-02T00:00Z")


class EpisodeMachine(RuleBasedStateMachine):
    """Any findings in any order, with gaps; what the receivers would see must stay sane."""

    @initialize()
    def begin(self) -> None:
        self.opened: OpenEpisode | None = None
        self.minute = MONDAY
        self.open_keys: set[str] = set()
        self.keys: list[str] = []

    @rule(
        state=st.sampled_from(["no data", "no posts", "warming up", "too little evidence", "normal", "spike"]),
        share=st.sampled_from([0.1, 0.2, 0.29, 0.35, 0.45, 0.7]),
        authors=st.sampled_from([20, 100, 3_000]),
        step=st.sampled_from([1, 5]),
        times=st.integers(1, 40),
    )
    def findings(self, state: str, share: float, authors: int, step: int, times: int) -> None:
        for _ in range(times):
            self.minute += step
            found = a_finding(state, minute=self.minute, share=share, authors=authors)
            decision = decide("Acme Air", self.opened, found, minute=self.minute, minutes=step, policy=POLICY)
            self.check(state, decision)
            self.opened = decision.after

    def check(self, state: str, decision: Decision) -> None:
        match decision.transition:
            case "triggered":
                assert state == "spike"
                assert decision.after is not None
                assert not self.open_keys, "two triggers without a resolve"
                self.open_keys.add(decision.after.episode.key)
                self.keys.append(decision.after.episode.key)
            case "updated":
                assert state in ("spike", "normal")
                assert decision.after is not None
                assert {decision.after.episode.key} == self.open_keys
            case "resolved":
                assert state in ("normal", "too little evidence", "no posts"), "resolved on no data"
                assert decision.closed is not None
                assert decision.closed.resolved_at is not None
                assert decision.closed.resolved_at > decision.closed.fired_at
                self.open_keys.remove(decision.closed.key)
            case None:
                assert decision.closed is None

    @invariant()
    def what_is_open_is_what_was_told(self) -> None:
        if not hasattr(self, "opened"):
            return
        assert self.open_keys == (set() if self.opened is None else {self.opened.episode.key})
        if self.opened is not None:
            episode = self.opened.episode
            assert episode.peak.negative_share >= episode.first.negative_share
            assert episode.started_at <= episode.fired_at <= episode.updated_at
            assert episode.updated_at.timestamp() * 1_000 <= (self.minute + 1) * MINUTE_MS


EpisodeMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
TestEpisodeMachine = EpisodeMachine.TestCase


def test_a_share_that_alternates_for_six_hours_pages_once() -> None:
    opened, transitions = None, []
    for minute in range(360):
        decision = decide(
            "Acme Air",
            opened,
            finding("crisis" if minute % 2 else "calm", 10**6 + minute),
            minute=10**6 + minute,
            minutes=1,
            policy=EpisodePolicy(),
        )
        opened = decision.after
        transitions.append(decision.transition)
    assert (transitions.count("triggered"), transitions.count("resolved")) == (1, 0)
