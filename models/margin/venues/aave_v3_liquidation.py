"""What a liquidation of an Aave v3 account moves, to the last unit, or why it reverts.

Units as in `aave_v3_account`: scaled balances and amounts in smallest units of their token,
values in base currency with 8 decimals, bonus and fee in basis points.

References
----------
aave-dao/aave-v3-origin: LiquidationLogic at v3.4.0 652fa67b to v3.7 fd1fbd91; its documents
docs/3.7/liquidation-rounding.md and docs/3.7/Aave-v3.7-changelog.md.
"""

from collections.abc import Sequence
from typing import NamedTuple

from models.margin.fixed_point import BPS, MAX_UINT256, RAY, WAD, mul_div_down, mul_div_half_up
from models.margin.result import Refusal
from models.margin.venues.aave_v3_account import AccountData, Position, account_data
from models.margin.venues.aave_v3_terms import Policy

CLOSE_FACTOR = 5_000
CLOSE_FACTOR_HEALTH = 95 * 10**16
SMALL_POSITION = 2_000 * 10**8
LEAST_LEFTOVER = 1_000 * 10**8


class Seizure(NamedTuple):
    """What debt buys: collateral, the venue's fee, the debt it takes, the bonus in it.

    Attributes
    ----------
    to_liquidator, fee
        Collateral by recipient.
    debt_needed
        Debt to repay for it.
    bonus
        Part of both collateral amounts that exceeds the debt's worth.
    """

    to_liquidator: int
    fee: int
    debt_needed: int
    bonus: int

    @property
    def total(self) -> int:
        """Collateral taken from the account."""
        return self.to_liquidator + self.fee


class Outcome(NamedTuple):
    """What one liquidation does.

    Attributes
    ----------
    repaid
        Debt paid by the liquidator.
    to_liquidator, fee
        Collateral by recipient, after the fee is capped by what is left.
    bonus
        Part of the collateral that exceeds the debt's worth.
    deficits
        Debt written off, by position.
    after
        The positions as they are left.
    """

    repaid: int
    to_liquidator: int
    fee: int
    bonus: int
    deficits: tuple[int, ...]
    after: tuple[Position, ...]


def collateral_balance(position: Position, policy: Policy) -> int:
    """Return the collateral held, smallest units."""
    return policy.collateral_balance(position.collateral, position.liquidity_index, RAY)


def debt_balance(position: Position, policy: Policy) -> int:
    """Return the debt owed, smallest units."""
    return policy.debt_balance(position.debt, position.borrow_index, RAY)


def most_repayable(data: AccountData, collateral: Position, debt: Position, policy: Policy) -> int:
    """Return the most debt that one call may repay, smallest units.

    All of the reserve's debt, unless health is above 0.95 and both sides are worth 2,000
    or more: then at most half of the account's total debt, over all reserves.
    """
    owed = debt_balance(debt, policy)
    collateral_value = mul_div_down(
        collateral_balance(collateral, policy), collateral.price, collateral.unit
    )
    owed_value = policy.debt_value(owed, debt.price, debt.unit)
    is_small = collateral_value < SMALL_POSITION or owed_value < SMALL_POSITION
    if is_small or data.health_factor <= CLOSE_FACTOR_HEALTH:
        return owed
    half = mul_div_half_up(data.debt, CLOSE_FACTOR, BPS)
    return owed if owed_value <= half else half * debt.unit // debt.price


def seize(
    collateral: Position, debt: Position, *, repaid: int, balance: int, policy: Policy
) -> Seizure:
    """Return the collateral that `repaid` debt buys, capped by `balance`.

    Parameters
    ----------
    repaid
        Debt offered, smallest units.
    balance
        Collateral that there is, smallest units.
    """
    base = (debt.price * repaid * collateral.unit) // (collateral.price * debt.unit)
    amount = policy.seized(base, collateral.bonus, BPS)
    if amount > balance:
        amount = balance
        worth = (collateral.price * amount * debt.unit) // (debt.price * collateral.unit)
        repaid = policy.debt_needed(worth, BPS, collateral.bonus)
    if collateral.bonus == 0:
        return Seizure(0, 0, repaid, 0)
    bonus = amount - policy.bonus_base(amount, BPS, collateral.bonus)
    fee = policy.fee(bonus, collateral.protocol_fee, BPS)
    return Seizure(amount - fee, fee, repaid, bonus)


def leaves_dust(
    seizure: Seizure, collateral: Position, debt: Position, *, balance: int, policy: Policy
) -> bool:
    """Return whether both sides are left and one of them is worth less than 1,000."""
    owed = debt_balance(debt, policy) - seizure.debt_needed
    left = balance - seizure.total
    if owed <= 0 or left <= 0:
        return False
    owed_value = policy.debt_value(owed, debt.price, debt.unit)
    left_value = mul_div_down(left, collateral.price, collateral.unit)
    return min(owed_value, left_value) < LEAST_LEFTOVER


def refusal(
    data: AccountData, collateral: Position, debt: Position, policy: Policy
) -> Refusal | None:
    """Return why this pair of reserves may not be liquidated at all."""
    if data.health_factor >= WAD:
        detail = f"health factor {data.health_factor} is not below {WAD}"
        return Refusal("HealthFactorNotBelowThreshold", detail)
    if not collateral.pledged or not collateral.counts:
        return Refusal("CollateralCannotBeLiquidated", "not in use as collateral")
    if debt_balance(debt, policy) == 0:
        return Refusal("SpecifiedCurrencyNotBorrowedByUser", "no debt in this reserve")
    if collateral.bonus < BPS and (collateral.bonus or collateral.protocol_fee):
        return Refusal("liquidation_bonus_invalid", f"{collateral.bonus} is below {BPS}")
    return None


