"""The watcher's steps: nothing new is lost, nothing old is in the way, a clock may step."""

import itertools
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import many_venues
import pytest
import sqlalchemy as sa

from models.alerting.policy import default
from models.alerting.signals import Level
from models.domain import Price
from serving.application.deployment import read_deployment
from serving.evaluation import rule_evaluation
from serving.evaluation.assess import Model
from serving.notify import liveness
from serving.schemas.stored import Assessed
from serving.store import Store, StoreFailed, accounts, alerts, assessments, leases, market
from serving.store.assessments import AccountFilter
from serving.store.leases import WATCHING
from serving.watch import evaluation, state, watcher
from serving.watch.step import LEASE, LeadLost
from serving.watch.watcher import Watcher, cycle

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
CHAMPION = Path(__file__).parents[2] / "models" / "champion"
RULES = Model(bundle=None)


def perpetual(name: str, size: int, *, asset: str = "SOL", cash: int = 3000) -> dict[str, Any]:
    """Return a cross account of Hyperliquid, long or short from 100, maintenance 5 %."""
    return {
        "id": name,
        "venue": "hyperliquid",
        "version": None,
        "market": "cross",
        "legs": [
            {"kind": "collateral", "asset": "USDC", "quantity": str(cash)},
            {"kind": "position", "asset": asset, "quantity": str(size), "entry": "100"},
        ],
        "options": {f"{asset}.leverage": 10},
        "terms": {"coins": {asset: [{"floor": "0", "max_leverage": 10}]}},
    }


