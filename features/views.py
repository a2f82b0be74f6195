"""From account moments to views: one per series of candles that moments share."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np

from features.cross_section import CrossSection
from features.inputs import HOUR, Candles, Events, Floats, Ints, Tables
from features.market import Sample
from features.moments import LegColumns, MomentColumns
from features.names import factorized
from features.paths import Path, basket_path, baskets, single_path
from features.spec import View

MOST_BASKETS = 2048
"""Baskets laid out at once: what bounds the memory of their candles."""


def views(
    tables: Tables, moments: MomentColumns, legs: LegColumns | None, *, lookback: timedelta
) -> Iterator[tuple[Ints, View]]:
    """Yield the places and the view of moments that share a series of candles.

    Parameters
    ----------
    lookback
        How much of the past may be read.
    """
    at, reach = moments.at, int(lookback.total_seconds())
    given = _Given(
        tables=tables,
        moments=moments,
        slices=event_slices(tables.events, moments),
        section=CrossSection.of(tables.candles, at, lookback=reach),
        lookback=reach,
    )
    is_basket = np.zeros(len(at), dtype=bool)
    if legs is not None:
        is_basket[legs.row] = True
        yield from _basket_views(given, legs, np.flatnonzero(is_basket))
    yield from _single_views(given, np.flatnonzero(~is_basket))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Given:
    """What every view of one call is made from."""

    tables: Tables
    moments: MomentColumns
    slices: tuple[Ints, Ints]
    section: CrossSection
    lookback: int


def _single_views(given: _Given, single: Ints) -> Iterator[tuple[Ints, View]]:
    """Yield one view per asset and side."""
    moments = given.moments
    codes, assets = factorized(moments.asset[single])
    order = np.argsort(codes, kind="stable")
    ends = np.searchsorted(codes[order], np.arange(len(assets) + 1))
    for place, asset in enumerate(assets):
        candles = given.tables.candles.get(asset, _NO_CANDLES)
        of_asset = single[order[ends[place] : ends[place + 1]]]
        for sign in (1, -1):
            rows = of_asset[moments.side[of_asset] == sign]
            if len(rows):
                path = single_path(candles, moments.at[rows], side=sign, lookback=given.lookback)
                yield rows, _view(given, rows, path, is_basket=False)


def _basket_views(given: _Given, legs: LegColumns, rows: Ints) -> Iterator[tuple[Ints, View]]:
    """Yield views of a bounded number of baskets each."""
    moments = given.moments
    for begin in range(0, len(rows), MOST_BASKETS):
        part = rows[begin : begin + MOST_BASKETS]
        batch = baskets(
            legs,
            part,
            at=moments.at[part],
            cash=moments.cash[part],
            leading=moments.asset[part],
            by_asset=given.tables.candles,
        )
        path = basket_path(batch, given.tables.candles, lookback=given.lookback)
        yield part, _view(given, part, path, is_basket=True)


def _without_holdings(events: Events) -> Events:
    """Return events whose holdings are unknown: one figure cannot tell what a basket held."""
    unknown = np.full(len(events.at), np.nan)
    return replace(events, collateral_before=unknown, debt_before=unknown)


def event_slices(events: Events, moments: MomentColumns) -> tuple[Ints, Ints]:
    """Return per moment the slice of its account's events strictly before it."""
    at = moments.at
    if not len(events.at):
        nothing = np.zeros(len(at), dtype=np.int64)
        return nothing, nothing
    # The log lies account by account, each in the order of time.
    is_first = np.append(True, events.account[1:] != events.account[:-1])
    starts, codes = np.flatnonzero(is_first), np.cumsum(is_first) - 1
    places = {name: place for place, name in enumerate(events.account[starts].tolist())}
    account_codes = np.array([places.get(name, -1) for name in moments.account.tolist()])
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
    moments, at = given.moments, given.moments.at[rows]
    side, debt_value = moments.side[rows], moments.debt_value[rows]
    first, end = given.slices
    is_short = bool(len(rows)) and bool(side[0] < 0.0)
    worth = _worth(moments, rows, is_one_long=not is_basket and not is_short)
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
        asset=moments.asset[rows],
        side=side,
        price=_on_path(moments.price[rows], side),
        price_next=_on_path(moments.price_next[rows], side),
        delay=moments.delay[rows],
        trigger=_on_path(moments.trigger[rows], side),
        collateral=moments.collateral[rows],
        debt=moments.debt[rows],
        debt_value=debt_value,
        cash=moments.cash[rows],
        age=(at - moments.opened_at[rows]) / HOUR,
        venue=moments.venue[rows],
        collateral_value=worth,
        exposure=debt_value if is_short else worth,
        accrual_hours=moments.accrual_hours[rows],
        is_basket=is_basket,
        section=given.section,
    )


def _on_path(price: Floats, side: Floats) -> Floats:
    """Return prices as the path sees them: inverse for shorts."""
    return np.where(side > 0.0, price, 1.0 / price)


def _worth(moments: MomentColumns, rows: Ints, *, is_one_long: bool) -> Floats:
    """Return the collateral's value; of one asset held long it is told by its price."""
    stated = moments.collateral_value[rows]
    if not is_one_long:
        return stated
    market_value = moments.collateral[rows] * moments.price[rows]
    return np.where(np.isnan(stated), market_value, stated)


def _empty() -> Floats:
    """Return no values."""
    return np.empty(0, dtype=np.float64)


_NO_CANDLES = Candles(
    first_hour=0, open=_empty(), high=_empty(), low=_empty(), close=_empty(), volume=_empty()
)
