"""Compound III (Comet): one base asset to borrow, collateral that earns nothing.

Units: factors and discounts in wad (10^18); indices in 10^15; prices at 8 decimals in the
market's own quote currency; values at 8 decimals; rates per year in wad.

Legs: a debt leg holds the magnitude of a negative principal of the base asset, a collateral
leg of the base asset a positive principal, any other collateral leg a balance.

`Market.state`: `base_supply_index`, `base_borrow_index` (10^15), both as of `updated_at` (Unix
seconds; the moment of judgement where absent); `total_supply_base`, `total_borrow_base`
(principals, needed to carry the indices forward: an account is not judged later than
`updated_at` without them); `absorb_paused` (0 or 1); `{asset}.total_supply_asset` (all of a
collateral that the market holds, smallest units, needed for what its cap leaves).

References
----------
compound-finance/comet at d5a30b0a, CometWithExtendedAssetList.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from fractions import Fraction

from models.domain import Account, Leg, LegKind, Market
from models.margin.fixed_point import (
    WAD,
    mul_div_down,
    mul_div_toward_zero,
)
from models.margin.legs import NONE, ReadLegs
from models.margin.result import (
    Headroom,
    Liquidation,
    Margin,
    Ratio,
    Refusal,
    Side,
    TokenAmount,
    Verdict,
    WeightedCollateral,
)
from models.margin.rulebook import Liquidate, Rulebook
from models.margin.toxicity import is_toxic
from models.margin.uint import sint, uint
from models.margin.variables import Variable

ORACLE_DECIMALS = 8
INDEX_SCALE = 10**15
SECONDS_PER_YEAR = 31_536_000
PRINCIPAL_BITS = 104
BALANCE_BITS = 128
INDEX_BITS = 64
CARRIED = {"total_supply_base", "total_borrow_base", "base_supply_index", "base_borrow_index"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Kink:
    """An interest rate that bends once as utilisation grows.

    Parameters
    ----------
    base, slope_low, slope_high
        Rate at no utilisation and its slopes below and above the kink, wad per year.
    kink
        Utilisation at the bend, wad.
    """

    base: int
    slope_low: int
    slope_high: int
    kink: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Collateral:
    """Risk parameters of one collateral asset.

    Parameters
    ----------
    asset
        Name at the venue.
    decimals
        Digits between one whole unit and the smallest unit.
    borrow_factor, liquidate_factor
        Share of the value that counts for borrowing and against liquidation, wad.
    liquidation_factor
        Share of the value credited to an absorbed account, wad.
    supply_cap
        Most of the asset the market takes, smallest units, 0 for nothing; None where not
        stated.
    """

    asset: str
    decimals: int
    borrow_factor: int
    liquidate_factor: int
    liquidation_factor: int
    supply_cap: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Risk parameters of one market.

    Parameters
    ----------
    base_asset, base_decimals
        What is borrowed.
    collaterals
        In the venue's own order, which decides whose price feed is read.
    borrow_min
        Least debt of a new borrowing, smallest units of the base asset.
    store_front_price_factor
        Share of the liquidation discount that buyers of seized collateral get, wad.
    target_reserves
        Reserves from which on collateral is no longer sold, smallest units.
    supply_rate, borrow_rate
        Interest by utilisation; None where not known, and then nothing accrues.
    """

    base_asset: str
    base_decimals: int
    collaterals: tuple[Collateral, ...]
    borrow_min: int = 0
    store_front_price_factor: int = 0
    target_reserves: int = 0
    supply_rate: Kink | None = None
    borrow_rate: Kink | None = None

    @property
    def base_scale(self) -> int:
        """Smallest units in one whole unit of the base asset."""
        return int(10**self.base_decimals)


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """One account: signed principal of the base asset and collateral balances above zero."""

    principal: int
    balances: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one test of an account found.

    Parameters
    ----------
    liquidity
        Value by which the account is over (or under, negative) the test, 8 decimals; None
        when a price it needed is not usable.
    read
        Assets whose price feeds were read, the unusable one last.
    """

    liquidity: int | None
    read: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Absorption:
    """What an absorption does, in smallest units of the base asset.

    Parameters
    ----------
    principal
        The account's principal afterwards, never negative.
    paid_out
        Debt taken over by the reserves plus what the account gets to keep.
    shortfall
        Part of the debt that the credited collateral did not cover.
    """

    principal: int
    paid_out: int
    shortfall: int


def present_value(principal: int, *, supply_index: int, borrow_index: int) -> int:
    """Return the signed base balance behind a principal, smallest units."""
    index = supply_index if principal >= 0 else borrow_index
    return mul_div_toward_zero(principal, index, INDEX_SCALE)


def supply_principal(balance: int, *, supply_index: int) -> int:
    """Return the principal that a base balance of zero or more is booked as."""
    return mul_div_down(balance, INDEX_SCALE, supply_index)


def value_of(balance: int, *, price: int, collateral: Collateral) -> int:
    """Return the value of a collateral balance at 8 decimals."""
    return int(uint(balance * price) // 10**collateral.decimals)


def liquidity(
    balance: int,
    position: Position,
    *,
    prices: Mapping[str, int],
    terms: Terms,
    factors: Mapping[str, int],
) -> Reading:
    """Test an account the way the venue does, feed after feed until it passes.

    Parameters
    ----------
    balance
        Base balance, negative for a debt, smallest units.
    prices
        Positive prices by asset; one that is missing or not positive is absent.
    factors
        Share of each collateral's value that counts, wad.
    """
    if terms.base_asset not in prices:
        return Reading(liquidity=None, read=(terms.base_asset,))
    read = [terms.base_asset]
    owed = sint(balance * sint(prices[terms.base_asset]))
    total = mul_div_toward_zero(owed, 1, terms.base_scale)
    for collateral in terms.collaterals:
        amount = position.balances.get(collateral.asset, 0)
        if not amount:
            continue
        if total >= 0:
            break
        read.append(collateral.asset)
        if collateral.asset not in prices:
            return Reading(liquidity=None, read=tuple(read))
        value = value_of(amount, price=prices[collateral.asset], collateral=collateral)
        counted = uint(value * factors[collateral.asset]) // WAD
        total = sint(total + counted)
    return Reading(liquidity=total, read=tuple(read))


def borrow_factors(terms: Terms) -> Mapping[str, int]:
    """Return the share of each collateral that counts for borrowing, wad."""
    return {each.asset: each.borrow_factor for each in terms.collaterals}


def liquidate_factors(terms: Terms) -> Mapping[str, int]:
    """Return the share of each collateral that counts against liquidation, wad."""
    return {each.asset: each.liquidate_factor for each in terms.collaterals}


def credited_value(position: Position, *, prices: Mapping[str, int], terms: Terms) -> int:
    """Return what an absorption credits for all collateral, 8 decimals."""
    total = 0
    for collateral in terms.collaterals:
        amount = position.balances.get(collateral.asset, 0)
        if amount:
            value = value_of(amount, price=prices[collateral.asset], collateral=collateral)
            total = uint(total + uint(value * collateral.liquidation_factor) // WAD)
    return total


def absorb(
    position: Position,
    *,
    prices: Mapping[str, int],
    terms: Terms,
    supply_index: int,
    borrow_index: int,
) -> Absorption:
    """Take over all collateral and debt of an account that may be liquidated."""
    old = present_value(position.principal, supply_index=supply_index, borrow_index=borrow_index)
    value = credited_value(position, prices=prices, terms=terms)
    credit = uint(value * terms.base_scale) // prices[terms.base_asset]
    new = max(0, old + sint(credit))
    principal = supply_principal(new, supply_index=supply_index)
    return Absorption(
        principal=sint(principal, PRINCIPAL_BITS),
        paid_out=new - old,
        shortfall=max(0, -old - credit),
    )


def quote_collateral(
    base_amount: int, *, asset: str, prices: Mapping[str, int], terms: Terms
) -> int | Refusal:
    """Return how much seized collateral a payment buys, smallest units."""
    for needed in (asset, terms.base_asset):
        if prices.get(needed, 0) <= 0:
            return Refusal("BadPrice", f"price of {needed} is missing or not positive")
    collateral = next(each for each in terms.collaterals if each.asset == asset)
    discount = mul_div_down(
        terms.store_front_price_factor, WAD - collateral.liquidation_factor, WAD
    )
    discounted = mul_div_down(prices[asset], WAD - discount, WAD)
    if discounted == 0:
        return Refusal("division by zero", f"{prices[asset]} discounted is 0")
    worth = prices[terms.base_asset] * base_amount * 10**collateral.decimals
    if worth >> 256:
        return Refusal("overflow", f"{worth} is outside uint256")
    return int(worth // discounted // terms.base_scale)


def sale_refusal(reserves: int, terms: Terms) -> Refusal | None:
    """Return why seized collateral is not sold, if it is not: the reserves are full."""
    if 0 <= reserves >= terms.target_reserves:
        return Refusal("NotForSale", f"reserves {reserves} reach {terms.target_reserves}")
    return None


def per_second(rate: Kink, utilisation: int) -> int:
    """Return the interest per second at a utilisation, wad."""
    base, low, high = (
        each // SECONDS_PER_YEAR for each in (rate.base, rate.slope_low, rate.slope_high)
    )
    if utilisation <= rate.kink:
        return base + mul_div_down(low, utilisation, WAD)
    bent = mul_div_down(high, utilisation - rate.kink, WAD)
    return base + mul_div_down(low, rate.kink, WAD) + bent


def utilisation_of(state: Mapping[str, int]) -> int:
    """Return borrowed over supplied at the stored indices, wad."""
    supplied = state["total_supply_base"] * state["base_supply_index"] // INDEX_SCALE
    borrowed = state["total_borrow_base"] * state["base_borrow_index"] // INDEX_SCALE
    return mul_div_down(borrowed, WAD, supplied) if supplied else 0


def accrue(market: Market, terms: Terms, at: datetime) -> Market:
    """Return the market with both indices carried from `updated_at` to `at`.

    Interest is linear in the time since the last accrual, so one long step is not the same
    as two short ones. Nothing is carried where the totals or the rates are not known.
    """
    now = int(at.timestamp())
    state = market.state
    elapsed = now - state.get("updated_at", int(market.at.timestamp()))
    if elapsed <= 0 or terms.supply_rate is None or terms.borrow_rate is None:
        return replace(market, at=at)
    if not state.keys() >= CARRIED:
        return replace(market, at=at)
    utilisation = utilisation_of(state)
    grown = {}
    for name, rate in (
        ("base_supply_index", terms.supply_rate),
        ("base_borrow_index", terms.borrow_rate),
    ):
        growth = mul_div_down(state[name], per_second(rate, utilisation) * elapsed, WAD)
        grown[name] = state[name] + growth
    return replace(market, at=at, state={**state, **grown, "updated_at": now})


def position_of(account: Account, terms: Terms) -> Position:
    """Return an account's legs as the venue books them."""
    principal = 0
    balances: dict[str, int] = {}
    for leg in account.legs:
        quantity = int(leg.quantity)
        if leg.kind is LegKind.DEBT:
            principal -= quantity
        elif leg.asset == terms.base_asset:
            principal += quantity
        elif quantity:
            balances[leg.asset] = balances.get(leg.asset, 0) + quantity
    return Position(principal=principal, balances=balances)


