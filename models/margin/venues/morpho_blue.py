"""Morpho Blue: isolated markets of one collateral and one loan asset, debt in shares.

Units: loan-to-value limit, incentive, fee and rates in wad (10^18); the oracle price is loan
units per collateral unit, both smallest, times 10^36.

Legs: a collateral leg in smallest units, a debt leg in borrow shares. `Liquidate.repay` is in
borrow shares too.

`Market.state`: `total_supply_assets`, `total_borrow_assets` (smallest units of the loan
asset) and `total_borrow_shares`, as of `updated_at` (Unix seconds; the moment of judgement
where absent); `borrow_rate_per_second` (wad), held constant when carried forward: how the
rate model moves it is not part of these rules, and without it a position is not judged later
than `updated_at`. `total_supply_shares` is carried only for the fee and may be absent.

References
----------
morpho-org/morpho-blue at 3085651a, Morpho.sol.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from fractions import Fraction

from models.domain import Account, LegKind, Market
from models.margin.fixed_point import WAD, mul_div_down, mul_div_up
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
from models.margin.toxicity import is_toxic
from models.margin.uint import uint
from models.margin.variables import Variable

ORACLE_DECIMALS = 36
ORACLE_SCALE: int = 10**ORACLE_DECIMALS
VIRTUAL_SHARES = 10**6
VIRTUAL_ASSETS = 1
LIQUIDATION_CURSOR = 3 * 10**17
MAX_INCENTIVE = 115 * 10**16
STORED_BITS = 128
RATE = "borrow_rate_per_second"
TOTALS = ("total_supply_assets", "total_borrow_assets", "total_borrow_shares")


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Parameters of one market, fixed when it was made, but for the fee.

    Parameters
    ----------
    loan_asset, collateral_asset
        Names at the venue.
    lltv
        Liquidation loan to value, wad.
    fee
        Share of the interest that goes to the fee recipient, wad.
    loan_decimals, collateral_decimals
        Digits between a whole token and its smallest unit; None where not known: no rule reads
        them.
    """

    loan_asset: str
    collateral_asset: str
    lltv: int
    fee: int = 0
    loan_decimals: int | None = None
    collateral_decimals: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """A market's books: assets supplied and borrowed, smallest units, and borrow shares."""

    supply_assets: int
    borrow_assets: int
    borrow_shares: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """A borrower's books: collateral in smallest units, debt in borrow shares."""

    collateral: int
    borrow_shares: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Seizure:
    """What one liquidation moves, and the books after it.

    Parameters
    ----------
    seized
        Collateral taken, smallest units.
    repaid, repaid_shares
        Debt repaid, in loan units and in shares.
    bad_debt
        Debt taken off the suppliers because no collateral is left, loan units.
    """

    seized: int
    repaid: int
    repaid_shares: int
    bad_debt: int
    position: Position
    totals: Totals


def assets_up(shares: int, totals: Totals) -> int:
    """Return the loan units behind borrow shares, rounded up."""
    return -(
        -uint(shares * (totals.borrow_assets + VIRTUAL_ASSETS))
        // (totals.borrow_shares + VIRTUAL_SHARES)
    )


def assets_down(shares: int, totals: Totals) -> int:
    """Return the loan units behind borrow shares, rounded down."""
    worth = uint(shares * (totals.borrow_assets + VIRTUAL_ASSETS))
    return worth // (totals.borrow_shares + VIRTUAL_SHARES)


def shares_up(assets: int, totals: Totals) -> int:
    """Return the borrow shares that loan units stand for, rounded up."""
    return -(
        -uint(assets * (totals.borrow_shares + VIRTUAL_SHARES))
        // (totals.borrow_assets + VIRTUAL_ASSETS)
    )


def incentive_factor(lltv: int) -> int:
    """Return the value seized per value repaid, wad."""
    discount = mul_div_down(LIQUIDATION_CURSOR, WAD - lltv, WAD)
    return min(MAX_INCENTIVE, mul_div_down(WAD, WAD, WAD - discount))


def compounded(rate: int, seconds: int) -> int:
    """Return e^(rate·seconds) - 1 by its first three terms, wad."""
    first = rate * seconds
    second = mul_div_down(first, first, 2 * WAD)
    return first + second + mul_div_down(second, first, 3 * WAD)


def max_borrow(collateral: int, *, price: int, lltv: int) -> int:
    """Return the debt that a collateral carries, loan units."""
    worth = uint(collateral * price) // ORACLE_SCALE
    return uint(worth * lltv) // WAD


