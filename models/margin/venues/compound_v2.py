"""Compound v2: one account over all entered markets, balances in cTokens.

Units: prices are quote units of 10^18 per smallest unit of the underlying, times 10^18;
exchange rates, collateral factors, close factor, incentive and seize share in wad (10^18);
liquidity and shortfall in 10^18 quote units.

Legs, in the order in which the markets were entered: a collateral leg holds cTokens, a debt
leg the borrow balance with interest, smallest units of the underlying. Interest accrues by
the block, not by the second, so nothing is carried forward here: hand in both as of the
block of judgement.

`Market.state`: `{asset}.exchange_rate` (wad, as of the block), `{asset}.deprecated` (1 where
the market is closed down and every debt in it may be repaid by anyone), `seize_paused` (0, 1).

References
----------
compound-finance/compound-protocol at a3214f67, Comptroller.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction

from models.domain import Account, Exact, Leg, LegKind, Market
from models.margin.fixed_point import WAD
from models.margin.legs import NONE, ReadLegs
from models.margin.result import Liquidation, Margin, Ratio, Refusal, Side, TokenAmount, Verdict
from models.margin.rulebook import Liquidate, Rulebook
from models.margin.tokens import in_tokens
from models.margin.toxicity import is_toxic
from models.margin.uint import uint
from models.margin.variables import Variable

PRICE_DECIMALS = 18
ERROR_CODES = {"INSUFFICIENT_SHORTFALL": 3, "PRICE_ERROR": 13, "TOO_MUCH_REPAY": 17}
"""Numbers that the venue returns for its own reasons."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Risk parameters of one Comptroller.

    Parameters
    ----------
    close_factor
        Share of one debt that one liquidation may repay, wad.
    liquidation_incentive
        Value seized over value repaid, wad.
    collateral_factors
        Share of an asset's value that counts, by asset, wad.
    protocol_seize_share
        Part of what is seized that the market keeps as reserves, wad.
    decimals
        By asset: digits between a whole token and its smallest unit; the rules do not read them.
    """

    close_factor: int
    liquidation_incentive: int
    collateral_factors: Mapping[str, int]
    protocol_seize_share: int = 0
    decimals: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entered:
    """One entered market of an account, with what the venue knows of it.

    Parameters
    ----------
    tokens
        cTokens held.
    borrowed
        Debt with interest, smallest units.
    price, exchange_rate, collateral_factor
        Wad.
    """

    tokens: int
    borrowed: int
    price: int
    exchange_rate: int
    collateral_factor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """The debt that is repaid and the collateral that is taken.

    Parameters
    ----------
    debt, collateral
        Assets.
    borrowed
        Debt with interest, smallest units.
    tokens
        cTokens of the collateral.
    debt_price, collateral_price, exchange_rate
        Wad; the collateral's cToken is worth more than nothing.
    deprecated
        Whether the debt's market is closed down.
    """

    debt: str
    collateral: str
    borrowed: int
    tokens: int
    debt_price: int
    collateral_price: int
    exchange_rate: int
    deprecated: bool = False


def product(a: int, b: int) -> int:
    """Return the product of two wad numbers in wad, truncated."""
    return uint(a * b) // WAD


def side_of(markets: Iterator[Entered]) -> Side:
    """Return what counts as collateral against what is owed, 10^18 quote units.

    Each market truncates three times, in the venue's order: the factor on the exchange
    rate, the price on that, and their product on the tokens.
    """
    collateral, debt = 0, 0
    for each in markets:
        per_token = product(product(each.collateral_factor, each.exchange_rate), each.price)
        collateral = uint(collateral + product(per_token, each.tokens))
        debt = uint(debt + product(each.price, each.borrowed))
    return Side(collateral, debt)


def tokens_per_repaid(pair: Pair, incentive: int) -> int:
    """Return the cTokens that one smallest unit repaid takes at an incentive, wad.

    Raises
    ------
    OverflowError
        When a product leaves uint256.
    """
    numerator = product(incentive, pair.debt_price)
    per_token = product(pair.collateral_price, pair.exchange_rate)
    return uint(numerator * WAD) // per_token


def tokens_to_seize(repay: int, pair: Pair, terms: Terms) -> int:
    """Return the cTokens that a repayment takes, bonus included."""
    return product(tokens_per_repaid(pair, terms.liquidation_incentive), repay)


def close_limit(borrowed: int, terms: Terms) -> int:
    """Return the most of one debt that one liquidation may repay, smallest units."""
    return product(terms.close_factor, borrowed)


def quantity_of(account: Account, kind: LegKind, asset: str) -> int:
    """Return how much of an asset an account holds or owes."""
    return sum(int(leg.quantity) for leg in account.legs if (leg.kind, leg.asset) == (kind, asset))


def entered_assets(account: Account) -> tuple[str, ...]:
    """Return the assets of an account's entered markets, in order, each once.

    A collateral leg that is not pledged belongs to a market that was not entered.
    """
    legs = (leg for leg in account.legs if leg.pledged or leg.kind is LegKind.DEBT)
    return tuple(dict.fromkeys(leg.asset for leg in legs))


def entered(account: Account, market: Market, terms: Terms) -> Iterator[Entered]:
    """Yield an account's entered markets in order; call it only where nothing is missing."""
    for asset in entered_assets(account):
        yield Entered(
            tokens=sum(
                int(leg.quantity)
                for leg in account.legs
                if leg.kind is LegKind.COLLATERAL and leg.pledged and leg.asset == asset
            ),
            borrowed=quantity_of(account, LegKind.DEBT, asset),
            price=market.prices[asset].value,
            exchange_rate=market.state.get(f"{asset}.exchange_rate", 0),
            collateral_factor=terms.collateral_factors.get(asset, 0),
        )


