"""Past assessments of every account, and the newest of each to be searched and sorted."""

import operator
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any, Literal

import sqlalchemy as sa

from models.alerting.signals import Level
from serving.schemas.stored import AccountSummary, Assessed
from serving.store.alert_schema import ALERT_STATES
from serving.store.columns import MICROSECOND
from serving.store.engine import Transaction
from serving.store.rows import chunks, put
from serving.store.schema import ACCOUNTS, ASSESSMENTS, HOLDINGS, LATEST_ASSESSMENTS

Order = Literal[
    "account",
    "ratio",
    "expected_24h",
    "rank",
    "distance",
    "collateral_value",
    "requirement",
]
DESCENDING = frozenset({"expected_24h", "collateral_value", "requirement"})
"""Orders whose largest value comes first."""

Cursor = tuple[float | None, str]
"""Value of the sorted column, and account, of the last item of a page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountFilter:
    """Which accounts an explorer asks for; None does not restrict.

    Parameters
    ----------
    asset
        Held in any leg.
    most_ratio
        Highest venue ratio.
    least_expected_24h
        Lowest probability of liquidation within a day.
    least_requirement
        Lowest requirement, quote units of the venue.
    least_level
        Lowest level of the alert that the account is on.
    least_distance, most_distance
        Ends of the share by which the price may move to the line, the upper one excluded.
    least_value, most_value
        Ends of the collateral at market value, quote units of the venue, the upper one excluded.
    search
        Part of the account's or its owner's name, in any case.
    """

    venue: str | None = None
    market: str | None = None
    owner: str | None = None
    asset: str | None = None
    verdict: str | None = None
    most_ratio: float | None = None
    least_expected_24h: float | None = None
    least_requirement: float | None = None
    least_level: str | None = None
    least_distance: float | None = None
    most_distance: float | None = None
    least_value: float | None = None
    most_value: float | None = None
    search: str | None = None


_NAMES = tuple(field.name for field in fields(Assessed))
_values = attrgetter(*_NAMES)
_SAID = tuple(name for name in _NAMES if name not in {"account", "at"})

RENEWED = timedelta(minutes=5)
"""Age at which an assessment is written again although it says the same."""


def write(transaction: Transaction, assessed: Sequence[Assessed], *, now: datetime) -> None:
    """Add assessments to the history; the newest of each account stands for it; see `renew`."""
    put(transaction, ASSESSMENTS, [_row(assessment) for assessment in assessed])
    renew(transaction, assessed, now=now)


def renew(transaction: Transaction, assessed: Sequence[Assessed], *, now: datetime) -> None:
    """Let the newest assessment of each account stand for it, without adding to its history.

    One that says what stands already is written only when what stands is `RENEWED` older.

    Parameters
    ----------
    now
        What stands from a later moment was written by a clock that ran ahead, and gives way.
    """
    ranked = [{**_row(assessment), "rank": assessment.rank} for assessment in assessed]
    newest = {row["account"]: row for row in sorted(ranked, key=lambda row: row["at"])}
    stands = LATEST_ASSESSMENTS.c

    def gives_way(new: Any) -> "sa.ColumnElement[bool]":
        age = sa.type_coerce(new.at, sa.BigInteger) - sa.type_coerce(stands.at, sa.BigInteger)
        differs = sa.or_(*(stands[name].is_distinct_from(new[name]) for name in _SAID))
        is_old = age >= RENEWED // MICROSECOND
        return sa.or_(stands.at > now, sa.and_(age >= 0, sa.or_(differs, is_old)))

    put(transaction, LATEST_ASSESSMENTS, list(newest.values()), gives_way=gives_way)


def _row(assessment: Assessed) -> dict[str, Any]:
    """Return an assessment as a row."""
    row = dict(zip(_NAMES, _values(assessment), strict=True))
    row["degraded"] = list(assessment.degraded)
    return row


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


def latest(transaction: Transaction, account: str) -> Assessed | None:
    """Return the newest assessment of an account in numbers; None where there is none."""
    chosen = sa.select(LATEST_ASSESSMENTS).where(LATEST_ASSESSMENTS.c.account == account)
    row = transaction.execute(chosen).mappings().first()
    return None if row is None else replace(_assessed(row), body=None)


def explore(
    transaction: Transaction,
    criteria: AccountFilter,
    *,
    order: Order = "account",
    after: Cursor | None = None,
    limit: int = 100,
) -> list[AccountSummary]:
    """Return accounts with their newest assessment, page by page.

    Parameters
    ----------
    order
        `rank` the riskiest first; `DESCENDING` largest first, the others ascending. Accounts
        without a value come last.
    after
        Where the page before ended.
    """
    if order == "account":
        return _page(transaction, criteria, order, after, limit)
    # An inner join lets the index of the order be read along; what has no value follows by name.
    named = _named(transaction, criteria.search)
    value = LATEST_ASSESSMENTS.c[order]
    is_past_values = after is not None and after[0] is None
    valued = (value.is_not(None), *named)
    page = [] if is_past_values else _page(transaction, criteria, order, after, limit, valued)
    left, reached = limit - len(page), after if is_past_values else None
    if not left:
        return page
    rest = []
    if order != "rank":  # which every assessment has
        rest += _page(transaction, criteria, order, reached, left, (value.is_(None), *named))
    if not _asks_what_was_said(criteria):
        rest += _page(transaction, criteria, "account", reached, left, (_NEVER, *named))
    return page + sorted(rest, key=lambda summary: summary.account)[:left]


_OF_ACCOUNTS = frozenset({"venue", "market", "owner", "asset", "least_level", "search"})
_NEVER = LATEST_ASSESSMENTS.c.account.is_(None)
FEW = 500


def _named(transaction: Transaction, text: str | None) -> "tuple[sa.ColumnElement[bool], ...]":
    """Return the accounts that a search finds, where they are so few that they lead the way.

    Where there are many, walking down the ranks meets enough of them soon.
    """
    if text is None:
        return ()
    chosen = sa.select(ACCOUNTS.c.account).where(*_searched(text)).limit(FEW + 1)
    names = list(transaction.execute(chosen).scalars())
    return () if len(names) > FEW else (ACCOUNTS.c.account.in_(names),)


def _asks_what_was_said(criteria: AccountFilter) -> bool:
    """Return whether an account that was never assessed is out of the question."""
    names = {field.name for field in fields(AccountFilter)} - _OF_ACCOUNTS
    return any(getattr(criteria, name) is not None for name in names)


def _page(
    transaction: Transaction,
    criteria: AccountFilter,
    order: Order,
    after: Cursor | None,
    limit: int,
    more: "Sequence[sa.ColumnElement[bool]]" = (),
) -> list[AccountSummary]:
    """Return one page of accounts in one order; see `explore`."""
    columns = [ACCOUNTS.c[n] for n in ("venue", "version", "market", "owner")]
    assessment_columns = [LATEST_ASSESSMENTS.c[n] for n in _NAMES]
    chosen = sa.select(
        ACCOUNTS.c.account.label("name"),
        *columns,
        ALERT_STATES.c.level.label("level"),
        *assessment_columns,
    ).select_from(_joined(is_assessed=order != "account"))
    chosen = chosen.where(*conditions(criteria), *_beyond(order, after), *more)
    rows = transaction.execute(chosen.order_by(*_ordering(order)).limit(limit)).mappings()
    return [_summary(row) for row in rows]


def _joined(*, is_assessed: bool) -> sa.FromClause:
    """Return accounts beside their newest assessment and their alert."""
    same = LATEST_ASSESSMENTS.c.account == ACCOUNTS.c.account
    both = (
        LATEST_ASSESSMENTS.join(ACCOUNTS, same)
        if is_assessed
        else ACCOUNTS.outerjoin(LATEST_ASSESSMENTS, same)
    )
    return both.outerjoin(ALERT_STATES, ALERT_STATES.c.account == ACCOUNTS.c.account)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbabilityLine:
    """What was said of an account over time, in columns, oldest first."""

    account: str
    at: tuple[datetime, ...]
    unattended_24h: tuple[float | None, ...]
    expected_24h: tuple[float | None, ...]


def lines(
    transaction: Transaction, names: Sequence[str], *, begin: datetime, most: int
) -> list[ProbabilityLine]:
    """Return the past of many accounts, in the order asked.

    Parameters
    ----------
    begin
        What was said before it is left out.
    most
        Of each account, the newest so many.
    """
    table = ASSESSMENTS.c
    columns = (table.account, table.at, table.unattended_24h, table.expected_24h)
    newest = sa.func.row_number().over(partition_by=table.account, order_by=table.at.desc())
    by_account: dict[str, list[Any]] = {name: [] for name in names}
    for some in chunks(list(by_account)):
        numbered = sa.select(*columns, newest.label("number")).where(
            table.account.in_(some), table.at >= begin
        )
        inner = numbered.subquery()
        chosen = sa.select(inner).where(inner.c.number <= most).order_by(inner.c.at)
        for row in transaction.execute(chosen):
            by_account[str(row.account)].append(row)
    return [_line(name, rows) for name, rows in by_account.items()]


def _line(account: str, rows: Sequence[Any]) -> ProbabilityLine:
    """Return the rows of one account in columns."""
    return ProbabilityLine(
        account=account,
        at=tuple(row.at for row in rows),
        unattended_24h=tuple(row.unattended_24h for row in rows),
        expected_24h=tuple(row.expected_24h for row in rows),
    )


def newest_in_history(transaction: Transaction, names: Sequence[str]) -> dict[str, Assessed]:
    """Return the newest assessment in the history of each account that has one."""
    by_account: dict[str, Assessed] = {}
    other = ASSESSMENTS.alias("other")
    newest = sa.select(sa.func.max(other.c.at)).where(other.c.account == ACCOUNTS.c.account)
    same = sa.and_(
        ASSESSMENTS.c.account == ACCOUNTS.c.account, ASSESSMENTS.c.at == newest.scalar_subquery()
    )
    for some in chunks(names):
        chosen = sa.select(ASSESSMENTS).select_from(ACCOUNTS.join(ASSESSMENTS, same))
        rows = transaction.execute(chosen.where(ACCOUNTS.c.account.in_(some)))
        by_account.update({str(row["account"]): _assessed(row) for row in rows.mappings()})
    return by_account


def newest(transaction: Transaction) -> datetime | None:
    """Return when an account was assessed last."""
    return transaction.execute(sa.select(sa.func.max(LATEST_ASSESSMENTS.c.at))).scalar()


def forget(transaction: Transaction, names: Sequence[str], *, before: datetime) -> int:
    """Remove the history of accounts before a moment; return how many assessments went."""
    is_past = sa.and_(ASSESSMENTS.c.account.in_(names), ASSESSMENTS.c.at < before)
    gone = transaction.execute(sa.delete(ASSESSMENTS).where(is_past))
    return int(gone.rowcount)


def past(
    transaction: Transaction, criteria: AccountFilter, *, at: datetime
) -> list[AccountSummary]:
    """Return accounts as they were last said to be at a moment, in no order.

    An account that was not judged by then is left out, and no level is told: what a search of
    the past says rests on the history of assessments alone.
    """
    said, joined = standing(at)
    chosen = sa.select(
        ACCOUNTS.c.account.label("name"),
        *(ACCOUNTS.c[n] for n in ("venue", "version", "market", "owner")),
        sa.null().label("level"),
        *(said.c[n] for n in _NAMES if n != "body"),
        sa.null().label("body"),
    ).select_from(joined)
    rows = transaction.execute(chosen.where(*conditions(criteria, said))).mappings()
    return [_summary(row) for row in rows]


def standing(at: datetime | None) -> tuple[sa.Table, sa.Join]:
    """Return the table that tells what was said last by a moment, and accounts beside it.

    Parameters
    ----------
    at
        None for now.
    """
    said = LATEST_ASSESSMENTS if at is None else ASSESSMENTS
    is_same = said.c.account == ACCOUNTS.c.account
    if at is not None:
        other = ASSESSMENTS.alias("other")
        newest = sa.select(sa.func.max(other.c.at)).where(
            other.c.account == ACCOUNTS.c.account, other.c.at <= at
        )
        is_same = sa.and_(is_same, said.c.at == newest.scalar_subquery())
    return said, ACCOUNTS.join(said, is_same)


def conditions(
    criteria: AccountFilter, said: sa.Table = LATEST_ASSESSMENTS
) -> list["sa.ColumnElement[bool]"]:
    """Return what restricts a search.

    Parameters
    ----------
    said
        Table that tells what was said of an account.
    """
    latest_columns = said.c
    holds = sa.exists().where(
        HOLDINGS.c.account == ACCOUNTS.c.account, HOLDINGS.c.asset == criteria.asset
    )
    equal = (
        (criteria.venue, ACCOUNTS.c.venue),
        (criteria.market, ACCOUNTS.c.market),
        (criteria.owner, ACCOUNTS.c.owner),
        (criteria.verdict, latest_columns.verdict),
    )
    conditions = [column == value for value, column in equal if value is not None]
    if criteria.asset is not None:
        conditions.append(holds)
    ends = (
        (latest_columns.ratio, operator.le, criteria.most_ratio),
        (latest_columns.expected_24h, operator.ge, criteria.least_expected_24h),
        (latest_columns.requirement, operator.ge, criteria.least_requirement),
        (latest_columns.distance, operator.ge, criteria.least_distance),
        (latest_columns.distance, operator.lt, criteria.most_distance),
        (latest_columns.collateral_value, operator.ge, criteria.least_value),
        (latest_columns.collateral_value, operator.lt, criteria.most_value),
    )
    conditions += [compare(column, end) for column, compare, end in ends if end is not None]
    if criteria.least_level is not None:
        conditions.append(ALERT_STATES.c.level >= int(Level[criteria.least_level.upper()]))
    return [*conditions, *_searched(criteria.search)]


def _searched(text: str | None) -> list["sa.ColumnElement[bool]"]:
    """Return what a search for a part of a name restricts."""
    if text is None:
        return []
    named = (ACCOUNTS.c.account, ACCOUNTS.c.owner)
    return [sa.or_(*(column.icontains(text, autoescape=True) for column in named))]


def _ordering(order: Order) -> list["sa.ColumnElement[Any]"]:
    """Return the order of a search; the account breaks every tie."""
    if order == "account":
        return [ACCOUNTS.c.account]
    column = LATEST_ASSESSMENTS.c[order]
    value = column.desc() if order in DESCENDING else column.asc()
    return [value, LATEST_ASSESSMENTS.c.account]


def _beyond(order: Order, after: Cursor | None) -> list["sa.ColumnElement[bool]"]:
    """Return the condition that stands for everything after a cursor."""
    if after is None:
        return []
    reached, account = after
    if order == "account":
        return [ACCOUNTS.c.account > account]
    column, later = LATEST_ASSESSMENTS.c[order], LATEST_ASSESSMENTS.c.account > account
    if reached is None:
        return [later]
    compare = (operator.lt, operator.le) if order in DESCENDING else (operator.gt, operator.ge)
    beyond, from_here = (side(column, reached) for side in compare)
    return [from_here, sa.or_(beyond, later)]  # the first is what an index is entered by


def _assessed(row: Any) -> Assessed:
    """Return the assessment of a row."""
    values = {name: row[name] for name in _NAMES}
    return Assessed(**{**values, "degraded": tuple(values["degraded"])})


def _summary(row: Any) -> AccountSummary:
    """Return the account of a row with its newest assessment."""
    return AccountSummary(
        account=row["name"],
        venue=row["venue"],
        version=row["version"],
        market=row["market"],
        owner=row["owner"],
        level=None if row["level"] is None else Level(row["level"]).name.lower(),
        assessed=None if row["at"] is None else _assessed(row),
    )
