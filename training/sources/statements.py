"""From statements of what accounts held to lines in prices, by the venue's own rulebook."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from difflib import get_close_matches
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from features.inputs import HOUR, Candles, Floats, Ints, seconds
from models.domain import Account, Exact, Leg, LegKind, Market, Price
from models.forecast.exposure import exposure
from models.margin.rulebook import load
from models.terms import DatedTerms

RELINE = 24
"""Hours after which the line of an unchanged account is drawn anew."""

FOREVER = 2**62
FLOAT_DECIMALS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementTables:
    """Validated tables of one venue.

    Parameters
    ----------
    holdings
        Of the schema `training.sources.events.HOLDINGS`.
    terms
        Dated terms, oldest first.
    grids
        Candles by asset.
    constant
        Assets without candles that are worth one quote unit.
    state
        Accumulators over time; None without any.
    statement_hours
        How long a statement may be believed; None for until the next one.
    least_requirement
        Quote units under which an account is dust.
    """

    holdings: pd.DataFrame
    terms: tuple[DatedTerms, ...]
    grids: Mapping[str, Candles]
    constant: frozenset[str]
    state: pd.DataFrame | None
    statement_hours: int | None
    least_requirement: float

    def price_at(self, asset: str, hour: int) -> float:
        """Return the close known at an hour, NaN without one."""
        grid = self.grids[asset]
        place = hour - grid.first_hour - 1
        return float(grid.close[place]) if 0 <= place < len(grid.close) else np.nan

    def prices(self, asset: str, begin: int, end: int) -> Floats:
        """Return the closes known at the hours begin … end, the last excluded."""
        grid = self.grids[asset]
        places = np.arange(begin, end) - grid.first_hour - 1
        inside = (places >= 0) & (places < len(grid.close))
        return np.where(inside, grid.close[np.clip(places, 0, len(grid.close) - 1)], np.nan)


@dataclass(frozen=True, slots=True)
class LinearStretch:
    """One account over the hours in which its surplus moves along one line.

    Parameters
    ----------
    account
        Name.
    begin, end
        Hours since 1970 at which it holds, the last excluded.
    cash
        Quote units.
    units
        By asset, signed: what one quote unit of its price adds to the surplus.
    """

    account: str
    begin: int
    end: int
    cash: float
    units: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Drawn:
    """Every line, and why there is none.

    Parameters
    ----------
    lines
        By account and time.
    stale_at
        Second by account from which its statements are too old.
    opened_at
        Second of each account's first statement.
    dropped
        Hours left out, by rule and cause.
    first
        Account and hour since 1970 that each rule left out first.
    """

    lines: tuple[LinearStretch, ...]
    stale_at: Mapping[str, int]
    opened_at: Mapping[str, int]
    dropped: Mapping[str, int]
    first: Mapping[str, tuple[str, int]]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Account-hours left out, counted by rule, with the first account and hour of each."""

    counts: Counter[str] = field(default_factory=Counter)
    first: dict[str, tuple[str, int]] = field(default_factory=dict)

    def add(self, rule: str, account: str, hours: Ints) -> None:
        """Count hours of an account, ascending, under a rule."""
        if len(hours):
            self.counts[rule] += len(hours)
            self.first.setdefault(rule, (account, int(hours[0])))


