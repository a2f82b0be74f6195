"""Orders over a real store of each kind: one per trigger, never over budget, whoever dies when."""

import multiprocessing
import os
import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa
from alert_crash import at_changes, copied
from governed_books import NOON, RATIOS, WAD
from local import Caller
from order_books import (
    KEY,
    SECOND,
    Clock,
    give,
    lay_owned,
    put_vaults,
    reprice,
    vault,
    watcher,
)
from strides import stride

from models.errors import InvalidInput
from models.orders.order import Ground, NotAllowed
from serving.application.deployment import read_deployment
from serving.application.scoring import ScoringService
from serving.evaluation.assess import Model
from serving.http.admission import Admission, Keyring
from serving.http.app import Api
from serving.http.routing import routes
from serving.orders import keeping, seal
from serving.orders.keeping import Keeper, NotTheirs
from serving.routes import OPERATIONS
from serving.settings import Settings
from serving.store import (
    Store,
    accounts,
    alerts,
    connections,
    market,
    open_store,
    orders,
    outbox,
    venue_accounts,
)
from serving.store.orders import OrderFilter, OrderRow
from serving.store.outbox import DeliveryFilter
from serving.store.venue_accounts import VenueAccount
from serving.watch.orders import sweep
from serving.watch.watcher import cycle

KILLED = 9
EVERY = OrderFilter()
KEEPER = "keeper"
CHAMPION = Path(__file__).parents[3] / "models" / "champion"


@pytest.fixture
def book(store: Store) -> Store:
    """Return a store with vaults of one owner and a mandate over them."""
    lay_owned(store)
    give(store)
    return store


def every(store: Store) -> list[OrderRow]:
    """Return every order, oldest first."""
    with store.read() as transaction:
        return orders.read(transaction, EVERY, limit=1000)[::-1]


def told(store: Store) -> list[str]:
    """Return the keys of the orders that were told of."""
    with store.read() as transaction:
        found = outbox.deliveries(transaction, DeliveryFilter(receiver="ada"), limit=1000)
    return sorted(delivery.key for delivery in found if delivery.shape == "order")


def by_account(store: Store) -> dict[str, OrderRow]:
    """Return the newest order of each account."""
    return {row.account: row for row in every(store)}


def repay(store: Store, name: str, row: OrderRow, *, at: Any) -> None:
    """Let a vault hold what an order leaves it with, as its venue would tell."""
    (stated,) = row.body["accounts"]
    legs = [
        {part: leg[part] for part in ("kind", "asset", "quantity")} for leg in stated["legs_after"]
    ]
    body = {**vault(name, RATIOS[name]), "legs": legs}
    with store.begin() as transaction:
        accounts.upsert(transaction, [body], at=at, now=at)


def test_a_trigger_makes_one_order_with_the_pass_that_saw_it(book: Store) -> None:
    """Two vaults are within 5 %, one is not; the order repays what leads to a buffer of 10 %."""
    clock = Clock()
    cycle(watcher(book, clock))
    found = by_account(book)
    assert sorted((name, row.state) for name, row in found.items()) == [
        ("middling", "ready"),
        ("thin", "ready"),
    ]
    assert told(book) == sorted(f"order/{row.id}" for row in found.values())
    body = found["thin"].body
    (action,) = body["actions"]
    # 132 ETH at 900 cover 130 % of 91,384.615… DAI: the rest of 100,000 is repaid.
    kept = 132 * 900 * WAD * 100 // 130
    assert (action["kind"], action["asset"]) == ("repay", "DAI")
    assert 0 <= kept - (100_000 * WAD - int(action["quantity"])) <= 10
    assert (body["trigger"], body["reading"]) == ("buffer", "0.0151515")
    assert body["prices"]["ETH"] == {"least": "990", "most": "1010"}
    after = body["accounts"][0]["after"]
    assert after["verdict"] == "safe"
    assert after["ratio"]["value"].startswith("1.4444444444444444")
    assert body["notes"] == ["calls of maker are not made out"]
    sealed = found["thin"].seal
    assert sealed is not None
    public = KEY.public_key().public_bytes_raw().hex()
    assert seal.is_sound(body, sealed, trusted=public)
    assert not seal.is_sound({**body, "value": "1"}, sealed, trusted=public)
    typed = {**sealed["typed_data"], "primaryType": "Call"}
    assert not seal.is_sound(body, {**sealed, "typed_data": typed}, trusted=public)
    clock.now += 30 * SECOND
    cycle(watcher(book, clock, holder="one"))
    assert len(every(book)) == 2


