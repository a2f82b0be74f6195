"""Venus' isolated pools: a Comptroller of its own per pool, small accounts settled whole.

Units: prices in dollars per whole token with 36 decimals (the oracle's own, 36 less the token's
digits, times the token); exchange rates, factors, thresholds, shares, incentive and close factor
in wad; liquidity, shortfall and the least collateral in 10^-18 of a dollar.

Legs: a collateral leg holds vTokens, `pledged` where its market was entered; a debt leg the borrow
balance with interest, smallest units of the underlying. Interest accrues by the block or the
second as a market was made, so nothing is carried forward here: hand in both as of the moment of
judgement.

Who is short while the collateral, without haircut, is worth more than the least that a debt alone
may be liquidated for (`preLiquidateHook`) is liquidated debt by debt. At that or less, all debts
are repaid at once where the collateral pays for them with the incentive (`liquidateAccount`);
else all collateral is seized for what it pays for, and the rest is written off as bad debt
(`healAccount`). A debt whose market has forced liquidation is repaid by anyone, however sound the
account is.

`Account.options`: `{asset}.entered`, 1 where a market was entered in which the account has
nothing: the venue judges nobody in a market without a price.

References
----------
VenusProtocol/isolated-pools at npm `@venusprotocol/isolated-pools` 4.4.0: Comptroller.sol
(`_getHypotheticalLiquiditySnapshot`, `preLiquidateHook`, `liquidateAccount`, `healAccount`,
`liquidateCalculateSeizeTokens`), VToken.sol (`_liquidateBorrowFresh`, `_seize`, `healBorrow`,
`_exchangeRateStored`), ExponentialNoError.sol; executed.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import NamedTuple

from models.domain import Account, LegKind, Market
from models.margin.fixed_point import WAD
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
from models.margin.venues.compound_v2 import (
    Pair,
    chosen,
    lent_fault,
    overdrawn,
    product,
    tokens_per_repaid,
    uncovered,
    without,
)
from models.margin.venues.venus import PRICE_DECIMALS, VALUE_DECIMALS, Holding

NOTHING = Holding(0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Weight:
    """How an asset counts in a pool; wad.

    Parameters
    ----------
    collateral_factor
        Share of its value that may be borrowed against.
    liquidation_threshold
        Share of its value below which debt may be repaid by others.
    seize_share
        Part of the value repaid for which the venue keeps what is seized.
    """

    collateral_factor: int
    liquidation_threshold: int
    seize_share: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Risk parameters of one pool.

    Parameters
    ----------
    close_factor
        Share of one debt that one liquidation may repay, wad.
    liquidation_incentive
        Value seized over value repaid, wad.
    min_liquidatable_collateral
        Collateral without haircut up to which an account is settled whole, 10^-18 dollars.
    decimals
        By listed asset: digits between a whole token and its smallest unit.
    weights
        By listed asset.
    """

    close_factor: int
    liquidation_incentive: int
    min_liquidatable_collateral: int
    decimals: Mapping[str, int]
    weights: Mapping[str, Weight]


class Value(NamedTuple):
    """What the venue's snapshot of an account holds, 10^-18 dollars.

    Parameters
    ----------
    total
        Collateral without haircut.
    threshold, power
        Collateral at its thresholds, and at its factors.
    debt
        What is owed.
    """

    total: int
    threshold: int
    power: int
    debt: int


NO_VALUE = Value(0, 0, 0, 0)


class Order(NamedTuple):
    """One debt repaid, whole or in part, out of one collateral; smallest units and vTokens."""

    debt: str
    collateral: str
    repaid: int
    seized: int


def entered(account: Account, terms: Terms) -> tuple[str, ...]:
    """Return the assets in whose markets an account has nothing and that it entered."""
    return tuple(each for each in terms.weights if account.options.get(f"{each}.entered", 0))


