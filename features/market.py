"""What the features of one asset read of its candles: values and windows, at N places."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol, Self

import numpy as np

from features.inputs import HOUR, Candles, Floats, Ints
from features.windows import halving_weights, window_highs, window_sums, window_weighted_sums

LEAST_SHARE = 0.5
"""Share of a window that must be present; with less the value is missing."""

Series = Callable[[Candles], Floats]
"""One value per candle, NaN where missing, elementwise from it and from `previous` ones."""


def previous(values: Floats) -> Floats:
    """Return the values of the candle before, NaN for the first; time is the last axis."""
    out = np.empty_like(values)
    out[..., :1] = np.nan
    out[..., 1:] = values[..., :-1]
    return out


def log_ratio(over: Floats, under: Floats) -> Floats:
    """Return log(over / under), missing where either is not positive."""
    usable = (over > 0.0) & (under > 0.0)
    out = np.full(len(over), np.nan)
    out[usable] = np.log(over[usable] / under[usable])
    return out


Column = Literal["present", "missing", "high", "low"]
"""How a series is freed of NaN: as it is with 0 for missing; 1 for missing, else 0; as it is,
or negated, with -inf for missing."""


def filled(values: Floats, column: Column) -> Floats:
    """Return values free of NaN."""
    is_missing = np.isnan(values)
    match column:
        case "present":
            return np.where(is_missing, 0.0, values)
        case "missing":
            return is_missing.astype(np.float64)
        case "high":
            return np.where(is_missing, -np.inf, values)
        case "low":
            return np.where(is_missing, -np.inf, -values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistic:
    """One number per place, from the last `window` values of a series.

    Parameters
    ----------
    series, column
        Of what: `high` and `low` mean the greatest value, the others the sum.
    window
        Candles, the place's own among them.
    half_life
        Candles in which a weight halves; None where all weigh the same.
    """

    series: Series
    column: Column
    window: int
    half_life: float | None = None


class Rolling(Protocol):
    """Where statistics come from: recorded candles, or state that rolls with them."""

    @property
    def step(self) -> int:
        """Return the seconds of one candle."""

    def value(self, series: Series, *, back: int) -> Floats:
        """Return the value `back` candles ago."""

    def statistic(self, wanted: Statistic) -> Floats:
        """Return a statistic, NaN nowhere; before the first candle all is missing."""


@dataclass(frozen=True, slots=True)
class Market:
    """Values and windows of an asset's candles at N places.

    A window is a number of candles, the place's own among them. With less than
    `LEAST_SHARE` of it present, a value is NaN; otherwise it is of what is present.
    """

    rolling: Rolling
    _known: dict["MarketFunction", Floats] = field(default_factory=dict)

    def of(self, function: "MarketFunction") -> Floats:
        """Return what a function says of this market, asked once however many read it."""
        if function not in self._known:
            self._known[function] = function(self)
        return self._known[function]

    def length(self, *, hours: int) -> int:
        """Return the number of candles in so many hours."""
        return hours * HOUR // self.rolling.step

    def value(self, series: Series, *, back: int = 0) -> Floats:
        """Return the value `back` candles ago."""
        return self.rolling.value(series, back=back)

    def total(self, series: Series, *, window: int, least_share: float = LEAST_SHARE) -> Floats:
        """Return the sum of a window."""
        sums = self._sum(series, window)
        return np.where(self._present(series, window) >= least_share * window, sums, np.nan)

    def mean(self, series: Series, *, window: int) -> Floats:
        """Return the mean of a window."""
        present = self._present(series, window)
        enough = present >= LEAST_SHARE * window
        return self._sum(series, window) / np.where(enough, present, np.nan)

    def halving_mean(self, series: Series, *, window: int, half_life: float) -> Floats:
        """Return the mean of a window with weights that halve every `half_life` candles."""
        possible = halving_weights(window, half_life).sum()
        present = possible - self._sum(series, window, column="missing", half_life=half_life)
        enough = present >= LEAST_SHARE * possible
        sums = self._sum(series, window, half_life=half_life)
        return sums / np.where(enough, present, np.nan)

    def highest(self, series: Series, *, window: int) -> Floats:
        """Return the greatest value of a window."""
        found = self._sum(series, window, column="high")
        return np.where(self._present(series, window) >= LEAST_SHARE * window, found, np.nan)

    def lowest(self, series: Series, *, window: int) -> Floats:
        """Return the least value of a window."""
        found = -self._sum(series, window, column="low")
        return np.where(self._present(series, window) >= LEAST_SHARE * window, found, np.nan)

    def _present(self, series: Series, window: int) -> Floats:
        """Return how many values of the window are present."""
        return window - self._sum(series, window, column="missing")

    def _sum(
        self,
        series: Series,
        window: int,
        *,
        column: Column = "present",
        half_life: float | None = None,
    ) -> Floats:
        """Return a statistic."""
        wanted = Statistic(series=series, column=column, window=window, half_life=half_life)
        return self.rolling.statistic(wanted)


MarketFunction = Callable[[Market], Floats]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """Statistics of recorded candles.

    Parameters
    ----------
    candles
        The asset's candles.
    place
        Ascending distinct places of the grid.
    index
        Candles of this step since 1970, of each place.
    """

    candles: Candles
    place: Ints
    index: Ints
    _series: dict[Series, Floats] = field(default_factory=dict)
    _columns: dict[tuple[Series, Column], Floats] = field(default_factory=dict)
    _statistics: dict[Statistic, Floats] = field(default_factory=dict)

    @property
    def step(self) -> int:
        """Return the seconds of one candle."""
        return self.candles.step

    def value(self, series: Series, *, back: int) -> Floats:
        """Return the value `back` candles ago."""
        out = np.full(len(self.place), np.nan)
        inside = self.place >= back
        out[inside] = self._values(series)[self.place[inside] - back]
        return out

    def statistic(self, wanted: Statistic) -> Floats:
        """Return a statistic, made once."""
        if wanted not in self._statistics:
            rolled = self._missing(wanted) if wanted.column == "missing" else self._rolled(wanted)
            self._statistics[wanted] = rolled
        return self._statistics[wanted]

    def _rolled(self, wanted: Statistic) -> Floats:
        """Return a statistic of values, of which none stand before the first."""
        return _windows(self._column(wanted), self.place, self.index, wanted)

    def _missing(self, wanted: Statistic) -> Floats:
        """Return a statistic of holes, of which nothing else stands before the first candle."""
        holes = self._column(wanted)
        last = int(np.max(np.flatnonzero(holes), initial=-1))
        seeing = int(np.searchsorted(self.place, last + wanted.window))
        out = np.zeros(len(self.place))
        before = np.concatenate([np.ones(wanted.window), holes[: last + wanted.window]])
        place = self.place[:seeing] + wanted.window
        out[:seeing] = _windows(before, place, self.index[:seeing], wanted)
        return out

    def _column(self, wanted: Statistic) -> Floats:
        """Return the column of a statistic, made once."""
        key = (wanted.series, wanted.column)
        if key not in self._columns:
            self._columns[key] = filled(self._values(wanted.series), wanted.column)
        return self._columns[key]

    def _values(self, series: Series) -> Floats:
        """Return a series, made once."""
        if series not in self._series:
            self._series[series] = series(self.candles)
        return self._series[series]


def _windows(values: Floats, place: Ints, index: Ints, wanted: Statistic) -> Floats:
    """Return a statistic of a column."""
    if wanted.column in {"high", "low"}:
        return window_highs(values, place, index=index, window=wanted.window)
    if wanted.half_life is None:
        return window_sums(values, place, index=index, window=wanted.window)
    weights = halving_weights(wanted.window, wanted.half_life)
    return window_weighted_sums(values, place, index=index, weights=weights)


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
        recorded = Recorded(candles=candles, place=places, index=index[places])
        return cls(market=Market(recorded), is_inside=is_inside, back=back)

    def values(self, function: MarketFunction) -> Floats:
        """Return a market value per moment, NaN outside the grid."""
        out = np.full(len(self.is_inside), np.nan)
        out[self.is_inside] = self.market.of(function)[self.back]
        return out
