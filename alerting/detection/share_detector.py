"""Is the brand's negative share really up? A proportion test against the brand's own past, one vote per author.

The number of negative authors in a window of n authors is taken as beta-binomial: share *p* from the brand's past, and
an intra-hour correlation *rho* for what a binomial forgets (people copy each other, hours differ). What the posts weigh
(`alerting.detection.evidence`) sharpens it. A window is a rise when its evidence is beyond a level that spends a false-alarm
budget (`alarm_levels`), and a spike when, at the same time, the freshest window with enough people still stands above
the line where we would call it over.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, Protocol

from alerting.detection.evidence import rise_nats

DAY_HOURS = 24
SHAPE_DAYS = 2.0
State = Literal["no data", "warming up", "too little evidence", "normal", "spike"]
BUDGET_MINUTES = 4 * 7 * 24 * 60
"""The false-alarm budget is stated per brand in four weeks."""
SLOW_PART = 0.6
"""A slow window's part of the budget, where the longest sliding window has 1 and the others as they are wide."""
SPARED = 6.0
"""How much the formula of `alarm_levels` overestimates: windows overlap, a rise must be large and still be there."""


@dataclass(frozen=True, slots=True)
class DetectPolicy:
    """What counts as proof. Windows are minutes, rising."""

    windows: tuple[int, ...] = (5, 10, 20, 40, 90, 180)
    slow_hours: tuple[int, ...] = (5, 9, 21)
    """Slow windows: the longest window, and so many whole hours before it. For slow burns and quiet brands."""
    false_alarms: float = 1.0
    """Expected false pages per brand in four weeks."""
    min_authors: int = 20
    min_negative_authors: int = 8
    min_rise: float = 0.08
    """A smaller rise of the share is no news, however certain."""
    min_ratio: float = 1.0
    """Nor is a share below so many times what is usual."""
    exact_tail: bool = False
    """Whether votes may say no more than their exact tail does. A small share that differs much from hour to hour is
    skewed: nats see its bad hours as far rarer than they are."""
    near_baseline: float = 0.05
    """A rise this small is over."""
    min_history_hours: int = 24
    min_history_authors: int = 200

    def knows(self, past: "Baseline | BaselineSource") -> bool:
        """Whether *past* is long enough to say what is usual; before that it is mostly a guess."""
        return (
            past.hours >= self.min_history_hours
            and past.authors >= self.min_history_authors
            and past.days >= self.min_history_days
        )

    @property
    def min_history_days(self) -> float:
        """Days from the first hour on: two, so that each hour of the day came twice, unless less than a day's hours do.

        Else the first morning after a quiet start is a rise.
        """
        return SHAPE_DAYS if self.min_history_hours >= DAY_HOURS else 0.0


@dataclass(frozen=True, slots=True)
class Baseline:
    """What the brand's own past makes us expect of a window."""

    share: float
    rho: float
    """Intra-hour correlation for prediction: over-dispersion, and how little history we have."""
    hours: int
    """Hours with posts that went in."""
    authors: int
    """Votes that went in: an author counts once an hour."""
    weight: float | None = None
    """Mean weight of a post (`alerting.detection.evidence`); None: not known, only votes are counted."""
    weight_rho: float = 0.0
    """As `rho`, of weights."""
    days: float = math.inf
    """From the first hour with posts on."""

    def expect(self, first_minute: int, last_minute: int) -> "Baseline":
        """Itself: a baseline that knows no hour of the day."""
        return self


@dataclass(frozen=True, slots=True)
class WindowCounts:
    """One sliding window of one brand: the *width* minutes that end with *last_minute*, included."""

    last_minute: int
    width: int
    posts: int = 0
    """Those that say something about the brand; so it is with the people."""
    negative_posts: int = 0
    authors: int = 0
    negative_authors: int = 0
    weight: float | None = None
    """Mean weight of its posts (`alerting.detection.evidence`); None of none, or where nobody knows."""

    @property
    def share(self) -> float:
        """Negative authors over authors, in [0, 1]; 0.0 of an empty window."""
        return self.negative_authors / self.authors if self.authors else 0.0

    @property
    def first_minute(self) -> int:
        return self.last_minute - self.width + 1


