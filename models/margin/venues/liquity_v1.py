"""Liquity v1 and its forks: troves of one collateral, liquidated sooner in recovery mode.

Units: collateral, debt, ratios and the price (debt units per collateral unit) in wad (10^18);
both sides of a margin in 10^36.

Legs: a collateral leg and a debt leg, each with what redistributions added to it since the trove
was touched (`getEntireDebtAndColl`); the debt has the liquidation reserve in it.

`Market.state`: `system_collateral` and `system_debt` of all troves, `stability_deposits` of the
stability pool, and the number of `troves` (the last one is never liquidated; more than one where
left out). All are as of the judgement: nothing accrues, and without the totals recovery mode
cannot be told.

Redemptions take collateral at its face value from the trove with the lowest ratio, and so pass by
no account's own figures: they are not judged.

References
----------
liquity/dev at 9f4cf0a0, LiquityBase, LiquityMath, TroveManager, BorrowerOperations. The same
arithmetic, with parameters that can be set, is executed from npm `@sovryn-zero/contracts` 0.4.0.
"""

from dataclasses import dataclass, replace
from fractions import Fraction

from models.domain import Account, LegKind, Market
from models.margin.fixed_point import WAD, mul_div_up
from models.margin.legs import NONE, ReadLegs
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
from models.margin.uint import uint
from models.margin.variables import Variable

ORACLE_DECIMALS = 18
VALUE_DECIMALS = 36
TOTALS = ("system_collateral", "system_debt", "stability_deposits")


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Parameters of one system.

    Parameters
    ----------
    collateral_asset, debt_asset
        Names at the venue.
    mcr, ccr
        Least ratio of a trove, and of all troves together before recovery mode begins, wad.
    gas_compensation
        Liquidation reserve that is part of every debt, wad.
    min_net_debt
        Least debt of an open trove without that reserve, wad.
    percent_divisor
        Part of the collateral that goes to whoever liquidates: one over this.
    """

    collateral_asset: str
    debt_asset: str
    mcr: int
    ccr: int
    gas_compensation: int
    min_net_debt: int = 0
    percent_divisor: int = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Trove:
    """One trove with what redistributions added: collateral and debt, wad."""

    collateral: int
    debt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """All troves together at one price.

    Parameters
    ----------
    ratio
        Total collateral ratio, wad.
    is_recovering
        Whether it is below the critical ratio.
    deposits
        Debt that the stability pool can pay off, wad.
    is_last
        Whether only one trove is left.
    """

    ratio: int
    is_recovering: bool
    deposits: int
    is_last: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """What a liquidation does with a trove, all of which it closes.

    Parameters
    ----------
    offset, to_pool
        Debt paid off by the stability pool, and the collateral that the pool gets.
    redistributed, to_troves
        Debt and collateral that the other troves take over.
    compensation, surplus
        Collateral for whoever liquidates, and what the owner may claim.
    """

    offset: int
    to_pool: int
    redistributed: int
    to_troves: int
    compensation: int
    surplus: int = 0


def ratio_of(collateral: int, debt: int, price: int) -> int:
    """Return a collateral ratio, wad.

    Raises
    ------
    OverflowError
        Where the contract reverts.
    """
    return uint(collateral * price) // debt


def trove_of(account: Account) -> Trove:
    """Return an account's trove."""
    collateral, debt = (
        sum(int(leg.quantity) for leg in account.legs if leg.kind is kind)
        for kind in (LegKind.COLLATERAL, LegKind.DEBT)
    )
    return Trove(collateral=collateral, debt=debt)


def system_of(market: Market, terms: Terms, price: int) -> System:
    """Return how all troves stand together at a price; raises as `ratio_of` does."""
    collateral, debt, deposits = (market.state[name] for name in TOTALS)
    ratio = ratio_of(collateral, debt, price)
    return System(
        ratio=ratio,
        is_recovering=ratio < terms.ccr,
        deposits=deposits,
        is_last=market.state.get("troves", 2) <= 1,
    )


def required(system: System, terms: Terms) -> int:
    """Return the ratio below which a trove may be liquidated, wad."""
    return max(terms.mcr, system.ratio) if system.is_recovering else terms.mcr


def margin(account: Account, market: Market, terms: Terms) -> Margin:
    """Judge one trove: below the least ratio, or in recovery mode below that of all troves.

    The ratio `icr` is the venue's individual collateral ratio, wad. The initial side is what a new
    or adjusted trove must have.
    """
    trove, asset = trove_of(account), terms.collateral_asset
    if trove.debt == 0:
        side = Side(0, 0)
        return Margin(
            verdict=Verdict.SAFE,
            reason="no_debt",
            maintenance=side,
            initial=side,
            value_decimals=VALUE_DECIMALS,
            ratio=Ratio("icr", None, 18),
        )
    price = market.prices.get(asset)
    if price is None or price.value <= 0:
        reason = "price_missing" if price is None else "price_not_positive"
        return Margin(verdict=Verdict.UNEVALUABLE, reason=reason, prices=(asset,))
    if any(name not in market.state for name in TOTALS) or market.state["system_debt"] <= 0:
        reason = "system_totals_missing"
        return Margin(verdict=Verdict.UNEVALUABLE, reason=reason, prices=(asset,))
    try:
        icr = ratio_of(trove.collateral, trove.debt, price.value)
        system = system_of(market, terms, price.value)
    except OverflowError:
        return Margin(verdict=Verdict.UNEVALUABLE, reason="overflow", prices=(asset,))
    verdict, reason = verdict_of(trove, icr, system, terms)
    worth = trove.collateral * price.value
    entry = terms.ccr if system.is_recovering else terms.mcr
    return Margin(
        verdict=verdict,
        reason=reason,
        maintenance=Side(worth, trove.debt * required(system, terms)),
        initial=Side(worth, trove.debt * entry),
        value_decimals=VALUE_DECIMALS,
        ratio=Ratio("icr", icr, 18),
        prices=(asset,),
    )


