"""Pure: a book as the cascade takes it, shocks of it, and forecasts of it."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np

from models.book.cascade import MOST_ROUNDS, Borrower, Liquidators, Market
from models.book.columns import (
    BookColumns,
    Floats,
    MarketColumns,
    Places,
    book_columns,
    market_columns,
    ordered_assets,
)
from models.book.columns import prices_of as price_row
from models.book.congestion import Crowded, crowded, smallest_worth
from models.book.curve import cascaded, price_curve
from models.book.forecast import LEVELS, BookForecast, Spread, by_asset, forecast, grouped
from models.book.headroom import concentration, days_to_unwind, headroom
from models.book.impact import USD, ImpactCurve
from models.book.kernel import NEAR, Course, Owners, run, run_all
from models.book.linear import Reader, Unjudged
from models.book.reproduction import reproduction
from models.book.scenarios import Bars, Method, Moves, moves
from models.book.tail import Quantile
from models.domain import Price
from models.errors import Fault, InvalidInput
from models.margin.shock import shocked
from models.margin.trigger import BREACHED
from models.pegs import is_one, moving, quote_of
from serving.evaluation.inputs import AccountInput
from serving.evaluation.settling import settlements
from serving.schemas.book_risk import (
    CongestionAnswer,
    Contributor,
    ForecastBody,
    LinkedMove,
    LossQuantile,
    OwnersForecast,
    RoundAnswer,
    SettlementAnswer,
    ShockBody,
    StressShock,
    UnjudgedAnswer,
)

ALL = "*"
FILE = "file"
SMALL_SHARE = 0.01
"""Share of the collateral up to which an asset may lack a curve unsaid."""

CONTRIBUTORS = 20
OWNER_DRAWS = 200
CURVE_SHOCKS = np.linspace(-0.7, 0.0, 36)
"""Log moves at which the reproduction number and the curve of liquidations are told."""

_PER_HOUR = re.compile(r"([0-9]+(?:\.[0-9]+)?(?:[eE][0-9]+)?)/h")


@dataclass(frozen=True)
class RiskBook:
    """A book that can be shocked.

    Parameters
    ----------
    borrowers
        Accounts that owe.
    cases
        Each as the exact rules take it, by key.
    chances
        P(liquidated | below the line) by key; 1 where nothing is known of the owner.
    unjudged
        Accounts left out.
    prices
        USD per unit of every asset of the book; 1 for the unpriced.
    unpriced
        Assets whose worth a venue knows only in its own quote: their units are dollars of now,
        so no curve and no price per unit can be told of them.
    """

    borrowers: tuple[Borrower, ...]
    cases: Mapping[str, AccountInput]
    chances: Mapping[str, float]
    unjudged: tuple[UnjudgedAnswer, ...]
    prices: Mapping[str, Fraction]
    unpriced: frozenset[str] = frozenset()
    _columns: dict[tuple[str, ...], BookColumns] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def columns(self, market: Market) -> BookColumns:
        """Return the accounts as columns in a market's order of assets, laid out once."""
        order = ordered_assets(market)
        if order not in self._columns:
            self._columns[order] = book_columns(self.borrowers, market)
        return self._columns[order]

    @cached_property
    def collateral(self) -> Mapping[str, float]:
        """USD of collateral by asset."""
        result: dict[str, float] = {}
        for account in self.borrowers:
            for leg in account.collateral:
                worth = float(leg.units * self.prices[leg.asset])
                result[leg.asset] = result.get(leg.asset, 0.0) + worth
        return result

    @property
    def usd_prices(self) -> dict[str, float]:
        """Return USD per unit of the assets that have a price."""
        return {
            asset: float(price)
            for asset, price in self.prices.items()
            if asset not in self.unpriced
        }

    def usable(self, curves: Mapping[str, ImpactCurve]) -> dict[str, ImpactCurve]:
        """Return the curves of assets whose units are known, as are those they are sold for."""
        priced = {USD, *self.prices} - self.unpriced
        return {
            asset: curve
            for asset, curve in curves.items()
            if asset in priced and asset in self.prices and curve.quote in priced
        }

    def market(self, curves: Mapping[str, ImpactCurve], oracle_share: Fraction) -> Market:
        """Return the market as it stands, in which selling moves prices by curves."""
        usable = self.usable(curves)
        return Market(dict(self.prices), usable, oracle_share, priced_in(usable))

    @cached_property
    def oldest_at(self) -> datetime | None:
        """When the oldest price that the book rests on was observed; None without any."""
        markets = {id(case.market): case.market for case in self.cases.values()}
        times = (p.observed_at for m in markets.values() for p in m.prices.values())
        return min(times, default=None)

    @cached_property
    def unknown_owners(self) -> int:
        """How many borrowers have owners of whom nothing is known."""
        return sum(item.key not in self.chances for item in self.borrowers)

    def venue(self, key: str) -> str:
        """Return the venue of an account; `file` where no rulebook judges it."""
        case = self.cases.get(key)
        return FILE if case is None else case.account.venue

    def owners(self, seed: int = 0) -> Owners:
        """Return the owners of the accounts in their order."""
        chance = np.array([self.chances.get(item.key, 1.0) for item in self.borrowers])
        return Owners(chance, np.arange(chance.size), seed=seed)


