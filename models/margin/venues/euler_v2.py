"""Euler v2 (EVK): one debt vault, several collateral vaults, ramped liquidation limits.

Units: loan-to-value limits and discount in basis points; prices are units of account per
smallest unit of the asset, times 10^18, with `bid` and `ask` where the oracle has a spread;
accumulators and the rate per second in ray (10^27). Owed amounts carry 31 fractional bits.

Legs: a collateral leg holds the collateral vault's balance, the debt leg the owed amount as
stored, 31 fractional bits. `Account.options`: `interest_accumulator` is the vault's accumulator
when the debt was last stored (absent: the debt is as of now); `last_status_check` (Unix seconds)
is when the account last passed its check, which starts the cool-off.

`Market.state`: `interest_accumulator` (ray) as of `updated_at` (Unix seconds; the moment of
judgement where absent), `interest_rate` (ray per second; without it an account is not judged
later than `updated_at`), `liquidate_paused` (0 or 1); `{asset}.exchange_rate`, what a share of a
collateral vault stands for (wad), by which balances are told in tokens and nothing is judged.

New borrowing is judged at bid against ask and must be covered by more than the debt;
liquidation is judged at mid prices and is open at equality.

References
----------
euler-xyz/euler-vault-kit at 5b98b420: Liquidation, LiquidityUtils, LTVConfig, Cache.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from fractions import Fraction

from models.domain import Account, Exact, Leg, LegKind, Market, Price
from models.margin.fixed_point import BPS, RAY, WAD, mul_div_down, rpow_half_up
from models.margin.legs import NONE, ReadLegs
from models.margin.result import Liquidation, Margin, Ratio, Refusal, Side, TokenAmount, Verdict
from models.margin.rulebook import Liquidate, Rulebook
from models.margin.tokens import in_tokens
from models.margin.toxicity import is_toxic
from models.margin.uint import uint
from models.margin.variables import Variable

PRICE_DECIMALS = 18
OWED_BITS = 31
ASSET_BITS = 112
STORED_OWED_BITS = 144
LEAST_SOCIALIZED_VALUE = 10**6


@dataclass(frozen=True, slots=True, kw_only=True)
class Ltv:
    """Loan-to-value limits of one collateral, basis points.

    Parameters
    ----------
    borrow
        Limit for new borrowing.
    liquidation
        Limit for liquidation once the ramp has ended.
    initial_liquidation
        Limit for liquidation at which the ramp began.
    target_timestamp
        Unix time at which the ramp ends; 0 where the collateral is not recognised.
    ramp_duration
        Seconds that the ramp lasts.
    """

    borrow: int
    liquidation: int
    initial_liquidation: int = 0
    target_timestamp: int = 1
    ramp_duration: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Risk parameters of one debt vault.

    Parameters
    ----------
    asset
        What is borrowed.
    collaterals
        Limits by collateral.
    max_liquidation_discount
        Most that a liquidator gets off the collateral's price, basis points.
    unit_of_account
        What prices are quoted in; a debt in that asset is taken at par, with no price.
    liquidation_cool_off_time
        Seconds after a passed check in which the account is not liquidated.
    socialized
        Whether debt left without collateral is taken off the vault's suppliers.
    decimals
        By asset: digits between a whole token and its smallest unit; the rules do not read them.
    """

    asset: str
    collaterals: Mapping[str, Ltv]
    max_liquidation_discount: int
    unit_of_account: str | None = None
    liquidation_cool_off_time: int = 0
    socialized: bool = True
    decimals: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """One account: owed amount with interest, 31 fractional bits, and balances."""

    owed: int
    balances: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """The most one liquidation may repay of the debt and take of one collateral."""

    repay: int
    take: int


def liquidation_ltv(ltv: Ltv, now: int) -> int:
    """Return the limit in force at a Unix time: it falls in a straight line, never rises."""
    if now >= ltv.target_timestamp or ltv.liquidation >= ltv.initial_liquidation:
        return ltv.liquidation
    drop = ltv.initial_liquidation - ltv.liquidation
    return ltv.liquidation + mul_div_down(
        drop, ltv.target_timestamp - now, max(1, ltv.ramp_duration)
    )


def current_owed(owed: int, *, accumulator: int, stored: int) -> int:
    """Return an owed amount with interest, 31 fractional bits, rounded down."""
    return uint(owed * accumulator) // stored


