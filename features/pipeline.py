"""From tables to a feature frame: one definition for a whole history and for now."""

import hashlib
from collections.abc import Iterator

import numpy as np
import pandas as pd

from features import behaviour, liquidity, margin, volatility
from features.inputs import HOUR, Candles, Events, Floats, Ints, Tables, seconds
from features.market import Sample
from features.spec import Feature, View

FEATURES: tuple[Feature, ...] = (
    *margin.FEATURES,
    *volatility.FEATURES,
    *liquidity.FEATURES,
    *behaviour.FEATURES,
)
NAMES: tuple[str, ...] = tuple(feature.name for feature in FEATURES)
BASELINE: tuple[str, ...] = tuple(f"baseline_{int(h)}h" for h in margin.HORIZONS)
"""Columns of first-passage log-odds, computed beside the features."""


def fingerprint() -> str:
    """Return a hash of every feature's name, unit, lookback, sources and direction."""
    parts = [f"{f.name}|{f.unit}|{f.lookback}|{sorted(f.sources)}|{f.direction}" for f in FEATURES]
    return hashlib.sha256("\n".join((*parts, *BASELINE)).encode()).hexdigest()


def compute(tables: Tables, moments: pd.DataFrame) -> pd.DataFrame:
    """Return one row of features per account moment, in the order given.

    Parameters
    ----------
    tables
        Candles and events; whatever is later than a moment is not seen by it.
    moments
        Frame with the columns of `features.inputs.MOMENTS`.

    Returns
    -------
    pandas.DataFrame
        float64 columns `NAMES` and `BASELINE`; NaN where a value cannot be computed.
    """
    out = np.full((len(moments), len(NAMES) + len(BASELINE)), np.nan)
    for rows, view in _views(tables, moments):
        for column, feature in enumerate(FEATURES):
            out[rows, column] = feature.function(view)
        out[rows, len(NAMES) :] = margin.baseline_logits(view)
    return pd.DataFrame(out, columns=[*NAMES, *BASELINE], index=moments.index)


def compute_feature(feature: Feature, tables: Tables, moments: pd.DataFrame) -> Floats:
    """Return one feature, one value per account moment."""
    out = np.full(len(moments), np.nan)
    for rows, view in _views(tables, moments):
        out[rows] = feature.function(view)
    return out


def _views(tables: Tables, moments: pd.DataFrame) -> Iterator[tuple[Ints, View]]:
    """Yield the places and the view of the moments of each asset."""
    first, end = event_slices(tables.events, moments)
    for asset, places in moments.groupby("asset", observed=True).indices.items():
        rows = np.asarray(places, dtype=np.int64)
        candles = tables.candles.get(str(asset), _NO_CANDLES)
        yield rows, _view(candles, tables.events, moments.iloc[rows], first[rows], end[rows])


def event_slices(events: Events, moments: pd.DataFrame) -> tuple[Ints, Ints]:
    """Return per moment the slice of its account's events strictly before it."""
    at = seconds(moments["at"])
    names, starts = np.unique(events.account.astype(str), return_index=True)
    stops = np.append(starts, len(events.account))[1:]
    slices = dict(zip(names, zip(starts, stops, strict=True), strict=True))
    first = np.zeros(len(at), dtype=np.int64)
    end = np.zeros(len(at), dtype=np.int64)
    for account, rows in moments.groupby("account", observed=True).indices.items():
        start, stop = slices.get(str(account), (0, 0))
        first[rows] = start
        end[rows] = start + np.searchsorted(events.at[start:stop], at[rows], side="left")
    return first, end


def _view(candles: Candles, events: Events, moments: pd.DataFrame, first: Ints, end: Ints) -> View:
    """Return what is known of moments that share one asset."""
    at = seconds(moments["at"])
    opened = moments["opened_at"]
    age = np.where(opened.isna(), np.nan, (at - seconds(opened.fillna(moments["at"]))) / HOUR)

    def column(name: str) -> Floats:
        return moments[name].to_numpy(dtype=np.float64)

    place = candles.last_closed(at)
    return View(
        candles=candles,
        place=place,
        sample=Sample.at(candles, place),
        at=at,
        events=events,
        first_event=first,
        end_event=end,
        price=column("price"),
        price_next=column("price_next"),
        delay=column("delay"),
        trigger=column("trigger"),
        collateral=column("collateral"),
        debt=column("debt"),
        debt_value=column("debt_value"),
        age=age,
    )


def _empty() -> Floats:
    """Return no values."""
    return np.empty(0, dtype=np.float64)


_NO_CANDLES = Candles(
    first_hour=0, open=_empty(), high=_empty(), low=_empty(), close=_empty(), volume=_empty()
)
