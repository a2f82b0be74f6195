"""No training through a change of unit: the rows that would read across one are left out."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from features.continuity import LEAP, is_leap
from features.inputs import HOUR, LOOKBACK, Candles, Ints, seconds
from models.errors import Fault, InvalidInput
from models.horizons import HORIZONS
from training.sources import History, select_legs

Mask = npt.NDArray[np.bool_]
BEHIND = int(LOOKBACK.total_seconds())
AHEAD = max(HORIZONS) * HOUR


def of_one_unit(history: History) -> History:
    """Return a history without the account-hours that see a change of unit.

    Those are the ones with a leap of one of their assets in what features look back on, where
    serving forecasts nothing, or in what labels look ahead to. They are counted by asset.

    Raises
    ------
    InvalidInput
        When no account-hour is left, listing every change of unit.
    """
    leaps = {
        asset: times
        for asset, candles in history.tables.candles.items()
        if len(times := leaps_at(candles))
    }
    usable = np.ones(len(history.moments), dtype=bool)
    dropped: dict[str, int] = {}
    for asset, times in leaps.items():
        crossing = (
            usable & _exposed(history, asset) & _crosses(seconds(history.moments["at"]), times)
        )
        dropped[f"account-hours within reach of a change of unit of {asset}"] = int(crossing.sum())
        usable &= ~crossing
    if len(usable) and not usable.any():
        raise InvalidInput(list(_faults(leaps)))
    if usable.all():
        return history
    return replace(
        history,
        moments=history.moments[usable].reset_index(drop=True),
        legs=select_legs(history.legs, usable),
        touches=None if history.touches is None else history.touches[usable].reset_index(drop=True),
        dropped={**history.dropped, **dropped},
    )


def leaps_at(candles: Candles) -> Ints:
    """Return when the candles closed that opened in another unit, seconds since 1970."""
    return (candles.first_index + np.flatnonzero(is_leap(candles)) + 1) * candles.step


def _exposed(history: History, asset: str) -> Mask:
    """Return which moments the price of an asset decides."""
    exposed = (history.moments["asset"] == asset).to_numpy(dtype=bool, copy=True)
    if history.legs is not None:
        exposed[history.legs["row"][history.legs["asset"] == asset].to_numpy(dtype=np.int64)] = True
    return exposed


def _crosses(at: Ints, leaps: Ints) -> Mask:
    """Return which moments have a leap in (at - lookback, at + furthest horizon]."""
    first, end = (np.searchsorted(leaps, at + shift, side="right") for shift in (-BEHIND, AHEAD))
    return np.asarray(end > first, dtype=np.bool_)


def _faults(leaps: Mapping[str, Ints]) -> Iterator[Fault]:
    """Yield every change of unit."""
    for asset, times in leaps.items():
        for second in times:
            closed = datetime.fromtimestamp(int(second), tz=UTC)
            yield Fault(
                f"candles:{asset}",
                f"the candle that closed at {closed:%Y-%m-%d %H:%M} opened at {LEAP:g} times the "
                "close before it or more, or at its inverse: not of one unit, and no "
                "account-hour is out of its reach",
            )
