"""A scripted history of alerts that can be ended at any boundary of a statement and taken up."""

import contextlib
import hashlib
import itertools
import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import sqlalchemy as sa

from models.alerting.policy import default
from models.alerting.signals import Signal
from models.margin.result import Verdict
from serving.notify.channels import Destination, Sender, SendResult
from serving.notify.dispatcher import Dispatcher, deliver
from serving.notify.message import Message
from serving.store import Store, alerts, consents
from serving.store.alert_schema import OUTBOX
from serving.store.alerts import DESK, OWNER, Receiver
from serving.store.schema import METADATA
from serving.watch.step import Explanations, commit_step

START = datetime(2030, 1, 1, tzinfo=UTC)
PACE = timedelta(minutes=40)
KILLED = 9
SENT = "FROM alert_outbox WHERE status = 'sent'"
COURSES: Mapping[str, tuple[float, ...]] = {
    # Distance of each account to the line in daily moves, pass by pass; at 0 it is liquidatable.
    "a": (1.5, 0.0, 0.0, 9.0, 9.0, 0.0),
    "b": (9.0, 0.0, 9.0, 9.0, 0.2, 0.0),
}
PASSES = len(COURSES["a"])


def prepare(store: Store) -> None:
    """Lay an owner and a desk, each behind a verified channel."""
    with store.begin() as transaction:
        for name, audience in (("o", OWNER), ("d", DESK)):
            receiver = Receiver(receiver=name, audience=audience)
            covered = tuple(COURSES) if audience == OWNER else ()
            alerts.add_receiver(transaction, receiver, covered, now=START)
            verified_channel(transaction, name)
        consents.link_key(transaction)


def verified_channel(
    transaction: Any, name: str, *, kind: str = "file", rank: int = 0, now: datetime = START
) -> str:
    """Add a channel of a receiver and verify it by its code."""
    channel = consents.add(
        transaction,
        receiver=name,
        kind=kind,
        target=name,
        secrets_=(),
        rank=rank,
        actor="test",
        now=now,
    )
    # A code that nobody guesses at need not be slow to guess.
    with mock.patch.dict(consents.COST, n=2):
        code = consents.challenge(transaction, channel, actor="test", now=now)
        assert consents.confirm(transaction, channel, code, actor="test", now=now)
    return channel


def signals(number: int) -> list[Signal]:
    """Return what is seen of every account in one pass."""
    return [
        Signal(
            account=account,
            at=START + PACE * number,
            verdict=Verdict.SAFE if course[number] else Verdict.LIQUIDATABLE,
            sigmas=course[number],
            expected={"24h": 0.0, "4h": 0.0},
        )
        for account, course in COURSES.items()
    ]


def play(
    store: Store,
    sent_log: Path,
    *,
    holder: str,
    first: int = 0,
    end: int = PASSES,
    life: "Life | None" = None,
) -> None:
    """Run passes from one on, delivering after each."""
    send = into(sent_log) if life is None else life.sender(sent_log)
    dispatcher = Dispatcher(store=store, senders={"file": send}, holder=holder, places=1)
    for number in range(first, end):
        run_pass(store, number)
        deliver(dispatcher, now=START + PACE * number + timedelta(seconds=90))


def run_pass(store: Store, number: int) -> None:
    """Run one pass."""
    commit_step(
        store,
        signals(number),
        default(),
        holder="watcher",
        now=START + PACE * number,
        explain=lambda _: Explanations(),
    )


def finish(store: Store, sent_log: Path) -> None:
    """Deliver what is left, after every lease and wait has ended."""
    dispatcher = Dispatcher(store=store, senders={"file": into(sent_log)}, holder="last", places=1)
    for extra in (1, 2):
        deliver(dispatcher, now=START + PACE * (PASSES + extra))


