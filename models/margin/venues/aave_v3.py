"""Aave v3 accounts judged and liquidated as each release of the contracts does.

Legs, options, prices and indices as in `aave_v3_positions`. `Market.state` holds per asset
`inactive`, `paused` (1 when so) and `grace_until` (unix seconds), and for the market
`liquidation_allowed` (0 while the price sentinel holds liquidations back).

References
----------
aave-dao/aave-v3-origin: see `aave_v3_terms`, `aave_v3_account`, `aave_v3_liquidation`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from fractions import Fraction
from functools import partial

from models.domain import Account, Leg, LegKind, Market
from models.margin.fixed_point import BPS, MAX_UINT256, RAY, WAD, mul_div_half_up
from models.margin.legs import ReadLegs
from models.margin.result import (
    Liquidation,
    Margin,
    Ratio,
    Refusal,
    Side,
    TokenAmount,
    Verdict,
    WeightedCollateral,
)
from models.margin.rulebook import Liquidate, MarginAt, Rulebook
from models.margin.variables import Variable
from models.margin.venues.aave_v3_account import (
    AccountData,
    Position,
    account_data,
    overflows,
)
from models.margin.venues.aave_v3_limits import rooms
from models.margin.venues.aave_v3_liquidation import Outcome, liquidation_call
from models.margin.venues.aave_v3_positions import index_now, prepare, priced, unpriced
from models.margin.venues.aave_v3_terms import POLICIES, Policy, Terms

ORACLE_DECIMALS = 8
VALUE_DECIMALS = 12
SENTINEL_OVERRIDE = 95 * 10**16
SWITCHES = ("ReserveInactive", "ReservePaused", "LiquidationGraceSentinelCheckFailed")
"""Codes of what switches a reserve off, in the order the contract looks at them."""


def margin(account: Account, market: Market, terms: Terms, policy: Policy) -> Margin:
    """Judge an account at the oracle prices and the indices carried to `market.at`.

    Both sides have 12 decimals. Maintenance sets collateral times threshold against debt,
    initial sets collateral times loan to value against it. The verdict is the health
    factor's, whose rounding can differ from the sign of the surplus at equality.
    """
    return at_prices(account, market, terms, policy)(market)


def at_prices(account: Account, market: Market, terms: Terms, policy: Policy) -> MarginAt:
    """Judge an account in markets whose prices alone differ: balances are brought up once."""
    positions = unpriced(account, market, terms, policy)

    def at(moved: Market) -> Margin:
        prepared = positions if isinstance(positions, Refusal) else priced(positions, moved)
        if isinstance(prepared, Refusal):
            return unvalued(account, prepared)
        return valued(prepared, moved, policy)

    return at


def valued(prepared: Mapping[str, Position], market: Market, policy: Policy) -> Margin:
    """Judge positions that have prices."""
    positions = tuple(prepared.values())
    data = account_data(positions, policy)
    prices = tuple(prepared)
    if data.debt and overflows(positions, data):
        return Margin(verdict=Verdict.UNEVALUABLE, reason="overflow", prices=prices)
    verdict, reason = judge(prepared, data, market, policy)
    return Margin(
        verdict=verdict,
        reason=reason,
        maintenance=Side(maintenance_credit(data, policy), data.debt * BPS),
        initial=Side(data.collateral * data.ltv, data.debt * BPS),
        value_decimals=VALUE_DECIMALS,
        ratio=health_ratio(data),
        prices=prices,
    )


def unvalued(account: Account, refused: Refusal) -> Margin:
    """Answer for an account that cannot be valued: safe only when nothing is owed."""
    if any(leg.kind is not LegKind.COLLATERAL and leg.quantity for leg in account.legs):
        prices = tuple(dict.fromkeys(leg.asset for leg in account.legs))
        return Margin(verdict=Verdict.UNEVALUABLE, reason=refused.reason, prices=prices)
    return Margin(
        verdict=Verdict.SAFE,
        reason="no_debt",
        maintenance=Side(0, 0),
        initial=Side(0, 0),
        value_decimals=VALUE_DECIMALS,
        ratio=Ratio("health_factor", None, 18),
    )


def maintenance_credit(data: AccountData, policy: Policy) -> int:
    """Return collateral times threshold as the version's health factor takes it."""
    if policy.health == "sum":
        return data.weighted_threshold
    return mul_div_half_up(data.collateral, data.threshold, BPS) * BPS


