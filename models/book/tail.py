"""Tails of simulated losses: quantiles with their own intervals, and means beyond them.

LaR is a quantile of what is repaid by liquidations, VaR of bad debt, ES the mean beyond a
quantile. A quantile of N scenarios is an order statistic; its interval is between two others,
whose ranks follow from the binomial distribution whatever the losses are.

References
----------
David and Nagaraja, Order Statistics (2003), 7.1: P(X_(r) <= x_q <= X_(s)) is the binomial
probability of r to s - 1 of N draws lying below the quantile.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Quantile:
    """A quantile of losses, in the unit of the losses.

    Parameters
    ----------
    level
        In (0, 1): 0.95 is what one scenario in twenty exceeds.
    value
        The order statistic at that level.
    low, high
        Interval of the quantile by order statistics; where N is too small for the
        confidence, the least and the largest loss.
    shortfall
        Mean of the losses from the value's rank on.
    """

    level: float
    value: float
    low: float
    high: float
    shortfall: float


def ranks(count: int, level: float, *, confidence: float = 0.9) -> tuple[int, int]:
    """Return the ranks, from 1, between which the quantile lies with a confidence.

    Parameters
    ----------
    count
        Scenarios, at least 1.
    level
        In (0, 1).
    confidence
        In (0, 1); half of what it leaves is on either side.

    Returns
    -------
    tuple of int
        Of 10,000 scenarios and the level 0.95 at 90 %: 9,464 and 9,537.
    """
    tail = (1.0 - confidence) / 2.0
    below = special.bdtr(np.arange(count + 1), count, level)  # P(at most so many lie below)
    low, high = (int(place) for place in np.searchsorted(below, [tail, 1.0 - tail]))
    return max(low, 1), min(high + 1, count)


def quantile(losses: Floats, level: float, *, confidence: float = 0.9) -> Quantile:
    """Return a quantile of losses, shape (scenarios,), with its interval and shortfall.

    Raises
    ------
    ValueError
        No losses, or one that is not finite: neither has a quantile.
    """
    if not losses.size or not np.isfinite(losses).all():
        message = f"{losses.size} losses, {(~np.isfinite(losses)).sum()} of them not finite"
        raise ValueError(message)
    ordered = np.sort(losses)
    place = min(int(np.ceil(level * losses.size)), losses.size) - 1
    low, high = ranks(losses.size, level, confidence=confidence)
    return Quantile(
        level,
        float(ordered[place]),
        float(ordered[low - 1]),
        float(ordered[high - 1]),
        float(ordered[place:].mean()),
    )


def shares(losses: Floats, level: float) -> Floats:
    """Return what each part contributes to the mean beyond a quantile of the sum.

    Parameters
    ----------
    losses
        By scenario and part (asset, venue, account), shape (scenarios, parts).
    level
        Of the quantile of the sum over parts.

    Returns
    -------
    numpy.ndarray
        Shape (parts,); adds up to the shortfall of the sum (Euler's allocation).
    """
    total = losses.sum(axis=1)
    beyond = np.argsort(total, kind="stable")[
        min(int(np.ceil(level * total.size)), total.size) - 1 :
    ]
    return np.asarray(losses[beyond].mean(axis=0))