def priced_in(curves: Mapping[str, ImpactCurve]) -> dict[str, str]:
    """Return the assets that are sold for another one, and for which."""
    return {asset: curve.quote for asset, curve in curves.items() if curve.quote != USD}


def read_book(
    cases: Sequence[AccountInput],
    prices: Mapping[str, Fraction],
    chances: Mapping[str, float],
    *,
    also: Collection[str] = (),
) -> RiskBook:
    """Read accounts through their own rules.

    Parameters
    ----------
    prices
        USD per unit by asset; of what is not among them, the newest price that one of the
        accounts is judged by in USD.
    chances
        As of `RiskBook`.
    also
        Assets whose prices are kept though nobody holds them: what others are sold for.
    """
    prices = {**_oracle_prices(cases), **prices}
    reader = Reader(prices)
    borrowers, unjudged = [], []
    for case in cases:
        try:
            quote = quote_of(case.terms) or USD
            result = reader.borrower(
                case.account.id,
                case.rulebook,
                case.account,
                case.market,
                case.terms,
                quote=quote,
                worth=prices.get(quote, Fraction(1) if is_one(quote, quote=USD) else None),
            )
        except (ArithmeticError, LookupError, TypeError, ValueError):
            result = Unjudged("cannot_be_evaluated")
        if isinstance(result, Unjudged):
            debt = None if result.debt is None else float(result.debt)
            unjudged.append(UnjudgedAnswer(case.account.id, result.reason, debt))
        elif result is not None:
            borrowers.append(result)
    legs = {asset for item in borrowers for asset in _assets(item)}
    legs |= {asset for asset in also if asset in prices}
    used = {asset: prices.get(asset, Fraction(1)) for asset in sorted(legs)}
    return RiskBook(
        tuple(borrowers),
        {case.account.id: case for case in cases},
        chances,
        tuple(unjudged),
        used,
        frozenset(a for a in used if a not in prices and not is_one(a, quote=USD)),
    )


def _oracle_prices(cases: Sequence[AccountInput]) -> dict[str, Fraction]:
    """Return the newest USD price of each asset by the markets that judge the accounts.

    An account read from a chain has the prices of its market's oracle, and no others.
    """
    newest: dict[str, Price] = {}
    for market, terms in {id(c.market): (c.market, c.terms) for c in cases}.values():
        if quote_of(terms):  # in units of another asset, or of its smallest unit
            continue
        for asset, price in market.prices.items():
            before = newest.get(asset)
            if price.value > 0 and (before is None or price.observed_at > before.observed_at):
                newest[asset] = price
    return {asset: price.exact for asset, price in newest.items()}


def _assets(account: Borrower) -> set[str]:
    """Return what an account holds and owes."""
    return {leg.asset for leg in account.collateral} | {leg.asset for leg in account.debt}


