"""Aave v2 and forks of its code: one account over all reserves, variable debt.

Units: prices per whole token on the oracle's own scale (`2`: 18 decimals, in ether; `2-usd`: 8
decimals, in dollars), values on the same scale; indices and rates in ray; thresholds, bonuses and
the close factor in basis points.

Legs hold scaled balances (aToken and variable-debt token), smallest units; `pledged` is the
use-as-collateral flag. Debt at a stable rate grows by a rate of each account's own and is no leg
here: an account that has some is not judged by these rules.

`Market.state`, per asset: `liquidity_index`, `borrow_index`, `liquidity_rate`, `borrow_rate`
(ray), `updated_at` (Unix seconds; without it the indices are taken as of now) and `inactive`;
`paused` of the pool.

References
----------
aave/protocol-v2 at npm `@aave/protocol-v2` 1.0.1: GenericLogic, ReserveLogic, MathUtils,
PercentageMath, ValidationLogic, LendingPoolCollateralManager; executed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from fractions import Fraction
from functools import partial
from typing import NamedTuple

from models.domain import Account, Leg, LegKind, Market
from models.margin.fixed_point import BPS, RAY, WAD, mul_div_half_up
from models.margin.legs import ReadLegs
from models.margin.result import (
    Liquidation,
    Margin,
    Ratio,
    Refusal,
    Side,
    TokenAmount,
    Verdict,
)
from models.margin.rulebook import Liquidate, Rulebook
from models.margin.toxicity import is_toxic
from models.margin.uint import uint
from models.margin.variables import Variable
from models.margin.venues.aave_interest import linear_factor, sdk_compounded_factor

CLOSE_FACTOR = 5_000
MAX_HEALTH = 2**256 - 1
"""What the venue says in place of the health of an account that owes nothing."""

VERSIONS = {"2": 18, "2-usd": 8}
"""Decimals of prices and values by version; the arithmetic is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserve:
    """Risk parameters of one reserve.

    Parameters
    ----------
    decimals
        Digits between a whole token and its smallest unit.
    ltv, threshold, bonus
        Basis points; a threshold of 0 is no collateral.
    """

    decimals: int
    ltv: int
    threshold: int
    bonus: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Risk parameters of one pool.

    Parameters
    ----------
    reserves
        By asset.
    quote
        What the oracle prices in; empty for dollars.
    """

    reserves: Mapping[str, Reserve]
    quote: str = ""


class Holding(NamedTuple):
    """One reserve of an account with interest: balances in smallest units, what is pledged."""

    collateral: int
    debt: int
    pledged: bool


class AccountData(NamedTuple):
    """What `getUserAccountData` returns: values, averages in basis points, health in wad."""

    collateral: int
    debt: int
    ltv: int
    threshold: int
    health_factor: int | None


def percent(value: int, part: int) -> int:
    """Return a share in basis points of a value, half up.

    Raises
    ------
    OverflowError
        Where the contract reverts.
    """
    return uint(value * part + BPS // 2) // BPS


def per_percent(value: int, part: int) -> int:
    """Return a value divided by a share in basis points, half up; raises as `percent` does."""
    return uint(value * BPS + part // 2) // part


def index_now(market: Market, asset: str, side: str) -> int | Refusal:
    """Return the liquidity or borrow index carried from its last update to `market.at`, ray."""
    stored = market.state.get(f"{asset}.{side}_index")
    if stored is None or stored <= 0:
        return Refusal(f"{side}_index_missing", f"{asset}.{side}_index is {stored}")
    updated = market.state.get(f"{asset}.updated_at")
    seconds = 0 if updated is None else int(market.at.timestamp()) - updated
    if seconds == 0:
        return stored
    rate = market.state.get(f"{asset}.{side}_rate")
    if rate is None or rate < 0:
        return Refusal(f"{side}_rate_missing", f"{asset}.{side}_rate is {rate}")
    if seconds < 0:
        return Refusal("updated_in_the_future", f"{asset} was updated {-seconds} s ahead")
    grow = linear_factor if side == "liquidity" else sdk_compounded_factor
    return mul_div_half_up(grow(rate, seconds), stored, RAY)


def balance_of(leg: Leg, market: Market) -> int | Refusal:
    """Return a leg's balance with interest, smallest units."""
    index = index_now(market, leg.asset, "borrow" if leg.kind is LegKind.DEBT else "liquidity")
    if isinstance(index, Refusal):
        return index
    return mul_div_half_up(int(leg.quantity), index, RAY)


