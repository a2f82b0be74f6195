"""API keys as they are kept: never the key itself, only its digest."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime

import sqlalchemy as sa

from serving.store.engine import Transaction
from serving.store.schema import API_KEYS


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRecord:
    """One key.

    Parameters
    ----------
    id
        The open part of the key, by which it is found.
    digest
        Hash of the secret part.
    label
        Whose it is.
    """

    id: str
    digest: str
    label: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None

    def is_valid(self, at: datetime) -> bool:
        """Return whether the key opens anything at a moment."""
        expired = self.expires_at is not None and self.expires_at <= at
        return not expired and (self.revoked_at is None or self.revoked_at > at)


def insert(transaction: Transaction, record: KeyRecord) -> None:
    """Add a key; an id that stands already is a failure."""
    row = {**asdict(record), "scopes": list(record.scopes)}
    transaction.execute(sa.insert(API_KEYS).values(row))


def find(transaction: Transaction, key_id: str) -> KeyRecord | None:
    """Return the key of an id."""
    row = transaction.execute(sa.select(API_KEYS).where(API_KEYS.c.id == key_id)).mappings().first()
    return None if row is None else _record(row)


def list_all(transaction: Transaction) -> list[KeyRecord]:
    """Return every key, oldest first."""
    chosen = sa.select(API_KEYS).order_by(API_KEYS.c.created_at, API_KEYS.c.id)
    return [_record(row) for row in transaction.execute(chosen).mappings()]


def revoke(transaction: Transaction, key_id: str, *, at: datetime) -> bool:
    """End a key from a moment on; return whether there was one to end."""
    chosen = sa.update(API_KEYS).where(API_KEYS.c.id == key_id)
    unended = sa.or_(API_KEYS.c.revoked_at.is_(None), API_KEYS.c.revoked_at > at)
    return bool(transaction.execute(chosen.where(unended).values(revoked_at=at)).rowcount)


def exists(transaction: Transaction, *, at: datetime) -> bool:
    """Return whether any key is valid at a moment."""
    return any(record.is_valid(at) for record in list_all(transaction))


def _record(row: "sa.RowMapping") -> KeyRecord:
    """Return a key of its row."""
    values = {field.name: row[field.name] for field in fields(KeyRecord)}
    return KeyRecord(**{**values, "scopes": tuple(values["scopes"])})


Loader = Callable[[], Mapping[str, KeyRecord]]