def test_a_trigger_by_probability_makes_an_order_of_what_the_model_says(book: Store) -> None:
    """The accounts that the service gives that chance within a day, and no others.

    The reading is the probability that `POST /v1/score` answers of the same moment; without a
    bundle nothing fires, however near the line.
    """
    with book.begin() as transaction:
        market.push_candles(transaction, hours("ETH", 1000.0, seed=3))
        market.push_candles(transaction, hours("BTC", 50_000.0, seed=5))
    clock = Clock()
    model = read_deployment(CHAMPION).model
    chances = {name: unattended(book, model, clock, name) for name in RATIOS}
    line = round((chances["thin"] + chances["thick"]) / 2, 3)
    assert chances["thin"] > line > chances["thick"]
    give(book, trigger={"probability": line, "horizon": "24h"})
    cycle(watcher(book, clock))
    assert every(book) == []
    clock.now += SECOND
    cycle(replace(watcher(book, clock), model=model))
    rows = by_account(book)
    assert {name for name, chance in chances.items() if chance >= line} == set(rows)
    for name, row in rows.items():
        assert (row.state, row.body["trigger"]) == ("ready", "probability")
        assert float(row.body["reading"]) == pytest.approx(chances[name], rel=1e-3)
    assert told(book) == sorted(f"order/{row.id}" for row in rows.values())


def hours(asset: str, last: float, *, seed: int) -> pd.DataFrame:
    """Return 40 days of hours that end at a price and move by half a per cent or one."""
    moves = np.random.default_rng(seed).normal(0.0, 0.007, 40 * 24)
    close = last * np.exp(np.cumsum(moves) - moves.sum())
    opened = np.concatenate([close[:1], close[:-1]])
    times = [NOON - timedelta(hours=close.size - place) for place in range(close.size)]
    sides = {"high": np.maximum(opened, close), "low": np.minimum(opened, close)}
    return pd.DataFrame(
        {"symbol": asset, "open_time": times, "open": opened, "close": close, **sides}
    )


def unattended(store: Store, model: Model, clock: Clock, name: str) -> float:
    """Return how likely the service calls it that a vault is liquidated within a day."""
    desk = ScoringService(model=model, store=store, clock=clock)
    gate = Admission(Settings(), Keyring(desk.keys))
    caller = Caller(Api(routes(OPERATIONS), desk, gate))
    try:
        told = caller.post("/v1/score", json={"account": name}).json()
    finally:
        caller.close()
    (chance,) = (row["unattended"] for row in told["forecast"] if row["horizon"] == "24h")
    return float(chance)


def test_a_keeper_acts_and_the_next_judgement_says_that_it_helped(book: Store) -> None:
    """Accepted once, done, and judged when the vault holds what was planned."""
    clock = Clock()
    watching = watcher(book, clock)
    cycle(watching)
    row = by_account(book)["thin"]
    clock.now += SECOND
    who = Keeper(id=KEEPER, at=clock.now)
    with book.begin() as transaction:
        keeping.accept(transaction, row.id, who)
    with pytest.raises(NotTheirs), book.begin() as transaction:
        keeping.accept(transaction, row.id, replace(who, id="another"))
    with book.begin() as transaction:
        keeping.finish(transaction, row.id, who, receipt="0xabc")
        keeping.finish(transaction, row.id, who, receipt="0xabc")
    with pytest.raises(NotAllowed), book.begin() as transaction:
        keeping.finish(transaction, row.id, who, receipt="0xdef")
    clock.now += SECOND
    repay(book, "thin", row, at=clock.now)
    cycle(watching)
    judged = by_account(book)["thin"]
    assert (judged.state, judged.live, judged.counts) == ("judged", None, True)
    outcome = judged.course["outcome"]
    assert outcome["said"] == "as_planned"
    assert outcome["health_without"] == pytest.approx(1.32 / 1.3)
    assert outcome["health"] == pytest.approx(1 / 0.9)


