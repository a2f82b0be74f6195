"""What is to be sent: claimed under a lease, settled once, kept when it cannot be delivered.

A message is a row, written in the transaction of the change it tells. A dispatcher claims rows
for a while; one that dies leaves them to the next when the lease ends, so that a message
arrives at least once, with the same key. On PostgreSQL several claim side by side and skip what
another is claiming; SQLite lets one writer in at a time. A channel that fails is left alone for
a while, and longer each time; its messages wait, those of others do not.
"""

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from serving.store.alert_schema import CHANNELS, OUTBOX
from serving.store.columns import Time
from serving.store.engine import Transaction
from serving.store.rows import insert_new

WAITING, SENT, DEAD, STOPPED = "waiting", "sent", "dead", "stopped"
VERIFIED = "verified"
LONGEST_ERROR = 500
PAGE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxMessage:
    """A message to be written into the outbox.

    Parameters
    ----------
    key
        De-duplication key; together with the channel it is there once.
    stream
        Account whose messages keep their order on a channel; empty for none.
    urgency
        0 for critical; lower goes first.
    """

    key: str
    receiver: str
    stream: str
    urgency: int
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedMessage:
    """A claimed message with where it goes.

    Parameters
    ----------
    attempts
        Begun so far, this one included.
    failures
        Of the channel, in a row.
    """

    number: int
    key: str
    channel: str
    receiver: str
    stream: str
    kind: str
    target: str
    secrets: tuple[str, ...]
    body: Mapping[str, Any]
    attempts: int
    created_at: datetime
    error: str | None = None
    failures: int = 0

    @property
    def is_failing(self) -> bool:
        """Whether the channel did not take the last message it was sent."""
        return self.failures > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A message that may be sent now.

    Parameters
    ----------
    is_failing
        Whether the channel did not take the last message it was sent.
    """

    number: int
    channel: str
    kind: str
    target: str
    is_failing: bool


Choose = Callable[[Iterable[Candidate], int], Sequence[Candidate]]
"""Picks at most so many of the candidates, the most urgent of which come first."""


def first_per_channel(candidates: Iterable[Candidate], limit: int) -> list[Candidate]:
    """Return the first message of each channel, whatever the channel."""
    chosen: dict[str, Candidate] = {}
    for candidate in candidates:
        if len(chosen) >= limit:
            break
        chosen.setdefault(candidate.channel, candidate)
    return list(chosen.values())


def post(transaction: Transaction, drafts: Sequence[OutboxMessage], *, now: datetime) -> int:
    """Write messages to every first channel of their receivers and return how many rows.

    A receiver without a verified channel is told nothing; the transition stays in the history.
    """
    if not drafts:
        return 0
    names = sorted({draft.receiver for draft in drafts})
    first = _first_channels(transaction, names)
    rows = [
        _row(draft, channel, now) for draft in drafts for channel in first.get(draft.receiver, ())
    ]
    if rows:
        _wake(transaction, rows, now)
        insert_new(transaction, OUTBOX, rows)
    return len(rows)


def is_due(transaction: Transaction, *, now: datetime) -> bool:
    """Return whether any message could be claimed."""
    return transaction.execute(_any_due(), {"now": now}).first() is not None


def claim(
    transaction: Transaction,
    *,
    holder: str,
    now: datetime,
    lease: timedelta,
    limit: int = 20,
    choose: Choose = first_per_channel,
) -> list[ClaimedMessage]:
    """Take the messages that are due, the most urgent first, and hold them for a while.

    A channel that is resting, was stopped, or is being sent to is left alone; of each other one
    at most one message is taken, and of one account only the oldest: they keep their order.

    Parameters
    ----------
    choose
        Picks at most `limit` of the candidates, one per channel.
    """
    rows = transaction.execute(_due(), {"now": now}, execution_options={"yield_per": PAGE})
    chosen = choose((Candidate(**dict(row)) for row in rows.mappings()), limit)
    rows.close()
    if not chosen:
        return []
    # The channel is locked before it is looked at again: two that claim side by side must not
    # both send to it.
    locked = (
        sa.select(CHANNELS.c.id)
        .where(CHANNELS.c.id.in_([candidate.channel for candidate in chosen]))
        .order_by(CHANNELS.c.id)
        .with_for_update(skip_locked=True, key_share=True)
    )
    mine = [str(channel) for (channel,) in transaction.execute(locked)]
    still = _due().where(
        OUTBOX.c.channel.in_(mine), OUTBOX.c.number.in_([candidate.number for candidate in chosen])
    )
    numbers = [int(row.number) for row in transaction.execute(still, {"now": now})]
    transaction.execute(
        sa.update(OUTBOX)
        .where(OUTBOX.c.number.in_(numbers))
        .values(holder=holder, leased_until=now + lease, attempts=OUTBOX.c.attempts + 1)
    )
    taken = {
        parcel.number: parcel for parcel in _parcels(transaction, OUTBOX.c.number.in_(numbers))
    }
    return [taken[number] for number in numbers]


def renew(
    transaction: Transaction,
    numbers: Sequence[int],
    *,
    holder: str,
    now: datetime,
    lease: timedelta,
) -> None:
    """Hold claimed messages for another while."""
    mine = sa.and_(OUTBOX.c.number.in_(list(numbers)), OUTBOX.c.holder == holder)
    claimed = sa.and_(mine, OUTBOX.c.status == WAITING)
    transaction.execute(sa.update(OUTBOX).where(claimed).values(leased_until=now + lease))


def may_send(
    transaction: Transaction, parcel: ClaimedMessage, *, holder: str, until: datetime
) -> bool:
    """Return whether a claimed message may be sent now.

    Parameters
    ----------
    until
        When the attempt ends at the latest: the lease must last as long.
    """
    claimed = (
        sa.select(OUTBOX.c.number)
        .join(CHANNELS, CHANNELS.c.id == OUTBOX.c.channel)
        .where(
            OUTBOX.c.number == parcel.number,
            OUTBOX.c.status == WAITING,
            OUTBOX.c.holder == holder,
            OUTBOX.c.leased_until >= until,
            CHANNELS.c.status == VERIFIED,
        )
    )
    return transaction.execute(claimed).first() is not None


def mark_sent(
    transaction: Transaction, parcel: ClaimedMessage, *, holder: str, now: datetime
) -> bool:
    """Settle a message as delivered; False where another holder has it by now.

    What waits longer for the same channel because of earlier failures is due again.
    """
    failures = _locked_failures(transaction, parcel.channel)
    row = {"status": SENT, "settled_at": now, "error": None}
    is_ours = _settle(transaction, parcel, holder, row)
    if is_ours and failures:
        sound = {"failures": 0, "failing_since": None, "rest_until": None, "error": None}
        _write_channel(transaction, parcel.channel, sound)
        late = sa.and_(OUTBOX.c.channel == parcel.channel, OUTBOX.c.status == WAITING)
        rows = sa.update(OUTBOX).where(late, OUTBOX.c.due_at > now)
        transaction.execute(rows.values(due_at=now))
    return is_ours


def reschedule(
    transaction: Transaction,
    parcel: ClaimedMessage,
    *,
    holder: str,
    now: datetime,
    due: datetime,
    error: str,
    rest: timedelta | None = None,
) -> bool:
    """Put a message back until a later time; False where another holder has it by now.

    Parameters
    ----------
    now
        When the answer came, or was given up.
    rest
        How long the channel is left alone; None where it is not the channel's doing.
    """
    _locked_failures(transaction, parcel.channel)
    row = {"due_at": due, "error": error[:LONGEST_ERROR], "leased_until": None}
    is_ours = _settle(transaction, parcel, holder, row)
    if is_ours and rest is not None:
        _note_failure(transaction, parcel.channel, now=now, rest=rest, error=error)
    return is_ours


def mark_dead(
    transaction: Transaction,
    parcel: ClaimedMessage,
    *,
    holder: str,
    now: datetime,
    error: str,
    rest: timedelta | None = None,
) -> bool:
    """Give a message up and hand it to the receiver's next channel; False where not ours.

    Parameters
    ----------
    now, rest
        As in `reschedule`.
    """
    _locked_failures(transaction, parcel.channel)
    row = {"status": DEAD, "settled_at": now, "error": error[:LONGEST_ERROR]}
    is_ours = _settle(transaction, parcel, holder, row)
    if is_ours and rest is not None:
        _note_failure(transaction, parcel.channel, now=now, rest=rest, error=error)
    if is_ours:
        _hand_over(transaction, parcel, now)
    return is_ours


def _locked_failures(transaction: Transaction, channel: str) -> int:
    """Lock a channel, as whoever stops it does first, and return its failures in a row."""
    chosen = sa.select(CHANNELS.c.failures).where(CHANNELS.c.id == channel)
    return int(transaction.execute(chosen.with_for_update(key_share=True)).scalar_one())


def _note_failure(
    transaction: Transaction, channel: str, *, now: datetime, rest: timedelta, error: str
) -> None:
    """Note that a channel failed, and how long it is left alone."""
    row = {
        "failures": CHANNELS.c.failures + 1,
        "failing_since": sa.func.coalesce(CHANNELS.c.failing_since, sa.literal(now, Time)),
        "rest_until": now + rest,
        "error": error[:LONGEST_ERROR],
    }
    _write_channel(transaction, channel, row)


def _write_channel(transaction: Transaction, channel: str, row: Mapping[str, Any]) -> None:
    """Write how a channel fares."""
    transaction.execute(sa.update(CHANNELS).where(CHANNELS.c.id == channel).values(row))


@functools.cache
def _due() -> "sa.Select[Any]":
    """Return the selection of what may be sent at a moment `now`, the most urgent first.

    It is asked several times a second, and laying it out takes longer than its answer.
    """
    now: sa.BindParameter[datetime] = sa.bindparam("now", type_=Time)
    elder = OUTBOX.alias("elder")
    is_first = ~sa.exists().where(
        elder.c.channel == OUTBOX.c.channel,
        elder.c.stream == OUTBOX.c.stream,
        elder.c.status == WAITING,
        elder.c.number < OUTBOX.c.number,
        OUTBOX.c.stream != "",
    )
    leased = OUTBOX.alias("leased")
    busy = sa.select(leased.c.channel).where(
        leased.c.status == WAITING, leased.c.leased_until > now
    )
    rested = sa.or_(CHANNELS.c.rest_until.is_(None), CHANNELS.c.rest_until <= now)
    return (
        sa.select(
            OUTBOX.c.number,
            OUTBOX.c.channel,
            CHANNELS.c.kind,
            CHANNELS.c.target,
            (CHANNELS.c.failures > 0).label("is_failing"),
        )
        .join(CHANNELS, CHANNELS.c.id == OUTBOX.c.channel)
        .where(
            OUTBOX.c.status == WAITING,
            OUTBOX.c.due_at <= now,
            CHANNELS.c.status == VERIFIED,
            rested,
            OUTBOX.c.channel.not_in(busy),
            is_first,
        )
        .order_by(OUTBOX.c.urgency, OUTBOX.c.number)
    )


@functools.cache
def _any_due() -> "sa.Select[Any]":
    """Return the selection of the first that may be sent at a moment `now`."""
    return _due().limit(1)


def dead_letters(transaction: Transaction, *, limit: int = 100) -> list[ClaimedMessage]:
    """Return what could not be delivered, oldest first, with the last error."""
    return _parcels(transaction, OUTBOX.c.status == DEAD, limit=limit)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryFilter:
    """Which messages are asked for; None does not restrict.

    Parameters
    ----------
    streams
        Accounts; the empty one is that of messages about several.
    begin, end
        When they were written, in [begin, end].
    before
        Number at which the page before ended.
    """

    receiver: str | None = None
    status: str | None = None
    streams: tuple[str, ...] | None = None
    begin: datetime | None = None
    end: datetime | None = None
    before: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One message on one channel, and what became of it.

    Parameters
    ----------
    stream
        Account that it is about; empty where it is about several.
    keys
        Of the transitions that it tells one by one.
    """

    number: int
    key: str
    channel: str
    receiver: str
    stream: str
    kind: str
    target: str
    shape: str
    keys: tuple[str, ...]
    status: str
    attempts: int
    created_at: datetime
    due_at: datetime
    settled_at: datetime | None
    error: str | None