def holdings(account: Account, terms: Terms) -> dict[str, Holding] | Refusal:
    """Return by asset what an account has in the markets that it entered, or why it cannot be."""
    by_asset = dict.fromkeys(entered(account, terms), NOTHING)
    for leg in account.legs:
        if leg.kind is LegKind.POSITION:
            return Refusal("leg_kind_unknown", f"{leg.kind} of {leg.asset}")
        is_debt = leg.kind is LegKind.DEBT
        if leg.quantity and (is_debt or leg.pledged):
            if leg.asset not in terms.weights:
                return Refusal("asset_not_listed", leg.asset)
            tokens, borrowed = by_asset.get(leg.asset, NOTHING)
            amount = int(leg.quantity)
            by_asset[leg.asset] = (
                Holding(tokens, borrowed + amount)
                if is_debt
                else Holding(tokens + amount, borrowed)
            )
    return by_asset


def missing(by_asset: Mapping[str, Holding], market: Market) -> Refusal | None:
    """Return what of the market lacks to value an account by, if anything does."""
    for asset, each in by_asset.items():
        price = market.prices.get(asset)
        if price is None or price.value <= 0:
            return Refusal("price_missing" if price is None else "price_not_positive", asset)
        if each.tokens and market.state.get(f"{asset}.exchange_rate", 0) <= 0:
            return Refusal("exchange_rate_missing", asset)
    return None


def valued(account: Account, market: Market, terms: Terms) -> dict[str, Holding] | Refusal:
    """Return by asset what an account has where it can be valued, or why it cannot."""
    by_asset = holdings(account, terms)
    return by_asset if isinstance(by_asset, Refusal) else missing(by_asset, market) or by_asset


def price_of(asset: str, market: Market, terms: Terms) -> int:
    """Return the oracle's price of an asset, 10^36 dollars over the digits of its unit."""
    return market.prices[asset].value // 10 ** terms.decimals[asset]


def value_of(by_asset: Mapping[str, Holding], market: Market, terms: Terms) -> Value:
    """Return what an account is worth and owes, each market truncated in the venue's order.

    Raises
    ------
    OverflowError
        Where the contract reverts.
    """
    total = threshold = power = debt = 0
    for asset, each in by_asset.items():
        price, weight = price_of(asset, market, terms), terms.weights[asset]
        per_token = product(market.state.get(f"{asset}.exchange_rate", 0), price)
        counted = product(weight.liquidation_threshold, per_token)
        lent = product(weight.collateral_factor, per_token)
        total = uint(total + product(per_token, each.tokens))
        threshold = uint(threshold + product(counted, each.tokens))
        power = uint(power + product(lent, each.tokens))
        debt = uint(debt + product(price, each.borrowed))
    return Value(total, threshold, power, debt)


def is_forced(asset: str, market: Market) -> bool:
    """Return whether anyone may repay debts in an asset, however sound the account is."""
    return bool(market.state.get(f"{asset}.forced", 0))


def is_small(value: Value, terms: Terms) -> bool:
    """Return whether an account is settled whole or not at all."""
    return value.total <= terms.min_liquidatable_collateral


def is_short(value: Value) -> bool:
    """Return whether an account owes more than its collateral counts."""
    return value.debt > value.threshold


def repayable(
    by_asset: Mapping[str, Holding], value: Value | None, market: Market, terms: Terms
) -> tuple[str, ...]:
    """Return the debts that may be repaid by others one by one, whatever is paused.

    Parameters
    ----------
    value
        None where something lacks to value the account by: what is forced needs none.
    """
    is_open = value is not None and is_short(value) and not is_small(value, terms)
    owed = (asset for asset, each in by_asset.items() if each.borrowed)
    return tuple(asset for asset in owed if is_open or is_forced(asset, market))


def settles(value: Value, terms: Terms) -> bool:
    """Return whether all debts of an account may be repaid at once (`liquidateAccount`)."""
    is_covered = product(terms.liquidation_incentive, value.debt) < value.total
    return is_short(value) and is_small(value, terms) and is_covered


