"""How much an Aave v4 liquidation repays and takes: target health, bonus, no dust.

Units as in `aave_v4_account`; amounts in smallest units, `_ray` amounts times ray, bonus,
factor and fee in basis points, health factors in wad.

References
----------
alerodriargui/aave-v4 at 5f0e7cbd, a mirror of aave/aave-v4 v0.5.11 (LiquidationLogic);
v0.5.9 rounded the fee down.
"""

from dataclasses import dataclass
from typing import NamedTuple

from models.margin.fixed_point import BPS, RAY, WAD, mul_div_down, mul_div_up
from models.margin.result import Refusal
from models.margin.venues.aave_v4_account import BPS_TO_WAD, Hub, to_value

DUST = 1_000 * 10**26


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A spoke's rules for liquidations.

    Parameters
    ----------
    target_health_factor
        Health up to which debt may be repaid, wad, at least 1.
    max_bonus_health_factor
        Health at and below which the bonus is greatest, wad, below 1.
    bonus_factor
        Least bonus as a share of the greatest, basis points.
    """

    target_health_factor: int
    max_bonus_health_factor: int
    bonus_factor: int


class Debt(NamedTuple):
    """What is owed in one reserve.

    Attributes
    ----------
    drawn
        Shares.
    premium_ray
        Premium, smallest units times ray.
    drawn_index
        Growth of the drawn shares, ray.
    price, decimals
        Of the asset.
    """

    drawn: int
    premium_ray: int
    drawn_index: int
    price: int
    decimals: int

    @property
    def unit(self) -> int:
        """Smallest units per whole token."""
        unit: int = 10**self.decimals
        return unit


class Collateral(NamedTuple):
    """What is held in one reserve, under the parameters it was supplied with.

    Attributes
    ----------
    shares, hub
        Supplied shares and the totals behind them.
    price, decimals
        Of the asset.
    factor, max_bonus, fee
        Collateral factor, greatest bonus (10,500 is 5 %) and the venue's share of the
        bonus, basis points.
    """

    shares: int
    hub: Hub
    price: int
    decimals: int
    factor: int
    max_bonus: int
    fee: int

    @property
    def unit(self) -> int:
        """Smallest units per whole token."""
        unit: int = 10**self.decimals
        return unit


class Amounts(NamedTuple):
    """What one liquidation moves: collateral shares, drawn shares and premium."""

    shares: int
    shares_to_liquidator: int
    drawn: int
    premium_ray: int


def liquidation_bonus(curve: Curve, *, max_bonus: int, health_factor: int) -> int:
    """Return the bonus at a health factor below 1: it grows as health falls."""
    if health_factor <= curve.max_bonus_health_factor:
        return max_bonus
    least = BPS + mul_div_down(max_bonus - BPS, curve.bonus_factor, BPS)
    reach = WAD - curve.max_bonus_health_factor
    return least + mul_div_down(max_bonus - least, WAD - health_factor, reach)


def debt_to_target(
    debt: Debt, *, total_ray: int, factor: int, bonus: int, health_factor: int, target: int
) -> int:
    """Return the debt whose repayment brings health to the target, smallest units times ray.

    Parameters
    ----------
    total_ray
        Total debt value of the account, 26 decimals times ray.
    """
    penalty = mul_div_up(bonus * BPS_TO_WAD, factor, BPS)
    return mul_div_up(
        total_ray, debt.unit * (target - health_factor), (target - penalty) * debt.price * WAD
    )


def whole_units_up(amount_ray: int) -> int:
    """Return an amount times ray rounded up to whole units, times ray."""
    return -(-amount_ray // RAY) * RAY


def debt_to_liquidate(debt: Debt, *, target_ray: int, offered: int) -> tuple[int, int]:
    """Return drawn shares and premium to repay, premium first, all of both if dust is left.

    Parameters
    ----------
    target_ray
        Debt to repay for the target health, smallest units times ray.
    offered
        Debt the liquidator is ready to repay, smallest units.
    """
    premium = min(whole_units_up(target_ray), debt.premium_ray)
    if offered < -(-premium // RAY):
        premium = offered * RAY
    drawn = 0
    if premium == debt.premium_ray and premium < target_ray:
        required = -(-(target_ray - premium) // debt.drawn_index)
        payable = mul_div_down(offered - -(-premium // RAY), RAY, debt.drawn_index)
        drawn = min(required, payable, debt.drawn)
    left_ray = (debt.drawn - drawn) * debt.drawn_index + debt.premium_ray - premium
    worth_ray = to_value(left_ray, decimals=debt.decimals, price=debt.price)
    if drawn < debt.drawn and worth_ray < DUST * RAY:
        return debt.drawn, debt.premium_ray
    return drawn, premium


def shares_for(collateral: Collateral, debt: Debt, *, repaid_ray: int, bonus: int) -> int:
    """Return the collateral shares that repaid debt buys, rounded down."""
    assets = mul_div_down(
        repaid_ray,
        debt.price * collateral.unit * bonus,
        debt.unit * collateral.price * BPS * RAY,
    )
    return collateral.hub.to_shares_down(assets)


def leaves_collateral_dust(collateral: Collateral, shares: int) -> bool:
    """Return whether some collateral would be left, and worth less than 1,000."""
    if shares >= collateral.shares:
        return False
    assets = collateral.hub.to_assets_down(collateral.shares - shares)
    return to_value(assets, decimals=collateral.decimals, price=collateral.price) < DUST


def debt_for_all(collateral: Collateral, debt: Debt, *, bonus: int) -> tuple[int, int, int]:
    """Return shares, drawn shares and premium when all collateral is taken."""
    repaid_ray = mul_div_up(
        collateral.hub.to_assets_up(collateral.shares),
        collateral.price * debt.unit * BPS * RAY,
        debt.price * collateral.unit * bonus,
    )
    if repaid_ray <= debt.premium_ray:
        return collateral.shares, 0, min(whole_units_up(repaid_ray), debt.premium_ray)
    drawn = -(-(repaid_ray - debt.premium_ray) // debt.drawn_index)
    if drawn <= debt.drawn:
        return collateral.shares, drawn, debt.premium_ray
    all_ray = debt.drawn * debt.drawn_index + debt.premium_ray
    shares = shares_for(collateral, debt, repaid_ray=all_ray, bonus=bonus)
    return min(shares, collateral.shares), debt.drawn, debt.premium_ray


def payment(debt: Debt, *, drawn: int, premium_ray: int) -> int:
    """Return what the liquidator pays, smallest units, both parts rounded up."""
    return mul_div_up(drawn, debt.drawn_index, RAY) + -(-premium_ray // RAY)


def liquidation_amounts(
    collateral: Collateral,
    debt: Debt,
    curve: Curve,
    *,
    total_ray: int,
    health_factor: int,
    offered: int,
) -> Amounts | Refusal:
    """Return what one liquidation of an unhealthy account moves.

    Parameters
    ----------
    total_ray
        Total debt value of the account, 26 decimals times ray.
    offered
        Debt the liquidator is ready to repay, smallest units.
    """
    bonus = liquidation_bonus(curve, max_bonus=collateral.max_bonus, health_factor=health_factor)
    if curve.target_health_factor <= mul_div_up(bonus * BPS_TO_WAD, collateral.factor, BPS):
        return Refusal("target_unreachable", f"bonus {bonus} at factor {collateral.factor}")
    target_ray = debt_to_target(
        debt,
        total_ray=total_ray,
        factor=collateral.factor,
        bonus=bonus,
        health_factor=health_factor,
        target=curve.target_health_factor,
    )
    drawn, premium = debt_to_liquidate(debt, target_ray=target_ray, offered=offered)
    repaid_ray = drawn * debt.drawn_index + premium
    shares = shares_for(collateral, debt, repaid_ray=repaid_ray, bonus=bonus)
    is_dusty = drawn < debt.drawn and leaves_collateral_dust(collateral, shares)
    if shares > collateral.shares or is_dusty:
        shares, drawn, premium = debt_for_all(collateral, debt, bonus=bonus)
    needed = payment(debt, drawn=drawn, premium_ray=premium)
    if offered < needed:
        return Refusal("MustNotLeaveDust", f"{offered} offered of {needed} needed")
    fee = mul_div_up(shares, collateral.fee * (bonus - BPS), bonus * BPS)
    return Amounts(shares, shares - fee, drawn, premium)
