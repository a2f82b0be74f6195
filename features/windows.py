"""Rolling statistics whose bits depend on nothing but the candles of their window.

Time is cut into blocks of one window's length at fixed multiples of that length since 1970,
so that every window is the tail of one block and the head of the next. Both are running
results inside their block: a step costs a few operations however long the window is, and the
order of the additions, hence the last bit, is the same in a batch, alone and online.

References
----------
van Herk, "A fast algorithm for local minimum and maximum filters on rectangular and octagonal
kernels", Pattern Recognition Letters 13 (1992); here for sums and weighted sums as well.
"""

from functools import cache

import numba
import numpy as np

from features.inputs import Floats, Ints


def window_sums(values: Floats, places: Ints, *, index: Ints, window: int) -> Floats:
    """Return the sum over the last `window` values at each place.

    Parameters
    ----------
    values
        One per candle, none missing; before the first stand zeros.
    places
        Ascending positions in `values`; the window of a place ends with its own value.
    index
        Candles since 1970 of each place: what the blocks are cut by. Slots of other times may
        lie one behind the other, each longer than a window.
    window
        Number of values.
    """
    return np.asarray(_sums(values, places, index, window))


def window_weighted_sums(values: Floats, places: Ints, *, index: Ints, weights: Floats) -> Floats:
    """Return sums over the last values, the newest weighing 1, older ones ever less.

    Parameters
    ----------
    values, places, index
        As in `window_sums`.
    weights
        From `ewm_weights`, newest first; as many as the window has values.
    """
    return np.asarray(_weighted_sums(values, places, index, weights))


def window_highs(values: Floats, places: Ints, *, index: Ints, window: int) -> Floats:
    """Return the greatest of the last `window` values; -inf stands for a missing one."""
    return np.asarray(_highs(values, places, index, window))


@cache
def ewm_weights(window: int, half_life: float) -> Floats:
    """Return `window` weights, newest first, that halve every `half_life` values."""
    decay = 0.5 ** (1.0 / half_life)
    weights = np.cumprod(np.concatenate([[1.0], np.full(window - 1, decay)]))
    weights.flags.writeable = False
    return weights


@numba.njit(cache=True, nogil=True)
def sum_heads(values: Floats, heads: Floats) -> None:
    """Write the sum from the first value to each."""
    total = 0.0
    for k in range(len(values)):
        total += values[k]
        heads[k] = total


@numba.njit(cache=True, nogil=True)
def sum_tails(values: Floats, tails: Floats) -> None:
    """Write the sum from each value to the last, the last but one of the tails."""
    total, before = 0.0, len(tails) - 1 - len(values)
    for k in range(len(values) - 1, -1, -1):
        total += values[k]
        tails[before + k] = total
    tails[:before] = total


@numba.njit(cache=True, nogil=True)
def weighted_heads(values: Floats, decay: float, heads: Floats) -> None:
    """Write the sum from the first value to each, by their ages at it."""
    total = 0.0
    for k in range(len(values)):
        total = decay * total + values[k]
        heads[k] = total


@numba.njit(cache=True, nogil=True)
def weighted_tails(values: Floats, weights: Floats, tails: Floats) -> None:
    """Write the sum from each value to the last, by their ages at the last."""
    total, last = 0.0, len(values) - 1
    for age in range(len(values)):
        total += weights[age] * values[last - age]
        tails[len(tails) - 2 - age] = total
    tails[: len(tails) - 1 - len(values)] = total


@numba.njit(cache=True, nogil=True)
def high_heads(values: Floats, heads: Floats) -> None:
    """Write the greatest from the first value to each."""
    highest = -np.inf
    for k in range(len(values)):
        if values[k] > highest:  # noqa: PLR1730 - one comparison, where max compiles to two
            highest = values[k]
        heads[k] = highest


