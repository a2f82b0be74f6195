"""Where accounts stand, without what else was said of them: for pictures of whole books."""

from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from serving.store.alert_schema import ALERT_STATES
from serving.store.assessments import AccountFilter, conditions, standing
from serving.store.engine import Transaction
from serving.store.schema import ACCOUNTS, HOLDINGS


class Placed(NamedTuple):
    """An account on the map of a book; see `Assessed`."""

    account: str
    venue: str
    owner: str | None
    level: int | None
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
    said, joined = standing(at)
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
    return [Placed._make(row) for row in rows]


class AssetTotal(NamedTuple):
    """What accounts of one venue that hold an asset, as collateral or position, have together.

    Parameters
    ----------
    near
        Accounts whose line is within the share asked about.
    """

    venue: str
    asset: str
    accounts: int
    near: int
    collateral_value: float


def assets(
    transaction: Transaction, criteria: AccountFilter, *, near: float, at: datetime | None = None
) -> list[AssetTotal]:
    """Return totals by venue and asset of the newest positions, of accounts as `placed` has them.

    Parameters
    ----------
    near
        Share by which the price may move to the line.
    """
    said, joined = standing(at)
    pairs = sa.select(HOLDINGS.c.asset, HOLDINGS.c.account).where(HOLDINGS.c.kind != "debt")
    pledged = pairs.distinct().subquery()
    is_near = sa.case((said.c.distance <= near, 1), else_=0)
    chosen = (
        sa.select(
            ACCOUNTS.c.venue,
            pledged.c.asset,
            sa.func.count(),
            sa.func.sum(is_near),
            sa.func.coalesce(sa.func.sum(said.c.collateral_value), 0.0),
        )
        .select_from(joined.join(pledged, pledged.c.account == ACCOUNTS.c.account))
        .where(*conditions(criteria, said))
        .group_by(ACCOUNTS.c.venue, pledged.c.asset)
        .order_by(ACCOUNTS.c.venue, pledged.c.asset)
    )
    return [AssetTotal._make(row) for row in transaction.execute(chosen)]
