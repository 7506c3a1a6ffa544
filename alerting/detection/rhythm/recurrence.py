"""Finds past episodes that are part of a brand's rhythm: their hours are learnt, those of other episodes are not.

If the hours of every episode were left out, a weekend that pages once would never be learnt and would page each week.
An episode recurs if the same hours a day or a week before or after it show the same rise.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from brandpulse.runtime.local_hours import DAY_HOURS, WEEK_HOURS, week_hours
from brandpulse.state.author_sketches import AuthorCounts

LAGS = (-DAY_HOURS, DAY_HOURS, -WEEK_HOURS, WEEK_HOURS)
"""Distances, in hours, to the hours that an episode is compared with."""
RECURRENCE_NATS = 4.0
"""Evidence (log likelihood ratio) from which an episode recurs."""
MAX_RISE = 3.0
"""Logits."""
NEWTON_STEPS = 5

Numbers = npt.NDArray[np.float64]


class EpisodeHours(NamedTuple):
    """The event hours of a past or open episode."""

    left_out: range
    """Hours that are learnt only if the episode recurs."""
    lasting: range
    """Hours that it is not compared with: all hours of an open episode, `left_out` of a closed one."""


class UsualShares(NamedTuple):
    """What is usual without the hours of all episodes."""

    shares: Numbers  # (168,)
    rho: float
    zone: ZoneInfo


class _Votes(NamedTuple):
    logit: Numbers
    """The usual value of each hour."""
    votes: Numbers
    """Votes weighted down by the hour's over-dispersion."""
    negative: Numbers


def without_recurring(
    episodes: Sequence[EpisodeHours], hours: Mapping[int, AuthorCounts], *, before_hour: int, usual: UsualShares
) -> list[EpisodeHours]:
    """Those of *episodes* that do not recur in the *hours* before *before_hour*."""
    return [one for one in episodes if not _recurs(one, hours, before_hour, usual)]


def _recurs(episode: EpisodeHours, hours: Mapping[int, AuthorCounts], before_hour: int, usual: UsualShares) -> bool:
    """Tests the episode's own rise, in logits, against no rise at the hours one lag away."""

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
    weights = 1 / (1 + (votes - 1) * usual.rho)
    return _Votes(np.log(share / (1 - share)), votes * weights, negative * weights)


def _rise(seen: _Votes) -> float:
    """The logits by which all hours together are above what is usual, by Newton's method."""
    rise = 0.0
    for _ in range(NEWTON_STEPS):
        share = 1 / (1 + np.exp(-(seen.logit + rise)))
        slope = float((seen.votes * share * (1 - share)).sum())
        rise += float((seen.negative - seen.votes * share).sum()) / max(slope, 1e-9)
        rise = min(max(rise, -MAX_RISE), MAX_RISE)
    return rise


def _evidence(seen: _Votes, rise: float) -> float:
    """Evidence for the same *rise* against no rise, in nats."""
    more = np.logaddexp(0, seen.logit + rise) - np.logaddexp(0, seen.logit)
    return float((seen.negative * rise - seen.votes * more).sum())
