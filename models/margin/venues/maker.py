"""MakerDAO (Sky) vaults: delayed oracle, liquidation ratio, auctions.

Units: price, ink, art, chop, chip in wad (10^18); par, mat, rate, spot in ray (10^27);
dust, tab, hole in rad (10^45); duty is the growth factor per second in ray.

References
----------
makerdao/dss at fa4f6630 (vat, spot, dog, clip, abaci); makerdao/osm at e36c874b.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime
from fractions import Fraction
from typing import Literal

from models.domain import Account, LegKind, Market
from models.margin.fixed_point import RAY, WAD, mul_div_down, mul_div_up, rpow_half_up
from models.margin.legs import NONE, ReadLegs
from models.margin.result import Liquidation, Margin, Ratio, Refusal, Side, TokenAmount, Verdict
from models.margin.rulebook import Liquidate, Rulebook
from models.margin.toxicity import is_toxic
from models.margin.uint import uint
from models.margin.variables import Variable

ORACLE_DECIMALS = 18
FEED_TO_RAY = 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """How an auction's price falls.

    Parameters
    ----------
    kind
        `linear` reaches 0 after `tau`; `stairstep` multiplies by `cut` every `step`;
        `exponential` multiplies by `cut` every second.
    tau, step
        Seconds.
    cut
        Factor in ray.
    """

    kind: Literal["linear", "stairstep", "exponential"]
    tau: int = 0
    step: int = 1
    cut: int = RAY


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Risk parameters of one collateral type.

    Parameters
    ----------
    mat
        Liquidation ratio, ray.
    duty
        Stability fee as growth factor per second, ray.
    dust
        Least debt of an open vault, rad.
    chop
        Liquidation penalty as a factor on the debt, wad.
    hole, hole_all
        Most debt and penalty under auction, for this type and for all, rad.
    buf
        Price at which an auction begins as a factor on the oracle's, ray.
    tail
        Longest run of an auction, seconds.
    cusp
        Price at which an auction ends as a share of that at its begin, ray.
    curve
        How the auction price falls.
    par
        Target price of the stablecoin, ray.
    """

    mat: int
    duty: int
    dust: int
    chop: int
    hole: int
    hole_all: int
    buf: int = RAY
    tail: int = 0
    cusp: int = 0
    curve: Curve = field(default_factory=lambda: Curve(kind="stairstep", step=90, cut=RAY))
    par: int = RAY


@dataclass(frozen=True, slots=True, kw_only=True)
class Auction:
    """A vault's collateral on sale.

    Parameters
    ----------
    lot
        Collateral left to sell, wad.
    tab
        Amount left to raise, rad.
    top
        Starting price, ray.
    """

    lot: int
    tab: int
    top: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Bark:
    """What one liquidation moves: debt `dart`, collateral `dink` and the auction it opens."""

    dart: int
    dink: int
    auction: Auction


def spot_price(price: int, terms: Terms) -> int:
    """Return the collateral price with the safety margin taken off, ray."""
    return mul_div_down(mul_div_down(price * FEED_TO_RAY, RAY, terms.par), RAY, terms.mat)


def is_unsafe(ink: int, art: int, *, spot: int, rate: int) -> bool:
    """Return whether a vault may be liquidated; equality is safe."""
    return ink * spot < art * rate


def growth(terms: Terms, *, seconds: int) -> int:
    """Return the factor by which `seconds` of stability fee raise an accumulator, ray.

    Raises
    ------
    OverflowError
        Where the contract reverts.
    """
    return rpow_half_up(terms.duty, seconds, RAY)


def drip(rate: int, *, by: int) -> int:
    """Return a debt accumulator raised by a factor, ray.

    Raises
    ------
    OverflowError
        Where the contract reverts.
    """
    return uint(by * rate) // RAY


