"""Pure: from a judged case to what the feature pipeline reads of it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

import numpy as np
from msgspec import Struct, structs

from features.continuity import LEAP, STILL, is_broken, is_stopped
from features.inputs import Candles, Events, Ints, Names, Tables
from features.moments import LegColumns, MomentColumns
from models import pegs
from models.domain import LegKind, Price
from models.forecast.exposure import Exposure, exposure
from models.margin.fixed_point import RAY, WAD, mul_div_down
from models.margin.venues import maker
from serving.evaluation.rule_evaluation import RuleEvaluation, asset_trigger
from serving.schemas.assessment import Notice, exact_text

HOUR = timedelta(hours=1)
MOST_LATE = 3
"""Hours by which the newest candle may be late: as old as a price that states no limit may be."""

PEG = 0.05
"""An asset on record as worth one quote unit has left its peg where its price is further off."""


class PositionRow(Struct, frozen=True, kw_only=True):
    """An account as the feature pipeline sees it, but for its name and time.

    Parameters
    ----------
    columns
        Of `features.inputs.MOMENTS`.
    legs
        Signed units by asset, of an account that several prices move; empty otherwise.
    constant
        Assets taken to keep their price for want of candles.
    late
        Hours by which the newest candle of its assets is late: so long before the question its
        market is looked at.
    """

    columns: Mapping[str, Any]
    legs: Mapping[str, float]
    constant: tuple[str, ...] = ()
    late: int = 0


@dataclass(frozen=True, slots=True)
class Series:
    """What is read of one asset's candles at a moment.

    Parameters
    ----------
    is_broken
        Whether they changed their unit before it.
    is_stopped
        Whether the last of them repeat one price without a volume.
    late
        Hours by which the newest is late, 0 beyond `MOST_LATE`: the features tell whether what
        is there suffices.
    close
        Of the candle that ended last so many hours before; NaN where there is none.
    newest
        Last close that is known, however old; None where there is none.
    """

    is_broken: bool
    is_stopped: bool
    late: int
    close: float
    newest: float | None

    @classmethod
    def of(cls, candles: Candles, at: datetime) -> "Series":
        """Return what is read of candles."""
        hours = range(MOST_LATE + 1)
        late = next((n for n in hours if np.isfinite(_last_close(candles, at - n * HOUR))), 0)
        end = _closed(candles, at)
        finite = np.flatnonzero(np.isfinite(candles.close[: max(end, 0)]))
        return cls(
            is_broken=is_broken(candles, end=end),
            is_stopped=is_stopped(candles, end=end - late),
            late=late,
            close=_last_close(candles, at - late * HOUR),
            newest=float(candles.close[finite[-1]]) if len(finite) else None,
        )


@dataclass(frozen=True, slots=True)
class View:
    """The candles of many accounts at one moment, each asset's read once for all of them.

    Parameters
    ----------
    candles
        By asset.
    at
        What closes later is not seen.
    """

    candles: Mapping[str, Candles]
    at: datetime
    _series: dict[str, Series] = field(default_factory=dict)
    _off: dict[tuple[str, int], tuple[Price, Notice | None]] = field(default_factory=dict)

    def series(self, name: str) -> Series:
        """Return what is read of the candles of an asset that has some."""
        if name not in self._series:
            self._series[name] = Series.of(self.candles[name], self.at)
        return self._series[name]

    def off(self, name: str, price: Price) -> Notice | None:
        """Return that a price is far off its candles; None where it is not."""
        key = name, id(price)
        if key not in self._off:
            # The price is kept too, so that its identity stays its own.
            self._off[key] = price, self._compared(name, price)
        return self._off[key][1]

    def _compared(self, name: str, price: Price) -> Notice | None:
        """Compare a price with the last close of its candles."""
        close = None if name not in self.candles else self.series(name).newest
        if close is None or 1 / LEAP < price.exact / Fraction(close) < LEAP:
            return None
        shown = exact_text(price.value, price.decimals)
        text = f"{name}: price {shown} is far off the last close of its candles, {close:.12g}"
        return Notice(
            code="price_off_candles",
            text=text,
            subject=name,
            values={"price": float(price.exact), "close": float(close)},
        )


def position(judged: RuleEvaluation, view: View) -> PositionRow | Notice:
    """Return what can fall to a trigger, or why nothing can be forecast."""
    if judged.case.account.venue == "maker":
        return _vault(judged, view)
    line = judged.line
    if line is None or not line.by_asset or not line.requirement:
        return _untouchable()
    constant = tuple(sorted(name for name in line.by_asset if _is_held(judged, view.candles, name)))
    moving = {name: value for name, value in line.by_asset.items() if name not in constant}
    if not moving:
        return _untouchable()
    unfit = _unfit(sorted(moving), view)
    if unfit is not None:
        return unfit
    late = _lateness(moving, view)
    if len(moving) == 1:
        row = _single(judged, next(iter(moving)), line, constant)
    else:
        closes = {name: _close(view, name, late=late) for name in moving}
        row = _basket(judged, line, moving, closes, constant=constant)
    return structs.replace(row, late=late) if isinstance(row, PositionRow) else row


def _unfit(names: Sequence[str], view: View) -> Notice | None:
    """Return why candles tell nothing of assets: none there, unit changed, price stopped.

    What came before a change of unit is of no use.
    """
    absent = [name for name in names if name not in view.candles]
    if absent:
        missing = ", ".join(absent)
        return Notice(code="candles_missing", text=f"no candles of {missing}", subject=missing)
    for name in names:
        if view.series(name).is_broken:
            text = f"the candles of {name} are not of one unit throughout"
            return Notice(code="candles_discontinuous", text=text, subject=name)
        if view.series(name).is_stopped:
            text = f"the last {STILL} candles of {name} repeat one price, volume unknown"
            return Notice(code="candles_stopped", text=text, subject=name)
    return None


def off_candles(prices: Mapping[str, Price], view: View) -> tuple[Notice, ...]:
    """Return which prices are `LEAP` times the last close of their candles or more, or 1/`LEAP`.

    A price in force is near the last close, as a candle opens near the close before it; one
    that is not tells of wrong decimals, of another unit or of a broken source.

    Parameters
    ----------
    prices
        In force, by asset; one without candles before the moment of the view is not compared.
    """
    notices = (view.off(name, price) for name, price in prices.items())
    return tuple(notice for notice in notices if notice is not None)


def _lateness(names: Iterable[str], view: View) -> int:
    """Return by how many hours the newest candle of some assets is late."""
    return max((view.series(name).late for name in names), default=0)


def looked_at_before(market_tables: Tables, hours: int) -> Tables:
    """Return tables in which every candle closed so many hours later than it did.

    What a moment then sees of the market is what was there so many hours before.
    """
    if not hours:
        return market_tables

    def later(series: Mapping[str, Candles]) -> dict[str, Candles]:
        moved = {name: candles.first_hour + hours for name, candles in series.items()}
        return {name: replace(candles, first_hour=moved[name]) for name, candles in series.items()}

    return replace(
        market_tables,
        candles=later(market_tables.candles),
        perpetuals=later(market_tables.perpetuals),
        marks=later(market_tables.marks),
    )


def _untouchable() -> Notice:
    """Return that no price can make the account liquidatable."""
    return Notice(code="no_trigger", text="no price makes the account liquidatable")


def _is_held(judged: RuleEvaluation, candles: Mapping[str, Candles], name: str) -> bool:
    """Whether an asset without candles is taken to keep its price.

    That is one on record as worth one quote unit, as training reads it too, and is not off its
    peg; or one that whoever asks names as pegged. A price near 1 alone says nothing.
    """
    case = judged.case
    if name in candles:
        return False
    is_pegged = pegs.is_one(name, quote=pegs.quote_of(case.terms))
    is_near = abs(float(case.market.prices[name].exact) - 1.0) <= PEG
    return name in case.market.pegged or (is_pegged and is_near)


def _vault(judged: RuleEvaluation, view: View) -> PositionRow | Notice:
    """Return a vault as training builds it, to the last bit."""
    case, trigger = judged.case, judged.trigger
    if trigger is None or trigger.asset is None or trigger.value is None:
        return _untouchable()
    unfit = _unfit([trigger.asset], view)
    if unfit is not None:
        return unfit
    asset, ink, art = maker.holdings(case.account)
    price = case.market.prices[asset]
    rate = case.market.state[f"{case.account.market}.rate"]
    line, collateral = float(trigger.value / WAD), ink / WAD
    later = price.value if price.next_value is None else price.next_value
    columns = {
        "asset": asset,
        "side": 1,
        "price": price.value / WAD,
        "price_next": later / WAD,
        "delay": _delay(judged, asset),
        "trigger": line,
        "collateral": collateral,
        "debt": art / WAD,
        "debt_value": mul_div_down(art, rate, RAY) / WAD,
        "cash": -line * collateral,
        "collateral_value": collateral * (price.value / WAD),
    }
    late = _lateness([trigger.asset], view)
    return PositionRow(columns={**columns, **_rest(judged)}, legs={}, late=late)


def _single(
    judged: RuleEvaluation, asset: str, line: Exposure, constant: tuple[str, ...]
) -> PositionRow | Notice:
    """Return an account that one price moves, with that asset's exact trigger."""
    price, trigger = judged.case.market.prices[asset], judged.trigger
    if trigger is None or trigger.asset != asset:
        trigger = asset_trigger(judged.case, asset, is_held_long=line.by_asset[asset] >= 0)
    if trigger is None or trigger.value is None:
        return _untouchable()
    now, at_line = float(price.exact), float(Fraction(trigger.value) / 10**trigger.decimals)
    later = price.value if price.next_value is None else price.next_value
    units = float(abs(line.by_asset[asset])) / now
    columns = {
        "asset": asset,
        "side": 1 if trigger.direction == "below" else -1,
        "price": now,
        "price_next": float(Fraction(later, 10**price.decimals)),
        "delay": _delay(judged, asset),
        "trigger": at_line,
        "debt_value": float(line.requirement),
        "cash": float(line.cash),
        **_holdings(judged, units, at_line),
    }
    return PositionRow(columns={**columns, **_rest(judged)}, legs={}, constant=constant)


