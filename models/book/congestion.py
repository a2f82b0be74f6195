"""Congestion: what a liquidation costs and how late it comes when many are due at once.

Block space is short when all liquidate together: gas rises with how many want in, transactions
wait, and small accounts are not worth their gas. How much is a stated curve, or follows from
the measured state of a chain and from how its gas price answers to demand.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

SECONDS = 3600.0
"""Of an hour."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockSpace:
    """The blocks of a chain as they were measured, and how gas answers to demand.

    Parameters
    ----------
    gas_price
        Quote of one gas while blocks have room.
    free_gas
        Gas of a block that liquidations can have, at least `gas_each`.
    gas_each
        Gas that one liquidation takes.
    block_seconds
        Between blocks.
    surge
        Full blocks wanted at once, and by what the gas price is multiplied then: rising, never
        falling, from 1 on; (0, 1) stands before them unsaid.
    """

    gas_price: float
    free_gas: int
    gas_each: int
    block_seconds: float
    surge: tuple[tuple[float, float], ...]

    def crowded(self, due: int) -> Crowded:
        """Return gas and delay until the last of so many liquidations is in a block."""
        blocks = -(-due // (self.free_gas // self.gas_each))
        gas = self.gas_price * self.gas_each * self._times(blocks)
        return Crowded(due, gas, blocks * self.block_seconds / SECONDS)

    def _times(self, blocks: int) -> float:
        """Return the multiple of the gas price, which beyond the last point rises on as before."""
        at, times = zip((0.0, 1.0), *self.surge, strict=True)
        if blocks <= at[-1]:
            return float(np.interp(blocks, at, times))
        slope = (times[-1] - times[-2]) / (at[-1] - at[-2])
        return float(times[-1] + slope * (blocks - at[-1]))


def smallest_worth(gas: float, *, bonus: float) -> float | None:
    """Return the debt whose liquidation just pays for its gas; None where nothing is paid."""
    return gas / bonus if bonus > 0.0 else None
