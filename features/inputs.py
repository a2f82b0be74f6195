"""What features are computed from: candles, readings, owner events and account moments."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Names = npt.NDArray[np.object_]

HOUR = 3600
LOOKBACK = timedelta(hours=722)
"""How far back any feature looks, the candle that it begins in included.

Stated here, so that whoever reads no more than that of a past need not load the features.
"""

COLUMNS = ("open", "high", "low", "close", "volume")
"""What a candle holds."""


@dataclass(frozen=True, slots=True)
class Candles:
    """Candles of one asset on a gapless grid of time.

    A candle of no volume whose price stands still is none: feeds fill in such ones where
    nothing traded, and a halted market would pass for a calm one.

    Parameters
    ----------
    first_hour
        Hours since 1970 at which the first candle opens.
    open, high, low, close, volume
        One value per candle; NaN where there is none. A gap stays a gap. A volume that is not
        known is NaN, never 0.
    step
        Seconds of one candle; an hour is a whole number of them.
    """

    first_hour: int
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    step: int = HOUR
    _once: dict[Callable[["Candles"], Floats], Floats] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )

    def __post_init__(self) -> None:
        """Leave out the candles in which nothing traded."""
        is_idle = (self.volume == 0.0) & (self.high == self.low) & (self.open == self.close)
        if is_idle.any():
            for name in COLUMNS:
                object.__setattr__(self, name, np.where(is_idle, np.nan, getattr(self, name)))

    def once(self, series: Callable[["Candles"], Floats]) -> Floats:
        """Return a series of these candles, made once however many others are made from it."""
        if series not in self._once:
            self._once[series] = series(self)
        return self._once[series]

    @property
    def first_index(self) -> int:
        """Return how many candles of this step lie between 1970 and the first one."""
        return self.first_hour * HOUR // self.step

    def last_closed(self, at: Ints) -> Ints:
        """Return the grid place of the candle that closed last, at or before each time.

        Parameters
        ----------
        at
            Seconds since 1970. A place may lie outside the grid.
        """
        return at // self.step - self.first_index - 1


@dataclass(frozen=True, slots=True)
class Events:
    """What owners did and what was done to them, ordered by account and time.

    Parameters
    ----------
    account
        Account of each event, ascending.
    at
        Seconds since 1970, ascending within an account.
    kind
        `EventKind`.
    collateral_before, debt_before
        Holdings just before the event, in whole units of collateral and of debt shares.
    """

    account: Names
    at: Ints
    kind: Ints
    collateral_before: Floats
    debt_before: Floats


@dataclass(frozen=True, slots=True)
class PointInTimeSeries:
    """Values of one quantity, each known from a moment on.

    Parameters
    ----------
    at
        Seconds since 1970 from which each value is known, ascending.
    value
        One value per moment.
    """

    at: Ints
    value: Floats


@dataclass(frozen=True, slots=True)
class Tables:
    """Everything known, from which `features.pipeline.compute` takes what it may use.

    What is absent makes the features that read it missing, never 0.

    Parameters
    ----------
    candles
        Spot candles by asset, quote per unit.
    events
        Of all accounts.
    references
        Assets that every account may be compared with; the first two are read as such.
    perpetuals, marks
        Candles of an asset's perpetual by its last price, and by the mark it is judged by.
    funding
        By asset: rate that longs paid at each payment, a fraction of the notional.
    open_interest
        By asset: base units.
    rounds
        By asset: oracle answers, quote per unit, at the time each was published.
    depth
        By asset: quote units that could be sold within 2 % of the price.
    utilisation, liquidity
        By venue and asset: share of the reserve lent out, and what is left, quote units.
    fragile
        By venue and asset: collateral that would be sold if the price fell by 10 %, quote
        units.
    """

    candles: Mapping[str, Candles]
    events: Events
    references: tuple[str, ...] = ("BTC", "ETH")
    perpetuals: Mapping[str, Candles] = field(default_factory=dict)
    marks: Mapping[str, Candles] = field(default_factory=dict)
    funding: Mapping[str, PointInTimeSeries] = field(default_factory=dict)
    open_interest: Mapping[str, PointInTimeSeries] = field(default_factory=dict)
    rounds: Mapping[str, PointInTimeSeries] = field(default_factory=dict)
    depth: Mapping[str, PointInTimeSeries] = field(default_factory=dict)
    utilisation: Mapping[tuple[str, str], PointInTimeSeries] = field(default_factory=dict)
    liquidity: Mapping[tuple[str, str], PointInTimeSeries] = field(default_factory=dict)
    fragile: Mapping[tuple[str, str], PointInTimeSeries] = field(default_factory=dict)


MOMENTS: Mapping[str, str] = {
    "account": "name",
    "at": "UTC time of the question",
    "asset": "asset whose price decides; of a basket the one with the largest exposure",
    "side": "+1 where a falling price hurts, -1 where a rising one does; +1 for a basket",
    "price": "price the venue judges by at `at`, quote per unit; of a basket credit/requirement",
    "price_next": "price the venue is known to judge by next; the same where it is not delayed",
    "delay": "hours until a price seen now is judged by",
    "trigger": "price at which the verdict flips to liquidatable; 1 for a basket",
    "collateral": "whole units of collateral; of a basket the credit, quote units",
    "debt": "whole debt shares; of a basket the requirement, quote units",
    "debt_value": "debt in quote units",
    "cash": "part of the surplus that no price moves, signed, quote units",
    "opened_at": "UTC time the account was opened; NaT when unknown",
}
"""Columns of the frame of account moments, with their meaning."""

OPTIONAL: Mapping[str, str] = {
    "venue": "name of the venue, by which reserves are found",
    "collateral_value": "collateral in quote units, as the market has it, not as weighed",
    "accrual_hours": "hours until interest and fees alone flip the verdict; inf for never",
}
"""Columns that a frame of account moments may have; what is absent is unknown."""

LEGS: Mapping[str, str] = {
    "row": "place of the basket in the frame of moments, from 0",
    "asset": "an asset whose price moves the surplus",
    "units": "change of the surplus per change of the price, signed, base units",
}
"""Columns of the frame of legs of accounts that more than one price moves."""


def candles_on_grid(frame: "pd.DataFrame", *, step: int = HOUR) -> dict[str, Candles]:
    """Lay validated candles on a regular grid per asset, which begins on an hour.

    Parameters
    ----------
    frame
        A table of schema `features.tables.CANDLES`; a column that it lacks stays missing.
    step
        Seconds of one candle; an hour is a whole number of them.
    """
    grids: dict[str, Candles] = {}
    for symbol, rows in frame.groupby("symbol", observed=True):
        opened = seconds(rows["open_time"])
        hour = int(opened.min()) // HOUR
        places = opened // step - hour * HOUR // step
        size = int(places.max()) + 1
        columns: dict[str, Any] = {}
        for name in COLUMNS:
            grid = np.full(size, np.nan)
            if name in rows.columns:
                grid[places] = rows[name].to_numpy(dtype=np.float64)
            columns[name] = grid
        grids[str(symbol)] = Candles(first_hour=hour, step=step, **columns)
    return grids


def seconds(times: "pd.Series") -> Ints:
    """Return UTC times as whole seconds since 1970."""
    whole = times.astype("datetime64[s, UTC]").astype("int64")
    return np.asarray(whole, dtype=np.int64)


def no_events() -> Events:
    """Return an empty event log."""
    return Events(
        account=np.empty(0, dtype=object),
        at=np.empty(0, dtype=np.int64),
        kind=np.empty(0, dtype=np.int64),
        collateral_before=np.empty(0),
        debt_before=np.empty(0),
    )
