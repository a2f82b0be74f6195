"""The gate: who may ask, how often, and how many at once."""

import ipaddress
import logging
import math
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache

from serving.http.keys import LOOPBACK, Principal, Scope, recognise
from serving.http.rate_limit import Limiter, Rate
from serving.schemas import problems
from serving.schemas.problems import Refused
from serving.settings import Settings
from serving.store.keys import KeyRecord, Loader

LOGGER = logging.getLogger("forewarn")

FRESH_SECONDS = 2.0
"""After which the keys are read again: how long a revoked key may still pass."""

LONGEST_BLIND_SECONDS = 300.0
"""How long the keys last read are trusted while the store cannot be read."""

FORWARDED = frozenset(
    {"forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip"}
)
"""Headers by which a proxy says that it asks for somebody else."""


@dataclass(slots=True)
class Keyring:
    """The keys of the store, read again every two seconds.

    Parameters
    ----------
    load
        Reads every key; None where there is no store.
    """

    load: Loader | None
    keys: Mapping[str, KeyRecord] = field(default_factory=dict)
    tried_at: float = -math.inf
    read_at: float = -math.inf
    _reading: threading.Lock = field(default_factory=threading.Lock)

    def is_due(self, *, now: float) -> bool:
        """Return whether asking for the keys now would read the store, or wait for who does."""
        return self.load is not None and now - self.tried_at >= FRESH_SECONDS

    def current(self, *, now: float) -> Mapping[str, KeyRecord]:
        """Return the keys.

        Parameters
        ----------
        now
            Monotonic second.

        Raises
        ------
        Refused
            When the store has not answered for so long that a key may have been revoked.
        """
        if self.is_due(now=now) and self._reading.acquire(blocking=not self._is_trusted(now)):
            try:
                self._refresh(now=now)
            finally:
                self._reading.release()
        if not self._is_trusted(now):
            raise Refused(
                problems.UNAVAILABLE,
                "the store that holds the keys cannot be read",
                headers={"Retry-After": "5"},
            )
        return self.keys

    def _is_trusted(self, now: float) -> bool:
        """Return whether the keys last read may still be gone by."""
        return self.load is None or now - self.read_at <= LONGEST_BLIND_SECONDS

    def _refresh(self, *, now: float) -> None:
        """Read the keys, unless that was done meanwhile; those last read stay if it fails."""
        if self.load is None or not self.is_due(now=now):
            return
        try:
            self.keys = self.load()
            self.read_at = now
        except Refused as error:
            LOGGER.warning("the keys cannot be read: %s", error.detail)
        finally:
            self.tried_at = now


@dataclass(slots=True)
class Admission:
    """What stands before every operation of one worker."""

    settings: Settings
    keyring: Keyring
    limiter: Limiter = field(default_factory=Limiter)
    in_flight: Counter[str] = field(default_factory=Counter)

    def admit(
        self,
        authorization: str | None,
        scope: Scope,
        *,
        is_local: bool,
        at: datetime,
        now: float,
    ) -> Principal:
        """Return who asks, once allowed.

        Parameters
        ----------
        is_local
            Whether the request stays on this machine: until the first key is made, it needs none.
        at
            Time of day, against which keys end.
        now
            Monotonic second, on which rates are counted.

        Raises
        ------
        Refused
            401, 403 or 429.
        """
        keys = self.keyring.current(now=now)
        if is_local and not keys:
            return LOOPBACK
        principal = recognise(authorization, keys, now=at)
        if principal is None:
            raise Refused(
                problems.UNAUTHORIZED,
                "send `Authorization: Bearer <key>` with a key that has neither ended nor been "
                "revoked",
                headers={"WWW-Authenticate": 'Bearer realm="forewarn"'},
            )
        self._allow(principal, scope, now=now)
        return principal

    def _allow(self, principal: Principal, scope: Scope, *, now: float) -> None:
        """Refuse a key without the scope or over its rate."""
        if not principal.may(scope):
            carried = ", ".join(sorted(principal.scopes))
            detail = f"the key carries {carried}; {scope} is needed"
            raise Refused(problems.FORBIDDEN, detail)
        wait = self.limiter.wait(principal.id, self._rate(), now=now)
        if wait > 0.0:
            raise Refused(
                problems.TOO_MANY,
                f"the key's rate is used up; the next request may come in {wait:.2f} s",
                headers={"Retry-After": str(math.ceil(wait))},
            )

    def _rate(self) -> Rate:
        """Return a key's share of its rate: each worker counts for itself."""
        workers = self.settings.workers
        return Rate(
            per_second=self.settings.requests_per_second / workers,
            burst=max(self.settings.burst / workers, 1.0),
        )

    @contextmanager
    def place(self, caller: str) -> Iterator[None]:
        """Hold one of the worker's places.

        One caller holds at most half of the places that the others leave, so that there is
        always one for somebody new.

        Parameters
        ----------
        caller
            Id of who asks.

        Raises
        ------
        Refused
            429 where none is free for this caller.
        """
        in_use = self.in_flight[caller]
        others = self.in_flight.total() - in_use
        share = math.ceil((self.settings.most_in_flight - others) / 2)
        if in_use >= share:
            raise Refused(
                problems.TOO_MANY,
                f"{in_use} requests of this caller and {others} of others are being answered; the "
                f"{self.settings.most_in_flight} places are shared",
                headers={"Retry-After": "1"},
            )
        self.in_flight[caller] += 1
        try:
            yield
        finally:
            self.in_flight[caller] -= 1
            if not self.in_flight[caller]:
                del self.in_flight[caller]


def is_local(client: str | None, host: str, *, headers: Iterable[str] = ()) -> bool:
    """Return whether a request comes from this machine and was meant for it.

    Parameters
    ----------
    client
        Address of the peer.
    host
        `Host` header: a page whose name was made to lead to the loopback still says its name.
    headers
        Names of the headers, in lower case: a proxy on this machine asks for somebody else.
    """
    if not FORWARDED.isdisjoint(headers):
        return False
    if host.count(":") > 1 or host.startswith("["):
        name = host.partition("]")[0].strip("[")
    else:
        name = host.partition(":")[0]
    return _is_loopback(client or "") and (name == "localhost" or _is_loopback(name))


@lru_cache(maxsize=1024)
def _is_loopback(address: str) -> bool:
    """Return whether an address is a loopback one."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