def fault_of(account: Account, market: Market, terms: Terms) -> str | None:
    """Return why an account that owes cannot be judged, if it cannot."""
    for asset in entered_assets(account):
        price = market.prices.get(asset)
        if asset not in terms.collateral_factors:
            return "asset_not_listed"
        if price is None:
            return "price_missing"
        if price.value <= 0:
            return "price_not_positive"
        holds = quantity_of(account, LegKind.COLLATERAL, asset)
        if holds and market.state.get(f"{asset}.exchange_rate", 0) <= 0:
            return "exchange_rate_missing"
    return None


def margin(account: Account, market: Market, terms: Terms) -> Margin:
    """Judge one account: it is liquidatable when it owes more than its collateral counts.

    The ratio `health` (the venue's interface name) is collateral over debt, wad.
    """
    assets = entered_assets(account)
    if not any(leg.quantity for leg in account.legs if leg.kind is LegKind.DEBT):
        side = Side(0, 0)
        return Margin(
            verdict=Verdict.SAFE,
            reason="no_debt",
            maintenance=side,
            initial=side,
            value_decimals=18,
            ratio=Ratio("health", None, 18),
        )
    fault = fault_of(account, market, terms)
    if fault is not None:
        return Margin(verdict=Verdict.UNEVALUABLE, reason=fault, prices=assets)
    try:
        side = side_of(entered(account, market, terms))
    except OverflowError:
        return Margin(verdict=Verdict.UNEVALUABLE, reason="overflow", prices=assets)
    verdict, reason = verdict_of(account, market, side)
    return Margin(
        verdict=verdict,
        reason=reason,
        maintenance=side,
        initial=side,
        value_decimals=18,
        ratio=Ratio("health", _health(side), 18),
        prices=assets,
    )