def is_healthy(position: Position, totals: Totals, *, price: int, lltv: int) -> bool:
    """Return whether a position may not be liquidated; equality is healthy."""
    if position.borrow_shares == 0:
        return True
    limit = max_borrow(position.collateral, price=price, lltv=lltv)
    return limit >= assets_up(position.borrow_shares, totals)


def seize(
    position: Position,
    totals: Totals,
    *,
    price: int,
    lltv: int,
    seized: int = 0,
    repaid_shares: int = 0,
) -> Seizure | Refusal:
    """Liquidate by the collateral to take or by the shares to repay, exactly one of them.

    Parameters
    ----------
    seized
        Collateral to take, smallest units.
    repaid_shares
        Debt to repay, borrow shares.
    """
    if (seized == 0) == (repaid_shares == 0):
        return Refusal("inconsistent input", "name either collateral or shares")
    try:
        if is_healthy(position, totals, price=price, lltv=lltv):
            return Refusal("position is healthy")
        if seized:
            repaid_shares = shares_to_repay(seized, totals, price=price, lltv=lltv)
        else:
            seized = collateral_to_seize(repaid_shares, totals, price=price, lltv=lltv)
        repaid = assets_up(repaid_shares, totals)
    except OverflowError as error:
        return Refusal("overflow", str(error))
    refused = _booking_refusal(position, totals, seized, repaid_shares)
    if refused is not None:
        return refused
    return _book(position, totals, seized=seized, repaid=repaid, repaid_shares=repaid_shares)


