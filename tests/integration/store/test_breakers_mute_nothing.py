"""Whatever breakers are open, the same alerts are raised and delivered."""

from collections.abc import Sequence
from datetime import timedelta
from fractions import Fraction
from pathlib import Path

import pytest
from alert_crash import verified_channel
from local import book as simulated_book

from features.simulate import ASSET
from models.alerting.policy import default
from models.alerting.signals import Level
from models.domain import Price
from models.parameters.breakers import Breaker, Effect, Signal
from serving.application import breaker_board
from serving.application.deployment import read_deployment
from serving.application.sample_book import lay, price
from serving.notify.channels import Destination, SendResult
from serving.notify.dispatcher import Dispatcher, deliver
from serving.notify.message import Message
from serving.store import alerts, market, open_store
from serving.store.alerts import DESK, Receiver
from serving.watch import plans
from serving.watch.watcher import Watcher, cycle

CHAMPION = Path(__file__).parents[3] / "models" / "champion"
FALLS = (Fraction(1), Fraction(85, 100), Fraction(60, 100))
"""Of every price, a pass of the watch each."""


def told(place: Path, effects: Sequence[Effect]) -> tuple[set[tuple[str, str, str]], list[str]]:
    """Return critical transitions and what was delivered over a crash, breakers open or none."""
    book = simulated_book()
    begun = price(book).value
    store = open_store(f"sqlite:///{place}")
    lay(book, store)
    at = book.at
    with store.begin() as transaction:
        one = Receiver(receiver="desk", audience=DESK)
        alerts.add_receiver(transaction, one, (), now=at)
        verified_channel(transaction, "desk")
        for effect in effects:
            breaker = Breaker(
                name=effect.value,
                signal=Signal.LOG_FAULT,
                trip=1.0,
                clear=0.0,
                hold=1,
                shortest=timedelta(0),
                longest=timedelta(days=1),
                effects=(effect,),
            )
            breaker_board.put(transaction, breaker, actor="gov", at=at)
            breaker_board.by_hand(
                transaction, breaker.name, is_trip=True, reason="drill", actor="gov", at=at
            )
    sent: list[str] = []

    def send(message: Message, to: Destination) -> SendResult:
        sent.append(f"{to.key} {message.subject}\n{message.text}")
        return SendResult("delivered")

    model = read_deployment(CHAMPION).model
    watcher = Watcher(store=store, model=model, policy=default(), holder="w", clock=lambda: at)
    for number, fall in enumerate(FALLS):
        at = book.at + timedelta(minutes=number)
        fallen = Price(value=int(begun * fall), decimals=18, observed_at=at, source="crash")
        with store.begin() as transaction:
            market.write_notes(transaction, {"clock": at.isoformat()})
            market.push_prices(transaction, [(ASSET, fallen)], now=at)
        while cycle(watcher):
            at += timedelta(microseconds=1)
        one_way = Dispatcher(store=store, senders={"file": send}, holder="d", spread=lambda: 0.0)
        deliver(one_way, now=at + timedelta(minutes=1))
    with store.read() as transaction:
        made = alerts.transitions(transaction)
    store.close()
    critical = {
        (each.account, each.kind.value, each.level.name)
        for each in made
        if each.level >= Level.CRITICAL
    }
    return critical, sorted(sent)


def test_critical_alerts_are_the_same_with_every_breaker_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not one less, not one later, and in the very words: whatever breakers do is elsewhere."""
    # How many plans a pass has time for is the machine's matter.
    for limit in ("EACH", "TOGETHER"):
        monkeypatch.setattr(plans, limit, 3600.0)
    without = told(tmp_path / "without.sqlite3", ())
    with_all = told(tmp_path / "with.sqlite3", tuple(Effect))
    critical, sent = without
    assert len(critical) > 5
    assert any("CRITICAL" in each for row in critical for each in row)
    assert sent
    assert with_all == without