def usable_prices(market: Market) -> Mapping[str, int]:
    """Return the prices that the venue would accept: above zero."""
    return {asset: price.value for asset, price in market.prices.items() if price.value > 0}


def fault_of(position: Position, market: Market, terms: Terms) -> str | None:
    """Return why an account that owes cannot be judged, if it cannot."""
    listed = {each.asset for each in terms.collaterals}
    if not position.balances.keys() <= listed:
        return "asset_not_listed"
    for name in ("base_supply_index", "base_borrow_index"):
        if market.state.get(name, 0) <= 0:
            return "index_missing"
    now = int(market.at.timestamp())
    is_known = market.state.keys() >= CARRIED and terms.supply_rate and terms.borrow_rate
    if market.state.get("updated_at", now) < now and not is_known:
        return "accrual_unknown"
    return None


def margin(account: Account, market: Market, terms: Terms) -> Margin:
    """Judge one account with interest carried to the moment of judgement.

    The ratio `collateralization` (ours: the venue states none) is the value that counts
    against liquidation over the debt, wad.
    """
    position = position_of(account, terms)
    if position.principal >= 0:
        side = Side(0, 0)
        return Margin(
            verdict=Verdict.SAFE,
            reason="no_debt",
            maintenance=side,
            initial=side,
            value_decimals=ORACLE_DECIMALS,
            ratio=Ratio("collateralization", None, 18),
        )
    fault = fault_of(position, market, terms)
    if fault is not None:
        return Margin(verdict=Verdict.UNEVALUABLE, reason=fault)
    try:
        return _judge(position, accrue(market, terms, market.at), terms)
    except OverflowError:
        return Margin(verdict=Verdict.UNEVALUABLE, reason="overflow")


