"""Aave v4 accounts on one spoke, judged and liquidated.

Legs, options, prices and state as in `aave_v4_positions`, and `{asset}.paused` (1 when so).
How the hub's totals and index grow between updates is not established here, so nothing is
carried forward in time.

References
----------
alerodriargui/aave-v4 at 5f0e7cbd, a mirror of aave/aave-v4 v0.5.11 of 2026-06-17.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from models.domain import Account, Leg, LegKind, Market
from models.margin.fixed_point import BPS, MAX_UINT256, RAY, WAD, mul_div_up
from models.margin.legs import ReadLegs
from models.margin.result import Liquidation, Margin, Ratio, Refusal, Side, TokenAmount, Verdict
from models.margin.rulebook import Liquidate, Rulebook
from models.margin.tokens import in_tokens
from models.margin.variables import Variable
from models.margin.venues.aave_v4_account import (
    BPS_TO_WAD,
    AccountData,
    Hub,
    Position,
    account_data,
)
from models.margin.venues.aave_v4_liquidation import (
    Amounts,
    Collateral,
    Debt,
    liquidation_amounts,
    liquidation_bonus,
    payment,
)
from models.margin.venues.aave_v4_positions import ReservePosition, Terms, prepare

ORACLE_DECIMALS = 8
SIDE_DECIMALS = 57
MAX_UINT120 = 2**120 - 1


def overflows(positions: Iterable[Position], data: AccountData) -> bool:
    """Return whether the contract would revert on 256-bit arithmetic or 120-bit storage."""
    stored = [
        max(position.supplied, position.drawn, position.premium_shares, position.drawn_index)
        for position in positions
    ]
    most = max(data.weighted_factor * BPS_TO_WAD, data.debt_ray, data.health_factor)
    return most > MAX_UINT256 or max(stored, default=0) > MAX_UINT120


def margin(account: Account, market: Market, terms: Terms) -> Margin:
    """Judge an account at the oracle prices and the hub's totals in force.

    Both sides have 57 decimals, and the sign of their difference is the verdict: collateral
    times the factor each position keeps, against the debt with its premium.
    """
    prepared = prepare(account, market, terms)
    if isinstance(prepared, Refusal):
        return unvalued(account, prepared)
    positions = [reserve.position for reserve in prepared.values()]
    data = account_data(positions)
    if data.debt_ray and overflows(positions, data):
        return Margin(verdict=Verdict.UNEVALUABLE, reason="overflow", prices=tuple(prepared))
    verdict, reason = judge(prepared, data, market)
    return Margin(
        verdict=verdict,
        reason=reason,
        maintenance=Side(data.weighted_factor * RAY, data.debt_ray * BPS),
        value_decimals=SIDE_DECIMALS,
        ratio=Ratio("health_factor", data.health_factor if data.debt_ray else None, 18),
        prices=tuple(prepared),
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
        value_decimals=SIDE_DECIMALS,
        ratio=Ratio("health_factor", None, 18),
    )


def judge(
    prepared: Mapping[str, ReservePosition], data: AccountData, market: Market
) -> tuple[Verdict, str]:
    """Return the verdict: liquidatable if some pair of reserves can be liquidated now."""
    if data.debt_ray == 0:
        return Verdict.SAFE, "no_debt"
    if data.health_factor >= WAD:
        return Verdict.SAFE, "health_factor_at_least_one"
    counted = [asset for asset, reserve in prepared.items() if reserve.position.counts]
    owed = [asset for asset, reserve in prepared.items() if reserve.position.borrowed]
    if not counted:
        return Verdict.NOT_EXECUTABLE, "ReserveNotEnabledAsCollateral"
    if any(all(is_paused(asset, market) for asset in assets) for assets in (counted, owed)):
        return Verdict.NOT_EXECUTABLE, "ReservePaused"
    return Verdict.LIQUIDATABLE, "health_factor_below_one"


def is_paused(asset: str, market: Market) -> bool:
    """Return whether the spoke has paused the reserve."""
    return bool(market.state.get(f"{asset}.paused", 0))


def liquidate(
    account: Account, market: Market, terms: Terms, request: Liquidate
) -> Liquidation | Refusal:
    """Return what one liquidation does, or the contract's reason to revert.

    Where the request names no asset, the most valuable debt and collateral are taken.
    `after` is judged at the hub's totals from before; all amounts of shares are given as
    assets at those totals, rounded down.
    """
    before = margin(account, market, terms)
    prepared = prepare(account, market, terms)
    if isinstance(prepared, Refusal) or before.verdict is Verdict.UNEVALUABLE:
        return prepared if isinstance(prepared, Refusal) else Refusal(before.reason)
    offered = MAX_UINT256 if request.repay is None else request.repay
    if not isinstance(offered, int) or offered <= 0:
        return Refusal("InvalidDebtToCover", f"{offered} is not a positive number of units")
    data = account_data([reserve.position for reserve in prepared.values()])
    collateral = request.collateral_asset or most_valuable(prepared, debt=False)
    debt = request.debt_asset or most_valuable(prepared, debt=True)
    refused = refusal_of(collateral, debt, prepared=prepared, data=data, market=market)
    if refused is not None:
        return refused
    amounts = liquidation_amounts(
        collateral_of(prepared[collateral]),
        debt_of(prepared[debt].position),
        terms.curve,
        total_ray=data.debt_ray,
        health_factor=data.health_factor,
        offered=offered,
    )
    if isinstance(amounts, Refusal):
        return amounts
    left = settle(prepared, amounts, collateral=collateral, debt=debt)
    after = margin(account_after(account, left), market, terms)
    bonus = liquidation_bonus(
        terms.curve,
        max_bonus=prepared[collateral].config.max_bonus,
        health_factor=data.health_factor,
    )
    return report(
        prepared, amounts, left, pair=(collateral, debt), bonus=bonus, before=before, after=after
    )


def most_valuable(prepared: Mapping[str, ReservePosition], *, debt: bool) -> str:
    """Return the asset worth most on one side; empty when there is none."""
    worth = {}
    for asset, reserve in prepared.items():
        data = account_data([reserve.position])
        worth[asset] = data.debt_ray if debt else data.collateral
    return max(worth, key=lambda asset: worth[asset], default="")


def refusal_of(
    collateral: str,
    debt: str,
    *,
    prepared: Mapping[str, ReservePosition],
    data: AccountData,
    market: Market,
) -> Refusal | None:
    """Return the first check that this pair of reserves fails, in the contract's order."""
    taken, owed = prepared.get(collateral), prepared.get(debt)
    checks = (
        (is_paused(collateral, market) or is_paused(debt, market), "ReservePaused"),
        (taken is None or taken.position.supplied == 0, "ReserveNotSupplied"),
        (owed is None or owed.position.drawn == 0, "ReserveNotBorrowed"),
        (data.health_factor >= WAD, "HealthFactorNotBelowThreshold"),
        (taken is None or not taken.position.counts, "ReserveNotEnabledAsCollateral"),
    )
    detail = f"{collateral!r} for {debt!r} at health factor {data.health_factor}"
    return next((Refusal(reason, detail) for fails, reason in checks if fails), None)


