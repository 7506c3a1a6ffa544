"""The shape of a brand's day and week: how its share differs from hour to hour, as smooth as its votes require.

Each shape is a Gaussian process on the logit: a smooth wave plus a rough part that may jump from one hour to the next.
Their sizes follow from the votes (empirical Bayes: kernels are averaged by their marginal likelihood, Rasmussen and
Williams 2006, ch. 5), so few votes give a wave and many a sharp peak. A mood that lasts half a day can be mistaken for
a shape if there are few days, so it is part of the noise. Each solve has 24 unknowns.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from brandpulse.runtime.local_hours import DAY_HOURS, WEEK_HOURS

Numbers = npt.NDArray[np.float64]

MIN_SHARE, MAX_SHARE = 0.005, 0.95
MOOD_HOURS = 20
"""Hours with the same mood are not independent: this many hours count as one sample of what is usual."""
MOOD_CORRELATION = (MOOD_HOURS - 1) / (MOOD_HOURS + 1)
"""Correlation of a mood from one hour to the next: such moods last MOOD_HOURS."""
WEEK_DAYS = 7
WEEK_ODDS = 1 / 1_000
"""Prior probability of a weekly shape, of each kind."""

_APART = np.abs(np.subtract.outer(np.arange(DAY_HOURS), np.arange(DAY_HOURS)))
_AROUND = np.minimum(_APART, DAY_HOURS - _APART)
SMOOTH = np.exp(-2 * np.sin(np.pi * _APART / DAY_HOURS) ** 2)
"""A wave and its octave, mostly."""
ROUGH_HOURS = 3.0
ROUGH = np.exp(-_AROUND / ROUGH_HOURS)
"""Steps: a peak of one to three hours with steep sides."""
SMOOTH_SIZES, ROUGH_SIZES = (0.02, 0.12, 0.5), (0.0, 0.03, 0.2, 1.0)
"""Variances, in squared logits."""
ROUGH_ODDS = 0.5
"""Prior probability of a day with steps."""
DAY_KERNELS = np.array([smooth * SMOOTH + rough * ROUGH for smooth in SMOOTH_SIZES for rough in ROUGH_SIZES])
DAY_PRIOR = np.log(
    [
        (1 - ROUGH_ODDS if rough == 0 else ROUGH_ODDS / (len(ROUGH_SIZES) - 1)) / len(SMOOTH_SIZES)
        for _ in SMOOTH_SIZES
        for rough in ROUGH_SIZES
    ]
)
WEEK_SIZES = ((0.1, 0.0, 0.0), (0.1, 0.1, 0.1), (0.2, 0.2, 1.0))
"""Variances by which a day of the week differs: as a whole, smoothly, and in steps."""
WEEK_KERNELS = np.array([whole + smooth * SMOOTH + rough * ROUGH for whole, smooth, rough in WEEK_SIZES])
WIDE_DAY = SMOOTH_SIZES[-1] * SMOOTH + ROUGH_SIZES[-1] * ROUGH
DOUBT_PART = 0.5
"""Part of an hour's variance that counts for a window: errors of its hours partly cancel. The full variance costs
recall."""
NEWTON_STEPS = 4
MIN_WEEK_ODDS = 1e-3
"""With lower odds, a weekly shape changes nothing."""
WEEKENDS = ((5, 6), (4, 5))
"""Days of the week, Monday is 0: Saturday and Sunday, Friday and Saturday."""
CONTRASTS = np.array([np.where(np.isin(np.arange(WEEK_DAYS), ends), 5 / 7, -2 / 7) for ends in WEEKENDS])
_MOOD_IN_A_DAY = MOOD_CORRELATION**_APART
_MOOD_OVER_DAYS = sum(
    MOOD_CORRELATION ** np.abs(np.subtract.outer(np.arange(24), np.arange(24)) + 24 * k) for k in range(-4, 5)
)


class HourVotes(NamedTuple):
    """The past hours with votes, one entry each."""

    places: npt.NDArray[np.int64]
    """The hour of the week of each, in the brand's time zone: 0 is Monday's first."""
    votes: Numbers
    negative: Numbers
    days: float
    """From the first hour to the last."""


@dataclass(frozen=True, slots=True)
class Rhythm:
    """What is usual at each hour of the week."""

    shares: Numbers  # (168,)
    doubts: Numbers  # (168,)
    """Uncertainty of the shape: a variance as a part of share (1 - share), to be added to rho."""
    freedom: float
    """Number of parameters that the shape estimated from the votes."""


def flat_rhythm(share: float, *, doubt: float = 0.0) -> Rhythm:
    """*share* at each hour."""
    return Rhythm(np.full(WEEK_HOURS, share), np.full(WEEK_HOURS, doubt), 0.0)


def fit_rhythm(seen: HourVotes, *, share: float, rho: float, prior_votes: float, week_from_days: float) -> Rhythm:
    """The rhythm of *seen* around its mean *share*, where votes of an hour are over-dispersed by *rho*.

    *prior_votes* is the weight of the mean against a correction by the shape. A weekly shape is fitted from
    *week_from_days* on.
    """
    slope = share * (1 - share)
    weights = 1 / (1 + (seen.votes - 1) * rho)
    votes, negative = (
        np.bincount(seen.places, part * weights, WEEK_HOURS).astype(np.float64) for part in (seen.votes, seen.negative)
    )
    samples = np.bincount(seen.places, minlength=WEEK_HOURS).reshape(WEEK_DAYS, DAY_HOURS)
    mood = rho / slope
    start = np.full(WEEK_HOURS, math.log(share / (1 - share)))
    noise = (mood / max(1.0, float(samples.sum(axis=0).max())) * _MOOD_OVER_DAYS)[None]
    level = 1 / (prior_votes * slope)
    lift, kernel = np.zeros((1, DAY_HOURS)), WIDE_DAY
    variance = freedom = lift
    for step in range(NEWTON_STEPS):
        parts = _weight_and_score(start + np.tile(lift[0], WEEK_DAYS), votes, negative)
        weight, score = (part.reshape(1, WEEK_DAYS, DAY_HOURS).sum(axis=1) for part in parts)
        pulled = score + weight * lift
        if step == NEWTON_STEPS - 2:
            odds = np.exp(_capped(_evidence(DAY_KERNELS, weight, pulled, noise + level)[0] + DAY_PRIOR))
            kernel = np.tensordot(odds / odds.sum(), DAY_KERNELS, 1)
        lift, variance, freedom = _posterior(kernel[None] + level, weight, pulled, noise)
    logit = start + np.tile(lift[0], WEEK_DAYS)
    doubt = np.tile(variance[0], WEEK_DAYS)
    parameters = float(freedom.sum())
    if seen.days >= week_from_days:
        for contrasts in (CONTRASTS, np.eye(WEEK_DAYS)):
            change, doubt_change, parameters_change = _weekly_change(
                contrasts, logit, (votes, negative), samples=samples, mood=mood
            )
            logit, doubt = logit + change, doubt + doubt_change
            parameters += parameters_change
    shares = np.clip(1 / (1 + np.exp(-logit)), MIN_SHARE, MAX_SHARE)
    return Rhythm(shares, DOUBT_PART * doubt * shares * (1 - shares), parameters)


def _weekly_change(
    contrasts: Numbers,
    logit: Numbers,
    seen: tuple[Numbers, Numbers],
    *,
    samples: npt.NDArray[np.int64],
    mood: float,
) -> tuple[Numbers, Numbers, float]:
    """The change of *logit* by hour of the week for the days that *contrasts* (b, 7) separate.

    Also its variance and its number of parameters. *seen*: votes and negative votes by hour of the week.
    """
    shape, squares = (WEEK_DAYS, DAY_HOURS), contrasts**2
    # The variance of a contrast of moods; each day has its own mood.
    moods = mood / np.maximum(squares @ samples.max(axis=1), 1.0)
    noise = moods[:, None, None] * _MOOD_IN_A_DAY
    means = np.zeros((len(contrasts), DAY_HOURS))
    kernels = np.zeros((len(contrasts), DAY_HOURS, DAY_HOURS))
    variances = freedom = means
    for step in range(2):
        parts = _weight_and_score(logit + (contrasts.T @ means).ravel(), *seen)
        weight, score = squares @ parts[0].reshape(shape), contrasts @ parts[1].reshape(shape)
        pulled = score + weight * means
        if step == 0:
            evidence = _evidence(WEEK_KERNELS, weight, pulled, noise)
            # All days of the week, or the one weekend that fits.
            alone = len(contrasts) < WEEK_DAYS
            odds = _odds(evidence.ravel()).reshape(evidence.shape) if alone else _odds(evidence.sum(axis=0))[None]
            if odds.sum() < MIN_WEEK_ODDS:
                return np.zeros(WEEK_HOURS), np.zeros(WEEK_HOURS), 0.0
            kernels[:] = np.tensordot(odds, WEEK_KERNELS, 1)
        means, variances, freedom = _posterior(kernels, weight, pulled, noise)
    return (contrasts.T @ means).ravel(), (squares.T @ variances).ravel(), float(freedom.sum())


def _odds(evidence: Numbers) -> Numbers:
    """Odds of each kernel with a low prior; the rest is for no shape at all, whose evidence is 0."""
    logs = np.append(evidence + math.log(WEEK_ODDS / len(evidence)), math.log1p(-WEEK_ODDS))
    odds = np.exp(_capped(logs))
    return np.asarray((odds / odds.sum())[:-1])


def _capped(logs: Numbers) -> Numbers:
    return np.asarray(logs - logs.max())


def _weight_and_score(logit: Numbers, votes: Numbers, negative: Numbers) -> tuple[Numbers, Numbers]:
    """Weight and score of each place's votes at *logit*."""
    share = 1 / (1 + np.exp(-np.clip(logit, -6, 6)))
    return votes * share * (1 - share), negative - votes * share


