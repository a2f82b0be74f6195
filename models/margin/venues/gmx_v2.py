"""GMX v2 positions: remaining collateral, liquidation check, closing fees.

Units: USD amounts and factors carry 30 decimals; token amounts are smallest units; a price
is USD (30 decimals) per smallest unit, so amount · price is USD. `Price.bid` and
`Price.ask` are the venue's min and max; without them `value` serves for both.

An account is one position: a collateral leg of the collateral token and a position leg of
the index token, signed (short < 0), whose `entry` is size in USD / size in tokens, so that
|quantity| · entry is the size in USD to the last unit.

`Account.options`: `borrowing_factor`, `funding_fee_amount_per_size` (as of the position's
last settlement), `pending_impact_amount` (index tokens, signed) and `price_impact_usd`
(impact of closing now, from the venue's reader; this module does not compute it).
`Market.state`, with `side` `long` or `short`: `{market}.cumulative_borrowing_factor.{side}`,
`{market}.borrowing_factor_per_second.{side}`,
`{market}.funding_fee_amount_per_size.{side}` (of the position's collateral token),
`{market}.pool_pnl.{side}` and `{market}.capped_pool_pnl.{side}` (USD) where profits are
capped, and `{market}.is_disabled` (1 when the venue executes nothing).

Not modelled: referral and tier discounts on the closing fee, interface fees, and the swap
of the output token.

References
----------
gmx-io/gmx-synthetics at a5c0c883 (PositionUtils, PositionPricingUtils, MarketUtils).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from fractions import Fraction

from models.domain import Account, Leg, LegKind, Market, Price
from models.margin.fixed_point import mul_div_down, mul_div_up
from models.margin.legs import NONE, ReadLegs
from models.margin.result import Liquidation, Margin, Ratio, Refusal, Side, TokenAmount, Verdict
from models.margin.rulebook import Liquidate, Rulebook
from models.margin.tokens import in_tokens
from models.margin.variables import Variable

FLOAT_DECIMALS = 30
FLOAT = 10**FLOAT_DECIMALS
FUNDING_SCALE = 10**45
MAX_INT256 = 2**255 - 1
BORROWING = "borrowing_factor"
FUNDING = "funding_fee_amount_per_size"


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Risk parameters of one market.

    Parameters
    ----------
    min_collateral_factor
        Least remaining collateral as a share of the size, for liquidation.
    min_collateral_usd
        Least remaining collateral.
    position_fee_factor
        Fee for closing, share of the size.
    max_impact_factor
        Most that a negative price impact counts, share of the size.
    liquidation_fee_factor
        Further fee of a liquidation, share of the size; the check leaves it out.
    decimals
        By asset: digits between a whole token and its smallest unit; the rules do not read them.
    """

    min_collateral_factor: int
    min_collateral_usd: int
    position_fee_factor: int
    max_impact_factor: int = 0
    liquidation_fee_factor: int = 0
    decimals: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """The venue's lower and upper price of one token."""

    low: int
    high: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """What one position is and owes.

    Parameters
    ----------
    side
        `long` or `short`.
    size_usd
        Cost of the tokens, USD.
    size_tokens
        Index tokens held or owed, smallest units.
    collateral
        Collateral tokens, smallest units.
    borrowing_rise
        Rise of the cumulative borrowing factor since the last settlement.
    funding_rise
        Rise of the funding amount per size since then, 10^45.
    pending_impact
        Price impact of opening, kept until closing, signed index tokens.
    impact_usd
        Price impact of closing now, signed USD.
    """

    side: str
    size_usd: int
    size_tokens: int
    collateral: int
    borrowing_rise: int = 0
    funding_rise: int = 0
    pending_impact: int = 0
    impact_usd: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """The three figures of the venue's liquidation check, USD.

    Parameters
    ----------
    remaining
        Collateral after profit, impact and fees; may be negative.
    min_usd
        Least allowed in USD; 0 when not checked.
    min_for_leverage
        Least allowed for the size.
    reason
        The venue's own words when liquidatable, else empty.
    """

    remaining: int
    min_usd: int
    min_for_leverage: int
    reason: str


def profit(position: Position, index: Bounds) -> int:
    """Return the profit at the price less favourable to the owner, USD."""
    if position.side == "long":
        return position.size_tokens * index.low - position.size_usd
    return position.size_usd - position.size_tokens * index.high


