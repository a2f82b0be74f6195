"""Changes are numbered in the order of commits, whatever order writers and clocks run in."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa

from models.alerting.state import AlertState
from models.domain import MarketId, Price
from serving.store import Store, Transaction, accounts, alerts, changes, engine, market
from serving.store.alerts import DESK, Receiver
from serving.store.changes import Change

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def perpetual(name: str, size: str = "-3") -> dict[str, Any]:
    """Return a short on an exchange as in a request."""
    return {
        "id": name,
        "venue": "hyperliquid",
        "version": None,
        "market": "cross",
        "legs": [
            {"kind": "collateral", "asset": "USDC", "quantity": "1000"},
            {"kind": "position", "asset": "SOL", "quantity": size, "entry": "100"},
        ],
    }


def price(value: int, at: datetime = NOON) -> Price:
    """Return a price in whole units."""
    return Price(value=value, decimals=0, observed_at=at)


def upsert(transaction: Transaction, name: str, *, now: datetime = NOON, size: str = "-3") -> None:
    """Write one account."""
    accounts.upsert(transaction, [perpetual(name, size)], at=now, now=now)


def known(store: Store, since: int = 0) -> tuple[int, list[Change]]:
    """Return the last number and what changed after another, of one moment."""
    with store.read() as transaction:
        return changes.last(transaction), changes.since(transaction, since)


def told(store: Store, since: int) -> set[tuple[str, str]]:
    """Return topic and subject of what changed after a number."""
    return {(one.topic, one.subject) for one in known(store, since)[1]}


CANDLES = pd.DataFrame(
    {
        "symbol": "SOL",
        "open_time": pd.DatetimeIndex([NOON]),
        **dict.fromkeys(("open", "high", "low", "close", "volume"), 1.0),
    }
)
CROSS = MarketId("maker", "SOL")
WRITES: dict[str, tuple[Callable[[Transaction], object], tuple[str, str]]] = {
    "account": (lambda t: upsert(t, "a b/库"), ("accounts", "a b/库")),
    "price": (
        lambda t: market.push_prices(t, [("SOL", price(5))], now=NOON),
        ("prices", ""),
    ),
    "candle": (lambda t: market.push_candles(t, CANDLES), ("candles", "")),
    "state": (lambda t: market.push_state(t, CROSS, {"SOL.rate": 1}, at=NOON), ("state", "")),
    "terms": (lambda t: market.push_terms(t, CROSS, {"a": "1"}, valid_from=NOON), ("terms", "")),
    "funding": (lambda t: market.push_funding(t, "SOL", [(NOON, 0.1)]), ("series", "")),
    "mute": (lambda t: alerts.mute(t, "a", until=NOON), ("wishes", "a")),
    "acknowledgement": (lambda t: alerts.acknowledge(t, "b"), ("wishes", "b")),
    "receiver": (
        lambda t: alerts.add_receiver(t, Receiver(receiver="r", audience=DESK), (), now=NOON),
        ("receivers", "r"),
    ),
}


@pytest.mark.parametrize("kind", WRITES)
def test_every_kind_of_write_is_a_change(store: Store, kind: str) -> None:
    """And nothing else is told of it."""
    write, expected = WRITES[kind]
    with store.begin() as transaction:
        write(transaction)
    assert told(store, 0) == {expected}


def test_an_event_changes_its_account(store: Store) -> None:
    """One that is told again changes nothing."""
    event = {
        "account": "a",
        "key": "1",
        "at": NOON + MINUTE,
        "kind": "deposit",
        "collateral": 5,
        "debt": 0,
        "collateral_asset": "USDC",
    }
    with store.begin() as transaction:
        upsert(transaction, "a")
        upsert(transaction, "b")
    before, _ = known(store)
    with store.begin() as transaction:
        accounts.push_events(transaction, [event], now=NOON)
    after, _ = known(store)
    assert told(store, before) == {("accounts", "a")}
    with store.begin() as transaction:
        accounts.push_events(transaction, [event], now=NOON + MINUTE)
    assert known(store)[0] == after


def test_the_newest_of_a_topic_is_the_one_committed_last(store: Store) -> None:
    """Though it was received before."""
    for name, now in (("later", NOON + MINUTE), ("earlier", NOON)):
        with store.begin() as transaction:
            upsert(transaction, name, now=now)
    with store.read() as transaction:
        found = changes.newest(transaction, changes.ACCOUNTS)
        assert found is not None
        assert (found.subject, found.number, found.at) == ("earlier", 3, NOON)
        assert changes.newest(transaction, changes.PRICES) is None


def test_an_undone_write_is_no_change(store: Store) -> None:
    """Its number is the next one's, also on the same connection."""

    def fail() -> None:
        with store.begin() as transaction:
            upsert(transaction, "never")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with store.begin() as transaction:
        upsert(transaction, "a")
    assert known(store) == (2, [Change("accounts", "a", 2, NOON)])


def test_a_reading_and_an_empty_write_are_no_change(store: Store) -> None:
    """Nor is what only the watch writes."""
    with store.begin() as transaction:
        alerts.write_states(transaction, {"a": AlertState(episode=1)})
    assert known(store) == (1, [])


def test_no_number_is_committed_before_a_lower_one(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer that waits before its commit, its number taken, holds up the numbers after it."""
    if store.dialect == "sqlite":
        pytest.skip("SQLite lets one writer in at a time")
    taken, go = threading.Event(), threading.Event()
    real = changes.number

    def number(transaction: sa.Connection) -> None:
        real(transaction)
        if threading.current_thread().name == "slow":
            taken.set()
            assert go.wait(30)

    monkeypatch.setattr(engine.changes, "number", number)

    def write(name: str) -> None:
        with store.begin() as transaction:
            upsert(transaction, name)

    slow = threading.Thread(target=write, args=("first",), name="slow")
    quick = threading.Thread(target=write, args=("second",))
    slow.start()
    assert taken.wait(30)
    quick.start()
    with store.read() as transaction:
        waits = sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")
        while not transaction.execute(waits).scalar_one():
            assert quick.is_alive()
    assert known(store) == (1, [])
    go.set()
    slow.join()
    quick.join()
    numbers = [(one.subject, one.number) for one in known(store)[1]]
    assert numbers == [("first", 2), ("second", 3)]


def test_a_writer_that_began_first_and_commits_last_is_told_last(store: Store) -> None:
    """What a reader knew in between does not hide it."""
    if store.dialect == "sqlite":
        pytest.skip("SQLite lets one writer in at a time")
    with store.begin() as early:
        upsert(early, "early", now=NOON)
        with store.begin() as late:
            upsert(late, "late", now=NOON + MINUTE)
        number, found = known(store)
        assert [one.subject for one in found] == ["late"]
    assert told(store, number) == {("accounts", "early")}


def test_what_the_reader_asks_is_found_by_an_index(store: Store) -> None:
    """No table is read through, however long."""
    if store.dialect != "sqlite":
        pytest.skip("PostgreSQL reads a short table through")
    kept: list[str] = []

    def listen(*asked: Any) -> None:
        kept.append(asked[2])

    sa.event.listen(store.readers, "before_cursor_execute", listen)
    known(store, 7)
    with store.read() as transaction:
        changes.newest(transaction, changes.PRICES)
    sa.event.remove(store.readers, "before_cursor_execute", listen)
    plans = []
    with store.read() as transaction:
        for statement in kept[1:]:
            places = (7,) * statement.count("?")
            told = transaction.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", places)
            plans += [str(row[-1]) for row in told]
    assert sum("changes_by_number" in plan for plan in plans) == 2
    assert not any("SCAN changes" in plan for plan in plans)
