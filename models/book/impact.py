"""How far selling moves a price: curves of impact fitted to quotes, with a tail beyond them.

An impact is the share of the price that is lost once so many units have been sold: 0 for
nothing, always below 1, never falling. Between points a curve is linear. Beyond its last
point it goes on as a constant product pool would, so it keeps rising and stays below 1;
to stop at the last point would say that any further amount sells for free.

References
----------
Constant product: price after selling q into a pool with reserve K is K / (q + K) of the
price before. The tail 1 - (1 - y) (x + K) / (q + K) with K = x (1 - y) / y meets the last
point (x, y) and has that shape.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from models.errors import Fault, InvalidInput

Number = Fraction | float
Floats = npt.NDArray[np.float64]

USD = "USD"

FEWEST_POINTS = 3
"""Fewer quotes say nothing of a curve's shape."""


@dataclass(frozen=True, slots=True)
class ImpactCurve:
    """Points of a curve of impact, from the smallest amount to the largest.

    Parameters
    ----------
    amounts
        Units of the asset sold, above 0 and rising; (0, 0) stands before them unsaid.
    impacts
        Share of the price lost, in [0, 1), not falling; as many as amounts.
    measured_at
        When the quotes were taken; None for a curve that is an assumption.
    quote
        What the asset is sold for: the dollar, or another asset that has a market of its own.
    """

    amounts: tuple[Number, ...]
    impacts: tuple[Number, ...]
    measured_at: datetime | None = field(default=None)
    quote: str = USD

    def lost(self, units: float) -> float:
        """Return the share of the price lost after selling units, as `impact` in floats."""
        return float(impact(self, units))

    def sellable(self, most: float) -> float:
        """Return the units that can be sold before the price has fallen by a share, in [0, 1)."""
        amount = lost = 0.0
        for point, given in zip(self.amounts, self.impacts, strict=True):
            if float(given) > most:
                share = (most - lost) / (float(given) - lost)
                return amount + share * (float(point) - amount)
            amount, lost = float(point), float(given)
        reserve = amount * (1.0 - lost) / lost
        return (1.0 - lost) * (amount + reserve) / (1.0 - most) - reserve


def curve_faults(curve: ImpactCurve, *, where: str = "") -> list[Fault]:
    """Return everything that is wrong with the points of a curve."""
    faults = []
    if len(curve.amounts) != len(curve.impacts) or not curve.amounts:
        counted = f"{len(curve.amounts)} amounts and {len(curve.impacts)} impacts"
        return [Fault(where, f"{counted}: as many of both are needed, at least one")]
    for place, (amount, impact) in enumerate(zip(curve.amounts, curve.impacts, strict=True)):
        if not 0 < amount < float("inf"):
            faults.append(Fault(f"{where}/{place}/amount", f"{amount} is not a positive amount"))
        if not 0 <= impact < 1:
            faults.append(Fault(f"{where}/{place}/impact", f"{impact} is not in [0, 1)"))
    for place, (low, high) in enumerate(pairwise(curve.amounts), start=1):
        if not low < high:
            faults.append(Fault(f"{where}/{place}/amount", f"{high} does not exceed {low}"))
    for place, (low, high) in enumerate(pairwise(curve.impacts), start=1):
        if not low <= high:
            faults.append(Fault(f"{where}/{place}/impact", f"{high} is below {low}"))
    if not faults and curve.impacts[-1] == 0:
        faults.append(Fault(where, "no point of the curve has an impact: it has no tail"))
    return faults


def impact(curve: ImpactCurve, amount: Number) -> Number:
    """Return the share of the price lost after selling an amount.

    Parameters
    ----------
    curve
        Points without faults.
    amount
        Units sold in all, not negative. Exact where it and the points are fractions.

    Returns
    -------
    Fraction or float
        In [0, 1).
    """
    before_amount: Number = Fraction(0)
    before_impact: Number = Fraction(0)
    for point, lost in zip(curve.amounts, curve.impacts, strict=True):
        if amount <= point:
            share = (amount - before_amount) / (point - before_amount)
            return before_impact + share * (lost - before_impact)
        before_amount, before_impact = point, lost
    reserve = before_amount * (1 - before_impact) / before_impact
    return 1 - (1 - before_impact) * (before_amount + reserve) / (amount + reserve)


def fitted(
    amounts: Sequence[float],
    impacts: Sequence[float],
    *,
    measured_at: datetime,
    quote: str = USD,
) -> ImpactCurve:
    """Fit a curve to quotes by isotonic regression through the origin.

    Parameters
    ----------
    amounts
        Units asked for, above 0, in any order; repeated amounts count each.
    impacts
        Share of the price lost that was quoted for each, in [0, 1).
    measured_at, quote
        As of `ImpactCurve`.

    Raises
    ------
    InvalidInput
        Every quote that is out of range, too few different amounts, or no impact at all.
    """
    faults = [
        Fault(f"/{place}", f"{amount} units at an impact of {lost} is no quote")
        for place, (amount, lost) in enumerate(zip(amounts, impacts, strict=True))
        if not (0.0 < amount < np.inf and 0.0 <= lost < 1.0)
    ]
    different = len(set(amounts))
    if different < FEWEST_POINTS:
        faults.append(Fault("", f"{different} different amounts; at least {FEWEST_POINTS}"))
    if faults:
        raise InvalidInput(faults)
    points, place, counts = np.unique(
        np.asarray(amounts, dtype=np.float64), return_inverse=True, return_counts=True
    )
    means = np.bincount(place, weights=np.asarray(impacts, dtype=np.float64)) / counts
    from scipy import optimize  # noqa: PLC0415 - 0.3 s and 26 MB that few workers need

    fit = optimize.isotonic_regression(means, weights=counts.astype(np.float64))
    curve = ImpactCurve(tuple(points.tolist()), tuple(fit.x.tolist()), measured_at, quote)
    if faults := curve_faults(curve):
        raise InvalidInput(faults)
    return curve
