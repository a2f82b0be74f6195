"""Market values that roll with their candles: a new one costs work for itself alone.

One engine for a whole history, part by part, and for the next candle. What it holds is a
function of the candles of the longest window, so that the state after a crash is had from
what `dump` wrote or, without it, from the candles that the store holds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import numpy as np

from features.inputs import HOUR, Candles, Floats
from features.market import Column, Market, MarketFunction, Series, Statistic, filled
from features.rolling import read_back, roll_highs, roll_sums, roll_weighted_sums, write_ring
from features.windows import halving_weights
from models.errors import Fault, InvalidInput

REACH = 4
"""Candles that one value of a series may be made from, its own among them."""

COLUMNS = ("open", "high", "low", "close", "volume")

Lag = tuple[Series, int]


@dataclass(slots=True)
class _State:
    """What one statistic keeps per asset."""

    windows: Floats
    heads: Floats
    quiet: int = 0  # candles since any asset last had a hole


@dataclass(frozen=True, slots=True)
class _Part:
    """The candles that are being added, with those that their series may look back at."""

    candles: Candles
    index: int
    _series: dict[Series, Floats] = field(default_factory=dict)
    _columns: dict[tuple[Series, Column], Floats] = field(default_factory=dict)
    _holes: dict[Series, bool] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Return the number of new candles."""
        return self.candles.close.shape[1] - REACH + 1

    def series(self, series: Series) -> Floats:
        """Return a series of the new candles, made once; shape (assets, candles)."""
        if series not in self._series:
            self._series[series] = series(self.candles)[:, REACH - 1 :]
        return self._series[series]

    def has_hole(self, series: Series) -> bool:
        """Return whether the series misses any of the new candles."""
        if series not in self._holes:
            self._holes[series] = bool(np.isnan(self.series(series)).any())
        return self._holes[series]

    def column(self, wanted: Statistic) -> Floats:
        """Return a column of the new candles, made once."""
        key = (wanted.series, wanted.column)
        if key not in self._columns:
            self._columns[key] = self._filled(wanted)
        return self._columns[key]

    def _filled(self, wanted: Statistic) -> Floats:
        """Return a column, without looking for holes where there are none."""
        values = self.series(wanted.series)
        if wanted.column in {"present", "high"} and not self.has_hole(wanted.series):
            return values
        return filled(values, wanted.column)