def without(book: RiskBook, assets: Mapping[str, str]) -> RiskBook:
    """Return a book without the accounts that hold or owe some assets, each named with why."""
    remaining, left = [], []
    for item in book.borrowers:
        used = _assets(item)
        reason = next((assets[asset] for asset in sorted(used) if asset in assets), None)
        if reason is None:
            remaining.append(item)
        else:
            debt = sum((leg.units * book.prices[leg.asset] for leg in item.debt), Fraction(0))
            left.append(UnjudgedAnswer(item.key, reason, float(debt)))
    return replace(book, borrowers=tuple(remaining), unjudged=(*book.unjudged, *left))


def missing_curves(book: RiskBook, curves: Mapping[str, ImpactCurve]) -> list[Fault]:
    """Return a fault for every asset that matters, moves and has no curve."""
    worth, usable = book.collateral, book.usable(curves)
    total = sum(worth.values())
    return [
        Fault(
            "/impact",
            f"{asset} is {value / total:.1%} of the collateral and "
            + (
                "has no price in USD, without which no curve applies: push one to /v1/prices"
                if asset in book.unpriced
                else f"has no curve: push one to /v1/impact/{asset}/USD"
            )
            + ', or say "impact": "none"',
        )
        for asset, value in sorted(worth.items())
        if value > SMALL_SHARE * total and asset not in usable and moving([asset], None)
    ]


def _moves_of(
    book: RiskBook, shock: ShockBody, *, where: str
) -> tuple[dict[str, Fraction], dict[str, str]]:
    """Return by what each named price is multiplied, and which asset each linked one follows.

    Raises
    ------
    InvalidInput
        As of `market_of`.
    """
    faults = []
    factors: dict[str, Fraction] = {}
    links: dict[str, str] = {}
    for name, moved in shock.prices.items():
        place = f"{where}/prices/{name}"
        if name == USD:
            faults.append(Fault(place, "prices are told in USD: it does not move itself"))
        if name != ALL and name not in book.prices:
            faults.append(Fault(place, f"no account of the book holds or owes {name}"))
        base = moved.of if isinstance(moved, LinkedMove) else None
        share = moved.by if isinstance(moved, LinkedMove) else moved
        if base is not None and base not in book.prices:
            faults.append(Fault(f"{place}/of", f"no account of the book holds or owes {base}"))
        if share <= -1:
            faults.append(Fault(place, f"{share} leaves no price: must be above -1"))
        factors[name] = 1 + share
        if base is not None:
            links[name] = base
    faults += [
        Fault(f"{where}/prices/{name}/of", f"{name} follows itself, by way of {links[name]}")
        for name in links
        if _is_circle(name, links)
    ]
    if faults:
        raise InvalidInput(faults)
    return factors, links


def market_of(
    book: RiskBook, shock: ShockBody, curves: Mapping[str, ImpactCurve], *, where: str
) -> Market:
    """Return the market after a shock.

    Raises
    ------
    InvalidInput
        Unknown assets, prices that fall to 0 or below, circles: all of them.
    """
    factors, links = _moves_of(book, shock, where=where)
    usable = book.usable(curves)
    following = priced_in(usable)
    moved_all = set(moving(book.prices, None))
    for name, base in following.items():  # who is sold for an asset falls with it, unless named
        if name not in factors and base in moved_all:
            factors[name], links[name] = Fraction(1), base
    circles = [name for name in links if _is_circle(name, links)]
    if circles:
        listed = ", ".join(circles)
        raise InvalidInput([Fault("/impact", f"{listed}: sold for each other, each follows all")])
    everything = factors.pop(ALL, Fraction(1))

    def factor(asset: str) -> Fraction:
        alone = factors.get(asset, everything if asset in moved_all else Fraction(1))
        return alone * factor(links[asset]) if asset in links else alone

    result = {asset: price * factor(asset) for asset, price in book.prices.items()}
    depth = shock.depth
    deeper = {
        asset: replace(curve, amounts=tuple(amount * float(depth) for amount in curve.amounts))
        for asset, curve in usable.items()
    }
    decay = 0.5 ** (1.0 / shock.half_life_hours)  # a round is an hour
    moved_links = {**links, **following}
    return Market(result, deeper, shock.oracle_sees, moved_links, shock.temporary, decay)


