"""Whole tables in and out: validated frames into a store, and a store's tables as frames."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pandas as pd
import sqlalchemy as sa

from features.places import counted, place
from features.table_schemas import TABLES
from features.tables import Table, validate
from models.domain import UNPLACED, MarketId
from models.errors import Fault, InvalidInput, InvalidTable
from serving.schemas.market_names import (
    MOST_CHAIN,
    carried,
    carried_terms,
    state_faults,
    venue_faults,
)
from serving.store import accounts, schema
from serving.store.engine import Transaction
from serving.store.errors import StoreConflict
from serving.store.positions import STATED
from serving.store.rows import Added, add

Row = dict[str, Any]
LAID: Mapping[str, sa.Table] = {
    name: schema.METADATA.tables[name] for name in TABLES if name != "positions"
}
RENAMED: Mapping[str, Mapping[str, str]] = {"candles": {"symbol": "asset", "open_time": "opens_at"}}
"""What the columns of a file are called in the store, where that differs."""

PLACED = ("prices", "state", "terms")
"""What belongs to a market; prices without one are spot."""

JSON = {"positions": ("legs", "options", "terms"), "terms": ("body",)}


def write(
    transaction: Transaction, name: str, frame: pd.DataFrame, *, file: str, now: datetime
) -> Added:
    """Write a table that `features.tables.validate` has passed.

    Parameters
    ----------
    name
        Of a table in `features.table_schemas.TABLES`.
    file
        What to call the table in messages.

    Raises
    ------
    InvalidInput
        Listing every row that contradicts the store, or means nothing; undo the transaction.
    """
    rows = list(parsed(name, frame, file))
    if name in PLACED:
        rows = _at_markets(transaction, name, rows, file)
    if name == "positions":
        return _write_positions(transaction, rows, now=now)
    try:
        if name == "events":
            return accounts.push_events(transaction, rows, now=now)
        table = LAID[name]
        received = {"received_at": now} if "received_at" in table.c else {}
        return add(transaction, table, [{**row, **received} for row in rows])
    except StoreConflict as error:
        raise StoreConflict(_in_file(error.faults, rows, file)) from None
    except InvalidInput as error:
        raise InvalidTable(_in_file(error.faults, rows, file)) from None


def _in_file(faults: Sequence[Fault], rows: Sequence[Row], file: str) -> list[Fault]:
    """Return faults at `/place/column` or `/account/key/column` as of `file:column:row`."""
    places = {f"/{number}": number for number in range(len(rows))}
    places |= {
        f"/{row['account']}/{row['key']}": number for number, row in enumerate(rows) if "key" in row
    }
    located = []
    for fault in faults:
        row, _, column = fault.where.rpartition("/")
        if fault.where in places:
            where = f"{file}:{counted(file, places[fault.where])}"
        else:
            where = place(file, column, places[row]) if row in places else fault.where
        located.append(Fault(where, fault.message))
    return located


def read(transaction: Transaction, name: str) -> pd.DataFrame:
    """Return a whole table as it is written to a file; integers of any size are text."""
    chosen = _selection(name)
    back = {new: old for old, new in RENAMED.get(name, {}).items()}
    rows = [
        {back.get(str(n), str(n)): _cell(value) for n, value in row.items()}
        for row in transaction.execute(chosen).mappings()
    ]
    return pd.DataFrame(rows, columns=[column.name for column in TABLES[name].columns])


def read_database(url: str, table: Table, *, named: str) -> pd.DataFrame:
    """Read and validate a table or view of any database that SQLAlchemy knows.

    Parameters
    ----------
    named
        The table or view, which has the schema's columns.

    Raises
    ------
    InvalidTable
        When it cannot be read or breaks the schema.
    """
    try:
        engine = sa.create_engine(url)
        try:
            with engine.connect() as connection:
                raw = _all(connection, table, named)
        finally:
            engine.dispose()
    except (sa.exc.SQLAlchemyError, ImportError) as error:
        detail = " ".join(str(getattr(error, "orig", None) or error).split())
        raise InvalidTable([Fault(named, f"not readable: {detail}")]) from None
    return validate(raw, table, file=named)


def _all(connection: sa.Connection, table: Table, named: str) -> pd.DataFrame:
    """Return those columns of a table that the schema knows."""
    there = {str(column["name"]) for column in sa.inspect(connection).get_columns(named)}
    names = [column.name for column in table.columns if column.name in there]
    columns: list[sa.ColumnElement[Any]] = [sa.column(name) for name in names]
    chosen = sa.select(*columns).select_from(sa.table(named))
    rows = connection.execute(chosen).all() if names else []
    return pd.DataFrame([tuple(row) for row in rows], columns=names, dtype=object)


def parsed(name: str, frame: pd.DataFrame, file: str) -> Iterator[Row]:
    """Yield rows as the store takes them.

    Raises
    ------
    InvalidTable
        Listing every cell that is no JSON.
    """
    renamed = RENAMED.get(name, {})
    faults: list[Fault] = []
    for number, row in enumerate(frame.to_dict("records")):
        record = {renamed.get(str(n), str(n)): _value(str(n), cell) for n, cell in row.items()}
        for column in JSON.get(name, ()):
            try:
                record[column] = None if record[column] is None else json.loads(record[column])
            except ValueError as error:
                faults.append(Fault(place(file, column, number), f"not JSON: {error}"))
        yield record
    if faults:
        raise InvalidTable(faults)


def _at_markets(transaction: Transaction, name: str, rows: Sequence[Row], file: str) -> list[Row]:
    """Return rows with their markets.

    Raises
    ------
    InvalidTable
        Listing every row that may be of several markets or of none, or speaks of what no
        rulebook reads.
    """
    markets = accounts.markets(transaction) if any(not row["venue"] for row in rows) else set()
    faults: list[Fault] = []
    placed: list[Row] = []
    for number, row in enumerate(rows):
        where = place(file, "venue", number)
        market = _market(name, row, markets, where=where)
        if isinstance(market, Fault):
            faults.append(Fault(where, market.message))
        else:
            placed.append({**row, **market._asdict()})
    if faults:
        raise InvalidTable(faults)
    return placed


def _market(name: str, row: Row, markets: set[MarketId], *, where: str) -> MarketId | Fault:
    """Return the market of a row, or what is wrong with it."""
    venue, market, chain = (row[part] or "" for part in MarketId._fields)
    if len(chain) > MOST_CHAIN:
        return Fault(where, f"a chain's name has at most {MOST_CHAIN} characters")
    if venue and market:
        stated = MarketId(venue, market, chain)
        state = {row["name"]: row["value"]} if name == "state" else {}
        wrong = venue_faults(venue, where=where)
        wrong = wrong or state_faults(stated, state, where=where)
        return wrong[0] if wrong else stated
    if venue or chain or (market and name != "terms"):
        return Fault(where, "a market is a venue and its market, with its chain where it needs one")
    if name == "state":
        return carried(row["name"], markets, where=where)
    if name == "terms":
        return carried_terms(market, markets, where=where)
    return UNPLACED


def _value(name: str, cell: Any) -> Any:
    """Return a cell of a frame as the store takes it; what is missing is None."""
    if cell is None or cell is pd.NaT or cell != cell:  # noqa: PLR0124 - NaN
        return None
    if isinstance(cell, pd.Timestamp):
        return cell.to_pydatetime(warn=False)
    if name == "stale_after":
        return timedelta(seconds=float(cell))
    return str(cell) if isinstance(cell, Decimal) else cell


def _cell(value: Any) -> Any:
    """Return a value of the store as a file takes it."""
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, dict | list):
        return json.dumps(value)
    if isinstance(value, int):
        return str(value)
    return None if value == "" else value


def _selection(name: str) -> sa.Select[Any]:
    """Return a selection of a whole table in the order of its key.

    Of positions only those that were stated: the others follow from the events.
    """
    columns = [column.name for column in TABLES[name].columns]
    if name == "positions":
        there, positions = schema.ACCOUNTS, schema.POSITIONS
        selected = [positions.c[n] if n in positions.c else there.c[n] for n in columns]
        joined = positions.join(there, there.c.account == positions.c.account)
        stated = sa.select(*selected).select_from(joined).where(positions.c.origin == STATED)
        return stated.order_by(positions.c.account, positions.c.at)
    table = LAID[name]
    renamed = RENAMED.get(name, {})
    chosen = [table.c[renamed.get(n, n)] for n in columns]
    return sa.select(*chosen).order_by(*table.primary_key.columns)


def _write_positions(transaction: Transaction, rows: Sequence[Row], *, now: datetime) -> Added:
    """Write positions, over those that were stated for the same moment."""
    statements: list[tuple[datetime, Row]] = []
    for row in rows:
        body = position(row)
        # An empty cell says nothing of them.
        said = {name: row[name] for name in accounts.CARRIED_FORWARD if row[name] is not None}
        statements.append((row["at"], {**body, **said}))
    accounts.write(transaction, statements, now=now)
    return Added(written=len(statements), repeated=0)


def position(row: Row) -> Row:
    """Return a row of positions as an account is stated."""
    names = ("venue", "version", "market", "chain", "legs", "terms")
    body = {name: row[name] for name in names}
    return body | {"id": row["account"], "options": row["options"] or {}}
