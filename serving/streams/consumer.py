"""From a broker into the store: read, write, acknowledge; wait, or put aside what cannot be taken.

A message is acknowledged after its rows are committed, so one that a consumer died over is read
again and written as it was. While the store takes nothing, nothing more is read.
"""

import logging
import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from serving.application.scoring import ScoringService
from serving.brokers.messages import BrokerFailed, Message, Source
from serving.routes.market import NotYet
from serving.schemas import problems
from serving.store import Store, StoreFailed, leases
from serving.store.leases import CONSUMING
from serving.streams.ingestion import ingest, reason, refused

LOGGER = logging.getLogger("forewarn.consume")
FETCH_SECONDS = 1.0
BEAT_EVERY = timedelta(seconds=10)
FIRST_WAIT, MOST_WAIT = 0.1, 10.0
"""Seconds before another attempt: doubling, with half of it drawn at random."""

MOST_AHEAD = timedelta(minutes=1)
"""How far ahead a sender's clock may run: its message waits; one further ahead is refused."""

TAKEN, REFUSED = "taken", "refused"
LATER = frozenset({problems.UNAVAILABLE.name, problems.TIMEOUT.name, problems.TOO_MANY.name})


@dataclass(slots=True, kw_only=True)
class Consumer:
    """One that reads; several may be of one group.

    Parameters
    ----------
    group
        As the broker knows it; its lag and counts are told under this name.
    is_over, pause
        Whether to end, and what waits some seconds or until it is over.
    """

    source: Source
    desk: ScoringService
    store: Store
    group: str
    is_over: Callable[[], bool]
    pause: Callable[[float], object]
    counts: Counter[str] = field(default_factory=Counter)
    last_refusal: Mapping[str, Any] | None = None
    beaten_at: datetime | None = None

    def run(self, *, until_read: bool = False) -> Counter[str]:
        """Consume until it is over, and return how many messages were taken and refused.

        Parameters
        ----------
        until_read
            End as well once nothing waits.
        """
        total: Counter[str] = Counter()
        failures = 0
        while not self.is_over():
            try:
                messages = self.source.fetch(FETCH_SECONDS)
                for message in messages:
                    outcome = self._take(message)
                    self.counts[outcome] += 1
                    total[outcome] += 1
                failures = 0
                self._beat()
                if until_read and not messages and not any(self.source.lag().values()):
                    break
            except (BrokerFailed, StoreFailed) as error:
                failures += 1
                LOGGER.warning("consuming: %s", error)
                self.pause(_wait(failures))
        self._beat(is_last=True)
        return total

    def _take(self, message: Message) -> str:
        """Write a message or put it aside, however long that has to be tried.

        Returns
        -------
        str
            `taken` or `refused`; empty where it was over before.
        """
        failures = 0
        while not self.is_over():
            failures += 1
            try:
                ingest(self.desk, message, group=self.group)
            except NotYet as error:
                ahead = error.until - self.desk.clock()
                if ahead <= MOST_AHEAD:
                    self.pause(max(ahead.total_seconds(), FIRST_WAIT))
                    continue
                problem = refused(error, message)
            except Exception as error:  # noqa: BLE001 - every one is told as HTTP tells it
                problem = refused(error, message)
                if problem.kind.name in LATER:
                    self.pause(_wait(failures))
                    continue
            else:
                self.source.acknowledge(message)
                return TAKEN
            if self._is_buried(message, reason(problem, message)):
                self.last_refusal = {"place": message.place, "problem": str(problem)[:500]}
                return REFUSED
            self.pause(_wait(failures))
        return ""

    def _is_buried(self, message: Message, why: bytes) -> bool:
        """Put a message aside, and return whether the broker has it there."""
        LOGGER.warning("message %s refused: %s", message.place, why.decode())
        try:
            self.source.bury(message, why)
        except BrokerFailed as error:
            LOGGER.warning("message %s not put aside: %s", message.place, error)
            return False
        return True

    def _beat(self, *, is_last: bool = False) -> None:
        """Tell the store now and then what was read, and what waits."""
        now = self.desk.clock()
        if not is_last and self.beaten_at is not None and now - self.beaten_at < BEAT_EVERY:
            return
        try:
            lag = dict(self.source.lag())
        except BrokerFailed as error:
            LOGGER.warning("consuming: %s", error)
            lag = None
        with self.store.begin() as transaction:
            leases.tally(
                transaction,
                f"{CONSUMING}{self.group}",
                {TAKEN: self.counts[TAKEN], REFUSED: self.counts[REFUSED]},
                now=now,
                lag=lag,
                last_refusal=self.last_refusal,
            )
        self.counts.clear()
        self.beaten_at = now


def _wait(failures: int) -> float:
    """Return the seconds before another attempt."""
    whole = min(FIRST_WAIT * 2 ** min(failures - 1, 16), MOST_WAIT)
    return float(whole * (0.5 + 0.5 * random.random()))  # noqa: S311 - spreads attempts