def lines(book: StatementTables) -> Drawn:
    """Draw every account's line at each statement and once a day after it."""
    stretches: list[LinearStretch] = []
    stale_at: dict[str, int] = {}
    opened_at: dict[str, int] = {}
    dropped = LeftOut()
    last = max(grid.first_hour + len(grid.close) for grid in book.grids.values())
    market = _Markets(book)
    for account, holdings in book.holdings.groupby("account", sort=True):
        name = str(account)
        statements = _statements(holdings, market)
        opened_at[name] = statements[0][0]
        for place, (at, legs) in enumerate(statements):
            after = statements[place + 1][0] if place + 1 < len(statements) else FOREVER
            trusted = FOREVER
            if book.statement_hours is not None:
                trusted = at + book.statement_hours * HOUR
            if legs and trusted < after and trusted <= last * HOUR:
                stale_at[name] = trusted
            begin, end = -(-at // HOUR), min(-(-min(after, trusted) // HOUR), last + 1)
            stretches.extend(_lines(name, legs, market, begin, end, dropped))
            if name in stale_at:
                break
    return Drawn(tuple(stretches), stale_at, opened_at, dict(dropped.counts), dict(dropped.first))


def _statements(holdings: pd.DataFrame, market: "_Markets") -> list[tuple[int, tuple[Leg, ...]]]:
    """Return the second and the legs of each statement in order."""
    columns = (holdings[name] for name in ("kind", "asset", "quantity", "entry"))
    legs = [
        _leg(*cells, mark=partial(market.mark, second=int(second)))
        for *cells, second in zip(*columns, seconds(holdings["at"]), strict=True)
    ]
    by_second: dict[int, list[Leg]] = {}
    for second, leg in zip(seconds(holdings["at"]), legs, strict=True):
        by_second.setdefault(int(second), []).append(leg)
    return [
        (second, tuple(leg for leg in by_second[second] if leg.quantity))
        for second in sorted(by_second)
    ]


def _leg(
    kind: str, asset: str, quantity: Decimal, entry: Decimal, *, mark: Callable[[str], Exact | None]
) -> Leg:
    """Return a leg; a position without an entry stands beside an account's value, at its mark.

    Where nothing tells the mark it has no entry, and no rulebook judges it.
    """
    size = _exact(quantity)
    if kind != LegKind.POSITION:
        # What an account is worth is its cash where its positions are taken at their marks.
        plain = LegKind(kind) if kind in set(LegKind) else LegKind.COLLATERAL
        return Leg(kind=plain, asset=asset, quantity=size, entry=None)
    return Leg(
        kind=LegKind.POSITION,
        asset=asset,
        quantity=size,
        entry=_exact(entry) if entry else mark(asset),
    )


def _exact(value: Decimal) -> Exact:
    """Return an integer where it is one, else a rational."""
    exact = Fraction(value)
    return int(exact) if exact.denominator == 1 else exact


class _Markets:
    """What the venue saw at an hour, and the terms that held."""

    def __init__(self, book: StatementTables) -> None:
        self.book = book
        self.rulebook = load(book.terms[0].venue, book.terms[0].version)
        self._by_hour: dict[int, Market] = {}
        ordered = None if book.state is None else book.state.sort_values("at", kind="stable")
        self._state = ordered
        self._state_at = np.empty(0, np.int64) if ordered is None else seconds(ordered["at"])

    def at(self, hour: int) -> Market:
        """Return the market at an hour; an asset without a price is absent."""
        if hour not in self._by_hour:
            self._by_hour[hour] = self._market(hour)
        return self._by_hour[hour]

    def mark(self, asset: str, *, second: int) -> Exact | None:
        """Return the last close of an asset before a moment; None without one."""
        price = self.at(second // HOUR).prices.get(asset)
        return None if price is None else price.exact

    def _market(self, hour: int) -> Market:
        """Return the prices and the state in force."""
        at = datetime.fromtimestamp(hour * HOUR, tz=UTC)
        decimals = self.rulebook.price_decimals
        scale = FLOAT_DECIMALS if decimals is None else decimals
        prices = {}
        for asset in self.book.grids:
            close = self.book.price_at(asset, hour)
            if np.isfinite(close):
                value = int(Decimal(repr(close)) * 10**scale)
                prices[asset] = Price(value=value, decimals=scale, observed_at=at)
        for asset in self.book.constant:
            prices[asset] = Price(value=10**scale, decimals=scale, observed_at=at)
        return Market(at=at, prices=prices, state=self._in_force(hour))

    def _in_force(self, hour: int) -> dict[str, int]:
        """Return the last value of every accumulator and switch."""
        if self._state is None:
            return {}
        stated = self._state[self._state_at <= hour * HOUR]
        return {str(name): int(rows.iloc[-1]) for name, rows in stated.groupby("name")["value"]}

    def cause(self, account: Account, hour: int, terms: DatedTerms) -> str:
        """Return why the rulebook cannot judge an account."""
        market = self.at(hour)
        state = _TrackedState(market.state)
        margin = self.rulebook.margin(account, replace(market, state=state), terms.terms)
        if margin.reason.startswith("price_"):
            read = dict.fromkeys((*margin.prices, *(leg.asset for leg in account.legs)))
            absent = [name for name in read if name not in market.prices]
            never = [name for name in absent if name not in self.book.grids]
            if never:
                return f"no candles of {', '.join(never)}"
            return f"no close of {', '.join(absent)}" if absent else margin.reason
        if not state.absent:
            return margin.reason
        # Rules name what they miss by its last part; of rules that do not, the last read is it.
        missing = (n for n in state.absent if margin.reason == f"{n.rpartition('.')[2]}_missing")
        name = next(missing, state.absent[-1])
        stated = set() if self._state is None else set(self._state["name"])
        if name in stated:
            return f"{margin.reason}, state {name} is stated only later"
        near = get_close_matches(name, sorted(stated), n=1)
        hint = f"; the nearest stated is {near[0]}" if near else ""
        return f"{margin.reason}, no state {name}{hint}"

    def terms(self, hour: int) -> DatedTerms | None:
        """Return the terms in force, None before the first."""
        at = datetime.fromtimestamp(hour * HOUR, tz=UTC)
        started = [entry for entry in self.book.terms if entry.valid_from <= at]
        return started[-1] if started else None


class _TrackedState(dict[str, int]):
    """State that notes the names it was asked for and does not have."""

    def __init__(self, state: Mapping[str, int]) -> None:
        super().__init__(state)
        self.absent: list[str] = []

    def get(self, name: str, default: Any = None) -> Any:
        """Return a value, or the default."""
        is_stated = name in self
        return super().get(name, default) if is_stated else default

    def __contains__(self, name: object) -> bool:
        """Return whether a name is stated."""
        is_stated = super().__contains__(name)
        if not is_stated:
            self.absent.append(str(name))
        return is_stated


def _lines(
    name: str,
    legs: tuple[Leg, ...],
    market: _Markets,
    begin: int,
    end: int,
    dropped: LeftOut,
) -> Iterator[LinearStretch]:
    """Yield the lines of one statement, drawn at its beginning and once a day."""
    hour = begin
    while legs and hour < end:
        until = min(hour + RELINE, end)
        terms, hour_market = market.terms(hour), market.at(hour)
        linear, cause = None, "no terms in force"
        if terms is not None:
            account = Account(
                id=name,
                venue=terms.venue,
                version=terms.version,
                market=terms.market,
                legs=legs,
            )
            linear = exposure(market.rulebook, account, hour_market, terms.terms)
            cause = "" if linear is not None else market.cause(account, hour, terms)
        if linear is None:
            rule = f"account-hours that the rulebook cannot judge: {cause}"
            dropped.add(rule, name, np.array([hour]))
            hour += 1
            continue
        moving = {k: term for k, term in linear.by_asset.items() if k not in market.book.constant}
        cash = linear.surplus - sum(moving.values(), Fraction(0))
        units = {
            asset: float(term / hour_market.prices[asset].exact) for asset, term in moving.items()
        }
        yield LinearStretch(name, hour, until, float(cash), units)
        hour = until
