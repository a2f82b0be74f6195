"""The demonstration's market moves on from the book that stands still, and its alerts are told."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import local
import pytest

from features.simulate import SimulatedBook, simulate, simulate_onward
from models.alerting.signals import Level, Route, TransitionKind
from serving.application.sample_book import lay
from serving.application.scoring import ScoringService
from serving.demo.market import STRIDE, run, steps, subscribe
from serving.demo.run import ACCOUNTS, CHAMPION, DAYS, falls, lay_all
from serving.demo.venues import draw, nowhere
from serving.evaluation.assess import Model
from serving.http.admission import Admission, Keyring
from serving.http.app import Api
from serving.http.routing import routes
from serving.routes import OPERATIONS, book
from serving.settings import Settings
from serving.store import Store, accounts, alerts, assessments, leases, market, open_store, outbox
from serving.store.assessments import AccountFilter
from serving.store.leases import TURN

HOURS = 20


@pytest.fixture(scope="module")
def drawn() -> tuple[SimulatedBook, SimulatedBook]:
    """Return a book and the same one after a crash by a fifth."""
    return simulate_onward(seed=9, days=40, accounts=30, hours=HOURS, falls={4: -0.1, 5: -0.12})


@pytest.fixture
def store(drawn: tuple[SimulatedBook, SimulatedBook], book_url: str) -> Iterator[Store]:
    """Return a store with the book as it stands at first, and those who are told."""
    found = open_store(book_url)
    lay(drawn[0], found)
    subscribe(found, now=drawn[0].at)
    yield found
    found.close()


def test_what_moves_begins_as_what_stands_still(drawn: tuple[SimulatedBook, SimulatedBook]) -> None:
    """Both are drawn alike up to the start; what happens later leaves no trace before it."""
    before, after = drawn
    still = simulate(seed=9, days=40, accounts=30)
    assert before.candles.equals(still.candles)
    assert before.events.equals(still.events)
    assert before.accounts.equals(still.accounts)
    assert after.candles.iloc[: len(still.candles)].equals(still.candles)


def test_steps_tell_every_event_once_and_in_time(
    drawn: tuple[SimulatedBook, SimulatedBook],
) -> None:
    """A step every stride, none with an event of its future, and all events in all."""
    told = list(steps(*drawn))
    assert len(told) == HOURS * 3
    assert [step.hour for step in told[:4]] == [None, None, 961, None]
    assert all(s.at - STRIDE < e["at"] <= s.at for s in told for e in s.events)
    new = drawn[1].events["at"] > drawn[0].at
    assert sum(len(step.events) for step in told) == new.sum() > 10


def test_a_book_that_lives_on_ends_as_it_was_drawn(
    drawn: tuple[SimulatedBook, SimulatedBook], store: Store
) -> None:
    """Holdings and clock are those of the later book; liquidated owners were told, all of them."""
    before, after = drawn
    run(store, before, after, venues=nowhere(after), bundle=None, rest=lambda _: None)
    held = after.accounts.set_index("account")
    with store.read() as transaction:
        assert market.clock(transaction, now=before.at) == after.at
        found = accounts.read(transaction, accounts.keys(transaction))
        told = alerts.transitions(transaction)
        counts = outbox.counts(transaction)
        dead = {one.receiver for one in outbox.dead_letters(transaction)}
    for name, body in found.items():
        assert [leg["quantity"] for leg in body["legs"]] == [
            str(held.loc[name, "ink"]),
            str(held.loc[name, "art"]),
        ]
    happened = after.events[(after.events["at"] > before.at) & (after.events["kind"] == 4)]
    liquidated = {one.account for one in told if one.level is Level.LIQUIDATED}
    assert liquidated >= set(happened["account"])
    assert len(happened) >= 3
    assert set(counts) == {"sent", "dead"}
    assert dead <= {"owner-4"}


def test_the_demonstration_is_quiet_until_its_crash_and_not_then(tmp_path: Path) -> None:
    """Before it a watch on one account in fifteen at most; after it critical ones, told at once.

    By the policy and the bundle that ship: a warning needs owners who are all but sure to fail.
    """
    crash = 2
    laid = falls(crash)
    before, after = simulate_onward(seed=7, days=DAYS, accounts=ACCOUNTS, hours=6, falls=laid)
    store = open_store(f"sqlite:///{tmp_path / 'book.db'}")
    lay_all(before, store, seed=7)
    drawn_elsewhere = draw(after, seed=7, at=len(before.candles), falls=laid)
    run(store, before, after, venues=drawn_elsewhere, bundle=CHAMPION, rest=lambda _: None)
    with store.read() as transaction:
        book_size = len(accounts.keys(transaction))
        raised = [
            one for one in alerts.transitions(transaction) if one.kind is TransitionKind.RAISED
        ]
    store.close()
    calm = [one for one in raised if one.at < before.at + crash * timedelta(hours=1)]
    assert {one.level for one in calm} == {Level.WATCH}
    assert 0 < len(calm) <= book_size / 15
    assert {one.level for one in raised} >= {Level.WATCH, Level.CRITICAL, Level.LIQUIDATED}
    assert len({one.account for one in raised}) < book_size / 2
    critical = [one for one in raised if one.level is Level.CRITICAL]
    assert {one.route for one in critical} == {Route.NOW}
    reasons = {cause.signal for one in critical for cause in one.causes}
    assert {"verdict", "next_verdict"} <= reasons


def test_a_market_that_stands_still_is_judged_once(
    drawn: tuple[SimulatedBook, SimulatedBook], store: Store
) -> None:
    """Nothing moves; one pass is written, and what was said of every account."""
    run(store, *drawn, venues=nowhere(drawn[1]), bundle=None, rest=lambda _: None, most=0)
    with store.read() as transaction:
        assert market.clock(transaction, now=drawn[1].at) == drawn[0].at
        assert leases.beats(transaction)[TURN][1] == 1
        said = [one.assessed for one in assessments.explore(transaction, AccountFilter())]
    assert len(said) == 27
    assert {one.at for one in said if one is not None} == {drawn[0].at}


def test_the_book_kept_by_the_watch_is_the_book_judged_anew(
    drawn: tuple[SimulatedBook, SimulatedBook], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shocks, bands and sums read from the store are those of every account judged now."""
    run(store, *drawn, venues=nowhere(drawn[1]), bundle=None, rest=lambda _: None, most=0)
    desk = ScoringService(model=Model(bundle=None), store=store)
    caller = local.Caller(
        Api(routes(OPERATIONS), desk=desk, gate=Admission(Settings(), Keyring(None)))
    )
    now = caller.get("/v1/book").json()
    monkeypatch.setattr(book, "SMALL", 0)
    kept = caller.get("/v1/book").json()
    one = caller.get("/v1/book", params={"venue": "elsewhere"}).json()
    caller.close()
    assert kept["as_of"] == now["as_of"]
    assert (kept["accounts"], kept["shocks"], kept["bands"]) == (27, now["shocks"], now["bands"])
    assert {shock["asset"] for shock in kept["shocks"]} == {"ETH", "*"}
    assert (one["accounts"], one["shocks"]) == (0, [])
