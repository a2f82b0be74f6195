"""Hyperliquid perpetuals: margin tiers, liquidation price, backstop.

Everything is an exact rational of whole units: USDC and coins. A position leg has a signed
quantity and its entry price, longs and shorts of one coin net; margin is a collateral leg
of USDC before unrealised profit. A cross account holds all its cross positions; an isolated
position is an account with one position and the margin put behind it. `Account.options` may
hold `{coin}.leverage` and the account's modes: a unified account (`multi_assets`) and one under
portfolio margin are not established. `Market.state` may hold `partial_liquidation_cooldown` (1
while an account that was just liquidated in part is liquidated whole). Prices are marks.

The maintenance rate is half the initial rate at a tier's highest leverage; a deduction per
tier keeps the requirement continuous. Not modelled: trading fees of a liquidation order,
funding not yet settled, and perpetuals of third-party deployers. The venue does not say
whether equality liquidates; it is judged liquidatable and said so.

References
----------
hyperliquid.gitbook.io trading/margin-tiers and trading/liquidations, stored copies; the
venue's announcement of partial liquidations (100,000 USDC, 20 %, 30 s).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cache

from models.domain import Account, Leg, LegKind, Market
from models.margin.perpetual import (
    MODES,
    Position,
    TieredAccount,
    Tiers,
    by_asset,
    cash_of,
    leg_fault,
    maintenance_margin,
    marks_of,
    mode_fault,
    nearest,
    open_assets,
    positions_of,
    price_fault,
    refused,
    surplus_roots,
    tiers_from,
    unevaluable_reason,
)
from models.margin.perpetual import bankruptcy_price as bankruptcy_of
from models.margin.result import Liquidation, Margin, Refusal, Verdict
from models.margin.rulebook import Liquidate, MarginAt, Rulebook
from models.margin.variables import Variable

BACKSTOP_SHARE = Fraction(2, 3)
PARTIAL_ABOVE = 100_000
PARTIAL_SHARE = Fraction(1, 5)
ESTABLISHED = ("cross",)
"""Modes of an account that the rules are established for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeverageTier:
    """One row of a margin table.

    Parameters
    ----------
    floor
        Least notional of the tier, USDC.
    max_leverage
        Highest leverage allowed in it.
    """

    floor: Fraction
    max_leverage: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Risk parameters of every coin an account may hold.

    Parameters
    ----------
    coins
        Margin table by coin, ascending by floor.
    quote
        The asset that margin is held in.
    """

    coins: Mapping[str, tuple[LeverageTier, ...]] = field(default_factory=dict)
    quote: str = "USDC"


@cache
def maintenance_tiers(table: tuple[LeverageTier, ...]) -> Tiers:
    """Return a margin table as maintenance rates with their deductions."""
    return tiers_from(
        (row.floor, Fraction(1, 2 * row.max_leverage), row.max_leverage) for row in table
    )


def listed_coins(terms: Terms) -> list[str]:
    """Return the coins whose margin table is at hand."""
    return [coin for coin, table in terms.coins.items() if table]


def fault_of(account: Account, market: Market, terms: Terms) -> str | None:
    """Return why an account cannot be judged, or None."""
    fault = mode_fault(account, established=ESTABLISHED)
    if fault is not None:
        return fault
    return unevaluable_reason(account, market, quote=terms.quote, instruments=listed_coins(terms))


def requirement(position: Position, mark: Fraction, terms: Terms) -> Fraction:
    """Return the maintenance margin of one position at its mark, USDC."""
    return maintenance_margin(
        maintenance_tiers(terms.coins[position.asset]), position.notional(mark)
    )


def margin(account: Account, market: Market, terms: Terms) -> Margin:
    """Judge one cross account or isolated position at the mark prices."""
    return at_prices(account, market, terms)(market)


def at_prices(account: Account, market: Market, terms: Terms) -> MarginAt:  # noqa: ARG001 - no state is read
    """Judge one account in markets whose prices alone differ: its legs are added up once."""
    positions, priced = positions_of(account, by_asset), open_assets(account)
    fault = mode_fault(account, established=ESTABLISHED) or leg_fault(
        account, quote=terms.quote, instruments=listed_coins(terms)
    )
    if fault is not None:
        return lambda _: refused(fault, positions)
    tiered = TieredAccount.of(
        account,
        positions,
        lambda coin: maintenance_tiers(terms.coins[coin]),
        ratio="maintenance margin / account value",
    )

    def at(moved: Market) -> Margin:
        reason = price_fault(moved, priced)
        return tiered.at(moved) if reason is None else refused(reason, positions)

    return at


def _elsewhere(
    account: Account, market: Market, terms: Terms, coin: str
) -> tuple[list[Position], Fraction, Fraction]:
    """Return the position in `coin`, and equity and requirement of all else."""
    positions = positions_of(account, by_asset)
    others = [position for position in positions if position.asset != coin]
    marks = marks_of(others, market)
    equity = cash_of(account) + sum(position.pnl(marks[position.asset]) for position in others)
    needed = sum(
        (requirement(position, marks[position.asset], terms) for position in others), Fraction(0)
    )
    return [position for position in positions if position.asset == coin], equity, needed


def liquidation_price(
    account: Account, market: Market, terms: Terms, *, coin: str
) -> Fraction | Refusal | None:
    """Return the mark of `coin` at which equity meets maintenance, other marks held.

    None when no positive price does.
    """
    reason = fault_of(account, market, terms)
    if reason is not None:
        return Refusal(reason)
    moving, equity, needed = _elsewhere(account, market, terms, coin)
    if not moving:
        return None
    tiers = maintenance_tiers(terms.coins[coin])
    roots = surplus_roots(moving, tiers, free=equity - needed)
    return nearest(roots, market.prices[coin].exact) if roots else None


def bankruptcy_price(
    account: Account, market: Market, terms: Terms, *, coin: str
) -> Fraction | Refusal | None:
    """Return the mark of `coin` at which the account is worth nothing, fees left out."""
    reason = fault_of(account, market, terms)
    if reason is not None:
        return Refusal(reason)
    moving, equity, _ = _elsewhere(account, market, terms, coin)
    return bankruptcy_of(moving, free=equity)


def order_share(notional: Fraction, *, cooldown: int) -> Fraction:
    """Return the part of a position that a liquidation order is sent for.

    Parameters
    ----------
    notional
        Value at the mark, USDC.
    cooldown
        1 while a partial liquidation of the account is less than 30 s old.
    """
    return PARTIAL_SHARE if notional > PARTIAL_ABOVE and not cooldown else Fraction(1)


def liquidate(
    account: Account, market: Market, terms: Terms, request: Liquidate
) -> Liquidation | Refusal:
    """Return what a market order, or below two thirds of maintenance the backstop, takes.

    A market order is filled at the other side of the book (`Price.bid` for a long), which
    the caller must give: the mark is not a fill. `request.collateral_asset` names the coin.
    The backstop vault takes every position with all the margin.
    """
    judged = margin(account, market, terms)
    if judged.verdict is not Verdict.LIQUIDATABLE or judged.maintenance is None:
        is_unknown = judged.verdict is Verdict.UNEVALUABLE
        return Refusal(judged.reason if is_unknown else "not_liquidatable", judged.reason)
    equity, needed = judged.maintenance.credit, judged.maintenance.requirement
    if equity < BACKSTOP_SHARE * needed:
        return backstop(account, market, terms, equity=Fraction(equity))
    return market_order(account, market, terms, request.collateral_asset)


def backstop(account: Account, market: Market, terms: Terms, *, equity: Fraction) -> Liquidation:
    """Hand every position and all the margin to the liquidator vault."""
    taken = {position.asset: position.quantity for position in positions_of(account, by_asset)}
    return Liquidation(
        repaid={},
        seized={**taken, terms.quote: max(equity, Fraction(0))},
        bad_debt={terms.quote: max(-equity, Fraction(0))},
        after=margin(replace(account, legs=()), market, terms),
    )


def market_order(
    account: Account, market: Market, terms: Terms, coin: str | None
) -> Liquidation | Refusal:
    """Close a position, or a fifth of a large one, against the book's best price."""
    positions = {
        position.asset: position
        for position in positions_of(account, by_asset)
        if position.quantity
    }
    if coin is None and len(positions) != 1:
        return Refusal("position_not_chosen", "the order among several is not established")
    position = positions.get(coin or next(iter(positions)))
    if position is None:
        return Refusal("no_position", f"no position in {coin}")
    price = market.prices[position.asset]
    fill = price.bid if position.quantity > 0 else price.ask
    if fill is None or price_fault(market, [position.asset]) or fill <= 0:
        return Refusal("fill_price_unknown", "a market order fills at the book, not at the mark")
    cooldown = market.state.get("partial_liquidation_cooldown", 0)
    share = order_share(position.notional(price.exact), cooldown=cooldown)
    before = margin(account, market, terms)
    after = margin(
        after_fill(account, position, terms, share=share, fill=Fraction(fill, 10**price.decimals)),
        market,
        terms,
    )
    return Liquidation(
        repaid={position.asset: position.quantity * share},
        seized={},
        after=after,
        is_toxic=_is_worse(after, before),
    )


