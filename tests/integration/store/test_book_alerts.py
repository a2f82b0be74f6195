"""Alerts about the whole book: raised by its newest forecast, told to the desk alone, cleared."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import governed_books
import pytest
from alert_crash import verified_channel

from models.alerting.policy import Policy, of_tree, tree_of
from models.alerting.policy import default as shipped
from models.alerting.signals import BOOK, Level
from models.alerting.state import REST
from models.errors import InvalidInput
from serving.evaluation.assess import Model
from serving.notify.channels import Destination, SendResult
from serving.notify.dispatcher import Dispatcher, deliver
from serving.notify.message import Message
from serving.store import Store, accounts, alerts, book_forecasts
from serving.store.alerts import DESK, OWNER, Receiver
from serving.watch.watcher import Watcher, cycle, step_book

NOON = governed_books.NOON
MINUTE = timedelta(minutes=1)
TRIGGERS = [
    {"signal": "lar", "raise": 1e6, "clear": 8e5},
    {"signal": "bad_debt", "quantile": "mean", "raise": 5e4, "clear": 4e4},
]


def policy() -> Policy:
    """Return the policy that ships with limits on LaR and bad debt at warning."""
    tree = tree_of(shipped())
    tree["warning"]["triggers"] += TRIGGERS
    tree["warning"]["dwell"] = "10m"
    tree["warning"]["cool_down"] = "0s"
    tree["falls_now_from"] = "warning"
    return of_tree(tree)


def forecast(
    store: Store,
    at: datetime,
    *,
    lar: float = 0.0,
    bad: float = 0.0,
    number: float = 0.1,
    selection: Mapping[str, str | None] = {},
) -> None:
    """Write a forecast that is done: LaR 99 as owners act, mean bad debt, R at a fall by 5 %."""

    def side(factor: float) -> dict[str, Any]:
        quantiles = [{"level": level, "value": lar * factor} for level in (0.95, 0.99)]
        none = [{"level": level, "value": 0.0} for level in (0.95, 0.99)]
        return {
            "liquidated": quantiles,
            "bad_debt": none,
            "mean_liquidated": 0.0,
            "mean_bad_debt": bad,
        }

    methods = {"stressed": {"unattended": side(9.0), "expected": side(1.0)}}
    body = {
        "horizons": {"24h": methods},
        "curve": [
            {"shock": -0.5, "reproduction": 9.0},
            {"shock": -0.05, "reproduction": number},
            {"shock": 0.0, "reproduction": 0.0},
        ],
    }
    name = f"{at.isoformat()}{lar}{bad}{number}{len(selection)}"
    with store.begin() as transaction:
        book_forecasts.begin(transaction, name, {"selection": dict(selection)}, at=at, now=at)
        book_forecasts.update(
            transaction, name, done=1.0, now=at, status=book_forecasts.DONE, body=body
        )


class Desk:
    """A watcher over a small book, a desk and an owner who listen, and a clock set by hand."""

    def __init__(self, store: Store, chosen: Policy) -> None:
        governed_books.lay(store)
        self.store, self.now = store, NOON
        self.sent: list[tuple[str, Message]] = []
        with store.begin() as transaction:
            for name, audience in (("desk", DESK), ("ada", OWNER)):
                one = Receiver(receiver=name, audience=audience)
                alerts.add_receiver(transaction, one, ("thin",), now=NOON)
                verified_channel(transaction, name)
        self.watcher = Watcher(
            store=store,
            model=Model(bundle=None),
            policy=chosen,
            holder="w",
            clock=lambda: self.now,
        )
        cycle(self.watcher)
        self.deliver()
        self.sent.clear()

    def deliver(self) -> None:
        """Send what is due."""

        def send(message: Message, to: Destination) -> SendResult:
            self.sent.append((to.target, message))
            return SendResult("delivered")

        one = Dispatcher(store=self.store, senders={"file": send}, holder="d", spread=lambda: 0.0)
        deliver(one, now=self.now + timedelta(days=1))

    def pass_after(self, minutes: int) -> list[tuple[str, str]]:
        """Return receiver and subject of what a look at the book some minutes later sends."""
        self.now += MINUTE * minutes
        self.sent.clear()
        step_book(self.watcher)
        self.deliver()
        return [(receiver, message.subject) for receiver, message in self.sent]

    def level(self) -> Level:
        """Return the level that the book is on."""
        with self.store.read() as transaction:
            return alerts.states(transaction, [BOOK]).get(BOOK, REST).level


def test_lar_is_raised_to_the_desk_alone_and_cleared_after_its_dwell(store: Store) -> None:
    """Above a million at 99 % as owners act; held at 900,000; left ten minutes below 800,000."""
    desk = Desk(store, policy())
    forecast(store, NOON, lar=999_999.0)
    assert desk.pass_after(1) == []
    forecast(store, NOON + MINUTE, lar=1_250_000.0)
    assert desk.pass_after(1) == [("desk", "[warning] the whole book")]
    assert (
        "LaR of the book within 24 hours is 1,250,000 USD (99%, expected)" in desk.sent[0][1].text
    )
    assert "LaR of the book" in desk.sent[0][1].html
    forecast(store, NOON + MINUTE * 3, lar=900_000.0)
    assert desk.pass_after(20) == []
    forecast(store, NOON + MINUTE * 4, lar=700_000.0)
    assert desk.pass_after(5) == []
    assert desk.level() is Level.WARNING
    assert desk.pass_after(10) == [("desk", "[no alert] the whole book: down from warning")]
    assert desk.level() is Level.NONE


def test_bad_debt_and_the_reproduction_number_raise_it_too(store: Store) -> None:
    """Mean bad debt at its limit; a number of 1 within the shipped tenth, not beyond it."""
    desk = Desk(store, policy())
    forecast(store, NOON, number=0.99)
    assert desk.pass_after(1) == []
    forecast(store, NOON + MINUTE, number=1.0)
    assert desk.pass_after(1) == [("desk", "[warning] the whole book")]
    assert "the reproduction number of the book is 1 up to a fall by 0.1" in desk.sent[0][1].text
    forecast(store, NOON + MINUTE * 2, bad=50_000.0)
    desk.pass_after(20)
    assert desk.level() is Level.WARNING


def test_without_a_fresh_forecast_of_all_accounts_nothing_is_cleared_or_raised(
    store: Store,
) -> None:
    """A part of the book says nothing of the whole; without a fresh one patience is kept."""
    desk = Desk(store, policy())
    forecast(store, NOON, lar=9e9, selection={"venue": "maker"})
    forecast(store, NOON - timedelta(hours=30), lar=9e9)
    assert desk.pass_after(1) == []
    assert desk.level() is Level.NONE
    forecast(store, NOON + MINUTE, lar=2e6)
    desk.pass_after(1)
    for _ in range(26):  # until the forecast is as old as one may be
        desk.pass_after(60)
    desk.pass_after(4 * 60)
    assert desk.level() is Level.WARNING
    desk.pass_after(3 * 60)  # the policy's patience of six hours is over
    assert desk.level() is Level.NONE


def test_no_account_may_be_called_as_the_book_is(store: Store) -> None:
    """An account of that name would take the book's place."""
    body = {**governed_books.vault("thin", 200), "id": BOOK}
    with pytest.raises(InvalidInput) as refused, store.begin() as transaction:
        accounts.upsert(transaction, [body], at=NOON, now=NOON)
    assert [fault.where for fault in refused.value.faults] == ["/0/id"]
