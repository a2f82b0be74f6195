"""Congestion: what a liquidation costs and how late it comes when many are due at once.

Block space is short when all liquidate together: gas rises with how many want in, transactions
wait, and small accounts are not worth their gas. How much is a stated curve.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Crowded:
    """A point of a curve of congestion.

    Parameters
    ----------
    due
        Liquidations that are due at once.
    gas
        Quote that one costs then.
    delay
        Hours by which they come later.
    """

    due: int
    gas: float
    delay: float


def crowded(points: Sequence[Crowded], due: int) -> Crowded:
    """Return gas and delay at so many liquidations due at once.

    Straight between points, level before the first and beyond the last.

    Parameters
    ----------
    points
        At least one, rising.
    """
    at = [point.due for point in points]
    gas = float(np.interp(due, at, [point.gas for point in points]))
    return Crowded(due, gas, float(np.interp(due, at, [point.delay for point in points])))


def smallest_worth(gas: float, *, bonus: float) -> float | None:
    """Return the debt whose liquidation just pays for its gas; None where nothing is paid."""
    return gas / bonus if bonus > 0.0 else None
