"""Fit the volatility ahead on what paths did, pooled over all assets."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from features.inputs import HOUR, Candles, Floats, Ints, seconds
from features.pipeline import FEATURES, NAMES
from models.forecast.volatility import MOST as MOST_MOVED
from models.forecast.volatility import VolatilityForecast, design
from models.horizons import HORIZONS

RIDGE = 50.0
LEAST, MOST = 1e-3, 25.0
"""Realised over recent variance is kept in this range: one quiet hour is no evidence of peace."""

LEAST_ROWS = 200

SLOW = "volatility_ratio_72h_360h"
"""Log of the recent volatility over that of a half-life of 15 days."""

DAY = 24
SLOW_SHARE = 0.5
"""Weight of the slow volatility beyond a day, where the regression alone is no surer.

Two forecasts of one thing, combined by fixed weights, lose less out of time than by fitted ones
(Bates and Granger, Operational Research Quarterly 20, 1969).
"""


def inputs() -> Ints:
    """Return the places of the features a scale may read: the market's, of no position."""
    chosen = [
        place
        for place, feature in enumerate(FEATURES)
        if feature.scope == "market" and "position" not in feature.sources
    ]
    return np.array(chosen, dtype=np.int64)


def realised(candles: Mapping[str, Candles], moments: pd.DataFrame) -> Floats:
    """Return the mean squared hourly log return of each horizon ahead, shape (N, K).

    Of the asset that decides; NaN where an hour is missing. The same for long and short.
    """
    out = np.full((len(moments), len(HORIZONS)), np.nan)
    hour = seconds(moments["at"]) // HOUR
    for asset, places in moments.groupby("asset", observed=True).indices.items():
        grid = candles.get(str(asset))
        if grid is None:
            continue
        rows = np.asarray(places, dtype=np.int64)
        square = np.diff(np.log(grid.close), prepend=np.nan) ** 2
        total = np.cumsum(np.nan_to_num(square))
        gaps = np.cumsum(np.isnan(square))
        last = hour[rows] - grid.first_hour - 1
        for k, hours in enumerate(HORIZONS):
            inside = (last >= 0) & (last + hours < len(square))
            begin, end = last[inside], last[inside] + hours
            mean = (total[end] - total[begin]) / hours
            out[rows[inside], k] = np.where(gaps[end] == gaps[begin], mean, np.nan)
    return out


def fit(features: Floats, sigma: Floats, variance: Floats) -> VolatilityForecast:
    """Fit by ridge regression of log ratios, set the level by mean variance, combine with the slow.

    Parameters
    ----------
    features
        Shape (N, F), in the bundle's order.
    sigma
        Recent volatility per root hour, shape (N,).
    variance
        Of `realised`, NaN where not known in training, shape (N, K).
    """
    columns = inputs()
    chosen = features[:, columns]
    centres, spreads = _usual(chosen)
    matrix = design(chosen, centres, spreads)
    fits = [_fit_horizon(matrix, sigma, variance[:, k]) for k in range(variance.shape[1])]
    slow = _slow(columns, centres)
    share = np.where(np.array(HORIZONS) > DAY, SLOW_SHARE, 0.0)
    weights = np.stack([weights for weights, _ in fits])
    shifts = np.array([shift for _, shift in fits])
    return VolatilityForecast(
        columns=columns,
        centres=centres,
        spreads=spreads,
        weights=(1.0 - share)[:, np.newaxis] * weights + np.outer(share, slow[0]),
        shifts=(1.0 - share) * shifts + share * slow[1],
    )


def _slow(columns: Ints, centres: Floats) -> tuple[Floats, float]:
    """Return weights and shift that forecast the slow volatility, as `_fit_horizon` does."""
    place = int(np.flatnonzero(columns == NAMES.index(SLOW))[0])
    weights = np.zeros(2 * len(columns))
    weights[place] = -1.0
    return weights, -float(centres[place])


def _usual(inputs: Floats) -> tuple[Floats, Floats]:
    """Return medians and mean distances from them; 0 where an input was never seen."""
    present = np.isfinite(inputs)
    centres = np.nanmedian(np.where(present.any(axis=0), inputs, 0.0), axis=0)
    distance = np.where(present, np.abs(np.clip(inputs - centres, -MOST_MOVED, MOST_MOVED)), 0.0)
    return centres, distance.sum(axis=0) / np.maximum(present.sum(axis=0), 1)


def _fit_horizon(matrix: Floats, sigma: Floats, variance: Floats) -> tuple[Floats, float]:
    """Return weights and shift of one horizon; none where too little is known."""
    ratio = np.clip(variance / sigma**2, LEAST, MOST)
    usable = np.isfinite(ratio)
    if usable.sum() < LEAST_ROWS:
        return np.zeros(matrix.shape[1]), 0.0
    rows = np.column_stack([np.ones(int(usable.sum())), matrix[usable]])
    penalty = RIDGE * np.eye(rows.shape[1])
    penalty[0, 0] = 0.0
    target = 0.5 * np.log(ratio[usable])
    coefficients = np.linalg.solve(rows.T @ rows + penalty, rows.T @ target)
    left = np.minimum(ratio[usable] * np.exp(-2.0 * (rows @ coefficients)), MOST)
    return np.asarray(coefficients[1:], dtype=np.float64), float(
        coefficients[0] + 0.5 * np.log(left.mean())
    )