def shares_to_repay(seized: int, totals: Totals, *, price: int, lltv: int) -> int:
    """Return the borrow shares that a seizure of collateral costs, rounded up twice."""
    quoted = -(-uint(seized * price) // ORACLE_SCALE)
    assets = -(-uint(quoted * WAD) // incentive_factor(lltv))
    return shares_up(assets, totals)


def collateral_to_seize(repaid_shares: int, totals: Totals, *, price: int, lltv: int) -> int:
    """Return the collateral that a repayment of borrow shares takes, rounded down."""
    assets = uint(assets_down(repaid_shares, totals) * incentive_factor(lltv)) // WAD
    return uint(assets * ORACLE_SCALE) // price


def _booking_refusal(
    position: Position, totals: Totals, seized: int, repaid_shares: int
) -> Refusal | None:
    """Return why the books cannot take a liquidation, in the order the venue finds out."""
    if repaid_shares >> STORED_BITS:
        return Refusal("max uint128 exceeded", f"{repaid_shares} shares to repay")
    if repaid_shares > min(position.borrow_shares, totals.borrow_shares):
        return Refusal("underflow", f"{repaid_shares} shares of {position.borrow_shares}")
    if seized >> STORED_BITS:
        return Refusal("max uint128 exceeded", f"{seized} collateral to seize")
    if seized > position.collateral:
        return Refusal("underflow", f"{seized} collateral of {position.collateral}")
    return None


def _book(
    position: Position, totals: Totals, *, seized: int, repaid: int, repaid_shares: int
) -> Seizure | Refusal:
    """Take a liquidation into the books; what is left without collateral is bad debt."""
    left = Position(
        collateral=position.collateral - seized,
        borrow_shares=position.borrow_shares - repaid_shares,
    )
    totals = replace(
        totals,
        borrow_assets=max(0, totals.borrow_assets - repaid),
        borrow_shares=totals.borrow_shares - repaid_shares,
    )
    bad_debt = 0
    if left.collateral == 0:
        bad_debt = min(totals.borrow_assets, assets_up(left.borrow_shares, totals))
        if bad_debt > totals.supply_assets:
            return Refusal("underflow", f"bad debt {bad_debt} of {totals.supply_assets} supplied")
        totals = Totals(
            supply_assets=totals.supply_assets - bad_debt,
            borrow_assets=totals.borrow_assets - bad_debt,
            borrow_shares=totals.borrow_shares - left.borrow_shares,
        )
        left = Position(collateral=0, borrow_shares=0)
    return Seizure(
        seized=seized,
        repaid=repaid,
        repaid_shares=repaid_shares,
        bad_debt=bad_debt,
        position=left,
        totals=totals,
    )


def totals_of(state: Mapping[str, int]) -> Totals:
    """Return a market's books from its state."""
    supply, borrow, shares = (state[name] for name in TOTALS)
    return Totals(supply_assets=supply, borrow_assets=borrow, borrow_shares=shares)


def accrue(market: Market, terms: Terms, at: datetime) -> Market:
    """Return the market with interest carried from `updated_at` to `at`, in one step.

    The Taylor terms make one long step cheaper than two short ones; the venue takes one
    step from its last update.
    """
    now = int(at.timestamp())
    state = market.state
    elapsed = now - state.get("updated_at", int(market.at.timestamp()))
    if elapsed <= 0 or not {*TOTALS, RATE} <= state.keys():
        return replace(market, at=at)
    growth = compounded(state[RATE], elapsed)
    interest = mul_div_down(state["total_borrow_assets"], growth, WAD)
    carried = {
        **state,
        "total_borrow_assets": state["total_borrow_assets"] + interest,
        "total_supply_assets": state["total_supply_assets"] + interest,
        "updated_at": now,
    }
    if terms.fee and "total_supply_shares" in state:
        carried["total_supply_shares"] += fee_shares(carried, interest, terms)
    return replace(market, at=at, state=carried)


def fee_shares(state: Mapping[str, int], interest: int, terms: Terms) -> int:
    """Return the supply shares that pay the fee on interest already in the totals."""
    fee = mul_div_down(interest, terms.fee, WAD)
    before = state["total_supply_assets"] - fee
    return mul_div_down(fee, state["total_supply_shares"] + VIRTUAL_SHARES, before + VIRTUAL_ASSETS)


def position_of(account: Account) -> Position:
    """Return an account's legs as the venue books them."""
    collateral, owed = (
        sum(int(leg.quantity) for leg in account.legs if leg.kind is kind)
        for kind in (LegKind.COLLATERAL, LegKind.DEBT)
    )
    return Position(collateral=collateral, borrow_shares=owed)


def fault_of(market: Market) -> str | None:
    """Return why the debt behind shares is not known, if it is not."""
    if not set(TOTALS) <= market.state.keys():
        return "totals_missing"
    now = int(market.at.timestamp())
    is_stale = market.state.get("updated_at", now) < now
    return "accrual_unknown" if is_stale and RATE not in market.state else None


def margin(account: Account, market: Market, terms: Terms) -> Margin:
    """Judge one position with interest carried to the moment of judgement."""
    position = position_of(account)
    if position.borrow_shares == 0:
        side = Side(0, 0)
        return Margin(
            verdict=Verdict.SAFE,
            reason="no_debt",
            maintenance=side,
            initial=side,
            ratio=Ratio("health_factor", None, 18),
        )
    asset = terms.collateral_asset
    price = market.prices.get(asset)
    if price is None or price.value <= 0:
        reason = "price_missing" if price is None else "price_not_positive"
        return Margin(verdict=Verdict.UNEVALUABLE, reason=reason, prices=(asset,))
    fault = fault_of(market)
    if fault is not None:
        return Margin(verdict=Verdict.UNEVALUABLE, reason=fault, prices=(asset,))
    try:
        side = side_of(position, accrue(market, terms, market.at), terms)
    except OverflowError:
        return Margin(verdict=Verdict.UNEVALUABLE, reason="overflow", prices=(asset,))
    is_safe = side.surplus >= 0
    return Margin(
        verdict=Verdict.SAFE if is_safe else Verdict.LIQUIDATABLE,
        reason="within_lltv" if is_safe else "above_lltv",
        maintenance=side,
        initial=side,
        value_decimals=terms.loan_decimals or 0,
        ratio=Ratio("health_factor", int(side.credit * WAD // side.requirement), 18),
        prices=(asset,),
    )


def side_of(position: Position, market: Market, terms: Terms) -> Side:
    """Return the debt that the collateral carries against the debt, loan units.

    Raises
    ------
    OverflowError
        Where the contract reverts.
    """
    totals = totals_of(market.state)
    for stored in (
        position.collateral,
        position.borrow_shares,
        totals.supply_assets,
        totals.borrow_assets,
        totals.borrow_shares,
    ):
        uint(stored, STORED_BITS)
    price = uint(market.prices[terms.collateral_asset].value)
    return Side(
        max_borrow(position.collateral, price=price, lltv=terms.lltv),
        assets_up(position.borrow_shares, totals),
    )


def liquidate(
    account: Account, market: Market, terms: Terms, request: Liquidate
) -> Liquidation | Refusal:
    """Return what a liquidation takes; without a stated amount, all the venue allows.

    `repaid` and `bad_debt` are in loan units, `seized` and `bonus` in collateral units.
    """
    market = accrue(market, terms, market.at)
    before = margin(account, market, terms)
    if before.verdict is Verdict.UNEVALUABLE:
        return Refusal(before.reason)
    if before.verdict is Verdict.SAFE:
        return Refusal("position is healthy", f"{before.reason} by {before.maintenance}")
    position, totals = position_of(account), totals_of(market.state)
    price = market.prices[terms.collateral_asset].value
    if request.repay is not None:
        shares = int(request.repay)
        outcome = seize(position, totals, price=price, lltv=terms.lltv, repaid_shares=shares)
    else:
        outcome = seize_most(position, totals, price=price, lltv=terms.lltv)
    if isinstance(outcome, Refusal):
        return outcome
    return _liquidation(account, market, terms, outcome=outcome, before=before)


def seize_most(position: Position, totals: Totals, *, price: int, lltv: int) -> Seizure | Refusal:
    """Liquidate the whole debt, or where the collateral does not suffice, all of that."""
    whole = seize(position, totals, price=price, lltv=lltv, repaid_shares=position.borrow_shares)
    if isinstance(whole, Seizure) or position.collateral == 0:
        return whole
    return seize(position, totals, price=price, lltv=lltv, seized=position.collateral)


def _liquidation(
    account: Account, market: Market, terms: Terms, *, outcome: Seizure, before: Margin
) -> Liquidation:
    """Return a seizure in the engine's words."""
    price = market.prices[terms.collateral_asset].value
    books = (
        outcome.totals.supply_assets,
        outcome.totals.borrow_assets,
        outcome.totals.borrow_shares,
    )
    later = replace(market, state={**market.state, **dict(zip(TOTALS, books, strict=True))})
    left = {
        LegKind.COLLATERAL: outcome.position.collateral,
        LegKind.DEBT: outcome.position.borrow_shares,
    }
    legs = tuple(replace(leg, quantity=left.pop(leg.kind, 0)) for leg in account.legs)
    after = margin(replace(account, legs=legs), later, terms)
    plain = mul_div_up(outcome.repaid, ORACLE_SCALE, price)
    return Liquidation(
        repaid={terms.loan_asset: outcome.repaid},
        seized={terms.collateral_asset: outcome.seized},
        bonus={terms.collateral_asset: max(0, outcome.seized - plain)},
        bad_debt={terms.loan_asset: outcome.bad_debt} if outcome.bad_debt else {},
        after=after,
        is_toxic=is_toxic(before.maintenance, after.maintenance),
    )


def tokens(account: Account, market: Market, terms: Terms) -> tuple[TokenAmount, ...] | Refusal:
    """Return the collateral, and the debt behind the shares, in whole tokens."""
    fault = fault_of(market)
    if terms.loan_decimals is None or terms.collateral_decimals is None:
        return Refusal("decimals_unknown", "the terms do not say how tokens are divided")
    if fault is not None:
        return Refusal(fault)
    totals = totals_of(accrue(market, terms, market.at).state)
    amounts = []
    for leg in account.legs:
        if leg.kind is LegKind.DEBT:
            units, digits = assets_up(int(leg.quantity), totals), terms.loan_decimals
        else:
            units, digits = int(leg.quantity), terms.collateral_decimals
        amount = Fraction(units, 10**digits)
        amounts.append(TokenAmount(kind=leg.kind, asset=leg.asset, amount=amount, digits=digits))
    return tuple(amounts)


def price_power(terms: Terms, _: str) -> int | None:
    """Return the power of ten between the oracle's price and one of whole tokens."""
    if terms.loan_decimals is None or terms.collateral_decimals is None:
        return None
    return terms.collateral_decimals - terms.loan_decimals


def bare(terms: Terms) -> Terms:
    """Return the terms with collateral counted in full."""
    return replace(terms, lltv=WAD)


STATE = (
    Variable("total_supply_assets", "smallest units of the loan asset"),
    Variable("total_borrow_assets", "smallest units of the loan asset"),
    Variable("total_borrow_shares", "shares"),
    Variable("total_supply_shares", "shares"),
    Variable("borrow_rate_per_second", "wad a second"),
    Variable("updated_at", "Unix seconds"),
)

RULEBOOKS = (
    Rulebook(
        venue="morpho-blue",
        version="1",
        terms=Terms,
        state=STATE,
        price_decimals=ORACLE_DECIMALS,
        price_power=price_power,
        margin=margin,
        reads=lambda terms: ReadLegs(
            collateral={terms.collateral_asset}, debt={terms.loan_asset}, position=NONE
        ),
        bare=bare,
        liquidate=liquidate,
        accrue=accrue,
        tokens=tokens,
    ),
)
