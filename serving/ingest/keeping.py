"""Keep up the candles of what connected accounts hold, beside whoever follows the accounts.

Candles never hold accounts up: they are fetched in a thread of their own, and whatever goes wrong
with them is told in the log and tried again.
"""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from models.errors import ForewarnError
from serving.ingest.connected import ConnectedSeries, connected_series
from serving.ingest.exchange import ExchangeFailed, ExchangeSeries, find
from serving.ingest.fetcher import EPOCH, SETTLE, Fetched, Fetcher, FetchRequest
from serving.store import Store

LOGGER = logging.getLogger("forewarn.candles")
QUOTE = "USDT"
KINDS = ("spot",)
STEP = 3600
"""Length of a candle, s."""

DAYS = 35
"""How far back gaps are filled."""

LOOK_SECONDS = 15.0
"""Between two looks at what accounts hold: a new asset does not wait for a candle to close."""

RETRY = timedelta(minutes=5)
"""After a pass in which something failed."""


@dataclass(slots=True, kw_only=True)
class CandleKeeper:
    """Keeps the candles of a store up with an exchange for what connected accounts hold.

    Parameters
    ----------
    exchange
        By ccxt's name.
    api
        Address of a proxy that speaks for the exchange's hosts.
    look
        Seconds between two looks at what accounts hold.
    """

    store: Store
    exchange: str
    api: str | None = None
    look: float = LOOK_SECONDS
    clock: Callable[[], datetime] = lambda: datetime.now(tz=UTC)
    fetcher: Fetcher | None = field(default=None, init=False)
    since: datetime = field(default=EPOCH, init=False)
    _unmapped: Mapping[str, str] = field(default_factory=dict, init=False)
    _ended: threading.Event = field(default_factory=threading.Event, init=False)

    async def run(self, stop: asyncio.Event) -> None:
        """Fetch at every close of a candle, and as soon as something new is held, until told."""
        ending = asyncio.create_task(self._end_with(stop))
        fetched: frozenset[ExchangeSeries] = frozenset()
        due = self.clock()
        try:
            while not stop.is_set():
                try:
                    wished = await asyncio.to_thread(self._wished)
                    lines = frozenset(wished.lines)
                    self._name(wished.unmapped)
                    if lines and (lines - fetched or self.clock() >= due):
                        fetched, due = lines, self._next(is_whole=False)
                        is_whole = await asyncio.to_thread(self._pass, wished)
                        due = self._next(is_whole=is_whole)
                except Exception as error:  # accounts are followed on, whatever it is
                    expected = isinstance(error, ForewarnError)
                    LOGGER.warning("candles: %s", error, exc_info=None if expected else error)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), self.look)
        finally:
            self._ended.set()
            ending.cancel()

    async def _end_with(self, stop: asyncio.Event) -> None:
        """End what waits in the thread when the whole is told to stop."""
        await stop.wait()
        self._ended.set()

    def _wished(self) -> ConnectedSeries:
        """Return what connected accounts need now."""
        return connected_series(self.store, quote=QUOTE, kinds=KINDS, at=self.clock())

    def _name(self, unmapped: Mapping[str, str]) -> None:
        """Tell of each asset once why nothing is fetched for it."""
        for asset, reason in unmapped.items():
            if self._unmapped.get(asset) != reason:
                LOGGER.warning("%s: %s; push its candles, or there is no forecast", asset, reason)
        self._unmapped = dict(unmapped)

    def _pass(self, wished: ConnectedSeries) -> bool:
        """Fetch what is missing of some series, and return whether nothing failed."""
        if self.fetcher is None:
            self.since = self.clock() - timedelta(days=DAYS)
            exchange = replace(find(self.exchange, api=self.api), sleep=self._sleep)
            self.fetcher = Fetcher(store=self.store, exchange=exchange)
        request = FetchRequest(lines=wished.lines, since=self.since, step=STEP)
        is_whole = True
        for fetched in self.fetcher.run(request, now=self.clock()):
            self._tell(fetched)
            is_whole = is_whole and not fetched.faults
            if self._ended.is_set():
                break
        return is_whole

    def _sleep(self, seconds: float) -> None:
        """Wait between two tries, or not when told to stop.

        Raises
        ------
        ExchangeFailed
            When told to stop: nothing more is asked.
        """
        if self._ended.wait(seconds):
            raise ExchangeFailed(f"{self.exchange}: told to stop")

    def _next(self, *, is_whole: bool) -> datetime:
        """Return when to fetch again: after the next close, sooner where something failed."""
        now = self.clock()
        left = STEP - (now - EPOCH).total_seconds() % STEP
        closes = now + timedelta(seconds=left) + 2 * SETTLE
        return closes if is_whole else min(closes, now + RETRY)

    def _tell(self, fetched: Fetched) -> None:
        """Tell what became of a series, unless nothing did."""
        if fetched.written:
            LOGGER.info("%s: %d candles", fetched.line.title, fetched.written)
        if not self._ended.is_set():
            for fault in fetched.faults:
                LOGGER.warning("%s: %s", fetched.line.title, fault.message)