def _is_circle(name: str, links: Mapping[str, str]) -> bool:
    """Return whether an asset that follows others comes back to itself."""
    base = links.get(name)
    for _ in links:
        if base is None or base == name:
            break
        base = links.get(base)
    return base == name


def liquidators_of(shock: ShockBody, crowd: Crowded | None = None) -> Liquidators:
    """Return the limits of those who liquidate: with a capacity a round is an hour.

    Without one all is liquidated at once, unless the delay is not over within the time.
    """
    gas = None if shock.gas is None else float(shock.gas)
    late = float(shock.delay_hours)
    if crowd is not None:
        gas, late = (gas or 0.0) + crowd.gas, late + crowd.delay
    if shock.capacity is None:
        return Liquidators(rounds=0 if late >= shock.within_hours else None, gas=gas)
    match = _PER_HOUR.fullmatch(shock.capacity)
    per_hour = 0.0 if match is None else float(match.group(1))
    hours = max(int(shock.within_hours - late), 0)
    return Liquidators(capacity=per_hour, rounds=hours, gas=gas)


def _crowd(shock: ShockBody, columns: BookColumns, prices: Floats) -> Crowded | None:
    """Return how crowded blocks are after a shock; None where no curve says."""
    if not shock.congestion:
        return None
    points = [Crowded(each.due, float(each.gas), each.delay_hours) for each in shock.congestion]
    weighted, debt = _sides(columns, prices)
    return crowded(points, int((weighted < debt).sum()))


def _sides(columns: BookColumns, prices: Floats) -> tuple[Floats, Floats]:
    """Return what counts for each account and what it owes at prices, USD."""
    weighted = _by_account(
        columns.collateral_offsets,
        columns.collateral_units * columns.threshold * prices[columns.collateral_asset],
    )
    debt = _by_account(columns.debt_offsets, columns.debt_units * prices[columns.debt_asset])
    return weighted, debt


def _congestion(crowd: Crowded | None, columns: BookColumns) -> CongestionAnswer | None:
    """Return congestion as it is answered."""
    if crowd is None:
        return None
    bonus = float(np.median(columns.bonus)) if columns.bonus.size else 0.0
    return CongestionAnswer(
        due=crowd.due,
        gas=crowd.gas,
        delay_hours=crowd.delay,
        smallest=smallest_worth(crowd.gas, bonus=bonus),
    )


def decided(book: RiskBook, market: Market) -> BookColumns:
    """Return a book's columns, accounts within `NEAR` of their line moved to where the rules say.

    Floats find who is near; of those the exact rules at the moved prices decide, and the
    thresholds are moved by twice `NEAR` so that floats say the same.
    """
    columns, prices = book.columns(market), price_row(market)
    weighted, debt = _sides(columns, prices)
    near = np.flatnonzero((debt > 0.0) & (np.abs(weighted - debt) <= 2.0 * NEAR * debt))
    threshold = columns.threshold.copy()
    for row in near.tolist():
        case = book.cases.get(columns.keys[row])
        if case is None:
            continue
        line = debt[row] / weighted[row]
        factor = line * (1.0 + (-2.0 if _is_breached(case, book, market) else 2.0) * NEAR)
        first, last = columns.collateral_offsets[row : row + 2]
        threshold[first:last] *= factor
    return replace(columns, threshold=threshold) if near.size else columns


def _is_breached(case: AccountInput, book: RiskBook, market: Market) -> bool:
    """Return whether the exact rules would liquidate an account after a shock."""
    shares = {
        asset: Fraction(market.prices[asset]) / book.prices[asset] - 1
        for asset in case.market.prices
        if asset in market.prices
    }
    moved = shocked(case.market, shares)
    return case.rulebook.margin(case.account, moved, case.terms).verdict in BREACHED


