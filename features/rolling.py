"""Windows that roll: a new value reads one number of the state and writes one.

The state behind a statistic is one window of numbers: of the block that time is in, the
values so far; of the block before, its tails from here to its end. When a block is full its
values become tails in one pass. The additions are those of `features.windows`, in the same
order, so that every bit is the same.
"""

import numba
import numpy as np

from features.inputs import Floats
from features.windows import high_tails, sum_tails, weighted_tails


@numba.njit(cache=True, nogil=True)
def roll_sums(values: Floats, first: int, window: Floats, head: float, out: Floats) -> float:
    """Add candles of one asset to sums and return the head of the block.

    Parameters
    ----------
    values
        None missing.
    first
        Candles since 1970 of the first one.
    window, head
        State, the former changed in place; of window + 1 numbers, of which the last stays 0.
    out
        Receives the sums.
    """
    size, done = len(window) - 1, 0
    while done < len(values):
        place = (first + done) % size
        if place == 0:
            head = 0.0
            sum_tails(window[:size], window)
        count = min(len(values) - done, size - place)
        new, results = values[done:], out[done:]
        cells, tails = window[place:], window[place + 1 :]
        for k in range(count):
            head += new[k]
            results[k] = head + tails[k]
            cells[k] = new[k]
        done += count
    return head


@numba.njit(cache=True, nogil=True)
def roll_weighted_sums(
    values: Floats, first: int, weights: Floats, window: Floats, head: float, out: Floats
) -> float:
    """Add candles to sums whose older values weigh less; as `roll_sums`."""
    size, done = len(weights), 0
    decay = weights[min(1, size - 1)]
    while done < len(values):
        place = (first + done) % size
        if place == 0:
            head = 0.0
            weighted_tails(window[:size], weights, window)
        count = min(len(values) - done, size - place)
        new, results, ages = values[done:], out[done:], weights[place:]
        cells, tails = window[place:], window[place + 1 :]
        for k in range(count):
            head = decay * head + new[k]
            results[k] = head + decay * ages[k] * tails[k]
            cells[k] = new[k]
        done += count
    return head


@numba.njit(cache=True, nogil=True)
def roll_highs(values: Floats, first: int, window: Floats, head: float, out: Floats) -> float:
    """Add candles to greatest values; as `roll_sums`, the last of the window staying -inf."""
    size, done = len(window) - 1, 0
    while done < len(values):
        place = (first + done) % size
        if place == 0:
            head = -np.inf
            high_tails(window[:size], window)
        count = min(len(values) - done, size - place)
        new, results = values[done:], out[done:]
        cells, tails = window[place:], window[place + 1 :]
        for k in range(count):
            if new[k] > head:  # noqa: PLR1730 - one comparison, where max compiles to two
                head = new[k]
            results[k] = max(head, tails[k])
            cells[k] = new[k]
        done += count
    return head


@numba.njit(cache=True, nogil=True)
def roll_sums_beside(
    values: Floats, first: int, windows: Floats, heads: Floats, out: Floats
) -> None:
    """Add candles of several assets to sums.

    Parameters
    ----------
    values
        None missing; shape (assets, candles).
    first
        Candles since 1970 of the first one.
    windows, heads
        State, changed in place; shapes (window + 1, assets), so that what one candle reads
        lies together, and (assets,).
    out
        Receives the sums; shape (assets, candles).
    """
    size = len(windows) - 1
    for k in range(values.shape[1]):
        place = (first + k) % size
        if place == 0:
            heads[:] = 0.0
            for row in range(size - 1, -1, -1):
                windows[row] += windows[row + 1]
        for asset in range(len(values)):
            heads[asset] += values[asset, k]
            out[asset, k] = heads[asset] + windows[place + 1, asset]
            windows[place, asset] = values[asset, k]


@numba.njit(cache=True, nogil=True)
def roll_weighted_sums_beside(
    values: Floats, first: int, weights: Floats, windows: Floats, heads: Floats, out: Floats
) -> None:
    """Add candles to sums whose older values weigh less; as `roll_sums_beside`."""
    size = len(weights)
    decay = weights[min(1, size - 1)]
    for k in range(values.shape[1]):
        place = (first + k) % size
        if place == 0:
            heads[:] = 0.0
            for row in range(size - 1, -1, -1):
                windows[row] = windows[row + 1] + weights[size - 1 - row] * windows[row]
        for asset in range(len(values)):
            heads[asset] = decay * heads[asset] + values[asset, k]
            out[asset, k] = heads[asset] + decay * weights[place] * windows[place + 1, asset]
            windows[place, asset] = values[asset, k]


@numba.njit(cache=True, nogil=True)
def roll_highs_beside(
    values: Floats, first: int, windows: Floats, heads: Floats, out: Floats
) -> None:
    """Add candles to greatest values; as `roll_sums_beside`, the last row staying -inf."""
    size = len(windows) - 1
    for k in range(values.shape[1]):
        place = (first + k) % size
        if place == 0:
            heads[:] = -np.inf
            for row in range(size - 1, -1, -1):
                windows[row] = np.maximum(windows[row], windows[row + 1])
        for asset in range(len(values)):
            heads[asset] = max(heads[asset], values[asset, k])
            out[asset, k] = max(heads[asset], windows[place + 1, asset])
            windows[place, asset] = values[asset, k]


@numba.njit(cache=True, nogil=True)
def read_back(values: Floats, first: int, ring: Floats, back: int, out: Floats) -> None:
    """Return what stood `back` candles before each of the new ones, not yet in the ring."""
    size = ring.shape[1]
    for asset in range(len(values)):
        place = (first - back) % size
        for k in range(min(back, values.shape[1])):
            out[asset, k] = ring[asset, place]
            place = place + 1 if place + 1 < size else 0
        for k in range(back, values.shape[1]):
            out[asset, k] = values[asset, k - back]


@numba.njit(cache=True, nogil=True)
def write_ring(values: Floats, first: int, ring: Floats) -> None:
    """Keep the newest values, each at its time modulo the ring."""
    size = ring.shape[1]
    for asset in range(len(values)):
        for k in range(max(values.shape[1] - size, 0), values.shape[1]):
            ring[asset, (first + k) % size] = values[asset, k]
