"""States and transitions of alerts, and what people asked for about them."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec
import sqlalchemy as sa
from pydantic import ValidationError

from models.alerting.audience import Inbox
from models.alerting.policy import Quiet
from models.alerting.signals import Level, Signal, Transition
from models.alerting.state import REST, AlertState
from models.alerting.state import acknowledge as acknowledge_state
from models.margin.result import Verdict
from serving.store.alert_schema import (
    ALERT_SIGNALS,
    ALERT_STATES,
    ALERT_TRANSITIONS,
    ALERT_WISHES,
    COVERED,
    RECEIVERS,
)
from serving.store.changes import note
from serving.store.engine import Transaction
from serving.store.rows import chunks, put
from serving.store.schema import ACCOUNTS

LOGGER = logging.getLogger("forewarn.alerts")
T = TypeVar("T")
DESK = "desk"
OWNER = "owner"
ASSESSMENTS = "assessments"
"""Audience that hears of no alert, but of every assessment that the watch keeps."""
SIGNALS_AT_ONCE = 5000
STORED_NAMES = {
    "notified": "told",
    "sustained_at": "held_at",
    "signal_at": "seen_at",
    "notified_at": "told_at",
}
"""Names that stores hold for fields of a state, where they differ."""
STATE_FIELDS = {stored: name for name, stored in STORED_NAMES.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """Who is told.

    Parameters
    ----------
    audience
        `owner` hears of the accounts covered, `desk` of every account.
    quiet
        The receiver's own quiet hours; the policy's where there are none.
    """

    receiver: str
    audience: str
    language: str = "en"
    quiet: Quiet | None = None
    inbox: Inbox = field(default_factory=Inbox)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """How a receiver reads: its language, and the clock of its quiet hours."""

    language: str = ""
    zone: str = "UTC"


def states(transaction: Transaction, accounts: Sequence[str]) -> dict[str, AlertState]:
    """Return the alert states of accounts, with acknowledgements and mutes laid over them."""
    by_account: dict[str, AlertState] = {}
    for some in chunks(accounts):
        wished = {
            str(row.account): row
            for row in transaction.execute(
                sa.select(ALERT_WISHES).where(ALERT_WISHES.c.account.in_(some))
            )
        }
        rows = transaction.execute(
            sa.select(ALERT_STATES.c.account, ALERT_STATES.c.body).where(
                ALERT_STATES.c.account.in_(some)
            )
        )
        stored = {str(row.account): _state(row.body) for row in rows}
        for account in stored.keys() | wished.keys():
            state = stored.get(account, REST)
            by_account[account] = _overrides(state, wished[account]) if account in wished else state
    return by_account


def _state(body: Mapping[str, Any]) -> AlertState:
    """Return a state of its stored fields."""
    fields = {STATE_FIELDS.get(name, name): value for name, value in body.items()}
    return msgspec.convert(fields, AlertState)


def _state_body(state: AlertState) -> dict[str, Any]:
    """Return a state under the names that stores hold."""
    return {STORED_NAMES.get(n, n): value for n, value in msgspec.to_builtins(state).items()}


def _overrides(state: AlertState, row: "sa.Row[tuple[object, ...]]") -> AlertState:
    """Return a state with acknowledgement and mute as asked for.

    An acknowledgement belongs to one entry of a level: left and entered again, the level is
    acknowledged no more.
    """
    is_of_this_entry = state.entered_at is not None and row.acknowledged_entry == state.entered_at
    return replace(
        acknowledge_state(state) if is_of_this_entry else state, muted_until=row.muted_until
    )


def raised_accounts(transaction: Transaction) -> dict[str, Level]:
    """Return the accounts that are on a level, the highest first."""
    table = ALERT_STATES.c
    chosen = sa.select(table.account, table.level).where(table.level > int(Level.NONE))
    rows = transaction.execute(chosen.order_by(table.level.desc(), table.account))
    return {str(account): Level(level) for account, level in rows}


def urgency_of(level: Level) -> int:
    """Return how much can still be done on a level, more where higher; of liquidated the least."""
    return 0 if level is Level.LIQUIDATED else int(level)


def raised(
    transaction: Transaction,
    *,
    least_level: Level,
    after: tuple[int, str] | str = "",
    limit: int = 100,
) -> dict[str, AlertState]:
    """Return the accounts on a level or a higher one, a page of them.

    Parameters
    ----------
    after
        Last account of the page before, by name; or its urgency and name, for the most urgent
        first and those alike by name.
    """
    table = ALERT_STATES.c
    chosen = sa.select(table.account).where(table.level >= int(least_level))
    if isinstance(after, str):
        chosen = chosen.where(table.account > after).order_by(table.account)
    else:
        last, name = after
        urgency = sa.case({int(level): urgency_of(level) for level in Level}, value=table.level)
        later = sa.or_(urgency < last, sa.and_(urgency == last, table.account > name))
        chosen = chosen.where(later).order_by(urgency.desc(), table.account)
    rows = transaction.execute(chosen.limit(limit))
    names = [str(account) for (account,) in rows]
    by_account = states(transaction, names)
    return {name: by_account[name] for name in names}


def levels(transaction: Transaction) -> dict[Level, int]:
    """Return how many accounts are on each level."""
    table = ALERT_STATES.c
    chosen = sa.select(table.level, sa.func.count()).where(table.level > int(Level.NONE))
    chosen = chosen.group_by(table.level)
    return {Level(level): int(count) for level, count in transaction.execute(chosen)}


def write_states(transaction: Transaction, changed: Mapping[str, AlertState]) -> None:
    """Write the states of accounts."""
    rows = [
        {"account": account, "level": int(state.level), "body": _state_body(state)}
        for account, state in changed.items()
    ]
    put(transaction, ALERT_STATES, rows)


def write_transitions(transaction: Transaction, made: Iterable[Transition]) -> None:
    """Add transitions to the history; one that stands already is a fault of the caller."""
    rows = [
        {
            **{name: getattr(transition, name) for name in ("account", "episode", "number", "at")},
            "kind": transition.kind.value,
            "was": int(transition.was),
            "level": int(transition.level),
            "route": transition.route.value,
            "body": msgspec.to_builtins(transition),
        }
        for transition in made
    ]
    if rows:
        transaction.execute(sa.insert(ALERT_TRANSITIONS), rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class TransitionFilter:
    """Which transitions are asked for; None does not restrict.

    Parameters
    ----------
    begin, end
        In [begin, end).
    least_level
        Lowest level that was entered or left.
    """

    account: str | None = None
    begin: datetime | None = None
    end: datetime | None = None
    least_level: Level | None = None
    kind: str | None = None
    route: str | None = None


Place = tuple[datetime, str, int, int]
"""Time, account, episode and number of the last transition of a page."""

EVERYTHING = TransitionFilter()


def transitions(
    transaction: Transaction,
    criteria: TransitionFilter = EVERYTHING,
    *,
    after: Place | None = None,
    is_newest_first: bool = False,
    limit: int = 1000,
) -> list[Transition]:
    """Return transitions, oldest first unless `is_newest_first`."""
    table = ALERT_TRANSITIONS.c
    columns = (table.at, table.account, table.episode, table.number)
    chosen = sa.select(table.body).where(*_conditions(criteria))
    if after is not None:
        types = (column.type for column in columns)
        reached = sa.tuple_(*(sa.literal(v, t) for v, t in zip(after, types, strict=True)))
        here = sa.tuple_(*columns)
        chosen = chosen.where(here < reached if is_newest_first else here > reached)
    ordered = [column.desc() if is_newest_first else column for column in columns]
    rows = transaction.execute(chosen.order_by(*ordered).limit(limit))
    return [msgspec.convert(body, Transition) for (body,) in rows]


def _conditions(criteria: TransitionFilter) -> list["sa.ColumnElement[bool]"]:
    """Return what restricts a search."""
    table = ALERT_TRANSITIONS.c
    equal = (
        (criteria.account, table.account),
        (criteria.kind, table.kind),
        (criteria.route, table.route),
    )
    conditions = [column == value for value, column in equal if value is not None]
    if criteria.begin is not None:
        conditions.append(table.at >= criteria.begin)
    if criteria.end is not None:
        conditions.append(table.at < criteria.end)
    if criteria.least_level is not None:
        least = int(criteria.least_level)
        conditions.append(sa.or_(table.level >= least, table.was >= least))
    return conditions


def newest(transaction: Transaction) -> datetime | None:
    """Return when anything changed last."""
    return transaction.execute(sa.select(sa.func.max(ALERT_TRANSITIONS.c.at))).scalar()


def acknowledge(transaction: Transaction, account: str) -> Level:
    """Acknowledge the level an account is on, and return it; NONE where it is on none."""
    state = states(transaction, [account]).get(account, REST)
    entered = None if state.is_at_rest else state.entered_at
    _override(transaction, account, {"acknowledged_entry": entered})
    return state.level


def mute(transaction: Transaction, account: str, *, until: datetime | None) -> None:
    """Mute an account below critical until a moment; None ends the mute."""
    _override(transaction, account, {"muted_until": until})


def _override(transaction: Transaction, account: str, row: Mapping[str, object]) -> None:
    """Write some columns of an account's acknowledgement and mute."""
    put(transaction, ALERT_WISHES, [{"account": account, **row}])