@numba.njit(cache=True, nogil=True)
def high_tails(values: Floats, tails: Floats) -> None:
    """Write the greatest from each value to the last, the last but one of the tails."""
    highest, before = -np.inf, len(tails) - 1 - len(values)
    for k in range(len(values) - 1, -1, -1):
        if values[k] > highest:  # noqa: PLR1730 - one comparison, where max compiles to two
            highest = values[k]
        tails[before + k] = highest
    tails[:before] = highest


@numba.njit(cache=True, nogil=True)
def _end_of_block(places: Ints, index: Ints, row: int, end: int) -> int:
    """Return the row after the last one whose place lies in the block of `row`."""
    shift = index[row] - places[row]
    last = min(row + end - places[row], len(places)) - 1
    if places[last] - places[row] == last - row and index[last] - places[last] == shift:
        return last + 1
    stop = row + 1
    while stop < len(places) and places[stop] < end and index[stop] - places[stop] == shift:
        stop += 1
    return stop


@numba.njit(cache=True, nogil=True)
def _part(values: Floats, first: int, end: int) -> Floats:
    """Return the values at places first ≤ place < end that exist."""
    return values[max(first, 0) : max(end, 0)]


@numba.njit(cache=True, nogil=True)
def _spread(values: Floats, places: Ints, row: int, stop: int, out: Floats) -> None:
    """Write to each row what was found at its place, the first row's standing first."""
    if len(values) == stop - row:
        out[row:stop] = values
        return
    for k in range(row, stop):
        out[k] = values[places[k] - places[row]]


@numba.njit(cache=True, nogil=True)
def _sums(values: Floats, places: Ints, index: Ints, window: int) -> Floats:
    """Return tail of the block before plus head of the own block."""
    out = np.empty(len(places))
    heads, tails = np.zeros(window), np.zeros(window + 1)
    row = 0
    while row < len(places):
        start = places[row] - index[row] % window
        stop = _end_of_block(places, index, row, start + window)
        low, high = places[row] - start, places[stop - 1] - start + 1
        sum_heads(_part(values, start, start + high), heads[max(-start, 0) :])
        sum_tails(_part(values, start + low + 1 - window, start), tails[low + 1 :])
        _spread(heads[low:high] + tails[low + 1 : high + 1], places, row, stop, out)
        row = stop
    return out


@numba.njit(cache=True, nogil=True)
def _weighted_sums(values: Floats, places: Ints, index: Ints, weights: Floats) -> Floats:
    """Return the aged tail of the block before plus head of the own block."""
    window = len(weights)
    out = np.empty(len(places))
    heads, tails, ages = (
        np.zeros(window),
        np.zeros(window + 1),
        weights * weights[min(1, window - 1)],
    )
    row = 0
    while row < len(places):
        start = places[row] - index[row] % window
        stop = _end_of_block(places, index, row, start + window)
        low, high = places[row] - start, places[stop - 1] - start + 1
        weighted_heads(_part(values, start, start + high), ages[0], heads[max(-start, 0) :])
        weighted_tails(_part(values, start + low + 1 - window, start), weights, tails[low + 1 :])
        sums = heads[low:high] + ages[low:high] * tails[low + 1 : high + 1]
        _spread(sums, places, row, stop, out)
        row = stop
    return out


@numba.njit(cache=True, nogil=True)
def _highs(values: Floats, places: Ints, index: Ints, window: int) -> Floats:
    """Return the greater of tail of the block before and head of the own block."""
    out = np.empty(len(places))
    heads, tails = np.zeros(window), np.full(window + 1, -np.inf)
    row = 0
    while row < len(places):
        start = places[row] - index[row] % window
        stop = _end_of_block(places, index, row, start + window)
        low, high = places[row] - start, places[stop - 1] - start + 1
        high_heads(_part(values, start, start + high), heads[max(-start, 0) :])
        high_tails(_part(values, start + low + 1 - window, start), tails[low + 1 :])
        highs = np.maximum(heads[low:high], tails[low + 1 : high + 1])
        _spread(highs, places, row, stop, out)
        row = stop
    return out
