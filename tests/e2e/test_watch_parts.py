"""Several watchers share one book: each account judged by one, nothing lost, nothing told twice."""

import contextlib
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alert_crash import verified_channel
from test_watch_steps import MINUTE, NOON, RULES, SECOND, Scene, perpetual

from models.alerting.policy import default
from models.alerting.signals import Level, Signal
from models.domain import Price
from models.margin.result import Verdict
from serving.notify import liveness
from serving.store import Store, accounts, alerts, book_totals, leases, market, open_store
from serving.store.alert_schema import ALERT_TRANSITIONS, OUTBOX
from serving.store.alerts import DESK, OWNER, Receiver
from serving.store.leases import FAILING, TURN, WATCHING, Part
from serving.watch.step import LEASE, Explanations, LeadLost, commit_step
from serving.watch.watcher import Share, cycle

TWO = (Part(0, 2), Part(1, 2))
SHORTENED = """
from datetime import timedelta
from models.command import main
from serving.imports import FITTING, without
with without(*FITTING):
    from serving.watch import step, watcher
step.LEASE = watcher.LEASE = timedelta(seconds=8)
main()
"""
"""The command `forewarn` with leases whose end a test can wait for."""


class Parted(Scene):
    """A scene whose book of many accounts is shared by two processes."""

    def __init__(self, store: Store, *, size: int = 40) -> None:
        super().__init__(store)
        self.names = [f"account {n}" for n in range(size)]
        self.price(100)
        self.put(*(perpetual(name, 100) for name in self.names))

    def process(self, holder: str) -> Share:
        """Return what one process of the two watches by."""
        return Share([self.another(holder, model=RULES, part=part) for part in TWO])

    def turn(self, *processes: Share) -> dict[str, list[str]]:
        """Give each process a turn; return by account who judged it."""
        judged: dict[str, list[str]] = {}
        for process in processes:
            for each in process.led():
                before = dict(each.memory.judged_at)
                with contextlib.suppress(LeadLost):
                    cycle(each)
                after = each.memory.judged_at
                for name in after:
                    if before.get(name) != after[name] or name not in before:
                        judged.setdefault(name, []).append(each.holder)
        return judged


def test_every_account_is_of_one_part_and_parts_are_alike() -> None:
    """Of 10,000 names none is of two parts or of none, and no part is a tenth off its share."""
    for count in (1, 2, 3, 8):
        parts = [Part(index, count) for index in range(count)]
        sizes = Counter(
            index for n in range(10_000) for index in range(count) if parts[index].holds(f"0x{n:x}")
        )
        assert sizes.total() == 10_000
        assert all(abs(size - 10_000 / count) < 1_000 / count for size in sizes.values())


def test_two_processes_share_a_book(store: Store) -> None:
    """The first leads all of it until the second lives; then each half, every account once."""
    scene = Parted(store)
    one, two = scene.process("one"), scene.process("two")
    assert {*scene.turn(one)} == {*scene.names}
    scene.turn(two)
    scene.now += LEASE / 2
    scene.turn(one)
    scene.turn(two)
    judged: dict[str, set[str]] = {}
    for _ in range(12):
        scene.now += 5 * SECOND
        for name, holders in scene.turn(one, two).items():
            assert len(holders) == 1
            judged.setdefault(name, set()).update(holders)
    assert judged == {
        name: {_leads(store, part)} for part in TWO for name in scene.names if part.holds(name)
    }
    assert {_leads(store, part) for part in TWO} == {"one", "two"}


def _leads(store: Store, part: Part) -> str | None:
    """Return who leads a part."""
    with store.read() as transaction:
        lease = leases.leader(transaction, part.of(WATCHING))
    return None if lease is None else lease.holder


