"""An Aave v3 account's totals and health factor, with the roundings of each version.

Units: prices and values in 10^-8 of the base currency; indices in ray; thresholds, loan to
value and bonus in basis points; the health factor in wad. Balances are scaled, that is,
divided by the index, as the tokens store them.

References
----------
aave-dao/aave-v3-origin: v3.4.0 at 652fa67b, v3.5.0 at 25115b2d, v3.6 at e34aaaa8, v3.7 at
fd1fbd91 (GenericLogic, ValidationLogic, LiquidationLogic).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from models.margin.fixed_point import (
    BPS,
    MAX_UINT256,
    RAY,
    WAD,
    mul_div_down,
    mul_div_half_up,
    mul_div_up,
)
from models.margin.venues.aave_interest import Compounding, binomial_factor, taylor_factor

Round = Callable[[int, int, int], int]
"""(a, b, c) to a·b/c, rounded as the name of the function says."""

MAX_UINT128 = 2**128 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What differs between versions: roundings and rules, as data.

    Parameters
    ----------
    version
        Release of the contracts.
    collateral_balance, debt_balance
        Scaled balance times index.
    debt_value
        Debt in base currency.
    borrowing_power
        Collateral times loan to value.
    health
        Whether the health factor is taken of the average threshold or of the weighted sum.
    counts_zero_threshold
        Whether collateral of a reserve without a liquidation threshold of its own counts.
    category_ltv
        What makes loan to value zero inside an e-mode: the reserve's own, or a bitmap.
    has_isolated_category
        Whether an e-mode can take the loan to value from what lies outside its bitmap.
    compounding
        Growth of debt between updates.
    seized, bonus_base, fee
        Collateral with its bonus; the part of it that is no bonus; the venue's share.
    debt_needed
        Debt that pays for all collateral, when that is what limits.
    scaled_collateral, scaled_debt
        Amount back to scaled balance, on burn or transfer.
    detects_emptied_by
        Whether the last collateral is found by base value or by scaled balance.
    has_isolation_mode
        Whether debt ceilings and siloed borrowing exist.
    has_price_sentinel
        Whether a sequencer sentinel can hold liquidations back.
    """

    version: str
    collateral_balance: Round
    debt_balance: Round
    debt_value: Round
    borrowing_power: Round
    health: Literal["average", "sum"]
    counts_zero_threshold: bool
    category_ltv: Literal["reserve", "bitmap"]
    has_isolated_category: bool
    compounding: Compounding
    seized: Round
    bonus_base: Round
    fee: Round
    debt_needed: Round
    scaled_collateral: Round
    scaled_debt: Round
    detects_emptied_by: Literal["value", "scaled"]
    has_isolation_mode: bool
    has_price_sentinel: bool


