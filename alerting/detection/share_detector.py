"""Detects a rise of a brand's negative share: a proportion test against the brand's own past, one vote per author.

The number of negative authors among n is modelled as beta-binomial: share *p* from the brand's past, and an intra-hour
correlation *rho* for what a binomial ignores (people copy each other, hours differ). Post weights
(`alerting.detection.evidence`) refine it. A window is a rise if its evidence exceeds a level that keeps to a
false-alarm budget (`alarm_levels`). It is a spike if, in addition, the newest window with enough people is above the
calm line.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import Literal, Protocol

from alerting.detection.evidence import rise_nats

DAY_HOURS = 24
SHAPE_DAYS = 2.0
State = Literal["no data", "warming up", "too little evidence", "normal", "spike"]
BUDGET_MINUTES = 4 * 7 * 24 * 60
"""The false-alarm budget is stated per brand in four weeks."""
SLOW_PART = 0.6
"""A slow window's part of the budget. The longest sliding window has 1, shorter ones less by their width."""
OVERESTIMATE = 6.0
"""The factor by which `alarm_levels` overestimates: windows overlap, and a rise must be large and still last."""


NORMAL = NormalDist()
MAX_Z = 10.0
"""Beyond it, chances are too small to matter."""


@dataclass(frozen=True, slots=True)
class DetectPolicy:
    """What counts as a rise. Windows are in minutes, in rising order."""

    windows: tuple[int, ...] = (5, 10, 20, 40, 90, 180)
    slow_hours: tuple[int, ...] = (5, 9, 21)
    """Slow windows: the longest window plus this many whole hours before it. For slow rises and quiet brands."""
    false_alarms: float = 1.0
    """Expected false pages per brand in four weeks."""
    min_authors: int = 20
    min_negative_authors: int = 8
    min_rise: float = 0.08
    """A smaller rise of the share never pages, however certain."""
    min_ratio: float = 1.0
    """A share below this multiple of the usual share never pages."""
    exact_tail: bool = False
    """Whether evidence is limited by the exact tail probability. A small share that varies from hour to hour is skewed,
    and nats overestimate how rare its bad hours are."""
    near_baseline: float = 0.05
    """A rise this small is over."""
    min_history_hours: int = 24
    min_history_authors: int = 200

    def knows(self, past: "Baseline | BaselineSource") -> bool:
        """Whether *past* is long enough to know what is usual."""
        return (
            past.hours >= self.min_history_hours
            and past.authors >= self.min_history_authors
            and past.days >= self.min_history_days
        )

    @property
    def min_history_days(self) -> float:
        """Required days since the first hour: two, or none if `min_history_hours` is below a day.

        With two days each hour of the day came twice. Otherwise the first morning after a quiet start is a rise.
        """
        return SHAPE_DAYS if self.min_history_hours >= DAY_HOURS else 0.0


@dataclass(frozen=True, slots=True)
class Baseline:
    """What a brand's own past predicts for a window."""

    share: float
    rho: float
    """Intra-hour correlation for prediction: over-dispersion, and how little history we have."""
    hours: int
    """Number of hours with posts that it is based on."""
    authors: int
    """Number of votes that it is based on: an author has one an hour."""
    weight: float | None = None
    """Mean weight of a post (`alerting.detection.evidence`); None: unknown, only votes are counted."""
    weight_rho: float = 0.0
    """`rho` of the weights."""
    days: float = math.inf
    """Since the first hour with posts."""

    def expect(self, first_minute: int, last_minute: int) -> "Baseline":
        """Itself: this baseline is the same at every hour."""
        return self


