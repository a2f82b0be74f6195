"""The log of a store: entries added within a transaction, heads, proofs, an export.

An entry is written in the same transaction as what it tells: either both stand or neither.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from models.errors import Fault, ForewarnError, InvalidInput
from serving.log.entries import START, Entry, chained, leaf_of
from serving.log.heads import Head, append_head, read_key, signed
from serving.log.merkle import EMPTY, Frontier, consistency_proof, inclusion_proof, root
from serving.log.verify import exported
from serving.store import Store, Transaction, log_entries
from serving.store.log_entries import Row

PATIENCE = timedelta(seconds=30)
"""By how much an entry's clock may lie before that of the one it waited for."""


class ClockWentBack(ForewarnError):  # noqa: N818 - named for what happened
    """The clock shows a time well before that of the newest entry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogKeys:
    """What heads are signed with, and where they go.

    Parameters
    ----------
    key
        File of the key.
    heads
        File outside the store that every head is added to; None to sign on demand alone.
    """

    key: Path
    heads: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tip:
    """How long the log is, and its root.

    Parameters
    ----------
    time
        Of the newest entry; None where there is none.
    """

    size: int
    root: bytes
    time: datetime | None


def append(
    transaction: Transaction,
    *,
    at: datetime,
    actor: str,
    action: str,
    subject: str,
    body: Mapping[str, Any],
) -> int:
    """Add an entry and return its number.

    Raises
    ------
    ClockWentBack
        When the time lies well before that of the newest entry.
    InvalidInput
        When canonical JSON cannot hold the body.
    """
    log_entries.lock(transaction)
    newest = log_entries.last(transaction)
    edge, chain, time = _state(newest)
    if time is not None and at < time - PATIENCE:
        raise ClockWentBack(f"{at.isoformat()} is before {time.isoformat()} of the newest entry")
    entry = Entry(
        number=edge.size,
        # Whoever waited for the writer before is not earlier than it.
        time=at if time is None else max(at, time),
        actor=actor,
        action=action,
        subject=subject,
        body=body,
        previous=chain,
    )
    text = entry.encoded()
    leaf = leaf_of(text)
    edge.append(leaf)
    row = Row(
        number=entry.number,
        at=entry.time,
        action=action,
        subject=subject,
        entry=text,
        chain=chained(chain, leaf).hex(),
        edge=tuple(part.hex() for part in edge.subtrees),
    )
    log_entries.insert(transaction, row)
    return entry.number


def _state(newest: Row | None) -> tuple[Frontier, bytes, datetime | None]:
    """Return the tree's edge, the chain and the time after the newest entry."""
    if newest is None:
        return Frontier(), START, None
    subtrees = [bytes.fromhex(part) for part in newest.edge]
    return Frontier(newest.number + 1, subtrees), bytes.fromhex(newest.chain), newest.at


def tip(transaction: Transaction) -> Tip:
    """Return how long the log is, and its root."""
    newest = log_entries.last(transaction)
    edge, _, time = _state(newest)
    return Tip(size=edge.size, root=edge.root() if edge.size else EMPTY, time=time)


def head(store: Store, keys: LogKeys, *, now: datetime) -> Head:
    """Return the signed head of the log as it stands.

    Raises
    ------
    InvalidInput
        When the key cannot be read.
    """
    key = read_key(keys.key)
    with store.read() as transaction:
        result = tip(transaction)
    return signed(key, size=result.size, root=result.root, time=now)


def export_head(store: Store, keys: LogKeys | None, *, now: datetime) -> Head | None:
    """Sign the head and add it to the file outside the store; None where no key is named."""
    if keys is None:
        return None
    made = head(store, keys, now=now)
    if keys.heads is not None:
        append_head(keys.heads, made)
    return made


def export_lines(store: Store) -> Iterator[bytes]:
    """Yield the log as `forewarn log verify` reads it, one entry a line."""
    with store.read() as transaction:
        for row in log_entries.read_all(transaction):
            yield exported(row.entry, bytes.fromhex(row.chain))


Proof = tuple[int, list[str], str]
"""Size of the tree, steps of the proof and root of the tree, hashes in hexadecimal."""


def proof_of(transaction: Transaction, number: int, *, size: int | None) -> Proof:
    """Return the inclusion proof of an entry in the tree of a size.

    Raises
    ------
    InvalidInput
        When there is no such entry, or the log is shorter.
    """
    whole = tip(transaction).size
    among = whole if size is None else size
    if not 0 <= number < among <= whole:
        raise InvalidInput([Fault("/path/number", f"no entry {number} of {among}; log: {whole}")])
    leaves = [leaf_of(text) for text in log_entries.entries(transaction, size=among)]
    return among, [step.hex() for step in inclusion_proof(leaves, number)], root(leaves).hex()


def consistency_of(transaction: Transaction, *, first: int, second: int | None) -> Proof:
    """Return the proof that one tree is the beginning of another.

    Raises
    ------
    InvalidInput
        When the log is shorter, or the sizes do not ascend.
    """
    whole = tip(transaction).size
    upto = whole if second is None else second
    if not 0 < first <= upto <= whole:
        raise InvalidInput([Fault("?from", f"1 <= {first} <= {upto} <= {whole} does not hold")])
    leaves = [leaf_of(text) for text in log_entries.entries(transaction, size=upto)]
    return upto, [step.hex() for step in consistency_proof(leaves, first)], root(leaves).hex()