def _by_account(offsets: Places, values: Floats) -> Floats:
    owner = np.repeat(np.arange(offsets.size - 1), np.diff(offsets))
    return np.asarray(np.bincount(owner, weights=values, minlength=offsets.size - 1))


def stressed(
    book: RiskBook,
    shock: ShockBody,
    curves: Mapping[str, ImpactCurve],
    *,
    where: str,
    with_owners: bool,
) -> StressShock:
    """Run one shock to its end.

    Raises
    ------
    InvalidInput
        As `market_of` does.
    """
    market = market_of(book, shock, curves, where=where)
    columns, around = decided(book, market), market_columns(market)
    prices = price_row(market)
    crowd = _crowd(shock, columns, prices)
    limits = liquidators_of(shock, crowd)
    course = run(columns, around, prices, limits)
    without_impact = replace(around, oracle_share=0.0)
    alone = float(run_all(columns, without_impact, prices[np.newaxis, :], limits).repaid[0])
    repaid = float(course.totals.repaid[0])
    rounds = int(course.totals.rounds[0])
    is_still = bool(course.totals.converged[0]) or _is_limited(shock, limits, rounds)
    expected = _owners_act(book, columns, around, prices, limits) if with_owners else None
    number = reproduction(columns, around, prices, np.ones(prices.size), np.zeros(1)).numbers[0]
    return StressShock(
        name=shock.name,
        rounds=tuple(_rounds(columns, course, book.unpriced)),
        accounts=int(course.totals.liquidated[0]),
        collateral_at_risk=float(course.seized),
        repaid=repaid if is_still else None,
        bad_debt=float(course.totals.bad_debt[0]) if is_still else None,
        insolvent_accounts=int(course.totals.insolvent[0]),
        unliquidated=float(course.totals.unliquidated[0]),
        amplification=repaid / alone if alone > 0 else None,
        reproduction=float(number),
        converged=bool(course.totals.converged[0]),
        residuals=_residuals(columns, course),
        contributors=tuple(_contributors(book, course)),
        congestion=_congestion(crowd, columns),
        settlements=_settlements(book, shock, columns, prices, course),
        expected=expected,
    )


def _is_limited(shock: ShockBody, limits: Liquidators, rounds: int) -> bool:
    """Return whether liquidators stopped by a limit that the shock states, which is a result."""
    is_short = shock.capacity is not None or limits.rounds == 0
    return is_short or (limits.gas is not None and rounds < MOST_ROUNDS)


def _owners_act(
    book: RiskBook, columns: BookColumns, around: MarketColumns, prices: Any, limits: Liquidators
) -> dict[str, float]:
    """Return means over draws of who of the owners acts first."""
    drawn = np.repeat(prices[np.newaxis, :], OWNER_DRAWS, axis=0)
    totals = run_all(columns, around, drawn, limits, owners=book.owners())
    return {
        "accounts": float(totals.liquidated.mean()),
        "repaid": float(totals.repaid.mean()),
        "bad_debt": float(totals.bad_debt.mean()),
    }


def _settlements(
    book: RiskBook, shock: ShockBody, columns: BookColumns, prices: Floats, course: Course
) -> tuple[SettlementAnswer, ...]:
    """Return who pays for bankrupt positions at the prices where a cascade ended, if asked."""
    if shock.deleveraging is None:
        return ()
    end = course.prices[-1] if course.prices.size else prices
    moved = {
        asset: (book.prices[asset], Fraction(price))
        for asset, price in zip(columns.assets, end.tolist(), strict=True)
    }
    order = np.argsort(-course.bad_debt, kind="stable")
    bankrupt = [columns.keys[row] for row in order.tolist() if course.bad_debt[row] > 0.0]
    return settlements(book.cases, shock, moved, bankrupt)


