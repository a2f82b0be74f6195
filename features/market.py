"""What the features of one asset read of its candles: values and windows, at N places."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, Self

import numpy as np

from features.inputs import HOUR, Candles, Floats, Ints
from features.windows import halving_weights, window_highs, window_sums, window_weighted_sums

LEAST_SHARE = 0.5
"""Share of a window that must be present; with less the value is missing."""

Series = Callable[[Candles], Floats]
"""One value per candle, NaN where missing, elementwise from it and from `previous` ones."""


class Market(Protocol):
    """Values and windows of an asset's candles at N places, newest candle last.

    A window is a number of candles, the place's own among them. With less than
    `LEAST_SHARE` of it present, a statistic is NaN; otherwise it is of what is present.
    """

    def length(self, *, hours: int) -> int:
        """Return the number of candles in so many hours."""

    def value(self, series: Series, *, back: int = 0) -> Floats:
        """Return the value `back` candles ago."""

    def total(self, series: Series, *, window: int, least_share: float = LEAST_SHARE) -> Floats:
        """Return the sum of a window."""

    def mean(self, series: Series, *, window: int) -> Floats:
        """Return the mean of a window."""

    def halving_mean(self, series: Series, *, window: int, half_life: float) -> Floats:
        """Return the mean of a window with weights that halve every `half_life` candles."""

    def highest(self, series: Series, *, window: int) -> Floats:
        """Return the greatest value of a window."""

    def lowest(self, series: Series, *, window: int) -> Floats:
        """Return the least value of a window."""


MarketFunction = Callable[[Market], Floats]


def previous(values: Floats) -> Floats:
    """Return the values of the candle before, NaN for the first."""
    out = np.empty_like(values)
    out[..., :1] = np.nan
    out[..., 1:] = values[..., :-1]
    return out


@dataclass(frozen=True, slots=True)
class _Filled:
    """A series without holes, and where they were."""

    values: Floats
    is_missing: Floats | None  # 1.0 where missing; None where nothing is


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketHistory:
    """A `Market` over recorded candles.

    Parameters
    ----------
    candles
        The asset's candles.
    place
        Ascending places of the grid.
    index
        Candles since 1970 of each place.
    """

    candles: Candles
    place: Ints
    index: Ints
    _filled: dict[Series, _Filled] = field(default_factory=dict)

    @classmethod
    def at(cls, candles: Candles, place: Ints) -> Self:
        """Return the market at ascending places of a grid."""
        return cls(candles=candles, place=place, index=place + candles.first_index)

    def length(self, *, hours: int) -> int:
        """Return the number of candles in so many hours."""
        return hours * HOUR // self.candles.step

    def value(self, series: Series, *, back: int = 0) -> Floats:
        """Return the value `back` candles ago."""
        out = np.full(len(self.place), np.nan)
        inside = self.place >= back
        out[inside] = series(self.candles)[self.place[inside] - back]
        return out

    def total(self, series: Series, *, window: int, least_share: float = LEAST_SHARE) -> Floats:
        """Return the sum of a window."""
        sums = window_sums(self._series(series).values, self.place, index=self.index, window=window)
        return np.where(self._present(series, window) >= least_share * window, sums, np.nan)

    def mean(self, series: Series, *, window: int) -> Floats:
        """Return the mean of a window."""
        total = self.total(series, window=window)
        return total / np.maximum(self._present(series, window), 1.0)

    def halving_mean(self, series: Series, *, window: int, half_life: float) -> Floats:
        """Return the mean of a window with weights that halve every `half_life` candles."""
        weights = halving_weights(window, half_life)
        possible = weights.sum()
        sums = window_weighted_sums(
            self._series(series).values, self.place, index=self.index, weights=weights
        )
        missing = np.zeros(len(self.place))
        holes, count = self._holes(series, window)
        missing[:count] = window_weighted_sums(
            holes, self.place[:count], index=self.index[:count], weights=weights, before=1.0
        )
        present = possible - missing
        return sums / np.where(present >= LEAST_SHARE * possible, present, np.nan)

    def highest(self, series: Series, *, window: int) -> Floats:
        """Return the greatest value of a window."""
        return self._greatest(series, window, sign=1.0)

    def lowest(self, series: Series, *, window: int) -> Floats:
        """Return the least value of a window."""
        return -self._greatest(series, window, sign=-1.0)

    def _greatest(self, series: Series, window: int, *, sign: float) -> Floats:
        """Return the greatest of the series times `sign`."""
        values = series(self.candles)
        values = np.where(np.isnan(values), -np.inf, sign * values)
        highs = window_highs(values, self.place, index=self.index, window=window)
        return np.where(self._present(series, window) >= LEAST_SHARE * window, highs, np.nan)

    def _present(self, series: Series, window: int) -> Floats:
        """Return how many values of the window are present."""
        present = np.full(len(self.place), float(window))
        holes, count = self._holes(series, window)
        present[:count] -= window_sums(
            holes, self.place[:count], index=self.index[:count], window=window, before=1.0
        )
        return present

    def _holes(self, series: Series, window: int) -> tuple[Floats, int]:
        """Return 1.0 where the series is missing, and how many places can see a hole."""
        holes = self._series(series).is_missing
        if holes is not None:
            return holes, len(self.place)
        count = int(np.searchsorted(self.place, window - 1))
        return np.zeros(len(self.candles.close)), count

    def _series(self, series: Series) -> _Filled:
        """Return a series with zeros for what is missing, made once."""
        if series not in self._filled:
            values = series(self.candles)
            is_missing = np.isnan(values)
            self._filled[series] = (
                _Filled(np.where(is_missing, 0.0, values), is_missing.astype(np.float64))
                if is_missing.any()
                else _Filled(values, None)
            )
        return self._filled[series]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Market values at N moments, computed once per distinct place and function.

    Parameters
    ----------
    market
        The asset at the distinct places that lie inside its grid.
    is_inside
        Which of the moments lie inside.
    back
        Of those, their place in the market.
    """

    market: Market
    is_inside: np.ndarray
    back: Ints
    _values: dict[MarketFunction, Floats] = field(default_factory=dict)

    @classmethod
    def at(cls, candles: Candles, place: Ints, index: Ints) -> Self:
        """Return the sample of moments at any places, in any order.

        Parameters
        ----------
        index
            Candles of this step since 1970, of each candle.
        """
        is_inside = (place >= 0) & (place < len(candles.close))
        places, back = np.unique(place[is_inside], return_inverse=True)
        market = MarketHistory(candles=candles, place=places, index=index[places])
        return cls(market=market, is_inside=is_inside, back=back)

    def values(self, function: MarketFunction) -> Floats:
        """Return a market value per moment, NaN outside the grid."""
        if function not in self._values:
            out = np.full(len(self.is_inside), np.nan)
            out[self.is_inside] = function(self.market)[self.back]
            self._values[function] = out
        return self._values[function]