def _basket(
    judged: RuleEvaluation,
    line: Exposure,
    moving: Mapping[str, Fraction],
    closes: Mapping[str, float],
    *,
    constant: tuple[str, ...],
) -> PositionRow | Notice:
    """Return an account that several prices move, by its credit over its requirement."""
    fixed = line.surplus - sum(moving.values(), Fraction(0))
    moving_exposure = Exposure(surplus=line.surplus, by_asset=moving)
    if (
        not moving_exposure.credit
        or not moving_exposure.requirement
        or moving_exposure.leading is None
    ):
        return _untouchable()
    if not all(np.isfinite(list(closes.values()))):
        return Notice(
            code="candles_missing", text="candles up to as_of do not suffice for volatility"
        )
    credit, requirement = float(moving_exposure.credit), float(moving_exposure.requirement)
    columns = {
        "asset": moving_exposure.leading,
        "side": 1,
        "price": credit / requirement,
        "price_next": _next_ratio(judged, moving) or credit / requirement,
        "delay": max(_delay(judged, name) for name in moving),
        "trigger": 1.0,
        "collateral": credit,
        "debt": requirement,
        "debt_value": requirement,
        "cash": float(fixed),
    }
    legs = {name: float(value) / closes[name] for name, value in moving.items()}
    return PositionRow(columns={**columns, **_rest(judged)}, legs=legs, constant=constant)


