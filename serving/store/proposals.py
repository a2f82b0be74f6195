"""Proposals, the votes on them, and the documents that govern."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from serving.store.engine import Transaction
from serving.store.governance_schema import GOVERNED, PROPOSALS, VOTES
from serving.store.rows import put


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposalRow:
    """A proposal as it is kept."""

    id: str
    state: str
    version: int
    created_at: datetime
    body: Mapping[str, Any]


def insert(transaction: Transaction, row: ProposalRow) -> None:
    """Add a proposal."""
    transaction.execute(sa.insert(PROPOSALS).values(_values(row)))


def replace(transaction: Transaction, row: ProposalRow, *, version: int) -> bool:
    """Write a proposal over the version that was read; return whether it still stood."""
    standing = sa.and_(PROPOSALS.c.id == row.id, PROPOSALS.c.version == version)
    changed = transaction.execute(sa.update(PROPOSALS).where(standing).values(_values(row)))
    return bool(changed.rowcount)


def find(transaction: Transaction, proposal: str) -> ProposalRow | None:
    """Return a proposal, which nobody else writes until a writing transaction ends."""
    chosen = sa.select(PROPOSALS).where(PROPOSALS.c.id == proposal).with_for_update()
    if not transaction.get_execution_options().get("forewarn_writes"):
        chosen = sa.select(PROPOSALS).where(PROPOSALS.c.id == proposal)
    row = transaction.execute(chosen).mappings().first()
    return None if row is None else _row(row)


def read(
    transaction: Transaction, *, state: str | None = None, after: str = "", limit: int = 100
) -> list[ProposalRow]:
    """Return proposals by their ids, which ascend with time."""
    chosen = sa.select(PROPOSALS).where(PROPOSALS.c.id > after)
    if state is not None:
        chosen = chosen.where(PROPOSALS.c.state == state)
    rows = transaction.execute(chosen.order_by(PROPOSALS.c.id).limit(limit)).mappings()
    return [_row(row) for row in rows]


def vote(transaction: Transaction, *, proposal: str, voter: str, choice: str, at: datetime) -> None:
    """Write a vote over the same voter's earlier one."""
    put(
        transaction,
        VOTES,
        [{"proposal": proposal, "voter": voter, "choice": choice, "at": at}],
    )


def votes(transaction: Transaction, proposal: str) -> dict[str, str]:
    """Return the votes on a proposal by voter."""
    chosen = sa.select(VOTES.c.voter, VOTES.c.choice).where(VOTES.c.proposal == proposal)
    return {str(voter): str(choice) for voter, choice in transaction.execute(chosen)}


def govern(
    transaction: Transaction, name: str, body: Mapping[str, Any], *, actor: str, at: datetime
) -> None:
    """Put a document in force."""
    put(transaction, GOVERNED, [{"name": name, "at": at, "actor": actor, "body": dict(body)}])


def governed(
    transaction: Transaction, *, prefix: str
) -> dict[str, tuple[dict[str, Any], datetime]]:
    """Return the documents in force whose names begin so, with since when."""
    chosen = sa.select(GOVERNED).where(GOVERNED.c.name.startswith(prefix, autoescape=True))
    rows = transaction.execute(chosen.order_by(GOVERNED.c.name)).mappings()
    return {str(row["name"]): (row["body"], row["at"]) for row in rows}


def _values(row: ProposalRow) -> dict[str, Any]:
    """Return the columns of a proposal."""
    return {
        "id": row.id,
        "state": row.state,
        "version": row.version,
        "created_at": row.created_at,
        "body": dict(row.body),
    }


def _row(row: "sa.RowMapping") -> ProposalRow:
    """Return a proposal of its row."""
    return ProposalRow(
        id=str(row["id"]),
        state=str(row["state"]),
        version=int(row["version"]),
        created_at=row["created_at"],
        body=row["body"],
    )
