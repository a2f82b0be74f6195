"""What keeps alerts from being made or from arriving: channels that fail, prices that are old."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from serving.store.alert_schema import CHANNELS, OUTBOX
from serving.store.columns import Time
from serving.store.engine import Transaction
from serving.store.outbox import DEAD, LONGEST_ERROR, VERIFIED
from serving.store.schema import HOLDINGS, LATEST_ASSESSMENTS

_IS_VERIFIED = CHANNELS.c.status == VERIFIED
STALE = "price_stale"
"""What an assessment says of a price that is too old."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failing:
    """A verified channel that takes nothing.

    Parameters
    ----------
    failing_since
        When it first failed, since it last took a message.
    error
        Of the last failure.
    fault
        Why those who send cannot use it at all; None where they can.
    has_lost
        Whether a message was given up since.
    """

    channel: str
    receiver: str
    failing_since: datetime
    error: str | None
    fault: str | None
    has_lost: bool


def changed_faults(
    transaction: Transaction, fault: Callable[[str, str], str | None]
) -> dict[str, str | None]:
    """Return the verified channels that cannot be used for another reason than is written down.

    Parameters
    ----------
    fault
        Why a channel of a kind and target cannot be used; None where it can.

    Returns
    -------
    dict
        By channel why it cannot be used now; None where it can again.
    """
    chosen = sa.select(CHANNELS.c.id, CHANNELS.c.kind, CHANNELS.c.target, CHANNELS.c.fault)
    changed: dict[str, str | None] = {}
    for name, kind, target, before in transaction.execute(chosen.where(_IS_VERIFIED)):
        reason = fault(kind, target)
        message = None if reason is None else reason[:LONGEST_ERROR]
        if message != before:
            changed[name] = message
    return changed


def note_faults(
    transaction: Transaction, faults: Mapping[str, str | None], *, now: datetime
) -> None:
    """Write down what `changed_faults` found, of channels that are verified still."""
    begun = sa.func.coalesce(CHANNELS.c.failing_since, sa.literal(now, Time))
    mended = sa.case((CHANNELS.c.failures > 0, CHANNELS.c.failing_since), else_=None)
    for name, message in faults.items():
        row = {"fault": message, "failing_since": mended if message is None else begun}
        of_it = sa.and_(CHANNELS.c.id == name, _IS_VERIFIED)
        transaction.execute(sa.update(CHANNELS).where(of_it).values(row))


def failing(transaction: Transaction) -> list[Failing]:
    """Return the verified channels that take nothing, by receiver."""
    lost = sa.exists().where(
        OUTBOX.c.channel == CHANNELS.c.id,
        OUTBOX.c.status == DEAD,
        OUTBOX.c.settled_at >= CHANNELS.c.failing_since,
    )
    chosen = (
        sa.select(CHANNELS, lost.label("has_lost"))
        .where(CHANNELS.c.status == VERIFIED, CHANNELS.c.failing_since.is_not(None))
        .order_by(CHANNELS.c.receiver, CHANNELS.c.id)
    )
    return [
        Failing(
            channel=row.id,
            receiver=row.receiver,
            failing_since=row.failing_since,
            error=row.error,
            fault=row.fault,
            has_lost=bool(row.has_lost),
        )
        for row in transaction.execute(chosen)
    ]


def stale_price_holders(transaction: Transaction) -> dict[str, int]:
    """Return by asset how many accounts hold it whose newest assessment rests on an old price."""
    stale = sa.cast(LATEST_ASSESSMENTS.c.degraded, sa.Text).contains(STALE)
    chosen = (
        sa.select(HOLDINGS.c.asset, sa.func.count(sa.distinct(HOLDINGS.c.account)))
        .join(LATEST_ASSESSMENTS, LATEST_ASSESSMENTS.c.account == HOLDINGS.c.account)
        .where(stale)
        .group_by(HOLDINGS.c.asset)
        .order_by(HOLDINGS.c.asset)
    )
    return {str(asset): int(count) for asset, count in transaction.execute(chosen)}


def size(transaction: Transaction) -> int:
    """Return what the store takes on disk, indices included, bytes."""
    if transaction.dialect.name == "postgresql":
        query = sa.select(sa.func.pg_database_size(sa.func.current_database()))
        return int(transaction.execute(query).scalar_one())
    pages, page = (
        int(transaction.execute(sa.text(f"PRAGMA {name}")).scalar_one())
        for name in ("page_count", "page_size")
    )
    return pages * page
