"""Killed at any statement, full, locked, or written by two at once: nothing lost, nothing twice."""

import multiprocessing
import os
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alert_crash import at_changes, copied
from strides import stride

from models.domain import Price
from serving.schemas.stored import Assessed
from serving.store import (
    Store,
    StoreFailed,
    accounts,
    assessments,
    audit,
    engine,
    market,
    open_store,
)
from serving.store.audit import AuditEntry
from serving.store.engine import Transaction
from serving.store.idempotency import RequestKey, StoredAnswer, answer_once

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
KILLED = 9


def vault(name: str) -> dict[str, Any]:
    """Return an account that holds 100 and owes 1."""
    legs = [
        {"kind": "collateral", "asset": "ETH", "quantity": "100"},
        {"kind": "debt", "asset": "DAI", "quantity": "1"},
    ]
    return {"id": name, "venue": "maker", "market": "ETH-B", "legs": legs}


def event(name: str, key: str, *, ink: int, at: datetime) -> dict[str, Any]:
    """Return a deposit."""
    named = {"account": name, "key": key, "kind": "deposit"}
    return {**named, "at": at, "collateral": ink, "debt": 0}


def steps(name: str) -> list[Callable[[Transaction], object]]:
    """Return writes that build on one another, each a transaction of its own."""
    price = Price(value=7, decimals=0, observed_at=NOON)
    happened = [event(name, str(n), ink=2**n, at=NOON + n * MINUTE) for n in range(1, 4)]
    return [
        lambda t: accounts.upsert(t, [vault(name)], at=NOON, now=NOON),
        lambda t: accounts.push_events(t, happened[1:], now=NOON),
        lambda t: accounts.push_events(t, happened[:1], now=NOON),
        lambda t: market.push_prices(t, [(name, price)], now=NOON),
        lambda t: assessments.write(t, [Assessed(account=name, at=NOON, verdict="safe")], now=NOON),
    ]


def write(store: Store, name: str) -> None:
    """Take every step that was not taken yet."""
    for number, step in enumerate(steps(name)):
        request = RequestKey(actor=name, key=str(number), digest="d")
        with store.begin() as transaction:
            act = partial(_acted, transaction, step, name)
            answer_once(transaction, request, act, now=NOON)


def _acted(
    transaction: Transaction, step: Callable[[Transaction], object], name: str
) -> StoredAnswer:
    """Take a step and note it."""
    step(transaction)
    line = AuditEntry(at=NOON, actor=name, action="step", subject="", request_id="r")
    audit.note(transaction, line)
    return StoredAnswer(200, b"done")


def write_until_killed(url: str, name: str, last: int) -> None:
    """Write in a process that dies at a statement, or at a commit."""
    store = open_store(url)
    seen = iter(range(1, 10_000))

    def count(*_: object) -> None:
        if next(seen) == last:
            os._exit(KILLED)

    sa.event.listen(store.engine, "before_cursor_execute", count)
    sa.event.listen(store.engine, "commit", count)
    write(store, name)
    os._exit(0)


def test_a_writer_killed_at_any_statement_loses_and_doubles_nothing(store_url: str) -> None:
    """Whoever repeats his requests after the crash finds each of them done once."""
    fork = multiprocessing.get_context("fork")
    step = stride(store_url, 5, local=12)
    names: list[str] = []
    exits: list[int | None] = []
    while 0 not in exits:
        names.append(f"n{len(names):03d}")
        last = 1 + step * (len(names) - 1)
        child = fork.Process(target=write_until_killed, args=(store_url, names[-1], last))
        child.start()
        child.join()
        exits.append(child.exitcode)
    assert set(exits) == {KILLED, 0}
    assert len(exits) > 40 // step
    store = open_store(store_url)
    write_again(store, names)
    store.close()


def test_from_every_disk_that_a_killed_writer_leaves_it_goes_on(
    book_url: str, tmp_path: Path
) -> None:
    """One disk between any two of its commits: it is the same at every statement there."""
    file = Path(str(sa.make_url(book_url).database))
    store = open_store(book_url)
    disks: list[Path] = []
    reached = at_changes(
        store, file, lambda boundary: disks.append(copied(file, tmp_path / f"{boundary}"))
    )
    write(store, "n")
    store.close()
    assert reached() > 40
    assert len(disks) == len(steps("n"))
    for disk in disks:
        left = open_store(f"sqlite:///{disk}")
        write_again(left, ["n"])
        left.close()


