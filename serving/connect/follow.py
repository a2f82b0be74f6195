"""Follow a market on its chain: new heads, what changed in them, and what forks undid.

Each head is written in one transaction together with its hash, so that whoever is killed goes on
from the last block that was written whole. A re-organisation is recognised by parent hashes, never
by what nodes say of removed logs: everything after the last block in common is undone and read
again.
"""

import asyncio
import itertools
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from models.symbols import unmapped
from serving.connect.abi import topic_of
from serving.connect.errors import BlockGone, ConnectFailed, HistoryPruned, NotAContract
from serving.connect.heads import Heads
from serving.connect.reading import (
    AccountReading,
    Check,
    InterestReader,
    OwnerReader,
    Reader,
    Reading,
    account_id,
)
from serving.connect.record import Acted, Draft, Fork, Liquidations, write
from serving.connect.rpc import Block, Chain, Log
from serving.store import Store, StoreFailed, connections
from serving.store.connections import REMEMBERED

LOGGER = logging.getLogger("forewarn.connect")

POLL_SECONDS = 2.0
SUBSCRIBED_POLL_SECONDS = 30.0
"""Seconds between looks where new heads are told: one that is told is looked at at once."""

LONGEST_PAUSE = 60.0
AHEAD = timedelta(seconds=15)
"""By how much a block may be ahead of our clock, as consensus allows it."""

OLD = timedelta(minutes=5)
"""Age of the newest block beyond which the chain, or the endpoints, stand still."""

RECONCILED_EVERY = timedelta(minutes=10)
MOST_TOPICS = 100
"""Addresses of one question for logs."""

MOST_MISSED = 2_000
"""Blocks between two heads that are read one by one; of more, only the newest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What one look at the chain did.

    Parameters
    ----------
    head
        As of which the store now stands.
    is_new
        Whether anything was written of it.
    undone
        Blocks that a re-organisation took back.
    touched
        Accounts that changed.
    checks
        Of every account that is followed.
    """

    head: Block
    is_new: bool
    undone: int = 0
    touched: frozenset[str] = frozenset()
    checks: tuple[Check, ...] = ()

    @property
    def mismatches(self) -> tuple[Check, ...]:
        """Return the checks in which the rules and the venue differ."""
        return tuple(check for check in self.checks if not check.is_equal)