def test_what_nobody_accepted_is_withdrawn(book: Store) -> None:
    """When its price moves on, when its vault changes, when its time is over, when all is well."""
    clock = Clock()
    watching = watcher(book, clock)
    cycle(watching)
    first = by_account(book)
    clock.now += SECOND
    reprice(book, 985, at=clock.now)
    put_vaults(book, at=clock.now, middling=137)
    cycle(watching)
    rows = {row.id: row for row in every(book)}
    grounds = {row.account: rows[row.id].course["ground"] for row in first.values()}
    assert grounds == {"thin": Ground.PRICE_MOVED, "middling": Ground.POSITION_CHANGED}
    assert {rows[row.id].state for row in first.values()} == {"withdrawn"}
    live = {row.account: row for row in every(book) if row.live is not None}
    assert sorted(live) == ["middling", "thin"], "others are made at once"
    assert live["thin"].body["prices"]["ETH"]["most"] == "994.85"
    clock.now += 5 * 60 * SECOND
    assert sweep(book, now=clock.now) == 2
    assert {row.course["ground"] for row in every(book)[-2:]} == {Ground.EXPIRED}
    with book.read() as transaction:
        assert orders.spent(transaction, "m", since=NOON - timedelta(days=1)) == 0


def test_an_order_outside_the_limits_is_refused_with_each_named(book: Store) -> None:
    """Kept and listed, told to nobody; the trigger stays free, and rests for a while."""
    give(book, per_order="5000", per_day="6000", prices={"ETH": {"least": "1001"}})
    clock = Clock()
    watching = watcher(book, clock)
    cycle(watching)
    row = by_account(book)["thin"]
    assert (row.state, row.live, row.seal) == ("refused", None, None)
    named = [broken["limit"] for broken in row.course["broken"]]
    assert named == ["per_order", "per_day", "prices"]
    assert told(book) == []
    count = len(every(book))
    clock.now += 60 * SECOND
    cycle(watching)
    assert len(every(book)) == count


def test_only_a_plan_of_what_is_allowed_is_made(book: Store) -> None:
    """An asset that the mandate does not name is not moved, and the target is not reached."""
    give(book, assets=["USDC"])
    cycle(watcher(book, Clock()))
    row = by_account(book)["thin"]
    assert row.state == "refused"
    assert [broken["limit"] for broken in row.course["broken"]] == ["target"]


def test_no_order_is_signed_of_an_account_that_was_not_read(book: Store) -> None:
    """What it holds is not known to be so still: refused, and no keeper is told."""
    read = VenueAccount(
        account="thin", connection="c", read_at=NOON - 600 * SECOND, refused=None, figures=[]
    )
    with book.begin() as transaction:
        connections.write(transaction, "c", {}, sealed=None, now=NOON)
        venue_accounts.write(transaction, [read])
    cycle(watcher(book, Clock()))
    found = by_account(book)
    assert (found["thin"].state, found["thin"].seal) == ("refused", None)
    (broken,) = found["thin"].course["broken"]
    assert broken == {"limit": "prices_in_doubt", "text": "account_stale"}
    assert told(book) == [f"order/{found['middling'].id}"]


def test_a_mandate_is_held_to_the_store(book: Store) -> None:
    """Accounts of others, unknown ones, a receiver that is none, an end that is past."""
    with pytest.raises(InvalidInput) as refused:
        give(
            book,
            "n",
            owner="bob",
            accounts=["thin", "nobody"],
            receiver="who",
            per_order="200000",
            expires_at="2029-01-01T00:00:00Z",
        )
    assert [fault.where for fault in refused.value.faults] == [
        "/accounts/0",
        "/accounts/1",
        "/expires_at",
        "/per_order",
        "/receiver",
    ]