def _judge(position: Position, market: Market, terms: Terms) -> Margin:
    """Judge an account that owes, or raise OverflowError where the contract reverts."""
    _check_widths(position, market.state)
    balance = present_value(
        position.principal,
        supply_index=market.state["base_supply_index"],
        borrow_index=market.state["base_borrow_index"],
    )
    prices = usable_prices(market)
    factors = liquidate_factors(terms)
    reading = liquidity(balance, position, prices=prices, terms=terms, factors=factors)
    if reading.liquidity is None:
        reason = "price_not_positive" if reading.read[-1] in market.prices else "price_missing"
        return Margin(verdict=Verdict.UNEVALUABLE, reason=reason, prices=reading.read)
    side = _side(balance, position, prices=prices, terms=terms, factors=factors)
    verdict, reason = Verdict.SAFE, "above_liquidation_threshold"
    if reading.liquidity < 0:
        verdict, reason = Verdict.LIQUIDATABLE, "below_liquidation_threshold"
        if market.state.get("absorb_paused", 0):
            verdict, reason = Verdict.NOT_EXECUTABLE, "Paused"
    return Margin(
        verdict=verdict,
        reason=reason,
        maintenance=side,
        initial=_side(balance, position, prices=prices, terms=terms, factors=borrow_factors(terms)),
        value_decimals=ORACLE_DECIMALS,
        ratio=Ratio("collateralization", _ratio(side), 18),
        prices=reading.read,
    )


