"""Channels and consent: verified before the first alert, stopped by one click, all written down."""

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from models.errors import Fault, InvalidInput
from serving.store import outbox
from serving.store.alert_schema import CHANNELS, CONSENTS
from serving.store.engine import Transaction
from serving.store.rows import insert_new
from serving.store.schema import NOTES

UNVERIFIED, VERIFIED, STOPPED = "unverified", "verified", "stopped"
LIFE = timedelta(minutes=30)
MOST_TRIES = 5
MOST_SECRETS = 3
DIGITS = 10**8
COST = {"n": 2**14, "r": 8, "p": 1}
LINK_KEY = "alert_link_key"


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """Where a receiver is reached; secrets and codes are never shown."""

    id: str
    receiver: str
    kind: str
    target: str
    rank: int
    status: str
    created_at: datetime


_SHOWN = tuple(CHANNELS.c[field.name] for field in fields(Channel))


def add(
    transaction: Transaction,
    *,
    receiver: str,
    kind: str,
    target: str,
    secrets_: Sequence[str],
    rank: int,
    actor: str,
    now: datetime,
) -> str:
    """Add a channel that nothing is sent to before it is verified; return its id."""
    name = secrets.token_hex(12)
    row = {
        "id": name,
        "receiver": receiver,
        "kind": kind,
        "target": target,
        "secrets": list(secrets_),
        "rank": rank,
        "status": UNVERIFIED,
        "code_tries": 0,
        "created_at": now,
    }
    transaction.execute(sa.insert(CHANNELS).values(row))
    _write_down(transaction, name, "added", actor=actor, now=now)
    return name


def challenge(transaction: Transaction, channel: str, *, actor: str, now: datetime) -> str:
    """Return a fresh one-time code for a channel; only its hash is kept."""
    code = f"{secrets.randbelow(DIGITS):08d}"
    fresh = {"code_digest": _digest(channel, code), "code_until": now + LIFE, "code_tries": 0}
    transaction.execute(sa.update(CHANNELS).where(CHANNELS.c.id == channel).values(fresh))
    _write_down(transaction, channel, "challenged", actor=actor, now=now)
    return code


def confirm(
    transaction: Transaction, channel: str, code: str, *, actor: str, now: datetime
) -> bool:
    """Return whether a code was the one sent; after some tries only a fresh one will do.

    A wrong try is counted: commit the transaction either way.
    """
    mine = CHANNELS.c.id == channel
    row = transaction.execute(sa.select(CHANNELS).where(mine).with_for_update()).first()
    if row is None or row.code_digest is None or row.status == STOPPED:
        return False
    transaction.execute(sa.update(CHANNELS).where(mine).values(code_tries=row.code_tries + 1))
    is_open = row.code_tries < MOST_TRIES and now <= row.code_until
    if not is_open or not hmac.compare_digest(row.code_digest, _digest(channel, code)):
        return False
    done = {"status": VERIFIED, "code_digest": None, "code_until": None}
    transaction.execute(sa.update(CHANNELS).where(mine).values(done))
    _write_down(transaction, channel, "verified", actor=actor, now=now)
    return True


def stop(transaction: Transaction, channel: str, *, actor: str, now: datetime) -> bool:
    """Stop a channel and what waits for it; False where it was stopped or is not known."""
    mine = sa.and_(CHANNELS.c.id == channel, CHANNELS.c.status != STOPPED)
    if not transaction.execute(sa.update(CHANNELS).where(mine).values(status=STOPPED)).rowcount:
        return False
    outbox.stop(transaction, channel, now=now)
    _write_down(transaction, channel, "stopped", actor=actor, now=now)
    return True


def rotate(
    transaction: Transaction, channel: str, secret: str, *, actor: str, now: datetime
) -> None:
    """Put a new secret in front; the ones before stay valid until they are pushed out.

    Raises
    ------
    InvalidInput
        When the channel is not known.
    """
    mine = CHANNELS.c.id == channel
    before = transaction.execute(
        sa.select(CHANNELS.c.secrets).where(mine).with_for_update()
    ).scalar()
    if before is None:
        raise InvalidInput([Fault("/channel", f"{channel[:80]!r} is not known")])
    rotated = [secret, *before][:MOST_SECRETS]
    transaction.execute(sa.update(CHANNELS).where(mine).values(secrets=rotated))
    _write_down(transaction, channel, "rotated", actor=actor, now=now)


def channels(transaction: Transaction, receiver: str) -> list[Channel]:
    """Return the channels of a receiver in the order they are tried."""
    rows = transaction.execute(
        sa.select(*_SHOWN)
        .where(CHANNELS.c.receiver == receiver)
        .order_by(CHANNELS.c.rank, CHANNELS.c.id)
    )
    return [Channel(**dict(row)) for row in rows.mappings()]


def channel(transaction: Transaction, name: str) -> Channel | None:
    """Return a channel by its id."""
    row = transaction.execute(sa.select(*_SHOWN).where(CHANNELS.c.id == name)).mappings().first()
    return None if row is None else Channel(**dict(row))


def signing_secrets(transaction: Transaction, channel: str) -> tuple[str, ...]:
    """Return the secrets a channel's messages are signed with, the newest first."""
    chosen = sa.select(CHANNELS.c.secrets).where(CHANNELS.c.id == channel)
    return tuple(transaction.execute(chosen).scalar() or ())


def history(transaction: Transaction, receiver: str) -> list[dict[str, Any]]:
    """Return what a receiver agreed to and ended, oldest first."""
    chosen = sa.select(CONSENTS).where(CONSENTS.c.receiver == receiver).order_by(CONSENTS.c.number)
    return [dict(row) for row in transaction.execute(chosen).mappings()]


def link_key(transaction: Transaction) -> bytes:
    """Return the key that signs links, made on first use."""
    row = {"name": LINK_KEY, "value": secrets.token_hex(32)}
    stored = transaction.execute(sa.select(NOTES.c.value).where(NOTES.c.name == LINK_KEY)).scalar()
    if stored is None:
        insert_new(transaction, NOTES, [row])
        stored = transaction.execute(
            sa.select(NOTES.c.value).where(NOTES.c.name == LINK_KEY)
        ).scalar_one()
    return bytes.fromhex(str(stored))


def _digest(channel: str, code: str) -> str:
    """Return the hash of a one-time code, slow enough that guessing outlasts it."""
    return hashlib.scrypt(code.encode(), salt=channel.encode(), **COST).hex()[:64]


def _write_down(
    transaction: Transaction, channel: str, action: str, *, actor: str, now: datetime
) -> None:
    """Add a line to the audit of consent."""
    chosen = sa.select(CHANNELS.c.receiver, CHANNELS.c.kind, CHANNELS.c.target)
    row = transaction.execute(chosen.where(CHANNELS.c.id == channel)).one()
    transaction.execute(
        sa.insert(CONSENTS).values(
            at=now,
            receiver=row.receiver,
            channel=channel,
            action=action,
            actor=actor[:200],
            detail={"kind": row.kind, "target": row.target},
        )
    )