@dataclass(frozen=True, slots=True)
class WindowCounts:
    """One sliding window of one brand: the *width* minutes that end with *last_minute*, included."""

    last_minute: int
    width: int
    posts: int = 0
    """Relevant posts only; authors are those of relevant posts."""
    negative_posts: int = 0
    authors: int = 0
    negative_authors: int = 0
    weight: float | None = None
    """Mean weight of its posts (`alerting.detection.evidence`); None if there are none, or if it is unknown."""
    copied: int | None = None
    """People who are not among the authors because their text has its votes; None: not counted."""
    excluded: int | None = None
    """People who are not among the authors because they behave like a bot; None: not counted."""

    @property
    def share(self) -> float:
        """Negative authors over authors, in [0, 1]; 0.0 of an empty window."""
        return self.negative_authors / self.authors if self.authors else 0.0

    @property
    def first_minute(self) -> int:
        return self.last_minute - self.width + 1


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of the test of one brand at one minute, with its numbers."""

    state: State
    policy: DetectPolicy
    baseline: Baseline | None = None
    window: WindowCounts | None = None
    """The decisive window: the least probable one of a spike, else the shortest with enough people."""
    fresh: WindowCounts | None = None
    """The shortest window with enough people: the current state."""
    newest: WindowCounts | None = None
    """The shortest window, however few its people."""
    stream_alive: bool = True
    """Whether any brand had posts recently: then a brand without posts is quiet, not unknown."""
    facet: str = ""
    """The facet whose people are counted; empty: the negative people."""

    @property
    def learnt(self) -> Baseline | None:
        """The baseline, if it is based on enough of the brand's own past."""
        return self.baseline if self.baseline is not None and self.policy.knows(self.baseline) else None

    @property
    def p_value(self) -> float:
        """Chance of so many negative authors in `window` if nothing had changed; 1.0 if nothing was tested."""
        if self.window is None or self.baseline is None:
            return 1.0
        return tail_probability(
            self.window.negative_authors, self.window.authors, self.baseline.share, self.baseline.rho
        )

    @property
    def reason(self) -> str:
        """One sentence for people."""
        window, baseline, policy = self.window, self.baseline, self.policy
        if self.state == "no data" or window is None:
            return f"No posts about it in {window.width} minutes." if window else "No posts came: nothing can be said."
        if self.state == "warming up" or baseline is None:
            hours, authors, days = (
                (0, 0, 0.0) if baseline is None else (baseline.hours, baseline.authors, baseline.days)
            )
            span = f", {days:.1f} of {policy.min_history_days:g} days" if days < policy.min_history_days else ""
            return (
                f"Still learning what is usual: {hours} of {policy.min_history_hours} hours and "
                f"{authors} of {policy.min_history_authors} authors seen{span}."
            )
        were = f"in {self.facet}" if self.facet else "negative"
        people = f"{window.negative_authors} of {window.authors} authors in {window.width} minutes were {were}"
        if self.state == "too little evidence":
            return f"Too few people to decide: {people}."
        usual = f"{_percent(window.share)} where {_percent(baseline.share)} is usual"
        if self.state == "normal":
            return f"{people}: {usual}."
        what = f"Share of {self.facet}" if self.facet else "Negative share"
        return f"{what} rose: {people}, {usual} (chance {self.p_value:.1g})."


def _percent(share: float) -> str:
    """Whole percents; one decimal for small shares, where a rise would not show."""
    return f"{share:.1%}" if 0 < share < 0.1 else f"{share:.0%}"


class BaselineSource(Protocol):
    """Gives the baseline of a window: `alerting.detection.share_baseline.UsualWeek`."""

    @property
    def hours(self) -> int: ...

    @property
    def authors(self) -> int: ...
    @property
    def days(self) -> float: ...

    def expect(self, first_minute: int, last_minute: int) -> Baseline: ...


