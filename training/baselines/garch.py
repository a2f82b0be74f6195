"""GARCH(1,1) with Student-t errors and filtered historical simulation, per asset.

Volatility is fitted by `arch` on the past year of hourly returns and refitted on a schedule;
between refits it is filtered forward. From a grid of states of that volatility, paths are
drawn hour by hour from the fit's own standardised residuals (Barone-Adesi, Giannopoulos and
Vosper, J. Futures Markets 19, 1999), and how far they fell and rose is kept as tables. A row
reads the two states beside its own. Nothing after a row's last closed candle is used: a refit
sees what had closed when it was due.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numba
import numpy as np
import pandas as pd

from features.inputs import Candles, Floats, Ints, seconds
from models.forecast.first_passage import SOURCE_NOISE
from models.horizons import HORIZONS
from training.baselines import excursions

FIRST_REFITS = (720, 1440, 2160)
"""Hours after the first candle at which a young asset is fitted."""

REFIT = 2190
"""Hours between refits from then on: a quarter."""

WINDOW = 8_760
LEAST_RETURNS = 600
PATHS = 4_000
STATES: Floats = np.exp(np.linspace(np.log(0.1), np.log(30.0), 8))
"""Variance now over the fit's own mean variance."""

USUAL = (0.06, 0.93)
"""α and β where the fit does not converge to a stationary process."""

