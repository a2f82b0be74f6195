"""How far paths fall: tables of excursions and what they say of a distance.

An excursion is how far the logarithm of a path falls below its start within a horizon, looked
at once an hour, in units of the deviation expected over it. A table holds the excursions that
are exceeded with the probabilities `LEVELS`; beyond the last one the tail is Pareto's, with the
slope of its last decade (Hill, Annals of Statistics 3, 1975).
"""

import numba
import numpy as np

from features.inputs import Floats

LEVELS: Floats = np.exp(-np.linspace(0.0, np.log(1000.0), 64))
"""Probabilities of being exceeded, falling from 1."""

LOG_LEVELS: Floats = np.log(LEVELS)
DECADE = int(np.searchsorted(-LOG_LEVELS, np.log(100.0)))
"""Place of the level at which the last decade begins."""

LEAST = 1e-6
LIMIT = 20.0


def table(excursions: Floats) -> Floats:
    """Return the excursions exceeded with the probabilities `LEVELS`, rising.

    Parameters
    ----------
    excursions
        Not negative, the sample on the last axis; the table takes its place.
    """
    quantiles = np.quantile(excursions, 1.0 - LEVELS, axis=-1)
    return np.moveaxis(np.maximum(quantiles, 0.0), 0, -1)


@numba.njit(cache=True)
def log_survival(z: float, rungs: Floats, log_levels: Floats, decade: int) -> float:
    """Return the logarithm of the probability that a path falls by `z` deviations.

    Parameters
    ----------
    z
        Distance; at or below 0 the path has fallen already.
    rungs
        One table, rising.
    """
    if z <= 0.0:
        return 0.0
    last = len(rungs) - 1
    if z >= rungs[last]:
        low, high = max(rungs[decade], LEAST), max(rungs[last], 1.001 * max(rungs[decade], LEAST))
        slope = (log_levels[decade] - log_levels[last]) / np.log(high / low)
        return log_levels[last] - slope * np.log(max(z / high, 1.0))
    k = np.searchsorted(rungs, z, side="right")
    if k == 0:
        return 0.0
    step = rungs[k] - rungs[k - 1]
    share = (z - rungs[k - 1]) / step
    return log_levels[k - 1] + share * (log_levels[k] - log_levels[k - 1])


@numba.njit(cache=True)
def survive_all(z: Floats, rungs: Floats, log_levels: Floats, decade: int) -> Floats:
    """Return the log-probability of every distance by one table."""
    out = np.full(len(z), np.nan)
    for row in range(len(z)):
        if not np.isnan(z[row]):
            out[row] = log_survival(z[row], rungs, log_levels, decade)
    return out


def logit(log_probability: Floats) -> Floats:
    """Return log-odds within ±LIMIT of log-probabilities."""
    survival = -np.expm1(np.minimum(log_probability, -1e-12))
    return np.clip(log_probability - np.log(survival), -LIMIT, LIMIT)
