"""The rolling statistics of one clock, added to together: a candle is one call for all."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numba
import numpy as np
import numpy.typing as npt

from features.inputs import Floats, Ints
from features.market import Column, Series, Statistic
from features.rolling import (
    roll_highs,
    roll_highs_beside,
    roll_sums,
    roll_sums_beside,
    roll_weighted_sums,
    roll_weighted_sums_beside,
)
from features.windows import ewm_weights

PRESENT, MISSING, HIGH, LOW = range(4)
CODES: Mapping[Column, int] = {"present": PRESENT, "missing": MISSING, "high": HIGH, "low": LOW}
SUM, WEIGHTED, HIGHEST = 0, 1, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class RollingPlan:
    """What a bank keeps, and where.

    Parameters
    ----------
    columns
        Series free of NaN that the statistics are of, those of holes last.
    longest
        Window of each column.
    statistics
        Those asked for, then what of their windows is missing.
    places
        Of each statistic asked for, and of what of its window is missing.
    rows
        Of each statistic its kind, the place of its column, its window, and where its
        numbers and its weights begin in `RollingState.cells` and `weights`; shape (statistics, 5).
    weights
        From `ewm_weights`, one behind the other.
    """

    columns: tuple[tuple[Series, Column], ...]
    longest: tuple[int, ...]
    statistics: tuple[Statistic, ...]
    places: Mapping[Statistic, tuple[int, int]]
    rows: Ints
    weights: Floats

    @classmethod
    def of(cls, requested: Sequence[Statistic], *, assets: int) -> Self:
        """Return the plan of distinct statistics, none of them of holes."""
        statistics = tuple(
            dict.fromkeys([*requested, *(statistic.of_missing() for statistic in requested)])
        )
        # Ascending windows: of each column the longest is set last.
        longest = {
            (statistic.series, statistic.column): statistic.window
            for statistic in sorted(
                statistics, key=lambda statistic: (statistic.column == "missing", statistic.window)
            )
        }
        columns = tuple(longest)
        weights = [_weights(statistic) for statistic in statistics]
        cells = _starts([assets * (statistic.window + 1) for statistic in statistics])
        heavy = _starts([len(row_weights) for row_weights in weights])
        rows = [
            (
                _kind(statistic),
                columns.index((statistic.series, statistic.column)),
                statistic.window,
                start,
                begin,
            )
            for statistic, start, begin in zip(statistics, cells, heavy, strict=True)
        ]
        return cls(
            columns=columns,
            longest=tuple(longest.values()),
            statistics=statistics,
            places={
                statistic: (statistics.index(statistic), statistics.index(statistic.of_missing()))
                for statistic in requested
            },
            rows=np.array(rows, dtype=np.int64).reshape(-1, 5),
            weights=np.concatenate([np.empty(0), *weights]),
        )


@dataclass(slots=True, kw_only=True)
class RollingState:
    """Statistics of some assets, and the state that they roll by.

    Parameters
    ----------
    plan
        What is kept, and where.
    cells
        Of each statistic, one behind the other, a window and one number more of every asset,
        the assets side by side.
    heads
        Of the blocks that time is in; shape (statistics, assets).
    quiet
        Candles since a column of holes last had one, of each column.
    """

    plan: RollingPlan
    cells: Floats
    heads: Floats
    quiet: Ints
    _is_due: npt.NDArray[np.bool_]
    _rolled: Floats

    @classmethod
    def begun(cls, requested: Sequence[Statistic], *, assets: int, index: int) -> Self:
        """Return statistics before whose first candle all is missing.

        Parameters
        ----------
        requested
            Distinct, none of holes.
        index
            Candles since 1970 of the first.
        """
        plan = RollingPlan.of(requested, assets=assets)
        begun = [_begun(statistic, index) for statistic in plan.statistics]
        return cls(
            plan=plan,
            cells=np.concatenate([np.empty(0), *(np.repeat(cells, assets) for cells, _ in begun)]),
            heads=np.array([np.full(assets, head) for _, head in begun]).reshape(-1, assets),
            quiet=np.zeros(len(plan.columns), dtype=np.int64),
            _is_due=np.ones(len(begun), dtype=np.bool_),
            _rolled=np.empty((len(begun), 0)),
        )

    def roll(self, series: Callable[[Series], Floats], *, index: int, size: int) -> None:
        """Add candles.

        Parameters
        ----------
        series
            Returns a series of them, of shape (assets, candles).
        index
            Candles since 1970 of the first.
        size
            Their number.
        """
        plan = self.plan
        values = np.empty((len(plan.columns), self.heads.shape[1], size))
        whole = self._lay_out(series, values)
        is_due = self.quiet[plan.rows[:, 1]] < 2 * plan.rows[:, 2]
        out = np.empty((len(plan.rows), *values.shape[1:]))
        _roll(values, index, plan.rows, plan.weights, is_due, self.cells, self.heads, out)
        self._is_due, self._rolled = is_due, out.reshape(len(out), -1)
        self.quiet[whole] += size

    def _lay_out(self, series: Callable[[Series], Floats], values: Floats) -> list[int]:
        """Write the columns and return the places of those of holes that have none."""
        is_broken: dict[Series, bool] = {}
        whole = []
        for place, (source, column) in enumerate(self.plan.columns):
            if column != "missing":
                is_broken[source] = bool(_lay(series(source), CODES[column], values[place]))
                continue
            if is_broken[source]:
                self.quiet[place] = 0
            else:
                whole.append(place)
            # After two windows without a hole all that is kept of holes is zero, and stays so.
            if self.quiet[place] < 2 * self.plan.longest[place]:
                _lay(series(source), MISSING, values[place])
        return whole

    def latest(self, statistic: Statistic) -> tuple[Floats, Floats | None]:
        """Return a statistic at the candles just added, and what of its window is missing.

        The assets stand one behind the other; None where no window has a hole.
        """
        place, holes = self.plan.places[statistic]
        return self._rolled[place], self._rolled[holes] if self._is_due[holes] else None

    def arrays(self) -> dict[str, Any]:
        """Return everything that the next candle depends on, by name."""
        state = {"cells": self.cells, "heads": self.heads, "quiet": self.quiet}
        return {"plan": self.plan.rows, **state}

    def load(self, arrays: Mapping[str, Any]) -> None:
        """Take the state that a bank of the same statistics and assets gave."""
        self.cells, self.heads, self.quiet = (
            arrays[name].copy() for name in ("cells", "heads", "quiet")
        )


def _kind(statistic: Statistic) -> int:
    """Return how a statistic is made."""
    if statistic.column in {"high", "low"}:
        return HIGHEST
    return SUM if statistic.half_life is None else WEIGHTED


def _weights(statistic: Statistic) -> Floats:
    """Return the weights of a window whose older values weigh less."""
    if statistic.half_life is None:
        return np.empty(0)
    return ewm_weights(statistic.window, statistic.half_life)


def _starts(sizes: Sequence[int]) -> Ints:
    """Return where each of some runs begins that lie one behind the other."""
    return np.cumsum([0, *sizes], dtype=np.int64)[:-1]


def _begun(statistic: Statistic, index: int) -> tuple[Floats, float]:
    """Return cells and head of one asset's statistic before whose first candle all is missing."""
    head = -np.inf if _kind(statistic) == HIGHEST else 0.0
    cells = np.full(statistic.window + 1, head)
    if statistic.column == "missing":
        holes = np.ones(2 * statistic.window)
        first, out = index - len(holes), np.empty(len(holes))
        if statistic.half_life is None:
            head = roll_sums(holes, first, cells, head, out)
        else:
            head = roll_weighted_sums(holes, first, _weights(statistic), cells, head, out)
    return cells, head