def _rounds(
    columns: BookColumns, course: Course, unpriced: frozenset[str]
) -> Iterator[RoundAnswer]:
    """Yield the rounds; of unpriced assets neither units nor prices are known."""
    for place in range(course.repaid.size):
        sold = zip(columns.assets, course.sold[place].tolist(), strict=True)
        prices = zip(columns.assets, course.prices[place].tolist(), strict=True)
        yield RoundAnswer(
            accounts=int(course.liquidated[place]),
            repaid=float(course.repaid[place]),
            sold={asset: n for asset, n in sold if n > 0 and asset not in unpriced},
            prices={asset: price for asset, price in prices if asset not in unpriced},
        )


def _residuals(columns: BookColumns, course: Course) -> dict[str, float]:
    """Return the largest share of any asset's amount that appeared or vanished."""
    gone = columns.collateral_units * np.repeat(
        1.0 - course.collateral_left, np.diff(columns.collateral_offsets)
    )
    size = len(columns.assets)
    left = np.bincount(columns.collateral_asset, weights=gone, minlength=size)
    whole = np.bincount(columns.collateral_asset, weights=columns.collateral_units, minlength=size)
    off = np.abs(left - course.sold.sum(axis=0)) / np.maximum(whole, 1e-300)
    repaid = abs(float(course.repaid_by.sum()) - float(course.repaid.sum()))
    return {
        "collateral": float(off.max(initial=0.0)),
        "debt": repaid / max(float(course.repaid.sum()), 1e-300),
    }


def _contributors(book: RiskBook, course: Course) -> list[Contributor]:
    order = np.argsort(-(course.repaid_by + course.bad_debt), kind="stable")[:CONTRIBUTORS]
    return [
        Contributor(
            account=book.borrowers[row].key,
            venue=book.venue(book.borrowers[row].key),
            repaid=float(course.repaid_by[row]),
            bad_debt=float(course.bad_debt[row]),
        )
        for row in order.tolist()
        if course.repaid_by[row] > 0 or course.bad_debt[row] > 0
    ]


def curve_of(
    book: RiskBook, curves: Mapping[str, ImpactCurve], *, oracle_sees: Fraction = Fraction(1)
) -> list[dict[str, float]]:
    """Return what a fall of the whole market liquidates with and without the cascade, and R."""
    market = book.market(curves, oracle_sees)
    columns, around = book.columns(market), market_columns(market)
    prices = price_row(market)
    direction = np.array([1.0 if moving([asset], None) else 0.0 for asset in columns.assets])
    shocks = prices * np.exp(np.outer(CURVE_SHOCKS, direction))
    with_it = run_all(columns, around, shocks)
    alone = run_all(columns, replace(around, oracle_share=0.0), shocks)
    numbers = reproduction(columns, around, prices, direction, CURVE_SHOCKS).numbers
    return [
        {
            "shock": float(np.expm1(CURVE_SHOCKS[place])),
            "repaid": float(with_it.repaid[place]),
            "repaid_without_cascade": float(alone.repaid[place]),
            "bad_debt": float(with_it.bad_debt[place]),
            "reproduction": float(numbers[place]),
        }
        for place in range(CURVE_SHOCKS.size)
    ]


@dataclass(frozen=True, slots=True)
class Forecaster:
    """A book with its market in columns and the past of its prices.

    Parameters
    ----------
    book
        Without accounts whose assets have no candles.
    columns, around, prices
        The book as the kernel takes it.
    bars
        Candles of every asset in the columns' order.
    """

    book: RiskBook
    columns: BookColumns
    around: MarketColumns
    prices: Any
    bars: Bars

    def draw(self, hours: int, request: ForecastBody, method: Method) -> Moves:
        """Return the scenarios of a horizon."""
        return moves(
            self.bars,
            self.weights,
            hours=hours,
            scenarios=request.scenarios,
            seed=request.seed,
            method=method,
        )

    def run(
        self, drawn: Moves, *, with_owners: bool, seed: int, report: Any, spread: Spread = map
    ) -> BookForecast:
        """Return a forecast over scenarios."""
        owners = self.book.owners(seed) if with_owners else None
        return forecast(
            self.columns,
            self.around,
            self.prices,
            drawn,
            owners=owners,
            report=report,
            spread=spread,
        )

    @property
    def weights(self) -> Floats:
        """Return USD of collateral by asset, shape (assets,)."""
        worth = self.columns.collateral_units * self.prices[self.columns.collateral_asset]
        places, size = self.columns.collateral_asset, len(self.columns.assets)
        return np.asarray(np.bincount(places, weights=worth, minlength=size), dtype=np.float64)


