"""The demonstration's market in motion: a simulated past that goes on, watched and told of.

Run as a process of its own beside the service:
`python -m serving.demo.market URL SEED PACE CRASH`. Each
step moves the store's own clock, lets the owners act who do so by then, judges the accounts as
the watch does, and delivers what it writes into a sink that reaches nobody.
"""

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd

from features.simulate import ASSET, MARKET, SimulatedBook, simulate_onward
from models.alerting.policy import default
from serving.application import book_risk
from serving.application.deployment import read_deployment
from serving.application.sample_book import VAULTS, logged, price_at
from serving.application.scoring import ScoringService
from serving.demo import venues as elsewhere
from serving.demo.run import (
    ACCOUNTS,
    CHAMPION,
    DAYS,
    HOURS,
    announcement,
    crash_at,
    falls,
)
from serving.demo.venues import Venues
from serving.evaluation.assess import Model
from serving.notify.channels import Destination, SendResult
from serving.notify.dispatcher import Dispatcher, deliver
from serving.notify.message import Message
from serving.process import stoppable
from serving.schemas.book_risk import ForecastBody
from serving.store import Store, Transaction, accounts, alerts, consents, market, open_store
from serving.store.alerts import DESK, OWNER, Receiver
from serving.watch.watcher import Watcher, cycle

HOUR = timedelta(hours=1)
STRIDE = timedelta(minutes=20)
"""By which the clock moves."""

WHOLE = timedelta(hours=2)
"""Within which, by the simulated clock, every account is judged."""

FORESEEN = timedelta(hours=6)
"""Between two forecasts of the whole book, by the simulated clock."""

SCENARIOS = 200
"""Of each, so that the market need not wait for it."""

OWNERS = 4
"""Who share the accounts; enough to see who is told of what."""

SINK, CLOSED = "simulated sink", "simulated sink that takes nothing"
ACTOR = "demonstration"
HOLDER = "demonstration"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What becomes known when the clock moves to a moment.

    Parameters
    ----------
    hour
        Hours since the book began, where the moment is on an hour; candle and price are new then.
    events
        What owners and liquidators did since the step before.
    """

    at: datetime
    hour: int | None
    events: tuple[dict[str, Any], ...]


def steps(before: SimulatedBook, after: SimulatedBook) -> Iterator[Step]:
    """Yield every step from one book to the same one later."""
    new = after.events[after.events["at"] > pd.Timestamp(before.at)].sort_values("at")
    events = list(logged(new))
    at, place = before.at, 0
    while at < after.at:
        at += STRIDE
        end = place
        while end < len(events) and events[end]["at"] <= at:
            end += 1
        hours, rest = divmod(at - before.started_at, HOUR)
        yield Step(at=at, hour=None if rest else hours, events=tuple(events[place:end]))
        place = end


def play(store: Store, book: SimulatedBook, venues: Venues, step: Step) -> None:
    """Let one step happen in the store, all of it at once."""
    with store.begin() as transaction:
        if step.hour is not None:
            market.push_candles(transaction, book.candles.iloc[step.hour - 1 : step.hour])
            price = price_at(book, step.hour)
            market.push_prices(transaction, [(ASSET, price)], now=step.at)
            elsewhere.play(transaction, venues, at=step.at)
        rates = {f"{MARKET}.rate": book.rate_at(step.at)}
        market.push_state(transaction, VAULTS, rates, at=step.at)
        accounts.push_events(transaction, list(step.events), now=step.at)
        market.write_notes(transaction, {"clock": step.at.isoformat()})


def subscribe(store: Store, *, now: datetime) -> None:
    """Lay a desk and some owners, each behind a channel that ends in the sink.

    The last owner's first channel takes nothing: there is a dead letter and a fallback to see.
    """
    with store.begin() as transaction:
        names = accounts.keys(transaction)
        alerts.add_receiver(transaction, Receiver(receiver="desk", audience=DESK), (), now=now)
        _channel(transaction, "desk", SINK, now=now)
        for number in range(OWNERS):
            owner = Receiver(receiver=f"owner-{number + 1}", audience=OWNER)
            alerts.add_receiver(transaction, owner, names[number::OWNERS], now=now)
            _channel(transaction, owner.receiver, SINK, now=now, rank=1)
        _channel(transaction, f"owner-{OWNERS}", CLOSED, now=now)


def announce(store: Store, crash: int) -> None:
    """Let the pages say what comes, until it begins."""
    notes = {
        market.ANNOUNCED: announcement(crash),
        market.ANNOUNCED_UNTIL: crash_at(crash).isoformat(),
    }
    with store.begin() as transaction:
        market.write_notes(transaction, notes)


def _channel(
    transaction: Transaction, receiver: str, target: str, *, now: datetime, rank: int = 0
) -> None:
    """Add a channel of the sink and verify it."""
    channel = consents.add(
        transaction,
        receiver=receiver,
        kind=SINK,
        target=target,
        secrets_=(),
        rank=rank,
        actor=ACTOR,
        now=now,
    )
    code = consents.challenge(transaction, channel, actor=ACTOR, now=now)
    consents.confirm(transaction, channel, code, actor=ACTOR, now=now)


def sink(message: Message, to: Destination) -> SendResult:  # noqa: ARG001 - as every sender
    """Take a message and send it nowhere: it stays in the store's outbox, marked as sent."""
    if to.target == CLOSED:
        return SendResult("never", "this simulated channel takes nothing")
    return SendResult("delivered")


