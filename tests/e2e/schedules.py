"""A random schedule of writers, watchers and dispatchers on one store, step by step.

Every step one of them does one thing: a writer begins or commits, a watcher takes a turn, fails
in the middle of one or dies, a dispatcher sends, a channel is stopped. Everything is drawn from
a seed; nothing waits for a real clock.
"""

import contextlib
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from alert_crash import verified_channel

from models.alerting.policy import default
from models.domain import MarketId, Price
from serving.evaluation.assess import Model
from serving.notify.channels import Destination, SendResult
from serving.notify.dispatcher import Dispatcher, deliver
from serving.notify.message import Message
from serving.store import (
    Store,
    StoreFailed,
    Transaction,
    accounts,
    alerts,
    consents,
    market,
    outbox,
)
from serving.store.alerts import DESK, OWNER, Receiver
from serving.store.leases import WHOLE_BOOK, Part
from serving.watch.step import LEASE, LeadLost
from serving.watch.watcher import Watcher, cycle

START = datetime(2030, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
RAY = 10**27
WAD = 10**18
ASSETS = ("SOL", "AVAX-PERP 库")
"""Of the perpetuals; vaults hold ETH."""

PRICES = (60, 80, 100, 125, 150)
SIZES = (-60, -20, 20, 60)
DEBTS = (50, 80, 100)
"""DAI per ETH of a vault, which must be covered one and a half times."""

CASH = 3000
NAMES = (*(f"perp {n}/ü" for n in range(8)), *(f"vault-{n}" for n in range(4)))


class Killed(Exception):  # noqa: N818 - what happened
    """A process ended in the middle of a turn."""


@dataclass(slots=True)
class World:
    """Everything that takes part.

    Parameters
    ----------
    holdings
        What every account holds by the writes that were committed: size, or debt per ETH.
    prices
        By asset, by the writes that were committed: when it was observed and what it was.
    sent
        Key, target, and whether the channel was stopped already.
    """

    store: Store
    chance: random.Random
    now: datetime = START
    holdings: dict[str, int] = field(default_factory=dict)
    prices: dict[str, tuple[datetime, int]] = field(default_factory=dict)
    sent: list[tuple[str, str, bool]] = field(default_factory=list)
    stopped: set[str] = field(default_factory=set)
    channels: dict[str, str] = field(default_factory=dict)
    watchers: list[Watcher] = field(default_factory=list)
    dispatchers: list[Dispatcher] = field(default_factory=list)
    writers: dict[int, Callable[[], None]] = field(default_factory=dict)
    turns: dict[str, int] = field(default_factory=dict)
    born: int = 0

    def fresh_watcher(self, part: Part = WHOLE_BOOK) -> Watcher:
        """Return a watcher of a part that knows nothing yet."""
        self.born += 1
        return Watcher(
            store=self.store,
            model=Model(bundle=None),
            policy=default(),
            holder=f"watcher-{self.born}",
            clock=lambda: self.now,
            part=part,
        )

    def send(self, message: Message, to: Destination) -> SendResult:
        """Deliver a message, or not this time."""
        del message
        if self.chance.random() < 0.2:
            return SendResult("later", "not now")
        self.sent.append((to.key, to.target, to.target in self.stopped))
        return SendResult("delivered")


def begin(store: Store, seed: int, *, parts: int = 1) -> World:
    """Lay receivers, accounts and prices; two watchers share each part of the book."""
    world = World(store=store, chance=random.Random(seed))  # noqa: S311 - a schedule, no secret
    with store.begin() as transaction:
        for name, audience, names in (("desk", DESK, ()), ("owner", OWNER, NAMES)):
            receiver = Receiver(receiver=name, audience=audience)
            alerts.add_receiver(transaction, receiver, names, now=START)
            _open_channel(world, transaction, name)
        market.push_state(transaction, MarketId("maker", "ETH-A"), {"ETH-A.rate": RAY}, at=START)
        for asset in (*ASSETS, "ETH"):
            _push(world, transaction, asset, 100, START)()
        for name in NAMES:
            size = 20 if name.startswith("perp") else 50
            _upsert(world, transaction, name, size, START)()
    world.watchers = [world.fresh_watcher(Part(n // 2, parts)) for n in range(2 * parts)]
    world.dispatchers = [
        Dispatcher(store=store, senders={"file": world.send}, holder=f"dispatcher-{n}", places=1)
        for n in range(2)
    ]
    return world


def play(world: World, steps: int) -> None:
    """Let so many steps happen."""
    acts = (_write, _write, _write, _watch, _watch, _watch, _send, _wish, _stop, _kill)
    for _ in range(steps):
        world.now += world.chance.randrange(8) * SECOND
        world.chance.choices(acts, weights=(3, 3, 3, 3, 3, 3, 4, 0.5, 0.1, 0.2))[0](world)


def finish(world: World) -> None:
    """Let what is under way end, without a further failure."""
    for writer in list(world.writers):
        world.writers.pop(writer)()
    waiting = True
    while waiting:
        world.now += 60 * SECOND
        for watcher in world.watchers:
            with contextlib.suppress(LeadLost):
                while cycle(watcher):
                    pass
        for dispatcher in world.dispatchers:
            deliver(dispatcher, now=world.now)
        with world.store.read() as transaction:
            has_digest = any(
                receiver.inbox.waiting
                for receiver in alerts.receivers(transaction, ["owner"]).values()
            )
            waiting = has_digest or "waiting" in outbox.counts(transaction)


def is_breached(world: World, name: str) -> bool:
    """Return whether an account is liquidatable by what was committed, reckoned by hand."""
    amount = world.holdings[name]
    if name.startswith("vault"):
        return world.prices["ETH"][1] * 2 < amount * 3
    price = world.prices[_asset(name)][1]
    # Maintenance is half of the initial margin at ten times leverage: 5 % of the notional.
    return (CASH + amount * (price - 100)) * 20 < abs(amount) * price


def _asset(name: str) -> str:
    """Return the asset of a perpetual."""
    return ASSETS[NAMES.index(name) % len(ASSETS)]


def _body(name: str, amount: int) -> dict[str, Any]:
    """Return an account as in a request."""
    if name.startswith("vault"):
        return {
            "id": name,
            "venue": "maker",
            "version": "dss",
            "market": "ETH-A",
            "legs": [
                {"kind": "collateral", "asset": "ETH", "quantity": str(WAD)},
                {"kind": "debt", "asset": "DAI", "quantity": str(amount * WAD)},
            ],
            "terms": {
                "mat": str(3 * RAY // 2),
                "duty": str(RAY),
                "dust": "0",
                "chop": str(WAD),
                "hole": str(10**53),
                "hole_all": str(10**53),
            },
        }
    asset = _asset(name)
    return {
        "id": name,
        "venue": "hyperliquid",
        "version": None,
        "market": "cross",
        "legs": [
            {"kind": "collateral", "asset": "USDC", "quantity": str(CASH)},
            {"kind": "position", "asset": asset, "quantity": str(amount), "entry": "100"},
        ],
        "options": {f"{asset}.leverage": 10},
        "terms": {"coins": {asset: [{"floor": "0", "max_leverage": 10}]}},
    }


def _upsert(
    world: World, transaction: Transaction, name: str, amount: int, now: datetime
) -> Callable[[], None]:
    """Write what an account holds; return what notes it once it was committed."""
    accounts.upsert(transaction, [_body(name, amount)], at=now, now=now)
    return lambda: world.holdings.update({name: amount})


def _push(
    world: World, transaction: Transaction, asset: str, value: int, now: datetime
) -> Callable[[], None]:
    """Write a price; return what notes it once it was committed."""
    exact = value * WAD if asset == "ETH" else value
    said = Price(
        value=exact,
        decimals=18 if asset == "ETH" else 0,
        bid=exact,
        ask=exact,
        observed_at=now,
    )
    market.push_prices(transaction, [(asset, said)], now=now)
    return lambda: world.prices.update(
        {asset: max(world.prices.get(asset, (START, 0)), (now, value))}
    )


def _write(world: World) -> None:
    """Let a writer commit what it began, or begin: its clock is read long before its commit.

    Two writers have accounts and an asset of their own, so that neither waits for the other.
    """
    writer = world.chance.randrange(2)
    if writer in world.writers:
        world.writers.pop(writer)()
        return
    # No two facts of one moment: which of them counts would not be told.
    world.now += timedelta(microseconds=1)
    now, is_price = world.now, world.chance.random() < 0.4
    names = (*ASSETS, "ETH")[writer::2] if is_price else NAMES[writer::2]
    name = world.chance.choice(names)
    amounts = PRICES if is_price else DEBTS if name.startswith("vault") else SIZES
    amount, work = world.chance.choice(amounts), _push if is_price else _upsert
    if world.store.dialect == "postgresql":
        context = world.store.begin()
        transaction = context.__enter__()
        noted = work(world, transaction, name, amount, now)

        def commit() -> None:
            context.__exit__(None, None, None)
            noted()
    else:

        def commit() -> None:
            with world.store.begin() as transaction:
                noted = work(world, transaction, name, amount, now)
            noted()

    world.writers[writer] = commit


def _watch(world: World) -> None:
    """Let a watcher take a turn; some fail at a statement of their writing, some are killed."""
    place, drawn = world.chance.randrange(len(world.watchers)), world.chance.random()
    watcher = world.watchers[place]
    error: Exception | None = None
    if drawn < 0.04:
        error = StoreFailed("the disk is full")
    elif drawn < 0.06:
        error = Killed()
    try:
        with _failing(world, error):
            cycle(watcher)
            outcome = "whole"
    except LeadLost:
        outcome = "waits"
    except StoreFailed:
        outcome = "failed"
    except Killed:
        outcome = "killed"
        world.watchers[place] = world.fresh_watcher(watcher.part)
    world.turns[outcome] = world.turns.get(outcome, 0) + 1


@contextlib.contextmanager
def _failing(world: World, error: Exception | None) -> Iterator[None]:
    """Let one of the next statements that write fail."""
    left = [world.chance.randrange(1, 14)]

    def count(*_: object) -> None:
        left[0] -= 1
        if error is not None and not left[0]:
            raise error

    sa.event.listen(world.store.engine, "before_cursor_execute", count)
    try:
        yield
    finally:
        sa.event.remove(world.store.engine, "before_cursor_execute", count)


def _send(world: World) -> None:
    """Let a dispatcher send what is due."""
    deliver(world.chance.choice(world.dispatchers), now=world.now)


def _wish(world: World) -> None:
    """Acknowledge or mute an account that no writer has in hand."""
    name = world.chance.choice(NAMES)
    with world.store.begin() as transaction:
        if world.chance.random() < 0.5:
            alerts.acknowledge(transaction, name)
        else:
            alerts.mute(transaction, name, until=world.now + 60 * SECOND)


def _stop(world: World) -> None:
    """Stop a receiver's channel and open another."""
    name = world.chance.choice(["desk", "owner"])
    with world.store.begin() as transaction:
        consents.stop(transaction, world.channels[name], actor="test", now=world.now)
    world.stopped.add(world.channels[name])
    with world.store.begin() as transaction:
        _open_channel(world, transaction, name)


def _open_channel(world: World, transaction: Transaction, name: str) -> None:
    """Open a verified channel whose target is its own name."""
    channel = verified_channel(transaction, name)
    named = sa.text("UPDATE alert_channels SET target = id WHERE id = :id")
    transaction.execute(named, {"id": channel})
    world.channels[name] = channel


def _kill(world: World) -> None:
    """Let a watcher end without a farewell; its lease stands until it ends by itself."""
    place = world.chance.randrange(len(world.watchers))
    world.watchers[place] = world.fresh_watcher(world.watchers[place].part)
    world.now += LEASE
