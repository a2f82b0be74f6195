"""Candles and funding rates of exchanges, through ccxt, whatever mood the exchange is in.

An exchange that is busy (429), out of order (5xx, a broken connection) or talks nonsense is asked
again, later and later, and not before the moment it names in `Retry-After`. The pace between
requests is ccxt's own, by the exchange's published limits.
"""

import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import ccxt

from models.errors import ForewarnError
from serving.waits import retry_after

T = TypeVar("T")
MOST_TRIES = 6
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 120.0
"""Of those that nobody asked for; what an exchange asks for is kept, up to a day."""

TIMEOUT_MILLISECONDS = 20_000
PAGE = 1000
"""Candles or rates asked for at once; an exchange may give fewer."""

_SPEECHLESS = (TypeError, ValueError, KeyError, IndexError, AttributeError)
"""What ccxt's parsers run into when the answer is not what the exchange documents."""


class ExchangeFailed(ForewarnError):  # noqa: N818 - named for what happened
    """An exchange did not answer, answered nonsense to the end, or does not know what was asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeSeries:
    """One series of an exchange.

    Parameters
    ----------
    asset
        By which the store knows it.
    quote
        What it is priced in.
    kind
        `spot`, `perp`, `mark`, `index` or `funding`.
    base
        Symbol by which the exchange knows it; the asset's own name where left out.
    rate
        What one of the asset is worth of the exchange's; its candles are multiplied by it.
    """

    asset: str
    quote: str
    kind: str
    base: str = ""
    rate: float = field(default=1.0, compare=False)

    @property
    def symbol(self) -> str:
        """Name of the market as ccxt has it."""
        pair = f"{self.base or self.asset}/{self.quote}"
        return pair if self.kind == "spot" else f"{pair}:{self.quote}"

    @property
    def title(self) -> str:
        """Return what is fetched, and for which asset where that has another name."""
        series = f"{self.symbol} {self.kind}"
        if self.base in {"", self.asset}:
            return series
        return f"{self.asset} = {series}{'' if self.rate == 1 else f' x {self.rate:.6g}'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """An exchange that is asked again where it fails.

    Parameters
    ----------
    client
        ccxt's exchange.
    sleep
        Waits for a number of seconds.
    """

    client: Any
    sleep: Callable[[float], None] = time.sleep
    jitter: random.Random = field(default_factory=random.Random)

    def time(self) -> datetime | None:
        """Return the exchange's own time; None where it does not tell."""
        if not self.client.has.get("fetchTime"):
            return None
        milliseconds = self._ask(lambda: int(self.client.fetch_time()))
        return datetime.fromtimestamp(milliseconds / 1000, tz=UTC)

    def candles(
        self, line: ExchangeSeries, *, since: datetime, step: int, count: int
    ) -> list[list[Any]]:
        """Return up to `count` candles that open from a moment on, as the exchange tells them.

        Returns
        -------
        list[list]
            Opening in milliseconds since 1970, open, high, low, close, volume.
        """
        names = {self.client.parse_timeframe(name): name for name in self.client.timeframes}
        if step not in names:
            raise ExchangeFailed(f"{self.client.id} has no candles of {step} s")
        priced = {"price": line.kind} if line.kind in {"mark", "index"} else {}

        def ask() -> list[list[Any]]:
            limit = min(count, PAGE)
            rows = self.client.fetch_ohlcv(
                line.symbol, names[step], since=_milliseconds(since), limit=limit, params=priced
            )
            return _list_of(rows, list)

        return self._ask(ask)

    def funding(self, line: ExchangeSeries, *, since: datetime) -> list[tuple[datetime, float]]:
        """Return funding rates from a moment on, each with the time of its payment."""

        def ask() -> list[tuple[datetime, float]]:
            payments = self.client.fetch_funding_rate_history(
                line.symbol, since=_milliseconds(since), limit=PAGE
            )
            return [_rate(payment) for payment in _list_of(payments, dict)]

        return self._ask(ask)

    def _ask(self, act: Callable[[], T]) -> T:
        """Return what an act returns, trying again where another try may help.

        Raises
        ------
        ExchangeFailed
            After the last try, or at once where no other try would help.
        """
        said = ""
        for attempt in range(MOST_TRIES):
            try:
                answer = act()
                self._must_be_json()
            except ccxt.OperationFailed as error:
                said = _shown(error)
            except ccxt.BaseError as error:
                raise ExchangeFailed(f"{self.client.id}: {_shown(error)}") from None
            except _SPEECHLESS as error:
                said = f"an answer that cannot be read: {_shown(error)}"
            else:
                return answer
            if attempt + 1 < MOST_TRIES:
                self.sleep(self._pause(attempt))
        raise ExchangeFailed(f"{self.client.id}, asked {MOST_TRIES} times: {said}")

    def _must_be_json(self) -> None:
        """Refuse what ccxt takes for an empty answer: a page of a proxy, or a torn body.

        Raises
        ------
        ValueError
            When the last answer is not JSON.
        """
        json.loads(self.client.last_http_response)

    def _pause(self, attempt: int) -> float:
        """Return how long to wait: doubling, with jitter, never less than the exchange wishes."""
        doubled = min(FIRST_PAUSE * 2.0**attempt * self.jitter.uniform(0.5, 1.5), LONGEST_PAUSE)
        headers = self.client.last_response_headers or {}
        wished = {str(name).lower(): value for name, value in headers.items()}.get("retry-after")
        stated = retry_after(wished, now=datetime.now(tz=UTC))
        return doubled if stated is None else max(doubled, stated.total_seconds())


def find(name: str, *, api: str | None = None) -> Exchange:
    """Return an exchange by ccxt's name for it.

    Parameters
    ----------
    api
        Address of a proxy that speaks for every host of the exchange.

    Raises
    ------
    ExchangeFailed
        When ccxt does not know the exchange.
    """
    if name not in ccxt.exchanges:
        raise ExchangeFailed(f"{name[:40]!r} is not an exchange that ccxt knows")
    client = getattr(ccxt, name)({"enableRateLimit": True, "timeout": TIMEOUT_MILLISECONDS})
    if api is not None:
        client.urls["api"] = _at(client.urls["api"], api)
    return Exchange(client=client)


def _at(tree: Any, api: str) -> Any:
    """Return a tree of URLs with every host replaced."""
    if isinstance(tree, dict):
        return {name: _at(part, api) for name, part in tree.items()}
    proxy = urlsplit(api)
    return urlunsplit((proxy.scheme, proxy.netloc, *urlsplit(str(tree))[2:]))


def _list_of(answer: Any, kind: type) -> list[Any]:
    """Return a list of one kind of item.

    Raises
    ------
    TypeError
        When it is something else.
    """
    if not isinstance(answer, list) or not all(isinstance(row, kind) for row in answer):
        raise TypeError(f"{str(answer)[:80]!r} is not a list of rows")
    return answer


def _rate(payment: dict[str, Any]) -> tuple[datetime, float]:
    """Return the time and the rate of one payment."""
    paid = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(payment["timestamp"]))
    return paid, float(payment["fundingRate"])


def _milliseconds(at: datetime) -> int:
    """Return whole milliseconds since 1970."""
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def _shown(error: BaseException) -> str:
    """Return an error's message on one short line."""
    return " ".join(str(error).split())[:200] or type(error).__name__
