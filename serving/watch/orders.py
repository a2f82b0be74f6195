"""Orders of a pass: what is withdrawn or judged, and what is made anew where a trigger fires.

What is decided is decided before the pass is written, and written with it in one transaction: an
order that a keeper has accepted meanwhile stays as it is, and a second one of a trigger cannot
be written. An order that cannot be made in time is made on the next pass; no alarm waits for it.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from functools import partial

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import structs

from models.alerting.signals import Signal
from models.domain import MarketId
from models.errors import ForewarnError
from models.margin.trigger import BREACHED
from models.orders.mandate import DAY
from models.orders.order import State, View
from serving.evaluation.assess import Model
from serving.evaluation.inputs import AccountInput, MarketSnapshot
from serving.orders import keeping
from serving.orders.drafting import (
    Maker,
    doubts_of,
    holdings,
    identity,
    legs_text,
    order_row,
    planned,
    relied_on,
    trigger_of,
)
from serving.orders.judging import outcome_of, unseen
from serving.schemas.orders import MandateBody
from serving.store import Store, Transaction, orders
from serving.store.orders import MandateRow, OrderRow
from serving.store.outbox import OutboxMessage
from serving.watch.time_limit import TimeLimit, TimeLimitReached

LOGGER = logging.getLogger("forewarn.watch")
EACH = 2.0
"""Seconds that one order may take to be made."""

TOGETHER = 4.0
"""Seconds that all orders of a pass may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """What a pass found.

    Parameters
    ----------
    cases, signals
        By account, of those that were judged.
    """

    cases: Mapping[str, AccountInput]
    signals: Mapping[str, Signal]
    around: MarketSnapshot
    model: Model
    now: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """What is to be written.

    Parameters
    ----------
    changed
        Orders as they were read and as they become.
    made
        New orders, with who is told of each.
    """

    changed: tuple[tuple[OrderRow, OrderRow], ...] = ()
    made: tuple[tuple[OrderRow, str | None], ...] = ()

    def write(self, transaction: Transaction) -> list[OutboxMessage]:
        """Write all of it and return the messages that tell of it; what fails is left out.

        Orders before mandates, as everybody takes them: nobody waits for who waits for them.
        """
        if not self.changed and not self.made:
            return []
        messages: list[OutboxMessage] = []
        try:
            with transaction.begin_nested():
                keeping.write_changes(transaction, self.changed)
                pairs = sorted(self.made, key=lambda pair: (pair[0].mandate, pair[0].id))
                for row, receiver in pairs:
                    messages += keeping.write_new(transaction, row, receiver=receiver)[1]
        except Exception:  # the watching loop: alarms are written without orders
            LOGGER.exception("orders could not be written")
            return []
        return messages


@dataclass(slots=True)
class _Making:
    """Orders in the making.

    Parameters
    ----------
    taken
        Triggers whose order is live; one that is judged or has failed in this pass holds its own
        until the next.
    freed
        Triggers whose order this pass withdraws: another may follow at once.
    """

    store: Store
    judged: Pass
    key: Ed25519PrivateKey
    budget: TimeLimit
    end: float
    taken: frozenset[str]
    freed: frozenset[str]
    made: list[tuple[OrderRow, str | None]] = field(default_factory=list)


def decided(
    store: Store,
    judged: Pass,
    key: Ed25519PrivateKey | None,
    *,
    timer: Callable[[], float] = time.monotonic,
) -> Decided:
    """Return what a pass does to orders; nothing where that fails: no alarm waits for it.

    Parameters
    ----------
    key
        That seals orders; without one none is made, and those that live are looked after.
    """
    try:
        return _decided(store, judged, key, timer)
    except Exception:  # the watching loop: an alarm leaves without its order
        LOGGER.exception("orders could not be decided on")
        return Decided()


def _decided(
    store: Store, judged: Pass, key: Ed25519PrivateKey | None, timer: Callable[[], float]
) -> Decided:
    """Return what a pass does to orders."""
    with store.read() as transaction:
        live = orders.live(transaction)
        covered = orders.covering(transaction, sorted(judged.cases), at=judged.now)
        by_id = {row.id: row for rows in covered.values() for row in rows}
        for row in live:
            if row.mandate not in by_id:
                mandate = orders.mandate(transaction, row.mandate)
                by_id |= {} if mandate is None else {row.mandate: mandate}
    changed = tuple(_changed(live, by_id, judged))
    freed = frozenset(row.trigger for _, row in changed if row.state == State.WITHDRAWN)
    if key is None or not covered:
        if covered:
            LOGGER.warning("no order is made of %d accounts: no key seals orders", len(covered))
        return Decided(changed=changed)
    making = _Making(
        store=store,
        judged=judged,
        key=key,
        budget=TimeLimit(timer),
        end=timer() + TOGETHER,
        taken=frozenset(row.trigger for row in live) - freed,
        freed=freed,
    )
    for account, mandates in covered.items():
        for mandate_row in mandates:
            _attempt(making, account, mandate_row, left=making.end - timer())
    return Decided(changed=changed, made=tuple(making.made))