def heals(value: Value, terms: Terms) -> bool:
    """Return whether an account's collateral may be taken and the rest of its debts written off."""
    return is_short(value) and is_small(value, terms) and paid_share(value, terms) <= WAD


def paid_share(value: Value, terms: Terms) -> int:
    """Return the share of its debts that an account's collateral pays for, wad.

    Raises
    ------
    OverflowError
        Where the contract reverts.
    """
    return over(value.total, product(value.debt, terms.liquidation_incentive))


def over(numerator: int, denominator: int) -> int:
    """Return a quotient in wad, truncated; raises OverflowError where the contract reverts."""
    if not denominator:
        raise OverflowError("division by zero")
    return uint(numerator * WAD) // denominator


def is_paused(what: str, asset: str, market: Market) -> bool:
    """Return whether an action is switched off in a market."""
    return bool(market.state.get(f"{asset}.{what}_paused", 0))


def repays(asset: str, market: Market) -> bool:
    """Return whether a liquidator's repayment of a debt is not switched off."""
    return not (is_paused("liquidate", asset, market) or is_paused("repay", asset, market))


def seizable(by_asset: Mapping[str, Holding], market: Market) -> tuple[str, ...]:
    """Return the collateral that may be seized now."""
    return tuple(
        asset
        for asset, each in by_asset.items()
        if each.tokens and not is_paused("seize", asset, market)
    )


def margin(account: Account, market: Market, terms: Terms) -> Margin:
    """Judge one account: it is liquidatable when it owes more than its collateral counts.

    The ratio `health` is collateral at its thresholds over debt, wad.
    """
    if not any(leg.kind is not LegKind.COLLATERAL and leg.quantity for leg in account.legs):
        side = Side(0, 0)
        return Margin(
            verdict=Verdict.SAFE,
            reason="no_debt",
            maintenance=side,
            initial=side,
            value_decimals=VALUE_DECIMALS,
            ratio=Ratio("health", None, 18),
        )
    by_asset = valued(account, market, terms)
    assets = (*dict.fromkeys(leg.asset for leg in account.legs), *entered(account, terms))
    if isinstance(by_asset, Refusal):
        return Margin(verdict=Verdict.UNEVALUABLE, reason=by_asset.reason, prices=assets)
    try:
        value = value_of(by_asset, market, terms)
        verdict, reason = verdict_of(by_asset, value, market, terms)
    except OverflowError:
        return Margin(verdict=Verdict.UNEVALUABLE, reason="overflow", prices=assets)
    health = value.threshold * WAD // value.debt if value.debt else None
    return Margin(
        verdict=verdict,
        reason=reason,
        maintenance=Side(value.threshold, value.debt),
        initial=Side(value.power, value.debt),
        value_decimals=VALUE_DECIMALS,
        ratio=Ratio("health", health, 18),
        prices=tuple(by_asset),
    )


def verdict_of(
    by_asset: Mapping[str, Holding], value: Value, market: Market, terms: Terms
) -> tuple[Verdict, str]:
    """Return what may happen to an account of known value, and why; raises as `value_of` does."""
    debts = repayable(by_asset, value, market, terms)
    is_settled, is_healed = settles(value, terms), heals(value, terms)
    if not (debts or is_settled or is_healed):
        return Verdict.SAFE, "no_shortfall"
    if any(repays(asset, market) for asset in debts) and seizable(by_asset, market):
        is_open = is_short(value) and not is_small(value, terms)
        return Verdict.LIQUIDATABLE, "shortfall" if is_open else "forced_liquidation"
    stopped = "ActionPaused"
    if not any(each.tokens for each in by_asset.values()):
        stopped = "MarketNotCollateral"
    if is_settled:
        settlement = orders_of(by_asset, market, terms)
        if not isinstance(settlement, Refusal):
            return Verdict.LIQUIDATABLE, "shortfall_settled_whole"
        stopped = settlement.reason
    if is_healed:
        fault = healing_fault(by_asset, value, market, terms)
        if fault is None:
            return Verdict.LIQUIDATABLE, "shortfall_written_off"
        stopped = fault.reason
    return Verdict.NOT_EXECUTABLE, stopped


