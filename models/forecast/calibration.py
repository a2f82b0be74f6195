"""Calibration: a rising line in the log-odds, and how far later outcomes bear it out."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

Floats = npt.NDArray[np.float64]

BIN = 0.05
STEP = 0.1
"""Log-odds to which evidence is rounded: more places would only lengthen the file."""

LOOSE = (1.0, 0.5)
"""Deviations of shift and slope around (0, 1) where the line itself is to be learned."""

TIGHT = (0.1, 0.05)
"""Where a slice of one regime corrects what many regimes taught: looser corrections made out
of what one market did lost in most of the half-years that followed."""

LEAST_SLOPE = 0.2
CONVERGED = 1e-10


@dataclass(frozen=True, slots=True)
class Calibrator:
    """logit(p) = shift + slope · score (Platt, 1999).

    Parameters
    ----------
    shift, slope
        The fitted line; slope > 0, so that order is kept.
    """

    shift: float
    slope: float

    def probability(self, scores: Floats) -> Floats:
        """Return calibrated probabilities of log-odds scores."""
        return np.asarray(special.expit(self.shift + self.slope * scores))


def rounded(probabilities: Floats) -> Floats:
    """Return probabilities at log-odds rounded to STEP, within 1e-9 of 0 and 1."""
    odds = special.logit(np.clip(probabilities, 1e-9, 1.0 - 1e-9))
    return np.asarray(special.expit(np.round(odds / STEP) * STEP))


@dataclass(frozen=True, slots=True)
class VennAbersBand:
    """What later outcomes say of a probability: an inductive Venn-Abers predictor.

    The forecast lies between the isotonic fit that counts the row as 0 and the one that
    counts it as 1 (Vovk, Petej and Fedorova, NIPS 2015): wide where outcomes are few.

    Parameters
    ----------
    places
        Distinct rounded probabilities of the calibration rows, ascending, shape (C,).
    low, high
        The two fits, one value more than `places`, shape (C + 1,).
    """

    places: Floats
    low: Floats
    high: Floats

    def interval(self, probabilities: Floats) -> tuple[Floats, Floats]:
        """Return both ends, widened to hold the probability itself."""
        place = rounded(probabilities)
        below = self.low[np.searchsorted(self.places, place, side="right")]
        above = self.high[np.searchsorted(self.places, place, side="left")]
        return np.minimum(below, probabilities), np.maximum(above, probabilities)


def fit_line(
    scores: Floats, outcomes: Floats, *, weights: Floats, prior: tuple[float, float] = LOOSE
) -> tuple[float, float]:
    """Return shift and slope of logit(p) = shift + slope · score.

    Parameters
    ----------
    scores, outcomes
        Log-odds and 0/1 outcomes.
    weights
        Evidence of each row, in independent outcomes.
    prior
        Deviations of a normal prior of shift and slope around (0, 1).
    """
    centres, places = np.unique(np.round(scores / BIN).astype(np.int64), return_inverse=True)
    count = np.bincount(places, weights=weights).astype(np.float64)
    events = np.bincount(places, weights=weights * outcomes).astype(np.float64)
    return _line(centres.astype(np.float64) * BIN, count, events, deviations=np.array(prior))


def _line(x: Floats, count: Floats, events: Floats, *, deviations: Floats) -> tuple[float, float]:
    """Return shift and slope by Newton's method with a normal prior around (0, 1)."""
    beta, prior = np.array([0.0, 1.0]), np.array([0.0, 1.0])
    penalty = np.diag(deviations**-2)
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
