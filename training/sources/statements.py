"""From statements of what accounts held to hourly moments, by the venue's own rulebook."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.inputs import HOUR, Candles, Floats, Ints, seconds
from models.domain import Account, Exact, Leg, LegKind, Market, Price
from models.exposure import exposure
from models.margin.rulebook import load
from models.terms import DatedTerms

RELINE = 24
"""Hours after which the line of an unchanged account is drawn anew."""

FOREVER = 2**62
FLOAT_DECIMALS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """Validated tables of one venue.

    Parameters
    ----------
    holdings
        Of the schema `training.sources.events.HOLDINGS`.
    terms
        Dated terms, oldest first.
    grids
        Candles by asset.
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
class Line:
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
        Hours left out.
    """

    lines: tuple[Line, ...]
    stale_at: Mapping[str, int]
    opened_at: Mapping[str, int]
    dropped: Mapping[str, int]


def lines(book: Book) -> Drawn:
    """Draw every account's line at each statement and once a day after it."""
    found: list[Line] = []
    stale_at: dict[str, int] = {}
    opened_at: dict[str, int] = {}
    dropped: Counter[str] = Counter()
    last = max(grid.first_hour + len(grid.close) for grid in book.grids.values())
    market = _Markets(book)
    for account, held in book.holdings.groupby("account", sort=True):
        name = str(account)
        statements = _statements(held)
        opened_at[name] = statements[0][0]
        for place, (at, legs) in enumerate(statements):
            after = statements[place + 1][0] if place + 1 < len(statements) else FOREVER
            trusted = FOREVER
            if book.statement_hours is not None:
                trusted = at + book.statement_hours * HOUR
            if legs and trusted < after and trusted <= last * HOUR:
                stale_at[name] = trusted
            begin, end = -(-at // HOUR), min(-(-min(after, trusted) // HOUR), last + 1)
            found.extend(_lines(name, legs, market, begin, end, dropped))
            if name in stale_at:
                break
    return Drawn(tuple(found), stale_at, opened_at, dict(dropped))


def _statements(held: pd.DataFrame) -> list[tuple[int, tuple[Leg, ...]]]:
    """Return the second and the legs of each statement in order."""
    legs = [
        Leg(
            kind=LegKind(kind),
            asset=asset,
            quantity=_exact(quantity),
            entry=_exact(entry) if kind == LegKind.POSITION else None,
        )
        for kind, asset, quantity, entry in zip(
            held["kind"], held["asset"], held["quantity"], held["entry"], strict=True
        )
    ]
    by_second: dict[int, list[Leg]] = {}
    for second, leg in zip(seconds(held["at"]), legs, strict=True):
        by_second.setdefault(int(second), []).append(leg)
    return [
        (second, tuple(leg for leg in by_second[second] if leg.quantity))
        for second in sorted(by_second)
    ]


def _exact(value: Decimal) -> Exact:
    """Return an integer where it is one, else a rational."""
    exact = Fraction(value)
    return int(exact) if exact.denominator == 1 else exact


class _Markets:
    """What the venue saw at an hour, and the terms that held."""

    def __init__(self, book: Book) -> None:
        self.book = book
        self.rulebook = load(book.terms[0].venue, book.terms[0].version)
        self._seen: dict[int, Market] = {}
        ordered = None if book.state is None else book.state.sort_values("at", kind="stable")
        self._state = ordered
        self._state_at = np.empty(0, np.int64) if ordered is None else seconds(ordered["at"])

    def at(self, hour: int) -> Market:
        """Return the market at an hour; an asset without a price is absent."""
        if hour not in self._seen:
            self._seen[hour] = self._market(hour)
        return self._seen[hour]

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
        return Market(at=at, prices=prices, state=self._in_force(hour))

    def _in_force(self, hour: int) -> dict[str, int]:
        """Return the last value of every accumulator and switch."""
        if self._state is None:
            return {}
        known = self._state[self._state_at <= hour * HOUR]
        return {str(name): int(rows.iloc[-1]) for name, rows in known.groupby("name")["value"]}

    def terms(self, hour: int) -> DatedTerms | None:
        """Return the terms in force, None before the first."""
        at = datetime.fromtimestamp(hour * HOUR, tz=UTC)
        held = [entry for entry in self.book.terms if entry.valid_from <= at]
        return held[-1] if held else None


def _lines(
    name: str,
    legs: tuple[Leg, ...],
    market: _Markets,
    begin: int,
    end: int,
    dropped: Counter[str],
) -> Iterator[Line]:
    """Yield the lines of one statement, drawn at its beginning and once a day."""
    hour = begin
    while legs and hour < end:
        until = min(hour + RELINE, end)
        terms, seen = market.terms(hour), market.at(hour)
        found = None
        if terms is not None:
            account = Account(
                id=name,
                venue=terms.venue,
                version=terms.version,
                market=terms.market,
                legs=legs,
            )
            found = exposure(market.rulebook, account, seen, terms.terms)
        if found is None:
            dropped["account-hours that the rulebook cannot judge"] += 1
            hour += 1
            continue
        exposed = found.by_asset.items()
        units = {asset: float(term / seen.prices[asset].exact) for asset, term in exposed}
        yield Line(name, hour, until, float(found.cash), units)
        hour = until


@dataclass(frozen=True, slots=True)
class Rows:
    """Hourly moments with the lines they lie on.

    Parameters
    ----------
    moments, legs
        By `features.inputs.MOMENTS` and `LEGS`.
    cash
        Of each moment, quote units.
    first, end
        Slice of each moment's units in `asset` and `units`.
    asset, units
        Asset names and signed units of every leg, single ones too.
    surplus, requirement
        Of each moment, quote units.
    censored_at
        By account.
    dropped
        Account-hours left out, by rule.
    drawn
        The lines.
    """

    moments: pd.DataFrame
    legs: pd.DataFrame | None
    cash: Floats
    first: Ints
    end: Ints
    asset: tuple[str, ...]
    units: Floats
    surplus: Floats
    requirement: Floats
    censored_at: Mapping[str, datetime]
    dropped: Mapping[str, int]
    drawn: Drawn

    def held_before(self, log: pd.DataFrame) -> tuple[Floats, Floats]:
        """Return collateral and debt at the last moment before each event, 0 without one."""
        place = self._last_before(log["account"].astype(str), log["second"].to_numpy())
        known = place >= 0
        collateral, debt = (self.moments[name].to_numpy() for name in ("collateral", "debt"))
        return np.where(known, collateral[place], 0.0), np.where(known, debt[place], 0.0)

    def surplus_share_before(self, episodes: pd.DataFrame) -> Floats:
        """Return surplus over requirement at the last moment before each episode."""
        place = self._last_before(episodes["account"].astype(str), seconds(episodes["at"]))
        known = place >= 0
        return np.where(known, self.surplus[place] / self.requirement[place], np.nan)

    def _last_before(self, accounts: pd.Series, at: Ints) -> Ints:
        """Return the place of each account's last moment before a time, -1 without one."""
        own = seconds(self.moments["at"])
        indices = self.moments.groupby("account", observed=True).indices
        found = np.full(len(at), -1, dtype=np.int64)
        for name, places in accounts.groupby(accounts).indices.items():
            if name in indices:
                rows = indices[name]
                before = np.searchsorted(own[rows], at[places], side="left") - 1
                found[places] = np.where(before >= 0, rows[np.maximum(before, 0)], -1)
        return found


def rows_of(book: Book, drawn: Drawn, *, liquidated: pd.DataFrame, until: int) -> Rows:
    """Return one row per solvent account and hour, and what was left out by which rule.

    Parameters
    ----------
    liquidated
        Liquidations by account and `second`.
    until
        Second to which the tables are complete.
    """
    dropped: Counter[str] = Counter(drawn.dropped)
    ends = {str(name): rows.to_numpy() for name, rows in liquidated.groupby("account")["second"]}
    stated = {
        str(name): np.unique(seconds(rows)) for name, rows in book.holdings.groupby("account")["at"]
    }
    parts = []
    for line in drawn.lines:
        hours = np.arange(line.begin, min(line.end, until // HOUR + 1))
        wound_up = _wound_up(hours, stated[line.account], ends.get(line.account))
        dropped["account-hours after a liquidation without a new statement"] += int(wound_up.sum())
        part = _on_line(book, line, hours[~wound_up], dropped)
        if part is not None:
            parts.append(part)
    return _gather(parts, drawn, dropped)


def _wound_up(hours: Ints, stated: Ints, liquidated: Ints | None) -> npt.NDArray[np.bool_]:
    """Return the hours before which a liquidation came later than the last statement."""
    if liquidated is None:
        return np.zeros(len(hours), dtype=bool)
    own, others = (
        np.append(-1, times)[np.searchsorted(times, hours * HOUR, side="right")]
        for times in (stated, np.sort(liquidated))
    )
    return np.asarray(others > own)


@dataclass(frozen=True, slots=True)
class _Part:
    """The rows of one line."""

    line: Line
    hours: Ints
    prices: Floats
    credit: Floats
    requirement: Floats


def _on_line(book: Book, line: Line, hours: Ints, dropped: Counter[str]) -> _Part | None:
    """Return the hours of a line that make a row."""
    if not len(hours):
        return None
    if not line.units:
        dropped["account-hours that no price can liquidate"] += len(hours)
        return None
    units = np.array(list(line.units.values()))
    begin, end = int(hours[0]), int(hours[-1]) + 1
    prices = np.stack([book.prices(asset, begin, end)[hours - begin] for asset in line.units])
    credit = max(line.cash, 0.0) + np.maximum(units, 0.0) @ prices
    requirement = max(-line.cash, 0.0) + np.maximum(-units, 0.0) @ prices
    rules = {
        "account-hours without a price": np.isnan(credit),
        "account-hours that no price can liquidate": requirement <= 0.0,
        "account-hours of dust": requirement < book.least_requirement,
        "account-hours already liquidatable": credit <= requirement,
    }
    kept = np.ones(len(hours), dtype=bool)
    for name, out in rules.items():
        dropped[name] += int((out & kept).sum())
        kept &= ~out
    return _Part(line, hours[kept], prices[:, kept], credit[kept], requirement[kept])


def _gather(parts: list[_Part], drawn: Drawn, dropped: Counter[str]) -> Rows:
    """Return the rows of all lines as one frame."""
    counts = np.array([len(part.hours) for part in parts], dtype=np.int64)
    widths = np.array([len(part.line.units) for part in parts], dtype=np.int64)
    moments = pd.concat([_frame(part, drawn) for part in parts], ignore_index=True)
    moments["account"] = moments["account"].astype("category")
    starts = np.concatenate([[0], np.cumsum(widths)])
    first = np.repeat(starts[:-1], counts)
    end = np.repeat(starts[1:], counts)
    asset = tuple(name for part in parts for name in part.line.units)
    units = np.array([value for part in parts for value in part.line.units.values()])
    censored = {name: datetime.fromtimestamp(at, tz=UTC) for name, at in drawn.stale_at.items()}
    return Rows(
        moments=moments,
        legs=_legs(first, end, asset, units),
        cash=moments["cash"].to_numpy(dtype=np.float64),
        first=first,
        end=end,
        asset=asset,
        units=units,
        surplus=np.concatenate([part.credit - part.requirement for part in parts]),
        requirement=np.concatenate([part.requirement for part in parts]),
        censored_at=censored,
        dropped=dict(dropped),
        drawn=drawn,
    )


def _frame(part: _Part, drawn: Drawn) -> pd.DataFrame:
    """Return the moments of one line: of one asset as its price, of several as a ratio."""
    line, size = part.line, len(part.hours)
    units = np.array(list(line.units.values()))
    exposures = np.abs(units[:, None] * part.prices)
    leading = np.array(list(line.units), dtype=object)[exposures.argmax(axis=0)] if size else []
    is_basket = len(units) > 1
    is_short = not is_basket and units[0] < 0.0
    columns: dict[str, object] = {
        "price": part.credit / part.requirement if is_basket else part.prices[0],
        "trigger": 1.0 if is_basket else -line.cash / units[0],
        "collateral": part.credit if is_basket else line.cash if is_short else units[0],
        "debt": part.requirement if is_basket else -units[0] if is_short else -line.cash,
    }
    frame = pd.DataFrame(columns, index=range(size)).astype("float64")
    at = pd.to_datetime(part.hours * HOUR, unit="s", utc=True).as_unit("ns")
    opened = pd.Timestamp(drawn.opened_at[line.account], unit="s", tz="UTC").as_unit("ns")
    return frame.assign(
        account=line.account,
        at=at,
        asset=leading,
        side=-1 if is_short else 1,
        price_next=frame["price"],
        delay=0.0,
        debt_value=part.requirement,
        cash=line.cash,
        opened_at=opened,
    )


def _legs(first: Ints, end: Ints, asset: tuple[str, ...], units: Floats) -> pd.DataFrame | None:
    """Return the legs of the rows that several prices move, None without any."""
    baskets = np.flatnonzero(end - first > 1)
    if not len(baskets):
        return None
    places = np.concatenate([np.arange(first[row], end[row]) for row in baskets])
    names = np.array(asset, dtype=object)
    return pd.DataFrame(
        {
            "row": np.repeat(baskets, end[baskets] - first[baskets]),
            "asset": names[places],
            "units": units[places],
        }
    )