def _evidence(kernels: Numbers, weight: Numbers, pulled: Numbers, noise: Numbers) -> Numbers:
    """The log evidence (b, g) of each of *kernels* (g, 24, 24) against none, for each row of *weight* (b, 24).

    *pulled* is weight times the working response, *noise* (b, 24, 24) the covariance of the moods.
    """
    root = np.sqrt(weight)
    response = pulled / np.maximum(root, 1e-9)
    every = np.concatenate([np.zeros((1, DAY_HOURS, DAY_HOURS)), kernels])
    full = np.eye(DAY_HOURS) + (root[:, :, None] * root[:, None, :])[:, None] * (noise[:, None] + every)
    low = np.linalg.cholesky(full)  # (b, 1 + g, 24, 24)
    whitened = np.linalg.solve(low, np.broadcast_to(response[:, None, :, None], (*low.shape[:2], DAY_HOURS, 1)))[..., 0]
    logs = -0.5 * (whitened**2).sum(axis=-1) - np.log(np.diagonal(low, axis1=2, axis2=3)).sum(axis=-1)
    return np.asarray(logs[:, 1:] - logs[:, :1])


def _posterior(kernels: Numbers, weight: Numbers, pulled: Numbers, noise: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    """Mean and variance (b, 24) of a shape for each of *kernels* (b, 24, 24), and its number of parameters (b,).

    Rows as for `_evidence`.
    """
    root = np.sqrt(weight)
    response = pulled / np.maximum(root, 1e-9)
    full = np.eye(DAY_HOURS) + root[:, :, None] * root[:, None, :] * (noise + kernels)
    right = root[:, :, None] * kernels
    solved = np.linalg.solve(full, np.concatenate([response[:, :, None], right], axis=2))
    solved_kernels = solved[:, :, 1:]
    means = (kernels @ (root * solved[:, :, 0])[:, :, None])[:, :, 0]
    variances = np.diagonal(kernels, axis1=1, axis2=2) - (right * solved_kernels).sum(axis=1)
    return means, variances, (root * np.diagonal(solved_kernels, axis1=1, axis2=2)).sum(axis=1)
