"""A scripted history of alerts that can be ended at any boundary of a statement and taken up."""

import itertools
import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from models.alerting.policy import default
from models.alerting.signals import Signal
from models.margin.result import Verdict
from serving.notify.channels import Destination, Sender, SendResult
from serving.notify.dispatcher import Dispatcher, deliver
from serving.notify.message import Message
from serving.store import Store, alerts, consents
from serving.store.alerts import DESK, OWNER, Receiver
from serving.watch.step import Explanations, commit_step

START = datetime(2030, 1, 1, tzinfo=UTC)
PACE = timedelta(minutes=40)
KILLED = 9
COURSES: Mapping[str, tuple[float, ...]] = {
    # The 24 h probability of each account, pass by pass; above 1 the rule says liquidatable.
    "a": (0.05, 0.2, 2.0, 2.0, 0.0, 0.0, 2.0, 0.0, 0.0),
    "b": (0.0, 2.0, 2.0, 0.0, 0.0, 0.0, 0.0, 0.3, 2.0),
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


def verified_channel(transaction: Any, name: str, *, kind: str = "file", rank: int = 0) -> str:
    """Add a channel of a receiver and verify it by its code."""
    channel = consents.add(
        transaction,
        receiver=name,
        kind=kind,
        target=name,
        secrets_=(),
        rank=rank,
        actor="test",
        now=START,
    )
    code = consents.challenge(transaction, channel, actor="test", now=START)
    assert consents.confirm(transaction, channel, code, actor="test", now=START)
    return channel


def signals(number: int) -> list[Signal]:
    """Return what is seen of every account in one pass."""
    return [
        Signal(
            account=account,
            at=START + PACE * number,
            verdict=Verdict.LIQUIDATABLE if course[number] > 1.0 else Verdict.SAFE,
            expected={"24h": min(course[number], 1.0), "4h": 0.0},
        )
        for account, course in COURSES.items()
    ]


def play(store: Store, sent_log: Path, *, holder: str, first: int = 0) -> None:
    """Run passes from one on, delivering after each."""
    dispatcher = Dispatcher(store=store, senders={"file": into(sent_log)}, holder=holder, places=1)
    for number in range(first, PASSES):
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


def images(store: Store, file: Path, into_: Path) -> list[Image]:
    """Play the history once and keep the disk as it is at every boundary.

    A process that is killed leaves exactly these bytes: what it had not written is gone.
    """
    sent_log = file.with_suffix(".jsonl")
    taken: list[Image] = []
    number = [0]

    def keep(boundary: int) -> None:
        directory = into_ / f"{boundary:05d}"
        directory.mkdir(parents=True)
        for part in file.parent.glob(f"{file.name}*"):
            shutil.copy(part, directory / part.name.replace(file.name, "book.db"))
        (directory / "book.db-shm").unlink(missing_ok=True)
        if sent_log.exists():
            shutil.copy(sent_log, directory / "told.jsonl")
        taken.append(Image(directory, number[0]))

    at_boundaries(store, keep)
    dispatcher = Dispatcher(store=store, senders={"file": into(sent_log)}, holder="first", places=1)
    for number[0] in range(PASSES):
        run_pass(store, number[0])
        deliver(dispatcher, now=START + PACE * number[0] + timedelta(seconds=90))
    return taken


def hasten(store: Store) -> None:
    """Let no commit wait for the disk: only a power cut, not a killed process, could tell."""

    def prepare(connection: Any, _: object) -> None:
        connection.execute("PRAGMA synchronous=OFF")

    sa.event.listen(store.engine, "connect", prepare)


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
