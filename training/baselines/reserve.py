"""What a forecast of a reserve's liquidations must beat: persistence, HAR, volatility, climate."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from features.inputs import Floats
from models.book.reserve import BASIS

BUCKETS = 10
RECENT_DAYS = 90

Chances = Callable[[pd.DataFrame, pd.DataFrame, float], Floats]
"""Past rows, rows to forecast and an amount in USD, to probabilities."""

Quantiles = Callable[[pd.DataFrame, pd.DataFrame, Sequence[float]], Floats]
"""Past rows, rows to forecast and levels, to quantiles in 1e-4 of supply."""


def _logistic(columns: Callable[[pd.DataFrame], Sequence[Floats]]) -> Chances:
    """Return a forecast by a logistic regression on columns."""

    def forecast(past: pd.DataFrame, rows: pd.DataFrame, amount: float) -> Floats:
        exceeded = past["ahead"] > amount
        if exceeded.all() or not exceeded.any():
            return np.full(len(rows), float(exceeded.mean()))
        model = LogisticRegression(max_iter=1000)  # type: ignore[no-untyped-call]
        fit = make_pipeline(StandardScaler(), model)  # type: ignore[no-untyped-call]
        fit.fit(np.column_stack(columns(past)), exceeded)
        return np.asarray(fit.predict_proba(np.column_stack(columns(rows)))[:, 1])

    return forecast


CHANCES: Mapping[str, Chances] = {
    "persistence": _logistic(lambda rows: [rows["liquidated24"].to_numpy()]),
    "volatility": _logistic(lambda rows: [np.log(rows["moved24"]), np.log(rows["moved168"])]),
    "har": _logistic(
        lambda rows: [
            *(rows[f"liquidated{window}"] for window in (1, 24, 168)),
            *(np.log(rows[f"moved{half}"]) for half in (24, 168)),
        ]
    ),
}


def _share(rows: pd.DataFrame) -> Floats:
    return np.asarray(rows["ahead"] / rows["supplied"] / BASIS)


def climate(past: pd.DataFrame, rows: pd.DataFrame, levels: Sequence[float]) -> Floats:
    """Return the quantiles of all of the past."""
    return np.tile(np.quantile(_share(past), levels), (len(rows), 1))


def rolling(past: pd.DataFrame, rows: pd.DataFrame, levels: Sequence[float]) -> Floats:
    """Return the quantiles of the last 90 days of the past."""
    begin = past.index[-1] - pd.Timedelta(days=RECENT_DAYS)
    return np.tile(np.quantile(_share(past[begin:]), levels), (len(rows), 1))


def by_volatility(past: pd.DataFrame, rows: pd.DataFrame, levels: Sequence[float]) -> Floats:
    """Return the quantiles of past rows in the same tenth of volatility."""
    edges = np.quantile(past["moved24"], np.arange(1, BUCKETS) / BUCKETS)
    before, now = np.digitize(past["moved24"], edges), np.digitize(rows["moved24"], edges)
    share = _share(past)
    table = np.array([np.quantile(share[before == place], levels) for place in range(BUCKETS)])
    return np.asarray(table[now])


QUANTILES: Mapping[str, Quantiles] = {
    "climate": climate,
    "rolling": rolling,
    "by_volatility": by_volatility,
}