MOST_PERSISTENT = 0.9995
STEPS: Ints = np.array(HORIZONS, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Fitted:
    """One refit.

    Parameters
    ----------
    from_place
        Grid place of the first candle that it does not know.
    omega, alpha, beta
        Of hourly log returns; α + β < 1.
    residuals
        Standardised, of its window.
    """

    from_place: int
    omega: float
    alpha: float
    beta: float
    residuals: Floats

    @property
    def mean_variance(self) -> float:
        """Return the variance that the process returns to."""
        return self.omega / (1.0 - self.alpha - self.beta)


def schedule(length: int) -> list[int]:
    """Return the grid places at which an asset of so many candles is refitted.

    >>> schedule(7000)
    [720, 1440, 2160, 4350, 6540]
    """
    return [place for place in FIRST_REFITS if place < length] + list(
        range(FIRST_REFITS[-1] + REFIT, length, REFIT)
    )


def fit(returns: Floats, *, at: int) -> Fitted | None:
    """Fit on the returns before a grid place; None with too few of them.

    Parameters
    ----------
    returns
        Hourly log returns, NaN over a gap.
    at
        Only `returns[:at]` are read.
    """
    window = returns[max(at - WINDOW, 0) : at]
    observed = window[np.isfinite(window)]
    scale = float(np.std(observed)) if len(observed) else 0.0
    if len(observed) < LEAST_RETURNS or scale <= 0.0:
        return None
    omega, alpha, beta = _fit(observed / scale)
    variance = _filter(observed / scale, omega, alpha, beta)[:-1]
    residuals = observed / scale / np.sqrt(variance)
    centred = (residuals - residuals.mean()) / residuals.std()
    return Fitted(at, omega * scale**2, alpha, beta, centred)


def _fit(unit: Floats) -> tuple[float, float, float]:
    """Return ω, α and β of returns of unit variance, by maximum likelihood."""
    from arch import arch_model  # noqa: PLC0415 - of the extra `training`

    model = arch_model(unit, mean="Zero", vol="GARCH", p=1, q=1, dist="t", rescale=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = model.fit(disp="off", show_warning=False, options={"maxiter": 200})
    omega, alpha, beta = (float(value) for value in result.params.iloc[:3])
    stationary = alpha + beta < MOST_PERSISTENT and omega > 0.0 and alpha >= 0.0
    if result.convergence_flag == 0 and stationary:
        return omega, alpha, beta
    return 1.0 - sum(USUAL), *USUAL


@numba.njit(cache=True)
def _filter(returns: Floats, omega: float, alpha: float, beta: float) -> Floats:
    """Return the variance of each return as known before it, and of the one to come."""
    out = np.empty(len(returns) + 1)
    out[0] = omega / (1.0 - alpha - beta)
    for k in range(len(returns)):
        square = out[k] if np.isnan(returns[k]) else returns[k] * returns[k]
        out[k + 1] = omega + alpha * square + beta * out[k]
    return out


@numba.njit(cache=True, parallel=True)
def _simulate(residuals: Floats, alpha: float, beta: float, states: Floats, steps: Ints) -> Floats:
    """Return falls and rises in units of the state's deviation over the horizon.

    The process has mean variance 1. Every state lives through the same draws, so that what
    differs between two states is the state.

    Parameters
    ----------
    residuals
        As drawn, shape (paths, hours).

    Returns
    -------
    numpy.ndarray
        Shape (states, horizons, 2, paths).
    """
    paths = len(residuals)
    out = np.zeros((len(states), len(steps), 2, paths))
    omega = 1.0 - alpha - beta
    for state in numba.prange(len(states)):
        for path in range(paths):
            variance, gone, low, high, k = states[state], 0.0, 0.0, 0.0, 0
            for step in range(1, steps[-1] + 1):
                move = np.sqrt(variance) * residuals[path, step - 1]
                gone += move
                low, high = min(low, gone), max(high, gone)
                variance = omega + alpha * move * move + beta * variance
                if step == steps[k]:
                    deviation = np.sqrt(states[state] * step)
                    out[state, k, 0, path] = -low / deviation
                    out[state, k, 1, path] = high / deviation
                    k += 1
    return out


def tables(fitted: Fitted, *, seed: int) -> Floats:
    """Return tables of excursions, shape (states, horizons, 2, levels)."""
    generator = np.random.default_rng(seed)
    drawn = generator.choice(fitted.residuals, size=(PATHS, int(STEPS[-1])))
    return excursions.table(_simulate(drawn, fitted.alpha, fitted.beta, STATES, STEPS))


@numba.njit(cache=True)
def _read(
    z: Floats, place: Ints, k: int, side: Ints, ladder: Floats, log_levels: Floats, decade: int
) -> Floats:
    """Return log-probabilities between the two states beside each row's.

    Parameters
    ----------
    place
        States and, between them, shares: `floor` is the lower state, in 1/1024.
    """
    out = np.empty(len(z))
    for row in range(len(z)):
        state = place[row] // 1024
        share = (place[row] % 1024) / 1024.0
        low = excursions.log_survival(z[row], ladder[state, k, side[row]], log_levels, decade)
        high = excursions.log_survival(z[row], ladder[state + 1, k, side[row]], log_levels, decade)
        out[row] = (1.0 - share) * low + share * high
    return out


def touch_logits(
    candles: Mapping[str, Candles], moments: pd.DataFrame, *, distance: Floats, seed: int = 7
) -> Floats:
    """Return log-odds that each account's path touches its trigger, by horizon.

    Parameters
    ----------
    candles
        By asset.
    moments
        With the columns of `features.inputs.MOMENTS`.
    distance
        log(path / trigger) at the last price that is known to count.
    seed
        Of the simulation.

    Returns
    -------
    numpy.ndarray
        Shape (N, 4), rising in the horizon; NaN before an asset's first fit.
    """
    out = np.full((len(moments), len(HORIZONS)), np.nan)
    for asset, places in moments.groupby("asset", observed=True).indices.items():
        if str(asset) in candles:
            rows = np.asarray(places, dtype=np.int64)
            out[rows] = _asset(
                candles[str(asset)], moments.iloc[rows], distance=distance[rows], seed=seed
            )
    return np.maximum.accumulate(out, axis=1)


def _asset(grid: Candles, moments: pd.DataFrame, *, distance: Floats, seed: int) -> Floats:
    """Return the log-odds of the rows of one asset."""
    with np.errstate(invalid="ignore", divide="ignore"):
        returns = np.diff(np.log(grid.close), prepend=np.nan)
    closed = grid.last_closed(seconds(moments["at"])) + 1
    due = np.array([*schedule(len(returns) + 1), 2**62])
    out = np.full((len(moments), len(HORIZONS)), np.nan)
    for begin, end in pairwise(due):
        rows = np.flatnonzero((closed >= begin) & (closed < min(end, len(returns) + 1)))
        fitted = fit(returns, at=int(begin)) if len(rows) else None
        if fitted is not None:
            part = moments.iloc[rows]
            out[rows] = _between(
                fitted, returns, part, closed=closed[rows], distance=distance[rows], seed=seed
            )
    return out


def _between(
    fitted: Fitted,
    returns: Floats,
    moments: pd.DataFrame,
    *,
    closed: Ints,
    distance: Floats,
    seed: int,
) -> Floats:
    """Return the log-odds of rows between one refit and the next."""
    begin = max(fitted.from_place - WINDOW, 0)
    path = returns[begin : int(closed.max())]
    variance = _filter(path, fitted.omega, fitted.alpha, fitted.beta)[closed - begin]
    state = np.clip(variance / fitted.mean_variance, STATES[0], STATES[-1])
    steps = (len(STATES) - 1) * np.log(state / STATES[0]) / np.log(STATES[-1] / STATES[0])
    place = np.minimum((steps * 1024).astype(np.int64), (len(STATES) - 1) * 1024 - 1)
    delay = moments["delay"].to_numpy(dtype=np.float64)
    short = (moments["side"].to_numpy() < 0).astype(np.int64)
    ladder = tables(fitted, seed=seed)
    columns = []
    for k, hours in enumerate(HORIZONS):
        unknown = variance * np.maximum(hours - delay, 0.0)
        noise = np.where(delay > 0.0, SOURCE_NOISE, 1e-6)
        z = distance / np.sqrt(unknown + noise**2)
        probability = _read(z, place, k, short, ladder, excursions.LOG_LEVELS, excursions.DECADE)
        columns.append(excursions.logit(probability))
    return np.stack(columns, axis=1)
