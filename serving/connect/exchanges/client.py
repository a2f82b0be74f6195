"""One exchange through ccxt: signed requests, exact answers, and what its errors mean."""

import hashlib
import hmac
import json
import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any, NoReturn
from urllib.parse import urlsplit, urlunsplit

import ccxt
import ccxt.pro

from serving.connect.errors import (
    AnswerInvalid,
    ClockSkew,
    ConnectFailed,
    EndpointFailed,
    KeyRefused,
    RateLimited,
    UnknownInstrument,
)
from serving.connect.exchanges.body import Credentials, ExchangeTarget
from serving.waits import retry_after

TIMEOUT_MILLISECONDS = 20_000
MOST_SKEW_SECONDS = 5.0
"""Difference of the clocks beyond which neither signatures nor ages hold."""

IDS = {
    "binance-usdm": "binanceusdm",
    "bybit": "bybit",
    "okx": "okx",
    "hyperliquid": "hyperliquid",
    "dydx": "dydx",
    "deribit": "deribit",
}
OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "binance-usdm": {
        "fetchMarkets": {"types": ["linear"]},
        "watchBalance": {"fetchBalanceSnapshot": False, "awaitBalanceSnapshot": False},
        "watchPositions": {"fetchPositionsSnapshot": False, "awaitPositionsSnapshot": False},
    },
    "bybit": {
        "fetchMarkets": {"types": ["linear"]},
        "enableUnifiedAccount": True,
        "enableUnifiedMargin": False,
        "watchPositions": {"fetchPositionsSnapshot": False, "awaitPositionsSnapshot": False},
    },
    "okx": {"fetchMarkets": {"types": ["swap"]}},
    "hyperliquid": {"fetchMarkets": {"types": ["swap"]}},
    "dydx": {},
    "deribit": {},
}
"""So that only what is needed is asked, and nothing private on the way."""

CODES: Mapping[str, type[ConnectFailed]] = {
    "-2015": KeyRefused,  # Binance; ccxt takes it for a ban where the key worked before
    "-2014": KeyRefused,
    "-1021": ClockSkew,
    "10002": ClockSkew,  # Bybit
    "50102": ClockSkew,  # OKX
    "10003": KeyRefused,  # Bybit: the key is not there
    "33004": KeyRefused,  # Bybit: it expired
    "10004": KeyRefused,
    "10005": KeyRefused,
    "10010": KeyRefused,
    "50110": KeyRefused,  # OKX: not from this address
    "10006": RateLimited,  # Bybit
    "10018": RateLimited,
    "10028": RateLimited,  # Deribit
    "50011": RateLimited,  # OKX
    "50061": RateLimited,
    "-1003": RateLimited,  # Binance
}
"""What exchanges mean by codes of their own, where ccxt says less or otherwise."""

_QUERY = re.compile(r"\?\S+")
_LONG = re.compile(r"[0-9a-fA-F]{32,}")
_CODE = re.compile(r"[\"']?(?:code|retCode)[\"']?\s*:\s*[\"']?(-?[0-9]+)")


