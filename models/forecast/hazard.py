"""The learned model: one hazard per stretch of time, started from first passage."""

from collections.abc import Sequence

import lightgbm
import numpy as np
import numpy.typing as npt

from models.forecast.first_passage import SOURCE_NOISE, heavy_touch_logit
from models.horizons import HORIZONS

Floats = npt.NDArray[np.float64]


STARTS = ("start_distance", "start_sigma", "start_delay")
"""Columns after the K log-odds of a baseline: what first passage is computed from."""

Line = tuple[float, float]
"""Shift and slope of a line in the log-odds."""


def first_passage_scores(baseline: Floats, corrections: Floats) -> Floats:
    """Return the log-odds of first passage at the forecast volatility, shape (N, K).

    Parameters
    ----------
    baseline
        K log-odds, then the columns `STARTS`, shape (N, K + 3).
    corrections
        log(forecast volatility / `start_sigma`), shape (N, K).
    """
    first = len(HORIZONS)
    distance, sigma, delay = (baseline[:, k : k + 1] for k in range(first, first + len(STARTS)))
    return heavy_touch_logit(
        distance,
        sigma=sigma * np.exp(corrections),
        hours=np.maximum(np.array(HORIZONS, dtype=np.float64) - delay, 0.0),
        noise=np.where(delay > 0.0, SOURCE_NOISE, 0.0),
    )


def linear_in_log_odds(scores: Floats, lines: Sequence[Line]) -> Floats:
    """Return log-odds moved along one line per hazard, shape (N, K); slopes are positive."""
    shifts, slopes = np.array(lines).T
    return np.asarray(shifts + slopes * scores)


def tree_scores(
    boosters: Sequence[lightgbm.Booster], features: Floats, *, threads: int = 1
) -> Floats:
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
