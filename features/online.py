"""Market values that roll with their candles: a new one costs work for itself alone.

One engine for a whole history, part by part, and for the next candle. What it holds is a
function of the candles of the longest window, so that the state after a crash is had from
what `dump` wrote or, without it, from the candles that the store holds.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import numpy as np

from features.inputs import COLUMNS, HOUR, Candles, Floats
from features.market import MarketFunction, MarketWindows, Rolling, Series, Statistic
from features.rolling import read_back, write_ring
from features.rolling_state import RollingState
from models.errors import Fault, InvalidInput

REACH = 4
"""Candles that one value of a series may be made from, its own among them."""

Lag = tuple[Series, int]


@dataclass(frozen=True, slots=True)
class _Part:
    """The candles that are being added, with those that their series may look back at."""

    candles: Candles
    index: int
    _series: dict[Series, Floats] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Return the number of new candles."""
        return self.candles.close.shape[1] - REACH + 1

    def series(self, series: Series) -> Floats:
        """Return a series of the new candles, made once; shape (assets, candles)."""
        if series not in self._series:
            self._series[series] = series(self.candles)[:, REACH - 1 :]
        return self._series[series]


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
        self._lags: list[Lag] = []
        self._rings: dict[Series, Floats] = {}
        self._lagged: dict[Lag, Floats] = {}
        self._part = self._laid_out(self._carried)
        # Asked of no candle, the functions name the statistics that must be kept.
        requested = _RequestedStatistics(self)
        self._values(requested)
        self._bank = RollingState.begun(requested.statistics, assets=len(self.assets), index=index)

    def advance(self, block: Floats) -> list[Floats]:
        """Add candles and return what each function says at them; shapes (assets, candles).

        Parameters
        ----------
        block
            Open, high, low, close and volume of the next candles, NaN where an asset has
            none; shape (5, assets, candles).
        """
        laid = np.concatenate([self._carried, block], axis=2)
        outputs = self._added(laid)
        self._carried = laid[:, :, 1 - REACH :].copy()
        return outputs

    def advance_along(self, candles: Candles, rows: slice) -> list[Floats]:
        """Add a run of the one asset's candles, of which all before it were added."""
        if rows.start < REACH:
            return self.advance(block_of(candles, rows))
        span = slice(rows.start - REACH + 1, rows.stop)
        laid = [getattr(candles, name)[np.newaxis, span] for name in COLUMNS]
        outputs = self._added(laid)
        self._carried = np.stack([column[:, 1 - REACH :] for column in laid])
        return outputs

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
        if (series, back) not in self._lagged:
            if (series, back) not in self._lags:
                self._lags.append((series, back))
                longest = max(lag for lagged, lag in self._lags if lagged == series)
                self._rings[series] = np.full((len(self.assets), longest), np.nan)
            self._lagged[series, back] = self._read_back((series, back))
        return np.asarray(self._lagged[series, back]).ravel()

    def window(self, statistic: Statistic) -> tuple[Floats, Floats | None]:
        """Return a statistic of the candles just added, and what of its window is missing."""
        return self._bank.latest(statistic)

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
        shapes = {name: array.shape for name, array in self._arrays().items()}
        is_own = shapes == {name: array.shape for name, array in arrays.items()}
        if not is_own or not np.array_equal(arrays["plan"], self._bank.plan.rows):
            raise InvalidInput([Fault("state", "was written for other functions or assets")])
        self.index = int(arrays["index"])
        self._carried = arrays["carried"]
        self._bank.load(arrays)
        for place, series in enumerate(self._rings):
            self._rings[series] = arrays[f"ring_{place}"]

    def _arrays(self) -> dict[str, Any]:
        """Return everything that the next candle depends on, by name."""
        rings = {f"ring_{place}": ring for place, ring in enumerate(self._rings.values())}
        state = {"index": np.array(self.index), "carried": self._carried}
        return state | self._bank.arrays() | rings

    def _values(self, rolling: Rolling) -> list[Floats]:
        """Return every function of the candles just added, the assets one behind the other."""
        market = MarketWindows(rolling)
        return [market.of(function) for function in self.functions]

    def _added(self, laid: Iterable[Floats]) -> list[Floats]:
        """Roll on by the columns of new candles behind those that series may look back at."""
        self._part, self._lagged = self._laid_out(laid), {}
        self._bank.roll(self._part.series, index=self.index, size=self._part.size)
        outputs = self._values(self)
        for series, ring in self._rings.items():
            write_ring(self._part.series(series), self.index, ring)
        self.index += self._part.size
        return [values.reshape(len(self.assets), -1) for values in outputs]

    def _laid_out(self, laid: Iterable[Floats]) -> _Part:
        """Return the columns of new candles behind those that series may look back at."""
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


@dataclass(frozen=True, slots=True)
class _RequestedStatistics:
    """A market without a candle, which remembers what statistics it was asked for."""

    rolling: RollingMarket
    statistics: list[Statistic] = field(default_factory=list)

    @property
    def step(self) -> int:
        """Return the seconds of one candle."""
        return self.rolling.step

    def value(self, series: Series, *, back: int) -> Floats:
        """Return no value."""
        return self.rolling.value(series, back=back)

    def window(self, statistic: Statistic) -> tuple[Floats, None]:
        """Return nothing, and remember the question."""
        if statistic not in self.statistics:
            self.statistics.append(statistic)
        return np.empty(0), None


def block_of(candles: Candles, rows: slice) -> Floats:
    """Return some candles of one asset; shape (5, 1, candles)."""
    return np.stack([getattr(candles, name)[rows] for name in COLUMNS])[:, np.newaxis]