@dataclass(slots=True)
class Follower:
    """A connection that is kept up with its chain.

    Parameters
    ----------
    name
        Of the connection.
    addresses
        Of the accounts that are followed, lower case.
    takes_borrowers
        Whether whoever borrows is followed from then on.
    sockets
        URLs of WebSocket that tell of new heads; without any, the chain is looked at at intervals.
    clock
        Returns the time.
    """

    name: str
    store: Store
    chain: Chain
    reader: Reader
    addresses: set[str]
    takes_borrowers: bool = False
    sockets: tuple[str, ...] = ()
    clock: Callable[[], datetime] = lambda: datetime.now(tz=UTC)
    heads: tuple[Heads, ...] = field(default=(), init=False)
    _named: frozenset[str] = field(default=frozenset(), init=False)
    _accounts: dict[str, AccountReading] = field(default_factory=dict, init=False)
    _is_prepared: bool = field(default=False, init=False)
    _reconciled_at: datetime | None = field(default=None, init=False)
    _assets: frozenset[str] = field(default=frozenset(), init=False)
    _unequal: frozenset[str] = field(default=frozenset(), init=False)
    _gap: dict[str, int] | None = field(default=None, init=False)
    _history: tuple[Reading, ...] = field(default=(), init=False)
    _history_liquidations: dict[int, Liquidations] = field(default_factory=dict, init=False)
    _history_acted: dict[int, Acted] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        """Note who was named: owners among them may open accounts later."""
        self._named = frozenset(self.addresses)

    async def run(self, stop: asyncio.Event, *, poll: float = POLL_SECONDS) -> None:
        """Look at the chain until told to stop; what fails is told and tried again later."""
        news = asyncio.Event()
        self.heads = tuple(Heads(url, news) for url in self.sockets)
        listening = [asyncio.create_task(each.run()) for each in self.heads]
        try:
            await self._look(stop, news, poll=poll)
        finally:
            for task in listening:
                task.cancel()
            await asyncio.gather(*listening, return_exceptions=True)

    async def _look(self, stop: asyncio.Event, news: asyncio.Event, *, poll: float) -> None:
        """Look at the chain at every head that is told, and at intervals."""
        failures = 0
        while not stop.is_set():
            news.clear()
            try:
                step = await self.step()
                if failures:
                    LOGGER.info("reads again connection=%s failures=%d", self.name, failures)
                failures = 0
                LOGGER.debug("read connection=%s block=%d", self.name, step.head.number)
                for check in step.mismatches:
                    LOGGER.warning(
                        "rule_mismatch connection=%s account=%s block=%d",
                        self.name,
                        check.account,
                        step.head.number,
                    )
            except (ConnectFailed, StoreFailed) as error:
                failures += 1
                LOGGER.warning("cannot be read connection=%s error=%s", self.name, error)
                self._note_failure(error)
            if failures:
                await _any((stop,), min(poll * 2**failures, LONGEST_PAUSE))
            else:
                await _any(
                    (stop, news), max(poll, SUBSCRIBED_POLL_SECONDS) if self.is_subscribed else poll
                )

    @property
    def is_subscribed(self) -> bool:
        """Return whether new heads are being told."""
        return any(each.is_live for each in self.heads)

    async def step(self) -> Step:
        """Look at the chain once and write what is new.

        Raises
        ------
        ConnectFailed
            When it cannot be read; nothing was written then.
        StoreFailed
            When it cannot be written.
        """
        head = await self.chain.head()
        with self.store.read() as transaction:
            stored = connections.blocks(transaction, self.name)
        past = [Block(each.number, each.hash, each.parent, each.at) for each in stored]
        if past and past[0].hash == head.hash and not self._is_reconciliation_due():
            self._note(past[0], undone=0)
            return Step(head=past[0], is_new=False)
        fork, way = await self._way(past, head)
        return await self._follow(way[-1], fork=fork, way=way, has_past=bool(past))

    def empty(self) -> list[str]:
        """Return the addresses that held and owed nothing when they were read last."""
        return sorted(address for address, each in self._accounts.items() if not each.legs)

    async def _prepare(self, head: Block) -> None:
        """Read what seldom changes, and which accounts are of the owners that were named."""
        await self.reader.prepare(self.chain, head)
        if isinstance(self.reader, OwnerReader) and self._named:
            owned = await self.reader.accounts_of(self.chain, head, sorted(self._named))
            self.addresses -= {owner for owner, some in owned.items() if some}
            self.addresses |= {each for some in owned.values() for each in some}

    async def discover(self, first: int) -> int:
        """Follow whoever borrowed since a block; return how many that are.

        Raises
        ------
        ConnectFailed
            When the chain cannot be read.
        """
        head = await self.chain.head()
        await self._prepare(head)
        before = len(self.addresses)
        contracts = self.reader.contracts[:1]
        topics = [list(self.reader.borrow_topics), *self.reader.log_topics[1:]]
        async for part in self.chain.logs(contracts, first=first, last=head.number, topics=topics):
            self.addresses |= self.reader.borrowers(part.logs)
        return len(self.addresses) - before

    async def backfill(self, since: datetime) -> int:
        """Read what the accounts held, and what happened to them, before they are followed.

        Every block since a moment in which a log names an account is read by its hash. It is
        written together with the first head, or not at all; where a head was written, nothing is
        done.

        Returns
        -------
        int
            Blocks read.

        Raises
        ------
        ConnectFailed
            `HistoryPruned` where no endpoint has the state of that time any more.
        """
        with self.store.read() as transaction:
            if connections.blocks(transaction, self.name):
                return 0
        head = await self.chain.head()
        await self._prepare(head)
        start = await self.chain.first_since(since, head)
        addresses = sorted(self.addresses)
        logs = await self._past_logs(addresses, start, head)
        numbers = sorted({log.block for log in logs} - {head.number, start.number})
        blocks = []
        for place in range(0, len(numbers), REMEMBERED):
            blocks += await self.chain.blocks(numbers[place : place + REMEMBERED])
        readings: list[Reading] = []
        named = addresses
        for block in (start, *spaced(start, blocks)):
            if block.number != start.number:
                mine = [log for log in logs if log.block == block.number]
                named = sorted(self.reader.touched(mine, self.addresses))
            readings.append(await self._past(block, named))
        self._history = tuple(readings)
        self._history_liquidations = self._liquidations(logs)
        self._history_acted = self._acted(logs) or {}
        return len(readings)

    async def _past_logs(self, addresses: Sequence[str], start: Block, head: Block) -> list[Log]:
        """Return the logs since a block that name an account in any of their topics, in order."""
        topics = [topic_of(address) for address in addresses]
        parts = [
            topics[place : place + MOST_TOPICS] for place in range(0, len(topics), MOST_TOPICS)
        ]
        logs: dict[tuple[int, int], Log] = {}
        for place, some in itertools.product((1, 2, 3), parts):
            wish = [*([None] * place), some]
            ranges = self.chain.logs(
                self.reader.contracts, first=start.number, last=head.number, topics=wish
            )
            async for part in ranges:
                logs |= {(log.block, log.place): log for log in part.logs}
        return [logs[key] for key in sorted(logs)]

    async def _past(self, block: Block, addresses: Sequence[str]) -> Reading:
        """Return accounts as of a block of the past, without the market around them.

        Before the venue was there, nobody held anything in it.
        """
        try:
            positions = await self.reader.positions(self.chain, block, addresses)
        except NotAContract:
            positions = {each: AccountReading(address=each, legs=()) for each in addresses}
        return Reading(
            block=block,
            market=self.reader.market,
            version=self.reader.version,
            terms={},
            state={},
            prices={},
            accounts=positions,
        )

    async def _way(
        self, past: Sequence[Block], head: Block
    ) -> tuple[Fork | None, tuple[Block, ...]]:
        """Return what was undone, and the blocks from the last one in common to the head.

        Parameters
        ----------
        past
            Blocks that were written, the newest first.
        """
        if not past:
            return None, spaced(self._history[-1].block, [head]) if self._history else (head,)
        base, depth = await self._common(past, head)
        fork = Fork(base=base, depth=depth) if depth else None
        first = base.number + 1
        if head.number - base.number > MOST_MISSED or not base.hash:
            self._gap = {"first": first, "last": head.number - 1}
            return fork, spaced(base, [head])
        if head.number == base.number:
            return fork, (base,)
        blocks = tuple(await self.chain.blocks(range(first, head.number + 1)))
        parent = base.hash
        for block in blocks:
            if block.parent != parent:
                raise BlockGone(f"block {block.number} changed while it was read")
            parent = block.hash
        if blocks[-1].hash != head.hash:
            raise BlockGone(f"block {head.number} changed while it was read")
        return fork, spaced(base, blocks)

    async def _common(self, past: Sequence[Block], head: Block) -> tuple[Block, int]:
        """Return the newest written block that the chain still has, and how many it has not."""
        reachable = [block for block in past if block.number <= head.number]
        skipped = len(past) - len(reachable)
        for place, block in enumerate(reachable):
            (now,) = await self.chain.blocks([block.number])
            if now.hash == block.hash:
                return block, place + skipped
        # Deeper than anything that is remembered: all that is remembered goes.
        oldest = past[-1]
        at = oldest.at - timedelta(microseconds=1)
        return Block(oldest.number - 1, "", "", at), len(past)

    async def _follow(
        self, head: Block, *, fork: Fork | None, way: Sequence[Block], has_past: bool
    ) -> Step:
        """Read what is new up to the head, and write it."""
        is_whole = not self._is_prepared or fork is not None or self._is_reconciliation_due()
        if is_whole:
            await self._prepare(head)
            self._accounts.clear()
            self._is_prepared = True
        logs = await self._logs(way) if has_past else ()
        if {log.address for log in logs} & self.reader.settings:
            await self.reader.prepare(self.chain, head)
        if self.takes_borrowers:
            self.addresses |= self.reader.borrowers(logs)
        touched = self.reader.touched(logs, self.addresses)
        for address in touched:
            self._accounts.pop(address, None)
        before = await self._between(logs, way[:-1])
        moved = self.addresses - self._accounts.keys()
        reading, checks, is_anew = await self._judged(head)
        unequal = frozenset(check.account for check in checks if not check.is_equal)
        self._assets = frozenset(
            leg.asset for each in reading.accounts.values() for leg in each.legs
        )
        acted = self._acted(logs)
        draft = Draft(
            reading=reading,
            moved=self.addresses if is_anew else moved,
            acted=None if acted is None else {**self._history_acted, **acted},
            before=(*self._history, *before),
            liquidations={**self._history_liquidations, **self._liquidations(logs)},
            checks=self._news(checks, unequal, is_whole=is_whole),
            blocks=way,
            fork=fork,
            status=self._status(head, unequal=unequal, undone=fork.depth if fork else 0),
        )
        write(self.store, self.name, draft, now=self.clock())
        self._history, self._history_liquidations, self._history_acted = (), {}, {}
        self._accounts = dict(reading.accounts)
        self._unequal = unequal
        if is_whole:
            self._reconciled_at = self.clock()
        return Step(
            head=head,
            is_new=True,
            undone=fork.depth if fork else 0,
            touched=touched,
            checks=checks,
        )

    async def _logs(self, way: Sequence[Block]) -> tuple[Log, ...]:
        """Return what the venue said on the way, each log of a block that is on it."""
        hashes = {block.number: block.hash for block in way}
        first, last = way[0].number, way[-1].number
        logs: list[Log] = []
        ranges = self.chain.logs(
            self.reader.contracts, first=first, last=last, topics=self.reader.log_topics
        )
        async for part in ranges:
            logs += part.logs
        if any(hashes.get(log.block, log.block_hash) != log.block_hash for log in logs):
            raise BlockGone(f"blocks up to {last} changed while they were read")
        return tuple(logs)

    async def _between(self, logs: Sequence[Log], blocks: Sequence[Block]) -> tuple[Reading, ...]:
        """Return readings of blocks before the head, of accounts that were touched there."""
        readings = []
        for block in blocks:
            mine = [log for log in logs if log.block == block.number]
            touched = self.reader.touched(mine, self.addresses)
            if touched:
                try:
                    readings.append(await self.reader.read(self.chain, block, sorted(touched)))
                except HistoryPruned:
                    self._gap = {"first": block.number, "last": block.number}
        return tuple(readings)

    async def _judged(self, head: Block) -> tuple[Reading, tuple[Check, ...], bool]:
        """Read the head and compare; what differs is read anew, whole, before it is believed.

        Returns
        -------
        tuple
            The reading, its checks, and whether everything was read anew.
        """
        addresses = sorted(self.addresses)
        reading = await self.reader.read(self.chain, head, addresses, unchanged=self._accounts)
        checks = self.reader.checks(reading)
        is_anew = bool(self._accounts) and not all(check.is_equal for check in checks)
        if is_anew:
            await self.reader.prepare(self.chain, head)
            reading = await self.reader.read(self.chain, head, addresses)
            checks = self.reader.checks(reading)
        return reading, checks, is_anew

    def _acted(self, logs: Sequence[Log]) -> dict[int, Acted] | None:
        """Return by block who acted in which assets; None where nothing grows by itself."""
        if not isinstance(self.reader, InterestReader):
            return None
        return {
            number: self.reader.acted([log for log in logs if log.block == number], self.addresses)
            for number in {log.block for log in logs}
        }

    def _liquidations(self, logs: Sequence[Log]) -> dict[int, Liquidations]:
        """Return by block what was liquidated."""
        by_block: dict[int, list[Log]] = {}
        for log in logs:
            by_block.setdefault(log.block, []).append(log)
        return {
            number: self.reader.liquidations(mine, self.addresses)
            for number, mine in by_block.items()
        }

    def _news(
        self, checks: Sequence[Check], unequal: frozenset[str], *, is_whole: bool
    ) -> tuple[Check, ...]:
        """Return the checks that say something new."""
        changed = unequal | self._unequal
        before = {account_id(self.reader.market, address) for address in self._accounts}
        return tuple(
            check
            for check in checks
            if is_whole or check.account in changed or check.account not in before
        )

    def _is_reconciliation_due(self) -> bool:
        """Return whether everything is to be read again, changed or not."""
        return (
            self._reconciled_at is None
            or not RECONCILED_EVERY > self.clock() - self._reconciled_at >= timedelta(0)
        )

    def _status(self, head: Block, *, unequal: frozenset[str], undone: int) -> dict[str, Any]:
        """Return how the connection stands, as it is told."""
        reasons = self._doubts(head)
        if unequal:
            text = f"{len(unequal)} accounts are judged otherwise by their venue"
            reasons.append({"code": "rule_mismatch", "text": text})
        return {
            "state": "degraded" if reasons else "live",
            "reasons": reasons,
            "block": {"number": head.number, "hash": head.hash, "at": head.at.isoformat()},
            "accounts": len(self.addresses),
            "unmapped": list(unmapped(self._assets)),
            "mismatches": sorted(unequal)[:100],
            "undone": undone,
            "unread": self._gap,
            "endpoints": endpoints_of(self.chain),
            "heads": "subscribed" if self.is_subscribed else "polled",
        }

    def _doubts(self, head: Block) -> list[dict[str, str]]:
        """Return what keeps the head from being taken for the present."""
        reasons = []
        age = self.clock() - head.at
        if age < -AHEAD:
            text = f"block {head.number} is {-age.total_seconds():.0f} s ahead of our clock"
            reasons.append({"code": "clock_skew", "text": text})
        if age > OLD:
            text = f"the newest block, {head.number}, is {age.total_seconds():.0f} s old"
            reasons.append({"code": "head_old", "text": text})
        return reasons

    def _note(self, head: Block, *, undone: int) -> None:
        """Note that the chain was looked at and nothing was new."""
        status = self._status(head, unequal=self._unequal, undone=undone)
        with self.store.begin() as transaction:
            connections.note_status(transaction, self.name, status, now=self.clock())

    def _note_failure(self, error: ConnectFailed | StoreFailed) -> None:
        """Note why the chain could not be read; what stands stays, and ages."""
        code = error.code if isinstance(error, ConnectFailed) else "store_failed"
        try:
            with self.store.begin() as transaction:
                stored = connections.read(transaction, self.name)
                before = {} if stored is None else stored.status or {}
                status = {
                    **before,
                    "state": "failing",
                    "reasons": [{"code": code, "text": str(error)}],
                    "failing_since": before.get("failing_since") or self.clock().isoformat(),
                    "endpoints": endpoints_of(self.chain),
                    "heads": "subscribed" if self.is_subscribed else "polled",
                }
                connections.note_status(transaction, self.name, status, now=self.clock())
        except StoreFailed as failure:
            LOGGER.warning("%s: %s", self.name, failure)


async def _any(events: Sequence[asyncio.Event], seconds: float) -> None:
    """Wait until one of some events is set, for so long at most."""
    waiting = [asyncio.create_task(each.wait()) for each in events]
    await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()


def spaced(base: Block, blocks: Sequence[Block]) -> tuple[Block, ...]:
    """Return blocks each a microsecond at least after the one before.

    Chains count in whole seconds, and some make several blocks in one: what is written of them
    must not stand at one moment, or a fork could not take back the later ones alone.

    Parameters
    ----------
    base
        The block before the first, with the time that it was written under.
    """
    last = base.at
    apart = []
    for block in blocks:
        last = max(block.at, last + connections.MOMENT)
        apart.append(block._replace(at=last))
    return tuple(apart)


def endpoints_of(chain: Chain) -> list[Mapping[str, Any]]:
    """Return how each endpoint does, by its host alone."""
    return [
        {
            "host": endpoint.name,
            "head": endpoint.health.head,
            "seconds": endpoint.health.seconds,
            "failures": endpoint.health.failures,
            "error": endpoint.health.error,
            "code": endpoint.health.code,
        }
        for endpoint in chain.endpoints
    ]