def capped_profit(pnl: int, *, pool_pnl: int, capped_pool_pnl: int) -> int:
    """Return a position's profit after the pool's cap on the profits of its side."""
    if pnl > 0 and pool_pnl > 0 and capped_pool_pnl > 0:
        return mul_div_down(pnl, capped_pool_pnl, pool_pnl)
    return pnl


def price_impact(position: Position, index: Bounds, terms: Terms) -> int:
    """Return the price impact that the check counts: never positive, capped, USD."""
    pending = position.pending_impact * (index.low if position.pending_impact > 0 else index.high)
    cap = mul_div_down(position.size_usd, terms.max_impact_factor, FLOAT)
    return max(min(position.impact_usd + pending, 0), -cap)


def fee_amount(position: Position, token: Bounds, terms: Terms) -> int:
    """Return closing, borrowing and funding fees, each rounded apart, collateral tokens."""
    closing = mul_div_down(position.size_usd, terms.position_fee_factor, FLOAT) // token.low
    borrowing = mul_div_down(position.size_usd, position.borrowing_rise, FLOAT) // token.low
    funding = mul_div_up(position.size_usd, position.funding_rise, FUNDING_SCALE)
    return closing + borrowing + funding


def liquidation_fee(position: Position, token: Bounds, terms: Terms) -> int:
    """Return the further fee of a liquidation, rounded up, collateral tokens."""
    usd = mul_div_down(position.size_usd, terms.liquidation_fee_factor, FLOAT)
    return mul_div_up(usd, 1, token.low)


def liquidation_check(
    position: Position, *, pnl: int, index: Bounds, token: Bounds, terms: Terms, min_usd: int | None
) -> Check:
    """Compare remaining collateral with the venue's three floors, in its order.

    Parameters
    ----------
    pnl
        Profit after the pool's cap, USD.
    index, token
        Prices of the index and of the collateral token.
    min_usd
        Least collateral in USD; None when the venue does not check it (a partial close).
    """
    value = (position.collateral - fee_amount(position, token, terms)) * token.low
    remaining = value + pnl + price_impact(position, index, terms)
    floor = mul_div_down(position.size_usd, terms.min_collateral_factor, FLOAT)
    reason = ""
    if min_usd is not None and remaining < min_usd:
        reason = "min collateral"
    elif remaining <= 0:
        reason = "< 0"
    elif remaining < floor:
        reason = "min collateral for leverage"
    return Check(remaining=remaining, min_usd=min_usd or 0, min_for_leverage=floor, reason=reason)


def bounds(price: Price) -> Bounds:
    """Return min and max of a price; the value itself where the venue gave no spread."""
    low = price.value if price.bid is None else price.bid
    return Bounds(low=low, high=price.value if price.ask is None else price.ask)


def legs_of(account: Account) -> tuple[Leg | None, Leg | None]:
    """Return the position leg and the collateral leg."""
    by_kind = {
        leg.kind: leg for leg in account.legs if leg.quantity or leg.kind is LegKind.COLLATERAL
    }
    return by_kind.get(LegKind.POSITION), by_kind.get(LegKind.COLLATERAL)


def position_of(account: Account, market: Market) -> Position:
    """Read the position with what has accrued since it was last settled."""
    position_leg, cash = legs_of(account)
    if position_leg is None or position_leg.entry is None:
        raise ValueError("the account has no position with an entry price")
    side = "long" if position_leg.quantity > 0 else "short"
    options = account.options
    return Position(
        side=side,
        size_usd=int(abs(Fraction(position_leg.quantity)) * position_leg.entry),
        size_tokens=abs(int(position_leg.quantity)),
        collateral=int(cash.quantity) if cash else 0,
        borrowing_rise=_rise(account, market, BORROWING, f"cumulative_{BORROWING}.{side}"),
        funding_rise=_rise(account, market, FUNDING, f"{FUNDING}.{side}"),
        pending_impact=options.get("pending_impact_amount", 0),
        impact_usd=options.get("price_impact_usd", 0),
    )


def _rise(account: Account, market: Market, option: str, accumulator: str) -> int:
    """Return how far an accumulator of the market is above the position's own."""
    before = account.options.get(option, 0)
    return market.state.get(f"{account.market}.{accumulator}", before) - before


