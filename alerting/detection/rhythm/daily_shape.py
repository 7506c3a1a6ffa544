"""The shape of a brand's day and week: how its share differs from hour to hour, as smooth as its votes leave it.

Each shape is a Gaussian process on the logit: a smooth wave plus a rough part that may jump from one hour to the next.
How large either is taken to be follows from the votes themselves (empirical Bayes: kernels are averaged by their
marginal likelihood, Rasmussen and Williams 2006, ch. 5), so few votes give a wave and many a sharp peak. A mood that
lasts half a day looks like a shape of few days, so it is part of the noise. Each solve has 24 unknowns.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from brandpulse.runtime.local_hours import DAY_HOURS, WEEK_HOURS

Numbers = npt.NDArray[np.float64]

LEAST_SHARE, MOST_SHARE = 0.005, 0.95
MOOD_HOURS = 20
"""Hours that share a mood say one thing: a past of so many hours counts as one look at what is usual."""
MOOD_KEPT = (MOOD_HOURS - 1) / (MOOD_HOURS + 1)
"""Of a mood, from one hour to the next: moods that fade so last MOOD_HOURS."""
WEEK_DAYS = 7
WEEK_ODDS = 1 / 1_000
"""How likely a week's shape is taken to be before it was seen, of each kind."""

_APART = np.abs(np.subtract.outer(np.arange(DAY_HOURS), np.arange(DAY_HOURS)))
_AROUND = np.minimum(_APART, DAY_HOURS - _APART)
SMOOTH = np.exp(-2 * np.sin(np.pi * _APART / DAY_HOURS) ** 2)
"""A wave and its octave, mostly."""
ROUGH_HOURS = 3.0
ROUGH = np.exp(-_AROUND / ROUGH_HOURS)
"""Steps: a peak of an hour or three with steep sides."""
SMOOTH_SIZES, ROUGH_SIZES = (0.02, 0.12, 0.5), (0.0, 0.03, 0.2, 1.0)
"""Variances, in squared logits."""
ROUGH_ODDS = 0.5
"""How likely a day with steps is taken to be before it was seen."""
DAY_KERNELS = np.array([smooth * SMOOTH + rough * ROUGH for smooth in SMOOTH_SIZES for rough in ROUGH_SIZES])
DAY_PRIOR = np.log(
    [
        (1 - ROUGH_ODDS if rough == 0 else ROUGH_ODDS / (len(ROUGH_SIZES) - 1)) / len(SMOOTH_SIZES)
        for _ in SMOOTH_SIZES
        for rough in ROUGH_SIZES
    ]
)
WEEK_SIZES = ((0.1, 0.0, 0.0), (0.1, 0.1, 0.1), (0.2, 0.2, 1.0))
"""Variances of what sets a day of the week apart: as a whole, smoothly, and in steps."""
WEEK_KERNELS = np.array([whole + smooth * SMOOTH + rough * ROUGH for whole, smooth, rough in WEEK_SIZES])
WIDE_DAY = SMOOTH_SIZES[-1] * SMOOTH + ROUGH_SIZES[-1] * ROUGH
DOUBT_PART = 0.5
"""Of an hour's variance, what a window is charged with: errors of its hours cancel in part. All of it cost recall."""
NEWTON_STEPS = 4
WORTH_A_LOOK = 1e-3
"""With less odds than that a week's shape moves nothing."""
WEEKENDS = ((5, 6), (4, 5))
"""Days of the week, Monday is 0: Saturday and Sunday, Friday and Saturday."""
CONTRASTS = np.array([np.where(np.isin(np.arange(WEEK_DAYS), ends), 5 / 7, -2 / 7) for ends in WEEKENDS])
_MOOD_IN_A_DAY = MOOD_KEPT**_APART
_MOOD_OVER_DAYS = sum(
    MOOD_KEPT ** np.abs(np.subtract.outer(np.arange(24), np.arange(24)) + 24 * k) for k in range(-4, 5)
)


