"""What the store knows of markets: prices, candles, state and terms, with their past.

A question about a moment is answered from what was known then: a price from `observed_at`, a
candle from its close, state and terms from the time they carry. A spot price and candles belong
to an asset; an oracle's price, state and terms belong to a market.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, fields, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
import sqlalchemy as sa

from features.inputs import HOUR, LOOKBACK, Candles, Tables
from models.domain import UNPLACED, MarketId, Price
from models.margin.oracles import TOGETHER, Compared, compared
from serving.store.columns import microseconds
from serving.store.engine import Transaction
from serving.store.rows import Added, add, latest, put
from serving.store.schema import CANDLES, FUNDING, NOTES, PRICES, STATE, TERMS
from serving.store.series import assets as series_assets
from serving.store.series import series

if TYPE_CHECKING:
    import pandas as pd

SPOT, PERPETUAL, MARK = "spot", "perp", "mark"
COLUMNS = ("open", "high", "low", "close", "volume")
ANNOUNCED, ANNOUNCED_UNTIL = "announced", "announced_until"
"""Notes of a simulated market: what is to come, and until when that is to be said."""

REFERENCES = ("BTC", "ETH")
"""Assets whose candles say how the whole market moves."""

MOST_CHOSEN = 2_000
"""Markets named in one statement; of more, all are read."""

_MICROSECONDS = 1_000_000


def write_notes(transaction: Transaction, notes: Mapping[str, str]) -> None:
    """Write facts about the store, such as `clock` and `simulated`."""
    put(transaction, NOTES, [{"name": n, "value": v} for n, v in notes.items()])


def notes(transaction: Transaction) -> dict[str, str]:
    """Return the facts about the store."""
    return {str(n): str(v) for n, v in transaction.execute(sa.select(NOTES))}


def push_prices(
    transaction: Transaction,
    prices: Sequence[tuple[str, Price]],
    *,
    now: datetime,
    of: MarketId = UNPLACED,
) -> Added:
    """Add prices of assets to their history; see `push_quotes`."""
    return push_quotes(transaction, [(of, asset, price) for asset, price in prices], now=now)


def push_quotes(
    transaction: Transaction, quotes: Sequence[tuple[MarketId, str, Price]], *, now: datetime
) -> Added:
    """Add prices, each of a market's oracle, or spot where the market is `UNPLACED`.

    Raises
    ------
    StoreConflict
        When a source said another price of an asset for the same moment.
    """
    rows = [
        {**market._asdict(), "asset": asset, **asdict(price), "received_at": now}
        for market, asset, price in quotes
    ]
    return add(transaction, PRICES, rows)


def push_candles(
    transaction: Transaction, frame: "pd.DataFrame", *, kind: str = SPOT, step: int = HOUR
) -> Added:
    """Add closed candles of a frame, as `push_candle_rows` does.

    Parameters
    ----------
    frame
        `symbol`, `open_time` and the columns of a candle; `volume` may be absent.
    """
    named = frame.rename(columns={"symbol": "asset", "open_time": "opens_at"})
    laid = named.reindex(columns=["asset", "opens_at", *COLUMNS])
    rows = [
        {str(n): None if v != v else v for n, v in row.items()}  # noqa: PLR0124 - NaN
        for row in laid.to_dict(orient="records")
    ]
    return push_candle_rows(transaction, rows, kind=kind, step=step)


def push_candle_rows(
    transaction: Transaction,
    rows: Sequence[Mapping[str, Any]],
    *,
    kind: str = SPOT,
    step: int = HOUR,
) -> Added:
    """Add closed candles.

    Parameters
    ----------
    rows
        Each `asset`, `opens_at` and the columns of a candle; a `volume` may be None.
    kind
        `spot`, `perp`, `mark` or `index`.
    step
        Length of a candle, s.

    Raises
    ------
    StoreConflict
        When a candle stands with other numbers.
    """
    return add(transaction, CANDLES, [{**row, "kind": kind, "step": step} for row in rows])


def push_state(
    transaction: Transaction, market: MarketId, state: Mapping[str, int], *, at: datetime
) -> Added:
    """Add a market's state, by the rulebook's names, as it stood at a moment."""
    whose = market._asdict()
    return add(
        transaction, STATE, [{**whose, "name": n, "at": at, "value": v} for n, v in state.items()]
    )


def push_terms(
    transaction: Transaction, market: MarketId, body: Mapping[str, Any], *, valid_from: datetime
) -> Added:
    """Add the risk parameters of a market from a moment on."""
    row = {**market._asdict(), "valid_from": valid_from, "body": dict(body)}
    return add(transaction, TERMS, [row])


def quotes(
    transaction: Transaction, *, at: datetime, markets: Collection[MarketId] | None = None
) -> dict[MarketId, dict[str, Price]]:
    """Return the price observed last, at or before a moment, of every market and asset.

    Spot prices stand under `UNPLACED`. One that other sources contradict is disputed.
    """
    return {
        whose: {asset: each.price for asset, each in by_asset.items()}
        for whose, by_asset in compared_quotes(transaction, at=at, markets=markets).items()
    }


def compared_quotes(
    transaction: Transaction, *, at: datetime, markets: Collection[MarketId] | None = None
) -> dict[MarketId, dict[str, Compared]]:
    """Return prices as `quotes` does, each with what other sources said at that time."""
    among = None if markets is None else {*markets, UNPLACED}
    rows = _newest(
        transaction,
        PRICES,
        name=("asset",),
        time="observed_at",
        at=at,
        among=among,
        variants=("source", TOGETHER),
        order=("observed_at", "received_at", "source"),
    )
    names = [field.name for field in fields(Price)]
    reports: dict[MarketId, dict[str, list[Price]]] = {}
    for row in rows:
        price = Price(**{name: row[name] for name in names})
        by_asset = reports.setdefault(_market(row), {})
        by_asset.setdefault(str(row["asset"]), []).append(price)
    return {
        whose: {asset: compared(heard) for asset, heard in by_asset.items()}
        for whose, by_asset in reports.items()
    }


def prices(transaction: Transaction, *, at: datetime) -> dict[str, Price]:
    """Return the spot price of every asset that was observed last, at or before a moment."""
    return quotes(transaction, at=at, markets=()).get(UNPLACED, {})


def by_source(
    transaction: Transaction, *, since: datetime, until: datetime
) -> dict[str, list[float]]:
    """Return the spot price of every asset that each source told last within [since, until]."""
    columns = PRICES.c
    rows = transaction.execute(
        sa.select(columns.asset, columns.source, columns.value, columns.decimals)
        .where(columns.observed_at.between(since, until), columns.venue == UNPLACED.venue)
        .order_by(columns.observed_at, columns.received_at)
    )
    newest = {(row.asset, row.source): float(row.value) / 10.0**row.decimals for row in rows}
    result: dict[str, list[float]] = {}
    for (asset, _), price in newest.items():
        result.setdefault(str(asset), []).append(price)
    return result


def state(
    transaction: Transaction, *, at: datetime, markets: Collection[MarketId] | None = None
) -> dict[MarketId, dict[str, int]]:
    """Return the state of every market as it stood at a moment."""
    by_market: dict[MarketId, dict[str, int]] = {}
    for row in _newest(transaction, STATE, name=("name",), time="at", at=at, among=markets):
        by_market.setdefault(_market(row), {})[str(row["name"])] = row["value"]
    return by_market


def terms(
    transaction: Transaction, *, at: datetime
) -> dict[MarketId, tuple[dict[str, Any], datetime]]:
    """Return the terms of every market in force at a moment, and since when."""
    rows = _newest(transaction, TERMS, name=(), time="valid_from", at=at, among=None)
    return {_market(row): (row["body"], row["valid_from"]) for row in rows}


def _newest(
    transaction: Transaction,
    table: sa.Table,
    *,
    name: tuple[str, ...],
    time: str,
    at: datetime,
    among: Collection[MarketId] | None,
    variants: tuple[str, timedelta] | None = None,
    order: tuple[str, ...] = (),
) -> sa.MappingResult:
    """Return the newest rows of markets; `variants` and `order` as of `latest`."""
    few = () if among is None or len(among) > MOST_CHOSEN else sorted(among)
    chosen = latest(
        table,
        names=(*MarketId._fields, *name),
        time=time,
        chosen=len(MarketId._fields) if few else 0,
        variants=variants,
        order=order,
    )
    return transaction.execute(chosen, {"at": at, "among": few} if few else {"at": at}).mappings()


def _market(row: Mapping[Any, Any]) -> MarketId:
    """Return the market of a row."""
    return MarketId(*(str(row[part]) for part in MarketId._fields))


def candles(
    transaction: Transaction,
    assets: Collection[str],
    *,
    at: datetime,
    lookback: timedelta = LOOKBACK,
    kind: str = SPOT,
    step: int = HOUR,
) -> dict[str, Candles]:
    """Return the candles that closed within a lookback, on a grid per asset.

    An asset without any is absent; a time without a candle stays missing.

    Parameters
    ----------
    step
        Length of a candle, s; an hour is a whole number of them.
    """
    after = at - lookback
    arrays = candle_arrays(transaction, assets, after=after, until=at, kind=kind, step=step)
    return {asset: _grid(columns, step=step) for asset, columns in arrays.items()}


def candle_arrays(
    transaction: Transaction,
    assets: Collection[str],
    *,
    after: datetime,
    until: datetime,
    kind: str = SPOT,
    step: int = HOUR,
) -> dict[str, "np.ndarray[Any, np.dtype[np.float64]]"]:
    """Return the candles that opened from `after` on and closed by `until`, per asset.

    Returns
    -------
    dict
        Arrays of shape (N, 6), ascending: opening in whole steps since 1970, then open, high,
        low, close and volume; NaN where there is no volume.
    """
    span = step * _MICROSECONDS
    # Read as plain integers: a year of minutes is not turned into half a million times.
    opens = sa.type_coerce(CANDLES.c.opens_at, sa.BigInteger)
    rows = transaction.execute(
        sa.select(CANDLES.c.asset, opens, *(CANDLES.c[name] for name in COLUMNS))
        .where(CANDLES.c.asset.in_(sorted(assets)), CANDLES.c.kind == kind)
        .where(CANDLES.c.step == step)
        .where(opens >= microseconds(after), opens <= microseconds(until) - span)
        .order_by(CANDLES.c.asset, CANDLES.c.opens_at)
    ).all()
    grouped: dict[str, list[tuple[Any, ...]]] = {}
    for asset, opened, *values in rows:
        grouped.setdefault(str(asset), []).append((opened // span, *values))
    return {asset: np.array(group, dtype=np.float64) for asset, group in grouped.items()}


def stored(
    transaction: Transaction, asset: str, *, kind: str, step: int, places: range
) -> set[int]:
    """Return at which places, in steps since 1970, the store has a candle.

    Parameters
    ----------
    places
        Those looked at.
    """
    opens = sa.type_coerce(CANDLES.c.opens_at, sa.BigInteger)
    span = step * _MICROSECONDS
    condition = sa.and_(
        CANDLES.c.asset == asset,
        CANDLES.c.kind == kind,
        CANDLES.c.step == step,
        opens >= places.start * span,
        opens < places.stop * span,
    )
    chosen = sa.select(opens).where(condition)
    return {opened // span for opened in transaction.execute(chosen).scalars()}


def push_funding(
    transaction: Transaction, asset: str, rates: Sequence[tuple[datetime, float]]
) -> Added:
    """Add funding rates that longs paid, each at the time of its payment."""
    return add(transaction, FUNDING, [{"asset": asset, "at": at, "rate": r} for at, r in rates])


def last_funding(transaction: Transaction, asset: str) -> datetime | None:
    """Return when funding was paid last, as far as the store knows."""
    newest = sa.select(sa.func.max(FUNDING.c.at)).where(FUNDING.c.asset == asset)
    return transaction.execute(newest).scalar()


def clock(transaction: Transaction, *, now: datetime) -> datetime:
    """Return the time: `now`, unless the store's own clock stands still.

    The clock of a simulated book does.
    """
    stopped = notes(transaction).get("clock")
    return now if stopped is None else datetime.fromisoformat(stopped)


def assets(transaction: Transaction) -> set[str]:
    """Return every asset of which features may read anything."""
    return {*_assets(transaction), *series_assets(transaction)}


def feature_tables(transaction: Transaction, assets: Collection[str], *, at: datetime) -> Tables:
    """Return all that features may read of assets at a moment, but no account's events.

    Candles are of every asset that has any.
    """
    return replace(
        series(transaction, assets, at=at),
        candles=universe(transaction, at=at),
        perpetuals=candles(transaction, assets, at=at, kind=PERPETUAL),
        marks=candles(transaction, assets, at=at, kind=MARK),
    )


def universe(transaction: Transaction, *, at: datetime) -> Mapping[str, Candles]:
    """Return the hourly spot candles of every asset, read once while no candle is added."""
    spans = _spans(transaction, at=at)
    cache = _UNIVERSES.setdefault(transaction.engine, {})
    by_asset = cache.get(spans)
    if by_asset is None:
        by_asset = candles(transaction, [asset for asset, *_ in spans], at=at)
        while len(cache) >= MOST_UNIVERSES:
            cache.pop(next(iter(cache)), None)
        cache[spans] = by_asset
    return by_asset


Spans = tuple[tuple[str, int, int, int], ...]
"""Per asset its name, how many candles it has within the lookback, the first and the last.

