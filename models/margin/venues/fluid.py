"""Fluid vaults (type 1): positions sit on ticks of debt per collateral.

A tick t stands for the ratio 1.0015^t; ratios carry 96 fractional bits. The price of one
collateral unit in debt units, both smallest, has 27 decimals: `value` is the rate for
liquidation, `bid` the one for borrowing where the oracle tells them apart. Thresholds are in
thousandths, the penalty in basis points, exchange prices in 10^12.

Legs: one collateral and one debt leg, both in the vault's raw amounts (tokens · 10^12 /
exchange price), the debt net of the vault's dust. `Account.options`: `tick` is the position's
tick as stored; where it is absent, the tick that the venue would store for these amounts.

`Market.state`: `supply_exchange_price`, `borrow_exchange_price` (10^12, 10^12 where absent).

What a liquidation between the threshold and the maximum limit takes from one account is not
established here: the venue liquidates whole ticks and branches, the account's share depends
on every other position above the threshold, and is stored with rounding. `tick_liquidation`
gives the amounts for one tick; `liquidate` refuses, but for positions above the maximum limit,
which are absorbed whole.

References
----------
Instadapp/fluid-contracts-public at a9949b48: tickMath (executed), vaultT1 core (read).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction

from models.domain import Account, Exact, Leg, LegKind, Market, Price
from models.margin.fixed_point import BPS, mul_div_down
from models.margin.legs import NONE, ReadLegs
from models.margin.result import Liquidation, Margin, Ratio, Refusal, Side, TokenAmount, Verdict
from models.margin.rulebook import Liquidate, Rulebook
from models.margin.tokens import in_tokens
from models.margin.uint import uint
from models.margin.variables import Variable

ORACLE_DECIMALS = 27
ORACLE_SCALE: int = 10**ORACLE_DECIMALS
MAX_ORACLE_PRICE = 10**54
MIN_OPERATE_PRICE = 10**9
PRICE_CAP = 10**45
EXCHANGE_SCALE = 10**12
THOUSAND = 1000
AMOUNT_BITS = 128

MAX_TICK = 32767
RATIO_SCALE = 2**96
MIN_RATIO = 37075072
MAX_RATIO = 169307877264527972847801929085841449095838922544595
STEP_SCALE = 10**26
TICK_NUMERATOR, TICK_DENOMINATOR = 10015, 10000

# 2^128 / 1.0015^(2^i), to the nearest; the venue multiplies those of the tick's set bits.
FALLS = (
    339772707859149738855091969477551883631,
    339263812140938331358054887146831636176,
    338248306163758188337119769319392490073,
    336226404141693512316971918999264834163,
    332218786018727629051611634067491389875,
    324346285652234375371948336458280706178,
    309156521885964218294057947947195947664,
    280877777739312896540849703637713172762,
    231843708922198649176471782639349113087,
    157961477267171621126394973980180876449,
    73326833024599564193373530205717235131,
    15801066890623697521348224657638773661,
    733725103481409245883800626999235102,
    1582075887005588088019997442108535,
    7355550435635883087458926352,
)
# 1.0015^(2^i) · 10^26; the seventh is one below the nearest integer, so none is computed.
RISES = (
    100150000000000000000000000,
    100300225000000000000000000,
    100601351350506250000000000,
    101206318935480056907421313,
    102427189924701091191840928,
    104913292358707887270979600,
    110067989135437147685980801,
    121149622323187099817270416,
    146772309890508740607270615,
    215421109505955298802281577,
    464062544207767844008185025,
    2153540449365864845468344760,
    46377364670549310883002866649,
    21508599537851153911767490449162,
    4626198540796508716348404308345255985,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Risk parameters of one vault.

    Parameters
    ----------
    collateral_asset, debt_asset
        Names at the venue.
    collateral_factor, liquidation_threshold, liquidation_max_limit
        Debt per collateral value up to which one may borrow, beyond which a tick may be
        liquidated, and beyond which it is absorbed; thousandths.
    liquidation_penalty
        Collateral that a liquidator gets on top, basis points.
    decimals
        By asset: digits between a whole token and its smallest unit; the rules do not read them.
    """

    collateral_asset: str
    debt_asset: str
    collateral_factor: int
    liquidation_threshold: int
    liquidation_max_limit: int
    liquidation_penalty: int
    decimals: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Perfect:
    """A tick and the ratio that stands exactly on it, never above the one asked for."""

    tick: int
    ratio: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """Raw debt repaid and raw collateral taken."""

    debt: int
    collateral: int


