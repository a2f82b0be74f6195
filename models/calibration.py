"""Probability calibration: a rising line in the log-odds, stored as plain numbers."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

BIN = 0.05
PRIOR_SHIFT = 1.0
PRIOR_SLOPE = 0.5
LEAST_SLOPE = 0.2
CONVERGED = 1e-10


@dataclass(frozen=True, slots=True)
class Calibrator:
    """logit(p) = shift + slope · score, with resampled copies that carry the uncertainty.

    Parameters
    ----------
    shift, slope
        The fitted line; slope > 0, so that order is kept.
    draws
        Lines fitted to resampled accounts, shape (D, 2).
    """

    shift: float
    slope: float
    draws: Floats

    def probability(self, scores: Floats) -> Floats:
        """Return calibrated probabilities of log-odds scores."""
        return np.asarray(special.expit(self.shift + self.slope * scores))

    def spread(self, scores: Floats) -> Floats:
        """Return the probabilities of every resampled line, shape (D, *scores.shape)."""
        lines = self.draws.reshape(-1, 2, *([1] * scores.ndim))
        return np.asarray(special.expit(lines[:, 0] + lines[:, 1] * scores))


def fit(
    scores: Floats,
    outcomes: Floats,
    *,
    groups: Ints,
    overlap: float,
    draws: int,
    seed: int,
) -> Calibrator:
    """Fit a calibrator by penalised maximum likelihood (Platt, 1999).

    Parameters
    ----------
    scores, outcomes
        Log-odds and 0/1 outcomes, on rows later than those the scores were trained on.
    groups
        Account of each row; accounts are resampled whole.
    overlap
        Rows that share one outcome, on average: hourly rows of one event are not
        independent evidence, so the likelihood is divided by it.
    draws
        Number of resampled lines.
    seed
        Of the resampling.
    """
    _, codes = np.unique(groups, return_inverse=True)
    bins = np.round(scores / BIN).astype(np.int64)
    centres, places = np.unique(bins, return_inverse=True)
    shape = (int(codes.max()) + 1, len(centres))
    cells = codes * shape[1] + places
    counts = np.bincount(cells, minlength=shape[0] * shape[1]).reshape(shape)
    events = np.bincount(cells, weights=outcomes, minlength=shape[0] * shape[1]).reshape(shape)
    x = centres.astype(np.float64) * BIN
    generator = np.random.default_rng(seed)
    lines = []
    for draw in range(draws + 1):
        size = shape[0]
        weight = np.bincount(generator.integers(0, size, size), minlength=size)
        use = np.ones(size) if draw == 0 else weight.astype(np.float64)
        lines.append(_line(x, use @ counts / overlap, use @ events / overlap))
    return Calibrator(shift=lines[0][0], slope=lines[0][1], draws=np.array(lines[1:]))


def fit_line(scores: Floats, outcomes: Floats, *, weights: Floats) -> tuple[float, float]:
    """Return shift and slope of logit(p) = shift + slope · score.

    Parameters
    ----------
    scores, outcomes
        Log-odds and 0/1 outcomes.
    weights
        Evidence of each row, in independent outcomes.
    """
    centres, places = np.unique(np.round(scores / BIN).astype(np.int64), return_inverse=True)
    count = np.bincount(places, weights=weights).astype(np.float64)
    events = np.bincount(places, weights=weights * outcomes).astype(np.float64)
    return _line(centres.astype(np.float64) * BIN, count, events)


def _line(x: Floats, count: Floats, events: Floats) -> tuple[float, float]:
    """Return shift and slope by Newton's method with a normal prior around (0, 1)."""
    beta, prior = np.array([0.0, 1.0]), np.array([0.0, 1.0])
    penalty = np.diag([PRIOR_SHIFT**-2, PRIOR_SLOPE**-2])
    design = np.stack([np.ones_like(x), x])
    for _ in range(50):
        p = special.expit(beta @ design)
        gradient = design @ (events - count * p) - penalty @ (beta - prior)
        curvature = (design * (count * p * (1.0 - p))) @ design.T + penalty
        step = np.linalg.solve(curvature, gradient)
        beta = beta + np.clip(step, -1.0, 1.0)
        if np.abs(step).max() < CONVERGED:
            break
    if beta[1] < LEAST_SLOPE:
        beta = np.array([_shift_at(x, count, events), LEAST_SLOPE])
    return float(beta[0]), float(beta[1])


def _shift_at(x: Floats, count: Floats, events: Floats) -> float:
    """Return the shift that matches the number of events at the least slope."""
    low, high = -40.0, 40.0
    for _ in range(80):
        middle = 0.5 * (low + high)
        expected = float(count @ special.expit(middle + LEAST_SLOPE * x))
        low, high = (low, middle) if expected > float(events.sum()) else (middle, high)
    return 0.5 * (low + high)
