"""From account moments to views: one per series of candles that moments share."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np
import pandas as pd

from features.cross_section import CrossSection
from features.inputs import (
    HOUR,
    LEGS,
    MOMENTS,
    Candles,
    Events,
    Floats,
    Ints,
    Names,
    Tables,
    seconds,
)
from features.market import Sample
from features.paths import Path, basket_path, baskets, single_path
from features.spec import View
from models.errors import Fault, InvalidTable

MOST_BASKETS = 2048
"""Baskets laid out at once: what bounds the memory of their candles."""

MOST_FAULTS = 100


def views(
    tables: Tables, moments: pd.DataFrame, legs: pd.DataFrame | None, *, lookback: timedelta
) -> Iterator[tuple[Ints, View]]:
    """Yield the places and the view of moments that share a series of candles.

    Parameters
    ----------
    moments, legs
        Frames with the columns of `features.inputs.MOMENTS` and `LEGS`.
    lookback
        How much of the past may be read.

    Raises
    ------
    InvalidTable
        Listing what is wrong with moments and legs.
    """
    faults = [*_moment_faults(moments), *([] if legs is None else _leg_faults(legs, moments))]
    if faults:
        raise InvalidTable(faults[:MOST_FAULTS])
    at = seconds(moments["at"])
    given = _Given(
        tables=tables,
        moments=moments,
        at=at,
        slices=event_slices(tables.events, moments),
        section=CrossSection.of(tables.candles, at, lookback=int(lookback.total_seconds())),
        lookback=int(lookback.total_seconds()),
    )
    is_basket = np.zeros(len(moments), dtype=bool)
    if legs is not None:
        is_basket[legs["row"].to_numpy(dtype=np.int64)] = True
        yield from _basket_views(given, legs, np.flatnonzero(is_basket))
    yield from _single_views(given, np.flatnonzero(~is_basket))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Given:
    """What every view of one call is made from."""

    tables: Tables
    moments: pd.DataFrame
    at: Ints
    slices: tuple[Ints, Ints]
    section: CrossSection
    lookback: int


def _single_views(given: _Given, single: Ints) -> Iterator[tuple[Ints, View]]:
    """Yield one view per asset and side."""
    side = given.moments["side"].to_numpy(dtype=np.float64)[single]
    by_asset = given.moments.iloc[single].groupby("asset", observed=True).indices
    for asset, places in by_asset.items():
        candles = given.tables.candles.get(str(asset), _NO_CANDLES)
        for sign in (1, -1):
            asset_places = np.asarray(places, dtype=np.int64)
            rows = single[asset_places[side[asset_places] == sign]]
            if len(rows):
                path = single_path(candles, given.at[rows], side=sign, lookback=given.lookback)
                yield rows, _view(given, rows, path, is_basket=False)


def _basket_views(given: _Given, legs: pd.DataFrame, rows: Ints) -> Iterator[tuple[Ints, View]]:
    """Yield views of a bounded number of baskets each."""
    for begin in range(0, len(rows), MOST_BASKETS):
        part = rows[begin : begin + MOST_BASKETS]
        part_legs = legs[legs["row"].isin(part)]
        placed = part_legs.assign(
            row=np.searchsorted(part, part_legs["row"].to_numpy(dtype=np.int64))
        )
        batch = baskets(
            given.moments.iloc[part], placed, at=given.at[part], by_asset=given.tables.candles
        )
        path = basket_path(batch, given.tables.candles, lookback=given.lookback)
        yield part, _view(given, part, path, is_basket=True)


def _without_holdings(events: Events) -> Events:
    """Return events whose holdings are unknown: one figure cannot tell what a basket held."""
    unknown = np.full(len(events.at), np.nan)
    return replace(events, collateral_before=unknown, debt_before=unknown)


def event_slices(events: Events, moments: pd.DataFrame) -> tuple[Ints, Ints]:
    """Return per moment the slice of its account's events strictly before it."""
    at = seconds(moments["at"])
    # The log lies account by account, each in the order of time.
    codes, names = pd.factorize(events.account)
    starts = np.searchsorted(codes, np.arange(len(names) + 1))
    account_codes = pd.Index(names, dtype=object).get_indexer(
        pd.Index(moments["account"], dtype=object)
    )
    is_known = account_codes >= 0
    earliest = min(at.min(initial=0), events.at.min(initial=0))
    span = max(at.max(initial=0), events.at.max(initial=0)) - earliest + 1
    later = np.searchsorted(
        codes * span + events.at - earliest, account_codes * span + at - earliest
    )
    first = np.where(is_known, starts[account_codes], 0)
    return first, np.where(is_known, later, 0)


