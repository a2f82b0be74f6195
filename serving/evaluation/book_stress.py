"""Pure: a book after a shock, round by round, and along all falls of the market."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from types import MappingProxyType
from typing import Any

import numpy as np

from models.book.cascade import MOST_ROUNDS, Liquidators, Market
from models.book.columns import BookColumns, Floats, MarketColumns, by_account, market_columns
from models.book.columns import prices_of as price_row
from models.book.congestion import BlockSpace, Crowded, crowded, smallest_worth
from models.book.impact import USD, ImpactCurve
from models.book.kernel import NEAR, Course, run, run_all
from models.book.reproduction import reproduction
from models.errors import Fault, InvalidInput
from models.margin.shock import shocked
from models.margin.trigger import BREACHED
from models.pegs import moving
from serving.evaluation.inputs import AccountInput
from serving.evaluation.risk_book import CONTRIBUTORS, RiskBook, priced_in
from serving.evaluation.settling import settlements
from serving.schemas.book_risk import (
    CongestionAnswer,
    Contributor,
    LinkedMove,
    RoundAnswer,
    SettlementAnswer,
    ShockBody,
    StressShock,
)

ALL = "*"
OWNER_DRAWS = 200
CURVE_SHOCKS = np.linspace(-0.7, 0.0, 36)
"""Log moves at which the reproduction number and the curve of liquidations are told."""

_PER_HOUR = re.compile(r"([0-9]+(?:\.[0-9]+)?(?:[eE][0-9]+)?)/h")


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


def _crowd(
    shock: ShockBody, spaces: Mapping[str, BlockSpace], columns: BookColumns, prices: Floats
) -> Crowded | None:
    """Return how crowded blocks are after a shock; None where nothing says."""
    if not shock.congestion and shock.block_space is None:
        return None
    weighted, debt = _sides(columns, prices)
    due = int((weighted < debt).sum())
    if shock.block_space is not None:
        return spaces[shock.block_space].crowded(due)
    points = [Crowded(each.due, float(each.gas), each.delay_hours) for each in shock.congestion]
    return crowded(points, due)


def _sides(columns: BookColumns, prices: Floats) -> tuple[Floats, Floats]:
    """Return what counts for each account and what it owes at prices, USD."""
    weighted = by_account(
        columns.collateral_offsets,
        columns.collateral_units * columns.threshold * prices[columns.collateral_asset],
    )
    debt = by_account(columns.debt_offsets, columns.debt_units * prices[columns.debt_asset])
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


def stressed(
    book: RiskBook,
    shock: ShockBody,
    curves: Mapping[str, ImpactCurve],
    *,
    where: str,
    with_owners: bool,
    spaces: Mapping[str, BlockSpace] = MappingProxyType({}),
) -> StressShock:
    """Run one shock to its end.

    Parameters
    ----------
    spaces
        Blocks of the chain that the shock names, if it names one.

    Raises
    ------
    InvalidInput
        As `market_of` does, and where the chain's blocks are not known.
    """
    if shock.block_space is not None and shock.block_space not in spaces:
        detail = f"no blocks of {shock.block_space} are known with a price of what gas is paid in"
        raise InvalidInput([Fault(f"{where}/block_space", detail)])
    market = market_of(book, shock, curves, where=where)
    columns, around = decided(book, market), market_columns(market)
    prices = price_row(market)
    crowd = _crowd(shock, spaces, columns, prices)
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
        collateral_at_risk=float(course.seized) if is_still else None,
        repaid=repaid if is_still else None,
        bad_debt=float(course.totals.bad_debt[0]) if is_still else None,
        insolvent_accounts=int(course.totals.insolvent[0]),
        unliquidated=float(course.totals.unliquidated[0]),
        amplification=repaid / alone if is_still and alone > 0 else None,
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