def fault_of(account: Account, market: Market) -> str | None:
    """Return why a position cannot be judged, or None; reverts by the venue's names."""
    position_leg, cash = legs_of(account)
    if position_leg is None:
        return None
    if cash is None or len(account.legs) > len((position_leg, cash)):
        return "one_position_and_its_collateral_expected"
    if position_leg.entry is None:
        return "entry_missing"
    for asset in (position_leg.asset, cash.asset):
        price = market.prices.get(asset)
        if price is None:
            return "price_missing"
        if min(price.value, bounds(price).low, bounds(price).high) <= 0:
            return "price_not_positive"
    return accrual_fault(account, market) or overflow_of(account, market)


def accrual_fault(account: Account, market: Market) -> str | None:
    """Return why accrued fees are not known: one side of an accumulator is missing."""
    position = position_of(account, market)
    for option, name in ((BORROWING, f"cumulative_{BORROWING}"), (FUNDING, FUNDING)):
        if (option in account.options) != (
            f"{account.market}.{name}.{position.side}" in market.state
        ):
            return f"{option}_missing"
    if position.borrowing_rise < 0:
        return "UnexpectedBorrowingFactor"
    return "UnexpectedFundingFactor" if position.funding_rise < 0 else None


def overflow_of(account: Account, market: Market) -> str | None:
    """Return the revert of a position whose figures the contract cannot hold."""
    position_leg, cash = legs_of(account)
    if position_leg is None or cash is None:
        return None
    position = position_of(account, market)
    values = (
        position.size_tokens * bounds(market.prices[position_leg.asset]).high,
        position.collateral * bounds(market.prices[cash.asset]).low,
        position.size_usd,
    )
    return "overflow" if max(values) > MAX_INT256 else None


def check_of(account: Account, market: Market, terms: Terms) -> Check:
    """Run the liquidation check on an account that can be judged."""
    position_leg, cash = legs_of(account)
    if position_leg is None or cash is None:
        raise ValueError("the account has no position with its collateral")
    position = position_of(account, market)
    index, token = bounds(market.prices[position_leg.asset]), bounds(market.prices[cash.asset])
    state, name = market.state, account.market
    pnl = capped_profit(
        profit(position, index),
        pool_pnl=state.get(f"{name}.pool_pnl.{position.side}", 0),
        capped_pool_pnl=state.get(f"{name}.capped_pool_pnl.{position.side}", 0),
    )
    return liquidation_check(
        position, pnl=pnl, index=index, token=token, terms=terms, min_usd=terms.min_collateral_usd
    )


def margin(account: Account, market: Market, terms: Terms) -> Margin:
    """Judge one position at the venue's min and max prices."""
    position_leg, cash = legs_of(account)
    names = tuple(dict.fromkeys(leg.asset for leg in (position_leg, cash) if leg is not None))
    reason = fault_of(account, market)
    if reason is not None:
        return Margin(verdict=Verdict.UNEVALUABLE, reason=reason, prices=names)
    if position_leg is None:
        side = Side(0, 0)
        return Margin(
            verdict=Verdict.SAFE,
            reason="no_position",
            maintenance=side,
            value_decimals=FLOAT_DECIMALS,
        )
    check = check_of(account, market, terms)
    verdict, reason = judge(check, is_disabled=market.state.get(f"{account.market}.is_disabled", 0))
    size = position_of(account, market).size_usd
    return Margin(
        verdict=verdict,
        reason=reason,
        maintenance=Side(check.remaining, max(check.min_usd, check.min_for_leverage)),
        value_decimals=FLOAT_DECIMALS,
        ratio=Ratio("remainingCollateralUsd/sizeInUsd", Fraction(check.remaining, size), 0)
        if size
        else None,
        prices=names,
    )


def judge(check: Check, *, is_disabled: int) -> tuple[Verdict, str]:
    """Return the verdict with the venue's reason."""
    if not check.reason:
        return Verdict.SAFE, "above_min_collateral"
    if is_disabled:
        return Verdict.NOT_EXECUTABLE, "DisabledMarket"
    return Verdict.LIQUIDATABLE, check.reason


def bankruptcy_price(account: Account, market: Market, terms: Terms) -> Fraction | Refusal | None:
    """Return the index price at which nothing remains, fees and impact as they stand.

    None when no positive price does. The collateral token's price is held.
    """
    reason = fault_of(account, market)
    position_leg, cash = legs_of(account)
    if reason is not None or position_leg is None or cash is None:
        return Refusal(reason or "no_position")
    position, token = position_of(account, market), bounds(market.prices[cash.asset])
    rest = (position.collateral - fee_amount(position, token, terms)) * token.low
    rest += price_impact(position, bounds(market.prices[position_leg.asset]), terms)
    sign = 1 if position.side == "long" else -1
    price = Fraction(position.size_usd - sign * rest, position.size_tokens)
    return price if price > 0 else None


