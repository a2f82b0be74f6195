"""The watcher's turns: the nearest first, whatever is under way; and the commands beside it."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from alert_crash import verified_channel
from typer.testing import CliRunner

from features.simulate import ASSET, MARKET, SimulatedBook, simulate_onward
from models.alerting.evidence import evidence
from models.alerting.policy import default
from serving.application.deployment import read_deployment
from serving.application.sample_book import lay, price_at
from serving.cli import alerts as commands
from serving.evaluation.assess import Model
from serving.notify.liveness import Watchdog
from serving.notify.subscriptions import rotate
from serving.store import Store, accounts, alerts, consents, leases, market, open_store, outbox
from serving.store.alerts import DESK, Receiver
from serving.store.leases import WATCHING
from serving.watch import evaluation, state
from serving.watch.evaluation import Evaluation
from serving.watch.watcher import Watcher, cycle
from training.replay.replay_report import scaled

NOW = datetime(2030, 3, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def drawn() -> tuple[SimulatedBook, SimulatedBook]:
    """Return a book and the same one an hour later."""
    return simulate_onward(seed=9, days=40, accounts=30, hours=1, falls={})


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Return an empty store."""
    found = open_store(f"sqlite:///{tmp_path / 'book.db'}")
    yield found
    found.close()


def watcher(store: Store, at: datetime) -> Watcher:
    """Return a watcher whose clock stands."""
    return Watcher(
        store=store,
        model=Model(bundle=None),
        policy=default(),
        holder="test",
        clock=lambda: at,
    )