def healing_fault(
    by_asset: Mapping[str, Holding], value: Value, market: Market, terms: Terms
) -> Refusal | None:
    """Return what stands in the way of writing an account's debts off, if anything does."""
    share = paid_share(value, terms)
    for asset, each in by_asset.items():
        if each.tokens and is_paused("seize", asset, market):
            return Refusal("ActionPaused", f"seizing {asset}")
        if product(share, each.borrowed) and is_paused("repay", asset, market):
            return Refusal("ActionPaused", f"repaying {asset}")
        overpaid = lent_fault(asset, each.borrowed, market)
        if overpaid is not None:
            return overpaid
        if each.tokens:
            retained = protocol_tokens(each.tokens, asset, terms)
            paid = product(market.state[f"{asset}.exchange_rate"], retained)
            cash = market.state.get(f"{asset}.cash", paid)
            if cash < paid:
                return overdrawn(asset, cash, paid)
    return None


def pair_of(
    debt: str, collateral: str, by_asset: Mapping[str, Holding], market: Market, terms: Terms
) -> Pair | Refusal:
    """Return what is repaid and taken, or why one vToken of it cannot be valued."""
    rate = market.state.get(f"{collateral}.exchange_rate")
    if rate is None:
        return Refusal("exchange_rate_missing", collateral)
    pair = Pair(
        debt=debt,
        collateral=collateral,
        borrowed=by_asset[debt].borrowed,
        tokens=by_asset[collateral].tokens,
        debt_price=price_of(debt, market, terms),
        collateral_price=price_of(collateral, market, terms),
        exchange_rate=rate,
        deprecated=is_forced(debt, market),
    )
    if not product(pair.collateral_price, pair.exchange_rate):
        return Refusal("division by zero", f"one vToken of {collateral} is worth nothing")
    return pair


def orders_of(
    by_asset: Mapping[str, Holding],
    market: Market,
    terms: Terms,
    *,
    first: Sequence[str] = (),
) -> tuple[tuple[Order, ...], Market] | Refusal:
    """Return how all debts are repaid, and the market then, or why they cannot be.

    Each debt is paid for by one collateral after the other, in the order of the legs.

    Parameters
    ----------
    first
        Collateral that is taken before the rest.
    """
    left = {asset: by_asset[asset].tokens for asset in seizable(by_asset, market)}
    ordered = sorted(left, key=lambda asset: asset not in first)
    orders: list[Order] = []
    for debt, each in by_asset.items():
        owed = each.borrowed
        if owed and not repays(debt, market):
            return Refusal("ActionPaused", f"repaying {debt}")
        for collateral in ordered:
            pair = pair_of(debt, collateral, by_asset, market, terms)
            if not owed or isinstance(pair, Refusal):
                continue
            per_repaid = tokens_per_repaid(pair, terms.liquidation_incentive)
            repaid = min(owed, most_of(left[collateral], per_repaid, owed))
            if repaid:
                order = Order(debt, collateral, repaid, product(per_repaid, repaid))
                moved = settled(order, market, terms)
                if isinstance(moved, Refusal):
                    return moved
                orders.append(order)
                market, owed = moved, owed - repaid
                left[collateral] -= order.seized
        if owed:
            return Refusal("LIQUIDATE_SEIZE_TOO_MUCH", f"nothing pays for {owed} of {debt}")
    return tuple(orders), market


