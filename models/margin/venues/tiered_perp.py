"""Centralised perpetuals with maintenance tiers: Binance USD-M, Bybit, OKX.

Everything is an exact rational of whole units: prices and cash in the quote asset,
quantities in the base asset, rates as fractions. A position leg has a signed quantity and
its entry price; margin is a collateral leg of the quote asset, before unrealised profit, and a
balance below zero a debt leg of it.
An isolated position is an account with one position; a cross account has several. In hedge
mode a long and a short of one symbol are two positions, each with its own tier, that share
one liquidation price. `Account.options` may hold `{symbol}.leverage` and the account's modes
(`cross`, `multi_assets`, `portfolio_margin`; an account that states none is judged by what it
holds). `Market.state` is not read; prices are marks.

What is not established is refused: Binance's multi-assets mode, portfolio margin, order of
liquidation; OKX beyond one flat rate and beyond one isolated position; Bybit's cross and
portfolio modes, and the rule by mark value with closing fees that its page shows from 2026.
No exchange states whether equality liquidates; it is judged liquidatable and said so.

References
----------
Binance FAQ b3c689c1f50a44cabb3a84e663b81d93 (liquidation price) and published brackets;
Bybit help centre, liquidation price under isolated mode, page of 2024-09-10; OKX isolated
formula as recorded in cex_liquidation_price.json.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from typing import Literal

from models.domain import Account, LegKind, Market
from models.margin.perpetual import (
    MODES,
    Position,
    Tier,
    TieredAccount,
    Tiers,
    by_side,
    cash_of,
    leg_fault,
    maintenance_margin,
    mode_fault,
    nearest,
    open_assets,
    positions_of,
    price_fault,
    refused,
    surplus_roots,
    unevaluable_reason,
)
from models.margin.perpetual import bankruptcy_price as bankruptcy_of
from models.margin.result import Liquidation, Margin, Refusal, Verdict
from models.margin.rulebook import Liquidate, MarginAt, Rulebook
from models.margin.variables import Variable


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Risk parameters of every symbol an account may hold.

    Parameters
    ----------
    symbols
        Brackets by symbol, ascending by floor.
    quote
        The one asset that margin is held in.
    closing_fee
        Taker fee that the venue adds to the maintenance rate, as a fraction.
    """

    symbols: Mapping[str, Tiers] = field(default_factory=dict)
    quote: str = "USDT"
    closing_fee: Fraction = Fraction(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What tells one exchange's rule from another's.

    Parameters
    ----------
    judged_at
        Price at which the notional that the requirement rests on is taken.
    scope
        Accounts for which the rule is established.
    tiers
        Whether several brackets are established or one flat rate only.
    settlement
        What a liquidation is established to do.
    """

    judged_at: Literal["mark", "entry"] = "mark"
    scope: Literal["cross", "one_position"] = "cross"
    tiers: Literal["progressive", "flat"] = "progressive"
    settlement: Literal["bankruptcy_price", "unestablished"] = "unestablished"


BINANCE = Policy()
BYBIT = Policy(judged_at="entry", scope="one_position", settlement="bankruptcy_price")
OKX = Policy(scope="one_position", tiers="flat")
NO_TIERS = (Tier(floor=Fraction(0), rate=Fraction(0)),)


def fault_of(account: Account, market: Market, terms: Terms, policy: Policy) -> str | None:
    """Return why the account cannot be judged under `policy`, or None."""
    reason = unevaluable_reason(account, market, quote=terms.quote, instruments=terms.symbols)
    if reason is not None:
        return reason
    return policy_fault(account, positions_of(account, by_side), terms, policy)


def policy_fault(
    account: Account, positions: Sequence[Position], terms: Terms, policy: Policy
) -> str | None:
    """Return why an account with its positions cannot be judged under `policy`, or None."""
    fault = mode_fault(account, established=("cross",) if policy.scope == "cross" else ())
    if fault is not None:
        return fault
    if policy.scope == "one_position" and len(positions) > 1:
        return "cross_margin_not_established"
    if policy.tiers == "flat" and any(
        len(terms.symbols[position.asset]) != 1 for position in positions
    ):
        return "tiers_not_established"
    if any(not terms.symbols[position.asset] for position in positions):
        return "terms_missing"
    return None


def tiers_of(terms: Terms, asset: str) -> Tiers:
    """Return the brackets of a symbol with the closing fee on top of each rate."""
    tiers, fee = terms.symbols[asset], terms.closing_fee
    return tuple(replace(tier, rate=tier.rate + fee) for tier in tiers) if fee else tuple(tiers)


def requirement(position: Position, *, mark: Fraction, terms: Terms, policy: Policy) -> Fraction:
    """Return the maintenance margin of one position, quote units."""
    notional = position.notional(mark) if policy.judged_at == "mark" else abs(position.cost)
    return maintenance_margin(tiers_of(terms, position.asset), notional)


def margin(account: Account, market: Market, terms: Terms, *, policy: Policy) -> Margin:
    """Judge one account at the mark prices."""
    return at_prices(account, market, terms, policy=policy)(market)


def at_prices(account: Account, market: Market, terms: Terms, *, policy: Policy) -> MarginAt:  # noqa: ARG001 - no state is read
    """Judge one account in markets whose prices alone differ: its legs are added up once."""
    positions, priced = positions_of(account, by_side), open_assets(account)
    first = leg_fault(account, quote=terms.quote, instruments=terms.symbols)
    last = policy_fault(account, positions, terms, policy) if first is None else first
    if last is not None:
        return lambda moved: refused(first or price_fault(moved, priced) or last, positions)
    tiered = TieredAccount.of(
        account,
        positions,
        partial(tiers_of, terms),
        ratio="Margin Ratio",
        is_at_entry=policy.judged_at == "entry",
    )

    def at(moved: Market) -> Margin:
        reason = price_fault(moved, priced)
        return tiered.at(moved) if reason is None else refused(reason, positions)

    return at


def _elsewhere(
    account: Account, market: Market, terms: Terms, *, asset: str, policy: Policy
) -> tuple[list[Position], Fraction, Fraction]:
    """Return the positions in `asset`, and equity and requirement of all else."""
    positions = positions_of(account, by_side)
    equity, needed = cash_of(account), Fraction(0)
    for position in positions:
        if position.asset != asset:
            mark = market.prices[position.asset].exact
            equity += position.pnl(mark)
            needed += requirement(position, mark=mark, terms=terms, policy=policy)
    return [position for position in positions if position.asset == asset], equity, needed


def liquidation_prices(
    account: Account, market: Market, terms: Terms, *, asset: str, policy: Policy = BINANCE
) -> tuple[Fraction, ...] | Refusal:
    """Return every price of `asset` at which the margin balance meets maintenance.

    One price for a long or a short, at most two (a lower and an upper) in hedge mode, none
    when no positive price liquidates. Other prices are held.

    Parameters
    ----------
    asset
        Symbol whose mark moves.
    policy
        Which exchange's rule.
    """
    reason = fault_of(account, market, terms, policy)
    if reason is not None:
        return Refusal(reason)
    moving, equity, needed = _elsewhere(account, market, terms, asset=asset, policy=policy)
    if not moving:
        return ()
    tiers = tiers_of(terms, asset)
    if policy.judged_at == "entry":
        needed += sum(maintenance_margin(tiers, abs(position.cost)) for position in moving)
        tiers = NO_TIERS
    return surplus_roots(moving, tiers, free=equity - needed)


def liquidation_price(
    account: Account, market: Market, terms: Terms, *, asset: str, policy: Policy = BINANCE
) -> Fraction | Refusal | None:
    """Return the liquidation price nearest to the mark; None when there is none."""
    roots = liquidation_prices(account, market, terms, asset=asset, policy=policy)
    if isinstance(roots, Refusal):
        return roots
    return nearest(roots, market.prices[asset].exact) if roots else None


def bankruptcy_price(
    account: Account, market: Market, terms: Terms, *, asset: str, policy: Policy = BINANCE
) -> Fraction | Refusal | None:
    """Return the price of `asset` at which the account is worth nothing, fees left out."""
    reason = fault_of(account, market, terms, policy)
    if reason is not None:
        return Refusal(reason)
    moving, equity, _ = _elsewhere(account, market, terms, asset=asset, policy=policy)
    return bankruptcy_of(moving, free=equity)


def liquidate(
    account: Account,
    market: Market,
    terms: Terms,
    request: Liquidate,  # noqa: ARG001 - an exchange leaves no choice
    *,
    policy: Policy,
) -> Liquidation | Refusal:
    """Return what the exchange takes, where its procedure is established.

    Bybit settles an isolated position at its bankruptcy price: position and margin are lost
    whole, whatever the mark.
    """
    judged = margin(account, market, terms, policy=policy)
    if judged.verdict is Verdict.UNEVALUABLE:
        return Refusal(judged.reason)
    if judged.verdict is Verdict.SAFE:
        return Refusal("not_liquidatable", judged.reason)
    if policy.settlement == "unestablished":
        return Refusal("liquidation_procedure_not_established", "order and fees are not public")
    taken = {position.asset: position.quantity for position in positions_of(account, by_side)}
    legs = tuple(
        replace(leg, quantity=0) for leg in account.legs if leg.kind is not LegKind.POSITION
    )
    return Liquidation(
        repaid={},
        seized={**taken, terms.quote: cash_of(account)},
        after=margin(replace(account, legs=legs), market, terms, policy=policy),
    )


OPTIONS = (Variable("{asset}.leverage", "whole number"), *MODES)


def _rulebook(venue: str, version: str, policy: Policy) -> Rulebook[Terms]:
    """Bind one exchange's policy to the rules."""
    judged: Callable[[Account, Market, Terms], Margin] = partial(margin, policy=policy)
    return Rulebook(
        venue=venue,
        version=version,
        terms=Terms,
        options=OPTIONS,
        price_decimals=None,
        is_exact=True,
        cash=lambda terms: terms.quote,
        margin=judged,
        at_prices=partial(at_prices, policy=policy),
        liquidate=partial(liquidate, policy=policy),
        liquidation_price=lambda account, market, terms, asset: liquidation_price(
            account, market, terms, asset=asset, policy=policy
        ),
        bankruptcy_price=lambda account, market, terms, asset: bankruptcy_price(
            account, market, terms, asset=asset, policy=policy
        ),
    )


RULEBOOKS = (
    _rulebook("binance-usdm", "2026-09", BINANCE),
    _rulebook("bybit-linear", "isolated-2024-09", BYBIT),
    _rulebook("okx-swap", "isolated-flat", OKX),
)