def deliveries(
    transaction: Transaction, criteria: DeliveryFilter, *, limit: int = 100
) -> list[Delivery]:
    """Return messages with what became of them, the newest first."""
    chosen = (
        sa.select(OUTBOX, CHANNELS.c.kind, CHANNELS.c.target)
        .join(CHANNELS, CHANNELS.c.id == OUTBOX.c.channel)
        .where(*_conditions(criteria))
    )
    rows = transaction.execute(chosen.order_by(OUTBOX.c.number.desc()).limit(limit))
    return [_delivery(row) for row in rows.mappings()]


def _conditions(criteria: DeliveryFilter) -> list["sa.ColumnElement[bool]"]:
    """Return what restricts a search."""
    table = OUTBOX.c
    equal = ((criteria.receiver, table.receiver), (criteria.status, table.status))
    conditions = [column == value for value, column in equal if value is not None]
    if criteria.streams is not None:
        conditions.append(table.stream.in_(criteria.streams))
    if criteria.begin is not None:
        conditions.append(table.created_at >= criteria.begin)
    if criteria.end is not None:
        conditions.append(table.created_at <= criteria.end)
    if criteria.before is not None:
        conditions.append(table.number < criteria.before)
    return conditions


def _delivery(row: Mapping[Any, Any]) -> Delivery:
    """Return what became of one message."""
    columns = [column.name for column in OUTBOX.columns if column.name in Delivery.__slots__]
    body = row["body"]
    return Delivery(
        **{name: row[name] for name in columns},
        kind=row["kind"],
        target=row["target"],
        shape=body["shape"],
        keys=tuple(item["key"] for item in body["items"]),
    )


