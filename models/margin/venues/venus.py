"""Venus core pool: Compound v2 with liquidation thresholds, pools of e-mode and minted VAI.

Units: prices in dollars per whole token with 36 decimals (the oracle's own, 36 less the token's
digits, times the token); exchange rates, factors, thresholds, incentives and the close factor in
wad; liquidity and shortfall in 10^18 of a dollar.

Legs: a collateral leg holds vTokens, `pledged` where its market was entered; a debt leg the borrow
balance with interest, smallest units of the underlying. Interest accrues by the block, not by the
second, so nothing is carried forward here: hand in both as of the block of judgement. VAI is owed
at one dollar by rule, whatever it trades at.

Liquidation goes by the spot price and the threshold, what may be borrowed by the collateral factor
and, where an asset's price is bounded (`lowest_price`, `highest_price`), by the worse of the two.

`Account.options`: `pool`, the pool of e-mode (0 or left out: core); `{asset}.forced`, 1 where the
venue lets anyone repay this account's debt in the asset; `{asset}.entered`, 1 where a market was
entered in which the account has nothing: the venue judges nobody in a market without a price, and
takes a repayment of dust against an empty one.

References
----------
VenusProtocol/venus-protocol at npm `@venusprotocol/venus-protocol` 10.3.0: ComptrollerLens,
PolicyFacet, MarketFacet, VToken; executed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import NamedTuple

from models.domain import Account, Exact, LegKind, Market
from models.margin.fixed_point import WAD
from models.margin.legs import ReadLegs
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
from models.margin.venues.compound_v2 import (
    Pair,
    chosen,
    lent_fault,
    product,
    tokens_per_repaid,
    uncovered,
    without,
)

PRICE_DECIMALS = 36
VALUE_DECIMALS = 18
MINTED_DIGITS = 18


@dataclass(frozen=True, slots=True, kw_only=True)
class Weight:
    """How an asset counts in one pool; wad.

    Parameters
    ----------
    collateral_factor
        Share of its value that may be borrowed against.
    liquidation_threshold
        Share of its value below which debt may be repaid by others.
    liquidation_incentive
        Value seized over value repaid.
    """

    collateral_factor: int
    liquidation_threshold: int
    liquidation_incentive: int


NO_WEIGHT = Weight(collateral_factor=0, liquidation_threshold=0, liquidation_incentive=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """A pool of e-mode.

    Parameters
    ----------
    weights
        By asset, of those that are in it.
    falls_back
        Whether assets that are not in it count as in the core pool.
    inactive
        Whether it is switched off, and everything counts as in the core pool.
    """

    weights: Mapping[str, Weight]
    falls_back: bool = False
    inactive: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Risk parameters of one Comptroller.

    Parameters
    ----------
    close_factor
        Share of one debt that one liquidation may repay, wad.
    decimals
        By listed asset: digits between a whole token and its smallest unit.
    weights
        By listed asset, in the core pool.
    pools
        Pools of e-mode by their numbers.
    minted
        Name of the asset that the venue mints itself and counts at one dollar; empty for none.
    """

    close_factor: int
    decimals: Mapping[str, int]
    weights: Mapping[str, Weight]
    pools: Mapping[str, Pool] = field(default_factory=dict)
    minted: str = ""


class Holding(NamedTuple):
    """What an account has in one market that it entered.

    Parameters
    ----------
    tokens
        vTokens.
    borrowed
        Smallest units, with interest.
    """

    tokens: int
    borrowed: int


class Prices(NamedTuple):
    """Prices of the smallest unit, wad of a dollar times 10^18."""

    spot: int
    collateral: int
    debt: int


NOTHING = Holding(0, 0)


def is_minted(asset: str, terms: Terms) -> bool:
    """Return whether an asset is the one that the venue mints itself."""
    return bool(terms.minted) and asset == terms.minted


def weight_of(asset: str, account: Account, terms: Terms) -> Weight:
    """Return how an asset counts for an account, by the pool that it chose."""
    pool = terms.pools.get(str(account.options.get("pool", 0)))
    core = terms.weights.get(asset, NO_WEIGHT)
    if pool is None or pool.inactive:
        return core
    return pool.weights.get(asset, core if pool.falls_back else NO_WEIGHT)


def entered(account: Account, terms: Terms) -> tuple[str, ...]:
    """Return the assets in whose markets an account has nothing and that it entered."""
    return tuple(each for each in terms.weights if account.options.get(f"{each}.entered", 0))


