"""What the features of one asset read of its candles: values and windows, at N places."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Literal, NamedTuple, Protocol, Self

import numba
import numpy as np

from features.inputs import HOUR, Candles, Floats, Ints
from features.windows import ewm_weights, window_highs, window_sums, window_weighted_sums

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
    ratio = np.asarray(_positive_ratio(over, under))
    return np.log(ratio, out=ratio)


@numba.njit(cache=True, nogil=True)
def _positive_ratio(over: Floats, under: Floats) -> Floats:
    """Return over / under, missing where either is not positive."""
    out = np.empty(len(over))
    for row in range(len(over)):
        is_positive = over[row] > 0.0 and under[row] > 0.0
        out[row] = over[row] / under[row] if is_positive else np.nan
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


class Statistic(NamedTuple):
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

    def of_missing(self) -> "Statistic":
        """Return how much of the window is missing, as heavy as it would have been."""
        return Statistic(self.series, "missing", self.window, self.half_life)


@cache
def _whole_weight(window: int, half_life: float) -> float:
    """Return the weight of a window of which nothing is missing."""
    return float(ewm_weights(window, half_life).sum())


class Rolling(Protocol):
    """Where statistics come from: recorded candles, or state that rolls with them."""

    @property
    def step(self) -> int:
        """Return the seconds of one candle."""

    def value(self, series: Series, *, back: int) -> Floats:
        """Return the value `back` candles ago."""

    def window(self, statistic: Statistic) -> tuple[Floats, Floats | None]:
        """Return a statistic, NaN nowhere, and what it is of its window that is missing.

        The latter is None where no window has a hole. Before the first candle all is missing.
        """


@dataclass(frozen=True, slots=True)
class MarketWindows:
    """Values and windows of an asset's candles at N places.

    A window is a number of candles, the place's own among them. With less than
    `LEAST_SHARE` of it present, a value is NaN; otherwise it is of what is present.
    """

    rolling: Rolling
    _values: dict["MarketFunction", Floats] = field(default_factory=dict)

    def of(self, function: "MarketFunction") -> Floats:
        """Return what a function says of this market, asked once however many read it."""
        if function not in self._values:
            self._values[function] = function(self)
        return self._values[function]

    def market(self, function: "MarketFunction") -> Floats:
        """Return a market value: what a feature of candles alone reads of a view."""
        return self.of(function)

    def of_ranges(self, function: "MarketFunction") -> Floats:
        """Return a market value of highs and lows, as a view does."""
        return self.of(function)

    def length(self, *, hours: int) -> int:
        """Return the number of candles in so many hours."""
        return hours * HOUR // self.rolling.step

    def value(self, series: Series, *, back: int = 0) -> Floats:
        """Return the value `back` candles ago."""
        return self.rolling.value(series, back=back)

    def total(self, series: Series, *, window: int, least_share: float = LEAST_SHARE) -> Floats:
        """Return the sum of a window."""
        statistic = Statistic(series=series, column="present", window=window)
        return self._where_enough(statistic, least_share=least_share)

    def mean(self, series: Series, *, window: int) -> Floats:
        """Return the mean of a window."""
        return self._mean(Statistic(series=series, column="present", window=window), float(window))

    def ewm_mean(self, series: Series, *, window: int, half_life: float) -> Floats:
        """Return the mean of a window with weights that halve every `half_life` candles."""
        statistic = Statistic(series=series, column="present", window=window, half_life=half_life)
        return self._mean(statistic, _whole_weight(window, half_life))

    def highest(self, series: Series, *, window: int) -> Floats:
        """Return the greatest value of a window."""
        return self._where_enough(Statistic(series=series, column="high", window=window))

    def lowest(self, series: Series, *, window: int) -> Floats:
        """Return the least value of a window."""
        return -self._where_enough(Statistic(series=series, column="low", window=window))

    def _mean(self, statistic: Statistic, possible: float) -> Floats:
        """Return a sum over the weight that is present."""
        total, missing = self.rolling.window(statistic)
        if missing is None:
            return total / possible
        present = possible - missing
        return total / np.where(present >= LEAST_SHARE * possible, present, np.nan)

    def _where_enough(self, statistic: Statistic, *, least_share: float = LEAST_SHARE) -> Floats:
        """Return a statistic where enough of its window is present."""
        values, missing = self.rolling.window(statistic)
        if missing is None:
            return values
        return np.where(
            statistic.window - missing >= least_share * statistic.window, values, np.nan
        )


MarketFunction = Callable[[MarketWindows], Floats]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedWindows:
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
    _last_hole: dict[Series, int] = field(default_factory=dict)
    _statistics: dict[Statistic, Floats] = field(default_factory=dict)

    @property
    def step(self) -> int:
        """Return the seconds of one candle."""
        return self.candles.step

    def value(self, series: Series, *, back: int) -> Floats:
        """Return the value `back` candles ago."""
        return self.part(slice(0, len(self.place))).value(series, back=back)

    def window(self, statistic: Statistic) -> tuple[Floats, Floats | None]:
        """Return a statistic, and what of its window is missing."""
        return self.part(slice(0, len(self.place))).window(statistic)

    def part(self, rows: slice) -> "WindowRun":
        """Return the same candles at a run of the places."""
        return WindowRun(self, rows)

    def series(self, series: Series) -> Floats:
        """Return a series, made once."""
        if series not in self._series:
            self._series[series] = series(self.candles)
        return self._series[series]

    def whole(self, statistic: Statistic) -> Floats:
        """Return a statistic at all places, made once; of holes as far as one is seen."""
        if statistic not in self._statistics:
            self._statistics[statistic] = (
                self._missing(statistic)
                if statistic.column == "missing"
                else _windows(self._column(statistic), self.place, self.index, statistic)
            )
        return self._statistics[statistic]

    def _missing(self, statistic: Statistic) -> Floats:
        """Return a statistic of holes, before the first candle nothing but holes."""
        holes = self._column(statistic)
        if statistic.series not in self._last_hole:
            self._last_hole[statistic.series] = int(np.max(np.flatnonzero(holes), initial=-1))
        sighted = self._last_hole[statistic.series] + statistic.window
        if not len(self.place) or self.place[0] >= sighted:
            return np.empty(0)
        padded = np.concatenate([np.ones(statistic.window), holes[:sighted]])
        place = self.place[: np.searchsorted(self.place, sighted)] + statistic.window
        return _windows(padded, place, self.index[: len(place)], statistic)

    def _column(self, statistic: Statistic) -> Floats:
        """Return the column of a statistic, made once."""
        key = (statistic.series, statistic.column)
        if key not in self._columns:
            self._columns[key] = filled(self.series(statistic.series), statistic.column)
        return self._columns[key]


@dataclass(frozen=True, slots=True)
class WindowRun:
    """Statistics at a run of the places of recorded candles."""

    recorded: RecordedWindows
    rows: slice

    @property
    def step(self) -> int:
        """Return the seconds of one candle."""
        return self.recorded.step

    def value(self, series: Series, *, back: int) -> Floats:
        """Return the value `back` candles ago."""
        values, places = self.recorded.series(series), self.recorded.place[self.rows] - back
        if len(places) and places[0] >= 0 and places[-1] - places[0] == len(places) - 1:
            return values[places[0] : places[-1] + 1]
        out = values[np.maximum(places, 0)]
        out[: np.searchsorted(places, 0)] = np.nan
        return out

    def window(self, statistic: Statistic) -> tuple[Floats, Floats | None]:
        """Return a statistic, and what of its window is missing."""
        values = self.recorded.whole(statistic)[self.rows]
        missing = self.recorded.whole(statistic.of_missing())[self.rows]
        if not len(missing):
            return values, None
        return values, np.append(missing, np.zeros(len(values) - len(missing)))


def _windows(values: Floats, place: Ints, index: Ints, statistic: Statistic) -> Floats:
    """Return a statistic of a column."""
    if statistic.column in {"high", "low"}:
        return window_highs(values, place, index=index, window=statistic.window)
    if statistic.half_life is None:
        return window_sums(values, place, index=index, window=statistic.window)
    weights = ewm_weights(statistic.window, statistic.half_life)
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

    market: MarketWindows
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
        recorded = RecordedWindows(candles=candles, place=places, index=index[places])
        return cls(market=MarketWindows(recorded), is_inside=is_inside, back=back)

    def values(self, function: MarketFunction) -> Floats:
        """Return a market value per moment, NaN outside the grid."""
        out = np.full(len(self.is_inside), np.nan)
        out[self.is_inside] = self.market.of(function)[self.back]
        return out
