"""An account as a straight line in prices: what each asset's move does to its surplus."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeVar

from models.domain import Account, Market
from models.margin.result import Margin
from models.margin.rulebook import MarginAt, Rulebook, priced_assets, with_price

T = TypeVar("T")

STEP = Fraction(1, 50)
"""Share of a price by which it is moved, down and up, to see what the surplus does."""

TWICE = 2 * STEP

GRAIN = Fraction(1, 10**6)
"""Share of the largest exposure below which one is the rounding of the venue's numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """How an account's surplus moves with prices, to first order.

    With prices `p` and today's `p0`, surplus ≈ cash + Σ by_asset · p / p0. Terms above zero are
    what backs the account, terms below zero what must be covered, weights and margins included.

    Parameters
    ----------
    surplus
        Credit less requirement now, quote units.
    by_asset
        By asset, quote units, signed; assets whose price does not matter are absent.
    """

    surplus: Fraction
    by_asset: Mapping[str, Fraction]

    @property
    def cash(self) -> Fraction:
        """Part of the surplus that no price moves, quote units."""
        return self.surplus - sum(self.by_asset.values(), Fraction(0))

    @property
    def credit(self) -> Fraction:
        """Sum of the terms above zero, quote units."""
        return sum((term for term in self._terms() if term > 0), Fraction(0))

    @property
    def requirement(self) -> Fraction:
        """Sum of the terms below zero, taken positive, quote units."""
        return -sum((term for term in self._terms() if term < 0), Fraction(0))

    @property
    def leading(self) -> str | None:
        """Asset with the largest exposure; None where no price matters."""
        return max(self.by_asset, key=lambda asset: abs(self.by_asset[asset]), default=None)

    def _terms(self) -> tuple[Fraction, ...]:
        """Return every term of the line."""
        return (self.cash, *self.by_asset.values())


def exposure(
    rulebook: Rulebook[T],
    account: Account,
    market: Market,
    terms: T,
    *,
    at: MarginAt | None = None,
    now: Margin | None = None,
) -> Exposure | None:
    """Return the line of an account's surplus through its surplus now.

    Parameters
    ----------
    market
        With prices at the rulebook's scale.
    at, now
        The account along prices and in the market itself, where they are at hand already.

    Returns
    -------
    Exposure | None
        None where the rules cannot judge the account.
    """
    judge = rulebook.along_prices(account, market, terms) if at is None else at
    standing = judge(market) if now is None else now
    surplus_now = surplus(standing)
    if surplus_now is None:
        return None

    def moved(asset: str, share: Fraction) -> Fraction | None:
        value = int(market.prices[asset].value * (1 + share))
        return surplus(judge(with_price(market, asset, value)))

    slopes = {asset: _slope(asset, moved) for asset in priced_assets(account, market, standing)}
    largest = max((abs(slope) for slope in slopes.values()), default=Fraction(0))
    material = {asset: slope for asset, slope in slopes.items() if abs(slope) > GRAIN * largest}
    return Exposure(surplus=surplus_now, by_asset=material)


def _slope(asset: str, moved: Callable[[str, Fraction], Fraction | None]) -> Fraction:
    """Return the change of the surplus per unit of relative price change."""
    down, up = moved(asset, -STEP), moved(asset, STEP)
    if down is None or up is None:
        return Fraction(0)
    return (up - down) / TWICE


def surplus(margin: Margin) -> Fraction | None:
    """Return credit less requirement in quote units; None where it is not known."""
    if margin.maintenance is None:
        return None
    return Fraction(margin.maintenance.surplus, 10**margin.value_decimals)