def test_a_mandate_that_ended_takes_its_orders_along(book: Store) -> None:
    """What was ready is withdrawn, and nothing more is made."""
    clock = Clock()
    watching = watcher(book, clock)
    cycle(watching)
    with book.begin() as transaction:
        orders.end_mandate(transaction, "m", at=clock.now)
    clock.now += 60 * SECOND
    cycle(watching)
    assert {row.course["ground"] for row in every(book)} == {Ground.MANDATE_ENDED}
    clock.now += 60 * SECOND
    cycle(watching)
    assert len(every(book)) == 2


@pytest.mark.parametrize("place", ["decided", "written"])
def test_no_alarm_waits_for_an_order_that_fails(
    book: Store, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """The levels of the pass are written all the same, and the order comes with a later one."""

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("a defect")

    name = "covering" if place == "decided" else "insert"
    monkeypatch.setattr(orders, name, fail)
    clock = Clock(NOON + SECOND)
    reprice(book, 980, at=clock.now)
    watching = watcher(book, clock)
    cycle(watching)
    with book.read() as transaction:
        assert set(alerts.raised_accounts(transaction)) == {"thin", "middling"}
    assert every(book) == []
    monkeypatch.undo()
    clock.now += timedelta(minutes=2)
    reprice(book, 979, at=clock.now)
    cycle(watching)
    assert sorted(row.account for row in every(book)) == ["middling", "thin"]


def draft(row: OrderRow, name: str, *, trigger: str | None = None) -> OrderRow:
    """Return an order like another, of a trigger of its own."""
    own = trigger or f"m:{name}"
    return replace(row, id=name, trigger=own, live=own, value="40000", account=name)


@pytest.mark.parametrize("shares_trigger", [True, False])
def test_many_that_make_orders_at_once(book: Store, *, shares_trigger: bool) -> None:
    """Of one trigger one is made; of several as many as the budget lets: two of 40,000."""
    cycle(watcher(book, Clock()))
    like = by_account(book)["thin"]
    for row in every(book):
        with book.begin() as transaction:
            keeping.withdraw(transaction, row.id, at=NOON, reason="")
    url = book.engine.url.render_as_string(hide_password=False)
    failed: list[BaseException] = []
    start = threading.Barrier(6)

    def make(number: int) -> None:
        own = open_store(url)
        try:
            start.wait()
            row = draft(like, f"o{number}", trigger="m:one" if shares_trigger else None)
            with own.begin() as transaction:
                keeping.write_new(transaction, row, receiver=None)
        except BaseException as error:  # noqa: BLE001 - a thread's failure is the test's
            failed.append(error)
        finally:
            own.close()

    threads = [threading.Thread(target=make, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    made = [row for row in every(book) if row.id.startswith("o")]
    ready = [row for row in made if row.state == "ready"]
    assert len(ready) == (1 if shares_trigger else 2)
    assert {row.state for row in made} <= {"ready", "refused"}
    with book.read() as transaction:
        spent = orders.spent(transaction, "m", since=NOON - timedelta(days=1))
    assert spent == 40_000 * len(ready) <= 100_000


def test_of_many_that_accept_one_does(book: Store) -> None:
    """Two keepers at once: one gets the order, the others are told that it is another's."""
    cycle(watcher(book, Clock()))
    row = by_account(book)["thin"]
    url = book.engine.url.render_as_string(hide_password=False)
    said: list[str] = []
    start = threading.Barrier(5)

    def take(name: str) -> None:
        own = open_store(url)
        start.wait()
        try:
            with own.begin() as transaction:
                keeping.accept(transaction, row.id, Keeper(id=name, at=NOON + SECOND))
            said.append(name)
        except (NotTheirs, NotAllowed):
            said.append("refused")
        finally:
            own.close()

    threads = [threading.Thread(target=take, args=(f"k{number}",)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert said.count("refused") == 4
    (taken,) = set(said) - {"refused"}
    assert by_account(book)["thin"].course["keeper"] == taken


def live_through(store: Store, clock: Clock, holder: str) -> None:
    """Make orders, let a keeper act on one, and have it judged; as far as that was not done yet."""
    watching = watcher(store, clock, holder=holder)
    cycle(watching)
    row = by_account(store)["thin"]
    who = Keeper(id=KEEPER, at=clock.now)
    if row.state in {"ready", "accepted"}:
        with store.begin() as transaction:
            keeping.accept(transaction, row.id, who)
        with store.begin() as transaction:
            keeping.finish(transaction, row.id, who, receipt="0x1")
    clock.now += SECOND
    if by_account(store)["thin"].state == "done":
        repay(store, "thin", row, at=clock.now)
    cycle(watching)


def live_until_killed(url: str, last: int) -> None:
    """Live in a process that dies at a statement or at a commit."""
    store = open_store(url)
    seen = iter(range(1, 100_000))

    def count(*_: object) -> None:
        if next(seen) == last:
            os._exit(KILLED)

    sa.event.listen(store.engine, "before_cursor_execute", count)
    sa.event.listen(store.engine, "commit", count)
    live_through(store, Clock(), "first")
    os._exit(0)


def reset(store: Store) -> None:
    """Forget every order and what was watched, and let the vaults hold what they held."""
    with store.begin() as transaction:
        for table in ("orders", "alert_outbox", "alert_states", "alert_transitions", "leases"):
            transaction.execute(sa.text(f"DELETE FROM {table}"))  # noqa: S608 - names of our own
        for table in ("events", "positions", "holdings"):
            transaction.execute(sa.text(f"DELETE FROM {table}"))  # noqa: S608 - names of our own
    put_vaults(store, at=NOON)


def test_killed_at_any_statement_no_order_is_lost_or_made_twice(store_url: str) -> None:
    """Whoever takes over finds each order with its message, or neither; and makes no second one.

    In SQLite what every statement leaves is taken over from below.
    """
    fork = multiprocessing.get_context("fork")
    step = stride(store_url, 7, local=20)
    store = open_store(store_url)
    lay_owned(store)
    give(store)
    exits: list[int | None] = []
    while 0 not in exits:
        reset(store)
        last = 1 + step * len(exits)
        child = fork.Process(target=live_until_killed, args=(store_url, last))
        child.start()
        child.join()
        exits.append(child.exitcode)
        take_over(store, last)
    store.close()
    assert set(exits) == {KILLED, 0}
    assert len(exits) > 40 // step


def test_from_every_disk_that_a_killed_process_leaves_orders_are_taken_over(
    book_url: str, tmp_path: Path
) -> None:
    """Before and after each statement and commit; where nothing was written, the disk before."""
    file = Path(str(sa.make_url(book_url).database))
    store = open_store(book_url)
    lay_owned(store)
    give(store)
    disks: dict[int, Path] = {}

    def keep(boundary: int) -> None:
        disks[boundary] = copied(file, tmp_path / f"{boundary}")

    reached = at_changes(store, file, keep)
    live_through(store, Clock(), "first")
    store.close()
    assert reached() > 100
    assert len(disks) > 5
    for boundary, disk in disks.items():
        left = open_store(f"sqlite:///{disk}")
        take_over(left, boundary)
        left.close()


def take_over(store: Store, boundary: int) -> None:
    """Let another process live where one was killed; both orders are there, one is carried out."""
    hold(store)
    live_through(store, Clock(NOON + 40 * SECOND), "second")
    hold(store)
    assert sorted(row.account for row in every(store)) == ["middling", "thin"], boundary
    thin = by_account(store)["thin"]
    assert (thin.state, thin.course["outcome"]["said"]) == ("judged", "as_planned"), boundary


def hold(store: Store) -> None:
    """Hold a store to what must be so at any moment."""
    rows = every(store)
    live = [row.live for row in rows if row.live is not None]
    assert len(live) == len(set(live))
    assert told(store) == sorted(f"order/{row.id}" for row in rows if row.seal is not None)
    with store.read() as transaction:
        assert orders.spent(transaction, "m", since=NOON - timedelta(days=1)) <= 100_000
    for row in rows:
        has_keeper = row.course["keeper"] is not None
        assert has_keeper is (row.state in {"accepted", "done", "judged"})
        assert msgspec.convert(row.course, dict[str, Any])["broken"] == []
