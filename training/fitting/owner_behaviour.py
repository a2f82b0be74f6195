"""Fit what owners do about a touch: few numbers, each held near what is likely."""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import special

from features.inputs import Floats
from features.pipeline import NAMES
from models.forecast.hazard import Line
from models.forecast.owner_behaviour import MOST, OwnerBehaviour, standardised
from models.horizons import HORIZONS
from training.dataset.sample_weights import Mask, Outcomes

READS: Mapping[str, float] = {
    "hours_since_action": -MOST,
    "actions_720h": -MOST,
    "debt_size": -1.0,
    "account_age": 0.0,
    "under_20_share_720h": -MOST,
}
"""What tells owners who rescue from owners who do not, and from what deviation on.

Whom long years did not liquidate looks after the account. Youth tells nothing: elsewhere it may
only be that the log is young. Nor do debts tell that are far below what one venue knows.
"""

NEAR = 3.0
"""Daily volatilities from the trigger within which an account shows how owners live there."""

SHIFT = (-1.0, 3.0)
SLOPE = (0.3, 0.3)
"""Likely value and deviation of the line's shift and slope in the log of the touch."""

HABIT = 1.0
"""Deviation of a weight around 0 at the longest horizon."""

ALIKE = 0.45
"""Deviation of a weight around that of the next longer horizon: it is the same owner."""

LEAST_SLOPE = 1e-3
CONVERGED = 1e-9
LONGEST_STEP = 2.0


def fit(
    touches: Floats, features: Floats, sigmas: Floats, outcomes: Sequence[Outcomes]
) -> tuple[OwnerBehaviour, tuple[Line, ...]]:
    """Fit every hazard, the longest first; each shorter one is held near the one before.

    Parameters
    ----------
    touches
        log of the probability of a touch by each horizon as the second stage reads it, shape
        (N, K).
    features
        Shape (N, F), in the bundle's order.
    sigmas
        Daily volatilities to the trigger, shape (N,).
    outcomes
        One per hazard, of the rows that were touched.
    """
    columns = np.array([NAMES.index(name) for name in READS], dtype=np.int64)
    lows = np.array(list(READS.values()))
    centres, spreads = _usual(features[:, columns], sigmas <= NEAR)
    habits = standardised(features[:, columns], centres, spreads, lows=lows)
    lines: list[Line] = []
    weights: list[Floats] = []
    likely, deviation = np.zeros(len(READS)), HABIT
    for k in reversed(range(len(HORIZONS))):
        prior = _prior(likely, deviation)
        coefficients = _hazard(touches[:, k], habits, outcomes[k], prior)
        likely, deviation = coefficients[2:], ALIKE
        lines.insert(0, (float(coefficients[0]), float(coefficients[1])))
        weights.insert(0, coefficients[2:])
    return OwnerBehaviour(columns, lows, centres, spreads, np.stack(weights)), tuple(lines)


def _usual(inputs: Floats, near: Mask) -> tuple[Floats, Floats]:
    """Return mean and deviation near the line; 0 and 1 where nothing is known or moves."""
    rows = inputs[near] if near.any() else inputs
    present = np.isfinite(rows)
    count = np.maximum(present.sum(axis=0), 1)
    centres = np.where(present, rows, 0.0).sum(axis=0) / count
    spreads = np.sqrt(np.where(present, (rows - centres) ** 2, 0.0).sum(axis=0) / count)
    return centres, np.where(spreads > 0.0, spreads, 1.0)


def _prior(likely: Floats, deviation: float) -> tuple[Floats, Floats]:
    """Return likely values and deviations of shift, slope and weights."""
    deviations = np.full(len(likely), deviation)
    return (
        np.concatenate([[SHIFT[0], SLOPE[0]], likely]),
        np.concatenate([[SHIFT[1], SLOPE[1]], deviations]),
    )


def _hazard(
    touch: Floats, habits: Floats, outcomes: Outcomes, prior: tuple[Floats, Floats]
) -> Floats:
    """Return shift, slope and weights of one hazard; the slope is kept positive."""
    used = outcomes.used
    rows = np.column_stack([np.ones(int(used.sum())), touch[used], habits[used]])
    coefficients = logistic(rows, outcomes.y[used], outcomes.weights[used], prior=prior)
    if coefficients[1] >= LEAST_SLOPE:
        return coefficients
    fixed = prior[1].copy()
    fixed[1] = 1e-6
    return logistic(
        rows,
        outcomes.y[used],
        outcomes.weights[used],
        prior=(np.concatenate([[prior[0][0], LEAST_SLOPE], prior[0][2:]]), fixed),
    )


def logistic(rows: Floats, y: Floats, weights: Floats, *, prior: tuple[Floats, Floats]) -> Floats:
    """Return the coefficients of a logistic regression by Newton's method.

    Parameters
    ----------
    rows
        Design, shape (N, P).
    y, weights
        Outcomes and their evidence, shape (N,).
    prior
        Means and deviations of a normal prior of the coefficients, each of shape (P,).
    """
    likely, deviations = prior
    beta, penalty = likely.copy(), np.diag(deviations**-2)
    for _ in range(100):
        p = special.expit(rows @ beta)
        gradient = rows.T @ (weights * (y - p)) - penalty @ (beta - likely)
        curvature = (rows * (weights * p * (1.0 - p))[:, np.newaxis]).T @ rows + penalty
        step = np.clip(np.linalg.solve(curvature, gradient), -LONGEST_STEP, LONGEST_STEP)
        beta = beta + step
        if np.abs(step).max() < CONVERGED:
            break
    return np.asarray(beta, dtype=np.float64)