def write_again(store: Store, names: list[str]) -> None:
    """Let writers repeat their requests, and find each of them done once."""
    for name in names:
        write(store, name)
    with store.read() as transaction:
        found = accounts.read(transaction, names)
        lines = Counter(entry.actor for _, entry in audit.audit(transaction, limit=10_000))
        prices = market.prices(transaction, at=NOON)
        told = [assessments.history(transaction, name) for name in names]
    for held in found.values():
        assert [leg["quantity"] for leg in held["legs"]] == ["114", "1"]
        assert [e["collateral"] for e in held["events"]] == ["2", "4", "8"]
    assert lines == dict.fromkeys(names, 5)
    assert {name: price.value for name, price in prices.items()} == dict.fromkeys(names, 7)
    assert [len(history) for history in told] == [1] * len(names)


def test_two_writers_at_once_lose_nothing(store_url: str) -> None:
    """They push events of the same accounts, some of them the same, in opposite orders."""
    names = [f"v{i}" for i in range(4)]
    first = open_store(store_url)
    with first.begin() as transaction:
        accounts.upsert(transaction, [vault(name) for name in names], at=NOON, now=NOON)
    failed: list[BaseException] = []

    def push(store: Store, numbers: range) -> None:
        try:
            for number in numbers:
                batch = [
                    event(name, str(number), ink=2**number, at=NOON + (number + 1) * MINUTE)
                    for name in (names if numbers.step > 0 else names[::-1])
                ]
                with store.begin() as transaction:
                    accounts.push_events(transaction, batch, now=NOON)
        except BaseException as error:  # noqa: BLE001 - a thread's failure is the test's
            failed.append(error)

    second = open_store(store_url)
    threads = [
        threading.Thread(target=push, args=(first, range(10))),
        threading.Thread(target=push, args=(second, range(13, 4, -1))),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    with first.read() as transaction:
        found = accounts.read(transaction, names)
    assert {found[name]["legs"][0]["quantity"] for name in names} == {str(100 + 2**14 - 1)}
    assert {len(found[name]["events"]) for name in names} == {14}
    first.close()
    second.close()


def test_several_may_open_a_new_store_at_once(database: str) -> None:
    """One lays the tables, the others wait."""
    opened: list[Store] = []
    threads = [
        threading.Thread(target=lambda: opened.append(open_store(database))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened) == 4
    for store in opened:
        with store.read() as transaction:
            assert accounts.keys(transaction) == []
        store.close()


@pytest.fixture
def sqlite_file(laid_sqlite: Path, tmp_path: Path) -> Path:
    """Return a store's file."""
    path = tmp_path / "store.sqlite3"
    path.write_bytes(laid_sqlite.read_bytes())
    return path


def test_a_full_disk_is_told_and_leaves_nothing_behind(sqlite_file: Path) -> None:
    """What was written before stays; when there is room again, writing goes on."""
    store = open_store(f"sqlite:///{sqlite_file}")
    with store.begin() as transaction:
        accounts.upsert(transaction, [vault("a")], at=NOON, now=NOON)
        pages = transaction.exec_driver_sql("PRAGMA page_count").scalar_one()
    many = [vault(f"v{i}") for i in range(3000)]
    with store.begin() as transaction:
        transaction.exec_driver_sql(f"PRAGMA max_page_count={pages}")
    with pytest.raises(StoreFailed, match="full"), store.begin() as transaction:
        accounts.upsert(transaction, many, at=NOON, now=NOON)
    with store.begin() as transaction:
        assert accounts.keys(transaction) == ["a"]
        transaction.exec_driver_sql("PRAGMA max_page_count=1000000")
        accounts.upsert(transaction, many, at=NOON, now=NOON)
        assert len(accounts.keys(transaction)) == 3001
    store.close()


def test_a_locked_store_is_told_after_a_while(
    sqlite_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Readers go on; a writer waits, and is told that the store was locked."""
    monkeypatch.setattr(engine, "BUSY_SECONDS", 0.05)
    store = open_store(f"sqlite:///{sqlite_file}")
    other = sqlite3.connect(sqlite_file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with store.read() as transaction:
        assert accounts.keys(transaction) == []
    with pytest.raises(StoreFailed, match="locked"), store.begin() as transaction:
        accounts.upsert(transaction, [vault("a")], at=NOON, now=NOON)
    other.execute("ROLLBACK")
    other.close()
    with store.begin() as transaction:
        accounts.upsert(transaction, [vault("a")], at=NOON, now=NOON)
    store.close()
