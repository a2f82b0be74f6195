"""Hourly account moments on the lines of their statements, by stated rules."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.inputs import HOUR, Floats, Ints, seconds
from models.errors import Fault, InvalidTable
from training.sources.statements import Drawn, LeftOut, LinearStretch, StatementTables


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

    def balances_before(self, log: pd.DataFrame) -> tuple[Floats, Floats]:
        """Return collateral and debt at the last moment before each event, 0 without one."""
        place = self._last_before(log["account"].astype(str), log["second"].to_numpy())
        has_moment = place >= 0
        collateral, debt = (self.moments[name].to_numpy() for name in ("collateral", "debt"))
        return np.where(has_moment, collateral[place], 0.0), np.where(has_moment, debt[place], 0.0)

    def surplus_share_before(self, episodes: pd.DataFrame) -> Floats:
        """Return surplus over requirement at the last moment before each episode."""
        place = self._last_before(episodes["account"].astype(str), seconds(episodes["at"]))
        has_moment = place >= 0
        return np.where(has_moment, self.surplus[place] / self.requirement[place], np.nan)

    def _last_before(self, accounts: pd.Series, at: Ints) -> Ints:
        """Return the place of each account's last moment before a time, -1 without one."""
        times = seconds(self.moments["at"])
        indices = self.moments.groupby("account", observed=True).indices
        last = np.full(len(at), -1, dtype=np.int64)
        for name, places in accounts.groupby(accounts).indices.items():
            if name in indices:
                rows = indices[name]
                before = np.searchsorted(times[rows], at[places], side="left") - 1
                last[places] = np.where(before >= 0, rows[np.maximum(before, 0)], -1)
        return last


