"""An Aave v3 account's totals and health factor, with the roundings of each version.

Units: prices and values in 10^-8 of the base currency; indices in ray; thresholds, loan to
value and bonus in basis points; the health factor in wad. Balances are scaled, that is,
divided by the index, as the tokens store them.

References
----------
aave-dao/aave-v3-origin: v3.4.0 at 652fa67b, v3.5.0 at 25115b2d, v3.6 at e34aaaa8, v3.7 at
fd1fbd91 (GenericLogic, ValidationLogic).
"""

from collections.abc import Iterable
from typing import NamedTuple

from models.margin.fixed_point import BPS, MAX_UINT256, RAY, WAD, mul_div_half_up
from models.margin.venues.aave_v3_terms import Category, Policy, Reserve

MAX_UINT128 = 2**128 - 1


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
        supplied, due, pledged, borrowed, counts, lends_nothing, income, charge, price, unit,
        ltv, threshold, _, _, _,
    ) in positions:  # fmt: skip
        if pledged and counts:
            value = balance(supplied, income, RAY) * price // unit
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
    return wide > MAX_UINT256 or any(is_too_wide(position) for position in positions)


def is_too_wide(position: Position) -> bool:
    """Return whether a balance, an index or a value exceeds its storage."""
    stored = (position.collateral, position.debt, position.liquidity_index, position.borrow_index)
    if max(stored) > MAX_UINT128:
        return True
    most = max(
        position.collateral * position.liquidity_index, position.debt * position.borrow_index
    )
    return (most // RAY + 1) * position.price > MAX_UINT256


def user_configuration(positions: Iterable[tuple[int, Position]]) -> int:
    """Return the account's bitmap: two bits per reserve id, borrowed below pledged.

    Parameters
    ----------
    positions
        Pairs of reserve id and position.
    """
    return sum(
        (int(position.borrowed) | int(position.pledged) << 1) << 2 * reserve_id
        for reserve_id, position in positions
    )
