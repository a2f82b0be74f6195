"""What exchanges say of their accounts, and when all of an account was read last."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from serving.store.connection_schema import VENUE_ACCOUNTS
from serving.store.engine import Transaction
from serving.store.rows import put


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueAccount:
    """An account as its exchange tells of it.

    Parameters
    ----------
    refused
        Why the rules do not judge it; None where they do.
    figures
        `figure`, `instrument`, `side`, `ours`, `theirs`, as text.
    """

    account: str
    connection: str
    read_at: datetime
    refused: str | None
    figures: list[dict[str, Any]]


def write(transaction: Transaction, rows: Sequence[VenueAccount]) -> None:
    """Write what was read of accounts, over what was read before."""
    put(transaction, VENUE_ACCOUNTS, [asdict(each) for each in rows])


def of_connection(transaction: Transaction, connection: str) -> list[VenueAccount]:
    """Return the accounts of a connection by name."""
    chosen = sa.select(VENUE_ACCOUNTS).where(VENUE_ACCOUNTS.c.connection == connection)
    ordered = chosen.order_by(VENUE_ACCOUNTS.c.account)
    return [VenueAccount(**row) for row in transaction.execute(ordered).mappings()]


def unread_since(transaction: Transaction, moment: datetime) -> dict[str, datetime]:
    """Return the accounts of exchanges that were last read before a moment, and when."""
    columns = VENUE_ACCOUNTS.c.account, VENUE_ACCOUNTS.c.read_at
    chosen = sa.select(*columns).where(VENUE_ACCOUNTS.c.read_at < moment)
    return {str(account): at for account, at in transaction.execute(chosen)}
