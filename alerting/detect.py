"""Is the brand's negative share really up? A proportion test against the brand's own past, one vote per author.

The number of negative authors in a window of n authors is taken as beta-binomial: share *p* from the brand's past, and
an intra-hour correlation *rho* for what a binomial forgets (people copy each other, hours differ). A window is a rise
when its tail probability is below a threshold that spends a false-alarm budget (`p_threshold`), and a spike when, at
the same time, the freshest window with enough people still stands above the line where we would call it over.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

State = Literal["no data", "warming up", "too little evidence", "normal", "spike"]
BUDGET_MINUTES = 4 * 7 * 24 * 60
"""The false-alarm budget is stated per brand in four weeks."""


@dataclass(frozen=True, slots=True)
class DetectPolicy:
    """What counts as proof. Windows are minutes, rising."""

    windows: tuple[int, ...] = (5, 15, 60, 180)
    false_alarms: float = 1.0
    """Expected false pages per brand in four weeks."""
    min_authors: int = 20
    min_negative_authors: int = 8
    min_rise: float = 0.08
    """A smaller rise of the share is no news, however certain."""
    near_baseline: float = 0.05
    """A rise this small is over."""
    min_history_hours: int = 24
    min_history_authors: int = 200


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


@dataclass(frozen=True, slots=True)
class WindowCounts:
    """One sliding window of one brand: the *width* minutes that end with *last_minute*, included."""

    last_minute: int
    width: int
    posts: int = 0
    negative_posts: int = 0
    authors: int = 0
    negative_authors: int = 0

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
            return "No posts came: nothing can be said."
        if self.state == "warming up" or baseline is None:
            hours, authors = (0, 0) if baseline is None else (baseline.hours, baseline.authors)
            return (
                f"Still learning what is usual: {hours} of {policy.min_history_hours} hours and "
                f"{authors} of {policy.min_history_authors} authors seen."
            )
        people = f"{window.negative_authors} of {window.authors} authors in {window.width} minutes were negative"
        if self.state == "too little evidence":
            return f"Too few people to judge by: {people}."
        usual = f"{window.share:.0%} where {baseline.share:.0%} is usual"
        if self.state == "normal":
            return f"{people}: {usual}."
        return f"Negative share rose: {people}, {usual} (chance {self.p_value:.1g})."


def judge(
    windows: Sequence[WindowCounts],
    baseline: Baseline | None,
    policy: DetectPolicy,
    *,
    threshold: float,
    stream_alive: bool = True,
    not_before: int | None = None,
) -> Finding:
    """The finding of one minute from its *windows*, shortest first.

    *threshold* is `p_threshold(policy)`, handed in because it is the same every minute. *stream_alive* is False when
    no brand at all had a post of late. A window that reaches back before minute *not_before* (the end of the brand's
    last episode) proves nothing: without this, the old crisis in the three-hour window fires again at every blip.
    """
    longest = windows[-1]
    if longest.posts == 0 or not stream_alive:
        return Finding("no data", policy, baseline, None)
    if baseline is None or baseline.hours < policy.min_history_hours or baseline.authors < policy.min_history_authors:
        return Finding("warming up", policy, baseline, longest)
    fresh = next((window for window in windows if window.authors >= policy.min_authors), None)
    if fresh is None:
        return Finding("too little evidence", policy, baseline, longest)
    best: WindowCounts | None = None
    best_p = threshold
    for window in windows:
        if not_before is not None and window.first_minute < not_before:
            continue
        if window.authors < policy.min_authors or window.negative_authors < policy.min_negative_authors:
            continue
        if window.share - baseline.share < policy.min_rise:
            continue
        p = tail_probability(window.negative_authors, window.authors, baseline.share, baseline.rho)
        if p <= best_p:
            best, best_p = window, p
    if best is not None and fresh.share > calm_line(baseline.share, best.share, policy):
        return Finding("spike", policy, baseline, best, fresh)
    return Finding("normal", policy, baseline, fresh, fresh)


def calm_line(baseline_share: float, worst_share: float, policy: DetectPolicy) -> float:
    """The share below which a rise that reached *worst_share* is over: two thirds of the way back."""
    return baseline_share + max(policy.near_baseline, (worst_share - baseline_share) / 3)


@lru_cache(maxsize=16)
def p_threshold(policy: DetectPolicy) -> float:
    """The tail probability at which a look is an alarm, so that looking every minute keeps the false-alarm budget.

    alpha = budget / looks, where looks counts *independent* looks in four weeks: neighbouring windows share most of
    their posts. A moving sum of width w over T minutes exceeds a high level z about T/w z phi(z) nu(z sqrt(2/w)) times
    (Siegmund, Sequential Analysis, 1985, ch. 8; nu(x) ~ exp(-0.583 x)); as P(Z > z) ~ phi(z)/z, that is as many alarms
    as T/w min(w, z^2 nu) independent looks give. Summed over the windows, and solved for alpha by iteration:

        alpha = budget / sum over w of (T / w) min(w, z^2 exp(-0.583 z sqrt(2 / w))),   P(Z > z) = alpha

    The default (5, 15, 60 and 180 minutes, one page) gives 1.7e-5; every look taken as independent would give 6.2e-6.
    """
    alpha = policy.false_alarms / (BUDGET_MINUTES * len(policy.windows))
    for _ in range(50):
        z = _normal_quantile(1 - alpha)
        looks = sum(
            BUDGET_MINUTES / w * min(w, max(1.0, z * z * math.exp(-0.583 * z * math.sqrt(2 / w))))
            for w in policy.windows
        )
        alpha = min(0.5, policy.false_alarms / looks)
    return alpha


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
