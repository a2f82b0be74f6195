"""Heterogeneous autoregressive volatility with pooled filtered historical simulation.

The variance of the next hours is a log-linear function of the realised variances of the last
6 h, 24 h and 7 d, all relative to that of the last 30 d (Corsi, J. Financial Econometrics 7,
2009), fitted by the deviance that ranks variance forecasts rightly (Patton, J. Econometrics
160, 2011). Relative to its own month, one fit serves every asset. What paths did in units of
the forecast is kept as a table: filtered historical simulation in one step (Barone-Adesi,
Giannopoulos and Vosper, J. Futures Markets 19, 1999).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import numba
import numpy as np
import pandas as pd
from sklearn.linear_model import GammaRegressor

from features.inputs import HOUR, Candles, Floats, Ints, Tables
from features.market import MarketWindows, RecordedWindows
from features.pipeline import compute_feature
from features.spec import Feature
from features.volatility import squared_return
from models.forecast.first_passage import SOURCE_NOISE
from models.horizons import HORIZONS, LABELS
from training.baselines import excursions

WINDOWS = (6, 24, 168, 720)
"""Hours of realised variance; the last is the scale of the others."""

COLUMNS: tuple[str, ...] = tuple(f"realised_variance_{hours}h" for hours in WINDOWS)
STRIDE = 5
"""One hour in so many is a row of the fit: neighbours say nearly the same."""

LEAST_ROWS = 500
MOST = 5.0
FLOOR = 1e-4


def realised_variance(market: MarketWindows, *, hours: int) -> Floats:
    """Return the mean squared hourly log return of a window, NaN where half is missing."""
    return np.maximum(market.mean(squared_return, window=hours), 1e-12)


def inputs(tables: Tables, moments: pd.DataFrame, *, legs: pd.DataFrame | None) -> pd.DataFrame:
    """Return the realised variances of each moment's path, columns `COLUMNS`."""
    variances = {
        name: compute_feature(_feature(name, hours), tables, moments, legs=legs)
        for name, hours in zip(COLUMNS, WINDOWS, strict=True)
    }
    return pd.DataFrame(variances, index=moments.index)


def _feature(name: str, hours: int) -> Feature:
    """Return a realised variance as a value per moment."""
    function = partial(realised_variance, hours=hours)
    return Feature(
        name=name,
        function=lambda view: view.market(function),
        unit="squared log return per hour",
        lookback=timedelta(hours=hours + 1),
        sources=frozenset({"candles"}),
        meaning=f"Realised variance of {hours} h.",
    )


@dataclass(frozen=True, slots=True)
class _Sample:
    """Hours of one or many assets, with what came after them.

    Parameters
    ----------
    past
        Realised variances, shape (N, 4).
    variance, fallen, risen
        By horizon: mean squared return, and how far the path fell and rose, shape (N, 4).
    """

    past: Floats
    variance: Floats
    fallen: Floats
    risen: Floats


@numba.njit(cache=True)
def _ahead(close: Floats, places: Ints, horizons: Ints) -> tuple[Floats, Floats, Floats]:
    """Return mean squared return, fall and rise of the hours ahead; NaN over a gap."""
    shape = (len(places), len(horizons))
    variance, fallen, risen = np.full(shape, np.nan), np.full(shape, np.nan), np.full(shape, np.nan)
    for row in range(len(places)):
        begin = close[places[row]]
        square, low, high, k = 0.0, 0.0, 0.0, 0
        for step in range(1, horizons[-1] + 1):
            place = places[row] + step
            if place >= len(close) or np.isnan(close[place]) or np.isnan(close[place - 1]):
                break
            square += np.log(close[place] / close[place - 1]) ** 2
            gone = np.log(close[place] / begin)
            low, high = min(low, gone), max(high, gone)
            if step == horizons[k]:
                variance[row, k], fallen[row, k], risen[row, k] = square / step, -low, high
                k += 1
    return variance, fallen, risen


def fit(candles: Mapping[str, Candles], *, end: int) -> dict[str, Any]:
    """Fit the variance of every horizon and the tables of what paths did.

    Parameters
    ----------
    candles
        By asset; only what had closed by `end` is used, the hours ahead included.
    end
        Seconds since 1970.

    Returns
    -------
    dict
        Plain numbers by horizon: `weights` of the log-variances, `level`, and the tables
        `fallen` and `risen`; empty where there is too little to fit.
    """
    parts = [_sample(grid, end) for grid in candles.values()]
    samples = [part for part in parts if len(part.past)]
    if not samples:
        return {}
    columns = zip(*((p.past, p.variance, p.fallen, p.risen) for p in samples), strict=True)
    pooled = _Sample(*(np.concatenate(column) for column in columns))
    by_horizon = {label: _fit_horizon(pooled, k) for k, label in enumerate(LABELS)}
    return by_horizon if all(by_horizon.values()) else {}


