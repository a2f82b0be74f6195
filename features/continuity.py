"""Whether a series of candles is of one unit throughout, and whether it still moves."""

import numpy as np
import numpy.typing as npt

from features.inputs import Candles, Floats

Mask = npt.NDArray[np.bool_]
LEAP = 2.0
"""Factor that a price does not move by between two candles."""

STILL = 6
"""Candles of unknown volume at one price in a row by which a feed is taken to have stopped."""


def is_leap(candles: Candles) -> Mask:
    """Return which candles open at `LEAP` times the close before them or more, or at 1/`LEAP`.

    A candle opens near the close before it; one that does not tells of a redenomination, a
    split or another quote.
    """
    return np.asarray(np.abs(candles.once(_openings)) >= np.log(LEAP), dtype=np.bool_)


def is_broken(candles: Candles, *, end: int) -> bool:
    """Return whether there is a leap among the first `end` candles."""
    return bool(candles.once(_first_leap)[0] < end)


def is_stopped(candles: Candles, *, end: int) -> bool:
    """Return whether the last `STILL` of the first `end` candles say one price and no volume.

    Where nothing trades, feeds repeat the last price. With a volume of 0 such candles are none
    (`Candles`); where the volume is not known one or two of them may be true, many are not.
    """
    begin = end - STILL
    if begin < 0 or end > len(candles.close):
        return False
    prices = (candles.open, candles.high, candles.low, candles.close)
    last = np.stack([values[begin:end] for values in prices])
    is_one = bool((last == candles.close[end - 1]).all())
    return is_one and bool(np.isnan(candles.volume[begin:end]).all())


def _first_leap(candles: Candles) -> Floats:
    """Return the place of the first leap, infinite where there is none, shape (1,)."""
    return np.append(np.flatnonzero(is_leap(candles)), np.inf)[:1]


def _openings(candles: Candles) -> Floats:
    """Return log(open / last close before it), NaN where either is missing."""
    out = np.full(len(candles.close), np.nan)
    whole = np.flatnonzero(np.isfinite(candles.open) & np.isfinite(candles.close))
    out[whole[1:]] = np.log(candles.open[whole[1:]] / candles.close[whole[:-1]])
    return out
