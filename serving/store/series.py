"""Values that are read beside the candles: funding, open interest, oracle rounds, reserves."""

from collections.abc import Callable, Collection, Hashable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any, TypeVar

import numpy as np
import sqlalchemy as sa

from features.inputs import Readings
from features.pipeline import FEATURES
from serving.store.columns import EPOCH
from serving.store.engine import Transaction
from serving.store.schema import FUNDING, OPEN_INTEREST, ORACLE_ROUNDS, RESERVES

K = TypeVar("K", bound=Hashable)
QUOTE = "USD"
Row = Mapping[str, Any]
SECOND = timedelta(seconds=1)
LOOKBACK = max(feature.lookback for feature in FEATURES) + timedelta(hours=1)
"""How far back any feature looks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """What was known of some assets; named as in `features.inputs.Tables`.

    Parameters
    ----------
    funding, open_interest, rounds
        By asset.
    utilisation, liquidity
        By venue and asset.
    """

    funding: Mapping[str, Readings] = field(default_factory=dict)
    open_interest: Mapping[str, Readings] = field(default_factory=dict)
    rounds: Mapping[str, Readings] = field(default_factory=dict)
    utilisation: Mapping[tuple[str, str], Readings] = field(default_factory=dict)
    liquidity: Mapping[tuple[str, str], Readings] = field(default_factory=dict)


def series(
    transaction: Transaction,
    assets: Collection[str],
    *,
    at: datetime,
    lookback: timedelta = LOOKBACK,
) -> Series:
    """Return what was known of assets at a moment and became known within a lookback.

    A round is one of the feed `ASSET/USD`; a reserve without deposits has no utilisation.
    """
    known = (at - lookback, at)
    feeds = [f"{asset}/{QUOTE}" for asset in assets]
    paid = _rows(transaction, FUNDING.c.asset, FUNDING.c.at, names=assets, known=known)
    owed = _rows(transaction, OPEN_INTEREST.c.asset, OPEN_INTEREST.c.at, names=assets, known=known)
    rounds = ORACLE_ROUNDS.c
    told = _rows(transaction, rounds.feed, rounds.updated_at, names=feeds, known=known)
    lent = _rows(transaction, RESERVES.c.asset, RESERVES.c.at, names=assets, known=known)
    used = [row for row in lent if row["supplied"] > 0.0]
    return Series(
        funding=_readings(paid, _asset, "at", lambda row: row["rate"]),
        open_interest=_readings(owed, _asset, "at", lambda row: row["amount"]),
        rounds=_readings(told, _fed, "updated_at", _quoted),
        utilisation=_readings(used, _reserve, "at", lambda row: row["borrowed"] / row["supplied"]),
        liquidity=_readings(lent, _reserve, "at", lambda row: row["supplied"] - row["borrowed"]),
    )


def _rows(
    transaction: Transaction,
    named: "sa.Column[Any]",
    timed: "sa.Column[Any]",
    *,
    names: Collection[str],
    known: tuple[datetime, datetime],
) -> list[Row]:
    """Return the rows of names that became known after a moment and by another, oldest first."""
    chosen = sa.select(named.table).where(
        named.in_(sorted(names)), timed > known[0], timed <= known[1]
    )
    rows = transaction.execute(chosen.order_by(timed)).mappings()
    return [{str(name): value for name, value in row.items()} for row in rows]


def _readings(
    rows: Collection[Row], key: Callable[[Row], K], time: str, value: Callable[[Row], float]
) -> dict[K, Readings]:
    """Return values per key, each from the whole second at which it was known."""
    grouped: dict[K, list[Row]] = {}
    for row in rows:
        grouped.setdefault(key(row), []).append(row)
    return {
        own: Readings(
            at=np.array([-(-(row[time] - EPOCH) // SECOND) for row in told], dtype=np.int64),
            value=np.array([value(row) for row in told], dtype=np.float64),
        )
        for own, told in grouped.items()
    }


def _asset(row: Row) -> str:
    """Return the asset of a row."""
    return str(row["asset"])


def _fed(row: Row) -> str:
    """Return the asset whose price a feed tells."""
    return str(row["feed"]).removesuffix(f"/{QUOTE}")


def _quoted(row: Row) -> float:
    """Return an oracle's answer in quote units."""
    return float(Fraction(row["answer"], 10 ** row["decimals"]))


def _reserve(row: Row) -> tuple[str, str]:
    """Return venue and asset of a reserve."""
    return str(row["venue"]), str(row["asset"])