def add_receiver(
    transaction: Transaction, receiver: Receiver, accounts: Sequence[str], *, now: datetime
) -> None:
    """Add a receiver, or change one, and the accounts it hears of beside those it owns."""
    quiet = None if receiver.quiet is None else receiver.quiet.model_dump(mode="json")
    row = {
        "receiver": receiver.receiver,
        "audience": receiver.audience,
        "language": receiver.language,
        "quiet": quiet,
    }
    is_stored = transaction.execute(_receiver(receiver.receiver)).first() is not None
    if is_stored:
        mine = RECEIVERS.c.receiver == receiver.receiver
        transaction.execute(sa.update(RECEIVERS).where(mine).values(row))
    else:
        new = {**row, "inbox": None, "waits": False, "created_at": now}
        transaction.execute(sa.insert(RECEIVERS).values(new))
    note(transaction, RECEIVERS, [row])
    put(
        transaction,
        COVERED,
        [{"account": account, "receiver": receiver.receiver} for account in accounts],
    )


def _receiver(name: str) -> "sa.Select[tuple[object, ...]]":
    """Return the selection of one receiver."""
    return sa.select(RECEIVERS).where(RECEIVERS.c.receiver == name)


def all_receivers(
    transaction: Transaction, *, after: str = "", limit: int = 1000
) -> list[Receiver]:
    """Return receivers by name, a page of them."""
    chosen = sa.select(RECEIVERS).where(RECEIVERS.c.receiver > after)
    rows = transaction.execute(chosen.order_by(RECEIVERS.c.receiver).limit(limit))
    return [_read_receiver(row) for row in rows]