def assets_up(owed: int) -> int:
    """Return an owed amount in smallest units, rounded up."""
    return uint(-(-owed >> OWED_BITS), ASSET_BITS)


def quote(amount: int, price: int) -> int:
    """Return the value of an amount, smallest units of account, rounded down."""
    return uint(amount * price) // WAD


def mid(price: Price) -> int:
    """Return the price that liquidation is judged by."""
    return price.value


def bid(price: Price) -> int:
    """Return the price that collateral is judged by when borrowing."""
    return price.value if price.bid is None else price.bid


def ask(price: Price) -> int:
    """Return the price that debt is judged by when borrowing."""
    return price.value if price.ask is None else price.ask


def liability_value(
    assets: int, prices: Mapping[str, Price], terms: Terms, *, side: Callable[[Price], int]
) -> int:
    """Return the value of a debt, smallest units of account."""
    if assets == 0 or terms.asset == terms.unit_of_account:
        return assets
    return quote(assets, side(prices[terms.asset]))


def adjusted_value(
    position: Position,
    prices: Mapping[str, Price],
    limits: Mapping[str, int],
    *,
    side: Callable[[Price], int],
) -> int:
    """Return the collateral value that counts, each cut to its limit, units of account."""
    total = 0
    for asset, balance in position.balances.items():
        limit = limits.get(asset, 0)
        if limit and balance:
            total = uint(total + uint(quote(balance, side(prices[asset])) * limit) // BPS)
    return total


def maintenance_side(
    position: Position, prices: Mapping[str, Price], terms: Terms, *, now: int
) -> Side:
    """Return what liquidation is judged by: mid prices and the ramped limits."""
    limits = {asset: liquidation_ltv(ltv, now) for asset, ltv in terms.collaterals.items()}
    return Side(
        adjusted_value(position, prices, limits, side=mid),
        liability_value(assets_up(position.owed), prices, terms, side=mid),
    )


def initial_side(position: Position, prices: Mapping[str, Price], terms: Terms) -> Side:
    """Return what borrowing is judged by: bid against ask and the borrow limits."""
    limits = {asset: ltv.borrow for asset, ltv in terms.collaterals.items()}
    return Side(
        adjusted_value(position, prices, limits, side=bid),
        liability_value(assets_up(position.owed), prices, terms, side=ask),
    )


def may_borrow(side: Side) -> bool:
    """Return whether a borrow check passes; equality does not."""
    return side.requirement == 0 or side.surplus > 0


def is_violation(side: Side) -> bool:
    """Return whether an account may be liquidated; equality may."""
    return side.requirement != 0 and side.surplus <= 0


def discount_factor(side: Side, terms: Terms) -> int:
    """Return the price share at which collateral is taken, wad: the health, to a floor."""
    floor = WAD - mul_div_down(WAD, terms.max_liquidation_discount, BPS)
    return max(floor, uint(int(side.credit) * WAD) // int(side.requirement))


def best_offer(side: Side, *, debt: int, balance: int, value: int, terms: Terms) -> Offer:
    """Return the most a liquidator may repay and take.

    Parameters
    ----------
    side
        What liquidation is judged by.
    debt
        Debt, smallest units.
    balance, value
        Balance of the collateral to take and its full value at mid.

    Raises
    ------
    OverflowError, ZeroDivisionError
        Where the contract reverts.
    """
    if not is_violation(side):
        return Offer(repay=0, take=0)
    factor = discount_factor(side, terms)
    if value == 0:
        return Offer(repay=0, take=balance)
    owed_value = int(side.requirement)
    repay_value, take_value = owed_value, uint(owed_value * WAD) // factor
    if value < take_value:
        repay_value, take_value = uint(value * factor) // WAD, value
    return Offer(
        repay=uint(uint(repay_value * debt) // owed_value, ASSET_BITS),
        take=uint(take_value * balance) // value,
    )


def part_of(offer: Offer, repay: int) -> Offer | Refusal:
    """Return what a repayment of less than the most takes."""
    if repay > offer.repay:
        return Refusal("E_ExcessiveRepayAmount", f"{repay} is above the limit of {offer.repay}")
    if offer.repay == 0:
        return offer
    return Offer(repay=repay, take=uint(repay * offer.take) // offer.repay)


def accumulated(accumulator: int, *, rate: int, seconds: int) -> int:
    """Return the accumulator after `seconds`; the old one where the new one would overflow."""
    try:
        return uint(accumulator * rpow_half_up(RAY + rate, seconds, RAY)) // RAY
    except OverflowError:
        return accumulator


def accrue(market: Market, terms: Terms, at: datetime) -> Market:  # noqa: ARG001 - one signature
    """Return the market with interest carried to `at`; the limits' ramp follows `at` itself."""
    now = int(at.timestamp())
    state = market.state
    elapsed = now - state.get("updated_at", int(market.at.timestamp()))
    if elapsed <= 0 or not {"interest_accumulator", "interest_rate"} <= state.keys():
        return replace(market, at=at)
    grown = accumulated(state["interest_accumulator"], rate=state["interest_rate"], seconds=elapsed)
    carried = {**state, "interest_accumulator": grown, "updated_at": now}
    return replace(market, at=at, state=carried)


def position_of(account: Account, market: Market) -> Position:
    """Return an account's legs with interest up to the market's accumulator.

    Raises
    ------
    OverflowError
        Where the contract reverts.
    """
    balances: dict[str, int] = {}
    owed = 0
    for leg in account.legs:
        if leg.kind is LegKind.DEBT:
            owed += int(leg.quantity)
        elif leg.kind is LegKind.COLLATERAL and leg.pledged:
            balances[leg.asset] = balances.get(leg.asset, 0) + int(leg.quantity)
    accumulator = market.state.get("interest_accumulator", RAY)
    stored = account.options.get("interest_accumulator", accumulator)
    owed = current_owed(uint(owed, STORED_OWED_BITS), accumulator=accumulator, stored=stored)
    return Position(owed=uint(owed, STORED_OWED_BITS), balances=balances)


def needed_prices(account: Account, market: Market, terms: Terms) -> tuple[str, ...]:
    """Return the assets whose prices the verdict rests on, collateral first."""
    now = int(market.at.timestamp())
    counted = [
        leg.asset
        for leg in account.legs
        if leg.kind is LegKind.COLLATERAL
        and leg.pledged
        and leg.quantity
        and leg.asset in terms.collaterals
        and liquidation_ltv(terms.collaterals[leg.asset], now)
    ]
    debt = [] if terms.asset == terms.unit_of_account else [terms.asset]
    return tuple(dict.fromkeys([*counted, *debt]))


def fault_of(account: Account, market: Market, needed: tuple[str, ...]) -> str | None:
    """Return why an account that owes cannot be judged, if it cannot."""
    for asset in needed:
        price = market.prices.get(asset)
        if price is None:
            return "price_missing"
        if min(mid(price), bid(price), ask(price)) <= 0:
            return "price_not_positive"
    stored = account.options.get("interest_accumulator")
    if stored is not None and (stored <= 0 or "interest_accumulator" not in market.state):
        return "interest_accumulator_missing"
    now = int(market.at.timestamp())
    is_stale = market.state.get("updated_at", now) < now
    return "accrual_unknown" if is_stale else None


def margin(account: Account, market: Market, terms: Terms) -> Margin:
    """Judge one account with interest and ramps carried to the moment of judgement.

    Both sides are units of account: whole ones where the terms tell its digits, else smallest.

    The ratio `health_score` is adjusted collateral over liability, wad; at 1 and below the
    account is liquidatable.
    """
    if not any(leg.quantity for leg in account.legs if leg.kind is LegKind.DEBT):
        side = Side(0, 0)
        return Margin(
            verdict=Verdict.SAFE,
            reason="no_debt",
            maintenance=side,
            initial=side,
            ratio=Ratio("health_score", None, 18),
        )
    market = accrue(market, terms, market.at)
    needed = needed_prices(account, market, terms)
    fault = fault_of(account, market, needed)
    if fault is not None:
        return Margin(verdict=Verdict.UNEVALUABLE, reason=fault, prices=needed)
    try:
        return _judge(account, market, terms, needed)
    except OverflowError:
        return Margin(verdict=Verdict.UNEVALUABLE, reason="overflow", prices=needed)


def _judge(account: Account, market: Market, terms: Terms, needed: tuple[str, ...]) -> Margin:
    """Judge an account that owes, or raise OverflowError where the contract reverts."""
    position = position_of(account, market)
    side = maintenance_side(position, market.prices, terms, now=int(market.at.timestamp()))
    verdict, reason = Verdict.SAFE, "above_liquidation_ltv"
    if is_violation(side):
        verdict, reason = Verdict.LIQUIDATABLE, "at_or_below_liquidation_ltv"
        blocked = block_of(account, market, terms)
        if blocked is not None:
            verdict, reason = Verdict.NOT_EXECUTABLE, blocked.reason
    score = int(side.credit) * WAD // int(side.requirement) if side.requirement else None
    return Margin(
        verdict=verdict,
        reason=reason,
        maintenance=side,
        initial=_initial(position, market.prices, terms),
        value_decimals=terms.decimals.get(terms.unit_of_account or "", 0),
        ratio=Ratio("health_score", score, 18),
        prices=needed,
    )


def _initial(position: Position, prices: Mapping[str, Price], terms: Terms) -> Side | None:
    """Return the side that borrowing is judged by; None where it lacks a price."""
    counted = {
        asset
        for asset, balance in position.balances.items()
        if balance and asset in terms.collaterals and terms.collaterals[asset].borrow
    }
    return initial_side(position, prices, terms) if counted <= prices.keys() else None


def block_of(account: Account, market: Market, terms: Terms) -> Refusal | None:
    """Return why a violation may not be acted on now, if it may not."""
    if market.state.get("liquidate_paused", 0):
        return Refusal("E_OperationDisabled", "liquidation is switched off")
    checked = account.options.get("last_status_check")
    now = int(market.at.timestamp())
    if checked is not None and now < checked + terms.liquidation_cool_off_time:
        until = checked + terms.liquidation_cool_off_time
        return Refusal("E_LiquidationCoolOff", f"{now} is before {until}")
    return None


def liquidate(
    account: Account, market: Market, terms: Terms, request: Liquidate
) -> Liquidation | Refusal:
    """Return what a liquidator may repay and take of one collateral.

    `bad_debt` is what is left when no recognised collateral is; where the vault socialises
    it, the account owes nothing afterwards.
    """
    market = accrue(market, terms, market.at)
    asset = request.collateral_asset or _only_collateral(account)
    before = margin(account, market, terms)
    if before.verdict is Verdict.SAFE and request.repay:
        return Refusal("E_ExcessiveRepayAmount", f"{request.repay} is above the limit of 0")
    refused = refusal_of(account, market, terms, before=before, asset=asset)
    if refused is not None or asset is None:
        return refused or Refusal("collateral_unstated")
    try:
        return _take(account, market, terms, before=before, asset=asset, repay=request.repay)
    except (OverflowError, ZeroDivisionError) as error:
        return Refusal("overflow", str(error))


def refusal_of(
    account: Account, market: Market, terms: Terms, *, before: Margin, asset: str | None
) -> Refusal | None:
    """Return why nothing is taken of a collateral whatever the amount, if nothing is."""
    if asset is None:
        return Refusal("collateral_unstated", "name the collateral to take: there are several")
    ltv = terms.collaterals.get(asset)
    if ltv is None or ltv.target_timestamp == 0:
        return Refusal("E_BadCollateral", f"{asset} is not recognised as collateral")
    blocked = block_of(account, market, terms)
    if blocked is not None:
        return blocked
    if before.verdict is not Verdict.LIQUIDATABLE:
        reason = "no_violation" if before.verdict is Verdict.SAFE else before.reason
        return Refusal(reason, "the venue takes nothing")
    price = market.prices.get(asset)
    if price is None or price.value <= 0:
        return Refusal("price_missing" if price is None else "price_not_positive", asset)
    return None


def _only_collateral(account: Account) -> str | None:
    """Return the collateral of an account that has just one."""
    assets = {leg.asset for leg in account.legs if leg.kind is LegKind.COLLATERAL and leg.pledged}
    return assets.pop() if len(assets) == 1 else None


def _take(
    account: Account,
    market: Market,
    terms: Terms,
    *,
    before: Margin,
    asset: str,
    repay: Exact | None,
) -> Liquidation | Refusal:
    """Take collateral for debt; raise where the contract reverts."""
    side = before.maintenance or Side(0, 0)
    position = position_of(account, market)
    debt, balance = assets_up(position.owed), position.balances.get(asset, 0)
    value = quote(balance, mid(market.prices[asset]))
    most = best_offer(side, debt=debt, balance=balance, value=value, terms=terms)
    offer = most if repay is None else part_of(most, int(repay))
    if isinstance(offer, Refusal):
        return offer
    left = replace(
        position,
        owed=max(0, position.owed - (offer.repay << OWED_BITS)),
        balances={**position.balances, asset: balance - offer.take},
    )
    bad_debt = 0 if _has_collateral(left, terms) else debt - offer.repay
    if bad_debt and terms.socialized and int(side.requirement) >= LEAST_SOCIALIZED_VALUE:
        left = replace(left, owed=0)
    after = margin(with_position(account, left), market, terms)
    repaid_value = liability_value(offer.repay, market.prices, terms, side=mid)
    plain = -(-repaid_value * WAD // mid(market.prices[asset]))
    return Liquidation(
        repaid={terms.asset: offer.repay},
        seized={asset: offer.take},
        bonus={asset: max(0, offer.take - plain)},
        bad_debt={terms.asset: bad_debt} if bad_debt else {},
        after=after,
        is_toxic=is_toxic(before.maintenance, after.maintenance),
    )


def _has_collateral(position: Position, terms: Terms) -> bool:
    """Return whether any recognised collateral is left."""
    return any(
        balance and asset in terms.collaterals and terms.collaterals[asset].target_timestamp
        for asset, balance in position.balances.items()
    )


def with_position(account: Account, position: Position) -> Account:
    """Return the account with its legs as of now and the position's amounts."""
    owed, balances = position.owed, dict(position.balances)
    legs = []
    for leg in account.legs:
        if leg.kind is LegKind.DEBT:
            legs.append(replace(leg, quantity=owed))
            owed = 0
        elif leg.kind is LegKind.COLLATERAL and leg.pledged:
            legs.append(replace(leg, quantity=balances.pop(leg.asset, 0)))
        else:
            legs.append(leg)
    options = {name: v for name, v in account.options.items() if name != "interest_accumulator"}
    return replace(account, legs=tuple(legs), options=options)


def bare(terms: Terms) -> Terms:
    """Return the terms with whatever counts as collateral counted in full, ramps ended."""
    counted = {
        asset: replace(ltv, liquidation=BPS, initial_liquidation=BPS) if ltv.liquidation else ltv
        for asset, ltv in terms.collaterals.items()
    }
    return replace(terms, collaterals=counted)


def tokens(account: Account, market: Market, terms: Terms) -> tuple[TokenAmount, ...] | Refusal:
    """Return what shares stand for, and the debt with interest, in whole tokens."""
    return in_tokens(
        account.legs, lambda leg: assets_of(leg, account, market, terms), terms.decimals
    )


def assets_of(leg: Leg, account: Account, market: Market, terms: Terms) -> Exact | Refusal:
    """Return what a leg holds or owes, smallest units of what its vault holds."""
    if leg.kind is LegKind.DEBT:
        now = accrue(market, terms, market.at)
        fault = fault_of(account, now, ())
        owed = replace(account, legs=(leg,))
        try:
            return Refusal(fault) if fault else assets_up(position_of(owed, now).owed)
        except OverflowError:
            return Refusal("overflow")
    rate = market.state.get(f"{leg.asset}.exchange_rate")
    if leg.kind is LegKind.POSITION or rate is None:
        return Refusal("exchange_rate_missing", f"{leg.asset}.exchange_rate")
    return Fraction(int(leg.quantity) * rate, WAD)


def price_power(terms: Terms, asset: str) -> int | None:
    """Return the power of ten between the oracle's price and one of whole tokens or shares."""
    if not {asset, terms.unit_of_account} <= terms.decimals.keys():
        return None
    return terms.decimals[asset] - terms.decimals[terms.unit_of_account or ""]


STATE = (
    Variable("interest_accumulator", "ray"),
    Variable("updated_at", "Unix seconds"),
    Variable("interest_rate", "ray a second"),
    Variable("liquidate_paused", "0 or 1"),
    Variable("{asset}.exchange_rate", "wad"),
)
OPTIONS = (
    Variable("interest_accumulator", "ray"),
    Variable("last_status_check", "Unix seconds"),
)

RULEBOOKS = (
    Rulebook(
        venue="euler-v2",
        version="evk",
        terms=Terms,
        state=STATE,
        options=OPTIONS,
        price_decimals=PRICE_DECIMALS,
        price_power=price_power,
        margin=margin,
        reads=lambda terms: ReadLegs(debt={terms.asset}, position=NONE, has_flag=True),
        bare=bare,
        liquidate=liquidate,
        accrue=accrue,
        tokens=tokens,
    ),
)