def health_ratio(data: AccountData) -> Ratio:
    """Return the health factor; none without debt."""
    has_none = data.health_factor == MAX_UINT256
    return Ratio("health_factor", None if has_none else data.health_factor, 18)


def judge(
    prepared: Mapping[str, Position], data: AccountData, market: Market, policy: Policy
) -> tuple[Verdict, str]:
    """Return the verdict: liquidatable if some pair of reserves can be liquidated now."""
    if data.debt == 0:
        return Verdict.SAFE, "no_debt"
    if data.health_factor >= WAD:
        return Verdict.SAFE, "health_factor_at_least_one"
    reason = obstacle(prepared, data, market, policy)
    if reason is not None:
        return Verdict.NOT_EXECUTABLE, reason
    return Verdict.LIQUIDATABLE, "health_factor_below_one"


def obstacle(
    prepared: Mapping[str, Position], data: AccountData, market: Market, policy: Policy
) -> str | None:
    """Return what stands in the way of every pair of reserves, as the venue calls it."""
    pledged = [
        asset for asset, position in prepared.items() if position.pledged and position.counts
    ]
    owed = [asset for asset, position in prepared.items() if position.borrowed]
    if not pledged:
        return "CollateralCannotBeLiquidated"
    if is_held_back(data, market, policy):
        return "PriceOracleSentinelCheckFailed"
    for assets in (pledged, owed):
        reasons = [switched_off(asset, market) for asset in assets]
        if all(reasons):
            return reasons[0]
    return None


def is_held_back(data: AccountData, market: Market, policy: Policy) -> bool:
    """Return whether the price sentinel stops this liquidation; it does not below 0.95."""
    if not policy.has_price_sentinel or data.health_factor < SENTINEL_OVERRIDE:
        return False
    return not market.state.get("liquidation_allowed", 1)


def switched_off(asset: str, market: Market) -> str | None:
    """Return why liquidations that touch the reserve revert now."""
    inactive, paused, grace = SWITCHES
    state = market.state
    if state.get(f"{asset}.inactive", 0):
        return inactive
    if state.get(f"{asset}.paused", 0):
        return paused
    return grace if state.get(f"{asset}.grace_until", 0) >= int(market.at.timestamp()) else None


def liquidate(
    account: Account, market: Market, terms: Terms, request: Liquidate, policy: Policy
) -> Liquidation | Refusal:
    """Return what one liquidation call does, or the contract's reason to revert.

    Where the request names no asset, the most valuable debt and collateral are taken.
    Token transfers are taken to succeed; the liquidator is taken to be somebody else.
    """
    before = margin(account, market, terms, policy)
    prepared = prepare(account, market, terms, policy)
    if isinstance(prepared, Refusal) or before.verdict is Verdict.UNEVALUABLE:
        return prepared if isinstance(prepared, Refusal) else Refusal(before.reason)
    pair = chosen(prepared, request, policy)
    refused = refusal_of(pair, prepared, market, policy)
    if refused is not None:
        return refused
    offered = MAX_UINT256 if request.repay is None else request.repay
    if not isinstance(offered, int) or offered <= 0:
        return Refusal("repay_invalid", f"{offered} is not a positive number of units")
    names = tuple(prepared)
    outcome = liquidation_call(
        tuple(prepared.values()),
        collateral=names.index(pair[0]),
        debt=names.index(pair[1]),
        offered=offered,
        policy=policy,
    )
    if isinstance(outcome, Refusal):
        return outcome
    left = replace(
        account, legs=legs_after(account.legs, dict(zip(names, outcome.after, strict=True)))
    )
    return report(outcome, names, pair, before=before, after=margin(left, market, terms, policy))