@dataclass(frozen=True, slots=True)
class Finding:
    """What one minute's look at one brand found, and the numbers behind it."""

    state: State
    policy: DetectPolicy
    baseline: Baseline | None = None
    window: WindowCounts | None = None
    """The window that tells most: the least probable one of a spike, else the freshest with enough people."""
    fresh: WindowCounts | None = None
    """The shortest window with enough people: how it stands now."""
    newest: WindowCounts | None = None
    """The shortest window of all, however few its people."""
    stream_alive: bool = True
    """Whether any brand had a post of late: then a brand without posts is quiet, not unknown."""
    facet: str = ""
    """Whose people are counted, of the brand's; empty: the negative ones."""

    @property
    def learnt(self) -> Baseline | None:
        """The baseline, once it is the brand's own and no guess."""
        return self.baseline if self.baseline is not None and self.policy.knows(self.baseline) else None

    @property
    def p_value(self) -> float:
        """Chance of so many negative authors in `window` if nothing had changed; 1.0 where nothing was tested."""
        if self.window is None or self.baseline is None:
            return 1.0
        return tail_probability(
            self.window.negative_authors, self.window.authors, self.baseline.share, self.baseline.rho
        )

    @property
    def reason(self) -> str:
        """One sentence for a person."""
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
            return f"Too few people to judge by: {people}."
        usual = f"{_percent(window.share)} where {_percent(baseline.share)} is usual"
        if self.state == "normal":
            return f"{people}: {usual}."
        what = f"Share of {self.facet}" if self.facet else "Negative share"
        return f"{what} rose: {people}, {usual} (chance {self.p_value:.1g})."


def _percent(share: float) -> str:
    """Whole percents, but of small shares, where they would hide a rise."""
    return f"{share:.1%}" if 0 < share < 0.1 else f"{share:.0%}"


class BaselineSource(Protocol):
    """What is usual for the brand: `alerting.detection.share_baseline.UsualWeek`."""

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
    """The finding of one minute from its *windows*, shortest first, and the *slow* ones beyond them.

    *levels* are `alarm_levels(policy)`, handed in because they are the same every minute. *stream_alive* is False
    when no brand at all had a post of late. A window that reaches back before minute *not_before* (the end of the
    brand's last episode) proves nothing: without this, the old crisis in the three-hour window fires again at every
    blip.
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
    """What the chance of so many votes is worth on the scale of `alarm_levels`: z^2 / 2 where P(Z > z) is as small."""
    chance = tail_probability(window.negative_authors, window.authors, expected.share, expected.rho)
    return max(0.0, -_normal_quantile(chance)) ** 2 / 2


def calm_line(baseline_share: float, worst_share: float, policy: DetectPolicy) -> float:
    """The share below which a rise that reached *worst_share* is over: two thirds of the way back."""
    return baseline_share + max(policy.near_baseline, (worst_share - baseline_share) / 3)


def calm_evidence(newest: WindowCounts, baseline_share: float, level: float, policy: DetectPolicy) -> float:
    """How much (nats) the *newest* people speak for "it is over" against "it still stands near *level*".

    The log-likelihood ratio of a share at the baseline to one three quarters of the way up to *level*.
    """
    calm = min(max(baseline_share, 0.01), 0.98)
    up = min(calm + max(policy.near_baseline, 0.75 * (level - calm)), 0.99)
    negative, others = newest.negative_authors, newest.authors - newest.negative_authors
    return negative * math.log(calm / up) + others * math.log((1 - calm) / (1 - up))


def proven_level(window: WindowCounts) -> float:
    """The share that *window* shows, one standard error less: the luckiest of many looks is no level."""
    if not window.authors:
        return 0.0
    return window.share - math.sqrt(window.share * (1 - window.share) / window.authors)


@lru_cache(maxsize=16)
def alarm_levels(policy: DetectPolicy) -> tuple[float, ...]:
    """The evidence (nats) at which each window is an alarm, so that looking every minute keeps the budget.

    Each window has its part of the budget, as large as it is wide: short windows look often and see mostly noise, and
    where they do see a crisis they are sure at once; quiet brands live by the long ones.
    alpha = part / looks, where looks counts *independent* looks in four weeks, as neighbouring windows share most of
    their posts. A moving sum of width w over T minutes exceeds a high level z about T/w z phi(z) nu(z sqrt(2/w)) times
    (Siegmund, Sequential Analysis, 1985, ch. 8; nu(x) ~ exp(-0.583 x)); as P(Z > z) ~ phi(z)/z, that is as many alarms
    as T/w min(w, z^2 nu) independent looks give. Solved for alpha by iteration; evidence of z^2 / 2 nats is z.
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
        z = max(0.0, -_normal_quantile(alpha))
        looks = BUDGET_MINUTES / width * min(width, max(1.0, z * z * math.exp(-0.583 * z * math.sqrt(2 / width))))
        alpha = min(0.5, SPARED * budget / looks)
    return max(0.0, -_normal_quantile(alpha)) ** 2 / 2


def _normal_quantile(probability: float) -> float:
    """By bisection: exact to 1e-9, called a few dozen times a process."""
    low, high = -10.0, 10.0
    for _ in range(70):
        middle = (low + high) / 2
        if 0.5 * math.erfc(-middle / math.sqrt(2)) < probability:
            low = middle
        else:
            high = middle
    return (low + high) / 2


@lru_cache(maxsize=65_536)
def tail_probability(k: int, n: int, share: float, rho: float) -> float:
    """P(X >= k) of a beta-binomial X over *n* authors with mean share *share* and intra-class correlation *rho*.

    a = share (1 - rho) / rho, b = (1 - share)(1 - rho) / rho. Summed outwards from k until a term no longer counts.
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