Candles are only ever added, so that these tell two sets of them apart.
"""

MOST_UNIVERSES = 4
"""Sets of candles kept per store: of the hours that are asked about just now."""

_UNIVERSES: WeakKeyDictionary[sa.Engine, dict[Spans, Mapping[str, Candles]]] = WeakKeyDictionary()


def _spans(transaction: Transaction, *, at: datetime) -> Spans:
    """Return which hourly spot candles closed within the lookback."""
    opens = sa.type_coerce(CANDLES.c.opens_at, sa.BigInteger)
    rows = transaction.execute(
        sa.select(CANDLES.c.asset, sa.func.count(), sa.func.min(opens), sa.func.max(opens))
        .where(CANDLES.c.asset.in_(_assets(transaction)), CANDLES.c.kind == SPOT)
        .where(CANDLES.c.step == HOUR, opens >= microseconds(at - LOOKBACK))
        .where(opens <= microseconds(at) - HOUR * _MICROSECONDS)
        .group_by(CANDLES.c.asset)
        .order_by(CANDLES.c.asset)
    )
    return tuple((str(asset), count, first, last) for asset, count, first, last in rows)


def _assets(transaction: Transaction) -> list[str]:
    """Return every asset with candles, each found by one step along the primary key."""
    first = sa.select(sa.func.min(CANDLES.c.asset).label("asset"))
    names = first.cte("names", recursive=True)
    following = (
        sa.select(sa.func.min(CANDLES.c.asset))
        .where(CANDLES.c.asset > names.c.asset)
        .scalar_subquery()
    )
    names = names.union_all(sa.select(following).where(names.c.asset.is_not(None)))
    assets = transaction.execute(sa.select(names.c.asset)).scalars()
    return [str(asset) for asset in assets if asset is not None]


def _grid(columns: "np.ndarray[Any, np.dtype[np.float64]]", *, step: int) -> Candles:
    """Lay candles on a regular grid that begins on an hour; what is absent stays missing."""
    places = columns[:, 0].astype(np.int64)
    hour = int(places[0]) * step // HOUR
    places = places - hour * HOUR // step
    laid = np.full((len(COLUMNS), int(places[-1]) + 1), np.nan)
    laid[:, places] = columns[:, 1:].T
    opened, high, low, close, volume = laid
    return Candles(
        first_hour=hour,
        open=opened,
        high=high,
        low=low,
        close=close,
        volume=volume,
        step=step,
    )