def sweep(store: Store, *, now: datetime) -> int:
    """Look after live orders by the clock alone, between passes; return how many moved on.

    What is over by the clock is withdrawn though no account changed and no price came.
    """
    with store.read() as transaction:
        live = orders.live(transaction)
    changed = [
        (row, after)
        for row in live
        if (after := keeping.settle(row, View(at=max(now, row.moved_at)), partial(unseen, now)))
    ]
    if not changed:
        return 0
    with store.begin() as transaction:
        return len(keeping.write_changes(transaction, changed))


def _changed(
    live: Sequence[OrderRow], by_id: Mapping[str, MandateRow], judged: Pass
) -> Iterator[tuple[OrderRow, OrderRow]]:
    """Yield the live orders that time, prices or their accounts have moved on."""
    for row in live:
        mandate = by_id.get(row.mandate)
        try:
            view = view_of(row, mandate, judged)
            after = keeping.settle(row, view, partial(outcome_of, row, judged.cases, at=judged.now))
        except Exception:  # the watching loop: the order stays, and expires
            LOGGER.exception("order %s could not be looked after", row.id)
            continue
        if after is not None:
            yield row, after


def view_of(row: OrderRow, mandate: MandateRow | None, judged: Pass) -> View:
    """Return what is known now of what an order depends on."""
    names = [each["account"] for each in row.body["accounts"]]
    prices: dict[str, Fraction] = {}
    for each in row.body["accounts"]:
        whose = MarketId(each["venue"], each["market"], each["chain"])
        market, _ = judged.around.market_of(whose, None)
        prices |= relied_on(market, row.body["prices"], judged.now)
    signal = judged.signals.get(row.account)
    is_needed = None
    if mandate is not None and signal is not None and row.body["trigger"] != "request":
        is_needed = fired(MandateBody.model_validate(mandate.body), signal) is not None
    return View(
        at=max(judged.now, row.moved_at),
        prices=prices,
        legs={
            name: legs_text(holdings(judged.cases[name].account))
            for name in names
            if name in judged.cases
        },
        doubts=doubts_of(judged.cases[name] for name in names if name in judged.cases),
        is_in_force=mandate is not None and mandate.is_in_force(judged.now),
        is_needed=is_needed,
    )


def fired(body: MandateBody, signal: Signal) -> tuple[str, str] | None:
    """Return what of a mandate's trigger fires on an account, and what it read."""
    stated = body.trigger
    chances = signal.unattended if stated.head == "unattended" else signal.expected
    return stated.as_trigger().fires(
        probability=chances.get(stated.horizon),
        buffer=signal.buffer,
        is_breached=signal.verdict in BREACHED,
    )


def _attempt(making: _Making, account: str, row: MandateRow, *, left: float) -> None:
    """Make the order of an account where its trigger fires; one that fails is left out."""
    judged, trigger = making.judged, trigger_of(row.id, account)
    try:
        body = MandateBody.model_validate(row.body)
        fires = fired(body, judged.signals[account])
        if fires is None or trigger in making.taken or _is_resting(making, trigger, body):
            return
        making.budget.start(min(EACH, left))
        making.budget.check()
        case = judged.cases[account]
        case = structs.replace(case, rulebook=making.budget.limited(case.rulebook))
        maker = Maker(model=judged.model, around=judged.around, key=making.key, now=judged.now)
        order = identity(judged.now)
        draft = planned(case, row, maker, order=order, fired=fires)
        if draft is None:
            return
        with making.store.read() as transaction:
            spent = orders.spent(transaction, row.id, since=judged.now - DAY)
        made = order_row(draft, row, maker, order=order, spent=spent)
    except TimeLimitReached:
        LOGGER.warning("no order of %s: it took too long", account[:80])
    except ForewarnError as error:
        LOGGER.warning("no order of %s: %s", account[:80], error)
    except Exception:  # the watching loop: the alarm leaves without an order
        LOGGER.exception("no order of %s", account[:80])
    else:
        making.made.append((made, body.receiver))


def _is_resting(making: _Making, trigger: str, body: MandateBody) -> bool:
    """Return whether the last order of a trigger ended too short a while ago.

    What was withdrawn was never acted on: another may follow at once.
    """
    if trigger in making.freed:
        return False
    with making.store.read() as transaction:
        last = orders.last_of(transaction, trigger)
    if last is None or last.state == State.WITHDRAWN:
        return False
    return making.judged.now < last.moved_at + body.as_limits().pause