@numba.njit(cache=True, nogil=True)
def _lay(values: Floats, code: int, out: Floats) -> bool:
    """Write values free of NaN, as `features.market.filled` does; return whether one was NaN."""
    is_broken = False
    for asset in range(values.shape[0]):
        for k in range(values.shape[1]):
            value = values[asset, k]
            is_missing = np.isnan(value)
            is_broken |= is_missing
            if code == PRESENT:
                out[asset, k] = 0.0 if is_missing else value
            elif code == MISSING:
                out[asset, k] = 1.0 if is_missing else 0.0
            elif code == HIGH:
                out[asset, k] = -np.inf if is_missing else value
            else:
                out[asset, k] = -np.inf if is_missing else -value
    return is_broken


@numba.njit(cache=True, nogil=True)
def _roll(
    values: Floats,
    index: int,
    rows: Ints,
    weights: Floats,
    is_due: npt.NDArray[np.bool_],
    cells: Floats,
    heads: Floats,
    out: Floats,
) -> None:
    """Add candles to every statistic that is due.

    Parameters as in `RollingPlan` and `RollingState`.
    """
    assets = values.shape[1]
    for row in range(len(rows)):
        kind, source, window, start, weight = rows[row]
        if not is_due[row]:
            continue
        new, window_cells = values[source], cells[start : start + assets * (window + 1)]
        heavy = weights[weight : weight + window]
        if assets == 1:
            heads[row, 0] = _roll_single(
                kind, new[0], index, heavy, window_cells, heads[row, 0], out[row, 0]
            )
        else:
            beside = window_cells.reshape((window + 1, assets))
            _roll_many(kind, new, index, heavy, beside, heads[row], out[row])


@numba.njit(cache=True, nogil=True)
def _roll_single(
    kind: int, new: Floats, index: int, weights: Floats, cells: Floats, head: float, out: Floats
) -> float:
    """Add candles of one asset to a statistic and return its head."""
    if kind == HIGHEST:
        return roll_highs(new, index, cells, head, out)
    if kind == SUM:
        return roll_sums(new, index, cells, head, out)
    return roll_weighted_sums(new, index, weights, cells, head, out)


@numba.njit(cache=True, nogil=True)
def _roll_many(
    kind: int, new: Floats, index: int, weights: Floats, cells: Floats, heads: Floats, out: Floats
) -> None:
    """Add candles of several assets to a statistic."""
    if kind == HIGHEST:
        roll_highs_beside(new, index, cells, heads, out)
    elif kind == SUM:
        roll_sums_beside(new, index, cells, heads, out)
    else:
        roll_weighted_sums_beside(new, index, weights, cells, heads, out)