class HourVotes(NamedTuple):
    """What the past's hours showed, an entry each; none is without votes."""

    places: npt.NDArray[np.int64]
    """The hour of the week of each, on the brand's clock: 0 is Monday's first."""
    votes: Numbers
    negative: Numbers
    days: float
    """From the first hour to the last."""


@dataclass(frozen=True, slots=True)
class Rhythm:
    """What is usual at each hour of the week."""

    shares: Numbers  # (168,)
    doubts: Numbers  # (168,)
    """How far the shape may be off: a variance as part of share (1 - share), to be added to rho."""
    freedom: float
    """How many numbers the shape has taken from the votes."""


def flat_rhythm(share: float, *, doubt: float = 0.0) -> Rhythm:
    """*share* at each hour."""
    return Rhythm(np.full(WEEK_HOURS, share), np.full(WEEK_HOURS, doubt), 0.0)


def fit_rhythm(seen: HourVotes, *, share: float, rho: float, prior_votes: float, week_from_days: float) -> Rhythm:
    """The rhythm that *seen* shows about its mean *share*, an hour's votes being over-dispersed by *rho*.

    *prior_votes* is what that mean is worth against a correction by the shape. A week's shape is looked for from
    *week_from_days* on.
    """
    slope = share * (1 - share)
    worth = 1 / (1 + (seen.votes - 1) * rho)
    votes, negative = (
        np.bincount(seen.places, part * worth, WEEK_HOURS).astype(np.float64) for part in (seen.votes, seen.negative)
    )
    looks = np.bincount(seen.places, minlength=WEEK_HOURS).reshape(WEEK_DAYS, DAY_HOURS)
    mood = rho / slope
    start = np.full(WEEK_HOURS, math.log(share / (1 - share)))
    noise = (mood / max(1.0, float(looks.sum(axis=0).max())) * _MOOD_OVER_DAYS)[None]
    level = 1 / (prior_votes * slope)
    lift, kernel = np.zeros((1, DAY_HOURS)), WIDE_DAY
    variance = freedom = lift
    for step in range(NEWTON_STEPS):
        parts = _leaning(start + np.tile(lift[0], WEEK_DAYS), votes, negative)
        weight, score = (part.reshape(1, WEEK_DAYS, DAY_HOURS).sum(axis=1) for part in parts)
        pulled = score + weight * lift
        if step == NEWTON_STEPS - 2:
            odds = np.exp(_capped(_evidence(DAY_KERNELS, weight, pulled, noise + level)[0] + DAY_PRIOR))
            kernel = np.tensordot(odds / odds.sum(), DAY_KERNELS, 1)
        lift, variance, freedom = _posterior(kernel[None] + level, weight, pulled, noise)
    logit = start + np.tile(lift[0], WEEK_DAYS)
    doubt = np.tile(variance[0], WEEK_DAYS)
    taken = float(freedom.sum())
    if seen.days >= week_from_days:
        for contrasts in (CONTRASTS, np.eye(WEEK_DAYS)):
            more, doubt_more, taken_more = _set_apart(contrasts, logit, (votes, negative), looks=looks, mood=mood)
            logit, doubt, taken = logit + more, doubt + doubt_more, taken + taken_more
    shares = np.clip(1 / (1 + np.exp(-logit)), LEAST_SHARE, MOST_SHARE)
    return Rhythm(shares, DOUBT_PART * doubt * shares * (1 - shares), taken)