def covered(transaction: Transaction, name: str, *, limit: int = 1000) -> list[str]:
    """Return the accounts that a receiver hears of beside those it owns."""
    chosen = sa.select(COVERED.c.account).where(COVERED.c.receiver == name)
    rows = transaction.execute(chosen.order_by(COVERED.c.account).limit(limit))
    return [str(account) for (account,) in rows]


def receiver(transaction: Transaction, name: str) -> Receiver | None:
    """Return a receiver by name."""
    row = transaction.execute(_receiver(name)).first()
    return None if row is None else _read_receiver(row)


def concerned(transaction: Transaction, accounts: Sequence[str]) -> dict[str, list[str]]:
    """Return by receiver the accounts among these it hears of, desks left out."""
    by_receiver: dict[str, set[str]] = {}
    for some in chunks(accounts):
        covered = sa.select(COVERED.c.receiver, COVERED.c.account)
        owned = sa.select(RECEIVERS.c.receiver, ACCOUNTS.c.account).join(
            ACCOUNTS, ACCOUNTS.c.owner == RECEIVERS.c.receiver
        )
        for chosen in (
            covered.where(COVERED.c.account.in_(some)),
            owned.where(ACCOUNTS.c.account.in_(some), RECEIVERS.c.audience == OWNER),
        ):
            for name, account in transaction.execute(chosen):
                by_receiver.setdefault(str(name), set()).add(str(account))
    return {name: sorted(members) for name, members in sorted(by_receiver.items())}


def receivers(transaction: Transaction, names: Sequence[str]) -> dict[str, Receiver]:
    """Return the receivers of these names, every desk, and all whose digest is being gathered."""
    table = RECEIVERS.c
    chosen = sa.select(RECEIVERS).where(sa.or_(table.audience == DESK, table.waits))
    by_name = {str(row.receiver): _read_receiver(row) for row in transaction.execute(chosen)}
    for some in chunks(names):
        rows = transaction.execute(sa.select(RECEIVERS).where(table.receiver.in_(some)))
        by_name.update({str(row.receiver): _read_receiver(row) for row in rows})
    return by_name


def subscribers(transaction: Transaction) -> list[str]:
    """Return the receivers of assessments."""
    mine = sa.select(RECEIVERS.c.receiver).where(RECEIVERS.c.audience == ASSESSMENTS)
    return [str(name) for (name,) in transaction.execute(mine.order_by(RECEIVERS.c.receiver))]


