"""Feature frames of whole histories, a bounded number of rows at a time."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
import pandas as pd

from features.files import Moments
from features.grid import market_grids
from features.inputs import Candles, Floats, Ints, Tables
from features.pipeline import BY_NAME, FEATURES, NAMES, compute

OF_MARKET: tuple[str, ...] = tuple(
    feature.name for feature in FEATURES if not feature.sources & {"position", "events"}
)
"""Features that need no account."""

OF_CANDLES: tuple[str, ...] = tuple(
    feature.name for feature in FEATURES if feature.sources == {"candles"}
)
"""Of those, features that need nothing but the asset's own candles."""

ROWS = 250_000
"""Rows computed at once: what bounds the memory beside the tables."""


class Engine(Protocol):
    """What computes a frame: `features.pipeline.compute`, or the same over workers."""

    def __call__(
        self,
        tables: Tables,
        moments: pd.DataFrame,
        *,
        legs: pd.DataFrame | None = None,
        names: Sequence[str] = NAMES,
    ) -> pd.DataFrame:
        """Return one row of features per moment, in the order given."""


def market_frames(
    tables: Tables, *, rows: int = ROWS, engine: Engine = compute
) -> Iterator[pd.DataFrame]:
    """Yield the features of every asset after each of its candles, held long.

    What an asset's own candles tell comes from its rolling grid, the rest from the engine.

    Yields
    ------
    pandas.DataFrame
        `asset`, `at` and `OF_MARKET`, whole assets at a time.
    """
    batch: list[str] = []
    size = 0
    for asset in sorted(tables.candles):
        batch.append(asset)
        size += len(tables.candles[asset].close)
        if size >= rows:
            yield _market_frame(tables, batch, engine)
            batch, size = [], 0
    if batch:
        yield _market_frame(tables, batch, engine)


def _market_frame(tables: Tables, assets: Sequence[str], engine: Engine) -> pd.DataFrame:
    """Return the features of some assets after each of their candles."""
    moments = pd.concat(
        [_after_each(asset, tables.candles[asset]) for asset in assets], ignore_index=True
    )
    grids = market_grids(
        {asset: tables.candles[asset] for asset in assets},
        [BY_NAME[name] for name in OF_CANDLES],
        threads=os.cpu_count() or 1,
    )
    alone = [values[:, _places(tables.candles[asset])] for asset, values in grids]
    candle_features = dict(zip(OF_CANDLES, np.concatenate(alone, axis=1), strict=True))
    other_features = engine(
        tables, moments, names=[name for name in OF_MARKET if name not in candle_features]
    )
    columns = {
        name: candle_features[name] if name in candle_features else other_features[name]
        for name in OF_MARKET
    }
    return pd.concat([moments[["asset", "at"]], pd.DataFrame(columns)], axis=1)


def _places(candles: Candles) -> Ints:
    """Return the places of the candles that there are."""
    return np.flatnonzero(~np.isnan(candles.close))


def _after_each(asset: str, candles: Candles) -> pd.DataFrame:
    """Return moments of nobody's account at the close of every candle that there is."""
    places = _places(candles)
    at = (candles.first_index + places + 1) * candles.step
    unknown: Floats = np.full(len(at), np.nan)
    columns = (
        "price",
        "price_next",
        "delay",
        "trigger",
        "collateral",
        "debt",
        "debt_value",
        "cash",
    )
    return pd.DataFrame(
        {
            "account": "",
            "at": pd.to_datetime(at, unit="s", utc=True).as_unit("ns"),
            "asset": asset,
            "side": 1,
            **dict.fromkeys(columns, unknown),
            "opened_at": pd.Series(pd.NaT, index=range(len(at)), dtype="datetime64[ns, UTC]"),
        }
    )


def account_frames(
    tables: Tables, account_moments: Moments, *, rows: int = ROWS, engine: Engine = compute
) -> Iterator[pd.DataFrame]:
    """Yield all features of account moments.

    Yields
    ------
    pandas.DataFrame
        `account`, `at` and every feature, in the order of the moments.
    """
    account_tables = replace(tables, events=account_moments.events)
    for begin in range(0, len(account_moments.moments), rows):
        part = account_moments.moments.iloc[begin : begin + rows].reset_index(drop=True)
        features = engine(
            account_tables, part, legs=_legs_of(account_moments.legs, begin, len(part)), names=NAMES
        )
        yield pd.concat([part[["account", "at"]], features[list(NAMES)]], axis=1)


def _legs_of(legs: pd.DataFrame | None, begin: int, size: int) -> pd.DataFrame | None:
    """Return the legs of a run of moments, `row` counting from its first."""
    if legs is None:
        return None
    selected = legs[legs["row"].between(begin, begin + size - 1)]
    return selected.assign(row=selected["row"] - begin)


def present(frame: pd.DataFrame) -> Mapping[str, int]:
    """Return how many rows of each feature are not missing."""
    names = [name for name in frame.columns if name in set(NAMES)]
    return {name: int(frame[name].notna().sum()) for name in names}
