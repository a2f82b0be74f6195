"""All assets at once: what the market as a whole did, beside what one asset did."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from features.inputs import Candles, Floats, Ints
from features.market import MarketFunction, Sample
from features.paths import single_path

LEAST_ASSETS = 5
"""Assets with a value without which the market has none."""


@dataclass(frozen=True, slots=True)
class CrossSection:
    """Every asset with candles, at the moments of one call.

    Parameters
    ----------
    candles
        By asset, quote per unit.
    at
        Distinct moments, seconds since 1970, ascending.
    lookback
        Seconds of candles that may be read before a moment.
    """

    candles: Mapping[str, Candles]
    at: Ints
    lookback: int
    _samples: dict[str, Sample] = field(default_factory=dict)
    _medians: dict[MarketFunction, Floats] = field(default_factory=dict)

    @classmethod
    def of(cls, candles: Mapping[str, Candles], at: Ints, *, lookback: int) -> Self:
        """Return the section at any moments, in any order."""
        return cls(candles, np.unique(at), lookback)

    def median(self, function: MarketFunction, *, at: Ints) -> Floats:
        """Return the median over assets per moment, missing with fewer than `LEAST_ASSETS`."""
        if function not in self._medians:
            self._medians[function] = self._median(function)
        return self._medians[function][np.searchsorted(self.at, at)]

    def _median(self, function: MarketFunction) -> Floats:
        """Return the median over assets at every distinct moment."""
        out = np.full(len(self.at), np.nan)
        if len(self.candles) < LEAST_ASSETS:
            return out
        values = np.stack([self._sample(name).values(function) for name in self.candles])
        enough = np.isfinite(values).sum(axis=0) >= LEAST_ASSETS
        out[enough] = np.nanmedian(values[:, enough], axis=0)
        return out

    def _sample(self, name: str) -> Sample:
        """Return one asset at the distinct moments."""
        if name not in self._samples:
            path = single_path(self.candles[name], self.at, side=1, lookback=self.lookback)
            self._samples[name] = Sample.at(path.candles, path.place, path.index)
        return self._samples[name]