def collateral_of(reserve: ReservePosition) -> Collateral:
    """Return the collateral side of a reserve."""
    position, config = reserve
    return Collateral(
        shares=position.supplied,
        hub=position.hub,
        price=position.price,
        decimals=position.decimals,
        factor=config.factor,
        max_bonus=config.max_bonus,
        fee=config.fee,
    )


def debt_of(position: Position) -> Debt:
    """Return the debt side of a reserve."""
    return Debt(
        drawn=position.drawn,
        premium_ray=position.premium_ray,
        drawn_index=position.drawn_index,
        price=position.price,
        decimals=position.decimals,
    )


def settle(
    prepared: Mapping[str, ReservePosition],
    amounts: Amounts,
    *,
    collateral: str,
    debt: str,
) -> dict[str, Position]:
    """Return the positions as they are left, before any deficit is written off."""
    left = {asset: reserve.position for asset, reserve in prepared.items()}
    taken = left[collateral]
    left[collateral] = taken._replace(supplied=taken.supplied - amounts.shares)
    owed = left[debt]
    premium_left = owed.premium_ray - amounts.premium_ray
    left[debt] = owed._replace(
        drawn=owed.drawn - amounts.drawn,
        borrowed=owed.drawn > amounts.drawn,
        premium_shares=0,
        premium_offset=-premium_left,
    )
    return left


def is_deficit(left: Mapping[str, Position]) -> bool:
    """Return whether the last collateral is gone while debt remains."""
    return not any(position.counts for position in left.values())