def detect_rise(
    windows: Sequence[WindowCounts],
    past: BaselineSource | None,
    policy: DetectPolicy,
    *,
    levels: Sequence[float],
    slow: Sequence[WindowCounts] = (),
    stream_alive: bool = True,
    not_before: int | None = None,
) -> Finding:
    """The finding at the end of *windows*, shortest first, and the longer *slow* windows.

    *levels* are `alarm_levels(policy)`, computed once by the caller. *stream_alive* is False if no brand had posts
    recently. A window that begins before minute *not_before* (the end of the brand's last episode) is no evidence:
    without this, the old crisis in the three-hour window fires again at every small rise.
    """
    longest = windows[-1]
    usual = None if past is None else past.expect(longest.first_minute, longest.last_minute)
    if longest.posts == 0 or not stream_alive:
        return Finding("no data", policy, usual, longest, stream_alive=stream_alive)
    if past is None or not policy.knows(past):
        return Finding("warming up", policy, usual, longest)
    fresh = next((window for window in windows if window.authors >= policy.min_authors), None)
    if fresh is None and not any(window.authors >= policy.min_authors for window in slow):
        return Finding("too little evidence", policy, usual, longest, newest=windows[0])
    best: WindowCounts | None = None
    best_margin, best_usual = 0.0, usual
    for window, level in zip((*windows, *slow), levels, strict=False):
        if window.authors < policy.min_authors or window.negative_authors < policy.min_negative_authors:
            continue
        if not_before is not None and window.first_minute < not_before:
            continue
        expected = past.expect(window.first_minute, window.last_minute)
        if window.share < max(expected.share + policy.min_rise, expected.share * policy.min_ratio):
            continue
        margin = rise_nats(window, expected) - level
        if policy.exact_tail and margin >= best_margin:
            margin = min(margin, tail_nats(window, expected) - level)
        if margin >= best_margin:
            best, best_margin, best_usual = window, margin, expected
    if best is not None:
        now = next((w for w in windows if w.authors >= max(policy.min_authors, best.authors // 8)), longest)
        if now.share > calm_line(best_usual.share if best_usual else 0.0, best.share, policy):
            return Finding("spike", policy, best_usual, best, fresh or longest, windows[0])
    if fresh is None:
        return Finding("too little evidence", policy, usual, longest, newest=windows[0])
    return Finding("normal", policy, past.expect(fresh.first_minute, fresh.last_minute), fresh, fresh, windows[0])


def tail_nats(window: WindowCounts, expected: Baseline) -> float:
    """The tail probability on the scale of `alarm_levels`: z^2 / 2 for the z with the same P(Z > z)."""
    chance = tail_probability(window.negative_authors, window.authors, expected.share, expected.rho)
    return _standard_deviations(chance) ** 2 / 2


def calm_line(baseline_share: float, worst_share: float, policy: DetectPolicy) -> float:
    """The share below which a rise that reached *worst_share* is over: two thirds of the way back to the baseline."""
    return baseline_share + max(policy.near_baseline, (worst_share - baseline_share) / 3)


def calm_evidence(newest: WindowCounts, baseline_share: float, level: float, policy: DetectPolicy) -> float:
    """Evidence (nats) of the *newest* people that the rise is over and no longer near *level*.

    The log-likelihood ratio of a share at the baseline to a share three quarters of the way up to *level*.
    """
    calm = min(max(baseline_share, 0.01), 0.98)
    up = min(calm + max(policy.near_baseline, 0.75 * (level - calm)), 0.99)
    negative, others = newest.negative_authors, newest.authors - newest.negative_authors
    return negative * math.log(calm / up) + others * math.log((1 - calm) / (1 - up))


def proven_level(window: WindowCounts) -> float:
    """The share of *window* minus one standard error, because it is the highest of many windows."""
    if not window.authors:
        return 0.0
    return window.share - math.sqrt(window.share * (1 - window.share) / window.authors)


@lru_cache(maxsize=16)
def alarm_levels(policy: DetectPolicy) -> tuple[float, ...]:
    """The evidence (nats) at which each window is an alarm, so that testing every minute keeps to the budget.

    Each window has a part of the budget in proportion to its width: short windows are tested often and show mostly
    noise, and a crisis exceeds any level in them; quiet brands depend on the long ones.
    alpha = part / tests, where `tests` counts *independent* tests in four weeks, as neighbouring windows share most of
    their posts. A moving sum of width w over T minutes exceeds a high level z about T/w z phi(z) nu(z sqrt(2/w)) times
    (Siegmund, Sequential Analysis, 1985, ch. 8; nu(x) ~ exp(-0.583 x)); as P(Z > z) ~ phi(z)/z, that is as many alarms
    as T/w min(w, z^2 nu) independent tests give. Solved for alpha by iteration; evidence of z^2 / 2 nats is z.
    """
    longest = policy.windows[-1]
    widths = (*policy.windows, *(longest + 60 * hours for hours in policy.slow_hours))
    parts = [(width / longest) if width <= longest else SLOW_PART for width in widths]
    return tuple(
        _level(width, policy.false_alarms * part / sum(parts)) for width, part in zip(widths, parts, strict=True)
    )


def _level(width: int, budget: float) -> float:
    alpha = 1e-4
    for _ in range(30):
        z = _standard_deviations(alpha)
        tests = BUDGET_MINUTES / width * min(width, max(1.0, z * z * math.exp(-0.583 * z * math.sqrt(2 / width))))
        alpha = min(0.5, OVERESTIMATE * budget / tests)
    return _standard_deviations(alpha) ** 2 / 2


def _standard_deviations(probability: float) -> float:
    """The z with P(Z > z) = *probability* for a standard normal Z, between 0 and `MAX_Z`."""
    if probability >= 0.5:
        return 0.0
    return MAX_Z if probability <= 0 else min(MAX_Z, -NORMAL.inv_cdf(probability))


@lru_cache(maxsize=65_536)
def tail_probability(k: int, n: int, share: float, rho: float) -> float:
    """P(X >= k) of a beta-binomial X over *n* authors with mean share *share* and intra-class correlation *rho*.

    a = share (1 - rho) / rho, b = (1 - share)(1 - rho) / rho. Summed outwards from k until terms are negligible.
    """
    if k <= 0:
        return 1.0
    if k > n:
        return 0.0
    scale = (1 - rho) / rho
    a, b = share * scale, (1 - share) * scale
    if k > n * share:
        term, total, x = _probability(k, n, a, b), 0.0, k
        while x <= n and term > total * 1e-12:
            total += term
            term *= (n - x) / (x + 1) * (a + x) / (b + n - x - 1) if x < n else 0.0
            x += 1
        return min(1.0, total)
    term, total, x = _probability(k - 1, n, a, b), 0.0, k - 1
    while x >= 0 and term > total * 1e-12:
        total += term
        term *= x / (n - x + 1) * (b + n - x) / (a + x - 1) if x > 0 else 0.0
        x -= 1
    return max(0.0, 1.0 - total)


def _probability(x: int, n: int, a: float, b: float) -> float:
    lg = math.lgamma
    return math.exp(
        lg(n + 1) - lg(x + 1) - lg(n - x + 1)
        + lg(x + a) + lg(n - x + b) - lg(n + a + b)
        + lg(a + b) - lg(a) - lg(b)
    )  # fmt: skip