def chosen(prepared: Mapping[str, Position], request: Liquidate, policy: Policy) -> tuple[str, str]:
    """Return the collateral and the debt asset: as asked, or the most valuable."""

    def most(preferred: str | None, *, debt: bool) -> str:
        if preferred is not None:
            return preferred
        worth = {
            asset: worth_of(position, policy, debt=debt) for asset, position in prepared.items()
        }
        return max(worth, key=lambda asset: worth[asset], default="")

    return most(request.collateral_asset, debt=False), most(request.debt_asset, debt=True)


def worth_of(position: Position, policy: Policy, *, debt: bool) -> int:
    """Return the value of one side of a position, 8 decimals; -1 when there is none."""
    if debt:
        return (
            account_data((position._replace(pledged=False),), policy).debt
            if position.borrowed
            else -1
        )
    alone = account_data((position._replace(borrowed=False),), policy)
    return alone.collateral if position.pledged else -1


def refusal_of(
    pair: tuple[str, str], prepared: Mapping[str, Position], market: Market, policy: Policy
) -> Refusal | None:
    """Return the first check that this pair of reserves fails, in the contract's order."""
    data = account_data(prepared.values(), policy)
    reasons = [reason for asset in pair if (reason := switched_off(asset, market))]
    first = min(reasons, key=SWITCHES.index, default=None)
    if first in SWITCHES[:2]:
        return Refusal(first, " or ".join(pair))
    if is_held_back(data, market, policy):
        return Refusal("PriceOracleSentinelCheckFailed", "the sentinel holds liquidations back")
    if first is not None:
        return Refusal(first, " or ".join(pair))
    return unhealthy_refusal(pair, prepared, data)


def unhealthy_refusal(
    pair: tuple[str, str], prepared: Mapping[str, Position], data: AccountData
) -> Refusal | None:
    """Return why the account, or a reserve that it does not use, cannot be liquidated."""
    collateral, debt = pair
    if data.health_factor >= WAD:
        detail = f"health factor {data.health_factor} is not below {WAD}"
        return Refusal("HealthFactorNotBelowThreshold", detail)
    if collateral not in prepared:
        return Refusal("CollateralCannotBeLiquidated", f"{collateral!r} is not in use")
    if debt not in prepared or not prepared[debt].borrowed:
        return Refusal("SpecifiedCurrencyNotBorrowedByUser", f"{debt!r} is not owed")
    return None


def legs_after(legs: Iterable[Leg], after: Mapping[str, Position]) -> tuple[Leg, ...]:
    """Return the legs with what is left; several legs of one kind and asset become one."""
    merged: set[tuple[LegKind, str]] = set()
    remaining: list[Leg] = []
    for leg in legs:
        position = after.get(leg.asset)
        is_owed = leg.kind is LegKind.DEBT
        if position is None or not (is_owed or leg.pledged):
            remaining.append(leg)
        elif (leg.kind, leg.asset) not in merged:
            quantity = position.debt if is_owed else position.collateral
            remaining.append(replace(leg, quantity=quantity, pledged=is_owed or position.pledged))
            merged.add((leg.kind, leg.asset))
    return tuple(remaining)


def report(
    outcome: Outcome,
    names: tuple[str, ...],
    pair: tuple[str, str],
    *,
    before: Margin,
    after: Margin,
) -> Liquidation:
    """Return an outcome in the words that all venues share."""
    collateral, debt = pair
    return Liquidation(
        repaid={debt: outcome.repaid},
        seized={collateral: outcome.to_liquidator + outcome.fee},
        bonus={collateral: outcome.bonus},
        protocol_fee={collateral: outcome.fee},
        bad_debt={name: lost for name, lost in zip(names, outcome.deficits, strict=True) if lost},
        after=after,
        is_toxic=is_worse(after, before),
    )


def is_worse(after: Margin, before: Margin) -> bool:
    """Return whether the health factor fell; no debt left is never worse."""
    if after.ratio is None or before.ratio is None:
        return False
    if after.ratio.value is None or before.ratio.value is None:
        return False
    return after.ratio.value < before.ratio.value


def accrue(market: Market, terms: Terms, at: datetime) -> Market:
    """Return the market at a later time: `margin` carries the indices there itself.

    Stored indices stay, so that interest grows from the last update as the contract's views
    have it; indices without a time of update are marked as of `market.at`.
    """
    market_time = int(market.at.timestamp())
    stamps = {f"{asset}.updated_at": market_time for asset in terms.reserves}
    return replace(market, at=at, state={**stamps, **market.state})


