"""Past assessments of every account, and the newest of each to be searched and sorted."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa

from serving.store.engine import Transaction
from serving.store.rows import put
from serving.store.schema import ACCOUNTS, ASSESSMENTS, HOLDINGS, LATEST_ASSESSMENTS

Order = Literal["account", "ratio", "expected_24h"]
Cursor = tuple[float | None, str]
"""Value of the sorted column, and account, of the last item of a page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessed:
    """What was said of an account at a moment.

    Parameters
    ----------
    ratio
        The venue's own ratio; None where it has none.
    unattended_1h, unattended_4h, unattended_24h, unattended_7d
        Probability that the account is liquidated when nobody acts; None without a forecast.
    expected_1h, expected_4h, expected_24h, expected_7d
        The same with owners as observed.
    degraded
        Codes of what made the answer worse than usual.
    body
        The whole answer, where it is to be kept.
    """

    account: str
    at: datetime
    verdict: str
    next_verdict: str | None = None
    ratio: float | None = None
    unattended_1h: float | None = None
    unattended_4h: float | None = None
    unattended_24h: float | None = None
    unattended_7d: float | None = None
    expected_1h: float | None = None
    expected_4h: float | None = None
    expected_24h: float | None = None
    expected_7d: float | None = None
    model_version: str | None = None
    degraded: tuple[str, ...] = ()
    body: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which accounts an explorer asks for; None does not restrict.

    Parameters
    ----------
    asset
        Held in any leg.
    most_ratio
        Highest venue ratio.
    least_expected_24h
        Lowest probability of liquidation within a day.
    """

    venue: str | None = None
    market: str | None = None
    owner: str | None = None
    asset: str | None = None
    verdict: str | None = None
    most_ratio: float | None = None
    least_expected_24h: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An account with its newest assessment; None where it was never assessed."""

    account: str
    venue: str
    version: str | None
    market: str
    owner: str | None
    assessed: Assessed | None


_NAMES = tuple(field.name for field in fields(Assessed))


def write(transaction: Transaction, assessed: Sequence[Assessed]) -> None:
    """Add assessments to the history; the newest of each account stands for it."""
    rows = [{**asdict(one), "degraded": list(one.degraded)} for one in assessed]
    put(transaction, ASSESSMENTS, rows)
    newest = {row["account"]: row for row in sorted(rows, key=lambda row: row["at"])}
    put(transaction, LATEST_ASSESSMENTS, list(newest.values()), newer="at")


def history(
    transaction: Transaction, account: str, *, before: datetime | None = None, limit: int = 100
) -> list[Assessed]:
    """Return past assessments of an account, newest first.

    Parameters
    ----------
    before
        Cursor: `at` of the last one of the page before.
    """
    chosen = sa.select(ASSESSMENTS).where(ASSESSMENTS.c.account == account)
    if before is not None:
        chosen = chosen.where(ASSESSMENTS.c.at < before)
    rows = transaction.execute(chosen.order_by(ASSESSMENTS.c.at.desc()).limit(limit))
    return [_assessed(row) for row in rows.mappings()]


def explore(
    transaction: Transaction,
    wanted: Wanted,
    *,
    order: Order = "account",
    after: Cursor | None = None,
    limit: int = 100,
) -> list[Found]:
    """Return accounts with their newest assessment, page by page.

    Parameters
    ----------
    order
        `ratio` ascending, `expected_24h` descending; accounts without a value come last.
    after
        Where the page before ended.
    """
    columns = [ACCOUNTS.c[n] for n in ("venue", "version", "market", "owner")]
    same = LATEST_ASSESSMENTS.c.account == ACCOUNTS.c.account
    chosen = sa.select(
        ACCOUNTS.c.account.label("name"), *columns, *(LATEST_ASSESSMENTS.c[n] for n in _NAMES)
    ).select_from(ACCOUNTS.outerjoin(LATEST_ASSESSMENTS, same))
    chosen = chosen.where(*_conditions(wanted), *_beyond(order, after))
    rows = transaction.execute(chosen.order_by(*_ordering(order)).limit(limit)).mappings()
    return [_found(row) for row in rows]


def forget(transaction: Transaction, *, before: datetime) -> int:
    """Remove the history before a moment and return how many assessments went."""
    gone = transaction.execute(sa.delete(ASSESSMENTS).where(ASSESSMENTS.c.at < before))
    return int(gone.rowcount)


def _conditions(wanted: Wanted) -> list["sa.ColumnElement[bool]"]:
    """Return what restricts a search."""
    told = LATEST_ASSESSMENTS.c
    holds = sa.exists().where(
        HOLDINGS.c.account == ACCOUNTS.c.account, HOLDINGS.c.asset == wanted.asset
    )
    equal = (
        (wanted.venue, ACCOUNTS.c.venue),
        (wanted.market, ACCOUNTS.c.market),
        (wanted.owner, ACCOUNTS.c.owner),
        (wanted.verdict, told.verdict),
    )
    conditions = [column == value for value, column in equal if value is not None]
    if wanted.asset is not None:
        conditions.append(holds)
    if wanted.most_ratio is not None:
        conditions.append(told.ratio <= wanted.most_ratio)
    if wanted.least_expected_24h is not None:
        conditions.append(told.expected_24h >= wanted.least_expected_24h)
    return conditions


def _sorted_value(order: Order) -> "sa.ColumnElement[Any]":
    """Return what a page is sorted by, ascending."""
    if order == "expected_24h":
        return -LATEST_ASSESSMENTS.c.expected_24h
    return LATEST_ASSESSMENTS.c.ratio


def _ordering(order: Order) -> list["sa.ColumnElement[Any]"]:
    """Return the order of a search; the account breaks every tie."""
    if order == "account":
        return [ACCOUNTS.c.account]
    value = _sorted_value(order)
    return [value.asc().nulls_last(), ACCOUNTS.c.account.asc()]


def _beyond(order: Order, after: Cursor | None) -> list["sa.ColumnElement[bool]"]:
    """Return the condition that stands for everything after a cursor."""
    if after is None:
        return []
    reached, account = after
    later = ACCOUNTS.c.account > account
    if order == "account":
        return [later]
    value = _sorted_value(order)
    if reached is None:
        return [sa.and_(value.is_(None), later)]
    signed = -reached if order == "expected_24h" else reached
    return [sa.or_(value > signed, value.is_(None), sa.and_(value == signed, later))]


def _assessed(row: Any) -> Assessed:
    """Return what a row says."""
    told = {name: row[name] for name in _NAMES}
    return Assessed(**{**told, "degraded": tuple(told["degraded"])})


def _found(row: Any) -> Found:
    """Return an account with what a row says of it."""
    return Found(
        account=row["name"],
        venue=row["venue"],
        version=row["version"],
        market=row["market"],
        owner=row["owner"],
        assessed=None if row["at"] is None else _assessed(row),
    )
