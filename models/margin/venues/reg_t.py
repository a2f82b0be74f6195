"""Regulation T and FINRA Rule 4210: stocks bought or sold short on credit.

Units: prices and money in exact rationals of the quote currency; quantities in shares;
rates in basis points and amounts per share in cents, as the rules state them. A market's
price is the previous business day's close (see `previous_close`), which is what the rule
calls current market value; a house that marks intraday passes its own marks.

Not established here, hence refused: the same stock long and short, options, hedged and
concentrated positions, what a broker sells first.

References
----------
12 CFR 220.12 (50 % long; 150 % short, proceeds included); FINRA Rule 4210 (a)(2), (b), (c),
https://www.finra.org/rules-guidance/rulebooks/finra-rules/4210
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction

from models.domain import Account, Exact, Leg, LegKind, Market, Price
from models.margin.fixed_point import BPS
from models.margin.result import Margin, Ratio, Side, Verdict
from models.margin.rulebook import Rulebook
from models.margin.variables import Variable

CENTS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Requirements per stock and per account; a house may ask for more.

    Parameters
    ----------
    initial_bps
        Share of the value to deposit for a new position, long or short.
    maintenance_long_bps
        Share of the value of a long position to maintain.
    short_threshold_cents
        Price per share below which a short position counts as cheap.
    short_bps, short_floor_cents
        Share of the value, and least amount per share, to maintain for a short position.
    cheap_short_bps, cheap_short_floor_cents
        The same for a cheap one.
    minimum_equity_cents
        Least equity to open or add to a position.
    quote
        Name of the money in the account's legs.
    """

    initial_bps: int = 5_000
    maintenance_long_bps: int = 2_500
    short_threshold_cents: int = 500
    short_bps: int = 3_000
    short_floor_cents: int = 500
    cheap_short_bps: int = 10_000
    cheap_short_floor_cents: int = 250
    minimum_equity_cents: int = 200_000
    quote: str = "USD"


def previous_close(closes: Sequence[Price], *, day: datetime) -> Price | None:
    """Return the newest close known before a business day begins.

    Parameters
    ----------
    closes
        Closing prices of one stock, in any order.
    day
        Aware time at which the business day begins.
    """
    earlier = [price for price in closes if price.observed_at < day]
    return max(earlier, key=lambda price: price.observed_at, default=None)


def is_short(shares: Exact) -> bool:
    """Return whether a position was sold before it was bought."""
    return shares < 0


def maintenance_per_share(price: Fraction, terms: Terms, *, short: bool) -> Fraction:
    """Return what must be maintained for one share at `price`."""
    if not short:
        return price * terms.maintenance_long_bps / BPS
    if price * CENTS < terms.short_threshold_cents:
        least, rate = terms.cheap_short_floor_cents, terms.cheap_short_bps
    else:
        least, rate = terms.short_floor_cents, terms.short_bps
    return max(Fraction(least, CENTS), price * rate / BPS)


def cash(account: Account) -> Fraction:
    """Return the credit balance less the debit balance, short proceeds included."""
    sign = {LegKind.COLLATERAL: 1, LegKind.DEBT: -1, LegKind.POSITION: 0}
    return sum((sign[leg.kind] * Fraction(leg.quantity) for leg in account.legs), Fraction(0))


def positions(account: Account) -> list[Leg]:
    """Return the open stock positions."""
    return [leg for leg in account.legs if leg.kind is LegKind.POSITION and leg.quantity != 0]


def unfit(account: Account, market: Market, terms: Terms) -> str | None:
    """Return why the account cannot be judged."""
    sides: dict[str, bool] = {}
    for leg in account.legs:
        if leg.kind is not LegKind.POSITION and leg.asset != terms.quote:
            return "foreign_currency_not_established"
    for leg in positions(account):
        if sides.setdefault(leg.asset, is_short(leg.quantity)) != is_short(leg.quantity):
            return "boxed_position_not_established"
        price = market.prices.get(leg.asset)
        if price is None:
            return "price_missing"
        if price.value <= 0:
            return "price_not_positive"
    return None


def maintenance(account: Account, market: Market, terms: Terms) -> Side:
    """Return equity against what must be maintained, in quote units."""
    equity, required = cash(account), Fraction(0)
    for leg in positions(account):
        price, shares = market.prices[leg.asset].exact, Fraction(leg.quantity)
        equity += shares * price
        required += abs(shares) * maintenance_per_share(price, terms, short=is_short(shares))
    return Side(equity, required)