def verdict_of(trove: Trove, icr: int, system: System, terms: Terms) -> tuple[Verdict, str]:
    """Return what may happen to a trove, and why; equality is safe."""
    verdict, reason = Verdict.SAFE, "above_least_ratio"
    if icr < terms.mcr:
        verdict, reason = Verdict.LIQUIDATABLE, "below_least_ratio"
    elif icr < required(system, terms):
        verdict, reason = Verdict.LIQUIDATABLE, "below_total_ratio_in_recovery_mode"
        if trove.debt > system.deposits:
            verdict, reason = Verdict.NOT_EXECUTABLE, "stability_pool_too_small"
    if system.is_last and verdict is not Verdict.SAFE:
        verdict, reason = Verdict.NOT_EXECUTABLE, "last_trove"
    return verdict, reason


def closing(trove: Trove, icr: int, price: int, system: System, terms: Terms) -> Closing:
    """Return what closing a trove that may be liquidated does; raises as `ratio_of` does."""
    if icr >= terms.mcr:
        taken = uint(trove.debt * terms.mcr) // price
        compensation = taken // terms.percent_divisor
        return Closing(
            offset=trove.debt,
            to_pool=taken - compensation,
            redistributed=0,
            to_troves=0,
            compensation=compensation,
            surplus=trove.collateral - taken,
        )
    compensation = trove.collateral // terms.percent_divisor
    rest = trove.collateral - compensation
    # In recovery mode the pool takes no trove that is worth less than it owes.
    is_spread = system.is_recovering and icr <= WAD
    offset = 0 if is_spread else min(trove.debt, system.deposits)
    to_pool = uint(rest * offset) // trove.debt
    return Closing(
        offset=offset,
        to_pool=to_pool,
        redistributed=trove.debt - offset,
        to_troves=rest - to_pool,
        compensation=compensation,
    )


def liquidate(
    account: Account,
    market: Market,
    terms: Terms,
    request: Liquidate,  # noqa: ARG001 - a trove is liquidated whole
) -> Liquidation | Refusal:
    """Return what a liquidation takes; what the owner may claim of it stays as collateral."""
    before = margin(account, market, terms)
    if before.verdict is Verdict.UNEVALUABLE:
        return Refusal(before.reason)
    if before.verdict is not Verdict.LIQUIDATABLE:
        return Refusal("TroveManager: nothing to liquidate", before.reason)
    trove, price = trove_of(account), market.prices[terms.collateral_asset].value
    try:
        icr = ratio_of(trove.collateral, trove.debt, price)
        system = system_of(market, terms, price)
        outcome = closing(trove, icr, price, system, terms)
    except OverflowError as error:
        return Refusal("overflow", str(error))
    seized = trove.collateral - outcome.surplus
    left = outcome.surplus
    legs = []
    for leg in account.legs:
        stays = min(left, int(leg.quantity)) if leg.kind is LegKind.COLLATERAL else 0
        left -= stays
        legs.append(replace(leg, quantity=stays))
    return Liquidation(
        repaid={terms.debt_asset: trove.debt},
        seized={terms.collateral_asset: seized},
        bonus={
            terms.collateral_asset: max(0, seized - mul_div_up(trove.debt, WAD, price)),
        },
        after=margin(replace(account, legs=tuple(legs)), market, terms),
    )


def tokens(account: Account, market: Market, terms: Terms) -> tuple[TokenAmount, ...]:  # noqa: ARG001 - nothing accrues
    """Return what a trove holds and owes, in whole coins."""
    return tuple(
        TokenAmount(kind=leg.kind, asset=leg.asset, amount=Fraction(leg.quantity, WAD), digits=18)
        for leg in account.legs
    )


def permits(account: Account, market: Market, terms: Terms) -> Refusal | None:
    """Return why an owner could not leave a trove so; None where the venue would let it."""
    trove = trove_of(account)
    net = trove.debt - terms.gas_compensation
    if trove.debt and net < terms.min_net_debt:
        detail = f"{net} is owed beside the reserve, less than {terms.min_net_debt}"
        return Refusal("BorrowerOps: Trove's net debt must be greater than minimum", detail)
    judged = margin(account, market, terms)
    if judged.initial is not None and judged.initial.surplus < 0:
        return Refusal("BorrowerOps: ratio too low", "a trove may not be left at this ratio")
    return None


def bare(terms: Terms) -> Terms:
    """Return the terms with collateral counted in full, and without recovery mode."""
    return replace(terms, mcr=WAD, ccr=0)


STATE = (
    Variable("system_collateral", "wad"),
    Variable("system_debt", "wad"),
    Variable("stability_deposits", "wad"),
    Variable("troves", "open troves"),
)

RULEBOOKS = (
    Rulebook(
        venue="liquity-v1",
        version="1",
        terms=Terms,
        state=STATE,
        price_decimals=ORACLE_DECIMALS,
        margin=margin,
        reads=lambda terms: ReadLegs(
            collateral={terms.collateral_asset}, debt={terms.debt_asset}, position=NONE
        ),
        bare=bare,
        liquidate=liquidate,
        permits=permits,
        tokens=tokens,
    ),
)