def holdings(account: Account, market: Market, terms: Terms) -> dict[str, Holding] | Refusal:
    """Return by asset what counts of an account, with interest, or why it cannot be told."""
    by_asset: dict[str, Holding] = {}
    for leg in account.legs:
        if leg.kind is LegKind.POSITION:
            return Refusal("leg_kind_unknown", f"{leg.kind} of {leg.asset}")
        if not leg.quantity or (leg.kind is LegKind.COLLATERAL and not leg.pledged):
            continue
        if leg.asset not in terms.reserves:
            return Refusal("reserve_unknown", f"{leg.asset} has no terms")
        balance = balance_of(leg, market)
        if isinstance(balance, Refusal):
            return balance
        before = by_asset.get(leg.asset, Holding(0, 0, pledged=False))
        if leg.kind is LegKind.DEBT:
            by_asset[leg.asset] = before._replace(debt=before.debt + balance)
        else:
            collateral = before.collateral + balance
            by_asset[leg.asset] = before._replace(collateral=collateral, pledged=True)
    for asset in by_asset:
        price = market.prices.get(asset)
        if price is None or price.value <= 0:
            return Refusal("price_missing" if price is None else "price_not_positive", asset)
    return by_asset


def account_data(by_asset: Mapping[str, Holding], market: Market, terms: Terms) -> AccountData:
    """Return an account's values, averages and health; raises as `percent` does."""
    collateral = debt = weighted_ltv = weighted_threshold = 0
    for asset, each in by_asset.items():
        reserve, price = terms.reserves[asset], market.prices[asset].value
        unit = 10**reserve.decimals
        if each.pledged and reserve.threshold:
            value = uint(price * each.collateral) // unit
            collateral += value
            weighted_ltv = uint(weighted_ltv + value * reserve.ltv)
            weighted_threshold = uint(weighted_threshold + value * reserve.threshold)
        debt += uint(price * each.debt) // unit
    ltv = weighted_ltv // collateral if collateral else 0
    threshold = weighted_threshold // collateral if collateral else 0
    health = None
    if debt:
        health = uint(percent(collateral, threshold) * WAD + debt // 2) // debt
    return AccountData(collateral, debt, ltv, threshold, health)


def available_borrows(data: AccountData) -> int:
    """Return the value that may still be borrowed; raises as `percent` does."""
    return max(percent(data.collateral, data.ltv) - data.debt, 0)


def margin(account: Account, market: Market, terms: Terms, decimals: int) -> Margin:
    """Judge one account by its health factor; one is safe.

    The maintenance side rounds as the contract does, but for the health factor's own last digit.
    """
    by_asset = holdings(account, market, terms)
    owes = any(leg.kind is not LegKind.COLLATERAL and leg.quantity for leg in account.legs)
    if not owes:
        side = Side(0, 0)
        return Margin(
            verdict=Verdict.SAFE,
            reason="no_debt",
            maintenance=side,
            initial=side,
            value_decimals=decimals,
            ratio=Ratio("health_factor", None, 18),
        )
    assets = tuple(dict.fromkeys(leg.asset for leg in account.legs))
    if isinstance(by_asset, Refusal):
        return Margin(verdict=Verdict.UNEVALUABLE, reason=by_asset.reason, prices=assets)
    try:
        data = account_data(by_asset, market, terms)
        credit = percent(data.collateral, data.threshold)
        initial = percent(data.collateral, data.ltv)
    except OverflowError:
        return Margin(verdict=Verdict.UNEVALUABLE, reason="overflow", prices=assets)
    verdict, reason = verdict_of(by_asset, data, market, terms)
    return Margin(
        verdict=verdict,
        reason=reason,
        maintenance=Side(credit, data.debt),
        initial=Side(initial, data.debt),
        value_decimals=decimals,
        ratio=Ratio("health_factor", data.health_factor, 18),
        prices=tuple(by_asset),
    )


def verdict_of(
    by_asset: Mapping[str, Holding], data: AccountData, market: Market, terms: Terms
) -> tuple[Verdict, str]:
    """Return what may happen to an account, and why."""
    if data.health_factor is None:
        return Verdict.SAFE, "no_debt"
    if data.health_factor >= WAD:
        return Verdict.SAFE, "health_factor_at_least_one"
    if market.state.get("paused", 0):
        return Verdict.NOT_EXECUTABLE, "LP_IS_PAUSED"
    pledged = [
        asset
        for asset, each in by_asset.items()
        if each.pledged and terms.reserves[asset].threshold
    ]
    if not pledged:
        return Verdict.NOT_EXECUTABLE, "LPCM_COLLATERAL_CANNOT_BE_LIQUIDATED"
    owed = [asset for asset, each in by_asset.items() if each.debt]
    for assets in (pledged, owed):
        if all(is_inactive(asset, market) for asset in assets):
            return Verdict.NOT_EXECUTABLE, "VL_NO_ACTIVE_RESERVE"
    return Verdict.LIQUIDATABLE, "health_factor_below_one"


def is_inactive(asset: str, market: Market) -> bool:
    """Return whether a reserve is switched off."""
    return bool(market.state.get(f"{asset}.inactive", 0))


def chosen(assets: Sequence[str], wish: str | None) -> str | None:
    """Return the asset asked for, or the only one."""
    return assets[0] if wish is None and len(assets) == 1 else wish


def liquidate(
    account: Account, market: Market, terms: Terms, request: Liquidate, decimals: int
) -> Liquidation | Refusal:
    """Return what one liquidation call does: half of one debt at most, or the venue's refusal."""
    before = margin(account, market, terms, decimals)
    by_asset = holdings(account, market, terms)
    if before.verdict is Verdict.UNEVALUABLE or isinstance(by_asset, Refusal):
        return Refusal(before.reason)
    if before.verdict is Verdict.SAFE:
        return Refusal("LPCM_HEALTH_FACTOR_NOT_BELOW_THRESHOLD", before.reason)
    pledged = [asset for asset, each in by_asset.items() if each.pledged]
    owed = [asset for asset, each in by_asset.items() if each.debt]
    collateral = chosen(pledged, request.collateral_asset)
    debt = chosen(owed, request.debt_asset)
    if collateral is None or debt is None:
        return Refusal("asset_unstated", "name the debt and the collateral: there are several")
    refused = refusal_of(by_asset, collateral, debt, market, terms)
    if refused is not None:
        return refused
    repay = None if request.repay is None else int(request.repay)
    try:
        repaid, seized = seizure(by_asset, collateral, debt, market, terms, repay=repay)
    except OverflowError as error:
        return Refusal("overflow", str(error))
    plain = Fraction(
        repaid * market.prices[debt].value * 10 ** terms.reserves[collateral].decimals,
        market.prices[collateral].value * 10 ** terms.reserves[debt].decimals,
    )
    taken = {(LegKind.COLLATERAL, collateral): seized, (LegKind.DEBT, debt): repaid}
    left = without(account, market, taken)
    after = margin(left, market, terms, decimals)
    return Liquidation(
        repaid={debt: repaid},
        seized={collateral: seized},
        bonus={collateral: max(0, seized - int(plain))},
        after=after,
        is_toxic=is_toxic(before.maintenance, after.maintenance),
    )


def refusal_of(
    by_asset: Mapping[str, Holding], collateral: str, debt: str, market: Market, terms: Terms
) -> Refusal | None:
    """Return why the venue refuses a pair of reserves of an account below one, if it does."""
    if market.state.get("paused", 0):
        return Refusal("LP_IS_PAUSED")
    if is_inactive(collateral, market) or is_inactive(debt, market):
        return Refusal("VL_NO_ACTIVE_RESERVE", f"{collateral} or {debt} is switched off")
    nothing = Holding(0, 0, pledged=False)
    supplied, owed = by_asset.get(collateral, nothing), by_asset.get(debt, nothing)
    if not supplied.pledged or not terms.reserves[collateral].threshold:
        return Refusal("LPCM_COLLATERAL_CANNOT_BE_LIQUIDATED", f"{collateral} is not pledged")
    if not owed.debt:
        return Refusal("LPCM_SPECIFIED_CURRENCY_NOT_BORROWED_BY_USER", f"no {debt} is owed")
    return None


def seizure(
    by_asset: Mapping[str, Holding],
    collateral: str,
    debt: str,
    market: Market,
    terms: Terms,
    *,
    repay: int | None,
) -> tuple[int, int]:
    """Return what is repaid and seized, smallest units; raises as `percent` does."""
    balance, owed = by_asset[collateral].collateral, by_asset[debt].debt
    most = percent(owed, CLOSE_FACTOR)
    wish = most if repay is None else min(repay, most)
    reserve, bonus = terms.reserves[collateral], terms.reserves[collateral].bonus
    collateral_unit, debt_unit = 10**reserve.decimals, 10 ** terms.reserves[debt].decimals
    collateral_price, debt_price = market.prices[collateral].value, market.prices[debt].value
    seized = percent(uint(debt_price * wish * collateral_unit), bonus) // (
        collateral_price * debt_unit
    )
    if seized <= balance:
        return wish, seized
    worth = uint(collateral_price * balance * debt_unit) // (debt_price * collateral_unit)
    return min(per_percent(worth, bonus), wish), balance