V3_3 = Policy(
    version="3.3",
    collateral_balance=mul_div_half_up,
    debt_balance=mul_div_half_up,
    debt_value=mul_div_down,
    borrowing_power=mul_div_half_up,
    health="average",
    counts_zero_threshold=False,
    category_ltv="reserve",
    has_isolated_category=False,
    compounding=binomial_factor,
    seized=mul_div_half_up,
    bonus_base=mul_div_half_up,
    fee=mul_div_half_up,
    debt_needed=mul_div_half_up,
    scaled_collateral=mul_div_half_up,
    scaled_debt=mul_div_half_up,
    detects_emptied_by="value",
    has_isolation_mode=True,
    has_price_sentinel=True,
)
V3_4 = replace(V3_3, version="3.4", compounding=taylor_factor)
V3_5 = replace(
    V3_4,
    version="3.5",
    collateral_balance=mul_div_down,
    debt_balance=mul_div_up,
    debt_value=mul_div_up,
    borrowing_power=mul_div_down,
    health="sum",
    debt_needed=mul_div_up,
    scaled_collateral=mul_div_up,
    scaled_debt=mul_div_down,
)
V3_6 = replace(V3_5, version="3.6", counts_zero_threshold=True, category_ltv="bitmap")
V3_7 = replace(
    V3_6,
    version="3.7",
    has_isolated_category=True,
    seized=mul_div_down,
    bonus_base=mul_div_down,
    fee=mul_div_up,
    detects_emptied_by="scaled",
    has_isolation_mode=False,
    has_price_sentinel=False,
)
POLICIES = (V3_3, V3_4, V3_5, V3_6, V3_7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserve:
    """Risk parameters of one reserve.

    Parameters
    ----------
    id
        Position in the pool's list, which is its bit in every bitmap.
    decimals
        Of the token.
    ltv, threshold
        Loan to value and liquidation threshold, basis points.
    bonus
        What a liquidator receives for 10,000 of debt, basis points (10,500 is 5 %).
    protocol_fee
        Share of the bonus that the venue keeps, basis points.
    supply_cap, borrow_cap
        Whole tokens; 0 for none.
    debt_ceiling
        Most debt against this collateral in isolation mode, hundredths of the base
        currency; 0 when the reserve is not isolated.
    borrowable_in_isolation, siloed
        May be borrowed against isolated collateral; may only be borrowed alone.
    borrowable
        Whether borrowing is enabled outside e-modes.
    """

    id: int
    decimals: int
    ltv: int
    threshold: int
    bonus: int
    protocol_fee: int = 0
    supply_cap: int = 0
    borrow_cap: int = 0
    debt_ceiling: int = 0
    borrowable_in_isolation: bool = False
    siloed: bool = False
    borrowable: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Category:
    """An efficiency mode: other parameters for the collateral in its bitmap.

    Parameters
    ----------
    ltv, threshold, bonus
        As of a reserve, basis points.
    collateral_bitmap, borrowable_bitmap, ltv_zero_bitmap
        One bit per reserve id.
    isolated
        Whether collateral outside the bitmap lends nothing.
    """

    ltv: int
    threshold: int
    bonus: int
    collateral_bitmap: int = 0
    borrowable_bitmap: int = 0
    ltv_zero_bitmap: int = 0
    isolated: bool = False


class Position(NamedTuple):
    """What one account has in one reserve, ready to be valued.

    Attributes
    ----------
    collateral, debt
        Scaled balances, smallest units.
    pledged, borrowed
        The account's two flags for this reserve.
    counts
        Whether pledged collateral enters the totals.
    lends_nothing
        Whether the rules call this collateral zero-loan-to-value.
    liquidity_index, borrow_index
        As of the moment of judgement, ray.
    price
        Per whole token, 8 decimals.
    unit
        10^decimals of the token.
    ltv, threshold, bonus
        In force for this account, basis points.
    protocol_fee
        Share of the bonus, basis points.
    active
        Whether the reserve is active.
    """

    collateral: int
    debt: int
    pledged: bool
    borrowed: bool
    counts: bool
    lends_nothing: bool
    liquidity_index: int
    borrow_index: int
    price: int
    unit: int
    ltv: int
    threshold: int
    bonus: int
    protocol_fee: int = 0
    active: bool = True


class AccountData(NamedTuple):
    """An account's totals, in base currency with 8 decimals.

    Attributes
    ----------
    collateral, debt
        Total values.
    weighted_threshold
        Sum of collateral value times threshold, 12 decimals.
    ltv, threshold
        Averages, basis points, truncated.
    health_factor
        Wad; 2^256 - 1 without debt.
    has_zero_ltv
        Whether some collateral lends nothing.
    """

    collateral: int
    debt: int
    weighted_threshold: int
    ltv: int
    threshold: int
    health_factor: int
    has_zero_ltv: bool


def is_in(bitmap: int, reserve_id: int) -> bool:
    """Return whether the bitmap holds the reserve."""
    return bitmap >> reserve_id & 1 == 1


def ltv_in_force(reserve: Reserve, category: Category | None, policy: Policy) -> tuple[int, bool]:
    """Return the loan to value in force and whether the rules call it zero, basis points."""
    if category is None or not is_in(category.collateral_bitmap, reserve.id):
        lends = category is None or not (policy.has_isolated_category and category.isolated)
        ltv = reserve.ltv if lends else 0
        return ltv, ltv == 0
    if policy.category_ltv == "reserve":
        return (category.ltv, False) if reserve.ltv else (0, True)
    ltv = 0 if is_in(category.ltv_zero_bitmap, reserve.id) else category.ltv
    return ltv, ltv == 0


def position(
    reserve: Reserve,
    category: Category | None,
    policy: Policy,
    *,
    collateral: int,
    debt: int,
    pledged: bool,
    borrowed: bool,
    liquidity_index: int,
    borrow_index: int,
    price: int,
    active: bool = True,
) -> Position:
    """Prepare one reserve of an account: the parameters in force for it."""
    inside = category is not None and is_in(category.collateral_bitmap, reserve.id)
    source = category if category is not None and inside else reserve
    ltv, lends_nothing = ltv_in_force(reserve, category, policy)
    return Position(
        collateral=collateral,
        debt=debt,
        pledged=pledged,
        borrowed=borrowed,
        liquidity_index=liquidity_index,
        borrow_index=borrow_index,
        price=price,
        unit=10**reserve.decimals,
        ltv=ltv,
        threshold=source.threshold,
        bonus=source.bonus,
        protocol_fee=reserve.protocol_fee,
        counts=policy.counts_zero_threshold or reserve.threshold != 0,
        lends_nothing=lends_nothing,
        active=active,
    )


def account_data(positions: Iterable[Position], policy: Policy) -> AccountData:
    """Return the totals and the health factor of prepared positions.

    This is the inner evaluation: pure integers, no look-ups. Overflow of 256 bits, where
    the contract would revert, is for `overflows` to find.
    """
    balance, owed, owed_value = policy.collateral_balance, policy.debt_balance, policy.debt_value
    collateral = debt = weighted_ltv = weighted_threshold = 0
    has_zero_ltv = False
    # unpacking a row is faster than reading the names off it
    for (
        held, due, pledged, borrowed, counts, lends_nothing, income, charge, price, unit,
        ltv, threshold, _, _, _,
    ) in positions:  # fmt: skip
        if pledged and counts:
            value = balance(held, income, RAY) * price // unit
            collateral += value
            weighted_ltv += value * ltv
            weighted_threshold += value * threshold
            has_zero_ltv = has_zero_ltv or lends_nothing
        if borrowed:
            debt += owed_value(owed(due, charge, RAY), price, unit)
    return AccountData(
        collateral,
        debt,
        weighted_threshold,
        weighted_ltv // collateral if collateral else 0,
        weighted_threshold // collateral if collateral else 0,
        health_factor(collateral, weighted_threshold, debt, policy=policy),
        has_zero_ltv,
    )


def health_factor(collateral: int, weighted_threshold: int, debt: int, *, policy: Policy) -> int:
    """Return the health factor, wad: 2^256 - 1 without debt.

    Parameters
    ----------
    collateral, debt
        Total values, 8 decimals.
    weighted_threshold
        Sum of collateral value times threshold, 12 decimals.
    """
    if debt == 0:
        return MAX_UINT256
    if policy.health == "sum":
        return mul_div_half_up(weighted_threshold, WAD, debt) // BPS
    average = weighted_threshold // collateral if collateral else 0
    return mul_div_half_up(mul_div_half_up(collateral, average, BPS), WAD, debt)


def available_borrows(data: AccountData, policy: Policy) -> int:
    """Return what may still be borrowed, base currency with 8 decimals."""
    return max(0, policy.borrowing_power(data.collateral, data.ltv, BPS) - data.debt)


def overflows(positions: Iterable[Position], data: AccountData) -> bool:
    """Return whether the contract would revert on 256-bit arithmetic."""
    wide = data.weighted_threshold * WAD + data.debt
    return wide > MAX_UINT256 or any(is_too_wide(held) for held in positions)


def is_too_wide(held: Position) -> bool:
    """Return whether a balance, an index or a value exceeds its storage."""
    stored = (held.collateral, held.debt, held.liquidity_index, held.borrow_index)
    if max(stored) > MAX_UINT128:
        return True
    most = max(held.collateral * held.liquidity_index, held.debt * held.borrow_index)
    return (most // RAY + 1) * held.price > MAX_UINT256


def user_configuration(positions: Iterable[tuple[int, Position]]) -> int:
    """Return the account's bitmap: two bits per reserve id, borrowed below pledged.

    Parameters
    ----------
    positions
        Pairs of reserve id and position.
    """
    return sum(
        (int(held.borrowed) | int(held.pledged) << 1) << 2 * reserve_id
        for reserve_id, held in positions
    )