def index_bankruptcy_price(
    account: Account, market: Market, terms: Terms, asset: str
) -> Fraction | Refusal | None:
    """Return `bankruptcy_price` on the scale of `Price.exact`; None for another asset."""
    position_leg, _ = legs_of(account)
    if position_leg is None or position_leg.asset != asset:
        return None
    price = bankruptcy_price(account, market, terms)
    return price / 10 ** market.prices[asset].decimals if isinstance(price, Fraction) else price


def liquidate(
    account: Account,
    market: Market,
    terms: Terms,
    request: Liquidate,  # noqa: ARG001 - a liquidation closes the whole position
) -> Liquidation | Refusal:
    """Close the position: losses and fees come out of the collateral, the rest goes back.

    What the fees leave uncovered is bad debt, in collateral tokens, rounded up.
    """
    judged = margin(account, market, terms)
    if judged.verdict is Verdict.SAFE:
        return Refusal("PositionShouldNotBeLiquidated", judged.reason)
    position_leg, cash = legs_of(account)
    if judged.verdict is not Verdict.LIQUIDATABLE or position_leg is None or cash is None:
        return Refusal(judged.reason)
    position, token = position_of(account, market), bounds(market.prices[cash.asset])
    fee = fee_amount(position, token, terms) + liquidation_fee(position, token, terms)
    extra = liquidation_fee(position, token, terms) * token.low
    left = check_of(account, market, terms).remaining - extra
    returned = min(max(left, 0) // token.low, position.collateral)
    empty = tuple(replace(leg, quantity=0) for leg in (cash, position_leg))
    return Liquidation(
        repaid={position_leg.asset: position.size_tokens},
        seized={cash.asset: position.collateral - returned},
        protocol_fee={cash.asset: fee},
        bad_debt={cash.asset: mul_div_up(max(-left, 0), 1, token.low)},
        after=margin(replace(account, legs=empty), market, terms),
    )


def accrue(market: Market, terms: Terms, at: datetime) -> Market:  # noqa: ARG001 - rates are state
    """Return the market with borrowing factors carried to `at` at their present rates."""
    seconds = int((at - market.at).total_seconds())
    carried = dict(market.state)
    for name, rate in market.state.items():
        if ".borrowing_factor_per_second." in name:
            target = name.replace("borrowing_factor_per_second", "cumulative_borrowing_factor")
            carried[target] = carried.get(target, 0) + rate * seconds
    return replace(market, at=at, state=carried)


def tokens(account: Account, market: Market, terms: Terms) -> tuple[TokenAmount, ...] | Refusal:  # noqa: ARG001 - fees are taken at closing
    """Return the collateral and the size in index tokens, in whole tokens; shorts below zero."""
    return in_tokens(account.legs, lambda leg: leg.quantity, terms.decimals)


STATE = (
    Variable("{market}.cumulative_borrowing_factor.{side}", "10^30"),
    Variable("{market}.borrowing_factor_per_second.{side}", "10^30 a second"),
    Variable(
        "{market}.funding_fee_amount_per_size.{side}",
        "smallest units of the collateral per USD of size",
    ),
    Variable("{market}.pool_pnl.{side}", "USD, 10^30"),
    Variable("{market}.capped_pool_pnl.{side}", "USD, 10^30"),
    Variable("{market}.is_disabled", "0 or 1"),
)
OPTIONS = (
    Variable("borrowing_factor", "10^30"),
    Variable("funding_fee_amount_per_size", "smallest units of the collateral per USD of size"),
    Variable("pending_impact_amount", "smallest units of the index token, signed"),
    Variable("price_impact_usd", "USD, 10^30, signed"),
)

RULEBOOKS = (
    Rulebook(
        venue="gmx-v2",
        version="a5c0c883",
        terms=Terms,
        state=STATE,
        options=OPTIONS,
        price_decimals=None,
        margin=margin,
        reads=lambda _: ReadLegs(debt=NONE, is_single=True),
        liquidate=liquidate,
        accrue=accrue,
        bankruptcy_price=index_bankruptcy_price,
        tokens=tokens,
    ),
)