def without(account: Account, market: Market, taken: Mapping[tuple[LegKind, str], int]) -> Account:
    """Return the account with balances taken off its legs, each as the scaled balance it burns."""
    legs = []
    for leg in account.legs:
        amount = taken.get((leg.kind, leg.asset), 0)
        side = "borrow" if leg.kind is LegKind.DEBT else "liquidity"
        index = index_now(market, leg.asset, side) if amount else 0
        if amount and isinstance(index, int) and (leg.pledged or leg.kind is LegKind.DEBT):
            burnt = min(mul_div_half_up(amount, RAY, index), int(leg.quantity))
            legs.append(replace(leg, quantity=int(leg.quantity) - burnt))
        else:
            legs.append(leg)
    return replace(account, legs=tuple(legs))


def tokens(account: Account, market: Market, terms: Terms) -> tuple[TokenAmount, ...] | Refusal:
    """Return the balance of each leg with interest, in whole tokens."""
    amounts = []
    for leg in account.legs:
        balance = balance_of(leg, market)
        if leg.asset not in terms.reserves or leg.kind is LegKind.POSITION:
            return Refusal("reserve_unknown", f"{leg.asset} has no terms")
        if isinstance(balance, Refusal):
            return balance
        digits = terms.reserves[leg.asset].decimals
        amount = Fraction(balance, 10**digits)
        amounts.append(TokenAmount(kind=leg.kind, asset=leg.asset, amount=amount, digits=digits))
    return tuple(amounts)