def _sample(grid: Candles, end: int) -> _Sample:
    """Return the hours of one asset that are known, with what came after, by `end`."""
    closed = int(np.clip(end // HOUR - grid.first_hour, 0, len(grid.close)))
    places = np.arange(WINDOWS[-1], closed, STRIDE, dtype=np.int64)
    opened, high, low, close, volume = (column[:closed] for column in _columns(grid))
    closed_candles = Candles(grid.first_hour, opened, high, low, close, volume)
    market = MarketWindows(
        RecordedWindows(
            candles=closed_candles, place=places, index=places + closed_candles.first_index
        )
    )
    past = [market.of(partial(realised_variance, hours=hours)) for hours in WINDOWS]
    stacked = np.stack(past, axis=1).reshape(-1, len(WINDOWS))
    ahead = _ahead(closed_candles.close, places, np.array(HORIZONS, dtype=np.int64))
    usable = np.isfinite(stacked).all(axis=1) & np.isfinite(closed_candles.close[places])
    return _Sample(stacked[usable], *(values[usable] for values in ahead))


def _columns(grid: Candles) -> Iterator[Floats]:
    """Yield the columns of candles in order."""
    yield from (grid.open, grid.high, grid.low, grid.close, grid.volume)


def _design(past: Floats) -> Floats:
    """Return log-variances relative to the longest window, bent within ±MOST."""
    return np.asarray(np.clip(np.log(past[:, :-1] / past[:, -1:]), -MOST, MOST))


def _fit_horizon(sample: _Sample, k: int) -> dict[str, Any]:
    """Fit one horizon; empty with too few rows."""
    rows = np.isfinite(sample.variance[:, k])
    if rows.sum() < LEAST_ROWS:
        return {}
    past = sample.past[rows]
    ratio = np.maximum(sample.variance[rows, k] / past[:, -1], FLOOR)
    model = GammaRegressor(  # type: ignore[no-untyped-call]
        alpha=0.0, solver="newton-cholesky", max_iter=100
    )
    model.fit(_design(past), ratio)
    fitted = {"weights": model.coef_.tolist(), "level": float(model.intercept_)}
    deviation = np.sqrt(forecast(fitted, past) * HORIZONS[k])
    return fitted | {
        "fallen": _rounded(excursions.table(sample.fallen[rows, k] / deviation)),
        "risen": _rounded(excursions.table(sample.risen[rows, k] / deviation)),
    }


def _rounded(values: Floats) -> list[float]:
    """Return a table as short numbers."""
    return [float(f"{value:.6g}") for value in values]


def forecast(fitted: Mapping[str, Any], past: Floats) -> Floats:
    """Return the variance per hour forecast over one horizon.

    Parameters
    ----------
    past
        Realised variances, shape (N, 4).
    """
    logs = fitted["level"] + _design(past) @ np.array(fitted["weights"])
    return np.asarray(past[:, -1] * np.exp(logs))


def touch_logits(
    fitted: Mapping[str, Any], past: Floats, *, distance: Floats, delay: Floats, side: Floats
) -> Floats:
    """Return log-odds that the path touches its trigger, by horizon.

    Parameters
    ----------
    fitted
        Of `fit`.
    past
        Realised variances of the path, shape (N, 4).
    distance
        log(path / trigger) at the last price that is known to count.
    delay
        Hours until a price seen now is judged by: so much less of the path is unknown.
    side
        Below 0 for paths that fall when the asset rises.

    Returns
    -------
    numpy.ndarray
        Shape (N, 4), rising in the horizon; NaN where an input is.
    """
    columns = []
    for hours, label in zip(HORIZONS, LABELS, strict=True):
        variance = forecast(fitted[label], past) * np.maximum(hours - delay, 0.0)
        z = distance / np.sqrt(variance + np.where(delay > 0.0, SOURCE_NOISE, 1e-6) ** 2)
        tables = (np.array(fitted[label][name]) for name in ("fallen", "risen"))
        down, up = (
            excursions.survive_all(z, rungs, excursions.LOG_LEVELS, excursions.DECADE)
            for rungs in tables
        )
        columns.append(excursions.logit(np.where(side < 0.0, up, down)))
    return np.maximum.accumulate(np.stack(columns, axis=1), axis=1)
