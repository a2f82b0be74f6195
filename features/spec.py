"""What a feature is, and what it may see."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from features.inputs import Candles, Events, Floats, Ints
from features.market import MarketFunction, Sample

Source = Literal["candles", "events", "position"]


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What is known of N moments of accounts that share one asset.

    Parameters
    ----------
    candles
        The asset's candles.
    place
        Grid place of the last closed candle of each moment.
    sample
        What the market functions say at those places.
    at
        Seconds since 1970.
    events, first_event, end_event
        The event log, and per moment the slice of its account's events strictly before `at`.
    price, price_next, delay, trigger, collateral, debt, debt_value, age
        As in `features.inputs.MOMENTS`; `age` in hours, NaN when unknown.
    """

    candles: Candles
    place: Ints
    at: Ints
    events: Events
    first_event: Ints
    end_event: Ints
    price: Floats
    price_next: Floats
    delay: Floats
    trigger: Floats
    collateral: Floats
    debt: Floats
    debt_value: Floats
    age: Floats
    sample: Sample

    def market(self, function: MarketFunction) -> Floats:
        """Return a market value per moment, computed once per distinct candle."""
        return self.sample.values(function)


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """One input of the model.

    Parameters
    ----------
    name
        Unique; windows are suffixes.
    function
        From a view of N moments to N values; NaN where it cannot be computed.
    unit
        What one unit means.
    lookback
        How far back candles and events may matter; zero for the position alone.
    sources
        What it reads.
    meaning
        One line for the documentation.
    direction
        -1 where a higher value can only lower the risk, +1 where it can only raise it,
        0 where either may hold.
    """

    name: str
    function: Callable[[View], Floats]
    unit: str
    lookback: timedelta
    sources: frozenset[Source]
    meaning: str
    direction: Literal[-1, 0, 1] = 0
