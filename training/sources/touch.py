"""Accounts laid over recorded prices: the `touch` source, for a market without accounts.

Hourly spot candles are all it needs. A directory beside them may hold
`binance_funding.parquet` (`symbol`, `time`, `funding_rate`). Nobody acts: the label is whether
the account's path reaches its trigger.

The recipe, seeded by `SEED` and the asset's name so that another asset changes nothing:

- of each asset one account per `EVERY` recorded hours, at random hours after its first week;
- 45 % lending (a fifth of it behind an oracle delayed by an hour), 55 % isolated
  perpetuals; lending is long four times in five, perpetuals in half;
- the trigger lies at a fraction of the price: log-normal around 9 % (deviation .8) for
  perpetuals, which is a leverage of 4 to 30 times, and around 17 % (.7) for lending; at least
  .5 %, at most 60 %;
- debts grow by 5 % a year; perpetuals pay the recorded funding, none where none is recorded;
- beside them one basket of two or three assets, drawn from those that trade at the hour, per
  `BASKET_EVERY` other accounts, against a stable debt.

The venue judges by hourly closes, as an index would show them: a wick within the hour is a
last price, not a mark. A path ends where a candle is missing: the window is censored there.
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numba
import numpy as np
import pandas as pd

from features.inputs import (
    HOUR,
    Candles,
    Floats,
    Ints,
    PointInTimeSeries,
    Tables,
    candles_on_grid,
    no_events,
    seconds,
)
from features.tables import Column, Table, read_candles, read_parquet, symbols, validate
from models.horizons import HORIZONS
from training.sources import History

SEED = 11
EVERY = 6
BASKET_EVERY = 100
WARM_UP = 168
FURTHEST = max(HORIZONS)
HOURLY_INTEREST = 1.05 ** (1.0 / 8766.0)
KINDS = ("lending", "delayed", "perpetual")
KIND_SHARES = (0.36, 0.09, 0.55)
LONG_SHARES = (0.8, 0.8, 0.5)
MEDIANS = (0.17, 0.17, 0.09)
DEVIATIONS = (0.7, 0.7, 0.8)
NEAREST, FURTHEST_TRIGGER = 0.005, 0.6
BASKET_MEDIAN = 0.17
LEAST_LEGS, MOST_LEGS = 2, 3
FUNDING_FILE = "binance_funding.parquet"

FUNDING = Table(
    name="funding",
    columns=(
        Column(name="symbol", dtype="text", unit="asset"),
        Column(name="time", dtype="time", unit="UTC"),
        Column(name="funding_rate", dtype="number", unit="fraction of the notional"),
    ),
    key=("symbol", "time"),
)


def load(directory: Path | None, candles: Path) -> History:
    """Read candles and funding, draw accounts and follow them.

    Parameters
    ----------
    directory
        Of the funding; None without any.

    Raises
    ------
    InvalidTable
        Listing every fault of every file.
    """
    frame, dropped = read_candles(candles, symbols=symbols(candles))
    paid = {} if directory is None else _funding_of(directory / FUNDING_FILE)
    return draw(candles_on_grid(frame), paid, dropped)


def _funding_of(file: Path) -> dict[str, PointInTimeSeries]:
    """Return the payments of each asset; none where there is no file."""
    if not file.exists():
        return {}
    return _funding(validate(read_parquet(file), FUNDING, file=file.name))


def _funding(table: pd.DataFrame) -> dict[str, PointInTimeSeries]:
    """Return the payments of each asset."""
    return {
        str(symbol): PointInTimeSeries(
            at=seconds(rows["time"]), value=rows["funding_rate"].to_numpy(dtype=np.float64)
        )
        for symbol, rows in table.sort_values("time", kind="stable").groupby("symbol")
    }


def draw(
    candles: Mapping[str, Candles],
    funding: Mapping[str, PointInTimeSeries],
    dropped: Mapping[str, int],
) -> History:
    """Draw accounts by the recipe and follow them along the recorded prices."""
    parts = [
        _single_accounts(asset, candles[asset], funding.get(asset)) for asset in sorted(candles)
    ]
    drawn = [part for part in parts if len(part)]
    singles = pd.concat(drawn, ignore_index=True) if drawn else _nobody()
    baskets, legs = _baskets(candles, singles["at"])
    moments = pd.concat([singles, baskets], ignore_index=True)
    legs["row"] += len(singles)
    moments["opened_at"] = pd.DatetimeIndex([pd.NaT] * len(moments), tz="UTC").as_unit("ns")
    moments["account"] = moments["account"].astype("category")
    moments["asset"] = moments["asset"].astype("category")
    first = min((grid.first_hour for grid in candles.values()), default=0)
    return History(
        tables=Tables(candles=dict(candles), events=no_events(), funding=dict(funding)),
        moments=moments.drop(columns=["touched_in", "touched_known"]),
        legs=legs,
        touches=moments[["touched_in", "touched_known"]],
        path=pd.DataFrame(columns=["price", "accumulator"]),
        episodes=pd.DataFrame({"account": [], "at": pd.to_datetime([], utc=True), "lots": []}),
        # Nobody's liquidation is on record: every window of it is censored.
        covered_until=datetime.fromtimestamp(first * HOUR, tz=UTC),
        censored_at={},
        dropped=dict(dropped),
        checks={},
    )


def _nobody() -> pd.DataFrame:
    """Return no accounts."""
    return pd.DataFrame({"at": pd.to_datetime([], utc=True)})


def _generator(name: str) -> np.random.Generator:
    """Return the generator of an asset, the same whatever else is drawn."""
    return np.random.default_rng([SEED, zlib.crc32(name.encode())])


@dataclass(frozen=True, slots=True)
class _Drawn:
    """Accounts of one asset.

    Parameters
    ----------
    place
        Last closed candle of each.
    kind
        Place in `KINDS`.
    side
        +1 long, -1 short.
    fraction
        By which the price must move against the account.
    size
        Exposure, quote units.
    """

    place: Ints
    kind: Ints
    side: Floats
    fraction: Floats
    size: Floats


def _draw(asset: str, candles: Candles) -> _Drawn:
    """Draw the accounts of one asset."""
    generator = _generator(asset)
    present = np.flatnonzero(np.isfinite(candles.close))
    open_to = present[present >= WARM_UP]
    count = len(open_to) // EVERY
    place = np.sort(generator.choice(open_to, count, replace=False))
    kind = generator.choice(len(KINDS), count, p=KIND_SHARES)
    side = np.where(generator.random(count) < np.take(LONG_SHARES, kind), 1.0, -1.0)
    spread = np.take(DEVIATIONS, kind) * generator.standard_normal(count)
    fraction = np.clip(np.take(MEDIANS, kind) * np.exp(spread), NEAREST, FURTHEST_TRIGGER)
    size = 10.0 ** generator.normal(4.0, 1.0, count)
    return _Drawn(place, kind.astype(np.int64), side, fraction, size)


def _single_accounts(asset: str, candles: Candles, paid: PointInTimeSeries | None) -> pd.DataFrame:
    """Return the accounts of one asset with what became of them."""
    drawn = _draw(asset, candles)
    delay = (drawn.kind == KINDS.index("delayed")).astype(np.int64)
    close = candles.close
    price = np.where(drawn.place >= delay, close[drawn.place - delay], np.nan)
    trigger = price * (1.0 - drawn.side * drawn.fraction)
    units = drawn.size / price
    frame = pd.DataFrame(
        {
            "account": [
                f"{asset}-{KINDS[kind]}-{place}"
                for kind, place in zip(drawn.kind, drawn.place, strict=True)
            ],
            "at": _times(candles.first_hour + drawn.place + 1),
            "asset": asset,
            "side": drawn.side,
            "price": price,
            "price_next": close[drawn.place],
            "delay": delay.astype(np.float64),
            "trigger": trigger,
            "collateral": units,
            "debt": units * trigger,
            "debt_value": units * trigger,
            "cash": -drawn.side * units * trigger,
            "venue": np.take(KINDS, drawn.kind),
        }
    )
    touched, censoring = _follow(candles, drawn, trigger, delay, paid)
    frame["touched_in"], frame["touched_known"] = touched, censoring
    return frame[np.isfinite(price)]


def _times(hours: Ints) -> pd.DatetimeIndex:
    """Return hours since 1970 as UTC times."""
    return pd.DatetimeIndex(pd.to_datetime(hours * HOUR, unit="s", utc=True)).as_unit("ns")


def _follow(
    candles: Candles, drawn: _Drawn, trigger: Floats, delay: Ints, paid: PointInTimeSeries | None
) -> tuple[Floats, Floats]:
    """Return hours to each touch, and how far each path is known."""
    hours = len(candles.close)
    interest = np.log(HOURLY_INTEREST) * np.arange(hours)
    funding = np.zeros(hours) if paid is None else _funding_paid(candles, paid)
    touched, censoring = np.full(len(trigger), np.inf), np.zeros(len(trigger))
    for kind, name in enumerate(KINDS):
        for sign in (1.0, -1.0):
            rows = (drawn.kind == kind) & (drawn.side == sign)
            growth = sign * funding if name == "perpetual" else interest
            late = delay[rows]
            touched[rows], censoring[rows] = _first_touch(
                sign * np.log(candles.close),
                growth,
                drawn.place[rows] - late,
                sign * np.log(trigger[rows]),
                FURTHEST,
            )
    return touched, censoring


def _funding_paid(candles: Candles, paid: PointInTimeSeries) -> Floats:
    """Return by candle the sum of rates that longs paid until its close."""
    before = np.append(0.0, np.cumsum(paid.value))
    closes = (candles.first_hour + 1 + np.arange(len(candles.close))) * HOUR
    return before[np.searchsorted(paid.at, closes, side="right")]


@numba.njit(cache=True)
def _first_touch(
    path: Floats, growth: Floats, place: Ints, trigger: Floats, furthest: int
) -> tuple[Floats, Floats]:
    """Return hours to the first log price at or below the growing log trigger."""
    touched = np.full(len(place), np.inf)
    censoring = np.full(len(place), float(furthest))
    for row in range(len(place)):
        for ahead in range(1, furthest + 1):
            k = place[row] + ahead
            if k >= len(path) or np.isnan(path[k]):
                censoring[row] = ahead - 1.0
                break
            if path[k] <= trigger[row] + growth[k] - growth[place[row]]:
                touched[row] = censoring[row] = float(ahead)
                break
    return touched, censoring


def _baskets(candles: Mapping[str, Candles], at: pd.Series) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return baskets and their legs, at the hours of some of the other accounts."""
    generator = _generator("baskets")
    count = len(at) // BASKET_EVERY
    drawn = generator.choice(np.arange(len(at)), count, replace=False)
    rows: list[dict[str, object]] = []
    legs: list[tuple[int, str, float]] = []
    for hour in np.sort(seconds(at)[drawn] // HOUR):
        trading = [name for name in sorted(candles) if _is_trading(candles[name], int(hour))]
        many = min(int(generator.integers(LEAST_LEGS, MOST_LEGS + 1)), len(trading))
        chosen = generator.choice(len(trading), many, replace=False)
        shares = generator.dirichlet(np.ones(many))
        fall = float(np.clip(BASKET_MEDIAN * np.exp(0.7 * generator.standard_normal()), 0.005, 0.6))
        size = float(10.0 ** generator.normal(4.0, 1.0))
        if many < LEAST_LEGS:
            continue
        sizes = {trading[i]: size * share for i, share in zip(chosen, shares, strict=True)}
        rows.append(_basket(candles, sizes, hour=int(hour), fall=fall, number=len(rows)))
        legs.extend(_legs(candles, sizes, hour=int(hour), row=len(rows) - 1))
    columns = {"row": np.int64, "asset": object, "units": np.float64}
    frame = pd.DataFrame(legs, columns=list(columns)).astype(columns)
    return pd.DataFrame(rows), frame


def _is_trading(candles: Candles, hour: int) -> bool:
    """Return whether an asset has closed a candle at an hour and is past its first week."""
    place = hour - candles.first_hour - 1
    return WARM_UP <= place < len(candles.close) and bool(np.isfinite(candles.close[place]))


def _price(candles: Candles, hour: int) -> float:
    """Return the close at an hour."""
    return float(candles.close[hour - candles.first_hour - 1])


def _legs(
    candles: Mapping[str, Candles], sizes: Mapping[str, float], *, hour: int, row: int
) -> list[tuple[int, str, float]]:
    """Return the legs of one basket."""
    return [(row, name, value / _price(candles[name], hour)) for name, value in sizes.items()]


def _basket(
    candles: Mapping[str, Candles],
    sizes: Mapping[str, float],
    *,
    hour: int,
    fall: float,
    number: int,
) -> dict[str, object]:
    """Return the moment of one basket, held in quote units, with what became of it."""
    credit = sum(sizes.values())
    owed = credit * (1.0 - fall)
    touched, censoring = _follow_basket(candles, sizes, hour=hour, owed=owed)
    return {
        "account": f"basket-{number}",
        "at": _times(np.array([hour]))[0],
        "asset": max(sizes, key=lambda name: sizes[name]),
        "side": 1.0,
        "price": credit / owed,
        "price_next": credit / owed,
        "delay": 0.0,
        "trigger": 1.0,
        "collateral": credit,
        "debt": owed,
        "debt_value": owed,
        "cash": -owed,
        "venue": "basket",
        "touched_in": touched,
        "touched_known": censoring,
    }


def _follow_basket(
    candles: Mapping[str, Candles], sizes: Mapping[str, float], *, hour: int, owed: float
) -> tuple[float, float]:
    """Return hours to the first hour at which a basket no longer covers its growing debt."""
    value = np.zeros(FURTHEST)
    for name, size in sizes.items():
        grid = candles[name]
        begin = hour - grid.first_hour
        part = grid.close[begin : begin + FURTHEST]
        ahead = np.full(FURTHEST, np.nan)
        ahead[: len(part)] = part
        value += size * ahead / _price(grid, hour)
    short = np.flatnonzero(value <= owed * HOURLY_INTEREST ** np.arange(1, FURTHEST + 1))
    gaps = np.flatnonzero(np.isnan(value))
    censoring = int(gaps[0]) if len(gaps) else FURTHEST
    if len(short) and short[0] < censoring:
        return float(short[0] + 1), float(short[0] + 1)
    return np.inf, float(censoring)
