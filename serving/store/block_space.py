"""The state of chains' blocks, every version with its time."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from serving.store.engine import Transaction
from serving.store.rows import put
from serving.store.schema import BLOCK_SPACE


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockSpaceRow:
    """What was measured of one chain, as it was pushed.

    Parameters
    ----------
    measured_at
        When.
    body
        As of `serving.schemas.book_risk.BlockSpaceBody`.
    """

    chain: str
    measured_at: datetime
    body: Mapping[str, Any]


def write(transaction: Transaction, row: BlockSpaceRow, *, now: datetime) -> None:
    """Write a version; the same time again takes its place."""
    put(
        transaction,
        BLOCK_SPACE,
        [
            {
                "chain": row.chain,
                "measured_at": row.measured_at,
                "received_at": now,
                "body": dict(row.body),
            }
        ],
    )


def newest(transaction: Transaction, *, at: datetime) -> tuple[BlockSpaceRow, ...]:
    """Return the newest version of every chain that was measured by a moment, by name."""
    columns = BLOCK_SPACE.c
    latest = (
        sa.select(columns.chain, sa.func.max(columns.measured_at).label("measured"))
        .where(columns.measured_at <= at)
        .group_by(columns.chain)
        .subquery()
    )
    is_latest = sa.and_(columns.chain == latest.c.chain, columns.measured_at == latest.c.measured)
    rows = transaction.execute(
        sa.select(BLOCK_SPACE).join(latest, is_latest).order_by(columns.chain)
    ).all()
    return tuple(
        BlockSpaceRow(chain=row.chain, measured_at=row.measured_at, body=row.body) for row in rows
    )