def most_of(tokens: int, per_repaid: int, limit: int) -> int:
    """Return the most that some vTokens pay for; the limit where it takes none."""
    return ((tokens + 1) * WAD - 1) // per_repaid if per_repaid else limit


def protocol_tokens(seized: int, collateral: str, terms: Terms) -> int:
    """Return the vTokens that the venue keeps of what is seized."""
    share = product(seized, terms.weights[collateral].seize_share)
    return over(share, terms.liquidation_incentive)


def settled(order: Order, market: Market, terms: Terms) -> Market | Refusal:
    """Return a market after a repayment and a seizure.

    The venue is paid out what it keeps, so that what a vToken is worth moves by the rounding;
    told where `total_supply` and `total_assets` are stated.
    """
    state = dict(market.state)
    debt, collateral = order.debt, order.collateral
    overpaid = lent_fault(debt, order.repaid, market)
    if overpaid is not None:
        return overpaid
    if f"{debt}.total_borrows" in state:
        state[f"{debt}.total_borrows"] -= order.repaid
    if f"{debt}.cash" in state:
        state[f"{debt}.cash"] += order.repaid
    rate = state[f"{collateral}.exchange_rate"]
    retained = protocol_tokens(order.seized, collateral, terms)
    paid = product(rate, retained)
    cash, supply, assets = (
        state.get(f"{collateral}.{name}") for name in ("cash", "total_supply", "total_assets")
    )
    if cash is not None:
        if cash < paid:
            return overdrawn(collateral, cash, paid)
        state[f"{collateral}.cash"] = cash - paid
    if supply is not None and assets is not None and supply > retained:
        state[f"{collateral}.total_supply"] = supply - retained
        state[f"{collateral}.total_assets"] = assets - paid
        state[f"{collateral}.exchange_rate"] = (assets - paid) * WAD // (supply - retained)
    return replace(market, state=state)


def liquidate(
    account: Account, market: Market, terms: Terms, request: Liquidate
) -> Liquidation | Refusal:
    """Return what the venue lets a liquidator do, or its refusal.

    `seized`, `bonus` and `protocol_fee` are in vTokens. Of an account that is settled whole the
    amount is not chosen, and `collateral_asset` is what is taken first.
    """
    before = margin(account, market, terms)
    by_asset = holdings(account, terms)
    if isinstance(by_asset, Refusal):
        return by_asset
    debt = chosen(account, LegKind.DEBT, request.debt_asset)
    is_free = debt is None or not is_forced(debt, market)
    fault = missing(by_asset, market)
    if fault is not None and is_free:
        return fault
    try:
        value = value_of(by_asset, market, terms) if fault is None else None
        if value is None or not is_small(value, terms) or not is_free or request.repay is not None:
            settlement = _pair_liquidation(account, by_asset, value, market, terms, request)
        elif not is_short(value):
            return Refusal("InsufficientShortfall", f"{value.threshold} counts, {value.debt} owed")
        elif settles(value, terms):
            first = () if request.collateral_asset is None else (request.collateral_asset,)
            settlement = orders_of(by_asset, market, terms, first=first)
        else:
            return _healed(account, by_asset, value, market, terms)
        return (
            settlement
            if isinstance(settlement, Refusal)
            else _settled(account, before, *settlement, terms)
        )
    except OverflowError as error:
        return Refusal("overflow", str(error))


