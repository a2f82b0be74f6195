"""The learned model: one hazard per stretch of time, started from the analytic baseline."""

from collections.abc import Sequence

import lightgbm
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

HORIZONS: tuple[int, ...] = (1, 4, 24, 168)
"""Hours ahead; hazard k is of the stretch between horizon k-1 and horizon k."""

LABELS: tuple[str, ...] = ("1h", "4h", "24h", "7d")
"""How horizons are named in reports and answers."""

START_LIMIT = 12.0
"""Baseline log-odds are bent towards ±START_LIMIT: tails are fatter than the formula's."""


Line = tuple[float, float]
"""Shift and slope of a line in the log-odds."""


def start(baseline: Floats, line: Line) -> Floats:
    """Return the log-odds one hazard starts from; NaN where the baseline is missing.

    Parameters
    ----------
    baseline
        First-passage log-odds of one horizon, shape (N,).
    line
        Fitted on the rows the trees were trained on; slope > 0, so that order is kept.
    """
    return line[0] + line[1] * START_LIMIT * np.tanh(baseline / START_LIMIT)


def starts(baseline: Floats, lines: Sequence[Line]) -> Floats:
    """Return the log-odds every hazard starts from, shape (N, K)."""
    return np.stack([start(baseline[:, k], line) for k, line in enumerate(lines)], axis=1)


def trees(boosters: Sequence[lightgbm.Booster], features: Floats, *, threads: int = 1) -> Floats:
    """Return what the trees of each hazard add to its start.

    Parameters
    ----------
    boosters
        One per horizon.
    features
        Shape (N, F), in the bundle's order.
    threads
        A server with several workers wants 1.

    Returns
    -------
    numpy.ndarray
        Shape (N, K).
    """
    added = [
        np.asarray(booster.predict(features, raw_score=True, num_threads=threads))
        for booster in boosters
    ]
    return np.stack(added, axis=1)


def cumulative(hazards: Floats) -> Floats:
    """Return the probability of the event by each horizon.

    Parameters
    ----------
    hazards
        Conditional probability of each stretch, shape (..., K).

    Returns
    -------
    numpy.ndarray
        1 - Π(1 - hazard), rising along the last axis.
    """
    return -np.expm1(np.cumsum(np.log1p(-np.minimum(hazards, 1.0 - 1e-15)), axis=-1))