def _ratio(side: Side) -> int | None:
    """Return credit over requirement, wad; None where the debt is worth nothing."""
    return int(side.credit * WAD // side.requirement) if side.requirement else None


def _check_widths(position: Position, state: Mapping[str, int]) -> None:
    """Raise OverflowError for what the contract's storage could not hold."""
    sint(position.principal, PRINCIPAL_BITS)
    for amount in position.balances.values():
        uint(amount, BALANCE_BITS)
    for name in ("base_supply_index", "base_borrow_index"):
        uint(state[name], INDEX_BITS)


def _side(
    balance: int,
    position: Position,
    *,
    prices: Mapping[str, int],
    terms: Terms,
    factors: Mapping[str, int],
) -> Side:
    """Return all collateral that has a price against the debt, 8 decimals."""
    credit = 0
    for each in terms.collaterals:
        worth = position.balances.get(each.asset, 0) * prices.get(each.asset, 0)
        credit += worth // 10**each.decimals * factors[each.asset] // WAD
    debt = mul_div_down(-balance, prices[terms.base_asset], terms.base_scale)
    return Side(credit, debt)


def liquidate(
    account: Account,
    market: Market,
    terms: Terms,
    request: Liquidate,  # noqa: ARG001 - an absorption takes everything
) -> Liquidation | Refusal:
    """Return what an absorption takes: all collateral, for its value less the penalty.

    `protocol_fee` is the part of each collateral that is not credited to the account;
    `bad_debt` is what the reserves lose beyond the credited collateral.
    """
    market = accrue(market, terms, market.at)
    before = margin(account, market, terms)
    if before.verdict is Verdict.UNEVALUABLE:
        return Refusal(before.reason)
    if before.verdict is Verdict.NOT_EXECUTABLE or market.state.get("absorb_paused", 0):
        return Refusal("Paused", "absorptions are paused")
    if before.verdict is Verdict.SAFE:
        return Refusal("NotLiquidatable", "the account is not below its liquidation threshold")
    try:
        outcome = absorb(
            position_of(account, terms),
            prices=usable_prices(market),
            terms=terms,
            supply_index=market.state["base_supply_index"],
            borrow_index=market.state["base_borrow_index"],
        )
    except OverflowError as error:
        return Refusal("overflow", str(error))
    return _liquidation(account, market, terms, outcome=outcome, before=before)


def _liquidation(
    account: Account, market: Market, terms: Terms, *, outcome: Absorption, before: Margin
) -> Liquidation:
    """Return an absorption in the engine's words."""
    balances = position_of(account, terms).balances
    retained = {
        each.asset: balances[each.asset]
        - mul_div_down(balances[each.asset], each.liquidation_factor, WAD)
        for each in terms.collaterals
        if each.asset in balances
    }
    left = Leg(kind=LegKind.COLLATERAL, asset=terms.base_asset, quantity=outcome.principal)
    after = margin(replace(account, legs=(left,)), market, terms)
    return Liquidation(
        repaid={terms.base_asset: outcome.paid_out},
        seized=dict(balances),
        protocol_fee=retained,
        bad_debt={terms.base_asset: outcome.shortfall} if outcome.shortfall else {},
        after=after,
        is_toxic=is_toxic(before.maintenance, after.maintenance),
    )


def headroom(account: Account, market: Market, terms: Terms) -> tuple[Headroom, ...]:
    """Return what the market still takes and lends of the base asset and of what is held.

    The base asset has no cap either way; how much of it lies in the market, and pauses,
    are not looked at. Collateral is never lent.
    """
    listed = {each.asset: each for each in terms.collaterals}
    assets = dict.fromkeys((terms.base_asset, *(leg.asset for leg in account.legs)))
    return tuple(
        Headroom(asset=asset)
        if asset == terms.base_asset
        else Headroom(asset=asset, refusal=Refusal("asset_not_listed", asset))
        if asset not in listed
        else collateral_room(listed[asset], market.state)
        for asset in assets
    )


def collateral_room(collateral: Collateral, state: Mapping[str, int]) -> Headroom:
    """Return what a collateral's cap leaves, or why that is not known."""
    asset, cap = collateral.asset, collateral.supply_cap
    name = f"{asset}.total_supply_asset"
    if cap is None:
        return Headroom(asset=asset, refusal=Refusal("supply_cap_missing", asset))
    if cap and name not in state:
        return Headroom(asset=asset, refusal=Refusal("totals_missing", name))
    left = max(0, cap - state.get(name, 0))
    return Headroom(
        asset=asset, supply=left, borrow=0, limits={"supply_cap": left, "base_asset_only": 0}
    )


def weights(
    account: Account, market: Market, terms: Terms
) -> tuple[WeightedCollateral, ...] | Refusal:
    """Return what is held as collateral, with its liquidation factor as its weight."""
    balances, prices = position_of(account, terms).balances, usable_prices(market)
    pledged = [each for each in terms.collaterals if each.asset in balances]
    unlisted = balances.keys() - {each.asset for each in pledged}
    if unlisted:
        return Refusal("asset_not_listed", ", ".join(sorted(unlisted)))
    absent = [each.asset for each in pledged if each.asset not in prices]
    if absent:
        return Refusal("price_missing", ", ".join(absent))
    return tuple(
        WeightedCollateral(
            asset=each.asset,
            value=Fraction(
                balances[each.asset] * prices[each.asset] // 10**each.decimals,
                10**ORACLE_DECIMALS,
            ),
            weight=Fraction(each.liquidate_factor, WAD),
        )
        for each in pledged
    )


def tokens(account: Account, market: Market, terms: Terms) -> tuple[TokenAmount, ...] | Refusal:
    """Return balances, and the base asset behind principals, in whole tokens."""
    fault = fault_of(position_of(account, terms), market, terms)
    if fault is not None:
        return Refusal(fault, "the market's state or terms do not tell balances")
    state = accrue(market, terms, market.at).state
    digits = {each.asset: each.decimals for each in terms.collaterals}
    amounts = []
    for leg in account.legs:
        quantity, is_debt = int(leg.quantity), leg.kind is LegKind.DEBT
        if leg.kind is LegKind.POSITION or is_debt > (leg.asset == terms.base_asset):
            return Refusal("asset_not_listed", leg.asset)
        if leg.asset == terms.base_asset:
            balance = present_value(
                -quantity if is_debt else quantity,
                supply_index=state["base_supply_index"],
                borrow_index=state["base_borrow_index"],
            )
            units, places = abs(balance), terms.base_decimals
        else:
            units, places = quantity, digits[leg.asset]
        amount = Fraction(units, 10**places)
        amounts.append(TokenAmount(kind=leg.kind, asset=leg.asset, amount=amount, digits=places))
    return tuple(amounts)


def bare(terms: Terms) -> Terms:
    """Return the terms with collateral counted in full."""
    collaterals = tuple(
        replace(collateral, liquidate_factor=WAD) for collateral in terms.collaterals
    )
    return replace(terms, collaterals=collaterals)


STATE = (
    Variable("base_supply_index", "10^15"),
    Variable("base_borrow_index", "10^15"),
    Variable("updated_at", "Unix seconds"),
    Variable("total_supply_base", "principal"),
    Variable("total_borrow_base", "principal"),
    Variable("absorb_paused", "0 or 1"),
    Variable("{asset}.total_supply_asset", "smallest units"),
)

RULEBOOKS = (
    Rulebook(
        venue="compound-v3",
        version="comet",
        terms=Terms,
        state=STATE,
        price_decimals=ORACLE_DECIMALS,
        margin=margin,
        reads=lambda terms: ReadLegs(debt={terms.base_asset}, position=NONE),
        bare=bare,
        liquidate=liquidate,
        accrue=accrue,
        headroom=headroom,
        weights=weights,
        tokens=tokens,
    ),
)
