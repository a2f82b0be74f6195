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

START_LIMIT = 9.0
"""Baseline log-odds enter the hazard within ±START_LIMIT."""


def start(baseline: Floats) -> Floats:
    """Return the log-odds a hazard starts from; 0 where the baseline is missing."""
    return np.nan_to_num(np.clip(baseline, -START_LIMIT, START_LIMIT), nan=0.0)


def raw_scores(
    boosters: Sequence[lightgbm.Booster], features: Floats, baseline: Floats, *, threads: int = 1
) -> Floats:
    """Return uncalibrated log-odds of each hazard.

    Parameters
    ----------
    boosters
        One per horizon.
    features
        Shape (N, F), in the bundle's order.
    baseline
        First-passage log-odds, shape (N, K).
    threads
        A server with several workers wants 1.

    Returns
    -------
    numpy.ndarray
        Shape (N, K).
    """
    trees = [
        np.asarray(booster.predict(features, raw_score=True, num_threads=threads))
        for booster in boosters
    ]
    return start(baseline) + np.stack(trees, axis=1)


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