def trigger_price(ink: int, art: int, *, rate: int, mat: int, par: int = RAY) -> int:
    """Return the highest price at which a vault is unsafe, wad.

    The closed form of searching `is_unsafe(ink, art, spot=spot_price(price, ...))`.

    Parameters
    ----------
    ink
        Collateral, wad, > 0.
    art
        Normalised debt, wad, > 0.
    rate, mat, par
        Debt accumulator, liquidation ratio and target price, ray.
    """
    safe_spot = mul_div_up(art, rate, ink)
    safe_feed = mul_div_up(safe_spot, mat, RAY)
    return (mul_div_up(safe_feed, par, RAY) - 1) // FEED_TO_RAY


def auction_price(curve: Curve, *, top: int, elapsed: int) -> int:
    """Return the asking price `elapsed` seconds after the start, ray.

    Raises
    ------
    OverflowError
        Where the contract reverts.
    """
    if curve.kind == "linear":
        left = mul_div_down(max(0, curve.tau - elapsed), RAY, curve.tau)
        return mul_div_down(top, left, RAY)
    steps = elapsed // curve.step if curve.kind == "stairstep" else elapsed
    return mul_div_down(top, rpow_half_up(curve.cut, steps, RAY), RAY)


def needs_redo(price: int, *, top: int, elapsed: int, terms: Terms) -> bool:
    """Return whether an auction has run too long or fallen too far to go on."""
    return elapsed > terms.tail or mul_div_down(price, RAY, top) < terms.cusp


