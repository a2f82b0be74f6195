"""Follow the accounts of an exchange: read at once, streams in between, and read again.

A stream of an account tells that something changed, never what: everything is read anew then, so
that nothing is put together from parts. What came while a stream was down is in the reading after
it. A stream of marks tells prices, which are written as they come.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from models.domain import Price
from models.margin.rulebook import load
from models.symbols import unmapped
from serving.connect.errors import ConnectFailed, KeyRefused, RateLimited
from serving.connect.exchanges import record
from serving.connect.exchanges.binance import Binance
from serving.connect.exchanges.body import Credentials, ExchangeTarget
from serving.connect.exchanges.bybit import Bybit
from serving.connect.exchanges.checks import Judged, judged, unequal
from serving.connect.exchanges.client import Session, session
from serving.connect.exchanges.deribit import Deribit
from serving.connect.exchanges.dydx import Dydx
from serving.connect.exchanges.hyperliquid import Hyperliquid
from serving.connect.exchanges.okx import Okx
from serving.connect.exchanges.reading import Exchange, Marks, Snapshot, Watch
from serving.store import Store, StoreFailed, connections

LOGGER = logging.getLogger("forewarn.connect")

EXCHANGES: dict[str, Callable[[], Exchange]] = {
    "binance-usdm": Binance,
    "bybit": Bybit,
    "okx": Okx,
    "hyperliquid": Hyperliquid,
    "dydx": Dydx,
    "deribit": Deribit,
}
VERIFIED_EVERY = timedelta(minutes=10)
"""Clocks and what the key may do; both can change while it is followed."""

LONGEST_PAUSE = 60.0
PACE_SECONDS = 1.0
"""Least time between two readings, and between two writings of marks."""

DROPPED_SECONDS = 5.0
"""Time between two readings while a stream is down."""

SETTLED_SECONDS = 15.0
"""How long a stream that dropped must last to be taken as back, though it tells nothing yet.

Longer than ccxt tries to connect. What happened before it was subscribed again was told by nobody:
everything is read once more when it is back.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeStep:
    """What one reading found."""

    snapshot: Snapshot
    accounts: tuple[Judged, ...]

    @property
    def mismatches(self) -> tuple[Judged, ...]:
        """Return the accounts that their exchange judges otherwise."""
        return tuple(unequal(self.accounts))


