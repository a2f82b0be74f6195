"""Rows of any table: added exactly once, written over, or the newest of each name."""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from models.errors import Fault
from serving.store.changes import note
from serving.store.columns import Time, insertion
from serving.store.engine import Transaction
from serving.store.errors import StoreConflict

Row = Mapping[str, Any]
Key = tuple[Any, ...]
CHUNK = 500
MANY = 100
"""Rows from which on a statement is worth laying out by columns."""

BULK = 1000
"""Rows from which on PostgreSQL is sent them by COPY."""

UNCOMPARED = frozenset({"received_at"})
"""Columns that may differ between two tellings of one fact."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """What became of the rows that were handed in.

    Parameters
    ----------
    written
        Rows that are new.
    repeated
        Rows that the store held already, as they are.
    """

    written: int
    repeated: int


def add(transaction: Transaction, table: sa.Table, rows: Sequence[Row]) -> Added:
    """Add facts, each exactly once: a row that stands already is left as it is.

    Parameters
    ----------
    rows
        With every column that the table needs; `StoreConflict` counts them from 0.

    Raises
    ------
    StoreConflict
        Listing every row whose key stands with another body; undo the transaction then.
    """
    places: dict[Key, int] = {}
    faults: list[Fault] = []
    for place, row in enumerate(rows):
        first = places.setdefault(_key(table, row), place)
        if first != place and not _agree(rows[first], row):
            faults.append(_conflict(table, row, place))
    keys = sorted(places)
    fresh: set[Key] = set()
    for begin in range(0, len(keys), CHUNK):
        fresh |= insert_new(
            transaction, table, [rows[places[k]] for k in keys[begin : begin + CHUNK]]
        )
    note(transaction, table, [rows[places[key]] for key in fresh])
    standing = [key for key in keys if key not in fresh]
    for key, stored in _stored(transaction, table, standing):
        if not _agree(stored, rows[places[key]]):
            faults.append(_conflict(table, rows[places[key]], places[key]))
    if faults:
        raise StoreConflict(sorted(faults, key=lambda fault: int(fault.where.split("/")[1])))
    return Added(written=len(fresh), repeated=len(rows) - len(fresh))


def put(
    transaction: Transaction,
    table: sa.Table,
    rows: Sequence[Row],
    *,
    gives_way: Callable[[Any], "sa.ColumnElement[bool]"] | None = None,
) -> None:
    """Write rows, over those that stand under the same key; the last of equal keys counts.

    Parameters
    ----------
    gives_way
        From the columns of a new row to whether the row that stands is written over; every
        one is when left out.
    """
    if not rows:
        return
    names = [c.name for c in table.primary_key.columns]
    latest = {tuple([row[name] for name in names]): dict(row) for row in rows}
    # In the order of the keys, so that two writers never wait for each other.
    ordered = [latest[key] for key in sorted(latest)]
    lay = _over_all if gives_way is None else _over
    chosen = lay(transaction.dialect.name, table, tuple(ordered[0]), gives_way)
    if len(ordered) < MANY:
        transaction.execute(chosen, ordered)
    elif len(ordered) >= BULK and transaction.dialect.name == "postgresql":
        _copy(transaction, table, chosen, ordered)
    else:
        _execute_many(transaction, chosen, ordered)
    note(transaction, table, ordered)


def _over(
    dialect: str,
    table: sa.Table,
    columns: tuple[str, ...],
    gives_way: Callable[[Any], "sa.ColumnElement[bool]"] | None,
) -> sa.Insert:
    """Return what writes rows of some columns over those that stand; see `put`."""
    names = [c.name for c in table.primary_key.columns]
    statement = insertion(dialect, table)
    updates = {n: statement.excluded[n] for n in columns if n not in names}
    standing = None if gives_way is None else gives_way(statement.excluded)
    chosen: sa.Insert = (
        statement.on_conflict_do_update(index_elements=names, set_=updates, where=standing)
        if updates
        else statement.on_conflict_do_nothing(index_elements=names)
    )
    return chosen


_over_all = functools.cache(_over)


def _execute_many(
    transaction: Transaction, statement: sa.Insert, rows: Sequence[Mapping[str, Any]]
) -> None:
    """Run a statement for many rows of the same columns, as `transaction.execute` does.

    Values are laid out column by column: row by row costs more than writing them.
    """
    dialect = transaction.dialect
    compiled = statement.compile(dialect=dialect, column_keys=list(rows[0]))
    stated, columns = compiled.params, {}
    for bind, name in compiled.bind_names.items():
        process = bind.type.dialect_impl(dialect).bind_processor(dialect)
        cells = [row[name] for row in rows] if name in rows[0] else [stated[name]] * len(rows)
        columns[name] = cells if process is None else [*map(process, cells)]
    names = compiled.positiontup
    if names is None:
        laid: list[Any] = [
            dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)
        ]
    else:
        laid = [*zip(*[columns[name] for name in names], strict=True)]
    transaction.exec_driver_sql(compiled.string, laid)


def _copy(
    transaction: Transaction,
    table: sa.Table,
    statement: sa.Insert,
    rows: Sequence[Mapping[str, Any]],
) -> None:
    """Run a statement for many rows of the same columns, which are sent to PostgreSQL by COPY.

    COPY knows no conflicts: the rows go into a temporary table, and from there by the statement.

    References
    ----------
    https://www.postgresql.org/docs/current/populate.html, read 2026-11: COPY costs less than
    any series of INSERTs.
    """
    names, dialect = list(rows[0]), transaction.dialect
    staged = sa.table(f"staged_{table.name}", *(sa.column(n, table.c[n].type) for n in names))
    quote = dialect.identifier_preparer.quote
    listed, place = ", ".join(map(quote, names)), quote(staged.name)
    transaction.exec_driver_sql(
        f"CREATE TEMPORARY TABLE {place} ON COMMIT DROP AS "  # noqa: S608 - names of the schema
        f"SELECT {listed} FROM {quote(table.name)} WITH NO DATA"
    )
    columns = []
    for name in names:
        process = table.c[name].type.dialect_impl(dialect).bind_processor(dialect)
        cells = [row[name] for row in rows]
        columns.append(cells if process is None else [*map(process, cells)])
    driver: Any = transaction.connection.driver_connection
    with driver.cursor() as cursor, cursor.copy(f"COPY {place} ({listed}) FROM STDIN") as copy:
        for laid in zip(*columns, strict=True):
            copy.write_row(laid)
    transaction.execute(statement.from_select(names, sa.select(staged)))
    transaction.exec_driver_sql(f"DROP TABLE {place}")


@functools.cache
def latest(
    table: sa.Table,
    *,
    names: tuple[str, ...],
    time: str,
    chosen: int = 0,
    variants: tuple[str, timedelta] | None = None,
    order: tuple[str, ...] = (),
) -> sa.Select[Any]:
    """Return a selection of the newest rows, at or before a time `at`, of every name.

    The names are found by stepping through the primary key, not by reading all of the
    history, however long it is.

    Parameters
    ----------
    names, time
        Columns: the first of the primary key, in its order.
    chosen
        Length of the first parts of the names that are wanted, which the parameter `among`
        lists; 0 for all.
    variants
        A further column, and how long before the newest row of a name the newest of every
        other value of that column is wanted, too.
    order
        Columns by which the rows are ordered.
    """
    at: sa.BindParameter[datetime] = sa.bindparam("at", type_=Time)
    prefixes: sa.CTE | None = None
    for depth, name in enumerate(names):
        prefixes = _steps(table, names[:depth], name, prefixes=prefixes, chosen=chosen)
    if prefixes is None:
        raise ValueError("at least one name is needed")
    other = table.alias("other")
    newest = (
        sa.select(sa.func.max(other.c[time]))
        .where(*(other.c[name] == prefixes.c[name] for name in names), other.c[time] <= at)
        .scalar_subquery()
    )
    same = [table.c[name] == prefixes.c[name] for name in names]
    if variants is None:
        joined = prefixes.join(table, sa.and_(*same, table.c[time] == newest))
        return sa.select(table).select_from(joined).order_by(*(table.c[each] for each in order))
    variant, span = variants
    begin = sa.type_coerce(newest, sa.BigInteger) - span // timedelta(microseconds=1)
    within = [sa.type_coerce(table.c[time], sa.BigInteger) >= begin, table.c[time] <= at]
    place = sa.func.row_number().over(
        partition_by=[*(table.c[name] for name in names), table.c[variant]],
        order_by=table.c[time].desc(),
    )
    ranked = (
        sa.select(table, place.label("place"))
        .select_from(prefixes.join(table, sa.and_(*same, *within)))
        .subquery()
    )
    columns = [ranked.c[column.name] for column in table.columns]
    first = sa.select(*columns).where(ranked.c.place == 1)
    return first.order_by(*(ranked.c[each] for each in order))


def _steps(
    table: sa.Table,
    before: Sequence[str],
    name: str,
    *,
    prefixes: sa.CTE | None,
    chosen: int,
) -> sa.CTE:
    """Return the distinct values of a key column beneath each prefix of those before it."""
    column, least = table.c[name], sa.func.min(table.c[name])
    if prefixes is None:
        first: sa.Select[Any] = sa.select(least.label(name))
    else:
        parts: list[sa.ColumnElement[Any]] = [prefixes.c[part] for part in before]
        beneath = sa.select(least).where(*(table.c[part] == prefixes.c[part] for part in before))
        columns = [*parts, beneath.scalar_subquery().label(name)]
        first = sa.select(*columns)
        first = first.where(parts[-1].is_not(None))
        if len(before) == chosen:
            first = first.where(sa.tuple_(*parts).in_(sa.bindparam("among", expanding=True)))
    step = first.cte(f"of_{name}", recursive=True)
    same = [table.c[part] == step.c[part] for part in before]
    following = sa.select(least).where(*same, column > step.c[name]).scalar_subquery()
    recursion = sa.select(*(step.c[part] for part in before), following)
    return step.union_all(recursion.where(step.c[name].is_not(None)))


def chunks(keys: Sequence[str]) -> Iterator[list[str]]:
    """Yield names in lists that fit into one statement."""
    for begin in range(0, len(keys), CHUNK):
        yield list(keys[begin : begin + CHUNK])


def insert_new(transaction: Transaction, table: sa.Table, rows: Sequence[Row]) -> set[Key]:
    """Insert the rows whose keys are new and return these keys."""
    fresh = _fresh(transaction.dialect.name, table)
    return {tuple(row) for row in transaction.execute(fresh, [dict(row) for row in rows])}


@functools.cache
def _fresh(dialect: str, table: sa.Table) -> Any:
    """Return what inserts the rows whose keys are new and returns these keys."""
    statement = insertion(dialect, table).on_conflict_do_nothing()
    return statement.returning(*table.primary_key.columns)


def _stored(
    transaction: Transaction, table: sa.Table, keys: Sequence[Key]
) -> Iterator[tuple[Key, Row]]:
    """Yield the stored rows of some keys."""
    columns = tuple(table.primary_key.columns)
    for begin in range(0, len(keys), CHUNK):
        condition = sa.tuple_(*columns).in_(keys[begin : begin + CHUNK])
        for row in transaction.execute(sa.select(table).where(condition)).mappings():
            stored = {str(name): value for name, value in row.items()}
            yield _key(table, stored), stored


def _key(table: sa.Table, row: Row) -> Key:
    """Return the key of a row."""
    return tuple(row[column.name] for column in table.primary_key.columns)


def _agree(stored: Row, row: Row) -> bool:
    """Return whether two rows are equal in every compared column."""
    return all(stored.get(n) == row.get(n) for n in row.keys() - UNCOMPARED)


def _conflict(table: sa.Table, row: Row, place: int) -> Fault:
    """Return the fault of a row whose key is stored with another body."""
    # A row of no market leaves the market's columns empty.
    shown = ", ".join(str(part)[:80] for part in _key(table, row) if part != "")
    return Fault(f"/{place}", f"{table.name} holds ({shown}) with another body")