def _view(given: _Given, rows: Ints, path: Path, *, is_basket: bool) -> View:
    """Return what is known of moments that share one series."""
    moments, at = given.moments.iloc[rows], given.at[rows]
    opened = moments["opened_at"]
    age = np.where(opened.isna(), np.nan, (at - seconds(opened.fillna(moments["at"]))) / HOUR)
    side = _numbers(moments, "side")
    first, end = given.slices
    is_short = bool(len(rows)) and bool(side[0] < 0.0)
    worth = _worth(moments, is_one_long=not is_basket and not is_short)
    return View(
        tables=given.tables,
        candles=path.candles,
        index=path.index,
        place=path.place,
        sample=Sample.at(path.candles, path.place, path.index),
        at=at,
        events=_without_holdings(given.tables.events) if is_basket else given.tables.events,
        first_event=first[rows],
        end_event=end[rows],
        asset=_names(moments, "asset"),
        side=side,
        price=_on_path(moments, "price", side),
        price_next=_on_path(moments, "price_next", side),
        delay=_numbers(moments, "delay"),
        trigger=_on_path(moments, "trigger", side),
        collateral=_numbers(moments, "collateral"),
        debt=_numbers(moments, "debt"),
        debt_value=_numbers(moments, "debt_value"),
        cash=_numbers(moments, "cash"),
        age=age,
        venue=_names(moments, "venue"),
        collateral_value=worth,
        exposure=_numbers(moments, "debt_value") if is_short else worth,
        accrual_hours=_numbers(moments, "accrual_hours"),
        is_basket=is_basket,
        section=given.section,
    )


def _numbers(moments: pd.DataFrame, name: str) -> Floats:
    """Return a column, NaN where the frame has none."""
    if name not in moments.columns:
        return np.full(len(moments), np.nan)
    return moments[name].to_numpy(dtype=np.float64)


def _worth(moments: pd.DataFrame, *, is_one_long: bool) -> Floats:
    """Return the collateral's value; of one asset held long it is told by its price."""
    stated = _numbers(moments, "collateral_value")
    if not is_one_long:
        return stated
    market_value = _numbers(moments, "collateral") * _numbers(moments, "price")
    return np.where(np.isnan(stated), market_value, stated)


def _on_path(moments: pd.DataFrame, name: str, side: Floats) -> Floats:
    """Return a column of prices as the path sees them: inverse for shorts."""
    price = _numbers(moments, name)
    return np.where(side > 0.0, price, 1.0 / price)


def _names(moments: pd.DataFrame, name: str) -> Names:
    """Return a column of names, empty where the frame has none."""
    if name not in moments.columns:
        return np.full(len(moments), "", dtype=object)
    return moments[name].astype(str).to_numpy(dtype=object)


def _moment_faults(moments: pd.DataFrame) -> Iterator[Fault]:
    """Yield missing columns, and sides that are neither."""
    missing = [name for name in MOMENTS if name not in moments.columns]
    yield from (Fault(f"moments:{name}", f"column missing ({MOMENTS[name]})") for name in missing)
    if "side" in moments.columns:
        side = moments["side"].to_numpy(dtype=np.float64)
        for row in np.flatnonzero(np.abs(side) != 1.0):
            yield Fault(f"moments:side:{row + 1}", f"{side[row]} is not +1 or -1")


def _leg_faults(legs: pd.DataFrame, moments: pd.DataFrame) -> Iterator[Fault]:
    """Yield missing columns, and legs that belong to no row or hold nothing."""
    missing = [name for name in LEGS if name not in legs.columns]
    yield from (Fault(f"legs:{name}", f"column missing ({LEGS[name]})") for name in missing)
    if missing or "side" not in moments.columns:
        return
    rows = legs["row"].to_numpy(dtype=np.int64)
    units = legs["units"].to_numpy(dtype=np.float64)
    side = moments["side"].to_numpy(dtype=np.float64)
    for place in range(len(legs)):
        if not 0 <= rows[place] < len(moments):
            yield Fault(f"legs:row:{place + 1}", f"{rows[place]} is not in [0, {len(moments)})")
        elif side[rows[place]] != 1.0:
            yield Fault(f"legs:row:{place + 1}", f"row {rows[place]}: a basket has side +1")
        if not np.isfinite(units[place]):
            yield Fault(f"legs:units:{place + 1}", f"{units[place]} is not finite")


def _empty() -> Floats:
    """Return no values."""
    return np.empty(0, dtype=np.float64)


_NO_CANDLES = Candles(
    first_hour=0, open=_empty(), high=_empty(), low=_empty(), close=_empty(), volume=_empty()
)