def into(sent_log: Path) -> Sender:
    """Return a sender that adds lines to a file."""

    def send(message: Message, to: Destination) -> SendResult:
        items = [item["key"] for item in message.payload["data"]["items"]]
        with sent_log.open("a") as file:
            file.write(json.dumps({"to": to.target, "key": to.key, "items": items}) + "\n")
        return SendResult("delivered")

    return send


def messages(sent_log: Path) -> list[tuple[str, str, tuple[str, ...]]]:
    """Return what the receivers got, in order."""
    lines = sent_log.read_text().splitlines() if sent_log.exists() else []
    entries = [json.loads(line) for line in lines]
    return [(entry["to"], entry["key"], tuple(entry["items"])) for entry in entries]


def history(store: Store) -> list[tuple[str, str, str, int]]:
    """Return key, kind, route and level of every transition, in order."""
    with store.read() as transaction:
        transitions = alerts.transitions(transaction)
    return [
        (transition.key, transition.kind.value, transition.route.value, int(transition.level))
        for transition in transitions
    ]


def at_boundaries(store: Store, act: Callable[[int], None]) -> Callable[[], int]:
    """Act before and after every statement and before every commit; return what counts them."""
    counter, reached = itertools.count(1), [0]

    def tick(*_: Any) -> None:
        reached[0] = next(counter)
        act(reached[0])

    for event in ("before_cursor_execute", "after_cursor_execute", "commit"):
        sa.event.listen(store.engine, event, tick)
    return lambda: reached[0]


@dataclass(frozen=True)
class Image:
    """What a process that ended at a boundary leaves: the database's files, and what was sent."""

    directory: Path
    number: int

    @property
    def database(self) -> Path:
        """File of the database."""
        return self.directory / "book.db"

    @property
    def sent_log(self) -> Path:
        """What the receivers had got by then."""
        return self.directory / "told.jsonl"

    def content(self) -> str:
        """Return a digest of what a process that starts from it finds, however it is laid out."""
        digest = hashlib.sha256(repr((self.number, messages(self.sent_log))).encode())
        with contextlib.closing(sqlite3.connect(self.database)) as connection:
            for line in connection.iterdump():
                digest.update(line.encode())
        return digest.hexdigest()

    def unsettled(self) -> int:
        """Return how many messages were sent of which the database does not know."""
        with contextlib.closing(sqlite3.connect(self.database)) as connection:
            settled = connection.execute(f"SELECT count(*) {SENT}").fetchone()[0]
        return len(messages(self.sent_log)) - int(settled)


def at_changes(
    store: Store, file: Path, act: Callable[[int], None], also: Callable[[], object] = lambda: None
) -> Callable[[], int]:
    """Act at the boundaries between which a SQLite file, or something else, has changed.

    What a process that is killed leaves is the same at all the others.

    Returns
    -------
    Callable
        What counts the boundaries, those at which nothing had changed among them.
    """
    witness = sqlite3.connect(file)
    sa.event.listen(store.engine, "engine_disposed", lambda _: witness.close())
    seen: set[object] = set()

    def tick(boundary: int) -> None:
        # The commits of other connections are all that moves the version.
        (version,) = witness.execute("PRAGMA data_version").fetchone()
        if (key := (version, also())) not in seen:
            seen.add(key)
            act(boundary)

    return at_boundaries(store, tick)


def copied(file: Path, directory: Path) -> Path:
    """Copy the files of a SQLite database as they are now; return where it is."""
    directory.mkdir(parents=True)
    for part in file.parent.glob(f"{file.name}*"):
        if not part.name.endswith("-shm"):
            shutil.copy(part, directory / part.name.replace(file.name, "book.db"))
    return directory / "book.db"