def test_a_price_during_a_round_puts_the_nearest_first(
    drawn: tuple[SimulatedBook, SimulatedBook], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The step after a price begins with the account nearest the line, though others wait."""
    before, after = drawn
    lay(before, store)
    monkeypatch.setattr(state, "CHUNK", 5)
    one = watcher(store, before.at)
    while cycle(one):
        pass
    one.memory.changed.update(dict.fromkeys(one.memory.bodies))
    assert cycle(one) == 5
    with store.begin() as transaction:
        price = price_at(after, len(after.candles))
        market.push_prices(transaction, [(ASSET, price)], now=after.at)
    one.memory.crossed.clear()
    with store.read() as transaction:
        state.read(transaction, one.memory, at=before.at, seconds=0.0)
    waiting = [*one.memory.crossed, *one.memory.changed]
    assert state.due(one.memory, seconds=0.0, whole=one.whole) == waiting[:5]
    nearest = min(one.memory.bodies, key=lambda key: _ratio(store, key))
    assert next(iter((*one.memory.crossed, *one.memory.near))) == nearest


def test_a_venue_that_a_bundle_comes_to_know_is_watched_as_known(
    drawn: tuple[SimulatedBook, SimulatedBook], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a bundle, by one that saw others and by a promoted one: each says whom it knows."""
    champion = read_deployment(Path(__file__).parents[2] / "models" / "champion").model.bundle
    assert champion is not None
    known = replace(champion, provenance={**champion.provenance, "markets": [f"maker/{MARKET}"]})
    other = replace(champion, provenance={**champion.provenance, "markets": ["maker/OTHER"]})
    lay(drawn[0], store)
    passes: list[Evaluation] = []
    wide = scaled(default(), 5.0)

    def evaluate(*arguments: Any, **named: Any) -> Evaluation:
        passes.append(evaluation.evaluate(*arguments, **named))
        return passes[-1]

    monkeypatch.setattr("serving.watch.watcher.evaluate", evaluate)
    one = watcher(store, drawn[0].at)
    causes = []
    for bundle in (None, other, known):
        one.model = Model(bundle=bundle)
        one.memory.changed.update(dict.fromkeys(one.memory.bodies))
        passes.clear()
        while cycle(one):
            pass
        told = [signal for each in passes for signal in each.signals]
        assert {signal.is_unseen for signal in told} == {bundle is not known}
        found = [evidence(signal, signal.at, wide) for signal in told]
        causes.append({cause.signal for each in found for cause in each.causes})
    assert "sigmas" not in causes[0] | causes[1]
    assert {"buffer", "next_buffer"} <= causes[0] & causes[1]
    assert "sigmas" in causes[2]
    assert "next_buffer" not in causes[2]


def _ratio(store: Store, account: str) -> float:
    """Return collateral per debt of a stored account."""
    with store.read() as transaction:
        held = accounts.read(transaction, [account])[account]["legs"]
    return int(held[0]["quantity"]) / int(held[1]["quantity"])


def test_an_account_that_changed_is_read_anew(
    drawn: tuple[SimulatedBook, SimulatedBook], store: Store
) -> None:
    """What was parsed before does not outlive a new position."""
    lay(drawn[0], store)
    at = [drawn[0].at]
    one = watcher(store, at[0])
    one.clock = lambda: at[0]
    cycle(one)
    name = min(one.memory.bodies)
    with store.begin() as transaction:
        body = accounts.read(transaction, [name])[name]
        debt = {**body["legs"][1], "quantity": str(int(body["legs"][1]["quantity"]) * 10)}
        changed = {**body, "opened_at": None, "legs": [body["legs"][0], debt]}
        accounts.upsert(transaction, [changed], at=at[0], now=at[0] + timedelta(minutes=1))
    at[0] += timedelta(minutes=2)
    cycle(one)
    with store.read() as transaction:
        assert alerts.states(transaction, [name])[name].level == 3


def test_a_living_process_tells_of_another_that_stopped_once(store: Store) -> None:
    """A look a minute; the same stop has the same key, so that a desk hears of it once."""
    with store.begin() as transaction:
        alerts.add_receiver(transaction, Receiver(receiver="d", audience=DESK), (), now=NOW)
        verified_channel(transaction, "d")
        leases.beat(transaction, WATCHING, now=NOW)
        leases.beat(transaction, "alert_pass", now=NOW - timedelta(minutes=6), detail=1)
    lookout = Watchdog(store)
    for seconds in (0, 30, 60, 120):
        lookout.look(NOW + timedelta(seconds=seconds))
    with store.read() as transaction:
        assert outbox.counts(transaction) == {"waiting": 1}


def test_the_commands_prune_and_rotate(store: Store) -> None:
    """A webhook's new secret is printed; the old one is kept beside it."""
    url = str(store.engine.url)
    with store.begin() as transaction:
        alerts.add_receiver(transaction, Receiver(receiver="d", audience=DESK), (), now=NOW)
        channel = verified_channel(transaction, "d", kind="webhook")
    told = CliRunner().invoke(commands.app, ["alerts", "rotate", channel, "--store", url])
    assert told.exit_code == 0
    with store.read() as transaction:
        assert told.output.split() == ["secret", *consents.signing_secrets(transaction, channel)]
    newest = rotate(store, channel, actor="test", now=NOW)
    with store.read() as transaction:
        assert consents.signing_secrets(transaction, channel)[0] == newest
    unknown = CliRunner().invoke(commands.app, ["alerts", "rotate", "nobody", "--store", url])
    assert unknown.exit_code == 2
    pruned = CliRunner().invoke(commands.app, ["alerts", "prune", "--store", url])
    assert pruned.output == "removed: 0 assessments, 0 signals, 0 messages\n"


@pytest.mark.parametrize("wish", [["acknowledge"], ["mute", "--hours", "2"]])
def test_a_wish_about_an_unknown_account_is_refused(store: Store, wish: list[str]) -> None:
    """As over HTTP: nothing is written for a name that was mistyped."""
    name, *options = wish
    url = str(store.engine.url)
    told = CliRunner().invoke(commands.app, ["alerts", name, "vau1t-1", *options, "--store", url])
    assert told.exit_code == 2
    assert told.stderr == "account: the store knows no account 'vau1t-1'\n"
    with store.read() as transaction:
        assert alerts.states(transaction, ["vau1t-1"]) == {}
