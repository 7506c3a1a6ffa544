"""Which past episodes are part of a brand's rhythm: their hours teach what is usual, those of the others do not.

If the hours of every episode were left out for ever, a weekend that pages once would never be learnt and would page
each week. So an episode recurs if the same hours a day or a week before or after it show the same rise.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from brandpulse.runtime.local_hours import DAY_HOURS, WEEK_HOURS, week_hours
from brandpulse.state.author_sketches import AuthorCounts

LAGS = (-DAY_HOURS, DAY_HOURS, -WEEK_HOURS, WEEK_HOURS)
"""Hours from an episode to those that it is compared with."""
RECURRENCE_NATS = 4.0
"""Evidence (log likelihood ratio) from which an episode recurs."""
MOST_RISE = 3.0
"""Logits."""
NEWTON_STEPS = 5

Numbers = npt.NDArray[np.float64]


class EpisodeHours(NamedTuple):
    """The event hours of a past or open episode."""

    left_out: range
    """Those that teach nothing unless the episode recurs."""
    lasting: range
    """Those that it is not compared with: all of an open episode, `left_out` of one that ended."""


class UsualShares(NamedTuple):
    """What is usual while the hours of all episodes are left out."""

    shares: Numbers  # (168,)
    rho: float
    zone: ZoneInfo


class _Votes(NamedTuple):
    logit: Numbers
    """Usual, of each hour."""
    votes: Numbers
    """Each vote counts as little as the hour's over-dispersion leaves it."""
    negative: Numbers


def without_recurring(
    episodes: Sequence[EpisodeHours], hours: Mapping[int, AuthorCounts], *, before_hour: int, usual: UsualShares
) -> list[EpisodeHours]:
    """Those of *episodes* that do not recur in the *hours* before *before_hour*."""
    return [one for one in episodes if not _recurs(one, hours, before_hour, usual)]


def _recurs(episode: EpisodeHours, hours: Mapping[int, AuthorCounts], before_hour: int, usual: UsualShares) -> bool:
    """By the likelihood ratio of the episode's own rise, in logits, to no rise at the hours a lag away."""

    def counted(wanted: Iterable[int]) -> _Votes | None:
        known = [at for at in wanted if at < before_hour and (one := hours.get(at)) is not None and one.everyone > 0]
        return _votes(known, hours, usual) if known else None

    own = counted(episode.left_out)
    rise = 0.0 if own is None else _rise(own)
    if rise <= 0:
        return False
    others = (counted(at + lag for at in episode.left_out if at + lag not in episode.lasting) for lag in LAGS)
    return any(other is not None and _evidence(other, rise) >= RECURRENCE_NATS for other in others)


def _votes(at: Sequence[int], hours: Mapping[int, AuthorCounts], usual: UsualShares) -> _Votes:
    share = usual.shares[week_hours(np.array(at, np.int64), usual.zone)]
    votes = np.array([hours[hour].everyone for hour in at], np.float64)
    negative = np.array([min(hours[hour].negative, hours[hour].everyone) for hour in at], np.float64)
    worth = 1 / (1 + (votes - 1) * usual.rho)
    return _Votes(np.log(share / (1 - share)), votes * worth, negative * worth)


def _rise(seen: _Votes) -> float:
    """The logits by which all hours together lie above what is usual, by Newton's method."""
    rise = 0.0
    for _ in range(NEWTON_STEPS):
        share = 1 / (1 + np.exp(-(seen.logit + rise)))
        slope = float((seen.votes * share * (1 - share)).sum())
        rise += float((seen.negative - seen.votes * share).sum()) / max(slope, 1e-9)
        rise = min(max(rise, -MOST_RISE), MOST_RISE)
    return rise


def _evidence(seen: _Votes, rise: float) -> float:
    """For the same *rise* over no rise, in nats."""
    more = np.logaddexp(0, seen.logit + rise) - np.logaddexp(0, seen.logit)
    return float((seen.negative * rise - seen.votes * more).sum())