def holdings(account: Account, market: Market, terms: Terms) -> dict[str, Holding] | Refusal:
    """Return by asset what counts of an account, or why it cannot be judged."""
    pool = account.options.get("pool", 0)
    if pool and str(pool) not in terms.pools:
        return Refusal("pool_unknown", f"pool {pool} has no terms")
    by_asset = dict.fromkeys(entered(account, terms), NOTHING)
    for leg in account.legs:
        if leg.kind is LegKind.POSITION:
            return Refusal("leg_kind_unknown", f"{leg.kind} of {leg.asset}")
        is_debt = leg.kind is LegKind.DEBT
        if leg.quantity and (is_debt or leg.pledged):
            if leg.asset not in terms.weights and not (is_debt and is_minted(leg.asset, terms)):
                return Refusal("asset_not_listed", leg.asset)
            tokens, borrowed = by_asset.get(leg.asset, NOTHING)
            amount = int(leg.quantity)
            by_asset[leg.asset] = (
                Holding(tokens, borrowed + amount)
                if is_debt
                else Holding(tokens + amount, borrowed)
            )
    return faulty(by_asset, market, terms) or by_asset


def faulty(by_asset: Mapping[str, Holding], market: Market, terms: Terms) -> Refusal | None:
    """Return what is missing of the market to judge by, if anything is."""
    for asset, each in by_asset.items():
        if is_minted(asset, terms):
            continue
        price = market.prices.get(asset)
        if price is None or price.value <= 0:
            return Refusal("price_missing" if price is None else "price_not_positive", asset)
        if each.tokens and market.state.get(f"{asset}.exchange_rate", 0) <= 0:
            return Refusal("exchange_rate_missing", asset)
    return None


def prices_of(asset: str, market: Market, terms: Terms) -> Prices:
    """Return the prices of a listed asset that has one, or of what the venue mints."""
    if is_minted(asset, terms):
        return Prices(WAD, WAD, WAD)
    unit = 10 ** terms.decimals[asset]
    spot = market.prices[asset].value // unit
    lowest = market.state.get(f"{asset}.lowest_price", spot * unit) // unit
    highest = market.state.get(f"{asset}.highest_price", spot * unit) // unit
    return Prices(spot, min(spot, lowest), max(spot, highest))


def sides_of(
    by_asset: Mapping[str, Holding], account: Account, market: Market, terms: Terms
) -> tuple[Side, Side]:
    """Return what counts against what is owed, at liquidation and for new debt, 10^-18 dollars.

    Each market truncates three times, in the venue's order: the factor on the exchange rate, the
    price on that, and their product on the tokens.

    Raises
    ------
    OverflowError
        Where the contract reverts.
    """
    credit = debt = power = bounded = 0
    for asset, each in by_asset.items():
        prices, weight = prices_of(asset, market, terms), weight_of(asset, account, terms)
        rate = market.state.get(f"{asset}.exchange_rate", 0)
        counted = product(product(weight.liquidation_threshold, rate), prices.spot)
        lent = product(product(weight.collateral_factor, rate), prices.collateral)
        credit = uint(credit + product(counted, each.tokens))
        power = uint(power + product(lent, each.tokens))
        debt = uint(debt + product(prices.spot, each.borrowed))
        bounded = uint(bounded + product(prices.debt, each.borrowed))
    return Side(credit, debt), Side(power, bounded)