def weights(
    account: Account, market: Market, terms: Terms, policy: Policy
) -> tuple[WeightedCollateral, ...] | Refusal:
    """Return what is pledged, with the liquidation threshold in force as its weight."""
    prepared = prepare(account, market, terms, policy)
    if isinstance(prepared, Refusal):
        return prepared
    return tuple(
        WeightedCollateral(
            asset=asset,
            value=Fraction(gross_value(position, policy), 10**ORACLE_DECIMALS),
            weight=Fraction(position.threshold if position.counts else 0, BPS),
        )
        for asset, position in prepared.items()
        if position.pledged and position.collateral
    )


def tokens(
    account: Account, market: Market, terms: Terms, policy: Policy
) -> tuple[TokenAmount, ...] | Refusal:
    """Return the balance of each leg with interest, in whole tokens."""
    amounts = []
    for leg in account.legs:
        reserve = terms.reserves.get(leg.asset)
        if reserve is None or leg.kind is LegKind.POSITION:
            return Refusal("reserve_unknown", f"{leg.asset} has no terms")
        is_debt = leg.kind is LegKind.DEBT
        index = index_now(market, leg.asset, "borrow" if is_debt else "liquidity", policy)
        if isinstance(index, Refusal):
            return index
        balance = policy.debt_balance if is_debt else policy.collateral_balance
        digits = reserve.decimals
        amount = Fraction(balance(int(leg.quantity), index, RAY), 10**digits)
        amounts.append(TokenAmount(kind=leg.kind, asset=leg.asset, amount=amount, digits=digits))
    return tuple(amounts)


def gross_value(position: Position, policy: Policy) -> int:
    """Return what a collateral balance is worth, counted or not, 8 decimals."""
    balance = policy.collateral_balance(position.collateral, position.liquidity_index, RAY)
    return balance * position.price // position.unit


def bare(terms: Terms) -> Terms:
    """Return the terms with whatever counts as collateral counted in full."""
    reserves = {
        asset: replace(reserve, threshold=BPS if reserve.threshold else 0)
        for asset, reserve in terms.reserves.items()
    }
    categories = {
        number: replace(category, threshold=BPS) for number, category in terms.categories.items()
    }
    return replace(terms, reserves=reserves, categories=categories)


STATE = (
    Variable("{asset}.liquidity_index", "ray"),
    Variable("{asset}.borrow_index", "ray"),
    Variable("{asset}.liquidity_rate", "ray a year"),
    Variable("{asset}.borrow_rate", "ray a year"),
    Variable("{asset}.updated_at", "Unix seconds"),
    Variable("{asset}.inactive", "0 or 1"),
    Variable("{asset}.paused", "0 or 1"),
    Variable("{asset}.frozen", "0 or 1"),
    Variable("{asset}.grace_until", "Unix seconds"),
    Variable("{asset}.scaled_supply", "scaled smallest units"),
    Variable("{asset}.scaled_accrued", "scaled smallest units"),
    Variable("{asset}.scaled_debt", "scaled smallest units"),
    Variable("{asset}.isolated_debt", "hundredths of a token"),
    Variable("liquidation_allowed", "0 or 1; 1 if left out"),
    Variable("borrow_allowed", "0 or 1; 1 if left out"),
)
OPTIONS = (Variable("emode", "category; 0 for none"),)

RULEBOOKS = tuple(
    Rulebook(
        venue="aave-v3",
        version=policy.version,
        terms=Terms,
        state=STATE,
        options=OPTIONS,
        price_decimals=ORACLE_DECIMALS,
        margin=partial(margin, policy=policy),
        reads=lambda _: ReadLegs(has_flag=True),
        at_prices=partial(at_prices, policy=policy),
        bare=bare,
        liquidate=partial(liquidate, policy=policy),
        accrue=accrue,
        headroom=partial(rooms, policy=policy),
        weights=partial(weights, policy=policy),
        tokens=partial(tokens, policy=policy),
    )
    for policy in POLICIES
)
