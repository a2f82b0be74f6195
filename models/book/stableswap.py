"""A pool of two assets worth about the same, in the integers of the contract.

References
----------
Egorov, StableSwap (2019): A n^n sum(x) + D = A D n^n + D^(n+1) / (n^n prod(x)), solved by
Newton's method in whole numbers as Curve's pools of two assets do.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from models.book.impact import ImpactCurve
from models.errors import Fault, InvalidInput

SCALE = 10**18
"""Smallest units per whole unit."""

FEE_SCALE = 10**10

MOST_STEPS = 255
"""Newton's method ends well before; the contract stops here too."""


@dataclass(frozen=True, slots=True)
class Pool:
    """A pool that buys the second asset for the first.

    Parameters
    ----------
    base, quoted
        Smallest units of the asset that is paid out and of the one that is sold, above 0.
    amplification
        A of the invariant, at least 1.
    fee
        Share of what is paid out, in units of 1e-10.
    """

    base: int
    quoted: int
    amplification: int
    fee: int

    def __post_init__(self) -> None:
        """Refuse what is no pool.

        Raises
        ------
        InvalidInput
            Every number that is out of range.
        """
        faults = [
            Fault(f"/{name}", f"{getattr(self, name)} is below {least}")
            for name, least in (("base", 1), ("quoted", 1), ("amplification", 1), ("fee", 0))
            if getattr(self, name) < least
        ]
        if self.fee >= FEE_SCALE:
            faults.append(Fault("/fee", f"{self.fee} takes all: must be below {FEE_SCALE}"))
        if faults:
            raise InvalidInput(faults)


def invariant(pool: Pool) -> int:
    """Return D, the smallest units the pool would hold of both were they worth the same."""
    balances = (pool.base, pool.quoted)
    total = sum(balances)
    leverage = pool.amplification * 2
    level = total
    for _ in range(MOST_STEPS):
        product = level
        for balance in balances:
            product = product * level // (2 * balance)
        before = level
        level = (leverage * total + product * 2) * level // ((leverage - 1) * level + 3 * product)
        if abs(level - before) <= 1:
            break
    return level


def sold(pool: Pool, units: int) -> tuple[Pool, int]:
    """Sell smallest units of the quoted asset to a pool.

    Parameters
    ----------
    pool
        Before the sale.
    units
        Smallest units sold, not negative.

    Returns
    -------
    tuple of Pool and int
        The pool after it, and smallest units of the base asset paid out, less the fee,
        which stays in the pool.
    """
    quoted = pool.quoted + units
    out = max(pool.base - _base_at(pool, quoted), 0)
    paid = out - out * pool.fee // FEE_SCALE
    return replace(pool, base=pool.base - paid, quoted=quoted), paid


def price(pool: Pool) -> Fraction:
    """Return base units paid for one more quoted unit, before the fee, at the margin.

    The slope of the invariant, (2 A + D^3 / (4 x y^2)) / (2 A + D^3 / (4 x^2 y)), with x of
    the base and y of the quoted asset.
    """
    level = Fraction(invariant(pool))
    base, quoted = Fraction(pool.base), Fraction(pool.quoted)
    curved = level**3 / (4 * base * quoted)
    leverage = Fraction(2 * pool.amplification)
    return (leverage + curved / quoted) / (leverage + curved / base)


def impact_curve(pool: Pool, units: Sequence[int]) -> ImpactCurve:
    """Return how the price at the margin falls as whole units are sold, exact at each point.

    Parameters
    ----------
    pool
        Before any sale.
    units
        Whole units sold in all at each point, rising.
    """
    start = price(pool)
    return ImpactCurve(
        tuple(Fraction(amount) for amount in units),
        tuple(1 - price(sold(pool, amount * SCALE)[0]) / start for amount in units),
    )


def _base_at(pool: Pool, quoted: int) -> int:
    """Return smallest units of the base asset beside so many of the quoted one."""
    level = invariant(pool)
    leverage = pool.amplification * 2
    constant = level * level // (2 * quoted) * level // (2 * leverage)
    linear = quoted + level // leverage - level
    balance = level
    for _ in range(MOST_STEPS):
        before = balance
        balance = (balance * balance + constant) // (2 * balance + linear)
        if abs(balance - before) <= 1:
            break
    return balance