@dataclass(slots=True)
class ExchangeFollower:
    """A connection that is kept up with its exchange.

    Parameters
    ----------
    name
        Of the connection.
    clock
        Returns the time.
    """

    name: str
    store: Store
    exchange: Exchange
    session: Session
    clock: Callable[[], datetime] = lambda: datetime.now(tz=UTC)
    pace: float = PACE_SECONDS
    settled: float = SETTLED_SECONDS
    _verified_at: datetime | None = field(default=None, init=False)
    _snapshot: Snapshot | None = field(default=None, init=False)
    _unequal: frozenset[str] = field(default=frozenset(), init=False)
    _refused: int = field(default=0, init=False)
    _written: dict[Any, Price] = field(default_factory=dict, init=False)
    _marks: record.Marked = field(default_factory=dict, init=False)
    _reread: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _down: dict[str, str] = field(default_factory=dict, init=False)

    @property
    def venue(self) -> str:
        """Return the rulebook's name of the exchange."""
        return self.exchange.rulebook[0]

    async def verify(self) -> None:
        """Compare the clocks, and refuse a key that can do more than read.

        Raises
        ------
        ConnectFailed
            `ClockSkew`, `KeyTooStrong`, or what kept the exchange from answering.
        """
        await self.exchange.verify(self.session)
        self._verified_at = self.clock()

    async def step(self) -> ExchangeStep:
        """Read everything once, compare, and write it.

        Raises
        ------
        ConnectFailed
            When it cannot be read; nothing was written then.
        StoreFailed
            When it cannot be written.
        """
        if self._verified_at is None or self.clock() - self._verified_at >= VERIFIED_EVERY:
            await self.verify()
        snapshot, accounts = await self._judged()
        if any(unequal(accounts)):
            # What differs is read anew, whole, before it is believed.
            self.session.forget()
            snapshot, accounts = await self._judged()
        self._unequal = frozenset(each.account.id for each in unequal(accounts))
        self._refused = sum(each.refused is not None for each in accounts)
        self._snapshot = snapshot
        now = self.clock()
        record.write(self.store, self.name, self.venue, snapshot, accounts, self._status(), now=now)
        self._marks = {key: (mark, snapshot.at) for key, mark in snapshot.marks().items()}
        self._write_marks()
        return ExchangeStep(snapshot=snapshot, accounts=accounts)

    async def _judged(self) -> tuple[Snapshot, tuple[Judged, ...]]:
        """Read once and judge."""
        snapshot = await self.exchange.read(self.session, self.clock())
        return snapshot, judged(snapshot, self.name, self.exchange.rulebook)

    async def run(self, stop: asyncio.Event) -> None:
        """Follow until told to stop; what fails is told and tried again later."""
        streams: list[asyncio.Task[None]] = []
        watched: tuple[str, ...] | None = None
        failures = 0
        try:
            while not stop.is_set():
                self._reread.clear()
                pause = self._pause()
                try:
                    step = await self.step()
                    if failures:
                        LOGGER.info("reads again connection=%s failures=%d", self.name, failures)
                    failures = 0
                    for each in step.mismatches:
                        LOGGER.warning(
                            "rule_mismatch connection=%s account=%s", self.name, each.account.id
                        )
                    if step.snapshot.instruments() != watched:
                        await _ended(streams)
                        watched = step.snapshot.instruments()
                        watches = self.exchange.watches(self.session, watched)
                        streams = [
                            asyncio.create_task(self._watch(f"stream {place}", watch))
                            for place, watch in enumerate(watches)
                        ]
                except (ConnectFailed, StoreFailed) as error:
                    failures += 1
                    LOGGER.warning("cannot be read connection=%s error=%s", self.name, error)
                    self._note_failure(error)
                    pause = min(PACE_SECONDS * 2**failures, LONGEST_PAUSE)
                    if isinstance(error, RateLimited) and error.wait is not None:
                        pause = max(pause, error.wait.total_seconds())
                    if isinstance(error, KeyRefused):
                        self._verified_at = None
                await self._rest(stop, pause, is_failing=bool(failures))
        finally:
            await _ended(streams)

    def _pause(self) -> float:
        """Return the time until everything is read again, whatever is told."""
        return DROPPED_SECONDS if self._down else self.exchange.seconds

    async def _rest(self, stop: asyncio.Event, pause: float, *, is_failing: bool) -> None:
        """Write marks as they come until something has to be read again, or time is over."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        while not stop.is_set():
            left = pause - (loop.time() - begun)
            if left <= 0:
                return
            waits = {asyncio.create_task(stop.wait())}
            if not is_failing:
                waits.add(asyncio.create_task(self._reread.wait()))
            await asyncio.wait(
                waits, timeout=min(left, self.pace), return_when=asyncio.FIRST_COMPLETED
            )
            await _ended(list(waits))
            with contextlib.suppress(StoreFailed):
                self._write_marks()
            if self._reread.is_set() and not is_failing and loop.time() - begun >= self.pace:
                return
            pause = pause if is_failing else min(pause, self._pause())

    async def _watch(self, name: str, watch: Watch) -> None:
        """Take what a stream tells, and tell when it drops and comes back."""
        failures = 0
        while True:
            try:
                news = await self._news(name, watch)
            except ConnectFailed as error:
                failures += 1
                LOGGER.warning("%s: %s dropped: %s", self.name, name, error)
                self._down[name] = str(error)
                self._reread.set()
                # The first time at once: most drops are a server that lets go of old connections.
                await asyncio.sleep(min(self.pace * (2 ** (failures - 1) - 1), LONGEST_PAUSE))
                continue
            failures = 0
            self._note_resumed(name)
            if news is None:
                self._reread.set()
            else:
                self._take(news)

    async def _news(self, name: str, watch: Watch) -> Marks | None:
        """Wait for news; a stream that was down and lasts is taken as back before any come."""
        if name not in self._down:
            return await watch()
        waiting = asyncio.ensure_future(watch())
        try:
            done, _ = await asyncio.wait({waiting}, timeout=self.settled)
            if not done:
                self._note_resumed(name)
            return await waiting
        finally:
            waiting.cancel()

    def _note_resumed(self, name: str) -> None:
        """Read everything anew where a stream was down until now."""
        if self._down.pop(name, None) is not None:
            self._reread.set()

    def _take(self, news: Marks) -> None:
        """Note marks of instruments that are held."""
        for quote, instrument in list(self._marks):
            if instrument in news:
                self._marks[quote, instrument] = news[instrument], self.clock()

    def _write_marks(self) -> None:
        """Write the marks that are due."""
        quotes = record.quotes_of(self._marks, self.name, self.venue)
        due = {
            key: each for key, each in quotes.items() if record.is_due(self._written.get(key), each)
        }
        record.write_quotes(self.store, due, now=self.clock())
        self._written.update(due)

    def _status(self) -> dict[str, Any]:
        """Return how the connection stands, as it is told."""
        reasons = [
            {"code": "stream_dropped", "text": f"{name}: {text}; asked instead"}
            for name, text in sorted(self._down.items())
        ]
        if self._unequal:
            text = f"{len(self._unequal)} accounts are judged otherwise by their venue"
            reasons.append({"code": "rule_mismatch", "text": text})
        snapshot = self._snapshot
        return {
            "state": "degraded" if reasons else "live",
            "reasons": reasons,
            "read_at": None if snapshot is None else snapshot.at.isoformat(),
            "accounts": 0 if snapshot is None else len(snapshot.accounts),
            "refused": self._refused,
            "mismatches": sorted(self._unequal)[:100],
            "unmapped": [] if snapshot is None else list(unmapped(snapshot.instruments())),
            "endpoints": [],
        }

    def _note_failure(self, error: ConnectFailed | StoreFailed) -> None:
        """Note why it could not be read; what stands stays, and ages."""
        code = error.code if isinstance(error, ConnectFailed) else "store_failed"
        try:
            with self.store.begin() as transaction:
                stored = connections.read(transaction, self.name)
                before: dict[str, Any] = {} if stored is None else stored.status or {}
                status: dict[str, Any] = {
                    **self._status(),
                    **{part: before[part] for part in ("read_at", "accounts") if part in before},
                    "state": "failing",
                    "reasons": [{"code": code, "text": str(error)}],
                    "failing_since": before.get("failing_since") or self.clock().isoformat(),
                }
                connections.note_status(transaction, self.name, status, now=self.clock())
        except StoreFailed as failure:
            LOGGER.warning("%s: %s", self.name, failure)


async def _ended(tasks: list[asyncio.Task[Any]]) -> None:
    """End tasks and wait for their end."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    tasks.clear()


def exchange_follower(
    name: str, target: ExchangeTarget, credentials: Credentials, store: Store
) -> ExchangeFollower:
    """Return a follower of an exchange; nothing is asked yet."""
    exchange = EXCHANGES[target.venue]()
    load(*exchange.rulebook)
    return ExchangeFollower(
        name=name, store=store, exchange=exchange, session=session(target, credentials)
    )