def is_too_wide(repaid: int, balance: int, *, collateral: Position, debt: Position) -> bool:
    """Return whether pricing the seizure exceeds 256 bits, where the contract reverts."""
    offered = debt.price * repaid * collateral.unit
    available = collateral.price * balance * debt.unit
    return max(offered, available) > MAX_UINT256


def liquidation_call(
    positions: Sequence[Position], *, collateral: int, debt: int, offered: int, policy: Policy
) -> Outcome | Refusal:
    """Liquidate one pair of reserves.

    Parameters
    ----------
    positions
        Everything the account has.
    collateral, debt
        Which positions are taken from and repaid.
    offered
        Debt the liquidator is ready to repay, smallest units.
    """
    data = account_data(positions, policy)
    taken, owed = positions[collateral], positions[debt]
    refused = refusal(data, taken, owed, policy)
    if refused is not None:
        return refused
    balance = collateral_balance(taken, policy)
    repaid = min(offered, most_repayable(data, taken, owed, policy))
    if is_too_wide(repaid, balance, collateral=taken, debt=owed):
        return Refusal("overflow", "pricing the collateral exceeds 256 bits")
    seizure = seize(taken, owed, repaid=repaid, balance=balance, policy=policy)
    if leaves_dust(seizure, taken, owed, balance=balance, policy=policy):
        return Refusal("MustNotLeaveDust", f"less than {LEAST_LEFTOVER} would be left")
    return settle(positions, seizure, data, collateral=collateral, debt=debt, policy=policy)


def settle(
    positions: Sequence[Position],
    seizure: Seizure,
    data: AccountData,
    *,
    collateral: int,
    debt: int,
    policy: Policy,
) -> Outcome | Refusal:
    """Move the balances; write off what is owed when no collateral is left."""
    left = list(positions)
    is_emptied, is_last = exhausts(left[collateral], seizure, data, policy)
    owed = debt_balance(left[debt], policy)
    if seizure.debt_needed > owed:
        return Refusal("arithmetic_underflow", f"{seizure.debt_needed} of {owed} debt to burn")
    deficits = [0] * len(left)
    burnt = owed if is_last else seizure.debt_needed
    left[debt] = burn(left[debt], burnt, policy)
    deficits[debt] = owed - seizure.debt_needed if is_last else 0
    moved = withdraw(left[collateral], seizure, policy)
    if isinstance(moved, Refusal):
        return moved
    left[collateral], fee = moved
    if is_emptied:
        left[collateral] = left[collateral]._replace(pledged=False)
    if is_last:
        write_off(left, deficits, policy)
    return Outcome(
        seizure.debt_needed,
        seizure.to_liquidator,
        fee,
        seizure.bonus,
        tuple(deficits),
        tuple(left),
    )


def exhausts(
    taken: Position, seizure: Seizure, data: AccountData, policy: Policy
) -> tuple[bool, bool]:
    """Return whether the reserve's collateral is used up, and whether all collateral is."""
    if policy.detects_emptied_by == "value":
        value = seizure.total * taken.price // taken.unit
        return seizure.total == collateral_balance(taken, policy), value == data.collateral
    scaled = sum(
        policy.scaled_collateral(amount, RAY, taken.liquidity_index)
        for amount in (seizure.to_liquidator, seizure.fee)
    )
    used = taken._replace(collateral=min(scaled, taken.collateral))
    value = collateral_balance(used, policy) * taken.price // taken.unit
    is_last = value == data.collateral
    return is_last or used.collateral == taken.collateral, is_last


def burn(position: Position, amount: int, policy: Policy) -> Position:
    """Return the position with debt burnt; the flag falls with the last unit."""
    scaled = min(position.debt, policy.scaled_debt(amount, RAY, position.borrow_index))
    return position._replace(debt=position.debt - scaled, borrowed=position.debt != scaled)


def withdraw(
    position: Position, seizure: Seizure, policy: Policy
) -> tuple[Position, int] | Refusal:
    """Return the position with collateral gone, and the fee as far as it could be paid."""
    scaled = policy.scaled_collateral(seizure.to_liquidator, RAY, position.liquidity_index)
    if scaled > position.collateral:
        return Refusal(
            "arithmetic_underflow", f"{scaled} of {position.collateral} scaled collateral"
        )
    position = position._replace(collateral=position.collateral - scaled)
    scaled_fee = policy.scaled_collateral(seizure.fee, RAY, position.liquidity_index)
    if scaled_fee <= position.collateral:
        return position._replace(collateral=position.collateral - scaled_fee), seizure.fee
    return position._replace(collateral=0), collateral_balance(position, policy)


def write_off(left: list[Position], deficits: list[int], policy: Policy) -> None:
    """Turn every debt that is left in an active reserve into a deficit, in place."""
    for i, position in enumerate(left):
        if position.borrowed and position.active:
            owed = debt_balance(position, policy)
            left[i] = burn(position, owed, policy)
            deficits[i] += owed