class RollingMarket:
    """Market values of several assets on one clock, and the state that they roll by.

    Parameters
    ----------
    functions
        What is computed; every one is asked at every candle.
    assets
        Names, in the order of every result.
    step
        Seconds of one candle.
    index
        Candles of this step between 1970 and the first that will be added; whatever lies
        before it is missing.
    """

    def __init__(
        self, functions: Sequence[MarketFunction], *, assets: Sequence[str], step: int, index: int
    ) -> None:
        self.functions = tuple(functions)
        self.assets = tuple(assets)
        self.step = step
        self.index = index
        self._carried = np.full((len(COLUMNS), len(assets), REACH - 1), np.nan)
        self._states: dict[Statistic, _State] = {}
        self._lags: list[Lag] = []
        self._rings: dict[Series, Floats] = {}
        self._found: dict[Statistic | Lag, Floats | None] = {}
        self._part = self._laid_out(np.empty((len(COLUMNS), len(assets), 0)))
        # Asked of no candle, the functions name the statistics that must be kept.
        self._values()

    def advance(self, block: Floats) -> list[Floats]:
        """Add candles and return what each function says at them; shapes (assets, candles).

        Parameters
        ----------
        block
            Open, high, low, close and volume of the next candles, NaN where an asset has
            none; shape (5, assets, candles).
        """
        self._part = self._laid_out(block)
        self._found = {wanted: self._rolled(wanted) for wanted in self._states}
        self._found |= {lag: self._read_back(lag) for lag in self._lags}
        for series, ring in self._rings.items():
            write_ring(self._part.series(series), self.index, ring)
        self._carried = np.concatenate([self._carried, block], axis=2)[:, :, 1 - REACH :]
        self.index += block.shape[2]
        return [values.reshape(block.shape[1:]) for values in self._values()]

    def push(self, opened: int, candles: Mapping[str, Sequence[float]]) -> Floats:
        """Add one candle per asset and return the values after it; shape (functions, assets).

        A candle that skips some says that those are missing. One that is late or known
        already is refused: it belongs into the store, and `resumed` recomputes from there.

        Parameters
        ----------
        opened
            Seconds since 1970 at which the candles open.
        candles
            Open, high, low, close and volume by asset; an asset left out has none.

        Raises
        ------
        InvalidInput
            Listing what does not fit.
        """
        if faults := self._faults(opened, candles):
            raise InvalidInput(faults)
        skipped = opened // self.step - self.index
        block = np.full((len(COLUMNS), len(self.assets), skipped + 1), np.nan)
        for name, values in candles.items():
            block[:, self.assets.index(name), -1] = values
        return np.stack([values[:, -1] for values in self.advance(block)])

    def value(self, series: Series, *, back: int) -> Floats:
        """Return the value `back` candles ago."""
        if not back:
            return self._part.series(series).ravel()
        if (series, back) not in self._found:
            self._lags.append((series, back))
            longest = max(lag for kept, lag in self._lags if kept == series)
            self._rings[series] = np.full((len(self.assets), longest), np.nan)
            self._found[series, back] = self._read_back((series, back))
        return np.asarray(self._found[series, back]).ravel()

    def statistic(self, wanted: Statistic) -> Floats | None:
        """Return a statistic of the candles just added."""
        if wanted not in self._states:
            self._states[wanted] = self._begun(wanted)
            self._found[wanted] = self._rolled(wanted)
        found = self._found[wanted]
        return None if found is None else found.ravel()

    def dump(self) -> bytes:
        """Return the state as the bytes of a NumPy archive."""
        file = BytesIO()
        np.savez(file, **self._arrays())
        return file.getvalue()

    def load(self, stored: bytes) -> None:
        """Take the state that an engine of the same functions and assets dumped.

        Raises
        ------
        InvalidInput
            The archive is of other functions, assets or steps.
        """
        with np.load(BytesIO(stored)) as archive:
            arrays = {name: archive[name] for name in archive.files}
        own = {name: array.shape for name, array in self._arrays().items()}
        if own != {name: array.shape for name, array in arrays.items()}:
            raise InvalidInput([Fault("state", "was written for other functions or assets")])
        self.index = int(arrays["index"])
        self._carried = arrays["carried"]
        for place, state in enumerate(self._states.values()):
            state.windows, state.heads = arrays[f"windows_{place}"], arrays[f"heads_{place}"]
            state.quiet = int(arrays[f"quiet_{place}"])
        for place, series in enumerate(self._rings):
            self._rings[series] = arrays[f"ring_{place}"]

    def _arrays(self) -> dict[str, Any]:
        """Return everything that the next candle depends on, by name."""
        arrays: dict[str, Any] = {"index": np.array(self.index), "carried": self._carried}
        for place, state in enumerate(self._states.values()):
            arrays[f"windows_{place}"] = state.windows
            arrays[f"heads_{place}"] = state.heads
            arrays[f"quiet_{place}"] = np.array(state.quiet)
        return arrays | {f"ring_{place}": ring for place, ring in enumerate(self._rings.values())}

    def _values(self) -> list[Floats]:
        """Return every function of the candles just added, the assets one behind the other."""
        market = Market(self)
        return [market.of(function) for function in self.functions]

    def _laid_out(self, block: Floats) -> _Part:
        """Return the new candles behind those carried over."""
        laid = np.concatenate([self._carried, block], axis=2)
        columns = dict(zip(COLUMNS, laid, strict=True))
        candles = Candles(
            first_hour=self.index * self.step // HOUR,
            step=self.step,
            open=columns["open"],
            high=columns["high"],
            low=columns["low"],
            close=columns["close"],
            volume=columns["volume"],
        )
        return _Part(candles, self.index)

    def _begun(self, wanted: Statistic) -> _State:
        """Return the state of a statistic before whose first candle all is missing."""
        empty = -np.inf if wanted.column in {"high", "low"} else 0.0
        assets = len(self.assets)
        state = _State(np.full((assets, wanted.window + 1), empty), np.full(assets, empty))
        if wanted.column == "missing":
            holes = np.ones((assets, 2 * wanted.window))
            _roll(wanted, state, holes, self.index - holes.shape[1])
        return state

    def _rolled(self, wanted: Statistic) -> Floats | None:
        """Return a statistic of the new candles; of holes None where no window has one."""
        state = self._states[wanted]
        if wanted.column == "missing" and not self._part.has_hole(wanted.series):
            # After two windows without a hole all that is kept is zero, and stays so.
            if state.quiet >= 2 * wanted.window:
                return None
            state.quiet += self._part.size
        elif wanted.column == "missing":
            state.quiet = 0
        return _roll(wanted, state, self._part.column(wanted), self._part.index)

    def _read_back(self, lag: Lag) -> Floats:
        """Return the values that stood so many candles before the new ones."""
        series, back = lag
        values = self._part.series(series)
        out = np.empty(values.shape)
        read_back(values, self._part.index, self._rings[series], back, out)
        return out

    def _faults(self, opened: int, candles: Mapping[str, Sequence[float]]) -> list[Fault]:
        """Return what does not fit into the clock or the assets."""
        expected = self.index * self.step
        faults = [
            Fault(f"candles:{name}", f"is none of {len(self.assets)} assets")
            for name in candles
            if name not in self.assets
        ]
        if opened % self.step or opened < expected:
            text = f"{opened} is not a multiple of {self.step} from {expected} on"
            faults.append(Fault("candles:open_time", text))
        return faults


def _roll(wanted: Statistic, state: _State, values: Floats, index: int) -> Floats:
    """Add values to a statistic and return it at each."""
    out = np.empty(values.shape)
    kept = (state.windows, state.heads, out)
    if wanted.column in {"high", "low"}:
        roll_highs(values, index, *kept)
    elif wanted.half_life is None:
        roll_sums(values, index, *kept)
    else:
        roll_weighted_sums(values, index, halving_weights(wanted.window, wanted.half_life), *kept)
    return out


def block_of(candles: Candles, rows: slice) -> Floats:
    """Return some candles of one asset; shape (5, 1, candles)."""
    return np.stack([getattr(candles, name)[rows] for name in COLUMNS])[:, np.newaxis]
