"""What the store knows of markets: prices, candles, accumulators and terms, with their past.

A question about a moment is answered from what was known then: a price from `observed_at`, a
candle from its close, an accumulator and terms from the time they carry.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, fields, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa

from features.inputs import HOUR, Candles, Tables
from features.pipeline import FEATURES
from models.domain import Price
from serving.asked.cases import Surroundings
from serving.store.columns import microseconds
from serving.store.engine import Transaction
from serving.store.rows import Added, add, latest, put
from serving.store.schema import CANDLES, FUNDING, NOTES, PRICES, STATE, TERMS
from serving.store.series import series

SPOT, PERPETUAL, MARK = "spot", "perp", "mark"
COLUMNS = ("open", "high", "low", "close", "volume")
REFERENCES = ("BTC", "ETH")
"""Assets whose candles say how the whole market moves."""

LOOKBACK = max(feature.lookback for feature in FEATURES) + timedelta(hours=1)
"""How far back any feature looks for a candle."""

_MICROSECONDS = 1_000_000


def write_notes(transaction: Transaction, notes: Mapping[str, str]) -> None:
    """Write facts about the store, such as `clock` and `simulated`."""
    put(transaction, NOTES, [{"name": n, "value": v} for n, v in notes.items()])


def notes(transaction: Transaction) -> dict[str, str]:
    """Return the facts about the store."""
    return {str(n): str(v) for n, v in transaction.execute(sa.select(NOTES))}


def push_prices(
    transaction: Transaction, prices: Sequence[tuple[str, Price]], *, now: datetime
) -> Added:
    """Add prices of assets to their history.

    Raises
    ------
    StoreConflict
        When a source said another price of an asset for the same moment.
    """
    rows = [{"asset": asset, **asdict(price), "received_at": now} for asset, price in prices]
    return add(transaction, PRICES, rows)


def push_candles(
    transaction: Transaction, frame: pd.DataFrame, *, kind: str = SPOT, step: int = HOUR
) -> Added:
    """Add closed candles.

    Parameters
    ----------
    frame
        `symbol`, `open_time` and the columns of a candle; `volume` may be absent.
    kind
        `spot`, `perp`, `mark` or `index`.
    step
        Length of a candle, s.

    Raises
    ------
    StoreConflict
        When a candle stands with other numbers.
    """
    named = frame.rename(columns={"symbol": "asset", "open_time": "opens_at"})
    kept = named.reindex(columns=["asset", "opens_at", *COLUMNS]).assign(kind=kind, step=step)
    rows: list[dict[str, Any]] = [
        {str(n): None if v != v else v for n, v in row.items()}  # noqa: PLR0124 - NaN
        for row in kept.to_dict(orient="records")
    ]
    return add(transaction, CANDLES, rows)


def push_state(transaction: Transaction, state: Mapping[str, int], *, at: datetime) -> Added:
    """Add accumulators, by the rulebook's names, as they stood at a moment."""
    return add(transaction, STATE, [{"name": n, "at": at, "value": v} for n, v in state.items()])


def push_terms(
    transaction: Transaction, market: str, body: Mapping[str, Any], *, valid_from: datetime
) -> Added:
    """Add the risk parameters of a market from a moment on."""
    row = {"market": market, "valid_from": valid_from, "body": dict(body)}
    return add(transaction, TERMS, [row])


def prices(transaction: Transaction, *, at: datetime) -> dict[str, Price]:
    """Return the price of every asset that was observed last, at or before a moment."""
    chosen = latest(PRICES, name="asset", time="observed_at", at=at)
    ordered = chosen.order_by(PRICES.c.received_at, PRICES.c.source)
    names = [field.name for field in fields(Price)]
    return {
        str(row["asset"]): Price(**{name: row[name] for name in names})
        for row in transaction.execute(ordered).mappings()
    }


def state(transaction: Transaction, *, at: datetime) -> dict[str, int]:
    """Return every accumulator as it stood at a moment."""
    chosen = latest(STATE, name="name", time="at", at=at)
    return {str(row.name): row.value for row in transaction.execute(chosen)}


def terms(transaction: Transaction, *, at: datetime) -> dict[str, tuple[dict[str, Any], datetime]]:
    """Return the terms of every market in force at a moment, and since when."""
    chosen = latest(TERMS, name="market", time="valid_from", at=at)
    return {str(row.market): (row.body, row.valid_from) for row in transaction.execute(chosen)}


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
    found = candle_arrays(transaction, assets, after=after, until=at, kind=kind, step=step)
    return {asset: _grid(columns, step=step) for asset, columns in found.items()}


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
    return {asset: np.array(own, dtype=np.float64) for asset, own in grouped.items()}


def held(transaction: Transaction, asset: str, *, kind: str, step: int) -> set[int]:
    """Return the places of the candles that the store holds, in steps since 1970."""
    opens = sa.type_coerce(CANDLES.c.opens_at, sa.BigInteger)
    own = sa.and_(CANDLES.c.asset == asset, CANDLES.c.kind == kind, CANDLES.c.step == step)
    span = step * _MICROSECONDS
    return {opened // span for opened in transaction.execute(sa.select(opens).where(own)).scalars()}


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


def surroundings(
    transaction: Transaction,
    *,
    at: datetime,
    assets: Collection[str],
    read: Tables | None = None,
) -> Surroundings:
    """Return what was known of the market at a moment.

    Parameters
    ----------
    assets
        Whose candles, and what is read beside them, are wanted; those of `REFERENCES` as well.
    read
        The same as read before, where nothing of it has changed; it is not read again then.
    """
    return Surroundings(
        at=at,
        prices=prices(transaction, at=at),
        state=state(transaction, at=at),
        terms=terms(transaction, at=at),
        known=known(transaction, {*assets, *REFERENCES}, at=at) if read is None else read,
        simulated=notes(transaction).get("simulated") == "yes",
    )


def known(transaction: Transaction, assets: Collection[str], *, at: datetime) -> Tables:
    """Return all that features may read of assets at a moment, but no account's events."""
    return replace(
        series(transaction, assets, at=at),
        candles=candles(transaction, assets, at=at),
        perpetuals=candles(transaction, assets, at=at, kind=PERPETUAL),
        marks=candles(transaction, assets, at=at, kind=MARK),
    )


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