def run(
    store: Store,
    before: SimulatedBook,
    after: SimulatedBook,
    *,
    venues: Venues,
    bundle: Path | None,
    rest: Callable[[float], None],
    most: int | None = None,
    is_foreseen: bool = False,
) -> None:
    """Watch the book as it stands, then let it live on.

    Parameters
    ----------
    is_foreseen
        Whether the whole book is forecast every few hours, for what came true to stand beside.
    rest
        Called after each step with the seconds that it took.
    most
        Steps after which nothing moves any more; None for as many as there are.
    """
    now = [before.at]
    watcher = Watcher(
        store=store,
        model=read_deployment(bundle).model,
        policy=default(),
        holder=HOLDER,
        clock=lambda: now[0],
        whole=WHOLE,
    )
    dispatcher = Dispatcher(store=store, senders={SINK: sink}, holder=HOLDER)
    _watch(watcher, dispatcher, now[0])
    strides = FORESEEN // STRIDE
    for number, step in enumerate(steps(before, after)):
        began = time.monotonic()
        if is_foreseen and number % strides == 0:
            foresee(store, now=now[0])
        if number == most:
            return
        play(store, after, venues, step)
        now[0] = step.at
        _watch(watcher, dispatcher, step.at)
        rest(time.monotonic() - began)


def _watch(watcher: Watcher, dispatcher: Dispatcher, now: datetime) -> None:
    """Judge what is due and deliver what waits."""
    cycle(watcher)
    deliver(dispatcher, now=now)


def foresee(store: Store, *, now: datetime) -> None:
    """Forecast the whole book as it stands, and keep it."""
    desk = ScoringService(model=Model(bundle=None), store=store, clock=lambda: now)
    book_risk.forecast(desk, store, ForecastBody(scenarios=SCENARIOS))


def main(url: str, seed: int, pace: float, crash: int) -> None:
    """Let the market of a store move until SIGTERM.

    Parameters
    ----------
    pace
        Real seconds that a simulated hour takes; 0 judges the book once and moves nothing.
    crash
        Hours until the first crash.
    """
    laid = falls(crash)
    before, after = simulate_onward(
        seed=seed, days=DAYS, accounts=ACCOUNTS, hours=HOURS, falls=laid
    )
    venues = elsewhere.draw(after, seed=seed, at=len(before.candles), falls=laid)
    seconds = pace * (STRIDE / HOUR)
    store = open_store(url)
    with stoppable():
        subscribe(store, now=before.at)
        if pace:
            announce(store, crash)
        run(
            store,
            before,
            after,
            venues=venues,
            bundle=CHAMPION if (CHAMPION / "bundle.json").is_file() else None,
            rest=lambda taken: time.sleep(max(seconds - taken, 0.0)),
            most=None if pace else 0,
            is_foreseen=True,
        )
    store.close()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]))