def _close(view: View, name: str, *, late: int) -> float:
    """Return an asset's close so many hours before the moment of a view, NaN without one."""
    series = view.series(name)
    if series.late == late:
        return series.close
    return _last_close(view.candles[name], view.at - late * HOUR)


def _closed(candles: Candles, at: datetime) -> int:
    """Return how many candles have closed; a number outside the grid is possible."""
    return int(candles.last_closed(np.array([int(at.timestamp())]))[0]) + 1


def _last_close(candles: Candles, at: datetime) -> float:
    """Return the close of the candle that ended last, NaN where there is none."""
    place = _closed(candles, at) - 1
    return float(candles.close[place]) if 0 <= place < len(candles.close) else float("nan")


def _next_ratio(judged: RuleEvaluation, moving: Mapping[str, Fraction]) -> float | None:
    """Return credit over requirement at the next prices of delayed oracles, where known."""
    case = judged.case
    if judged.soon is None:
        return None
    later = case.ahead(case.market)
    line = exposure(case.rulebook, case.account, later, case.terms)
    if line is None:
        return None
    values = {name: value for name, value in line.by_asset.items() if name in moving}
    moving_exposure = Exposure(surplus=line.surplus, by_asset=values)
    return (
        float(moving_exposure.credit / moving_exposure.requirement)
        if moving_exposure.requirement
        else None
    )


