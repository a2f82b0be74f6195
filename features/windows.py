"""Rolling statistics whose bits depend on nothing but the candles of their window.

Time is cut into blocks of one window's length at fixed multiples of that length since 1970,
so that every window is the tail of one block and the head of the next. Both are running
results inside their block: a step costs two operations however long the window is, and the
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


def window_sums(
    values: Floats, places: Ints, *, index: Ints, window: int, before: float = 0.0
) -> Floats:
    """Return the sum over the last `window` values at each place.

    Parameters
    ----------
    values
        One per candle, none missing.
    places
        Ascending positions in `values`; the window of a place ends with its own value.
    index
        Candles since 1970 of each place: what the blocks are cut by.
    window
        Number of values.
    before
        What stands before the first value.
    """
    return np.asarray(_sums(values, places, index, window, before))


def window_weighted_sums(
    values: Floats, places: Ints, *, index: Ints, weights: Floats, before: float = 0.0
) -> Floats:
    """Return sums over the last values, the newest weighing 1, older ones ever less.

    Parameters
    ----------
    values, places, index, before
        As in `window_sums`.
    weights
        From `halving_weights`, newest first; as many as the window has values.
    """
    return np.asarray(_weighted_sums(values, places, index, weights, before))


def window_highs(values: Floats, places: Ints, *, index: Ints, window: int) -> Floats:
    """Return the greatest of the last `window` values; -inf stands for a missing one."""
    return np.asarray(_highs(values, places, index, window))


@cache
def halving_weights(window: int, half_life: float) -> Floats:
    """Return `window` weights, newest first, that halve every `half_life` values."""
    decay = 0.5 ** (1.0 / half_life)
    weights = np.cumprod(np.concatenate([[1.0], np.full(window - 1, decay)]))
    weights.flags.writeable = False
    return weights


@numba.njit(cache=True, nogil=True)
def _sums(values: Floats, places: Ints, index: Ints, window: int, before: float) -> Floats:
    """Return tail of the block before plus head of the own block."""
    out = np.empty(len(places))
    tail = np.zeros(window + 1)
    start, shift, done, head = 0, 0, 0, 0.0
    for row in range(len(places)):
        place = places[row]
        if row == 0 or index[row] - place != shift or place >= start + window:
            shift = index[row] - place
            start = done = place - index[row] % window
            head = total = 0.0
            for k in range(window - 1, place - start, -1):
                inside = start - window + k
                total += values[inside] if inside >= 0 else before
                tail[k] = total
        while done <= place:
            head += values[done] if done >= 0 else before
            done += 1
        out[row] = head + tail[place - start + 1]
    return out


@numba.njit(cache=True, nogil=True)
def _weighted_sums(
    values: Floats, places: Ints, index: Ints, weights: Floats, before: float
) -> Floats:
    """Return the aged tail of the block before plus head of the own block."""
    window = len(weights)
    decay = weights[1] if window > 1 else 0.0
    out = np.empty(len(places))
    tail = np.zeros(window + 1)
    start, shift, done, head = 0, 0, 0, 0.0
    for row in range(len(places)):
        place = places[row]
        if row == 0 or index[row] - place != shift or place >= start + window:
            shift = index[row] - place
            start = done = place - index[row] % window
            head = total = 0.0
            for k in range(window - 1, place - start, -1):
                inside = start - window + k
                value = values[inside] if inside >= 0 else before
                total += weights[window - 1 - k] * value
                tail[k] = total
        while done <= place:
            head = decay * head + (values[done] if done >= 0 else before)
            done += 1
        own = place - start + 1
        out[row] = head + (weights[own] * tail[own] if own < window else 0.0)
    return out


@numba.njit(cache=True, nogil=True)
def _highs(values: Floats, places: Ints, index: Ints, window: int) -> Floats:
    """Return the greater of the tail of the block before and the head of the own block."""
    out = np.empty(len(places))
    tail = np.full(window + 1, -np.inf)
    start, shift, done, head = 0, 0, 0, -np.inf
    for row in range(len(places)):
        place = places[row]
        if row == 0 or index[row] - place != shift or place >= start + window:
            shift = index[row] - place
            start = done = place - index[row] % window
            head = highest = -np.inf
            for k in range(window - 1, place - start, -1):
                inside = start - window + k
                if inside >= 0:
                    highest = max(highest, values[inside])
                tail[k] = highest
        while done <= place:
            if done >= 0:
                head = max(head, values[done])
            done += 1
        out[row] = max(head, tail[place - start + 1])
    return out