def initial(account: Account, market: Market, terms: Terms) -> Side:
    """Return equity against what opening these positions requires, in quote units.

    The greatest of the deposit, what must be maintained, and the minimum equity; for long
    positions alone the minimum is never more than they cost.
    """
    side = maintenance(account, market, terms)
    values = [Fraction(leg.quantity) * market.prices[leg.asset].exact for leg in positions(account)]
    gross = sum((abs(value) for value in values), Fraction(0))
    least = Fraction(terms.minimum_equity_cents, CENTS)
    if not any(is_short(value) for value in values):
        least = min(least, gross)
    deposit = gross * terms.initial_bps / BPS
    return Side(side.credit, max(deposit, Fraction(side.requirement), least))


def margin(account: Account, market: Market, terms: Terms) -> Margin:
    """Judge one margin account at the previous close.

    Cash is a collateral leg, a debit balance a debt leg, both in the quote currency;
    stocks are position legs in shares, short ones negative. The option `is_transaction_day`
    (1) makes a shortfall of the initial requirement a call; on other days it only restricts
    new purchases. Equality is enough everywhere.
    """
    assets = tuple(sorted({leg.asset for leg in positions(account)}))
    reason = unfit(account, market, terms)
    if reason is not None:
        return Margin(verdict=Verdict.UNEVALUABLE, reason=reason, prices=assets)
    maintenance_side = maintenance(account, market, terms)
    opened = initial(account, market, terms)
    verdict, reason = judge(account, maintenance_side, opened)
    return Margin(
        verdict=verdict,
        reason=reason,
        maintenance=maintenance_side,
        initial=opened,
        ratio=Ratio("equity_percentage", equity_percentage(account, market, maintenance_side), 0),
        prices=assets,
    )


def judge(account: Account, maintenance_side: Side, opened: Side) -> tuple[Verdict, str]:
    """Return the verdict and its reason for both requirements."""
    if not positions(account):
        if maintenance_side.surplus < 0:
            return Verdict.NOT_EXECUTABLE, "nothing_to_sell"
        return Verdict.SAFE, "no_position"
    if maintenance_side.surplus < 0:
        return Verdict.LIQUIDATABLE, "below_maintenance"
    if opened.surplus >= 0:
        return Verdict.SAFE, "above_initial"
    if account.options.get("is_transaction_day", 0):
        return Verdict.MARGIN_CALL, "below_initial"
    return Verdict.SAFE, "restricted"


def equity_percentage(account: Account, market: Market, maintenance_side: Side) -> Fraction | None:
    """Return equity over the value of all positions, long and short."""
    gross = sum(
        (
            abs(Fraction(leg.quantity)) * market.prices[leg.asset].exact
            for leg in positions(account)
        ),
        Fraction(0),
    )
    return maintenance_side.credit / gross if gross else None


def liquidation_price(
    account: Account, market: Market, terms: Terms, *, asset: str
) -> Fraction | None:
    """Return the exact price of one stock at which equity meets maintenance, others held.

    Below it (long) or above it (short) the account is liquidatable. For one long position
    it is debit / 0.75, for one short position above 50/3 it is credit / 1.30.

    Returns
    -------
    Fraction | None
        None when the stock is not held, the account cannot be judged, or no positive
        price balances.
    """
    shares = sum(
        (Fraction(x.quantity) for x in positions(account) if x.asset == asset), Fraction(0)
    )
    if not shares or unfit(account, market, terms) is not None:
        return None
    price = market.prices[asset].exact
    stock_surplus = shares * price
    stock_surplus -= abs(shares) * maintenance_per_share(price, terms, short=is_short(shares))
    rest = (Fraction(maintenance(account, market, terms).surplus) - stock_surplus) / abs(shares)
    if is_short(shares):
        return _short_balance(rest, terms)
    threshold = -rest * BPS / (BPS - terms.maintenance_long_bps)
    return threshold if threshold > 0 else None


def _short_balance(credit: Fraction, terms: Terms) -> Fraction | None:
    """Return the price that, with its requirement, equals the credit per share."""
    floors = (terms.cheap_short_floor_cents, terms.short_floor_cents)
    rates = (terms.cheap_short_bps, terms.short_bps)
    candidates = [credit - Fraction(least, CENTS) for least in floors]
    candidates += [credit * BPS / (BPS + rate) for rate in rates]
    for price in candidates:
        if price > 0 and price + maintenance_per_share(price, terms, short=True) == credit:
            return price
    return None


OPTIONS = (Variable("is_transaction_day", "0 or 1"),)

RULEBOOKS = (
    Rulebook(
        venue="reg-t",
        version="finra-4210",
        terms=Terms,
        options=OPTIONS,
        price_decimals=None,
        is_exact=True,
        cash=lambda terms: terms.quote,
        margin=margin,
        liquidation_price=lambda account, market, terms, asset: liquidation_price(
            account, market, terms, asset=asset
        ),
    ),
)