def _pair_liquidation(
    account: Account,
    by_asset: Mapping[str, Holding],
    value: Value | None,
    market: Market,
    terms: Terms,
    request: Liquidate,
) -> tuple[tuple[Order, ...], Market] | Refusal:
    """Return one debt's repayment out of one collateral, or why it is refused.

    Parameters
    ----------
    value
        None where something lacks to value the account by; then the debt's market is forced.
    """
    debt = chosen(account, LegKind.DEBT, request.debt_asset)
    collateral = chosen(account, LegKind.COLLATERAL, request.collateral_asset)
    if debt is None or collateral is None:
        return Refusal("asset_unstated", "name the debt and the collateral: there are several")
    fault = fault_of(debt, collateral, by_asset, value, market, terms) or missing(
        {asset: by_asset[asset] for asset in (debt, collateral) if asset in by_asset}, market
    )
    if fault is not None:
        return fault
    pair = pair_of(debt, collateral, by_asset, market, terms)
    if isinstance(pair, Refusal):
        return pair
    limit = pair.borrowed if pair.deprecated else product(terms.close_factor, pair.borrowed)
    per_repaid = tokens_per_repaid(pair, terms.liquidation_incentive)
    most = min(limit, most_of(pair.tokens, per_repaid, limit))
    amount = most if request.repay is None else int(request.repay)
    order = Order(debt, collateral, amount, product(per_repaid, amount))
    faults = (
        (amount > limit, "TooMuchRepay", f"{amount} is above {limit}"),
        (not amount, "LiquidateCloseAmountIsZero", "nothing to repay"),
        (
            order.seized > pair.tokens,
            "LIQUIDATE_SEIZE_TOO_MUCH",
            f"{order.seized} vTokens of {pair.tokens}",
        ),
    )
    moved = first_of(faults) or settled(order, market, terms)
    return moved if isinstance(moved, Refusal) else ((order,), moved)


def first_of(faults: Iterable[tuple[object, str, str]]) -> Refusal | None:
    """Return the first of some faults that holds."""
    return next((Refusal(reason, detail) for is_so, reason, detail in faults if is_so), None)


def fault_of(
    debt: str,
    collateral: str,
    by_asset: Mapping[str, Holding],
    value: Value | None,
    market: Market,
    terms: Terms,
) -> Refusal | None:
    """Return why one debt cannot be repaid out of one collateral, if it cannot."""
    owed = by_asset.get(debt, NOTHING).borrowed
    is_free, snapshot = value is not None and not is_forced(debt, market), value or NO_VALUE
    faults = (
        (not {debt, collateral} <= terms.weights.keys(), "MarketNotListed", debt),
        (is_paused("liquidate", debt, market), "ActionPaused", f"liquidation of {debt}"),
        (
            is_free and is_small(snapshot, terms),
            "MinimalCollateralViolated",
            f"{snapshot.total} is not above {terms.min_liquidatable_collateral}",
        ),
        (
            is_free and not is_short(snapshot),
            "InsufficientShortfall",
            f"{snapshot.threshold} counts, {snapshot.debt} owed",
        ),
        (is_paused("repay", debt, market), "ActionPaused", f"repaying {debt}"),
        (not owed, "TooMuchRepay", f"no {debt} is owed"),
        (is_paused("seize", collateral, market), "ActionPaused", f"seizing {collateral}"),
        (collateral not in by_asset, "MarketNotCollateral", collateral),
    )
    return first_of(faults)


def _settled(
    account: Account, before: Margin, orders: Sequence[Order], moved: Market, terms: Terms
) -> Liquidation:
    """Return what some orders do to an account, in the market that they leave."""
    repaid: dict[str, int] = {}
    seized: dict[str, int] = {}
    bonus: dict[str, int] = {}
    retained: dict[str, int] = {}
    for each in orders:
        repaid[each.debt] = repaid.get(each.debt, 0) + each.repaid
        for amounts, part in (
            (seized, each.seized),
            (bonus, bonus_of(each.seized, terms)),
            (retained, protocol_tokens(each.seized, each.collateral, terms)),
        ):
            amounts[each.collateral] = amounts.get(each.collateral, 0) + part
    taken = {(LegKind.DEBT, asset): amount for asset, amount in repaid.items()}
    taken |= {(LegKind.COLLATERAL, asset): amount for asset, amount in seized.items()}
    left = without(account, taken)
    after = margin(left, moved, terms)
    return Liquidation(
        repaid=repaid,
        seized=seized,
        bonus=bonus,
        protocol_fee=retained,
        bad_debt=uncovered(left),
        after=after,
        is_toxic=is_toxic(before.maintenance, after.maintenance),
    )