def forecaster(
    book: RiskBook, curves: Mapping[str, ImpactCurve], candles: Mapping[str, Any]
) -> Forecaster:
    """Return a book ready to be forecast.

    Parameters
    ----------
    candles
        Arrays of close, high and low of one grid of hours, by asset; assets that keep their
        price need none.
    """
    missing = {
        asset: "no_candles"
        for asset in book.prices
        if asset not in candles and moving([asset], None)
    }
    bases = priced_in(book.usable(curves))
    missing |= {asset: "no_candles" for asset, base in bases.items() if base in missing}
    remaining = without(book, missing)
    legs = {asset for item in remaining.borrowers for asset in _assets(item)}
    legs |= {base for asset, base in bases.items() if asset in legs}
    prices = {asset: book.prices[asset] for asset in sorted({*legs, USD} & book.prices.keys())}
    remaining = replace(remaining, prices=prices, unpriced=remaining.unpriced & prices.keys())
    market = remaining.market(curves, Fraction(1))
    columns = book_columns(remaining.borrowers, market)
    size = max((len(item["close"]) for item in candles.values()), default=0)
    still = np.ones(size)
    bars = Bars(
        columns.assets,
        *(
            np.array([candles[a][side] if a in candles else still for a in columns.assets])
            .reshape(len(columns.assets), size)
            .T
            for side in ("close", "high", "low")
        ),
    )
    return Forecaster(remaining, columns, market_columns(market), price_row(market), bars)


def forecast_answer(result: BookForecast, ready: Forecaster) -> OwnersForecast:
    """Return a forecast as it is answered."""
    venues = [ready.book.venue(item.key) for item in ready.book.borrowers]
    order = np.argsort(-result.by_account, kind="stable")[:CONTRIBUTORS]
    return OwnersForecast(
        liquidated=tuple(_quantile(item) for item in result.liquidated),
        bad_debt=tuple(_quantile(item) for item in result.bad_debt),
        mean_liquidated=result.mean_liquidated,
        mean_bad_debt=result.mean_bad_debt,
        by_asset=by_asset(ready.columns, ready.prices, result.by_account),
        by_venue=grouped(result.by_account, venues),
        by_account={
            ready.book.borrowers[row].key: float(result.by_account[row])
            for row in order.tolist()
            if result.by_account[row] > 0
        },
    )


def _quantile(result: Quantile) -> LossQuantile:
    return LossQuantile(
        level=result.level,
        value=result.value,
        low=result.low,
        high=result.high,
        shortfall=result.shortfall,
    )


def headrooms(ready: Forecaster, drawn: Moves, *, bearable: float) -> dict[str, dict[str, Any]]:
    """Return how many times as large accounts of each asset and venue may grow.

    Parameters
    ----------
    drawn
        Scenarios of a day; of each the market's lowest hour counts.
    bearable
        USD of bad debt at its 99 % quantile.
    """
    at = ready.prices * np.exp(drawn.lowest)
    columns, count = ready.columns, len(ready.columns.keys)
    owner = np.repeat(np.arange(count), np.diff(columns.collateral_offsets))
    groups: dict[str, dict[str, Any]] = {"by_asset": {}, "by_venue": {}}
    for number, asset in enumerate(columns.assets):
        holds = np.bincount(owner[columns.collateral_asset == number], minlength=count) > 0
        if holds.any():
            groups["by_asset"][asset] = holds
    venues = np.array([ready.book.venue(key) for key in columns.keys])
    groups["by_venue"] = {str(venue): venues == venue for venue in np.unique(venues)}
    return {
        side: {
            name: headroom(columns, ready.around, at, mask, most=bearable, level=0.99).scale
            for name, mask in masks.items()
        }
        for side, masks in groups.items()
    }