def replay(transaction: Transaction, numbers: Sequence[int], *, now: datetime) -> int:
    """Put dead letters back into the outbox with their keys; return how many were put back.

    A letter of a channel that was stopped stays dead: nobody there wants it.
    """
    is_open = sa.select(CHANNELS.c.id).where(CHANNELS.c.status == VERIFIED)
    letters = sa.and_(OUTBOX.c.number.in_(list(numbers)), OUTBOX.c.status == DEAD)
    rows = sa.update(OUTBOX).where(letters, OUTBOX.c.channel.in_(is_open))
    again = {"status": WAITING, "due_at": now, "attempts": 0, "leased_until": None}
    return int(transaction.execute(rows.values(settled_at=None, **again)).rowcount)


def stop(transaction: Transaction, channel: str, *, now: datetime) -> int:
    """End what waits for a channel that was stopped; return how many messages."""
    rows = sa.update(OUTBOX).where(OUTBOX.c.channel == channel, OUTBOX.c.status == WAITING)
    return int(transaction.execute(rows.values(status=STOPPED, settled_at=now)).rowcount)


def forget(transaction: Transaction, *, before: datetime) -> int:
    """Remove what was delivered or stopped before a moment; return how many messages went."""
    over = sa.and_(OUTBOX.c.status.in_((SENT, STOPPED)), OUTBOX.c.settled_at < before)
    return int(transaction.execute(sa.delete(OUTBOX).where(over)).rowcount)