def images(store: Store, file: Path, into_: Path) -> tuple[int, list[Image]]:
    """Play the history once and keep the disk wherever it changed from boundary to boundary.

    A process that is killed leaves exactly these bytes: what it had not written is gone.

    Returns
    -------
    tuple
        How many boundaries there were, and the disks.
    """
    sent_log = file.with_suffix(".jsonl")
    taken: list[Image] = []
    number = [0]

    def keep(boundary: int) -> None:
        directory = into_ / f"{boundary:05d}"
        copied(file, directory)
        if sent_log.exists():
            shutil.copy(sent_log, directory / "told.jsonl")
        taken.append(Image(directory, number[0]))

    reached = at_changes(store, file, keep, lambda: (number[0], len(messages(sent_log))))
    dispatcher = Dispatcher(store=store, senders={"file": into(sent_log)}, holder="first", places=1)
    for number[0] in range(PASSES):
        run_pass(store, number[0])
        deliver(dispatcher, now=START + PACE * number[0] + timedelta(seconds=90))
    return reached(), taken


def hasten(store: Store) -> None:
    """Let no commit wait for the disk: only a power cut, not a killed process, could tell."""

    def prepare(connection: Any, _: object) -> None:
        connection.execute("PRAGMA synchronous=OFF")

    sa.event.listen(store.engine, "connect", prepare)


class Ended(Exception):  # noqa: N818 - what happened
    """A process ended here; whatever it still tries raises this again."""


@dataclass(slots=True)
class Life:
    """A process until it ends: from then on nothing it does reaches the database or a receiver.

    Parameters
    ----------
    last
        Kind of boundary at which it ends, the first time; None for one that does not.
    passed
        Kinds of the boundaries it came to, in order.
    """

    last: str | None = None
    passed: list[str] = field(default_factory=list)
    has_ended: bool = False

    def come_to(self, kind: str) -> None:
        """Pass a boundary, or end there."""
        self.check()
        self.passed.append(kind)
        self.has_ended = kind == self.last
        self.check()

    def check(self, *_: object) -> None:
        """Do nothing more once it has ended."""
        if self.has_ended:
            raise Ended

    def sender(self, sent_log: Path) -> Sender:
        """Return a sender that adds lines to a file."""
        send = into(sent_log)

        def checked(message: Message, to: Destination) -> SendResult:
            self.check()
            return send(message, to)

        return checked


@contextlib.contextmanager
def living(store: Store, life: Life) -> Iterator[None]:
    """Let a life pass every boundary of the statements and commits of a store's writers.

    Where it ends the connections are lost, and the database undoes what was not committed.
    """
    latest = [""]

    def before(_: object, __: object, statement: str, *___: object) -> None:
        latest[0] = " ".join(statement.split())
        life.come_to(f"before {latest[0]}")

    def after(*_: object) -> None:
        life.come_to(f"after {latest[0]}")

    def commit(_: object) -> None:
        life.come_to(f"commit of {latest[0]}")

    heard: list[tuple[sa.Engine, str, Callable[..., None]]] = [
        (store.engine, "before_cursor_execute", before),
        (store.engine, "after_cursor_execute", after),
        (store.engine, "commit", commit),
        (store.readers, "before_cursor_execute", life.check),
        (store.probes, "before_cursor_execute", life.check),
    ]
    for engine, event, act in heard:
        sa.event.listen(engine, event, act)
    try:
        yield
    except Ended:
        store.close()
    finally:
        for engine, event, act in heard:
            sa.event.remove(engine, event, act)


def empty(store: Store) -> None:
    """Take every row of alerting out of a store."""
    names = ("alert", "leases", "heartbeats")
    with store.begin() as transaction:
        for table in reversed(METADATA.sorted_tables):
            if table.name.startswith(names):
                transaction.execute(sa.delete(table))


def settled(store: Store) -> int:
    """Return how many messages the store knows to be sent."""
    with store.read() as transaction:
        sent = sa.select(sa.func.count()).where(OUTBOX.c.status == "sent")
        return int(transaction.execute(sent).scalar_one())


def in_child(work: Callable[[], None]) -> int:
    """Run work in a child process and return its exit code."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:  # noqa: BLE001 - a child must not return into the parent's code
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
