"""An Aave v4 account on one spoke: totals, health factor and risk premium.

Units: prices in 10^-8 of the base currency per whole token; collateral values in 10^-26;
debt values in 10^-26 times ray; factors, risk and premium in basis points; the health
factor in wad; indices in ray. Supplied and drawn amounts are shares of the hub's asset.

References
----------
alerodriargui/aave-v4 at 5f0e7cbd, a mirror of aave/aave-v4 v0.5.11 of 2026-06-17 (spoke,
account data and hub share arithmetic).
"""

from collections.abc import Sequence
from typing import NamedTuple

from models.margin.fixed_point import BPS, MAX_UINT256, RAY, WAD, mul_div_down, mul_div_up

VIRTUAL = 10**6
VALUE_DECIMALS = 18
BPS_TO_WAD = WAD // BPS


class Hub(NamedTuple):
    """What all suppliers of one asset own together: smallest units, and shares of them."""

    assets: int
    shares: int

    def to_assets_down(self, shares: int) -> int:
        """Return what shares are worth, smallest units."""
        return mul_div_down(shares, self.assets + VIRTUAL, self.shares + VIRTUAL)

    def to_assets_up(self, shares: int) -> int:
        """Return what shares cost, smallest units."""
        return mul_div_up(shares, self.assets + VIRTUAL, self.shares + VIRTUAL)

    def to_shares_down(self, assets: int) -> int:
        """Return how many shares an amount buys."""
        return mul_div_down(assets, self.shares + VIRTUAL, self.assets + VIRTUAL)


class Position(NamedTuple):
    """What one account has in one reserve, under the parameters it was opened with.

    Attributes
    ----------
    supplied
        Shares supplied.
    pledged, borrowed
        The account's two flags for this reserve.
    drawn, premium_shares
        Shares of the debt and of its premium.
    premium_offset
        What the premium shares do not owe, smallest units times ray; may be negative.
    hub
        Totals behind the supplied shares.
    drawn_index
        Growth of the debt as of the moment of judgement, ray.
    price
        Per whole token, 8 decimals.
    decimals
        Of the token, at most 18.
    factor
        Collateral factor, basis points.
    risk
        Collateral risk, basis points; 0 is the safest.
    """

    supplied: int
    pledged: bool
    borrowed: bool
    drawn: int
    premium_shares: int
    premium_offset: int
    hub: Hub
    drawn_index: int
    price: int
    decimals: int
    factor: int
    risk: int = 0

    @property
    def premium_ray(self) -> int:
        """Premium owed, smallest units times ray."""
        return self.premium_shares * self.drawn_index - self.premium_offset

    @property
    def debt_ray(self) -> int:
        """Debt and premium owed, smallest units times ray."""
        return self.drawn * self.drawn_index + self.premium_ray

    @property
    def counts(self) -> bool:
        """Whether the supplied shares are collateral."""
        return self.pledged and self.factor > 0 and self.supplied > 0


class AccountData(NamedTuple):
    """An account's totals.

    Attributes
    ----------
    collateral
        Value, 26 decimals.
    debt_ray
        Value, 26 decimals times ray.
    weighted_factor
        Sum of collateral value times factor, 26 decimals times basis points.
    factor
        Average collateral factor, wad, truncated.
    health_factor
        Wad; 2^256 - 1 without debt.
    risk_premium
        Basis points, rounded up.
    collaterals, debts
        How many reserves count on each side.
    """

    collateral: int
    debt_ray: int
    weighted_factor: int
    factor: int
    health_factor: int
    risk_premium: int
    collaterals: int
    debts: int


def to_value(amount: int, *, decimals: int, price: int) -> int:
    """Return an amount's worth with 26 decimals, exactly."""
    scale: int = 10 ** (VALUE_DECIMALS - decimals)
    return amount * scale * price


def collateral_value(position: Position) -> int:
    """Return what the supplied shares are worth, 26 decimals."""
    assets = position.hub.to_assets_down(position.supplied)
    return to_value(assets, decimals=position.decimals, price=position.price)


def risk_premium(collateral: Sequence[tuple[int, int]], debt_ray: int) -> int:
    """Return the mean risk of the safest collateral that covers the debt, rounded up.

    Parameters
    ----------
    collateral
        Pairs of risk (basis points) and value (26 decimals).
    debt_ray
        Total debt, 26 decimals times ray.
    """
    owed = left = -(-debt_ray // RAY)
    weighted = 0
    for risk, value in sorted(collateral, key=lambda pair: (pair[0], -pair[1])):
        covered = min(value, left)
        weighted += covered * risk
        left -= covered
    return -(-weighted // (owed - left)) if left < owed else 0


def account_data(positions: Sequence[Position]) -> AccountData:
    """Return the totals, the health factor and the risk premium of prepared positions."""
    counted = [(position, collateral_value(position)) for position in positions if position.counts]
    owed = [position for position in positions if position.borrowed]
    collateral = sum(value for _, value in counted)
    weighted = sum(position.factor * value for position, value in counted)
    debt_ray = sum(
        to_value(position.debt_ray, decimals=position.decimals, price=position.price)
        for position in owed
    )
    return AccountData(
        collateral,
        debt_ray,
        weighted,
        weighted * BPS_TO_WAD // collateral if collateral else 0,
        weighted * BPS_TO_WAD * RAY // debt_ray if debt_ray else MAX_UINT256,
        risk_premium([(position.risk, value) for position, value in counted], debt_ray),
        len(counted),
        len(owed),
    )
