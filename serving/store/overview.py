"""Where accounts stand, without what else was said of them: for pictures of whole books."""

from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from models.alerting.signals import Level
from serving.store.alert_schema import ALERT_STATES
from serving.store.assessments import AccountFilter, conditions
from serving.store.engine import Transaction
from serving.store.schema import ACCOUNTS, ASSESSMENTS, HOLDINGS, LATEST_ASSESSMENTS


class Placed(NamedTuple):
    """An account on the map of a book; see `Assessed`."""

    account: str
    venue: str
    owner: str | None
    level: str | None
    collateral_value: float | None
    distance: float | None


def placed(
    transaction: Transaction, criteria: AccountFilter, *, at: datetime | None = None
) -> list[Placed]:
    """Return where accounts stand, by name; those that were never judged are left out.

    Parameters
    ----------
    at
        As they were last judged by this moment, without levels; None for now.
    """
    said = LATEST_ASSESSMENTS if at is None else ASSESSMENTS
    is_same = said.c.account == ACCOUNTS.c.account
    if at is not None:
        other = ASSESSMENTS.alias("other")
        newest = sa.select(sa.func.max(other.c.at)).where(
            other.c.account == ACCOUNTS.c.account, other.c.at <= at
        )
        is_same = sa.and_(is_same, said.c.at == newest.scalar_subquery())
    joined = ACCOUNTS.join(said, is_same)
    level: sa.ColumnElement[Any] = sa.literal(None, sa.Integer)
    if at is None:
        joined = joined.outerjoin(ALERT_STATES, ALERT_STATES.c.account == ACCOUNTS.c.account)
        level = ALERT_STATES.c.level
    chosen = sa.select(
        *(ACCOUNTS.c[name] for name in ("account", "venue", "owner")),
        level.label("level"),
        *(said.c[name] for name in ("collateral_value", "distance")),
    ).select_from(joined)
    rows = transaction.execute(
        chosen.where(*conditions(criteria, said)).order_by(ACCOUNTS.c.account)
    )
    names = {int(level): level.name.lower() for level in Level}
    return [
        Placed(
            account=row.account,
            venue=row.venue,
            owner=row.owner,
            level=None if row.level is None else names[row.level],
            collateral_value=row.collateral_value,
            distance=row.distance,
        )
        for row in rows
    ]


def asset_accounts(transaction: Transaction, criteria: AccountFilter) -> list[tuple[str, str]]:
    """Return which asset which account has as collateral or position, in its newest position."""
    chosen = (
        sa.select(HOLDINGS.c.asset, HOLDINGS.c.account)
        .select_from(HOLDINGS.join(ACCOUNTS, ACCOUNTS.c.account == HOLDINGS.c.account))
        .where(HOLDINGS.c.kind != "debt")
    )
    if criteria.venue is not None:
        chosen = chosen.where(ACCOUNTS.c.venue == criteria.venue)
    rows = transaction.execute(chosen.order_by(HOLDINGS.c.asset, HOLDINGS.c.account)).all()
    return list(dict.fromkeys((str(row.asset), str(row.account)) for row in rows))