def _holdings(judged: RuleEvaluation, units: float, at_line: float) -> dict[str, float]:
    """Return collateral and debt in the units of the legs, or of the line for a position."""
    legs = judged.case.account.legs
    collateral = sum(float(leg.quantity) for leg in legs if leg.kind is LegKind.COLLATERAL)
    owed = sum(float(leg.quantity) for leg in legs if leg.kind is LegKind.DEBT)
    if any(leg.kind is LegKind.POSITION for leg in legs) or not collateral or not owed:
        return {"collateral": units, "debt": units * at_line}
    return {"collateral": collateral, "debt": owed}


def _delay(judged: RuleEvaluation, asset: str) -> float:
    """Return hours until a price seen now is judged by."""
    return 0.0 if judged.case.market.prices[asset].next_value is None else 1.0


def _rest(judged: RuleEvaluation) -> dict[str, Any]:
    """Return the columns that every account has alike."""
    case = judged.case
    flips = judged.flips_at
    hours = np.nan if flips is None else (flips - case.market.at).total_seconds() / 3600
    return {
        "opened_at": case.opened_at,
        "venue": case.account.venue,
        "accrual_hours": hours,
    }


def columns(
    positions: Sequence[PositionRow], names: Sequence[str], *, at: datetime
) -> tuple[MomentColumns, LegColumns | None]:
    """Return moments and legs as the pipeline reads them.

    Parameters
    ----------
    names
        Of the accounts, unique.
    """
    rows = [entry.columns for entry in positions]
    # A position leaves out a column that its kind does not have.
    numbers = {
        name: np.array([row.get(name, np.nan) for row in rows], dtype=np.float64)
        for name in _NUMBERS
    }
    moments = MomentColumns(
        account=_named(names),
        at=np.full(len(names), seconds_since_1970(at), dtype=np.int64),
        asset=_named([row["asset"] for row in rows]),
        venue=_named([row["venue"] for row in rows]),
        opened_at=np.array([_opened(row["opened_at"]) for row in rows]),
        **numbers,
    )
    legs = [
        (row, asset, units)
        for row, entry in enumerate(positions)
        for asset, units in entry.legs.items()
    ]
    if not legs:
        return moments, None
    places, assets, units = zip(*legs, strict=True)
    return moments, LegColumns(
        row=_integers(places), asset=_named(assets), units=np.array(units, dtype=np.float64)
    )


_NUMBERS = tuple(
    field.name
    for field in fields(MomentColumns)
    if field.name not in {"account", "at", "asset", "venue", "opened_at"}
)
"""Columns of a position that are numbers."""


def seconds_since_1970(at: datetime) -> int:
    """Return an aware time as whole seconds since 1970, rounded down."""
    return (at - _EPOCH) // _SECOND


_EPOCH, _SECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(seconds=1)


def _opened(at: datetime | None) -> float:
    """Return when an account was opened, seconds since 1970; NaN where that is unknown."""
    return np.nan if at is None else float(seconds_since_1970(at))


def _named(values: Sequence[str]) -> Names:
    """Return a column of names."""
    named = np.empty(len(values), dtype=object)
    named[:] = values
    return named


def tables(judged: Sequence[RuleEvaluation], names: Sequence[str], market_tables: Tables) -> Tables:
    """Return what is known, with the accounts' events and the holdings before each of them.

    Parameters
    ----------
    market_tables
        Of the market; no account's events.
    """
    rows = [
        row
        for name, evaluation in zip(names, judged, strict=True)
        for row in _events(evaluation, name)
    ]
    if not rows:
        return market_tables
    account, at, kind, collateral, owed = zip(*rows, strict=True)
    events = Events(
        account=np.array(account, dtype=object),
        at=_integers(at),
        kind=_integers(kind),
        collateral_before=np.array(collateral, dtype=np.float64),
        debt_before=np.array(owed, dtype=np.float64),
    )
    return replace(market_tables, events=events)


def _integers(values: Sequence[int]) -> Ints:
    """Return 64-bit integers."""
    return np.array(values, dtype=np.int64)


def _events(judged: RuleEvaluation, name: str) -> list[tuple[str, int, int, float, float]]:
    """Return account, time, kind and the holdings before of each event of a case."""
    case = judged.case
    scale = WAD if case.account.venue == "maker" else 1
    return [
        (name, int(at.timestamp()), int(kind), ink / scale, art / scale)
        for at, kind, ink, art in case.events or ()
    ]
