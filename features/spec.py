"""What a feature is, and what it may see."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

import numpy as np

from features.cross_section import CrossSection
from features.inputs import Candles, Events, Floats, Ints, Names, Tables
from features.market import MarketFunction, Sample
from features.paths import against, beside

Source = Literal["candles", "references", "section", "events", "position", "readings", "clock"]
"""What a feature reads: candles of the path's own assets, of the references, of all assets,
the account's events and position, readings of its own assets and venue, the time."""

Scope = Literal["market", "owner", "venue"]
"""Whom a feature tells of: the path and its distance, its owner, or the venue's own state."""

ViewFunction = Callable[["View"], Floats]


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
    index
        Candles of this step since 1970, of each candle.
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
    exposure
        What would have to be sold or bought back to close the account, quote units.
    is_basket
        Whether these are accounts that several prices move.
    section
        All assets at the moments of the call.
    """

    tables: Tables
    candles: Candles
    index: Ints
    place: Ints
    sample: Sample
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
    exposure: Floats
    accrual_hours: Floats
    is_basket: bool
    section: CrossSection
    _beside: dict[tuple[str, bool], Sample] = field(default_factory=dict)
    _once: dict[ViewFunction, Floats] = field(default_factory=dict)

    def market(self, function: MarketFunction) -> Floats:
        """Return a market value of the path per moment, computed once per distinct candle."""
        return self.sample.values(function)

    def of_ranges(self, function: MarketFunction) -> Floats:
        """Return a market value of the path's highs and lows, of which a basket has none."""
        return np.full(len(self.at), np.nan) if self.is_basket else self.market(function)

    def reference(self, number: int, function: MarketFunction) -> Floats:
        """Return a market value of a reference asset, at the candles that the path has."""
        return self._sample_beside(number, is_relative=False).values(function)

    def relative(self, number: int, function: MarketFunction) -> Floats:
        """Return a market value of the path measured in a reference asset."""
        return self._sample_beside(number, is_relative=True).values(function)

    def across(self, function: MarketFunction) -> Floats:
        """Return the median of a market value over all assets."""
        return self.section.median(function, at=self.at)

    def once(self, function: "ViewFunction") -> Floats:
        """Return what a function says of this view, asked once however many features read it."""
        if function not in self._once:
            self._once[function] = function(self)
        return self._once[function]

    def _sample_beside(self, number: int, *, is_relative: bool) -> Sample:
        """Return the sample of a reference, or of the path against it."""
        name = self.tables.references[number]
        if (name, is_relative) not in self._beside:
            other = beside(self.candles, self.index, self.tables.candles.get(name))
            series = against(self.candles, other) if is_relative else other
            self._beside[name, is_relative] = Sample.at(series, self.place, self.index)
        return self._beside[name, is_relative]


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
    scope
        Whom it tells of; a head may be trained on some scopes only.
    direction
        -1 where a higher value can only lower the risk, +1 where it can only raise it,
        0 where either may hold.
    """

    name: str
    function: ViewFunction
    unit: str
    lookback: timedelta
    sources: frozenset[Source]
    meaning: str
    scope: Scope = "market"
    direction: Literal[-1, 0, 1] = 0