def account_after(account: Account, left: Mapping[str, Position]) -> Account:
    """Return the account with what is left; a deficit ends every debt."""
    is_written_off = is_deficit(left)
    options = dict(account.options)
    legs = []
    for leg in account.legs:
        position = left.get(leg.asset)
        if position is None:
            legs.append(leg)
        elif leg.kind is LegKind.DEBT:
            legs.append(replace(leg, quantity=0 if is_written_off else position.drawn))
            options[f"{leg.asset}.premium_shares"] = position.premium_shares
            options[f"{leg.asset}.premium_offset_ray"] = position.premium_offset
        else:
            legs.append(replace(leg, quantity=position.supplied))
    return replace(account, legs=tuple(legs), options=options)


def report(
    prepared: Mapping[str, ReservePosition],
    amounts: Amounts,
    left: Mapping[str, Position],
    *,
    pair: tuple[str, str],
    bonus: int,
    before: Margin,
    after: Margin,
) -> Liquidation:
    """Return an outcome in the words that all venues share."""
    collateral, debt = pair
    hub = prepared[collateral].position.hub
    seized = hub.to_assets_down(amounts.shares)
    owed = debt_of(prepared[debt].position)
    lost = {asset: mul_div_up(position.debt_ray, 1, RAY) for asset, position in left.items()}
    return Liquidation(
        repaid={debt: payment(owed, drawn=amounts.drawn, premium_ray=amounts.premium_ray)},
        seized={collateral: seized},
        bonus={collateral: seized - seized * BPS // bonus},
        protocol_fee={
            collateral: hub.to_assets_down(amounts.shares - amounts.shares_to_liquidator)
        },
        bad_debt={asset: loss for asset, loss in lost.items() if loss} if is_deficit(left) else {},
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


def tokens(account: Account, market: Market, terms: Terms) -> tuple[TokenAmount, ...] | Refusal:
    """Return what shares are worth, and what is owed with its premium, in whole tokens."""
    digits = {asset: reserve.decimals for asset, reserve in terms.reserves.items()}
    return in_tokens(account.legs, lambda leg: assets_of(leg, account, market), digits)


def assets_of(leg: Leg, account: Account, market: Market) -> int | Refusal:
    """Return what a leg's shares are worth or owe, smallest units, rounded against the account."""
    name, state = leg.asset, market.state
    if leg.kind is LegKind.COLLATERAL:
        assets, shares = state.get(f"{name}.added_assets"), state.get(f"{name}.added_shares")
        if assets is None or shares is None:
            return Refusal("hub_totals_missing", f"{name}.added_assets, {name}.added_shares")
        return Hub(assets, shares).to_assets_down(int(leg.quantity))
    index = state.get(f"{name}.drawn_index")
    if leg.kind is LegKind.POSITION or index is None:
        return Refusal("drawn_index_missing", f"{name}.drawn_index")
    premium = account.options.get(f"{name}.premium_shares", 0) * index
    premium -= account.options.get(f"{name}.premium_offset_ray", 0)
    return mul_div_up(int(leg.quantity) * index + premium, 1, RAY)


def bare(terms: Terms) -> Terms:
    """Return the terms with whatever counts as collateral counted in full."""
    reserves = {
        asset: replace(
            reserve,
            configs={
                key: replace(config, factor=BPS if config.factor else 0)
                for key, config in reserve.configs.items()
            },
        )
        for asset, reserve in terms.reserves.items()
    }
    return replace(terms, reserves=reserves)


STATE = (
    Variable("{asset}.added_assets", "smallest units"),
    Variable("{asset}.added_shares", "shares"),
    Variable("{asset}.drawn_index", "ray"),
    Variable("{asset}.paused", "0 or 1"),
)
OPTIONS = (
    Variable("{asset}.premium_shares", "shares"),
    Variable("{asset}.premium_offset_ray", "smallest units times ray"),
)

RULEBOOKS = (
    Rulebook(
        venue="aave-v4",
        version="0.5.11",
        terms=Terms,
        state=STATE,
        options=OPTIONS,
        price_decimals=ORACLE_DECIMALS,
        margin=margin,
        reads=lambda _: ReadLegs(has_flag=True),
        bare=bare,
        tokens=tokens,
        liquidate=liquidate,
    ),
)
