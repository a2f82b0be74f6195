"""Proposals over a real store of each kind: once, together, and never worse than approved."""

import json
import multiprocessing
import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alert_crash import at_changes
from governed_books import ETH_B, NOON, RAY, body, lay, reprice, who
from strides import stride

from models.domain import Price
from models.parameters.breakers import Breaker, Effect, Signal
from models.parameters.proposal import NotAllowed, NotTheirs, State
from serving.application import breaker_board, governance, governed_log
from serving.application.governed_log import ClockWentBack, LogKeys
from serving.log.heads import new_key, read_heads
from serving.log.verify import verify
from serving.notify.liveness import alarms
from serving.schemas.problems import Refused
from serving.schemas.proposals import GovernanceBody, ProposalBody
from serving.store import (
    Store,
    accounts,
    audit,
    book_forecasts,
    log_entries,
    market,
    open_store,
    proposals,
)
from serving.store.proposals import ProposalRow

KILLED = 9
DAY = 24 * 60


@pytest.fixture
def book(store: Store) -> Store:
    """Return a store with a book."""
    lay(store)
    return store


def made(store: Store, to: str = "1.34", **limits: Any) -> ProposalRow:
    """Return a proposal just made."""
    with store.begin() as transaction:
        parsed = ProposalBody.model_validate(body(to, **limits))
        return governance.create(transaction, parsed, who("ada"))


def scheduled(store: Store, to: str = "1.34", **limits: Any) -> str:
    """Return a proposal that is approved and scheduled."""
    identity = made(store, to, **limits).id
    with store.begin() as transaction:
        row = governance.simulate(transaction, identity, who("ada", 1))
    with store.begin() as transaction:
        governance.approve(transaction, identity, who("ben", 2), binding=row.body["binding"])
    with store.begin() as transaction:
        governance.schedule(transaction, identity, who("cyd", 3))
    return identity


def mat(store: Store, minutes: int) -> int:
    """Return the liquidation ratio in force some minutes after noon."""
    with store.read() as transaction:
        result = market.terms(transaction, at=NOON + timedelta(minutes=minutes))
    return int(result[ETH_B][0]["mat"])


def state(store: Store, identity: str) -> str:
    """Return the state of a proposal as it is kept."""
    with store.read() as transaction:
        row = proposals.find(transaction, identity)
    assert row is not None
    return row.state


def activate(store: Store, identity: str, minutes: int) -> None:
    """Activate a proposal some minutes after noon, at a fresh price."""
    reprice(store, 1000, at=NOON + timedelta(minutes=minutes - 1))
    with store.begin() as transaction:
        governance.activate(transaction, identity, who("cyd", minutes))


def test_from_proposal_to_terms_in_force(book: Store) -> None:
    """Terms change from the activation on; before it the earlier ones answer, for ever."""
    identity = scheduled(book)
    activate(book, identity, DAY + 4)
    assert state(book, identity) == State.ACTIVE
    assert mat(book, DAY + 4) == 134 * RAY // 100
    assert mat(book, DAY + 3) == 130 * RAY // 100
    with book.read() as transaction:
        row = proposals.find(transaction, identity)
        assert row is not None
        answer = governance.answer(transaction, row, at=NOON, request_id="r")
    assert answer.simulation is not None
    assert (answer.simulation.newly, answer.simulation.newly_debt) == (("thin",), "1000")


def test_the_gate_stands_before_approval(book: Store) -> None:
    """What lets more fall than its limits cannot be approved."""
    identity = made(book, accounts_at_most=0).id
    with book.begin() as transaction:
        row = governance.simulate(transaction, identity, who("ada", 1))
    assert not row.body["preview"]["passes"]
    with pytest.raises(NotAllowed, match="1 accounts would become"), book.begin() as transaction:
        governance.approve(transaction, identity, who("ben", 2), binding=row.body["binding"])


def test_nobody_approves_what_is_theirs(book: Store) -> None:
    """Nor what has another preview."""
    identity = made(book).id
    with book.begin() as transaction:
        row = governance.simulate(transaction, identity, who("ada", 1))
    with pytest.raises(NotTheirs), book.begin() as transaction:
        governance.approve(transaction, identity, who("ada", 2), binding=row.body["binding"])
    with pytest.raises(NotAllowed, match="is what stands"), book.begin() as transaction:
        governance.approve(transaction, identity, who("ben", 2), binding="0" * 64)