def test_a_process_that_dies_is_missed_when_its_leases_end(store: Store) -> None:
    """Not before; the other then judges its accounts. One that ends is missed at once."""
    scene = Parted(store)
    one, two = scene.process("one"), scene.process("two")
    for _ in range(8):
        scene.turn(one, two)
        scene.now += 5 * SECOND
    assert {_leads(store, part) for part in TWO} == {"one", "two"}
    scene.price(60)
    own = {name for name in scene.names if _leads(store, TWO[TWO[1].holds(name)]) == "two"}
    assert {*scene.turn(two)} == own
    scene.now += LEASE + SECOND
    assert {*scene.turn(two)} | {*scene.turn(two)} == {*scene.names}
    assert {_leads(store, part) for part in TWO} == {"two"}
    assert scene.levels() == dict.fromkeys(scene.names, Level.CRITICAL)
    two.end()
    assert {_leads(store, part) for part in TWO} == {None}


def test_another_number_of_parts_waits(store: Store) -> None:
    """Nobody judges a book by halves that another judges whole; once it stands still, one may."""
    scene = Parted(store)
    assert {*scene.turn(scene.process("one"))} == {*scene.names}
    with pytest.raises(LeadLost, match="another number of parts than 1"):
        cycle(scene.watcher)
    scene.now += LEASE + SECOND
    assert cycle(scene.watcher) == len(scene.names)
    with store.read() as transaction:
        beats = leases.beats(transaction)
    assert TURN in beats
    assert not any(name.startswith((f"{TURN}/", f"{FAILING}/")) for name in beats)
    assert book_of(store) is not None


def book_of(store: Store) -> dict[str, Any] | None:
    """Return the sums of the book."""
    with store.read() as transaction:
        kept = book_totals.read(transaction)
    return None if kept is None else kept[1]


def test_the_sum_of_the_parts_is_that_of_the_book(store: Store) -> None:
    """To the last digit of every amount; there is none before every part was judged."""
    scene = Parted(store)
    cycle(scene.watcher)
    whole = book_of(store)
    assert whole is not None
    scene.now += LEASE + SECOND
    shares = [scene.another("halves", part=part) for part in TWO]
    cycle(shares[0])
    assert book_of(store) is None
    cycle(shares[1])
    parted = book_of(store)
    assert parted is not None
    for name in ("unjudged", "unjudged_count", "shocks", "bands", "chances"):
        assert parted[name] == whole[name], name
    assert sum(row[3] for row in parted["bands"]) == len(scene.names)


def test_silence_of_one_part_is_an_alarm(store: Store) -> None:
    """Though the other part is judged all the while; so is what one part cannot evaluate."""
    scene = Parted(store)
    one, two = (scene.another("one", part=TWO[0]), scene.another("two", part=TWO[1]))
    cycle(one)
    cycle(two)
    silent = scene.now
    for _ in range(7):
        scene.now += MINUTE
        scene.price(100)
        cycle(one)
    alarms = liveness.alarm(store, now=scene.now)
    assert [(each.what, each.since) for each in alarms] == [("assessing", silent)]


def _told(store: Store) -> tuple[Any, list[tuple[str, list[str]]]]:
    """Return the desk's inbox, and every message with the accounts that it names."""
    with store.read() as transaction:
        inbox = alerts.receivers(transaction, [])["d"].inbox
        rows = transaction.execute(sa.select(OUTBOX).order_by(OUTBOX.c.number)).all()
    return inbox, [(row.key, [item["account"] for item in row.body["items"]]) for row in rows]