def bonus_of(seized: int, terms: Terms) -> int:
    """Return the part of what is seized that is above the value repaid."""
    return seized - seized * WAD // terms.liquidation_incentive


def _healed(
    account: Account,
    by_asset: Mapping[str, Holding],
    value: Value,
    market: Market,
    terms: Terms,
) -> Liquidation | Refusal:
    """Return what taking all collateral and writing off the rest of the debts does."""
    fault = healing_fault(by_asset, value, market, terms)
    if fault is not None:
        return fault
    share = paid_share(value, terms)
    owed = {asset: each.borrowed for asset, each in by_asset.items() if each.borrowed}
    seized = {asset: each.tokens for asset, each in by_asset.items() if each.tokens}
    repaid = {asset: product(share, amount) for asset, amount in owed.items()}
    taken = {(LegKind.DEBT, asset): amount for asset, amount in owed.items()}
    taken |= {(LegKind.COLLATERAL, asset): amount for asset, amount in seized.items()}
    return Liquidation(
        repaid=repaid,
        seized=seized,
        bonus={asset: bonus_of(amount, terms) for asset, amount in seized.items()},
        protocol_fee={
            asset: protocol_tokens(amount, asset, terms) for asset, amount in seized.items()
        },
        bad_debt={
            asset: amount - repaid[asset]
            for asset, amount in owed.items()
            if amount > repaid[asset]
        },
        after=margin(without(account, taken), market, terms),
    )


def tokens(account: Account, market: Market, terms: Terms) -> tuple[TokenAmount, ...] | Refusal:
    """Return what each leg holds or owes of its underlying, in whole tokens."""
    amounts = []
    for leg in account.legs:
        digits = terms.decimals.get(leg.asset)
        if digits is None or leg.kind is LegKind.POSITION:
            return Refusal("asset_not_listed", leg.asset)
        amount = Fraction(leg.quantity, 10**digits)
        if leg.kind is LegKind.COLLATERAL:
            rate = market.state.get(f"{leg.asset}.exchange_rate")
            if rate is None:
                return Refusal("exchange_rate_missing", leg.asset)
            amount *= Fraction(rate, WAD)
        amounts.append(TokenAmount(kind=leg.kind, asset=leg.asset, amount=amount, digits=digits))
    return tuple(amounts)


def bare(terms: Terms) -> Terms:
    """Return the terms with whatever counts as collateral counted in full."""
    weights = {
        asset: replace(each, liquidation_threshold=WAD if each.liquidation_threshold else 0)
        for asset, each in terms.weights.items()
    }
    return replace(terms, weights=weights)


STATE = (
    Variable("{asset}.exchange_rate", "wad, underlying a vToken"),
    Variable("{asset}.forced", "0 or 1"),
    Variable("{asset}.liquidate_paused", "0 or 1"),
    Variable("{asset}.repay_paused", "0 or 1"),
    Variable("{asset}.seize_paused", "0 or 1"),
    Variable("{asset}.cash", "smallest units that the market holds"),
    Variable("{asset}.total_borrows", "smallest units that the market has lent"),
    Variable("{asset}.total_supply", "vTokens"),
    Variable("{asset}.total_assets", "smallest units: cash, loans and bad debt, less reserves"),
)
OPTIONS = (Variable("{asset}.entered", "0 or 1"),)

RULEBOOKS = (
    Rulebook(
        venue="venus-isolated",
        version="4",
        terms=Terms,
        state=STATE,
        options=OPTIONS,
        price_decimals=PRICE_DECIMALS,
        margin=margin,
        reads=lambda _: ReadLegs(has_flag=True),
        bare=bare,
        liquidate=liquidate,
        tokens=tokens,
    ),
)