def test_a_price_that_moves_on_refuses_the_activation(book: Store) -> None:
    """One more account falls than was approved: nothing is put in force."""
    identity = scheduled(book, accounts_at_most=5, debt="9000")
    reprice(book, 980, at=NOON + timedelta(minutes=DAY + 3))
    with pytest.raises(NotAllowed, match="middling"), book.begin() as transaction:
        governance.activate(transaction, identity, who("cyd", DAY + 4))
    assert (state(book, identity), mat(book, DAY + 5)) == (State.SCHEDULED, 13 * RAY // 10)


def test_a_stale_price_refuses_the_activation(book: Store) -> None:
    """A day-old price is nothing to go by."""
    identity = scheduled(book)
    with pytest.raises(Refused) as refused, book.begin() as transaction:
        governance.activate(transaction, identity, who("cyd", DAY + 4))
    assert refused.value.kind.name == "stale-book"
    assert state(book, identity) == State.SCHEDULED


def test_it_executes_once(book: Store) -> None:
    """A second activation meets what the first left."""
    identity = scheduled(book)
    activate(book, identity, DAY + 4)
    with pytest.raises(NotAllowed, match="is active"), book.begin() as transaction:
        governance.activate(transaction, identity, who("cyd", DAY + 5))


def test_a_rollback_passes_the_same_gate(book: Store) -> None:
    """It is a proposal of its own; once active the other is rolled back."""
    identity = scheduled(book)
    activate(book, identity, DAY + 4)
    with book.begin() as transaction:
        back = governance.roll_back(transaction, identity, who("ada", DAY + 5), reason="wrong")
    assert state(book, identity) == State.ACTIVE
    with book.begin() as transaction:
        row = governance.simulate(transaction, back.id, who("ada", DAY + 6))
    with book.begin() as transaction:
        binding = row.body["binding"]
        governance.approve(transaction, back.id, who("ben", DAY + 7), binding=binding)
    with book.begin() as transaction:
        governance.schedule(transaction, back.id, who("cyd", DAY + 8))
    activate(book, back.id, 2 * DAY + 9)
    assert (state(book, identity), state(book, back.id)) == (State.ROLLED_BACK, State.ACTIVE)
    assert mat(book, 2 * DAY + 9) == 13 * RAY // 10


def test_a_later_one_supersedes(book: Store) -> None:
    """Of two that set one parameter the later stands."""
    first = scheduled(book)
    activate(book, first, DAY + 4)
    with book.begin() as transaction:
        parsed = ProposalBody.model_validate(body("1.37", accounts_at_most=2, debt="2000"))
        other = governance.create(transaction, parsed, who("ada", DAY + 5)).id
    with book.begin() as transaction:
        row = governance.simulate(transaction, other, who("ada", DAY + 6))
    assert "not again before" in " ".join(row.body["preview"]["reasons"])
    reprice(book, 1000, at=NOON + timedelta(minutes=5 * DAY))
    with book.begin() as transaction:
        row = governance.simulate(transaction, other, who("ada", 5 * DAY + 1))
    with book.begin() as transaction:
        binding = row.body["binding"]
        governance.approve(transaction, other, who("ben", 5 * DAY + 2), binding=binding)
    with book.begin() as transaction:
        governance.schedule(transaction, other, who("cyd", 5 * DAY + 3))
    activate(book, other, 6 * DAY + 4)
    assert (state(book, first), state(book, other)) == (State.SUPERSEDED, State.ACTIVE)


def test_another_version_is_refused(book: Store) -> None:
    """Who looked at an older one acts on nothing."""
    identity = made(book).id
    with pytest.raises(NotAllowed, match="at version 1, not 5"), book.begin() as transaction:
        governance.simulate(transaction, identity, who("ada", 1, version=5))


def test_votes_have_to_be_won(book: Store) -> None:
    """Counted by weight once their time is over; not before, and not when lost."""
    ballot = {
        "quorum": "0.5",
        "threshold": "0.5",
        "period_hours": 1,
        "weights": {"x": "60", "y": "40"},
    }
    with book.begin() as transaction:
        policy = GovernanceBody.model_validate({"ballot": ballot})
        governance.put_policy(transaction, policy, who("gov"))
    identity = made(book).id
    with book.begin() as transaction:
        row = governance.simulate(transaction, identity, who("ada", 1))
    with book.begin() as transaction:
        governance.approve(transaction, identity, who("ben", 2), binding=row.body["binding"])
        governance.vote(transaction, identity, who("ben", 3), voter="x", choice="no")
        governance.vote(transaction, identity, who("ben", 4), voter="x", choice="yes")
    with pytest.raises(NotAllowed, match="are taken until"), book.begin() as transaction:
        governance.schedule(transaction, identity, who("cyd", 5))
    with book.begin() as transaction:
        row = governance.schedule(transaction, identity, who("cyd", 62))
        answer = governance.answer(transaction, row, at=NOON, request_id="r")
    assert answer.votes is not None
    assert (answer.votes.yes, answer.votes.no, answer.votes.total) == ("60", "0", "100")


def test_a_breaker_holds_terms(book: Store) -> None:
    """While it is open nothing is activated but lower limits; a hand resets it."""
    identity = scheduled(book)
    breaker = Breaker(
        name="hold",
        signal=Signal.ORACLE_AGE,
        trip=9e9,
        clear=1.0,
        hold=1,
        shortest=timedelta(0),
        longest=timedelta(days=1),
        effects=(Effect.HOLD_TERMS,),
    )
    with book.begin() as transaction:
        soon = NOON + timedelta(minutes=4)
        breaker_board.put(transaction, breaker, actor="gov", at=soon)
        hand: dict[str, Any] = {"reason": "drill", "actor": "gov", "at": soon}
        breaker_board.by_hand(transaction, "hold", is_trip=True, **hand)
    with pytest.raises(NotAllowed, match="holds terms"):
        activate(book, identity, DAY + 4)
    end = NOON + timedelta(minutes=DAY + 5)
    later: dict[str, Any] = {"reason": "over", "actor": "gov", "at": end}
    with book.begin() as transaction:
        breaker_board.by_hand(transaction, "hold", is_trip=False, **later)
    activate(book, identity, DAY + 6)
    assert state(book, identity) == State.ACTIVE


def test_a_breaker_stands_as_it_stood_after_a_restart(store_url: str) -> None:
    """What a hand opened stays open in another process."""
    first = open_store(store_url)
    breaker = Breaker(
        name="b",
        signal=Signal.DRIFT,
        trip=2.0,
        clear=1.0,
        hold=1,
        shortest=timedelta(0),
        longest=timedelta(days=1),
    )
    with first.begin() as transaction:
        breaker_board.put(transaction, breaker, actor="gov", at=NOON)
        breaker_board.by_hand(transaction, "b", is_trip=True, reason="x", actor="gov", at=NOON)
    first.close()
    second = open_store(store_url)
    with second.begin() as transaction:
        later = NOON + timedelta(minutes=1)
        board = breaker_board.observe_all(transaction, at=later, signals={(Signal.DRIFT, ""): 0.0})
    second.close()
    assert board.open == ("b",)


def export(store: Store) -> list[bytes]:
    """Return the log as it is exported."""
    return list(governed_log.export_lines(store))


def test_the_log_tells_all_of_it(book: Store, tmp_path: Path) -> None:
    """Every act is an entry; it verifies against heads kept elsewhere, and proofs verify."""
    keys = LogKeys(key=tmp_path / "key", heads=tmp_path / "heads.jsonl")
    public = new_key(keys.key)
    identity = scheduled(book)
    governed_log.export_head(book, keys, now=NOON)
    activate(book, identity, DAY + 4)
    governed_log.export_head(book, keys, now=NOON)
    heads = read_heads((tmp_path / "heads.jsonl").read_text().splitlines(), name="heads")
    lines = export(book)
    assert verify(lines, heads, trusted=public).caution is None
    actions = [json.loads(line)["entry"]["action"] for line in lines]
    assert actions == [
        "proposed",
        "simulated",
        "approval",
        "scheduled",
        "terms changed",
        "active",
    ]
    with book.begin() as transaction:
        transaction.execute(sa.text("DELETE FROM log WHERE number >= 4"))
    cut = verify(export(book), heads, trusted=public)
    assert cut.first_bad == 4


def test_a_changed_row_is_named(book: Store) -> None:
    """Whoever writes into the database is known by it."""
    scheduled(book)
    with book.begin() as transaction:
        row = log_entries.read(transaction, after=0, limit=1)[0]
        changed = row.entry.replace(b"ada", b"eve")
        table = sa.table("log", sa.column("number"), sa.column("entry"))
        transaction.execute(sa.update(table).where(table.c.number == 1).values(entry=changed))
    assert verify(export(book)).first_bad == 1


def test_a_clock_well_back_is_refused(book: Store) -> None:
    """Whoever waited a moment is taken as no earlier than the one before."""
    entry: dict[str, Any] = {"actor": "a", "action": "b", "subject": "c", "body": {}}
    with book.begin() as transaction:
        governed_log.append(transaction, at=NOON, **entry)
        governed_log.append(transaction, at=NOON - timedelta(seconds=1), **entry)
    with pytest.raises(ClockWentBack), book.begin() as transaction:
        governed_log.append(transaction, at=NOON - timedelta(minutes=5), **entry)
    assert len(export(book)) == 2


def activate_until_killed(url: str, identity: str, last: int) -> None:
    """Activate in a process that dies at a statement, or at the commit."""
    store = open_store(url)
    counted = iter(range(1, 10_000))

    def count(*_: object) -> None:
        if next(counted) == last:
            os._exit(KILLED)

    sa.event.listen(store.engine, "before_cursor_execute", count)
    sa.event.listen(store.engine, "commit", count)
    with store.begin() as transaction:
        governance.activate(transaction, identity, who("cyd", DAY + 4))
    os._exit(0)


def test_killed_at_any_statement_either_all_of_it_stands_or_nothing(store_url: str) -> None:
    """Terms, state and log agree after every death."""
    fork = multiprocessing.get_context("fork")
    step = stride(store_url, 6, local=10)
    store = open_store(store_url)
    lay(store)
    identity = scheduled(store)
    reprice(store, 1000, at=NOON + timedelta(minutes=DAY + 3))
    store.close()
    exits: list[int | None] = []
    while 0 not in exits:
        last = 1 + step * len(exits)
        child = fork.Process(target=activate_until_killed, args=(store_url, identity, last))
        child.start()
        child.join()
        exits.append(child.exitcode)
        store = open_store(store_url)
        is_active = state(store, identity) == State.ACTIVE
        actions = {json.loads(line)["entry"]["action"] for line in export(store)}
        assert (mat(store, DAY + 5) == 134 * RAY // 100) is is_active
        assert ("active" in actions) is ("terms changed" in actions) is is_active
        assert verify(export(store)).is_whole
        store.close()
        if is_active:
            break
    assert set(exits) <= {KILLED, 0}
    assert len(exits) > 20 // step


def test_no_statement_of_an_activation_reaches_the_disk_before_its_commit(book_url: str) -> None:
    """Whoever is killed at any of them leaves the disk as it was."""
    store = open_store(book_url)
    lay(store)
    identity = scheduled(store)
    reprice(store, 1000, at=NOON + timedelta(minutes=DAY + 3))
    disks: list[int] = []
    reached = at_changes(store, Path(str(sa.make_url(book_url).database)), disks.append)
    with store.begin() as transaction:
        governance.activate(transaction, identity, who("cyd", DAY + 4))
    assert reached() > 40
    assert disks == [1]
    assert state(store, identity) == State.ACTIVE
    store.close()


def activate_at(url: str, identity: str, begin: Any, results: Any) -> None:
    """Activate in a process once both are there, and tell how it went."""
    store = open_store(url)
    begin.wait()
    try:
        with store.begin() as transaction:
            governance.activate(transaction, identity, who("cyd", DAY + 4))
        results.put("active")
    except NotAllowed as error:
        results.put(str(error))
    store.close()


def test_of_two_processes_exactly_one_activates(store_url: str) -> None:
    """At the same moment; the other meets an active proposal."""
    store = open_store(store_url)
    lay(store)
    identity = scheduled(store)
    reprice(store, 1000, at=NOON + timedelta(minutes=DAY + 3))
    store.close()
    spawn = multiprocessing.get_context("fork")
    begin, results = spawn.Barrier(2), spawn.Queue()
    children = [
        spawn.Process(target=activate_at, args=(store_url, identity, begin, results))
        for _ in range(2)
    ]
    for child in children:
        child.start()
    answer = sorted(results.get(timeout=60) for _ in children)
    for child in children:
        child.join()
    assert answer[1] == "active"
    assert "active: activate is not allowed" in answer[0]
    store = open_store(store_url)
    actions = [json.loads(line)["entry"]["action"] for line in export(store)]
    assert actions.count("active") == 1
    store.close()


def test_entries_of_many_writers_are_one_chain(store_url: str) -> None:
    """Two processes add to the log at once: none is lost, none stands twice."""
    open_store(store_url).close()
    fork = multiprocessing.get_context("fork")
    children = [fork.Process(target=_append_many, args=(store_url, name)) for name in "ab"]
    for child in children:
        child.start()
    for child in children:
        child.join()
    store = open_store(store_url)
    finding = verify(export(store))
    assert (finding.is_whole, finding.entries) == (True, 40)
    store.close()


def _append_many(url: str, name: str) -> None:
    """Add entries, each in a transaction of its own."""
    store = open_store(url)
    for place in range(20):
        with store.begin() as transaction:
            governed_log.append(
                transaction,
                at=NOON + timedelta(seconds=place),
                actor=name,
                action="test",
                subject=str(place),
                body={},
            )
    os._exit(0)


def test_a_lower_limit_waits_for_nothing(book: Store) -> None:
    """Lowering a ceiling takes nobody's collateral: it is due as soon as it is scheduled."""
    with book.read() as transaction:
        hole = int(market.terms(transaction, at=NOON)[ETH_B][0]["hole"])
    change = {"venue": "maker", "parameter": "hole", "to": str(hole // 2)}
    with book.begin() as transaction:
        parsed = ProposalBody.model_validate({**body(), "changes": [change]})
        identity = governance.create(transaction, parsed, who("ada")).id
    with book.begin() as transaction:
        row = governance.simulate(transaction, identity, who("ada", 1))
    assert row.body["preview"]["newly_count"] == 0
    with book.begin() as transaction:
        governance.approve(transaction, identity, who("ben", 2), binding=row.body["binding"])
        governance.schedule(transaction, identity, who("cyd", 3))
        governance.activate(transaction, identity, who("cyd", 3))
    with book.read() as transaction:
        later = market.terms(transaction, at=NOON + timedelta(minutes=3))
    assert int(later[ETH_B][0]["hole"]) == hole // 2


def test_the_watch_shows_breakers_their_signals(book: Store) -> None:
    """An oracle that is silent opens one, its next price closes it; the log tells of both."""
    breaker = Breaker(
        name="age",
        signal=Signal.ORACLE_AGE,
        trip=3600.0,
        clear=600.0,
        hold=1,
        shortest=timedelta(0),
        longest=timedelta(days=1),
        scope="ETH",
        effects=(Effect.PAGE,),
    )
    with book.begin() as transaction:
        breaker_board.put(transaction, breaker, actor="gov", at=NOON)
    assert breaker_board.look(book, now=NOON + timedelta(minutes=10)) == ()
    assert breaker_board.look(book, now=NOON + timedelta(minutes=70)) == ("age",)
    with book.read() as transaction:
        assert breaker_board.read(transaction).open == ("age",)
        texts = [alarm.text for alarm in alarms(transaction, now=NOON + timedelta(minutes=71))]
    assert any("breaker 'age'" in text for text in texts)
    reprice(book, 1000, at=NOON + timedelta(minutes=72))
    assert breaker_board.look(book, now=NOON + timedelta(minutes=73)) == ("age",)
    actions = [json.loads(line)["entry"]["action"] for line in export(book)]
    assert actions == ["breaker put", "breaker opened", "breaker closed"]


def test_a_log_that_was_changed_opens_its_breaker(book: Store) -> None:
    """A signal of 1 where the log is not whole."""
    breaker = Breaker(
        name="log",
        signal=Signal.LOG_FAULT,
        trip=1.0,
        clear=0.0,
        hold=1,
        shortest=timedelta(0),
        longest=timedelta(days=1),
    )
    with book.begin() as transaction:
        breaker_board.put(transaction, breaker, actor="gov", at=NOON)
    assert breaker_board.look(book, now=NOON + timedelta(minutes=1)) == ()
    with book.begin() as transaction:
        transaction.execute(sa.text("UPDATE log SET chain = :chain"), {"chain": "0" * 64})
    assert breaker_board.look(book, now=NOON + timedelta(minutes=2)) == ("log",)


def watching(signal: Signal, *, trip: float, scope: str = "") -> Breaker:
    """Return a breaker that one observation opens and closes."""
    return Breaker(
        name="b",
        signal=signal,
        trip=trip,
        clear=trip / 2,
        hold=1,
        shortest=timedelta(0),
        longest=timedelta(days=1),
        scope=scope,
        trips_unknown=False,
    )


def seen(book: Store, breaker: Breaker, *, minutes: int) -> float | None:
    """Return what the watch shows a breaker some minutes after noon."""
    with book.read() as transaction:
        signals = breaker_board.signals_of(
            transaction, [breaker], at=NOON + timedelta(minutes=minutes)
        )
    return signals[breaker.signal, breaker.scope]


def book_forecast(book: Store, **liquidated: float) -> None:
    """Write a forecast of the whole book at noon; LaR 99 by owners."""

    def side(lar: float) -> dict[str, Any]:
        rows = [{"level": level, "value": lar} for level in (0.95, 0.99)]
        return {"liquidated": rows, "bad_debt": rows, "mean_liquidated": 0.0, "mean_bad_debt": 0.0}

    body_ = {
        "horizons": {"24h": {"stressed": {name: side(lar) for name, lar in liquidated.items()}}},
        "curve": [{"shock": -0.2, "reproduction": 1.5}, {"shock": -0.1, "reproduction": 0.5}],
        "debts": {"thin": 1000.0, "middling": 1000.0, "thick": 1000.0},
    }
    with book.begin() as transaction:
        book_forecasts.begin(transaction, "f", {"selection": {}}, at=NOON, now=NOON)
        status = book_forecasts.DONE
        book_forecasts.update(transaction, "f", done=1.0, now=NOON, status=status, body=body_)


def test_the_book_s_forecast_is_shown_to_breakers(book: Store) -> None:
    """LaR by its owners, the number up to its fall, and what fell since over LaR 99."""
    lar = watching(Signal.LAR, trip=1.0)
    assert seen(book, lar, minutes=1) is None
    book_forecast(book, expected=500.0, unattended=2000.0)
    assert seen(book, lar, minutes=1) == 500.0
    assert seen(book, replace(lar, scope="unattended"), minutes=1) == 2000.0
    number = watching(Signal.REPRODUCTION, trip=1.0)
    assert seen(book, number, minutes=1) == 0.5
    assert seen(book, replace(number, scope="0.3"), minutes=1) == 1.5
    over = watching(Signal.LIQUIDATIONS_OVER_LAR99, trip=1.0)
    assert seen(book, over, minutes=1) == 0.0
    event = {"account": "thin", "key": "k", "at": NOON + timedelta(minutes=2), "kind": "liquidate"}
    with book.begin() as transaction:
        row = {**event, "collateral": 0, "debt": 0}
        accounts.push_events(transaction, [row], now=NOON + timedelta(minutes=3))
    assert seen(book, over, minutes=1) == 0.0
    assert seen(book, over, minutes=3) == 2.0
    assert seen(book, over, minutes=27 * 60) is None


def test_sources_that_disagree_are_shown_to_breakers(book: Store) -> None:
    """1,050 lies 5 % from the middle of three; one source alone contradicts nobody."""
    apart = watching(Signal.PRICE_DISAGREEMENT, trip=0.02)
    assert seen(book, apart, minutes=1) is None
    with book.begin() as transaction:
        for source, value in (("one", 1000), ("two", 1050)):
            price = Price(
                value=value * 10**18,
                decimals=18,
                observed_at=NOON + timedelta(minutes=2),
                source=source,
            )
            market.push_prices(transaction, [("ETH", price)], now=NOON + timedelta(minutes=2))
    assert seen(book, apart, minutes=1) is None
    assert seen(book, apart, minutes=3) == pytest.approx(0.05)
    assert seen(book, replace(apart, scope="BTC"), minutes=3) is None
    assert seen(book, apart, minutes=30) is None


def test_drift_is_known_for_two_days_after_it_was_measured(book: Store) -> None:
    """What `forewarn drift --note` left in the store."""
    drift = watching(Signal.DRIFT, trip=0.3)
    assert seen(book, drift, minutes=1) is None
    with book.begin() as transaction:
        line = audit.AuditEntry(
            at=NOON,
            actor="ada",
            action="measured drift",
            subject="v1",
            request_id="command",
            detail="0.4100",
        )
        audit.note(transaction, line)
    assert seen(book, drift, minutes=1) == 0.41
    assert seen(book, drift, minutes=2 * DAY + 1) is None
