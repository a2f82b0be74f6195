"""What a feature is, and what it may see."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from features.inputs import Candles, Events, Floats, Ints, Names, Tables
from features.market import MarketFunction, Sample

Source = Literal["candles", "events", "position"]


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What is known of N moments of accounts that share one series of candles.

    An account is seen as a path that may fall to its trigger: an asset held long as its
    price, held short as the price's inverse, a basket as credit over requirement.

    Parameters
    ----------
    tables
        Everything known, of which a feature may read what it declares.
    candles
        Of the path.
    hours
        Hour since 1970 at which each candle opens.
    place
        Place in `candles` of the last closed candle of each moment.
    sample
        What the market functions say at those places.
    at
        Seconds since 1970.
    events, first_event, end_event
        The event log, and per moment the slice of its account's events strictly before `at`.
    price, price_next, trigger
        Of the path, so that the verdict flips when it falls to its trigger.
    asset, side, delay, collateral, debt, debt_value, cash, age
        As in `features.inputs.MOMENTS`; `age` in hours, NaN when unknown.
    venue, collateral_value, accrual_hours
        As in `features.inputs.OPTIONAL`; empty or NaN when unknown.
    """

    tables: Tables
    candles: Candles
    hours: Ints
    place: Ints
    at: Ints
    events: Events
    first_event: Ints
    end_event: Ints
    asset: Names
    side: Floats
    price: Floats
    price_next: Floats
    delay: Floats
    trigger: Floats
    collateral: Floats
    debt: Floats
    debt_value: Floats
    cash: Floats
    age: Floats
    venue: Names
    collateral_value: Floats
    accrual_hours: Floats
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