@dataclass(slots=True, kw_only=True)
class Session:
    """A conversation with an exchange.

    Parameters
    ----------
    client
        ccxt's exchange, of its kind that also streams.
    clock
        Returns seconds since 1970.
    """

    target: ExchangeTarget
    credentials: Credentials
    client: Any
    clock: Callable[[], float] = time.time
    _cache: dict[str, tuple[float, Any]] = field(default_factory=dict, init=False)

    @property
    def venue(self) -> str:
        """Return the exchange's name."""
        return self.target.venue

    async def ask(self, method: str, params: Mapping[str, Any] | None = None) -> Any:
        """Return an answer of the exchange: its own JSON, every number as exact text.

        Parameters
        ----------
        method
            As ccxt names the exchange's call.

        Raises
        ------
        ConnectFailed
            For what it refused, or did not answer.
        """
        self.client.options["hasAlreadyAuthenticatedSuccessfully"] = False
        answer = await self.translated(getattr(self.client, method)(dict(params or {})))
        if not isinstance(answer, dict | list):
            raise AnswerInvalid(f"{self.venue} answered {method} with something else than JSON")
        return answer

    async def translated(self, act: Awaitable[Any]) -> Any:
        """Return what comes of an act of ccxt, its errors as ours, without secrets in them."""
        try:
            return await act
        except ccxt.BaseError as error:
            self._fail(error)
        except (TypeError, ValueError, KeyError, IndexError, AttributeError) as error:
            text = f"{self.venue} answered what cannot be read: {type(error).__name__}"
            raise AnswerInvalid(text) from None

    def _fail(self, error: ccxt.BaseError) -> NoReturn:
        """Raise what an error of ccxt means."""
        said = self.shown(error)
        code = _CODE.search(str(error))
        kind = CODES.get(code.group(1)) if code is not None else None
        text = f"{self.venue}: {said}"
        if kind is RateLimited or isinstance(error, ccxt.RateLimitExceeded | ccxt.DDoSProtection):
            raise RateLimited(text, self._wait()) from None
        if kind is not None:
            raise kind(text) from None
        for foreign, ours in (
            (ccxt.InvalidNonce, ClockSkew),
            (ccxt.AuthenticationError, KeyRefused),
            (ccxt.BadSymbol, UnknownInstrument),
        ):
            if isinstance(error, foreign):
                raise ours(text) from None
        raise EndpointFailed(text) from None

    def _wait(self) -> Any:
        """Return how long the exchange asks to be left alone; None where it does not say."""
        headers = {str(k).lower(): v for k, v in (self.client.last_response_headers or {}).items()}
        reset = headers.get("x-bapi-limit-reset-timestamp")
        if "retry-after" not in headers and reset is not None and str(reset).isdecimal():
            seconds = max(int(reset) / 1000 - self.clock(), 0.0)
            return retry_after(f"{seconds:.3f}", now=datetime.now(tz=UTC))
        return retry_after(headers.get("retry-after"), now=datetime.now(tz=UTC))

    def shown(self, error: BaseException) -> str:
        """Return an error on one short line without queries, signatures, keys or secrets."""
        said = f"{type(error).__name__} {error}"
        for hidden in self.credentials.hidden():
            said = said.replace(hidden, "…")
        said = _LONG.sub("…", _QUERY.sub("", said))
        return " ".join(said.split())[:200]

    async def cached(self, name: str, seconds: float, ask: Callable[[], Awaitable[Any]]) -> Any:
        """Return what seldom changes, asked for again after a while."""
        at, value = self._cache.get(name, (-seconds, None))
        now = self.clock()
        if value is None or not 0 <= now - at < seconds:
            value = await ask()
            self._cache[name] = (now, value)
        return value

    def forget(self) -> None:
        """Ask anew for everything that was kept."""
        self._cache.clear()

    async def symbols(self, ids: Sequence[str]) -> dict[str, str]:
        """Return ccxt's names of contracts by the exchange's own.

        Raises
        ------
        UnknownInstrument
            When the exchange lists no contract of a name, as it says when asked again.
        """
        if not self.client.markets:
            await self.translated(self.client.load_markets())
        missing = [each for each in ids if not self._contract(each)]
        if missing:
            await self.translated(self.client.load_markets(reload=True))
            missing = [each for each in ids if not self._contract(each)]
        if missing:
            raise UnknownInstrument(f"{self.venue} lists no contract {', '.join(missing[:5])}")
        return {each: self._contract(each) for each in ids}

    def _contract(self, name: str) -> str:
        """Return ccxt's name of a contract; empty where there is none."""
        listed = self.client.markets_by_id or {}
        markets = listed.get(name) or []
        if not markets:
            markets = [m for m in self.client.markets.values() if m.get("baseName") == name]
        symbols = [market["symbol"] for market in markets if market.get("contract")]
        return symbols[0] if symbols else ""

    def login(self) -> dict[str, Any]:
        """Return the parameters of a login by signature, as Deribit takes it."""
        stamp, nonce = str(int(self.clock() * 1000)), secrets.token_hex(8)
        said = f"{stamp}\n{nonce}\n".encode()
        signature = hmac.new(self.credentials.secret.encode(), said, hashlib.sha256).hexdigest()
        return {
            "grant_type": "client_signature",
            "client_id": self.credentials.key,
            "timestamp": stamp,
            "nonce": nonce,
            "data": "",
            "signature": signature,
        }

    def must_agree(self, theirs: Fraction) -> None:
        """Refuse an exchange whose clock is not ours.

        Parameters
        ----------
        theirs
            Its time, seconds since 1970.

        Raises
        ------
        ClockSkew
            When they differ by more than `MOST_SKEW_SECONDS`.
        """
        skew = self.clock() - float(theirs)
        if abs(skew) > MOST_SKEW_SECONDS:
            side = "ahead of" if skew > 0 else "behind"
            raise ClockSkew(f"our clock is {abs(skew):.0f} s {side} that of {self.venue}")

    async def close(self) -> None:
        """Give back the connections."""
        await self.client.close()


def session(target: ExchangeTarget, credentials: Credentials) -> Session:
    """Return a conversation with an exchange; nothing is asked yet."""
    settings = {
        "apiKey": credentials.key,
        "secret": credentials.secret,
        "password": credentials.passphrase,
        "enableRateLimit": True,
        "timeout": TIMEOUT_MILLISECONDS,
        "newUpdates": True,
    }
    client = getattr(ccxt.pro, IDS[target.venue])(settings)
    # It writes requests with their keys at the level of debugging.
    quiet = logging.getLogger("forewarn.connect.ccxt")
    quiet.setLevel(logging.CRITICAL)
    client.logger = quiet
    client.on_json_response = exact_json
    client.has["fetchCurrencies"] = False
    for name, value in OPTIONS[target.venue].items():
        client.options[name] = value
    if target.base_url is not None:
        client.urls["api"] = _at(client.urls["api"], target.base_url)
    return Session(target=target, credentials=credentials, client=client)


def exact_json(text: str) -> Any:
    """Return JSON with every number as the text that it was written as.

    >>> exact_json('{"a": 1.10, "b": [7, "x"]}')
    {'a': '1.10', 'b': ['7', 'x']}
    """
    return json.loads(text, parse_float=str, parse_int=str)


def _at(tree: Any, base: str) -> Any:
    """Return a tree of URLs at another host; streams by the scheme that goes with it."""
    if isinstance(tree, dict):
        return {name: _at(part, base) for name, part in tree.items()}
    host, parts = urlsplit(base), urlsplit(str(tree))
    secure = host.scheme == "https"
    scheme = ("wss" if secure else "ws") if parts.scheme in {"ws", "wss"} else host.scheme
    return urlunsplit((scheme, host.netloc, *parts[2:]))
