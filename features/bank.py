"""The rolling statistics of one clock, added to together: a candle is one call for all."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numba
import numpy as np
import numpy.typing as npt

from features.inputs import Floats, Ints
from features.market import Column, Series, Statistic
from features.rolling import roll_highs, roll_sums, roll_weighted_sums
from features.windows import halving_weights

PRESENT, MISSING, HIGH, LOW = range(4)
CODES: Mapping[Column, int] = {"present": PRESENT, "missing": MISSING, "high": HIGH, "low": LOW}
SUM, WEIGHTED, HIGHEST = 0, 1, 2


@dataclass(slots=True, kw_only=True)
class Bank:
    """Statistics of some assets, and the state that they roll by.

    Parameters
    ----------
    columns
        Series free of NaN that the statistics are of, those of holes last.
    places
        Of each statistic among all, and of what of its window is missing.
    plan
        Of each statistic its kind, the place of its column, its window, and where its
        numbers and its weights begin in `cells` and `weights`; shape (statistics, 5).
    weights
        From `halving_weights`, one behind the other.
    cells
        Of each statistic, one behind the other, a window and one number more per asset.
    heads
        Of the blocks that time is in; shape (statistics, assets).
    longest
        Window of each column.
    quiet
        Candles since a column of holes last had one, of each column.
    """

    columns: tuple[tuple[Series, Column], ...]
    places: Mapping[Statistic, tuple[int, int]]
    plan: Ints
    weights: Floats
    cells: Floats
    heads: Floats
    longest: Ints
    quiet: Ints
    _is_due: npt.NDArray[np.bool_]
    _rolled: Floats

    @classmethod
    def begun(cls, asked: Sequence[Statistic], *, assets: int, index: int) -> Self:
        """Return statistics before whose first candle all is missing.

        Parameters
        ----------
        asked
            Distinct, none of holes.
        index
            Candles since 1970 of the first.
        """
        wanted = tuple(dict.fromkeys([*asked, *(one.of_missing() for one in asked)]))
        columns = sorted(
            dict.fromkeys((one.series, one.column) for one in wanted),
            key=lambda column: column[1] == "missing",
        )
        begun = [_begun(one, index) for one in wanted]
        weights = [_weights(one) for one in wanted]
        sizes = [assets * (one.window + 1) for one in wanted]
        plan = [(_kind(one), columns.index((one.series, one.column)), one.window) for one in wanted]
        starts = np.stack([_starts(sizes), _starts([len(own) for own in weights])], axis=1)
        return cls(
            columns=tuple(columns),
            places={one: (wanted.index(one), wanted.index(one.of_missing())) for one in asked},
            plan=np.concatenate([np.array(plan, dtype=np.int64).reshape(-1, 3), starts], axis=1),
            weights=np.concatenate([np.empty(0), *weights]),
            cells=np.concatenate([np.empty(0), *(np.tile(own, assets) for own, _ in begun)]),
            heads=np.array([np.full(assets, head) for _, head in begun]).reshape(-1, assets),
            longest=np.array(
                [
                    max(one.window for one in wanted if (one.series, one.column) == column)
                    for column in columns
                ],
                dtype=np.int64,
            ),
            quiet=np.zeros(len(columns), dtype=np.int64),
            _is_due=np.ones(len(wanted), dtype=np.bool_),
            _rolled=np.empty((len(wanted), 0)),
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
        values = np.empty((len(self.columns), self.heads.shape[1], size))
        is_broken: dict[Series, bool] = {}
        for place, (one, column) in enumerate(self.columns):
            if column != "missing":
                is_broken[one] = bool(_lay(series(one), CODES[column], values[place]))
                continue
            if is_broken[one]:
                self.quiet[place] = 0
            # After two windows without a hole all that is kept of holes is zero, and stays so.
            if self.quiet[place] < 2 * self.longest[place]:
                _lay(series(one), MISSING, values[place])
        is_due = self.quiet[self.plan[:, 1]] < 2 * self.plan[:, 2]
        out = np.empty((len(self.plan), *values.shape[1:]))
        _roll(values, index, self.plan, self.weights, is_due, self.cells, self.heads, out)
        self._is_due, self._rolled = is_due, out.reshape(len(out), -1)
        for place, (one, column) in enumerate(self.columns):
            if column == "missing" and not is_broken[one]:
                self.quiet[place] += size

    def found(self, wanted: Statistic) -> tuple[Floats, Floats | None]:
        """Return a statistic at the candles just added, and what of its window is missing.

        The assets stand one behind the other; None where no window has a hole.
        """
        place, holes = self.places[wanted]
        return self._rolled[place], self._rolled[holes] if self._is_due[holes] else None

    def arrays(self) -> dict[str, Any]:
        """Return everything that the next candle depends on, by name."""
        return {"plan": self.plan, "cells": self.cells, "heads": self.heads, "quiet": self.quiet}

    def load(self, arrays: Mapping[str, Any]) -> None:
        """Take the state that a bank of the same statistics and assets gave."""
        self.cells, self.heads, self.quiet = (
            arrays[name].copy() for name in ("cells", "heads", "quiet")
        )


def _kind(wanted: Statistic) -> int:
    """Return how a statistic is made."""
    if wanted.column in {"high", "low"}:
        return HIGHEST
    return SUM if wanted.half_life is None else WEIGHTED


def _weights(wanted: Statistic) -> Floats:
    """Return the weights of a window whose older values weigh less."""
    if wanted.half_life is None:
        return np.empty(0)
    return halving_weights(wanted.window, wanted.half_life)


def _starts(sizes: Sequence[int]) -> Ints:
    """Return where each of some runs begins that lie one behind the other."""
    return np.cumsum([0, *sizes], dtype=np.int64)[:-1]


def _begun(wanted: Statistic, index: int) -> tuple[Floats, float]:
    """Return cells and head of one asset's statistic before whose first candle all is missing."""
    empty = -np.inf if _kind(wanted) == HIGHEST else 0.0
    cells, heads = np.full((1, wanted.window + 1), empty), np.full(1, empty)
    if wanted.column == "missing":
        holes = np.ones((1, 2 * wanted.window))
        first, out = index - holes.shape[1], np.empty(holes.shape)
        if wanted.half_life is None:
            roll_sums(holes, first, cells, heads, out)
        else:
            roll_weighted_sums(holes, first, _weights(wanted), cells, heads, out)
    return cells[0], float(heads[0])


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
    plan: Ints,
    weights: Floats,
    is_due: npt.NDArray[np.bool_],
    cells: Floats,
    heads: Floats,
    out: Floats,
) -> None:
    """Add candles to every statistic that is due; the parameters are those of `Bank`."""
    assets = values.shape[1]
    for row in range(len(plan)):
        kind, source, window, start, weight = plan[row]
        if not is_due[row]:
            continue
        own = cells[start : start + assets * (window + 1)].reshape((assets, window + 1))
        if kind == HIGHEST:
            roll_highs(values[source], index, own, heads[row], out[row])
        elif kind == SUM:
            roll_sums(values[source], index, own, heads[row], out[row])
        else:
            heavy = weights[weight : weight + window]
            roll_weighted_sums(values[source], index, heavy, own, heads[row], out[row])