def test_two_parts_write_to_one_inbox_one_after_the_other(store: Store, tmp_path: Path) -> None:
    """A pass that is overtaken while it makes its messages reads the inbox again.

    What the desk is told is then what it is told where one part is stepped after the other.
    """
    names = [f"a{n}" for n in range(20)]
    halves = [[name for name in names if part.holds(name)] for part in TWO]
    assert all(halves)
    other = open_store(f"sqlite:///{tmp_path / 'in_turn.db'}")

    def laid(where: Store) -> Callable[..., None]:
        with where.begin() as transaction:
            accounts.upsert(transaction, [perpetual(n, 10) for n in names], at=NOON, now=NOON)
            desk = Receiver(receiver="d", audience=DESK)
            alerts.add_receiver(transaction, desk, (), now=NOON)
            verified_channel(transaction, "d")

        def commit(place: int, explain: Callable[[Any], Explanations]) -> None:
            commit_step(
                where,
                [Signal(account=n, at=NOON, verdict=Verdict.LIQUIDATABLE) for n in halves[place]],
                default(),
                holder=f"{place}",
                now=NOON,
                explain=explain,
                part=TWO[place],
            )

        return commit

    at_once, in_turn = laid(store), laid(other)
    tries: list[int] = []

    def explain(_: Any) -> Explanations:
        tries.append(0)
        if len(tries) == 1:
            at_once(1, lambda _: Explanations())
        return Explanations()

    at_once(0, explain)
    for place in (1, 0):
        in_turn(place, lambda _: Explanations())
    assert len(tries) == 2
    assert _told(store) == _told(other)
    assert _told(store)[1]
    other.close()


def _now() -> datetime:
    return datetime.now(tz=UTC)


def _price(store: Store, value: int) -> None:
    """Write a price as of now."""
    now = _now()
    with store.begin() as transaction:
        stated = Price(value=value, decimals=0, bid=value, ask=value, observed_at=now)
        market.push_prices(transaction, [("SOL", stated)], now=now)


def _until(seen: Callable[[], bool], what: str, *, seconds: float = 240.0) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not seen():
        assert time.monotonic() < end, what
        time.sleep(0.1)


@contextlib.contextmanager
def _watching(url: str, log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Yield a process that shares a book of two parts, with short leases."""
    command = [sys.executable, "-c", SHORTENED, "watch", "--store", url]
    command += ["--parts", "2", "--no-deliver"]
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


@pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
def test_one_of_two_processes_is_killed(store: Store, tmp_path: Path) -> None:
    """While a fall of the price is judged: every account is raised once, every owner told once.

    What an end of their leases brings about is above, on either database.
    """
    names = [f"account {n}" for n in range(60)]
    now = _now()
    with store.begin() as transaction:
        accounts.upsert(transaction, [perpetual(n, 100) for n in names], at=now, now=now)
        for name in names:
            owner = Receiver(receiver=f"owner of {name}", audience=OWNER)
            alerts.add_receiver(transaction, owner, (name,), now=now)
            verified_channel(transaction, owner.receiver)
    _price(store, 100)
    url = store.engine.url.render_as_string(hide_password=False)

    def leading() -> set[str | None]:
        return {_leads(store, part) for part in TWO}

    def raised() -> dict[str, Level]:
        with store.read() as transaction:
            return alerts.raised_accounts(transaction)

    with (
        _watching(url, tmp_path / "one.log"),
        _watching(url, tmp_path / "two.log") as second,
    ):
        _until(lambda: len(leading() - {None}) == 2, "no two processes shared the book")
        _until(lambda: book_of(store) is not None, "the book was never whole")
        _price(store, 60)
        _until(lambda: bool(raised()), "nothing was raised")
        second.send_signal(signal.SIGKILL)
        second.wait()
        _until(lambda: len(raised()) == len(names), "accounts of the killed process were lost")
        _until(lambda: len(leading()) == 1, "its part was not taken over")
    with store.read() as transaction:
        made = transaction.execute(sa.select(ALERT_TRANSITIONS)).all()
        sent = transaction.execute(sa.select(OUTBOX)).all()
    assert Counter(row.account for row in made) == Counter(names)
    assert {row.level for row in made} == {int(Level.CRITICAL)}
    told = Counter(item["account"] for row in sent for item in row.body["items"])
    assert told == Counter(names)
    assert {row.receiver for row in sent} == {f"owner of {name}" for name in names}