def bark(
    ink: int, art: int, *, price: int, rate: int, terms: Terms, dirt: int = 0, dirt_all: int = 0
) -> Bark | Refusal:
    """Liquidate as much of a vault as the venue's room allows.

    Parameters
    ----------
    ink, art
        Collateral and normalised debt, wad.
    price
        Oracle price, wad.
    rate
        Debt accumulator, ray.
    dirt, dirt_all
        Debt and penalty already under auction, for this type and for all, rad.
    """
    if not is_unsafe(ink, art, spot=spot_price(price, terms), rate=rate):
        return Refusal("Dog/not-unsafe", "the vault is above its liquidation ratio")
    if not (dirt_all < terms.hole_all and dirt < terms.hole):
        return Refusal("Dog/liquidation-limit-hit", "no room for another auction")
    room = min(terms.hole_all - dirt_all, terms.hole - dirt)
    dart = min(art, room * WAD // rate // terms.chop)
    if art > dart:
        if (art - dart) * rate < terms.dust:
            dart = art
        elif dart * rate < terms.dust:
            return Refusal(
                "Dog/dusty-auction-from-partial-liquidation",
                f"room for {dart} of {art} normalised debt is below dust",
            )
    dink = mul_div_down(ink, dart, art)
    if dink <= 0:
        return Refusal("Dog/null-auction", "no collateral to sell")
    tab = mul_div_down(dart * rate, terms.chop, WAD)
    return Bark(
        dart=dart,
        dink=dink,
        auction=Auction(lot=dink, tab=tab, top=auction_top(price, terms)),
    )


def auction_top(price: int, terms: Terms) -> int:
    """Return an auction's starting price, ray."""
    feed = mul_div_down(price * FEED_TO_RAY, RAY, terms.par)
    return mul_div_down(feed, terms.buf, RAY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Take:
    """A purchase from an auction: `sold` collateral for `owed`, and what is left on sale."""

    sold: int
    owed: int
    left: Auction


def take(auction: Auction, *, amount: int, elapsed: int, terms: Terms) -> Take | Refusal:
    """Buy up to `amount` (wad) from an auction `elapsed` seconds after its start."""
    price = auction_price(terms.curve, top=auction.top, elapsed=elapsed)
    if needs_redo(price, top=auction.top, elapsed=elapsed, terms=terms):
        return Refusal("Clipper/needs-reset", f"{elapsed} s elapsed at price {price}")
    sold = min(auction.lot, amount)
    owed = sold * price
    if owed > auction.tab:
        owed = auction.tab
        sold = owed // price
    elif owed < auction.tab and sold < auction.lot:
        chost = smallest_remainder(terms)
        if auction.tab - owed < chost:
            if auction.tab <= chost:
                return Refusal("Clipper/no-partial-purchase", f"{auction.tab} left to raise")
            owed = auction.tab - chost
            sold = owed // price
    left = replace(auction, tab=auction.tab - owed, lot=auction.lot - sold)
    return Take(sold=sold, owed=owed, left=left)


def smallest_remainder(terms: Terms) -> int:
    """Return the least amount an auction may be left to raise, rad."""
    return mul_div_down(terms.dust, terms.chop, WAD)


COLLATERAL, DEBT = LegKind.COLLATERAL, LegKind.DEBT


def holdings(account: Account) -> tuple[str, int, int]:
    """Return the collateral asset, ink and art of a vault."""
    asset, ink, art = "", 0, 0
    for leg in account.legs:
        kind = leg.kind
        if kind is COLLATERAL:
            asset, ink = asset or leg.asset, ink + int(leg.quantity)
        elif kind is DEBT:
            art += int(leg.quantity)
    return asset or account.market.split("-")[0], ink, art


def margin(account: Account, market: Market, terms: Terms) -> Margin:
    """Judge one vault at the oracle price and the accumulator in force.

    `market.state` holds `{market}.rate` (ray) and, where known, `{market}.dirt` and
    `dirt` (rad) and `{market}.stopped` (0 to 3). Debt legs are normalised debt.
    """
    asset, ink, art = holdings(account)
    if art == 0:
        side = Side(0, 0)
        return Margin(
            verdict=Verdict.SAFE,
            reason="no_debt",
            maintenance=side,
            initial=side,
            ratio=Ratio("collateralization_ratio", None, 18),
            value_decimals=45,
        )
    price = market.prices.get(asset)
    if price is None or price.value <= 0:
        reason = "price_missing" if price is None else "price_not_positive"
        return Margin(verdict=Verdict.UNEVALUABLE, reason=reason, prices=(asset,))
    rate = market.state.get(f"{account.market}.rate")
    if rate is None:
        return Margin(verdict=Verdict.UNEVALUABLE, reason="rate_missing", prices=(asset,))
    spot = spot_price(price.value, terms)
    side = Side(ink * spot, art * rate)
    verdict, reason = Verdict.SAFE, "above_liquidation_ratio"
    if is_unsafe(ink, art, spot=spot, rate=rate):
        verdict, reason = Verdict.LIQUIDATABLE, "below_liquidation_ratio"
        refused = bark_in(market, account, terms)
        if isinstance(refused, Refusal):
            verdict, reason = Verdict.NOT_EXECUTABLE, refused.reason
    return Margin(
        verdict=verdict,
        reason=reason,
        maintenance=side,
        initial=side,
        value_decimals=45,
        ratio=Ratio("collateralization_ratio", ink * price.value * RAY // (art * rate), 18),
        prices=(asset,),
    )


def side(account: Account, market: Market, terms: Terms) -> Side | None:
    """Return what backs a vault and what it owes, rad, as `margin` judges them."""
    asset, ink, art = holdings(account)
    if art == 0:
        return Side(0, 0)
    price = market.prices.get(asset)
    rate = market.state.get(f"{account.market}.rate")
    if price is None or price.value <= 0 or rate is None:
        return None
    return Side(ink * spot_price(price.value, terms), art * rate)


def bark_in(market: Market, account: Account, terms: Terms) -> Bark | Refusal:
    """Liquidate a vault in the market as it stands."""
    asset, ink, art = holdings(account)
    state, ilk = market.state, account.market
    if state.get(f"{ilk}.stopped", 0) >= 1:
        return Refusal("Clipper/stopped-incorrect", "new auctions are stopped")
    return bark(
        ink,
        art,
        price=market.prices[asset].value,
        rate=state[f"{ilk}.rate"],
        terms=terms,
        dirt=state.get(f"{ilk}.dirt", 0),
        dirt_all=state.get("dirt", 0),
    )


def liquidate(
    account: Account,
    market: Market,
    terms: Terms,
    request: Liquidate,  # noqa: ARG001 - a vault leaves the liquidator no choice
) -> Liquidation | Refusal:
    """Return what a liquidation takes from the vault before its auction.

    All collateral taken goes on sale; what the auction does not need to cover `tab` comes
    back to the owner, so `seized` is the most that can be lost.
    """
    before = margin(account, market, terms)
    if before.verdict is Verdict.UNEVALUABLE:
        return Refusal(before.reason)
    outcome = bark_in(market, account, terms)
    if isinstance(outcome, Refusal):
        return outcome
    asset, _, _ = holdings(account)
    rate = market.state[f"{account.market}.rate"]
    debt = next(leg.asset for leg in account.legs if leg.kind is LegKind.DEBT)
    taken = {LegKind.COLLATERAL: outcome.dink, LegKind.DEBT: outcome.dart}
    legs = tuple(replace(leg, quantity=int(leg.quantity) - taken[leg.kind]) for leg in account.legs)
    after = margin(replace(account, legs=legs), market, terms)
    repaid = mul_div_down(outcome.dart, rate, RAY)
    penalty = (outcome.auction.tab - outcome.dart * rate) // RAY
    return Liquidation(
        repaid={debt: repaid},
        seized={asset: outcome.dink},
        protocol_fee={debt: penalty},
        after=after,
        is_toxic=is_toxic(before.maintenance, after.maintenance),
    )


def permits(account: Account, market: Market, terms: Terms) -> Refusal | None:
    """Return why the venue would not let an owner leave a vault so; None where it would."""
    _, _, art = holdings(account)
    rate = market.state.get(f"{account.market}.rate")
    if art and rate is not None and art * rate < terms.dust:
        return Refusal("Vat/dust", f"{art * rate} rad is owed, less than {terms.dust}")
    return None


def accrue(market: Market, terms: Terms, at: datetime) -> Market:
    """Return the market with the stability fee dripped from `market.at` to `at`."""
    factor = growth(terms, seconds=int((at - market.at).total_seconds()))
    dripped = {
        name: drip(value, by=factor) if name.endswith(".rate") else value
        for name, value in market.state.items()
    }
    return replace(market, at=at, state=dripped)


def tokens(account: Account, market: Market, terms: Terms) -> tuple[TokenAmount, ...] | Refusal:  # noqa: ARG001 - as every rulebook
    """Return the collateral, and the stablecoin behind the normalised debt, in whole tokens."""
    amounts = []
    for leg in account.legs:
        amount = Fraction(int(leg.quantity), WAD)
        if leg.kind is LegKind.POSITION:
            return Refusal("position_not_established", leg.asset)
        if leg.kind is LegKind.DEBT:
            rate = market.state.get(f"{account.market}.rate")
            if rate is None:
                return Refusal("rate_missing", f"{account.market}.rate")
            amount *= Fraction(rate, RAY)
        amounts.append(TokenAmount(kind=leg.kind, asset=leg.asset, amount=amount, digits=18))
    return tuple(amounts)


def bare(terms: Terms) -> Terms:
    """Return the terms with collateral counted in full."""
    return replace(terms, mat=RAY)


STATE = (
    Variable("{market}.rate", "ray"),
    Variable("{market}.dirt", "rad"),
    Variable("dirt", "rad, of all collateral types"),
    Variable("{market}.stopped", "0 to 3"),
)

RULEBOOKS = (
    Rulebook(
        venue="maker",
        version="dss",
        terms=Terms,
        state=STATE,
        price_decimals=ORACLE_DECIMALS,
        margin=margin,
        reads=lambda _: ReadLegs(position=NONE, is_single=True),
        side=side,
        bare=bare,
        liquidate=liquidate,
        accrue=accrue,
        permits=permits,
        tokens=tokens,
    ),
)
