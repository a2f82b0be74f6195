"""Values known from a moment on: the last one known, and the sum of those of a window."""

from collections.abc import Callable, Mapping

import numba
import numpy as np

from features.inputs import HOUR, Floats, Ints, Names, PointInTimeSeries
from features.names import factorized


def last_value(readings: PointInTimeSeries, at: Ints, *, hours: int) -> Floats:
    """Return the latest value at or before each moment, missing if `hours` old or older."""
    return _latest(readings.at, readings.value, readings, at, hours)


def age_of_last(readings: PointInTimeSeries, at: Ints, *, hours: int) -> Floats:
    """Return hours since the latest value, missing if `hours` or more."""
    latest_at = _latest(readings.at, readings.at.astype(np.float64), readings, at, hours)
    return (at - latest_at) / HOUR


def _latest(
    times: Ints, values: Floats, readings: PointInTimeSeries, at: Ints, hours: int
) -> Floats:
    """Return the values that belong to the latest reading of each moment."""
    out = np.full(len(at), np.nan)
    place = np.searchsorted(readings.at, at, side="right") - 1
    fresh = place >= 0
    fresh[fresh] = at[fresh] - times[place[fresh]] < hours * HOUR
    out[fresh] = values[place[fresh]]
    return out


def window_sum(readings: PointInTimeSeries, at: Ints, *, hours: int) -> Floats:
    """Return the sum of the values of (at - hours, at], missing where there is none."""
    return np.asarray(_sums(readings.at, readings.value, at, hours * HOUR))


@numba.njit(cache=True)
def _sums(times: Ints, value: Floats, at: Ints, window: int) -> Floats:
    """Return sums newest first, so that what is older changes no bit."""
    out = np.full(len(at), np.nan)
    for row in range(len(at)):
        k = np.searchsorted(times, at[row], side="right") - 1
        total, count = 0.0, 0
        while k >= 0 and at[row] - times[k] < window:
            total += value[k]
            count += 1
            k -= 1
        if count > 0:
            out[row] = total
    return out


def by_key(
    keys: Names,
    tables: Mapping[str, PointInTimeSeries],
    function: Callable[[PointInTimeSeries, Ints], Floats],
    *,
    at: Ints,
) -> Floats:
    """Return a function of each moment's own readings, missing where it has none.

    Parameters
    ----------
    keys
        Of each moment, in `tables`.
    function
        Of readings and the moments that share them.
    """
    out = np.full(len(at), np.nan)
    codes, distinct = factorized(keys)
    for code, name in enumerate(distinct):
        readings = tables.get(name)
        if readings is not None:
            rows = np.flatnonzero(codes == code)
            out[rows] = function(readings, at[rows])
    return out