def _set_apart(
    contrasts: Numbers,
    logit: Numbers,
    seen: tuple[Numbers, Numbers],
    *,
    looks: npt.NDArray[np.int64],
    mood: float,
) -> tuple[Numbers, Numbers, float]:
    """What the days that *contrasts* (b, 7) tell apart add to *logit* by hour of the week, its variance, its freedom.

    *seen* are votes and negative ones by the hour of the week.
    """
    shape, squares = (WEEK_DAYS, DAY_HOURS), contrasts**2
    # The variance of a contrast of moods, of which each day has one.
    moods = mood / np.maximum(squares @ looks.max(axis=1), 1.0)
    noise = moods[:, None, None] * _MOOD_IN_A_DAY
    means = np.zeros((len(contrasts), DAY_HOURS))
    kernels = np.zeros((len(contrasts), DAY_HOURS, DAY_HOURS))
    variances = taken = means
    for step in range(2):
        parts = _leaning(logit + (contrasts.T @ means).ravel(), *seen)
        weight, score = squares @ parts[0].reshape(shape), contrasts @ parts[1].reshape(shape)
        pulled = score + weight * means
        if step == 0:
            evidence = _evidence(WEEK_KERNELS, weight, pulled, noise)
            # All days of the week, or the one weekend that suits.
            alone = len(contrasts) < WEEK_DAYS
            odds = _odds(evidence.ravel()).reshape(evidence.shape) if alone else _odds(evidence.sum(axis=0))[None]
            if odds.sum() < WORTH_A_LOOK:
                return np.zeros(WEEK_HOURS), np.zeros(WEEK_HOURS), 0.0
            kernels[:] = np.tensordot(odds, WEEK_KERNELS, 1)
        means, variances, taken = _posterior(kernels, weight, pulled, noise)
    return (contrasts.T @ means).ravel(), (squares.T @ variances).ravel(), float(taken.sum())


def _odds(evidence: Numbers) -> Numbers:
    """Of each kernel, where all are unlikely beforehand: the rest is for no shape at all, whose evidence is 0."""
    logs = np.append(evidence + math.log(WEEK_ODDS / len(evidence)), math.log1p(-WEEK_ODDS))
    odds = np.exp(_capped(logs))
    return np.asarray((odds / odds.sum())[:-1])


def _capped(logs: Numbers) -> Numbers:
    return np.asarray(logs - logs.max())


def _leaning(logit: Numbers, votes: Numbers, negative: Numbers) -> tuple[Numbers, Numbers]:
    """Weight and score of each place's votes at *logit*."""
    share = 1 / (1 + np.exp(-np.clip(logit, -6, 6)))
    return votes * share * (1 - share), negative - votes * share


def _evidence(kernels: Numbers, weight: Numbers, pulled: Numbers, noise: Numbers) -> Numbers:
    """The log evidence (b, g) for each of *kernels* (g, 24, 24) over none, in each row of *weight* (b, 24).

    *pulled* is weight times the working response, *noise* (b, 24, 24) what its votes do not explain.
    """
    root = np.sqrt(weight)
    response = pulled / np.maximum(root, 1e-9)
    every = np.concatenate([np.zeros((1, DAY_HOURS, DAY_HOURS)), kernels])
    full = np.eye(DAY_HOURS) + (root[:, :, None] * root[:, None, :])[:, None] * (noise[:, None] + every)
    low = np.linalg.cholesky(full)  # (b, 1 + g, 24, 24)
    told = np.linalg.solve(low, np.broadcast_to(response[:, None, :, None], (*low.shape[:2], DAY_HOURS, 1)))[..., 0]
    logs = -0.5 * (told**2).sum(axis=-1) - np.log(np.diagonal(low, axis1=2, axis2=3)).sum(axis=-1)
    return np.asarray(logs[:, 1:] - logs[:, :1])


def _posterior(kernels: Numbers, weight: Numbers, pulled: Numbers, noise: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    """Mean and variance (b, 24) of a shape of each of *kernels* (b, 24, 24), and the numbers that it takes (b,).

    Rows as for `_evidence`.
    """
    root = np.sqrt(weight)
    response = pulled / np.maximum(root, 1e-9)
    full = np.eye(DAY_HOURS) + root[:, :, None] * root[:, None, :] * (noise + kernels)
    right = root[:, :, None] * kernels
    solved = np.linalg.solve(full, np.concatenate([response[:, :, None], right], axis=2))
    told = solved[:, :, 1:]
    means = (kernels @ (root * solved[:, :, 0])[:, :, None])[:, :, 0]
    variances = np.diagonal(kernels, axis1=1, axis2=2) - (right * told).sum(axis=1)
    return means, variances, (root * np.diagonal(told, axis1=1, axis2=2)).sum(axis=1)