def ratio_at_tick(tick: int) -> int:
    """Return 1.0015^tick with 96 fractional bits.

    Raises
    ------
    OverflowError
        When the tick is outside ±32767: the contract reverts.
    """
    if abs(tick) > MAX_TICK:
        raise OverflowError(f"tick {tick} is outside ±{MAX_TICK}")
    factor = 2**128
    for bit, fall in enumerate(FALLS):
        if abs(tick) >> bit & 1:
            factor = factor * fall >> 128
    if tick < 0:
        return factor >> 32
    # Rounded up, so that the tick of the ratio is the tick again.
    return -(-((2**256 - 1) // factor) >> 32)


def tick_at_ratio(ratio: int) -> Perfect:
    """Return the tick at or below a ratio of debt to collateral.

    Raises
    ------
    OverflowError
        When the ratio is outside the venue's range: the contract reverts.
    """
    if not MIN_RATIO <= ratio <= MAX_RATIO:
        raise OverflowError(f"ratio {ratio} is outside {MIN_RATIO} to {MAX_RATIO}")
    above = ratio >= RATIO_SCALE
    factor = ratio * STEP_SCALE // RATIO_SCALE if above else RATIO_SCALE * STEP_SCALE // ratio
    tick = 0
    for bit in reversed(range(len(RISES))):
        if factor >= RISES[bit]:
            tick |= 1 << bit
            factor = factor * STEP_SCALE // RISES[bit]
    if above:
        return Perfect(tick=tick, ratio=ratio * STEP_SCALE // factor)
    return Perfect(tick=~tick, ratio=ratio * factor // RISES[0])


def padded_debt(debt: int) -> int:
    """Return raw debt with the margin that the venue adds before it picks a tick."""
    return debt * 1_000_000_001 // 1_000_000_000 + 1


def stored_tick(collateral: int, debt: int) -> int:
    """Return the tick that the venue stores for raw amounts: the next above their ratio.

    Raises
    ------
    OverflowError
        When the ratio is outside the venue's range.
    """
    return tick_at_ratio(padded_debt(debt) * RATIO_SCALE // collateral).tick + 1


def raw_price(price: int, market: Market) -> int:
    """Return the price of a raw collateral unit in raw debt units, 27 decimals, capped."""
    supply = market.state.get("supply_exchange_price", EXCHANGE_SCALE)
    borrow = market.state.get("borrow_exchange_price", EXCHANGE_SCALE)
    return min(PRICE_CAP, price * supply // borrow)


def limit_ratio(price: int, threshold: int) -> int:
    """Return the ratio at a threshold (thousandths) of a raw price (27 decimals)."""
    at_par = price * RATIO_SCALE // ORACLE_SCALE
    return at_par * threshold // THOUSAND


def limit_tick(price: int, threshold: int) -> int:
    """Return the tick at a threshold (thousandths) of a raw price (27 decimals)."""
    return tick_at_ratio(limit_ratio(price, threshold)).tick


def borrow_ratio(price: int, factor: int) -> int:
    """Return the ratio up to which one may borrow; the venue divides in another order."""
    limited = price * factor // THOUSAND
    return limited * RATIO_SCALE // ORACLE_SCALE


def borrow_tick(price: int, terms: Terms) -> int:
    """Return the highest tick that borrowing may reach."""
    return tick_at_ratio(borrow_ratio(price, terms.collateral_factor)).tick


def collateral_per_debt(price: int, terms: Terms) -> int:
    """Return the raw collateral that a unit of raw debt takes, penalty included, 27 decimals."""
    at_par = ORACLE_SCALE * ORACLE_SCALE // price
    return mul_div_down(at_par, BPS + terms.liquidation_penalty, BPS)


def tick_liquidation(debt: int, *, ratio: int, end_ratio: int, per_debt: int) -> Taken:
    """Return what brings the debt of one tick down to a lower ratio.

    Parameters
    ----------
    debt
        Raw debt on the tick.
    ratio, end_ratio
        Ratio of the tick and the one to end at, 96 fractional bits.
    per_debt
        Raw collateral taken per raw debt, 27 decimals.
    """
    excess = debt - end_ratio * debt // ratio
    slack = ORACLE_SCALE - per_debt * end_ratio // RATIO_SCALE
    repaid = excess * ORACLE_SCALE // slack
    collateral = repaid * per_debt // ORACLE_SCALE
    return Taken(debt=repaid - 1 if repaid == debt else repaid, collateral=collateral)


def holdings(account: Account) -> tuple[int, int]:
    """Return the raw collateral and the raw debt of a position."""
    collateral, owed = (
        sum(int(leg.quantity) for leg in account.legs if leg.kind is kind)
        for kind in (LegKind.COLLATERAL, LegKind.DEBT)
    )
    return collateral, owed


def fault_of(price: Price | None, collateral: int, market: Market) -> str | None:
    """Return why a position that owes cannot be judged, if it cannot."""
    if price is None:
        return "price_missing"
    if price.value <= 0:
        return "price_not_positive"
    if price.value > MAX_ORACLE_PRICE:
        return "Vault__InvalidOraclePrice"
    for name in ("supply_exchange_price", "borrow_exchange_price"):
        if market.state.get(name, EXCHANGE_SCALE) <= 0:
            return "exchange_price_missing"
    return None if collateral else "no_collateral"


def margin(account: Account, market: Market, terms: Terms) -> Margin:
    """Judge one position by its tick against the tick of the liquidation threshold.

    Both sides are debt: what the collateral carries at the threshold's tick against what the
    position's own tick stands for, in whole tokens where the terms tell their digits, else in
    smallest units. The ratio `tick` is the position's own.
    """
    collateral, debt = holdings(account)
    asset = terms.collateral_asset
    if debt == 0:
        side = Side(0, 0)
        return Margin(
            verdict=Verdict.SAFE,
            reason="no_debt",
            maintenance=side,
            initial=side,
            ratio=Ratio("tick", None, 0),
        )
    price = market.prices.get(asset)
    fault = fault_of(price, collateral, market)
    if price is None or fault is not None:
        return Margin(verdict=Verdict.UNEVALUABLE, reason=str(fault), prices=(asset,))
    try:
        uint(collateral, AMOUNT_BITS)
        uint(debt, AMOUNT_BITS)
        tick = account.options.get("tick")
        position_tick = stored_tick(collateral, debt) if tick is None else tick
        return _judge(position_tick, collateral, price=price, market=market, terms=terms)
    except OverflowError:
        return Margin(verdict=Verdict.UNEVALUABLE, reason="ratio_out_of_range", prices=(asset,))


def _judge(tick: int, collateral: int, *, price: Price, market: Market, terms: Terms) -> Margin:
    """Judge a tick, or raise OverflowError where the contract reverts."""
    raw = raw_price(price.value, market)
    per_raw = Fraction(market.state.get("borrow_exchange_price", EXCHANGE_SCALE), EXCHANGE_SCALE)
    digits = terms.decimals.get(terms.debt_asset, 0)
    if limit_ratio(raw, terms.liquidation_threshold) < MIN_RATIO:
        # Every debt is above such a limit, yet the venue has no tick for it and reverts.
        debt_value = Fraction(ratio_at_tick(tick) * collateral, RATIO_SCALE) * per_raw
        return Margin(
            verdict=Verdict.NOT_EXECUTABLE,
            reason="ratio_out_of_range",
            maintenance=Side(0, debt_value),
            value_decimals=digits,
            ratio=Ratio("tick", tick, 0),
            prices=(terms.collateral_asset,),
        )
    limit = limit_tick(raw, terms.liquidation_threshold)
    verdict, reason = Verdict.SAFE, "at_or_below_liquidation_tick"
    if tick > limit_tick(raw, terms.liquidation_max_limit):
        verdict, reason = Verdict.LIQUIDATABLE, "above_liquidation_max_limit"
    elif tick > limit:
        verdict, reason = Verdict.LIQUIDATABLE, "above_liquidation_tick"
    return Margin(
        verdict=verdict,
        reason=reason,
        maintenance=_side(tick, limit, collateral * per_raw),
        initial=_initial(tick, collateral * per_raw, price=price, market=market, terms=terms),
        value_decimals=digits,
        ratio=Ratio("tick", tick, 0),
        prices=(terms.collateral_asset,),
    )


def _side(tick: int, limit: int, collateral: Fraction) -> Side:
    """Return debt carried at one tick against debt at the position's, smallest units.

    Parameters
    ----------
    collateral
        Raw collateral times what a unit of raw debt stands for.
    """
    credit, requirement = ratio_at_tick(limit), ratio_at_tick(tick)
    return Side(credit * collateral / RATIO_SCALE, requirement * collateral / RATIO_SCALE)


def _initial(
    tick: int, collateral: Fraction, *, price: Price, market: Market, terms: Terms
) -> Side | None:
    """Return the side that borrowing is judged by; None where its price is refused."""
    value = price.value if price.bid is None else price.bid
    if not MIN_OPERATE_PRICE <= value <= MAX_ORACLE_PRICE:
        return None
    return _side(tick, borrow_tick(raw_price(value, market), terms), collateral)


def liquidate(
    account: Account,
    market: Market,
    terms: Terms,
    request: Liquidate,  # noqa: ARG001 - an absorption takes everything
) -> Liquidation | Refusal:
    """Return the absorption of a position above the maximum limit; refuse everything else.

    Amounts are tokens, not raw amounts. An absorbed position loses all collateral and all debt.
    """
    judged = margin(account, market, terms)
    if judged.verdict in {Verdict.UNEVALUABLE, Verdict.NOT_EXECUTABLE}:
        return Refusal(judged.reason)
    if judged.verdict is Verdict.SAFE:
        return Refusal("not_above_liquidation_tick", f"{judged.ratio}")
    if judged.reason != "above_liquidation_max_limit":
        return Refusal(
            "per_tick_liquidation",
            "ticks and branches are liquidated whole; one account's share is not established",
        )
    collateral, debt = holdings(account)
    supply = market.state.get("supply_exchange_price", EXCHANGE_SCALE)
    borrow = market.state.get("borrow_exchange_price", EXCHANGE_SCALE)
    legs = tuple(replace(leg, quantity=0) for leg in account.legs)
    return Liquidation(
        repaid={terms.debt_asset: mul_div_down(debt, borrow, EXCHANGE_SCALE)},
        seized={terms.collateral_asset: mul_div_down(collateral, supply, EXCHANGE_SCALE)},
        after=margin(replace(account, legs=legs), market, terms),
    )


def tokens(account: Account, market: Market, terms: Terms) -> tuple[TokenAmount, ...] | Refusal:
    """Return what the raw amounts stand for, in whole tokens."""
    return in_tokens(account.legs, lambda leg: amount_of(leg, market), terms.decimals)


def amount_of(leg: Leg, market: Market) -> Exact | Refusal:
    """Return what a leg's raw amount stands for, smallest units."""
    side = "supply" if leg.kind is LegKind.COLLATERAL else "borrow"
    price = market.state.get(f"{side}_exchange_price", EXCHANGE_SCALE)
    if leg.kind is LegKind.POSITION or price <= 0:
        return Refusal("exchange_price_missing", f"{side}_exchange_price")
    return Fraction(int(leg.quantity) * price, EXCHANGE_SCALE)


def price_power(terms: Terms, _: str) -> int | None:
    """Return the power of ten between the oracle's price and one of whole tokens."""
    if not {terms.collateral_asset, terms.debt_asset} <= terms.decimals.keys():
        return None
    return terms.decimals[terms.collateral_asset] - terms.decimals[terms.debt_asset]


STATE = (
    Variable("supply_exchange_price", "10^12"),
    Variable("borrow_exchange_price", "10^12"),
)
OPTIONS = (Variable("tick", "tick of the position"),)

RULEBOOKS = (
    Rulebook(
        venue="fluid",
        version="vault-t1",
        terms=Terms,
        state=STATE,
        options=OPTIONS,
        price_decimals=ORACLE_DECIMALS,
        price_power=price_power,
        margin=margin,
        reads=lambda terms: ReadLegs(
            collateral={terms.collateral_asset}, debt={terms.debt_asset}, position=NONE
        ),
        liquidate=liquidate,
        tokens=tokens,
    ),
)