def margin(account: Account, market: Market, terms: Terms) -> Margin:
    """Judge one account: it is liquidatable when it owes more than its collateral counts.

    The ratio `health` is collateral at its thresholds over debt, wad.
    """
    if not any(leg.kind is not LegKind.COLLATERAL and leg.quantity for leg in account.legs):
        side = Side(0, 0)
        return Margin(
            verdict=Verdict.SAFE,
            reason="no_debt",
            maintenance=side,
            initial=side,
            value_decimals=VALUE_DECIMALS,
            ratio=Ratio("health", None, 18),
        )
    assets_of_legs = (leg.asset for leg in account.legs if leg.asset != terms.minted)
    assets = tuple(dict.fromkeys((*assets_of_legs, *entered(account, terms))))
    by_asset = holdings(account, market, terms)
    if isinstance(by_asset, Refusal):
        return Margin(verdict=Verdict.UNEVALUABLE, reason=by_asset.reason, prices=assets)
    try:
        maintenance, initial = sides_of(by_asset, account, market, terms)
    except OverflowError:
        return Margin(verdict=Verdict.UNEVALUABLE, reason="overflow", prices=assets)
    verdict, reason = verdict_of(by_asset, maintenance, account, market)
    health = None
    if maintenance.requirement:
        health = int(maintenance.credit * WAD // maintenance.requirement)
    return Margin(
        verdict=verdict,
        reason=reason,
        maintenance=maintenance,
        initial=initial,
        value_decimals=VALUE_DECIMALS,
        ratio=Ratio("health", health, 18),
        prices=tuple(asset for asset in by_asset if asset != terms.minted),
    )


def is_forced(asset: str, account: Account, market: Market) -> bool:
    """Return whether anyone may repay an account's debt in an asset, however sound it is."""
    name = f"{asset}.forced"
    return bool(market.state.get(name, 0) or account.options.get(name, 0))


def repayable(
    by_asset: Mapping[str, Holding], side: Side, account: Account, market: Market
) -> tuple[str, ...]:
    """Return the debts that the rules give to anyone to repay, whatever is paused."""
    owed = (asset for asset, each in by_asset.items() if each.borrowed)
    return tuple(asset for asset in owed if side.surplus < 0 or is_forced(asset, account, market))


def unpaused(assets: Iterable[str], market: Market) -> tuple[str, ...]:
    """Return the debts of some whose liquidation is not switched off."""
    if market.state.get("paused", 0):
        return ()
    return tuple(a for a in assets if not market.state.get(f"{a}.liquidate_paused", 0))


def verdict_of(
    by_asset: Mapping[str, Holding], side: Side, account: Account, market: Market
) -> tuple[Verdict, str]:
    """Return what may happen to an account of known value, and why."""
    debts = repayable(by_asset, side, account, market)
    if not debts:
        return Verdict.SAFE, "no_shortfall"
    if market.state.get("paused", 0):
        return Verdict.NOT_EXECUTABLE, "protocol is paused"
    pledged = [asset for asset, each in by_asset.items() if each.tokens]
    if not pledged:
        return Verdict.NOT_EXECUTABLE, "MARKET_NOT_COLLATERAL"
    seizable = [asset for asset in pledged if not market.state.get(f"{asset}.seize_paused", 0)]
    open_debts = (
        asset for asset in unpaused(debts, market) if not market.state.get(f"{asset}.repay_paused")
    )
    if not seizable or not any(open_debts):
        return Verdict.NOT_EXECUTABLE, "action is paused"
    return Verdict.LIQUIDATABLE, "shortfall" if side.surplus < 0 else "forced_liquidation"


def refusal_of(
    debt: str, collateral: str, by_asset: Mapping[str, Holding], market: Market, terms: Terms
) -> Refusal | None:
    """Return why two markets cannot be used for a liquidation, if they cannot."""
    state = market.state
    faults = (
        (is_minted(debt, terms), "minted_debt_not_established", f"what repaying {debt} seizes"),
        (not {debt, collateral} <= terms.weights.keys(), "market not listed", debt),
        (state.get("paused", 0), "protocol is paused", ""),
        (state.get(f"{debt}.liquidate_paused", 0), "action is paused", f"liquidation of {debt}"),
        (state.get(f"{debt}.repay_paused", 0), "action is paused", f"repaying {debt}"),
        (state.get(f"{collateral}.seize_paused", 0), "action is paused", f"seizing {collateral}"),
        (collateral not in by_asset, "MARKET_NOT_COLLATERAL", collateral),
        (f"{collateral}.exchange_rate" not in state, "exchange_rate_missing", collateral),
        (not by_asset.get(debt, NOTHING).borrowed, "TOO_MUCH_REPAY", f"no {debt} is owed"),
    )
    return next((Refusal(reason, detail) for is_so, reason, detail in faults if is_so), None)


def pair_of(
    by_asset: Mapping[str, Holding],
    account: Account,
    market: Market,
    terms: Terms,
    request: Liquidate,
) -> Pair | Refusal:
    """Return what is repaid and taken, or why the venue refuses the two markets."""
    debt = chosen(account, LegKind.DEBT, request.debt_asset)
    collateral = chosen(account, LegKind.COLLATERAL, request.collateral_asset)
    if debt is None or collateral is None:
        return Refusal("asset_unstated", "name the debt and the collateral: there are several")
    refused = refusal_of(debt, collateral, by_asset, market, terms)
    if refused is not None:
        return refused
    pair = Pair(
        debt=debt,
        collateral=collateral,
        borrowed=by_asset[debt].borrowed,
        tokens=by_asset[collateral].tokens,
        debt_price=prices_of(debt, market, terms).spot,
        collateral_price=prices_of(collateral, market, terms).spot,
        exchange_rate=market.state[f"{collateral}.exchange_rate"],
        deprecated=is_forced(debt, account, market),
    )
    if not pair.collateral_price * pair.exchange_rate // WAD:
        return Refusal("division by zero", f"one vToken of {collateral} is worth nothing")
    return pair


def liquidate(
    account: Account, market: Market, terms: Terms, request: Liquidate
) -> Liquidation | Refusal:
    """Return what repaying one debt takes of one collateral, or the venue's refusal.

    `seized` and `bonus` are in vTokens. Debt in what the venue mints is not established.
    """
    before = margin(account, market, terms)
    by_asset = holdings(account, market, terms)
    if before.verdict is Verdict.UNEVALUABLE or isinstance(by_asset, Refusal):
        return Refusal(before.reason)
    pair = pair_of(by_asset, account, market, terms, request)
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
    incentive = weight_of(pair.collateral, account, terms).liquidation_incentive
    per_repaid = tokens_per_repaid(pair, incentive)
    limit = pair.borrowed if pair.deprecated else product(terms.close_factor, pair.borrowed)
    most = min(limit, ((pair.tokens + 1) * WAD - 1) // per_repaid) if per_repaid else limit
    amount = most if repay is None else int(repay)
    side = before.maintenance or Side(0, 0)
    if not pair.deprecated and side.surplus >= 0:
        return Refusal("INSUFFICIENT_SHORTFALL", f"collateral exceeds debt by {side.surplus}")
    if amount > limit:
        return Refusal("TOO_MUCH_REPAY", f"{amount} is above {limit}")
    if amount == 0:
        return Refusal("LIQUIDATE_CLOSE_AMOUNT_IS_ZERO", "nothing to repay")
    overpaid = lent_fault(pair.debt, amount, market)
    if overpaid is not None:
        return overpaid
    seized = product(per_repaid, amount)
    if seized > pair.tokens:
        return Refusal("LIQUIDATE_SEIZE_TOO_MUCH", f"{seized} vTokens of {pair.tokens}")
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
        bad_debt=uncovered(left),
        after=after,
        is_toxic=is_toxic(before.maintenance, after.maintenance),
    )


def tokens(account: Account, market: Market, terms: Terms) -> tuple[TokenAmount, ...] | Refusal:
    """Return what each leg holds or owes of its underlying, in whole tokens."""
    amounts = []
    for leg in account.legs:
        digits = MINTED_DIGITS if is_minted(leg.asset, terms) else terms.decimals.get(leg.asset)
        if digits is None or leg.kind is LegKind.POSITION:
            return Refusal("asset_not_listed", leg.asset)
        amount = Fraction(leg.quantity, 10**digits)
        if leg.kind is LegKind.COLLATERAL:
            rate = market.state.get(f"{leg.asset}.exchange_rate")
            if rate is None:
                return Refusal("exchange_rate_missing", leg.asset)
            amount *= Fraction(rate, WAD)
        amounts.append(TokenAmount(kind=leg.kind, asset=leg.asset, amount=amount, digits=digits))
    return tuple(amounts)


def bare(terms: Terms) -> Terms:
    """Return the terms with whatever counts as collateral counted in full."""

    def full(weights: Mapping[str, Weight]) -> dict[str, Weight]:
        return {
            asset: replace(each, liquidation_threshold=WAD if each.liquidation_threshold else 0)
            for asset, each in weights.items()
        }

    pools = {name: replace(each, weights=full(each.weights)) for name, each in terms.pools.items()}
    return replace(terms, weights=full(terms.weights), pools=pools)


STATE = (
    Variable("{asset}.exchange_rate", "wad, underlying a vToken"),
    Variable("{asset}.lowest_price", "dollars a token, 36 decimals"),
    Variable("{asset}.highest_price", "dollars a token, 36 decimals"),
    Variable("{asset}.forced", "0 or 1"),
    Variable("{asset}.liquidate_paused", "0 or 1"),
    Variable("{asset}.repay_paused", "0 or 1"),
    Variable("{asset}.seize_paused", "0 or 1"),
    Variable("{asset}.total_borrows", "smallest units that the market has lent"),
    Variable("paused", "0 or 1"),
)
OPTIONS = (
    Variable("pool", "number"),
    Variable("{asset}.forced", "0 or 1"),
    Variable("{asset}.entered", "0 or 1"),
)

RULEBOOKS = (
    Rulebook(
        venue="venus",
        version="10",
        terms=Terms,
        state=STATE,
        options=OPTIONS,
        price_decimals=PRICE_DECIMALS,
        margin=margin,
        reads=lambda _: ReadLegs(has_flag=True),
        bare=bare,
        liquidate=liquidate,
        tokens=tokens,
    ),
)