class Scene:
    """A store, a clock that may be set, and a watcher that looks at it."""

    def __init__(self, store: Store, *, model: Model = RULES, **more: Any) -> None:
        self.store, self.now = store, NOON
        self.watcher = self.another("one", model=model, **more)

    def another(self, holder: str, *, model: Model = RULES, **more: Any) -> Watcher:
        """Return one more watcher of the same store and clock."""
        return Watcher(
            store=self.store,
            model=model,
            policy=default(),
            holder=holder,
            clock=lambda: self.now,
            **more,
        )

    def put(self, *bodies: dict[str, Any], received: datetime | None = None) -> None:
        """Write accounts."""
        now = received or self.now
        with self.store.begin() as transaction:
            accounts.upsert(transaction, bodies, at=now, now=now)

    def price(self, value: int, *, asset: str = "SOL") -> None:
        """Write a price in whole units, as of now."""
        said = Price(value=value, decimals=0, bid=value, ask=value, observed_at=self.now)
        with self.store.begin() as transaction:
            market.push_prices(transaction, [(asset, said)], now=self.now)

    def turns(self, seconds: int, *, each: int = 5) -> int:
        """Return how many accounts are judged in some seconds, with a turn every few."""
        judged = 0
        for _ in range(seconds // each):
            self.now += each * SECOND
            judged += cycle(self.watcher)
        return judged

    def levels(self) -> dict[str, Level]:
        """Return the accounts on a level."""
        with self.store.read() as transaction:
            return alerts.raised_accounts(transaction)

    def said(self) -> dict[str, Assessed]:
        """Return the newest assessment of every account that has one."""
        with self.store.read() as transaction:
            found = assessments.explore(transaction, AccountFilter())
        return {one.account: one.assessed for one in found if one.assessed is not None}


def test_what_was_received_before_and_committed_after_is_judged(store: Store) -> None:
    """Two writers in the wrong order: a long and a short that are short of margin."""
    scene = Scene(store)
    scene.price(100)
    scene.put(perpetual("a", 10))
    cycle(scene.watcher)
    scene.put(perpetual("b", 10), received=NOON + MINUTE)
    scene.now = NOON + MINUTE
    cycle(scene.watcher)
    scene.put(perpetual("long", 1000), perpetual("short", -1000), received=NOON + 30 * SECOND)
    cycle(scene.watcher)
    assert scene.levels() == {"long": Level.CRITICAL, "short": Level.CRITICAL}


def test_the_first_turn_knows_the_candles_of_every_asset(store: Store) -> None:
    """Seven venues, ten assets: a forecast for every account but that without candles."""
    many_venues.lay(store)
    scene = Scene(store, model=read_deployment(CHAMPION).model)
    scene.now = many_venues.AT
    cycle(scene.watcher)
    silent = {name for name, one in scene.said().items() if one.expected_24h is None}
    assert len(scene.said()) == 11
    assert silent == {"hyper, no candles"}


def test_a_new_asset_of_a_new_account_is_judged_with_its_candles(store: Store) -> None:
    """In the very turn that meets it."""
    many_venues.lay(store)
    late = next(one for one in many_venues.book() if one["id"] == "hyper, long")
    with store.begin() as transaction:
        for table in ("holdings", "positions", "accounts"):
            transaction.execute(
                sa.text(f"DELETE FROM {table} WHERE account = :name"),  # noqa: S608
                {"name": late["id"]},
            )
    scene = Scene(store, model=read_deployment(CHAMPION).model)
    scene.now = many_venues.AT
    cycle(scene.watcher)
    scene.put(late, received=many_venues.AT - HOUR)
    cycle(scene.watcher)
    assert scene.said()[late["id"]].expected_24h is not None


@pytest.mark.parametrize("part", ["commit_step", "evaluate"])
def test_a_failed_turn_uses_nothing_up(
    store: Store, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    """A crash whose turn failed is judged by the next one."""
    scene = Scene(store, whole=10 * MINUTE)
    scene.price(100)
    scene.put(perpetual("long", 100), perpetual("short", -100))
    cycle(scene.watcher)
    scene.now += 5 * SECOND
    scene.price(60)
    scene.put(perpetual("new", 1000))

    def fail(*_: object, **__: object) -> None:
        raise StoreFailed("locked for too long")

    with monkeypatch.context() as broken:
        broken.setattr(watcher, part, fail)
        with pytest.raises(StoreFailed):
            cycle(scene.watcher)
    cycle(scene.watcher)
    assert scene.levels() == {"long": Level.CRITICAL, "new": Level.CRITICAL}


def test_an_account_at_rest_is_on_no_level(store: Store) -> None:
    """A short was critical and has recovered: it is not judged at every price any more."""
    scene = Scene(store, whole=timedelta(days=100))
    scene.price(140)
    others = [perpetual(f"other{n}", 1) for n in range(3)]
    scene.put(perpetual("short", -100), *others)
    cycle(scene.watcher)
    assert scene.levels() == {"short": Level.CRITICAL}
    for _ in range(4):
        scene.now += timedelta(days=2)
        scene.price(50)
        cycle(scene.watcher)
    assert scene.levels() == {}
    with store.read() as transaction:
        assert alerts.levels(transaction) == {}
    scene.now += HOUR
    scene.price(51)
    assert cycle(scene.watcher) == 1  # the nearest alone


def test_an_acknowledgement_ends_with_the_entry_it_was_given_for(store: Store) -> None:
    """Critical, acknowledged, below for a while, critical again: repeated as before."""
    scene = Scene(store)
    scene.price(60)
    scene.put(perpetual("long", 100))
    cycle(scene.watcher)
    with store.begin() as transaction:
        assert alerts.acknowledge(transaction, "long") is Level.CRITICAL
    for _ in range(4):
        scene.now += 31 * MINUTE
        scene.price(60)
        cycle(scene.watcher)
    with store.read() as transaction:
        assert [one.kind for one in alerts.transitions(transaction)] == ["raised"]
    scene.now += SECOND
    scene.price(74)  # above the line, within the warning's buffer
    cycle(scene.watcher)
    scene.now += 7 * HOUR  # longer than a level is held for want of a forecast
    cycle(scene.watcher)
    assert scene.levels() == {"long": Level.WARNING}
    scene.now += SECOND
    scene.price(60)
    cycle(scene.watcher)
    scene.now += 31 * MINUTE
    cycle(scene.watcher)
    with store.read() as transaction:
        kinds = [(one.kind.value, one.level) for one in alerts.transitions(transaction)]
        state = alerts.states(transaction, ["long"])["long"]
    assert kinds[-2:] == [("raised", Level.CRITICAL), ("repeated", Level.CRITICAL)]
    assert state.episode == 1
    assert not state.is_acknowledged


def test_a_mute_counts_for_an_account_that_never_had_a_level(store: Store) -> None:
    """It rises to warning, and nobody is told."""
    scene = Scene(store)
    scene.price(74)
    scene.put(perpetual("muted", 100), perpetual("loud", 100))
    with store.begin() as transaction:
        alerts.mute(transaction, "muted", until=NOON + HOUR)
    cycle(scene.watcher)
    with store.read() as transaction:
        routes = {one.account: one.route.value for one in alerts.transitions(transaction)}
    assert routes == {"muted": "silent", "loud": "now"}


def test_what_has_newly_crossed_comes_before_what_is_raised(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twenty at critical, a price before every step of six: three that fall are in the first."""
    monkeypatch.setattr(state, "CHUNK", 6)
    scene = Scene(store)
    scene.price(60)
    dead = [perpetual(f"dead{n:02d}", 100) for n in range(20)]
    scene.put(*dead, *(perpetual(f"next{n}", 100, cash=5000) for n in range(3)))
    while cycle(scene.watcher):
        pass
    assert len(scene.levels()) == 20
    scene.now += SECOND
    scene.price(50)
    cycle(scene.watcher)
    assert {name for name in scene.levels() if name.startswith("next")} == {
        f"next{n}" for n in range(3)
    }
    oldest = NOON
    for _ in range(60):
        scene.now += SECOND
        scene.price(50)
        cycle(scene.watcher)
    seconds = scene.watcher.steady.seconds
    oldest_age = seconds - min(scene.watcher.memory.judged_at.values())
    assert oldest_age <= 30 + 23 / 3
    assert oldest < scene.now


def test_what_is_closed_or_gone_is_forgotten(store: Store) -> None:
    """A closed account is judged once more and kept in the sums; one that is gone is not."""
    scene = Scene(store)
    scene.price(100)
    scene.put(perpetual("open", 10), perpetual("closing", -10), perpetual("gone", 10))
    cycle(scene.watcher)
    closed = perpetual("closing", 0, cash=0)
    scene.now += MINUTE
    scene.put(closed)
    scene.put(perpetual("gone", 11))
    with store.begin() as transaction:
        for table in ("latest_assessments", "assessments", "holdings", "positions", "accounts"):
            transaction.execute(sa.text(f"DELETE FROM {table} WHERE account = 'gone'"))  # noqa: S608
    cycle(scene.watcher)
    assert scene.said()["closing"].at == scene.now
    assert set(scene.watcher.memory.bodies) == {"open", "closing"}
    scene.now += 2 * MINUTE
    cycle(scene.watcher)
    known = scene.watcher.memory
    assert set(known.bodies) == set(known.judged_at) == {"open"}
    assert set(known.sums.parts) == {"open", "closing"}
    scene.put(perpetual("closing", 1000))
    cycle(scene.watcher)
    assert scene.levels() == {"closing": Level.CRITICAL}


def failing(name: str, error: Exception) -> Callable[[Any], Any]:
    """Return the rules, which fail for one account."""
    real = rule_evaluation.evaluate_rules

    def judge(case: Any, **rest: Any) -> Any:
        if case.account.id == name:
            raise error
        return real(case, **rest)

    return judge


def test_an_account_whose_rules_fail_leaves_the_others_alone(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is unevaluable, with the reason, logged once and told by the heartbeat until it is not."""
    scene = Scene(store)
    scene.price(60)
    scene.put(perpetual("broken", 100), perpetual("sound", 100))
    with monkeypatch.context() as broken:
        broken.setattr(evaluation, "evaluate_rules", failing("broken", KeyError("shift")))
        cycle(scene.watcher)
        scene.turns(120, each=40)
    found = scene.said()
    assert (found["broken"].verdict, found["broken"].degraded) == (
        "unevaluable",
        ("evaluation_failed",),
    )
    assert scene.levels() == {"sound": Level.CRITICAL, "broken": Level.WATCH}
    told = [r.getMessage() for r in caplog.records if r.getMessage().startswith("unevaluable")]
    assert told == ["unevaluable account='broken' code=evaluation_failed detail=KeyError: 'shift'"]
    assert sum(record.exc_info is not None for record in caplog.records) == 1
    assert [one.what for one in liveness.alarm(store, now=scene.now)] == ["evaluation"]
    scene.turns(120, each=40)
    assert scene.levels()["broken"] is Level.CRITICAL
    assert liveness.alarm(store, now=scene.now) == []


def test_an_account_that_is_too_dear_is_unevaluable(store: Store) -> None:
    """A timer that runs three seconds between two looks at it leaves no account its time."""
    ticks = iter(range(0, 10_000, 3))
    scene = Scene(store, timer=lambda: float(next(ticks)))
    scene.price(60)
    scene.put(perpetual("dear", 100))
    cycle(scene.watcher)
    assert scene.said()["dear"].degraded == ("budget_spent",)
    assert scene.levels() == {"dear": Level.WATCH}


@pytest.mark.parametrize("most", [11, 1], ids=["at once", "one by one"])
def test_a_forecast_has_time_of_its_own(
    store: Store, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """Judging an account and forecasting some take 1.9 s each: neither more than its 2 s."""
    many_venues.lay(store)
    clock = [0.0]
    scene = Scene(store, model=read_deployment(CHAMPION).model, timer=lambda: clock[0])
    scene.now = many_venues.AT
    judge, forecast = rule_evaluation.evaluate_rules, evaluation.forecast_outcomes

    def judged_slowly(case: Any, **rest: Any) -> Any:
        found = judge(case, **rest)
        clock[0] += 1.9
        return found

    def forecast_slowly(judged: Any, **rest: Any) -> Any:
        if len(judged) > most:
            raise RuntimeError("so many cannot be forecast at once")
        clock[0] += 1.9
        for case in (each.case for each in judged):
            case.rulebook.margin(case.account, case.market, case.terms)
        return forecast(judged, **rest)

    monkeypatch.setattr(evaluation, "evaluate_rules", judged_slowly)
    monkeypatch.setattr(evaluation, "forecast_outcomes", forecast_slowly)
    cycle(scene.watcher)
    silent = {name for name, one in scene.said().items() if one.expected_24h is None}
    assert len(scene.said()) == 11
    assert silent == {"hyper, no candles"}


def test_the_past_holds_every_change_of_verdict(store: Store) -> None:
    """Safe, breached after a minute, safe again: three rows, and none of what said the same."""
    scene = Scene(store)
    scene.put(perpetual("short", -100))
    for price in (100, 101, 140, 141, 100, 99):
        scene.now += MINUTE
        scene.price(price)
        cycle(scene.watcher)
    with store.read() as transaction:
        past = assessments.history(transaction, "short")
    assert [(one.at - NOON, one.verdict) for one in reversed(past)] == [
        (1 * MINUTE, "safe"),
        (3 * MINUTE, "liquidatable"),
        (5 * MINUTE, "safe"),
    ]
    other = scene.another("two")
    scene.now += MINUTE
    with store.begin() as transaction:
        leases.resign(transaction, WATCHING, holder="one")
    cycle(other)
    with store.read() as transaction:
        assert len(assessments.history(transaction, "short")) == 3


def test_what_says_the_same_is_not_written_again_for_five_minutes(store: Store) -> None:
    """Judged every half minute; what the store says stays as old as its last change."""
    scene = Scene(store)
    scene.price(100)
    scene.put(perpetual("a", 10))
    cycle(scene.watcher)
    assert scene.turns(270, each=30) == 9
    assert scene.said()["a"].at == NOON
    scene.turns(60, each=30)
    assert scene.said()["a"].at == NOON + 5 * MINUTE
    scene.price(101)
    cycle(scene.watcher)
    assert scene.said()["a"].at == scene.now


def test_an_idle_watcher_writes_nothing_but_its_lease(store: Store) -> None:
    """Fifty looks in ten seconds write nothing; in half a minute the lease is renewed twice."""
    scene = Scene(store, whole=10 * MINUTE)
    scene.price(100)
    scene.put(perpetual("a", 10))
    cycle(scene.watcher)
    written: list[str] = []

    def listen(*asked: Any) -> None:
        if not asked[2].startswith(("SELECT", "BEGIN")):
            written.append(asked[2].split()[0:3][-1])

    sa.event.listen(store.engine, "before_cursor_execute", listen)
    for _ in range(50):
        scene.now += SECOND / 5
        assert cycle(scene.watcher) == 0
    assert written == []
    for _ in range(100):
        scene.now += SECOND / 5
        cycle(scene.watcher)
    assert set(written) == {"leases", "SET"} or set(written) <= {"leases", "SET", "INTO"}
    assert len(written) <= 4


def test_whole_idle_turns_commit_nothing_but_signs_of_life(store: Store) -> None:
    """Ten minutes of turns: the lease every 15 s, that all is well every third minute.

    The account has no line, so that nothing is judged; the whole book is looked at each minute.
    """
    scene = Scene(store, whole=30 * MINUTE)
    scene.price(100)
    cash = perpetual("a", 10)
    scene.put({**cash, "legs": cash["legs"][:1]})
    lookout = liveness.Watchdog(store, fault=lambda _kind, _target: None)
    lookout.look(scene.now)
    while watcher._attempt(scene.watcher):  # noqa: SLF001
        pass
    commits: list[tuple[datetime, frozenset[str]]] = []
    tables: set[str] = set()

    def listen(*asked: Any) -> None:
        words = asked[2].split()
        if words[0] in {"INSERT", "UPDATE", "DELETE"}:
            tables.add(words[1] if words[0] == "UPDATE" else words[2])

    def commit(_: object) -> None:
        commits.append((scene.now, frozenset(tables)))
        tables.clear()

    sa.event.listen(store.engine, "before_cursor_execute", listen)
    sa.event.listen(store.engine, "commit", commit)
    for _ in range(400):
        scene.now += 1.5 * SECOND
        lookout.look(scene.now)
        assert watcher._attempt(scene.watcher) == 0  # noqa: SLF001
    renewals = [at for at, names in commits if names == {"leases", "heartbeats"}]
    assert all(b - a > LEASE / 2 for a, b in itertools.pairwise(renewals))
    assert [names for at, names in commits if at not in renewals] == [{"heartbeats"}] * 3
    assert liveness.alarm(store, now=scene.now) == []


def test_a_clock_that_is_set_back_stops_nothing(store: Store) -> None:
    """An hour back, then a crash of a long and a new short: both are told at once."""
    scene = Scene(store)
    scene.now = NOON - 2 * HOUR
    scene.price(100)
    scene.now = NOON
    scene.put(perpetual("long", 100))
    cycle(scene.watcher)
    scene.now -= HOUR
    scene.price(60)
    scene.put(perpetual("new", 1000, asset="SOL"), received=scene.now)
    cycle(scene.watcher)
    assert scene.levels() == {"new": Level.CRITICAL, "long": Level.CRITICAL}
    assert scene.turns(120, each=10) >= 4


def test_what_a_leap_of_the_clock_left_in_the_future_is_doubted(store: Store) -> None:
    """A year ahead for one turn: levels, the desk, the past and another's lead go on after it."""
    scene = Scene(store, keep=timedelta(days=90))
    scene.price(74)
    scene.put(perpetual("near", 100), perpetual("far", 1))
    cycle(scene.watcher)
    scene.now = NOON + timedelta(days=365)
    for _ in range(3):
        watcher._attempt(scene.watcher)  # noqa: SLF001
    with store.read() as transaction:
        assert len(assessments.history(transaction, "far")) == 2
    other = scene.another("two")
    scene.now = NOON + MINUTE
    assert [one.what for one in liveness.alarm(store, now=scene.now)] == ["clock"]
    scene.price(60)
    assert cycle(other) == 2
    assert scene.levels()["near"] is Level.CRITICAL
    assert {one.at for one in scene.said().values()} == {scene.now}
    assert liveness.alarm(store, now=scene.now) == []


def test_a_lease_holds_others_off_while_it_is_fresh(store: Store) -> None:
    """Another's waits; a lease that ended, or lies far in the future, is taken."""
    scene = Scene(store)
    scene.price(100)
    scene.put(perpetual("a", 10))
    cycle(scene.watcher)
    other = scene.another("two")
    with pytest.raises(LeadLost):
        cycle(other)
    scene.now += LEASE + SECOND
    assert cycle(other) == 1
    with pytest.raises(LeadLost):
        cycle(scene.watcher)
    assert scene.watcher.memory.bodies == {}


def test_a_watcher_says_who_leads_and_what_it_did(
    store: Store, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two on one store, over two minutes."""
    scene = Scene(store)
    scene.price(60)
    scene.put(perpetual("a", 100), perpetual("b", 1))
    monkeypatch.setattr(watcher.time, "sleep", lambda _: None)
    steps = iter([0] * 2 + [50] * 3)

    def is_over() -> bool:
        seconds = next(steps, None)
        scene.now += (seconds or 0) * SECOND
        return seconds is None

    with caplog.at_level(logging.INFO, logger="forewarn.watch"):
        watcher.run(scene.watcher, is_over=is_over)
        waiting = scene.another("two")
        with store.begin() as transaction:
            leases.lead(transaction, WATCHING, holder="three", now=scene.now, lease=LEASE)
        steps = iter([0, 0])
        watcher.run(waiting, is_over=is_over)
    said = [record.getMessage() for record in caplog.records]
    counted = "watched seconds=100 accounts=2 judged=6 steps=5 failed_turns=0"
    assert said == [
        "leads holder=one after=nobody",
        f"{counted} unevaluable=0 transitions=1 messages=0",
        "stopped holder=one",
        "waits holder=two reason=three leads this store",
        "stopped holder=two",
    ]
