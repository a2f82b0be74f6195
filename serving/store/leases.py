"""Who leads, and who was last heard of."""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from serving.store.alert_schema import HEARTBEATS, LEASES
from serving.store.engine import Transaction
from serving.store.rows import insert_new, put

WATCHING = "watching"

TURN = "alert_pass"

POLICY = "alert_policy"

FAILING = "unevaluable"

DELIVERING = "delivering"

POSTING = "alert_posting"
"""Number of the last pass, of any part, that wrote messages or inboxes."""

PRESENT = "watcher"
"""Begins the lease by which a process that shares a book says that it lives."""

CONSUMING = "consuming "
"""Begins the name of a group that reads a stream."""


DOUBTFUL = 2
"""Lengths of a lease ahead of now beyond which no clock that runs right has set its end."""

_LEASE = sa.select(LEASES).where(LEASES.c.name == sa.bindparam("name"))


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the book, which one watcher at a time watches: accounts by a hash of their key.

    Parameters
    ----------
    index
        Of the part, from 0.
    count
        Parts of the book.
    """

    index: int = 0
    count: int = 1

    def holds(self, account: str) -> bool:
        """Return whether an account belongs to the part."""
        return self.count == 1 or zlib.crc32(account.encode()) % self.count == self.index

    def of(self, name: str) -> str:
        """Return what a lease, a heartbeat or a sum of the part is called.

        >>> Part().of("watching"), Part(1, 2).of("watching")
        ('watching', 'watching/2of2')
        """
        return name if self.count == 1 else f"{name}/{self.index + 1}of{self.count}"

    def names(self, name: str) -> frozenset[str]:
        """Return what `of` returns of every part of the same book."""
        return frozenset(Part(index, self.count).of(name) for index in range(self.count))


WHOLE_BOOK = Part()


def lead(
    transaction: Transaction, name: str, *, holder: str, now: datetime, lease: timedelta
) -> bool:
    """Take or renew a lease; False while another holds it.

    Renewed inside the transaction that writes, it keeps a leader that lost its lease from
    writing.
    """
    row = {"name": name, "holder": holder, "until": now + lease}
    if insert_new(transaction, LEASES, [row]):
        return True
    until = LEASES.c.until
    # A lease that ends later than any taken now would was taken by a clock that ran ahead.
    may = sa.or_(LEASES.c.holder == holder, until <= now, until > now + DOUBTFUL * lease)
    taken = sa.update(LEASES).where(LEASES.c.name == name, may)
    return bool(transaction.execute(taken.values(holder=holder, until=now + lease)).rowcount)


@dataclass(frozen=True, slots=True)
class Lease:
    """Who leads, and until when."""

    holder: str
    until: datetime

    def is_fresh(self, holder: str, *, now: datetime, lease: timedelta) -> bool:
        """Return whether a holder leads and need not renew yet: half of the lease is left."""
        return self.holder == holder and lease / 2 <= self.until - now <= lease

    def is_anothers(self, holder: str, *, now: datetime, lease: timedelta) -> bool:
        """Return whether another leads; a lease that reaches too far ahead holds nobody off."""
        return self.holder != holder and timedelta(0) < self.until - now <= DOUBTFUL * lease


def leader(transaction: Transaction, name: str) -> Lease | None:
    """Return the lease as it stands; None where nobody ever took it, or it was given back."""
    row = transaction.execute(_LEASE, {"name": name}).first()
    return None if row is None else Lease(holder=str(row.holder), until=row.until)


def named(name: str, column: "sa.Column[str]") -> "sa.ColumnElement[bool]":
    """Return whether a row is of a name: of the whole book, or of any part of it."""
    return sa.or_(column == name, column.startswith(f"{name}/", autoescape=True))


def is_divided_otherwise(
    transaction: Transaction, part: Part, *, now: datetime, lease: timedelta
) -> bool:
    """Return whether somebody watches the book in another number of parts."""
    rows = transaction.execute(sa.select(LEASES).where(named(WATCHING, LEASES.c.name)))
    ours = part.names(WATCHING)
    return any(
        row.name not in ours and timedelta(0) < row.until - now <= DOUBTFUL * lease for row in rows
    )


def forget_other_parts(transaction: Transaction, names: Sequence[str], part: Part) -> None:
    """Remove the heartbeats of a book that was divided into another number of parts."""
    for name in names:
        is_other = HEARTBEATS.c.name.not_in(part.names(name))
        transaction.execute(sa.delete(HEARTBEATS).where(named(name, HEARTBEATS.c.name), is_other))


def living(transaction: Transaction, name: str, *, now: datetime, lease: timedelta) -> int:
    """Return how many leases `name/…` hold now."""
    rows = transaction.execute(sa.select(LEASES).where(named(name, LEASES.c.name)))
    return sum(timedelta(0) < row.until - now <= DOUBTFUL * lease for row in rows)


def lock(transaction: Transaction, name: str, *, now: datetime) -> None:
    """Keep others that lock the same name waiting until this transaction ends."""
    if not insert_new(transaction, LEASES, [{"name": name, "holder": name, "until": now}]):
        touched = sa.update(LEASES).where(LEASES.c.name == name)
        transaction.execute(touched.values(until=now))


def resign(transaction: Transaction, name: str, *, holder: str) -> None:
    """Give a lease back, so that the next need not wait for its end."""
    mine = sa.and_(LEASES.c.name == name, LEASES.c.holder == holder)
    transaction.execute(sa.delete(LEASES).where(mine))


def beat(transaction: Transaction, name: str, *, now: datetime, detail: Any = None) -> None:
    """Note that something was done now."""
    put(transaction, HEARTBEATS, [{"name": name, "at": now, "detail": detail}])


def tally(
    transaction: Transaction, name: str, counts: Mapping[str, int], *, now: datetime, **more: Any
) -> None:
    """Note that something was done now, and add counts to those of all who do it under a name.

    Parameters
    ----------
    more
        Stands beside the counts, as it is now.
    """
    start = {"name": name, "at": now, "detail": {"counts": {}}}
    if not insert_new(transaction, HEARTBEATS, [start]):
        # Held until the commit, so that of two that count neither is lost.
        mine = sa.update(HEARTBEATS).where(HEARTBEATS.c.name == name)
        transaction.execute(mine.values(at=now))
    chosen = sa.select(HEARTBEATS.c.detail).where(HEARTBEATS.c.name == name)
    before = (transaction.execute(chosen).scalar_one() or {}).get("counts", {})
    added = {key: before.get(key, 0) + count for key, count in counts.items()}
    beat(transaction, name, now=now, detail={**more, "counts": {**before, **added}})


def stands(transaction: Transaction, name: str, *, now: datetime) -> None:
    """Note that nothing was to be done now beyond what was done last; nothing if it never was."""
    moved = sa.update(HEARTBEATS).where(HEARTBEATS.c.name == name)
    transaction.execute(moved.values(at=now))


def beats(transaction: Transaction) -> dict[str, tuple[datetime, Any]]:
    """Return the newest heartbeat of each activity: its time and its detail."""
    rows = transaction.execute(sa.select(HEARTBEATS))
    return {str(row.name): (row.at, row.detail) for row in rows}


def of_parts(
    beats: Mapping[str, tuple[datetime, Any]], name: str
) -> Iterator[tuple[datetime, Any]]:
    """Yield the heartbeats of a name: that of the whole book, or of each part of it."""
    for key, entry in beats.items():
        if key == name or key.startswith(f"{name}/"):
            yield entry


def oldest(beats: Mapping[str, tuple[datetime, Any]], name: str) -> datetime | None:
    """Return when the part that is silent longest was heard of; None where none ever was."""
    return min((at for at, _ in of_parts(beats, name)), default=None)