def accrue(market: Market, terms: Terms, at: datetime) -> Market:
    """Return the market at a later time: `margin` carries the indices there itself."""
    stamps = {f"{asset}.updated_at": int(market.at.timestamp()) for asset in terms.reserves}
    return replace(market, at=at, state={**stamps, **market.state})


def bare(terms: Terms) -> Terms:
    """Return the terms with whatever counts as collateral counted in full."""
    reserves = {
        asset: replace(reserve, threshold=BPS if reserve.threshold else 0)
        for asset, reserve in terms.reserves.items()
    }
    return replace(terms, reserves=reserves)


STATE = (
    Variable("{asset}.liquidity_index", "ray"),
    Variable("{asset}.borrow_index", "ray"),
    Variable("{asset}.liquidity_rate", "ray a year"),
    Variable("{asset}.borrow_rate", "ray a year"),
    Variable("{asset}.updated_at", "Unix seconds"),
    Variable("{asset}.inactive", "0 or 1"),
    Variable("paused", "0 or 1"),
)

RULEBOOKS = tuple(
    Rulebook(
        venue="aave-v2",
        version=version,
        terms=Terms,
        state=STATE,
        price_decimals=decimals,
        margin=partial(margin, decimals=decimals),
        reads=lambda _: ReadLegs(has_flag=True),
        bare=bare,
        liquidate=partial(liquidate, decimals=decimals),
        accrue=accrue,
        tokens=tokens,
    )
    for version, decimals in VERSIONS.items()
)