def after_fill(
    account: Account, position: Position, terms: Terms, *, share: Fraction, fill: Fraction
) -> Account:
    """Return the account with a share of one position closed at `fill`."""
    rest = position.quantity * (1 - share)
    cash = Leg(
        kind=LegKind.COLLATERAL,
        asset=terms.quote,
        quantity=cash_of(account) + share * position.pnl(fill),
    )
    others = [
        leg for leg in account.legs if leg.kind is LegKind.POSITION and leg.asset != position.asset
    ]
    remainder = [
        Leg(
            kind=LegKind.POSITION,
            asset=position.asset,
            quantity=rest,
            entry=position.cost / position.quantity,
        )
    ]
    return replace(account, legs=(cash, *others, *(remainder if rest else ())))


def _is_worse(after: Margin, before: Margin) -> bool:
    """Return whether requirement / equity rose while positions are left."""
    old, new = (side.ratio.value if side.ratio else None for side in (before, after))
    if new is None:
        return after.verdict is Verdict.LIQUIDATABLE
    return old is not None and new > old


STATE = (Variable("partial_liquidation_cooldown", "0 or 1"),)
OPTIONS = (Variable("{asset}.leverage", "whole number"), *MODES)

RULEBOOKS = (
    Rulebook(
        venue="hyperliquid",
        version="2026-09",
        terms=Terms,
        options=OPTIONS,
        price_decimals=None,
        is_exact=True,
        cash=lambda terms: terms.quote,
        margin=margin,
        at_prices=at_prices,
        liquidate=liquidate,
        liquidation_price=lambda account, market, terms, asset: liquidation_price(
            account, market, terms, coin=asset
        ),
        bankruptcy_price=lambda account, market, terms, asset: bankruptcy_price(
            account, market, terms, coin=asset
        ),
    ),
)