def depth(transaction: Transaction, *, now: datetime) -> tuple[int, timedelta]:
    """Return how many messages wait, and how long the oldest has."""
    counted = sa.select(sa.func.count(), sa.func.min(OUTBOX.c.created_at))
    count, oldest = transaction.execute(counted.where(OUTBOX.c.status == WAITING)).one()
    return int(count), timedelta(0) if oldest is None else now - oldest


def counts(transaction: Transaction) -> dict[str, int]:
    """Return how many messages are in each status."""
    counted = sa.select(OUTBOX.c.status, sa.func.count()).group_by(OUTBOX.c.status)
    return {str(status): int(count) for status, count in transaction.execute(counted)}


def _first_channels(transaction: Transaction, names: Sequence[str]) -> dict[str, list[str]]:
    """Return by receiver the verified channels of the lowest rank."""
    best: dict[str, tuple[int, list[str]]] = {}
    chosen = sa.select(CHANNELS.c.receiver, CHANNELS.c.id, CHANNELS.c.rank)
    for begin in range(0, len(names), 500):
        among = CHANNELS.c.receiver.in_(names[begin : begin + 500])
        rows = transaction.execute(
            chosen.where(among, CHANNELS.c.status == VERIFIED).order_by(CHANNELS.c.id)
        )
        for receiver, channel, rank in rows:
            lowest = best.get(receiver)
            if lowest is None or rank < lowest[0]:
                best[receiver] = (rank, [channel])
            elif rank == lowest[0]:
                lowest[1].append(channel)
    return {receiver: channels for receiver, (_, channels) in best.items()}