def _read_receiver(row: "sa.Row[tuple[object, ...]]") -> Receiver:
    """Return a receiver of its row."""
    return Receiver(
        receiver=str(row.receiver),
        audience=str(row.audience),
        language=str(row.language),
        quiet=_readable(row, "quiet", Quiet.model_validate),
        inbox=_readable(row, "inbox", lambda stored: msgspec.convert(stored, Inbox)) or Inbox(),
    )


def _readable(
    row: "sa.Row[tuple[object, ...]]", name: str, read: Callable[[object], T]
) -> T | None:
    """Return the value of a column; None, with a warning, where it cannot be read."""
    stored = getattr(row, name)
    if stored is None:
        return None
    try:
        return read(stored)
    except (ValidationError, msgspec.ValidationError) as error:
        LOGGER.warning("receiver %r: %s cannot be read: %s", row.receiver, name, error)
        return None


def write_inboxes(transaction: Transaction, inboxes: Mapping[str, Inbox]) -> None:
    """Write what is remembered of receivers."""
    rows = [
        {"b_name": name, "b_inbox": msgspec.to_builtins(inbox), "b_waits": bool(inbox.waiting)}
        for name, inbox in inboxes.items()
    ]
    if rows:
        chosen = sa.update(RECEIVERS).where(RECEIVERS.c.receiver == sa.bindparam("b_name"))
        fresh: dict[str, Any] = {"inbox": sa.bindparam("b_inbox"), "waits": sa.bindparam("b_waits")}
        transaction.execute(chosen.values(fresh), rows)


def readers(transaction: Transaction, names: Sequence[str]) -> dict[str, Reader]:
    """Return how receivers read."""
    by_receiver: dict[str, Reader] = {}
    for some in chunks(sorted(set(names))):
        rows = transaction.execute(sa.select(RECEIVERS).where(RECEIVERS.c.receiver.in_(some)))
        by_receiver.update({str(row.receiver): reader_of(_read_receiver(row)) for row in rows})
    return by_receiver


def reader_of(receiver: Receiver) -> Reader:
    """Return how one receiver reads."""
    zone = Reader().zone if receiver.quiet is None else receiver.quiet.zone
    return Reader(language=receiver.language, zone=zone)


def keep_signals(transaction: Transaction, signals: Sequence[Signal]) -> None:
    """Store signals, so that another policy can be backtested on them."""
    rows = [{"account": s.account, "at": s.at, "body": _signal_body(s)} for s in signals]
    put(transaction, ALERT_SIGNALS, rows)


def _signal_body(signal: Signal) -> dict[str, Any]:
    """Return what a signal says beyond its account and moment, without what is as always."""
    tree: dict[str, Any] = msgspec.to_builtins(signal)
    return {
        name: value
        for name, value in tree.items()
        if name not in KEYS and (name not in _USUAL or value != _USUAL[name])
    }


KEYS = ("account", "at")
_USUAL: Mapping[str, Any] = {
    name: value
    for name, value in msgspec.to_builtins(
        Signal(account="", at=datetime.min.replace(tzinfo=UTC), verdict=Verdict.SAFE)
    ).items()
    if name not in {*KEYS, "verdict"}
}
"""What is left out of a stored signal."""


def signals(transaction: Transaction, *, begin: datetime, end: datetime) -> Iterator[Signal]:
    """Yield what was seen in [begin, end), oldest first, a page in memory at a time."""
    table = ALERT_SIGNALS.c
    chosen = sa.select(table.account, table.at, table.body)
    chosen = chosen.where(table.at >= begin, table.at < end)
    ordered = chosen.order_by(table.at, table.account)
    paged = ordered.execution_options(stream_results=True, yield_per=SIGNALS_AT_ONCE)
    for account, at, body in transaction.execute(paged):
        yield msgspec.convert({**body, "account": account, "at": at}, Signal)


def signal_count(transaction: Transaction, *, begin: datetime, end: datetime, most: int) -> int:
    """Return how many signals were seen in [begin, end), counting no further than `most`."""
    table = ALERT_SIGNALS.c
    in_window = sa.select(table.at).where(table.at >= begin, table.at < end).limit(most).subquery()
    return int(transaction.execute(sa.select(sa.func.count()).select_from(in_window)).scalar_one())


def forget_signals(transaction: Transaction, names: Sequence[str], *, before: datetime) -> int:
    """Remove what was seen of accounts before a moment; return how much went."""
    is_past = sa.and_(ALERT_SIGNALS.c.account.in_(names), ALERT_SIGNALS.c.at < before)
    gone = transaction.execute(sa.delete(ALERT_SIGNALS).where(is_past))
    return int(gone.rowcount)