def _health(side: Side) -> int | None:
    """Return collateral over debt, wad; None where the debt is worth nothing."""
    return int(side.credit * WAD // side.requirement) if side.requirement else None


def verdict_of(account: Account, market: Market, side: Side) -> tuple[Verdict, str]:
    """Return what may happen to an account of known value, and why."""
    verdict, reason = Verdict.SAFE, "no_shortfall"
    if side.surplus < 0:
        verdict, reason = Verdict.LIQUIDATABLE, "shortfall"
    elif any(_is_deprecated(market, leg.asset) for leg in account.legs if _is_owed(leg)):
        verdict, reason = Verdict.LIQUIDATABLE, "market_deprecated"
    if verdict is Verdict.LIQUIDATABLE and market.state.get("seize_paused", 0):
        verdict, reason = Verdict.NOT_EXECUTABLE, "seize is paused"
    return verdict, reason


def _is_owed(leg: Leg) -> bool:
    """Return whether a leg is a debt of more than nothing."""
    return leg.kind is LegKind.DEBT and leg.quantity != 0


def _is_deprecated(market: Market, asset: str) -> bool:
    """Return whether a market is closed down."""
    return market.state.get(f"{asset}.deprecated", 0) != 0


def repay_refusal(side: Side, pair: Pair, *, repay: int, terms: Terms) -> Refusal | None:
    """Return why the venue does not allow a repayment, if it does not."""
    if pair.deprecated:
        if repay > pair.borrowed:
            return Refusal("Can not repay more than the total borrow", f"{pair.borrowed} owed")
        return None
    if side.surplus >= 0:
        return Refusal("INSUFFICIENT_SHORTFALL", f"collateral exceeds debt by {side.surplus}")
    limit = close_limit(pair.borrowed, terms)
    if repay > limit:
        return Refusal("TOO_MUCH_REPAY", f"{repay} is above the close factor's {limit}")
    return None


def largest_repay(pair: Pair, terms: Terms) -> int:
    """Return the most that may be repaid without seizing more than there is."""
    limit = pair.borrowed if pair.deprecated else close_limit(pair.borrowed, terms)
    per_repaid = tokens_per_repaid(pair, terms.liquidation_incentive)
    return min(limit, ((pair.tokens + 1) * WAD - 1) // per_repaid) if per_repaid else limit


def chosen(account: Account, kind: LegKind, requested: str | None) -> str | None:
    """Return the asset asked for, or the only one of its kind."""
    assets = {leg.asset for leg in account.legs if leg.kind is kind and leg.quantity}
    if requested is None and len(assets) == 1:
        return assets.pop()
    return requested


def pair_of(account: Account, market: Market, terms: Terms, request: Liquidate) -> Pair | Refusal:
    """Return what is repaid and taken, or why the two markets cannot be used."""
    debt = chosen(account, LegKind.DEBT, request.debt_asset)
    collateral = chosen(account, LegKind.COLLATERAL, request.collateral_asset)
    if debt is None or collateral is None:
        return Refusal("asset_unstated", "name the debt and the collateral: there are several")
    if not {debt, collateral} <= terms.collateral_factors.keys():
        return Refusal("MARKET_NOT_LISTED", f"{debt} or {collateral} is not listed")
    prices = [
        market.prices[asset].value if asset in market.prices else 0 for asset in (debt, collateral)
    ]
    if min(prices) <= 0:
        return Refusal("PRICE_ERROR", f"price of {debt} or {collateral} is missing or not positive")
    exchange_rate = market.state.get(f"{collateral}.exchange_rate", 0)
    if prices[1] * exchange_rate < WAD:
        return Refusal("division by zero", f"one cToken of {collateral} is worth nothing")
    return Pair(
        debt=debt,
        collateral=collateral,
        borrowed=quantity_of(account, LegKind.DEBT, debt),
        tokens=quantity_of(account, LegKind.COLLATERAL, collateral),
        debt_price=prices[0],
        collateral_price=prices[1],
        exchange_rate=exchange_rate,
        deprecated=_is_deprecated(market, debt),
    )


def liquidate(
    account: Account, market: Market, terms: Terms, request: Liquidate
) -> Liquidation | Refusal:
    """Return what repaying one debt takes of one collateral, or the venue's refusal.

    `seized`, `bonus` and `protocol_fee` are in cTokens.
    """
    before = margin(account, market, terms)
    if before.verdict is Verdict.UNEVALUABLE:
        priced = before.reason.startswith("price_")
        return Refusal("PRICE_ERROR" if priced else before.reason, before.reason)
    pair = pair_of(account, market, terms, request)
    if isinstance(pair, Refusal):
        return pair
    try:
        return _seize(account, market, terms, before=before, pair=pair, repay=request.repay)
    except OverflowError as error:
        return Refusal("overflow", str(error))


def _seize(
    account: Account,
    market: Market,
    terms: Terms,
    *,
    before: Margin,
    pair: Pair,
    repay: Exact | None,
) -> Liquidation | Refusal:
    """Seize for a repayment, or refuse it; raise OverflowError where the contract reverts."""
    amount = largest_repay(pair, terms) if repay is None else int(repay)
    refused = repay_refusal(before.maintenance or Side(0, 0), pair, repay=amount, terms=terms)
    if refused is not None:
        return refused
    if amount == 0:
        return Refusal("LiquidateCloseAmountIsZero", "nothing to repay")
    overpaid = lent_fault(pair.debt, amount, market)
    if overpaid is not None:
        return overpaid
    seized = tokens_to_seize(amount, pair, terms)
    if seized > pair.tokens:
        return Refusal("LIQUIDATE_SEIZE_TOO_MUCH", f"{seized} cTokens of {pair.tokens}")
    if market.state.get("seize_paused", 0):
        return Refusal("seize is paused")
    plain = product(tokens_per_repaid(pair, WAD), amount)
    left = without(
        account,
        {(LegKind.DEBT, pair.debt): amount, (LegKind.COLLATERAL, pair.collateral): seized},
    )
    after = margin(left, market, terms)
    return Liquidation(
        repaid={pair.debt: amount},
        seized={pair.collateral: seized},
        bonus={pair.collateral: max(0, seized - plain)},
        protocol_fee={pair.collateral: product(seized, terms.protocol_seize_share)},
        bad_debt=uncovered(left),
        after=after,
        is_toxic=is_toxic(before.maintenance, after.maintenance),
    )


def overdrawn(asset: str, total: int, taken: int) -> Refusal:
    """Return that a market's cash or loans are less than what is taken off them.

    Loans lose up to a unit whenever interest accrues, and debts do not: the last who owes may owe
    more than the market has lent.
    """
    return Refusal("arithmetic underflow", f"{taken} of {asset} are taken off {total}")


def lent_fault(asset: str, repaid: int, market: Market) -> Refusal | None:
    """Return why a repayment underflows, where a market's loans are stated and less than it."""
    lent = market.state.get(f"{asset}.total_borrows", repaid)
    return overdrawn(asset, lent, repaid) if lent < repaid else None


def without(account: Account, taken: Mapping[tuple[LegKind, str], int]) -> Account:
    """Return the account with amounts taken off its legs, first leg first."""
    rest = dict(taken)
    legs = []
    for leg in account.legs:
        part = min(int(leg.quantity), rest.get((leg.kind, leg.asset), 0))
        if part:
            rest[leg.kind, leg.asset] -= part
        legs.append(replace(leg, quantity=int(leg.quantity) - part))
    return replace(account, legs=tuple(legs))


def uncovered(account: Account) -> Mapping[str, int]:
    """Return the debts of an account that has no collateral left, by asset."""
    if any(leg.quantity for leg in account.legs if leg.kind is LegKind.COLLATERAL):
        return {}
    return {leg.asset: int(leg.quantity) for leg in account.legs if _is_owed(leg)}


def bare(terms: Terms) -> Terms:
    """Return the terms with whatever counts as collateral counted in full."""
    factors = {asset: WAD if factor else 0 for asset, factor in terms.collateral_factors.items()}
    return replace(terms, collateral_factors=factors)


def tokens(account: Account, market: Market, terms: Terms) -> tuple[TokenAmount, ...] | Refusal:
    """Return what each leg holds or owes of its underlying, in whole tokens."""
    return in_tokens(account.legs, lambda leg: underlying_of(leg, market), terms.decimals)


def underlying_of(leg: Leg, market: Market) -> Exact | Refusal:
    """Return what a leg holds or owes, smallest units of the underlying."""
    if leg.kind is LegKind.DEBT:
        return leg.quantity
    rate = market.state.get(f"{leg.asset}.exchange_rate", 0)
    if leg.kind is LegKind.POSITION or rate <= 0:
        return Refusal("exchange_rate_missing", f"{leg.asset}.exchange_rate")
    return Fraction(int(leg.quantity) * rate, WAD)


STATE = (
    Variable("{asset}.exchange_rate", "wad"),
    Variable("{asset}.deprecated", "0 or 1"),
    Variable("{asset}.total_borrows", "smallest units that the market has lent"),
    Variable("seize_paused", "0 or 1"),
)

RULEBOOKS = (
    Rulebook(
        venue="compound-v2",
        version="comptroller",
        terms=Terms,
        state=STATE,
        price_decimals=PRICE_DECIMALS,
        margin=margin,
        reads=lambda _: ReadLegs(position=NONE, has_flag=True),
        bare=bare,
        liquidate=liquidate,
        tokens=tokens,
    ),
)