def _row(draft: OutboxMessage, channel: str, now: datetime) -> Mapping[str, Any]:
    """Return the row of a message to one channel."""
    return {
        "key": draft.key,
        "channel": channel,
        "receiver": draft.receiver,
        "stream": draft.stream,
        "urgency": draft.urgency,
        "body": dict(draft.body),
        "status": WAITING,
        "created_at": now,
        "due_at": now,
        "attempts": 0,
    }


def _wake(transaction: Transaction, rows: Sequence[Mapping[str, Any]], now: datetime) -> None:
    """Make older messages of the same streams due, so that none holds a newer one back long."""
    pairs = sorted({(row["channel"], row["stream"]) for row in rows if row["stream"]})
    for begin in range(0, len(pairs), 400):
        streams = sa.tuple_(OUTBOX.c.channel, OUTBOX.c.stream).in_(pairs[begin : begin + 400])
        late = sa.and_(OUTBOX.c.status == WAITING, OUTBOX.c.due_at > now)
        transaction.execute(sa.update(OUTBOX).where(streams, late).values(due_at=now))


def _settle(
    transaction: Transaction, parcel: ClaimedMessage, holder: str, row: Mapping[str, Any]
) -> bool:
    """Write the outcome of a message that this holder still holds."""
    mine = sa.and_(
        OUTBOX.c.number == parcel.number, OUTBOX.c.holder == holder, OUTBOX.c.status == WAITING
    )
    return bool(transaction.execute(sa.update(OUTBOX).where(mine).values(row)).rowcount)


def _hand_over(transaction: Transaction, parcel: ClaimedMessage, now: datetime) -> None:
    """Write a message that one channel could not take to those of the next rank."""
    table = CHANNELS.c
    rank = sa.select(table.rank).where(table.id == parcel.channel).scalar_subquery()
    chosen = (
        sa.select(table.id, table.rank)
        .where(table.receiver == parcel.receiver, table.status == VERIFIED, table.rank > rank)
        .order_by(table.rank, table.id)
    )
    channels = transaction.execute(chosen).all()
    draft = OutboxMessage(
        key=parcel.key, receiver=parcel.receiver, stream=parcel.stream, urgency=0, body=parcel.body
    )
    rows = [
        _row(draft, str(channel.id), now)
        for channel in channels
        if channel.rank == channels[0].rank
    ]
    if rows:
        insert_new(transaction, OUTBOX, rows)


def _parcels(
    transaction: Transaction, condition: "sa.ColumnElement[bool]", *, limit: int = 1000
) -> list[ClaimedMessage]:
    """Return messages with their channels, oldest first."""
    chosen = (
        sa.select(
            OUTBOX,
            CHANNELS.c.kind,
            CHANNELS.c.target,
            CHANNELS.c.secrets,
            CHANNELS.c.failures,
        )
        .join(CHANNELS, CHANNELS.c.id == OUTBOX.c.channel)
        .where(condition)
        .order_by(OUTBOX.c.number)
        .limit(limit)
    )
    names = ("number", "key", "channel", "receiver", "stream", "kind", "target", "body")
    return [
        ClaimedMessage(
            **{name: row[name] for name in names},
            secrets=tuple(row["secrets"]),
            attempts=row["attempts"],
            created_at=row["created_at"],
            error=row["error"],
            failures=row["failures"],
        )
        for row in transaction.execute(chosen).mappings()
    ]
