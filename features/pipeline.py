"""From tables to a feature frame: one definition for a whole history and for now."""

import hashlib
from datetime import timedelta

import numpy as np
import pandas as pd

from features import behaviour, liquidity, margin, volatility
from features.inputs import Floats, Tables
from features.spec import Feature
from features.views import views

FEATURES: tuple[Feature, ...] = (
    *margin.FEATURES,
    *volatility.FEATURES,
    *liquidity.FEATURES,
    *behaviour.FEATURES,
)
LONGEST: timedelta = max(feature.lookback for feature in FEATURES)
"""How much of the past any feature may need."""

NAMES: tuple[str, ...] = tuple(feature.name for feature in FEATURES)
BASELINE: tuple[str, ...] = (
    *(f"baseline_{int(h)}h" for h in margin.HORIZONS),
    *("start_distance", "start_sigma", "start_delay"),
)
"""Columns beside the features: first-passage log-odds, and what a forecast starts from."""


def fingerprint() -> str:
    """Return a hash of every feature's name, unit, lookback, sources and direction."""
    parts = [f"{f.name}|{f.unit}|{f.lookback}|{sorted(f.sources)}|{f.direction}" for f in FEATURES]
    return hashlib.sha256("\n".join((*parts, *BASELINE)).encode()).hexdigest()


def compute(
    tables: Tables, moments: pd.DataFrame, *, legs: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Return one row of features per account moment, in the order given.

    Parameters
    ----------
    tables
        Candles, events and readings; whatever is later than a moment is not seen by it.
    moments
        Frame with the columns of `features.inputs.MOMENTS`.
    legs
        Frame with the columns of `features.inputs.LEGS`, of accounts that several prices
        move.

    Returns
    -------
    pandas.DataFrame
        float64 columns `NAMES` and `BASELINE`; NaN where a value cannot be computed.

    Raises
    ------
    InvalidTable
        Listing what is wrong with moments and legs.
    """
    out = np.full((len(moments), len(NAMES) + len(BASELINE)), np.nan)
    for rows, view in views(tables, moments, legs, lookback=LONGEST):
        for column, feature in enumerate(FEATURES):
            out[rows, column] = feature.function(view)
        out[rows, len(NAMES) :] = margin.start_columns(view)
    return pd.DataFrame(out, columns=[*NAMES, *BASELINE], index=moments.index)


def compute_feature(
    feature: Feature, tables: Tables, moments: pd.DataFrame, *, legs: pd.DataFrame | None = None
) -> Floats:
    """Return one feature, one value per account moment."""
    out = np.full(len(moments), np.nan)
    for rows, view in views(tables, moments, legs, lookback=LONGEST):
        out[rows] = feature.function(view)
    return out
