"""From tables to a feature frame: one definition for a whole history and for now."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np

from features import (
    behaviour,
    calendar,
    carry,
    dependence,
    liquidity,
    margin,
    owner_history,
    ranges,
    variance,
    venue,
    volatility,
)
from features.inputs import Floats, Tables
from features.moments import LegColumns, MomentColumns, moment_columns
from features.spec import Feature
from features.views import views
from models.errors import UnknownFeature
from models.horizons import HORIZONS

if TYPE_CHECKING:
    import pandas as pd

FAMILIES = (
    margin,
    volatility,
    variance,
    ranges,
    liquidity,
    dependence,
    calendar,
    behaviour,
    owner_history,
    carry,
    venue,
)
"""Modules that define features."""

FEATURES: tuple[Feature, ...] = tuple(feature for family in FAMILIES for feature in family.FEATURES)

NAMES: tuple[str, ...] = tuple(feature.name for feature in FEATURES)
BY_NAME: Mapping[str, Feature] = {feature.name: feature for feature in FEATURES}

MARKET: tuple[str, ...] = tuple(f.name for f in FEATURES if f.scope == "market")
"""What the path and its distance tell: no owner, no venue, no absolute level."""

OWNER: tuple[str, ...] = tuple(f.name for f in FEATURES if f.scope == "owner")
"""What the owner's doings and size tell."""

BASELINE: tuple[str, ...] = (
    *(f"baseline_{hours}h" for hours in HORIZONS),
    *("start_distance", "start_sigma", "start_delay"),
)
"""Columns beside the features: first-passage log-odds, and what a forecast starts from."""

START: tuple[Feature, ...] = (BY_NAME["distance_sigmas_24h"], BY_NAME["distance_sigmas_72h"])
"""Features that read as far back as the first-passage log-odds do."""


def fingerprint(names: Sequence[str] = NAMES) -> str:
    """Return a hash of the features' names, units, lookbacks, sources and directions.

    Raises
    ------
    UnknownFeature
        When there are no features of some of the names.
    """
    unknown = [name for name in names if name not in BY_NAME]
    if unknown:
        raise UnknownFeature(f"no features called {', '.join(unknown)}")
    chosen = [BY_NAME[name] for name in names]
    parts = [f"{f.name}|{f.unit}|{f.lookback}|{sorted(f.sources)}|{f.direction}" for f in chosen]
    return hashlib.sha256("\n".join((*parts, *BASELINE)).encode()).hexdigest()


def compute(
    tables: Tables,
    moments: "pd.DataFrame",
    *,
    legs: "pd.DataFrame | None" = None,
    names: Sequence[str] = NAMES,
) -> "pd.DataFrame":
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
    names
        Of the features wanted.

    Returns
    -------
    pandas.DataFrame
        float64 columns `names` and `BASELINE`; NaN where a value cannot be computed.

    Raises
    ------
    InvalidTable
        Listing what is wrong with moments and legs.
    """
    import pandas as pd  # noqa: PLC0415 - a service answers without it

    columns, leg_columns = moment_columns(moments, legs)
    out = feature_matrix(tables, columns, legs=leg_columns, names=names)
    return pd.DataFrame(out, columns=[*names, *BASELINE], index=moments.index)


def feature_matrix(
    tables: Tables,
    moments: MomentColumns,
    *,
    legs: LegColumns | None = None,
    names: Sequence[str] = NAMES,
) -> Floats:
    """Return what `compute` does, from columns and as an array, (moments, names and BASELINE)."""
    chosen = [BY_NAME[name] for name in names]
    lookback = max((feature.lookback for feature in (*chosen, *START)), default=timedelta(0))
    out = np.full((len(moments.at), len(chosen) + len(BASELINE)), np.nan)
    for rows, view in views(tables, moments, legs, lookback=lookback):
        for column, feature in enumerate(chosen):
            out[rows, column] = feature.function(view)
        out[rows, len(chosen) :] = margin.start_columns(view)
    return out


def compute_feature(
    feature: Feature, tables: Tables, moments: "pd.DataFrame", *, legs: "pd.DataFrame | None" = None
) -> Floats:
    """Return one feature, one value per account moment."""
    out = np.full(len(moments), np.nan)
    longest = max(other.lookback for other in (*FEATURES, feature))
    for rows, view in views(tables, *moment_columns(moments, legs), lookback=longest):
        out[rows] = feature.function(view)
    return out
