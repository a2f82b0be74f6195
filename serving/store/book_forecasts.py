"""Forecasts of the whole book: asked for, under way, stopped or done."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

import sqlalchemy as sa

from serving.store.engine import Transaction
from serving.store.schema import BOOK_FORECASTS, EVENTS

RUNNING, DONE, STOPPING, STOPPED, FAILED = "running", "done", "stopping", "stopped", "failed"
LIQUIDATE = "liquidate"


@dataclass(frozen=True, slots=True, kw_only=True)
class BookForecastRow:
    """One forecast.

    Parameters
    ----------
    at
        Moment of the book.
    status
        One of this module's names.
    done
        Share of the scenarios that have been run.
    updated_at
        When it last went on.
    request
        What was asked for.
    body
        What came of it; None before it is done.
    """

    id: str
    at: datetime
    status: str
    done: float
    updated_at: datetime
    request: Mapping[str, Any]
    body: Mapping[str, Any] | None


def begin(
    transaction: Transaction, name: str, request: Mapping[str, Any], *, at: datetime, now: datetime
) -> None:
    """Write a forecast that has been asked for."""
    row = {"id": name, "at": at, "status": RUNNING, "done": 0.0, "updated_at": now}
    transaction.execute(sa.insert(BOOK_FORECASTS).values(**row, request=dict(request)))


def update(
    transaction: Transaction,
    name: str,
    *,
    done: float,
    now: datetime,
    status: str | None = None,
    body: Mapping[str, Any] | None = None,
) -> None:
    """Write how far a forecast is."""
    values: dict[str, Any] = {"done": done, "updated_at": now}
    if status is not None:
        values["status"] = status
    if body is not None:
        values["body"] = dict(body)
    transaction.execute(
        sa.update(BOOK_FORECASTS).where(BOOK_FORECASTS.c.id == name).values(**values)
    )


def stop(transaction: Transaction, name: str, *, now: datetime) -> bool:
    """Ask a running forecast to stop; return whether it ran."""
    table = BOOK_FORECASTS
    running = (table.c.id == name) & (table.c.status == RUNNING)
    result = transaction.execute(
        sa.update(table).where(running).values(status=STOPPING, updated_at=now)
    )
    return bool(result.rowcount)


def read(transaction: Transaction, name: str) -> BookForecastRow | None:
    """Return a forecast, or None."""
    row = transaction.execute(
        sa.select(BOOK_FORECASTS).where(BOOK_FORECASTS.c.id == name)
    ).one_or_none()
    return None if row is None else _read(row)


def newest(
    transaction: Transaction,
    *,
    limit: int,
    since: datetime | None = None,
    until: datetime | None = None,
) -> tuple[BookForecastRow, ...]:
    """Return the forecasts of all accounts that are done, the newest first.

    One of a part of the book says nothing of the whole.

    Parameters
    ----------
    since, until
        Moments of the first and the last book, both included; None for no bound.
    """
    columns = BOOK_FORECASTS.c
    order = columns.at.desc(), columns.id.desc()
    done = sa.select(columns.id, columns.request).where(columns.status == DONE).order_by(*order)
    if since is not None:
        done = done.where(columns.at >= since)
    if until is not None:
        done = done.where(columns.at <= until)
    finished = transaction.execute(done)
    whole = (row.id for row in finished if not any(dict(row.request).get("selection", {}).values()))
    chosen = columns.id.in_(tuple(islice(whole, limit)))
    rows = transaction.execute(sa.select(BOOK_FORECASTS).where(chosen).order_by(*order)).all()
    return tuple(_read(row) for row in rows)


def _read(row: "sa.Row[Any]") -> BookForecastRow:
    return BookForecastRow(
        id=row.id,
        at=row.at,
        status=row.status,
        done=row.done,
        updated_at=row.updated_at,
        request=row.request,
        body=row.body,
    )


def liquidated(transaction: Transaction, *, after: datetime, until: datetime) -> Collection[str]:
    """Return the accounts with a liquidation in (after, until]."""
    rows = transaction.execute(
        sa.select(EVENTS.c.account)
        .where(EVENTS.c.kind == LIQUIDATE, EVENTS.c.at > after, EVENTS.c.at <= until)
        .distinct()
    ).all()
    return {row.account for row in rows}
