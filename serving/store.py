"""The store: accounts, events, candles, prices and terms behind a database URL.

The only module that speaks SQL. SQLite needs no set-up; any database that SQLAlchemy knows
is named by its URL.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa

from features.inputs import HOUR, Candles
from models.domain import Price
from models.errors import ForewarnError
from serving.cases import Surroundings

VERSION = 1
_METADATA = sa.MetaData()
_NOTES = sa.Table(
    "notes",
    _METADATA,
    sa.Column("name", sa.String(100), primary_key=True),
    sa.Column("value", sa.String(200), nullable=False),
)
_ACCOUNTS = sa.Table(
    "accounts",
    _METADATA,
    sa.Column("account", sa.String(200), primary_key=True),
    sa.Column("venue", sa.String(200), nullable=False),
    sa.Column("version", sa.String(200), nullable=False),
    sa.Column("market", sa.String(200), nullable=False),
    sa.Column("opened_at", sa.BigInteger),  # seconds since 1970
    sa.Column("legs", sa.Text, nullable=False),  # JSON as in the request
    sa.Column("options", sa.Text, nullable=False),
)
_EVENTS = sa.Table(
    "events",
    _METADATA,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("account", sa.String(200), nullable=False, index=True),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("collateral", sa.String(80), nullable=False),  # exact integer
    sa.Column("debt", sa.String(80), nullable=False),
)
_CANDLES = sa.Table(
    "candles",
    _METADATA,
    sa.Column("asset", sa.String(200), primary_key=True),
    sa.Column("hour", sa.BigInteger, primary_key=True),  # opening, hours since 1970
    *(
        sa.Column(name, sa.Double, nullable=False)
        for name in ("open", "high", "low", "close", "volume")
    ),
)
_PRICES = sa.Table(
    "prices",
    _METADATA,
    sa.Column("asset", sa.String(200), primary_key=True),
    sa.Column("value", sa.String(100), nullable=False),
    sa.Column("decimals", sa.Integer, nullable=False),
    sa.Column("observed_at", sa.BigInteger, nullable=False),
    sa.Column("source", sa.String(200), nullable=False),
    sa.Column("next_value", sa.String(100)),
    sa.Column("next_at", sa.BigInteger),
    sa.Column("stale_after", sa.BigInteger),  # seconds
    sa.Column("disputed", sa.String(200)),
)
_STATE = sa.Table(
    "state",
    _METADATA,
    sa.Column("name", sa.String(200), primary_key=True),
    sa.Column("value", sa.String(100), nullable=False),
)
_TERMS = sa.Table(
    "terms",
    _METADATA,
    sa.Column("market", sa.String(200), primary_key=True),
    sa.Column("valid_from", sa.BigInteger, primary_key=True),
    sa.Column("body", sa.Text, nullable=False),  # JSON, exact integers as text
)


class StoreRefused(ForewarnError):  # noqa: N818 - named for what happened
    """The store cannot be opened, or was written by another version."""


@dataclass(frozen=True, slots=True)
class Store:
    """An open store."""

    engine: sa.Engine

    def close(self) -> None:
        """Give back every connection."""
        self.engine.dispose()

    def write_notes(self, notes: Mapping[str, str]) -> None:
        """Write facts about the store, such as `clock` and `simulated`."""
        with self.engine.begin() as connection:
            for name, value in notes.items():
                connection.execute(sa.delete(_NOTES).where(_NOTES.c.name == name))
                connection.execute(sa.insert(_NOTES).values(name=name, value=value))

    def write_accounts(self, accounts: Iterable[Mapping[str, Any]]) -> None:
        """Write accounts: objects as in a request, without their events."""
        rows = [
            {
                "account": one["id"],
                "venue": one["venue"],
                "version": one["version"],
                "market": one["market"],
                "opened_at": _seconds(one.get("opened_at")),
                "legs": json.dumps(one["legs"]),
                "options": json.dumps(one.get("options", {})),
            }
            for one in accounts
        ]
        self._insert(_ACCOUNTS, rows)

    def write_events(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Write events: `account`, `at` (aware), `kind`, `collateral`, `debt` (integers)."""
        rows = [
            {
                "account": one["account"],
                "at": _seconds(one["at"]),
                "kind": one["kind"],
                "collateral": str(one["collateral"]),
                "debt": str(one["debt"]),
            }
            for one in events
        ]
        self._insert(_EVENTS, rows)

    def write_candles(self, frame: pd.DataFrame) -> None:
        """Write candles of schema `features.tables.CANDLES`."""
        hours = frame["open_time"].astype("datetime64[s, UTC]").astype("int64") // HOUR
        rows = frame.assign(asset=frame["symbol"], hour=hours)[[c.name for c in _CANDLES.columns]]
        self._insert(_CANDLES, rows.to_dict(orient="records"))

    def write_price(self, asset: str, price: Price) -> None:
        """Write the price in force."""
        stale = price.stale_after
        row = {
            "asset": asset,
            "value": str(price.value),
            "decimals": price.decimals,
            "observed_at": _seconds(price.observed_at),
            "source": price.source,
            "next_value": None if price.next_value is None else str(price.next_value),
            "next_at": _seconds(price.next_at),
            "stale_after": None if stale is None else int(stale.total_seconds()),
            "disputed": price.disputed,
        }
        self._insert(_PRICES, [row])

    def write_state(self, state: Mapping[str, int]) -> None:
        """Write accumulators by the rulebook's names."""
        self._insert(_STATE, [{"name": n, "value": str(v)} for n, v in state.items()])

    def write_terms(self, market: str, body: Mapping[str, Any], *, valid_from: datetime) -> None:
        """Write the risk parameters of a market from a moment on."""
        row = {"market": market, "valid_from": _seconds(valid_from), "body": json.dumps(body)}
        self._insert(_TERMS, [row])

    def account_keys(self) -> list[str]:
        """Return every account's key, ascending."""
        with self.engine.connect() as connection:
            found = connection.execute(sa.select(_ACCOUNTS.c.account).order_by("account"))
            return [str(key) for (key,) in found]

    def accounts(self, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return accounts with their events as they would stand in a request."""
        with self.engine.connect() as connection:
            rows = connection.execute(sa.select(_ACCOUNTS).where(_ACCOUNTS.c.account.in_(keys)))
            found = {str(row.account): _account(row) for row in rows}
            events = connection.execute(
                sa.select(_EVENTS)
                .where(_EVENTS.c.account.in_(keys))
                .order_by(_EVENTS.c.account, _EVENTS.c.at, _EVENTS.c.number)
            )
            for row in events:
                if row.account in found:
                    found[row.account]["events"].append(_event(row))
        return found

    def surroundings(self, *, now: datetime) -> Surroundings:
        """Return what the store knows of the market, as of its clock.

        Parameters
        ----------
        now
            Used unless the store's own clock stands still, as that of a simulated book does.
        """
        with self.engine.connect() as connection:
            notes = {str(n): str(v) for n, v in connection.execute(sa.select(_NOTES))}
            prices = {str(r.asset): _price(r) for r in connection.execute(sa.select(_PRICES))}
            state = {str(r.name): int(r.value) for r in connection.execute(sa.select(_STATE))}
            at = datetime.fromisoformat(notes["clock"]) if "clock" in notes else now
            terms = {
                str(r.market): (json.loads(r.body), _time(r.valid_from))
                for r in connection.execute(
                    sa.select(_TERMS)
                    .where(_TERMS.c.valid_from <= int(at.timestamp()))
                    .order_by(_TERMS.c.valid_from)
                )
            }
            rows = connection.execute(
                sa.select(_CANDLES).order_by(_CANDLES.c.asset, _CANDLES.c.hour)
            ).all()
        return Surroundings(
            at=at,
            prices=prices,
            state=state,
            terms=terms,
            candles=_grids(rows),
            simulated=notes.get("simulated") == "yes",
        )

    def _insert(self, table: sa.Table, rows: Sequence[Mapping[Any, Any]]) -> None:
        """Insert rows in one transaction."""
        if rows:
            with self.engine.begin() as connection:
                connection.execute(sa.insert(table), [dict(row) for row in rows])


def open_store(url: str) -> Store:
    """Open a store, laying its tables when it is new.

    Parameters
    ----------
    url
        As SQLAlchemy reads it, such as `sqlite:////var/lib/forewarn/book.sqlite3`.

    Raises
    ------
    StoreRefused
        When it cannot be opened or was written by another version of the schema.
    """
    try:
        engine = sa.create_engine(url)
    except (sa.exc.SQLAlchemyError, ImportError) as error:
        raise StoreRefused(f"{url}: {error}") from None
    try:
        _METADATA.create_all(engine)
        with engine.begin() as connection:
            wanted = sa.select(_NOTES.c.value).where(_NOTES.c.name == "schema_version")
            found = connection.execute(wanted).scalar()
            if found is None:
                row = {"name": "schema_version", "value": str(VERSION)}
                connection.execute(sa.insert(_NOTES).values(row))
    except sa.exc.SQLAlchemyError as error:
        engine.dispose()
        raise StoreRefused(f"{url}: {error}") from None
    if found is not None and found != str(VERSION):
        engine.dispose()
        raise StoreRefused(f"{url}: schema version {found}, this code reads {VERSION}")
    return Store(engine)


def _seconds(at: datetime | None) -> int | None:
    """Return whole seconds since 1970."""
    return None if at is None else int(at.timestamp())


def _time(seconds: int | None) -> datetime | None:
    """Return an aware UTC time."""
    return None if seconds is None else datetime.fromtimestamp(seconds, tz=UTC)


def _account(row: Any) -> dict[str, Any]:
    """Return an account as it would stand in a request."""
    opened = _time(row.opened_at)
    return {
        "id": row.account,
        "venue": row.venue,
        "version": row.version,
        "market": row.market,
        "opened_at": None if opened is None else opened.isoformat(),
        "legs": json.loads(row.legs),
        "options": json.loads(row.options),
        "events": [],
    }


def _event(row: Any) -> dict[str, Any]:
    """Return an event as it would stand in a request."""
    return {
        "at": datetime.fromtimestamp(row.at, tz=UTC).isoformat(),
        "kind": row.kind,
        "collateral": row.collateral,
        "debt": row.debt,
    }


def _price(row: Any) -> Price:
    """Return a price."""
    return Price(
        value=int(row.value),
        decimals=row.decimals,
        observed_at=datetime.fromtimestamp(row.observed_at, tz=UTC),
        source=row.source,
        next_value=None if row.next_value is None else int(row.next_value),
        next_at=_time(row.next_at),
        stale_after=None if row.stale_after is None else timedelta(seconds=row.stale_after),
        disputed=row.disputed,
    )


def _grids(rows: Sequence[Any]) -> dict[str, Candles]:
    """Lay candles on a regular grid per asset; an hour without a row stays missing."""
    grids = {}
    for asset in dict.fromkeys(str(row.asset) for row in rows):
        own = [row for row in rows if row.asset == asset]
        hours = np.array([row.hour for row in own], dtype=np.int64)
        first = int(hours[0])
        columns: dict[str, Any] = {}
        for name in ("open", "high", "low", "close", "volume"):
            grid = np.full(int(hours[-1]) - first + 1, np.nan)
            grid[hours - first] = [getattr(row, name) for row in own]
            columns[name] = grid
        grids[asset] = Candles(first_hour=first, **columns)
    return grids