def single_factor(ready: Forecaster, drawn: Moves) -> dict[str, float]:
    """Return LaR by level if every asset moved as the market does.

    Each account has one fall of the market at which it is liquidated, and the sales of those
    above it move the market by the curves' first slopes: a check of the scenarios that needs no
    cascade.
    """
    columns, prices = ready.columns, ready.prices
    moves_along = np.array([bool(moving([asset], None)) for asset in columns.assets])
    worth = columns.collateral_units * prices[columns.collateral_asset]
    owed = columns.debt_units * prices[columns.debt_asset]

    def split(offsets: Places, values: Floats, assets: Places) -> tuple[Floats, Floats]:
        along = moves_along[assets]
        return _by_account(offsets, values * along), _by_account(offsets, values * ~along)

    counted = worth * columns.threshold
    backing = split(columns.collateral_offsets, counted, columns.collateral_asset)
    debt = split(columns.debt_offsets, owed, columns.debt_asset)
    # Below the line where backing x factor + fixed backing < debt x factor + fixed debt.
    slope, gap = backing[0] - debt[0], debt[1] - backing[1]
    falls = (slope > 0.0) & (gap > 0.0)
    triggers = gap[falls] / slope[falls]
    repaid = columns.close_factor[falls] * (debt[0][falls] * triggers + debt[1][falls])
    market = np.exp(drawn.lowest @ ready.weights / max(float(ready.weights.sum()), 1e-300))
    losses = cascaded(price_curve(triggers, repaid), market, per_quote=_first_slope(ready))
    return {f"{level:g}": float(np.quantile(losses, level)) for level in LEVELS}


def _first_slope(ready: Forecaster) -> float:
    """Return the share of the market's price that a first dollar sold takes, by what is held."""
    around, whole = ready.around, max(float(ready.weights.sum()), 1e-300)
    total = 0.0
    for number, price in enumerate(ready.prices.tolist()):
        first = around.curve_offsets[number]
        if first < around.curve_offsets[number + 1]:
            share = float(ready.weights[number]) / whole
            slope = around.curve_impacts[first] / around.curve_amounts[first]
            total += share * share * float(slope) / price
    return around.oracle_share * total


def unwinding(ready: Forecaster, request: ForecastBody) -> dict[str, float]:
    """Return days that selling all collateral takes, by asset with a stated volume.

    Raises
    ------
    InvalidInput
        Assets that nobody holds.
    """
    units = np.bincount(
        ready.columns.collateral_asset,
        weights=ready.columns.collateral_units,
        minlength=len(ready.columns.assets),
    )
    by_name = dict(zip(ready.columns.assets, units.tolist(), strict=True))
    faults = [
        Fault(f"/daily_volume/{asset}", f"no account of the book holds {asset}")
        for asset in request.daily_volume
        if not by_name.get(asset) or asset in ready.book.unpriced
    ]
    if faults:
        raise InvalidInput(faults)
    share = float(request.volume_share)
    return {
        asset: days_to_unwind(by_name[asset], volume=float(volume), share=share)
        for asset, volume in request.daily_volume.items()
    }


def concentrations(book: RiskBook) -> dict[str, float] | None:
    """Return how few accounts owe how much; None where nobody owes."""
    debts = np.array(list(debts_of(book).values()))
    if not debts.sum() > 0.0:
        return None
    shares = concentration(debts)
    return {
        "largest": shares.largest,
        "ten_largest": shares.ten_largest,
        "index": shares.index,
    }


def debts_of(book: RiskBook) -> dict[str, float]:
    """Return USD owed by account."""
    return {
        item.key: float(sum((leg.units * book.prices[leg.asset] for leg in item.debt), Fraction(0)))
        for item in book.borrowers
    }


def oldest(book: RiskBook, at: datetime) -> float | None:
    """Return the age in seconds of the oldest price that the book rests on."""
    return None if book.oldest_at is None else (at - book.oldest_at).total_seconds()