def rows_of(book: StatementTables, drawn: Drawn, *, liquidated: pd.DataFrame, until: int) -> Rows:
    """Return one row per solvent account and hour, and what was left out by which rule.

    Parameters
    ----------
    liquidated
        Liquidations by account and `second`.
    until
        Second to which the tables are complete.
    """
    dropped = LeftOut(Counter(drawn.dropped), dict(drawn.first))
    ends = {str(name): rows.to_numpy() for name, rows in liquidated.groupby("account")["second"]}
    stated = {
        str(name): np.unique(seconds(rows)) for name, rows in book.holdings.groupby("account")["at"]
    }
    parts = []
    for line in drawn.lines:
        hours = np.arange(line.begin, min(line.end, until // HOUR + 1))
        wound_up = _wound_up(hours, stated[line.account], ends.get(line.account))
        rule = "account-hours after a liquidation without a new statement"
        dropped.add(rule, line.account, hours[wound_up])
        part = _on_line(book, line, hours[~wound_up], dropped)
        if part is not None:
            parts.append(part)
    return _gather(parts, drawn, dropped)


def _wound_up(hours: Ints, stated: Ints, liquidated: Ints | None) -> npt.NDArray[np.bool_]:
    """Return the hours before which a liquidation came later than the last statement."""
    if liquidated is None:
        return np.zeros(len(hours), dtype=bool)
    stated_at, others = (
        np.append(-1, times)[np.searchsorted(times, hours * HOUR, side="right")]
        for times in (stated, np.sort(liquidated))
    )
    return np.asarray(others > stated_at)


@dataclass(frozen=True, slots=True)
class _Part:
    """The rows of one line."""

    line: LinearStretch
    hours: Ints
    prices: Floats
    credit: Floats
    requirement: Floats


def _on_line(
    book: StatementTables, line: LinearStretch, hours: Ints, dropped: LeftOut
) -> _Part | None:
    """Return the hours of a line that make a row."""
    if not len(hours):
        return None
    if not line.units:
        dropped.add("account-hours that no price can liquidate", line.account, hours)
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
    usable = np.ones(len(hours), dtype=bool)
    for name, out in rules.items():
        dropped.add(name, line.account, hours[out & usable])
        usable &= ~out
    if not usable.any():
        return None
    return _Part(line, hours[usable], prices[:, usable], credit[usable], requirement[usable])


def _gather(parts: list[_Part], drawn: Drawn, dropped: LeftOut) -> Rows:
    """Return the rows of all lines as one frame.

    Raises
    ------
    InvalidTable
        When the rules leave no row, with what each left out, the most first.
    """
    if not parts:
        faults = [_left_out(rule, dropped) for rule, _ in dropped.counts.most_common()]
        raise InvalidTable([Fault("holdings", "no account-hour makes a row"), *faults])
    counts = np.array([len(part.hours) for part in parts], dtype=np.int64)
    widths = np.array([len(part.line.units) for part in parts], dtype=np.int64)
    starts = np.concatenate([[0], np.cumsum(widths)])
    first = np.repeat(starts[:-1], counts)
    end = np.repeat(starts[1:], counts)
    asset = tuple(name for part in parts for name in part.line.units)
    units = np.array([value for part in parts for value in part.line.units.values()])
    moments = _frame(parts, counts, drawn)
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
        censored_at={
            name: datetime.fromtimestamp(at, tz=UTC) for name, at in drawn.stale_at.items()
        },
        dropped=dict(dropped.counts),
        drawn=drawn,
    )


def _left_out(rule: str, dropped: LeftOut) -> Fault:
    """Return how many account-hours a rule left out, and which one first."""
    account, hour = dropped.first[rule]
    at = datetime.fromtimestamp(hour * HOUR, tz=UTC)
    detail = f"{dropped.counts[rule]:,} {rule}; first {account!r} at {at:%Y-%m-%d %H:%M}"
    return Fault("holdings", detail)


def _frame(parts: list[_Part], counts: Ints, drawn: Drawn) -> pd.DataFrame:
    """Return the moments of all lines."""
    columns = [_numbers(part) for part in parts]
    frame = pd.DataFrame(
        {name: np.concatenate([numbers[name] for numbers in columns]) for name in columns[0]}
    )
    names = [part.line.account for part in parts]
    opened = np.array([drawn.opened_at[name] for name in names], dtype=np.int64)
    hours = np.concatenate([part.hours for part in parts])
    leading = np.concatenate([_leading(part) for part in parts])
    return frame.assign(
        account=pd.Categorical(np.repeat(np.array(names, dtype=object), counts)),
        at=pd.to_datetime(hours * HOUR, unit="s", utc=True).as_unit("ns"),
        asset=pd.Categorical(leading),
        price_next=frame["price"],
        delay=0.0,
        opened_at=pd.to_datetime(np.repeat(opened, counts), unit="s", utc=True).as_unit("ns"),
    )


def _numbers(part: _Part) -> dict[str, Floats]:
    """Return the numeric columns of one line: of one asset as its price, of several a ratio."""
    line, size = part.line, len(part.hours)
    unit = next(iter(line.units.values()))
    values: tuple[Floats | float, ...]
    if len(line.units) > 1:
        values = (part.credit / part.requirement, 1.0, part.credit, part.requirement, 1.0)
    elif unit < 0.0:
        values = (part.prices[0], -line.cash / unit, line.cash, -unit, -1.0)
    else:
        values = (part.prices[0], -line.cash / unit, unit, -line.cash, 1.0)
    names = ("price", "trigger", "collateral", "debt", "side", "debt_value", "cash")
    return {
        name: np.broadcast_to(np.asarray(value, dtype=np.float64), size)
        for name, value in zip(names, (*values, part.requirement, line.cash), strict=True)
    }


def _leading(part: _Part) -> npt.NDArray[np.object_]:
    """Return the asset with the largest exposure, hour by hour."""
    exposed = np.abs(np.array(list(part.line.units.values()))[:, None] * part.prices)
    return np.array(list(part.line.units), dtype=object)[exposed.argmax(axis=0)]


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
