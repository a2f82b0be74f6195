# ruff: noqa: ARG002, PLR0911 - each method answers a table of questions
"""Servers that speak the JSON of six exchanges over HTTP and WebSocket, and check signatures.

Each knows one account. What it says of margin it works out by itself, in decimals, by the formula
that its venue publishes for a single bracket; nothing here is taken from the code under test.

References
----------
Shapes and signatures: the venues' public API documentation, as examples in ccxt 4.5.90 quote it.
"""

import asyncio
import base64
import calendar
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from typing import Any

from aiohttp import WSMsgType, web

KEY, SECRET, PASSPHRASE = "KEY-4f1c9e77", "SECRET-9b2d40aa", "PHRASE-77aa01"
LISTEN_KEY = "pqia91ma19a5s61cv6a81va65sdf19v8"
WINDOW_MS = 5_000
DROPPED = 1001
"""Code of a server that goes away."""


def signed(text: str, secret: str = SECRET) -> bytes:
    """Return the HMAC-SHA256 of a text."""
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest()


def plain(value: Decimal) -> str:
    """Return a decimal without an exponent."""
    return format(value, "f")


@dataclass(slots=True)
class Venue:
    """What a server knows, how it feels, and what it was asked.

    Parameters
    ----------
    marks
        Price by instrument.
    is_strong
        Whether the key may trade.
    is_revoked
        Whether the key is no longer known.
    limited
        How many of the next requests are refused as too many, and by which wait, s.
    ahead
        By how much its clock is ahead of ours, s.
    lie
        Added to every maintenance margin that it states.
    quantity
        Of its first position.
    """

    marks: dict[str, Decimal]
    quantity: Decimal
    is_strong: bool = False
    is_revoked: bool = False
    is_torn: bool = False
    limited: int = 0
    wait: str = "1"
    ahead: float = 0.0
    lie: Decimal = Decimal(0)
    asked: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    sockets: "list[Socket]" = field(default_factory=list)
    connected: int = 0
    url: str = ""
    loop: asyncio.AbstractEventLoop | None = None

    def now(self) -> int:
        """Return its time, ms."""
        return int((time.time() + self.ahead) * 1000)

    def answer(self, request: web.Request, body: Any) -> tuple[int, Any, dict[str, str]]:
        """Return the status, the JSON and the headers of an answer."""
        raise NotImplementedError

    def told(self, socket: "Socket", message: Any) -> list[Any]:
        """Return what a socket is answered; what it is subscribed to is noted in it."""
        raise NotImplementedError

    def mark_news(self, name: str) -> tuple[str, Any]:
        """Return the topic and the message of a mark."""
        raise NotImplementedError

    def account_news(self) -> tuple[str, Any]:
        """Return the topic and the message of an account that changed."""
        raise NotImplementedError

    def is_late(self, stamp: str, window: int = WINDOW_MS) -> bool:
        """Return whether a stamp in ms is not of this moment."""
        return abs(int(stamp) - self.now()) > window

    def move(self, name: str, mark: str) -> None:
        """Move a mark and tell it."""
        self.marks[name] = Decimal(mark)
        self._send(lambda: self.mark_news(name))

    def trade(self, quantity: str, *, is_told: bool = True) -> None:
        """Change the first position, and tell it unless nobody is to hear of it."""
        self.quantity = Decimal(quantity)
        if is_told:
            self._send(self.account_news)

    def _send(self, news: Callable[[], tuple[str, Any]]) -> None:
        """Send news to whoever is subscribed."""
        topic, message = news()

        async def send() -> None:
            for socket in list(self.sockets):
                if topic in socket.topics and not socket.channel.closed:
                    await socket.channel.send_str(json.dumps(message))

        assert self.loop is not None
        asyncio.run_coroutine_threadsafe(send(), self.loop).result(10)

    def drop(self) -> None:
        """Close every socket."""

        async def close() -> None:
            for socket in list(self.sockets):
                await socket.channel.close(code=DROPPED)

        assert self.loop is not None
        asyncio.run_coroutine_threadsafe(close(), self.loop).result(10)


@dataclass(slots=True)
class Socket:
    """An open socket with what it is subscribed to."""

    channel: web.WebSocketResponse
    path: str
    topics: set[str] = field(default_factory=set)
    is_known: bool = False


async def respond(venue: Venue, request: web.Request) -> web.StreamResponse:
    """Answer one request, or converse with a socket."""
    if request.headers.get("upgrade", "").lower() == "websocket":
        return await converse(venue, request)
    text = await request.text()
    body = json.loads(text) if text.startswith(("{", "[")) else text
    venue.asked.append(request.path if not isinstance(body, dict) else str(body.get("type")))
    if venue.is_torn:
        return web.Response(text="<html>Bad gateway</html>", status=502)
    status, answer, headers = venue.answer(request, body)
    if status >= 400:
        venue.refused.append(request.path)
    return web.json_response(answer, status=status, headers=headers)


async def converse(venue: Venue, request: web.Request) -> web.WebSocketResponse:
    """Take what a socket asks for until it is closed."""
    channel = web.WebSocketResponse()
    await channel.prepare(request)
    socket = Socket(channel, request.path)
    venue.connected += 1
    venue.sockets.append(socket)
    if LISTEN_KEY in request.path_qs:
        socket.topics.add("account")
    try:
        async for message in channel:
            if message.type is WSMsgType.TEXT and message.data != "ping":
                for answer in venue.told(socket, json.loads(message.data)):
                    await channel.send_str(json.dumps(answer))
    finally:
        venue.sockets.remove(socket)
    return channel


@contextmanager
def running(venue: Venue) -> Iterator[Venue]:
    """Serve a venue on a port of its own for as long as the context lasts."""
    ready = threading.Event()
    stop = asyncio.Event()

    async def serve() -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", partial(respond, venue))
        runner = web.AppRunner(app, shutdown_timeout=1.0)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        venue.url = f"http://{host}:{port}"
        venue.loop = asyncio.get_running_loop()
        ready.set()
        await stop.wait()
        await runner.cleanup()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert ready.wait(20)
    try:
        yield venue
    finally:
        assert venue.loop is not None
        venue.loop.call_soon_threadsafe(stop.set)
        thread.join(20)


OK: dict[str, str] = {}


class Binance(Venue):
    """USD-M: a cross long of BTCUSDT with 20,000 USDT, an isolated short of ETHUSDT with 5,000."""

    PUBLIC = ("/fapi/v1/exchangeInfo", "/fapi/v1/time")
    RATES = {"BTCUSDT": Decimal("0.004"), "ETHUSDT": Decimal("0.005")}  # noqa: RUF012

    def answer(self, request: web.Request, body: Any) -> tuple[int, Any, dict[str, str]]:
        """Answer as the venue does; weight limits come before anything else."""
        path = request.path
        if self.limited > 0:
            self.limited -= 1
            return 429, {"code": -1003, "msg": "Too many requests."}, {"Retry-After": self.wait}
        if path == "/fapi/v1/time":
            return 200, {"serverTime": self.now()}, OK
        if path == "/fapi/v1/exchangeInfo":
            return 200, {"symbols": [self._symbol("BTC"), self._symbol("ETH")]}, OK
        if self.is_revoked or request.headers.get("x-mbx-apikey") != KEY:
            return 401, {"code": -2015, "msg": "Invalid API-key, IP, or permissions."}, OK
        if path == "/fapi/v1/listenKey":
            return 200, {"listenKey": LISTEN_KEY}, OK
        query, _, signature = request.query_string.rpartition("&signature=")
        if signed(query).hex() != signature:
            return 400, {"code": -1022, "msg": "Signature for this request is not valid."}, OK
        if self.is_late(request.query["timestamp"]):
            return 400, {"code": -1021, "msg": "Timestamp is outside of the recvWindow."}, OK
        tables = {
            "/sapi/v1/account/apiRestrictions": self._may,
            "/fapi/v1/accountConfig": lambda: {
                "multiAssetsMargin": False,
                "dualSidePosition": False,
                "canTrade": True,
            },
            "/fapi/v3/positionRisk": self._positions,
            "/fapi/v3/account": self._account,
            "/fapi/v1/symbolConfig": lambda: [
                {"symbol": "BTCUSDT", "marginType": "CROSSED", "leverage": 10},
                {"symbol": "ETHUSDT", "marginType": "ISOLATED", "leverage": 5},
            ],
            "/fapi/v1/leverageBracket": self._brackets,
        }
        if path not in tables:
            return 404, {"code": -5000, "msg": f"Path {path} is invalid"}, OK
        return 200, tables[path](), {"X-MBX-USED-WEIGHT-1M": "5"}

    def _may(self) -> Any:
        return {
            "ipRestrict": True,
            "enableReading": True,
            "enableWithdrawals": False,
            "enableInternalTransfer": False,
            "enableMargin": False,
            "enableFutures": self.is_strong,
            "permitsUniversalTransfer": False,
            "enableVanillaOptions": False,
            "enableFixApiTrade": False,
            "enableSpotAndMarginTrading": False,
            "enablePortfolioMarginTrading": False,
        }

    def _symbol(self, base: str) -> Any:
        return {
            "symbol": f"{base}USDT",
            "pair": f"{base}USDT",
            "contractType": "PERPETUAL",
            "deliveryDate": 4133404800000,
            "onboardDate": 1569398400000,
            "status": "TRADING",
            "baseAsset": base,
            "quoteAsset": "USDT",
            "marginAsset": "USDT",
            "filters": [],
        }

    def _brackets(self) -> Any:
        return [
            {
                "symbol": symbol,
                "brackets": [
                    {
                        "bracket": 1,
                        "initialLeverage": 125,
                        "notionalCap": 300000,
                        "notionalFloor": 0,
                        "maintMarginRatio": float(rate),
                        "cum": 0.0,
                    },
                    {
                        "bracket": 2,
                        "initialLeverage": 100,
                        "notionalCap": 800000,
                        "notionalFloor": 300000,
                        "maintMarginRatio": float(rate + Decimal("0.001")),
                        "cum": 300.0,
                    },
                ],
            }
            for symbol, rate in self.RATES.items()
        ]

    def _row(self, symbol: str, quantity: Decimal, entry: Decimal, wallet: Decimal) -> Any:
        mark, rate = self.marks[symbol], self.RATES[symbol]
        is_alone = symbol == "ETHUSDT"
        side = 1 if quantity > 0 else -1
        # LP = (wallet - q * entry) / (|q| * rate - q), the published formula at one bracket.
        liquidation = (wallet - quantity * entry) / (abs(quantity) * rate - quantity)
        return {
            "symbol": symbol,
            "positionSide": "BOTH",
            "positionAmt": plain(quantity),
            "entryPrice": plain(entry),
            "markPrice": plain(mark),
            "unRealizedProfit": plain(quantity * (mark - entry)),
            "liquidationPrice": f"{liquidation:.8f}" if side * liquidation != 0 else "0",
            "isolatedWallet": plain(wallet) if is_alone else "0",
            "isolatedMargin": "0",
            "notional": plain(quantity * mark),
            "marginAsset": "USDT",
            "initialMargin": plain(abs(quantity) * mark / 10),
            "positionInitialMargin": plain(abs(quantity) * mark / 10),
            "maintMargin": f"{abs(quantity) * mark * rate + self.lie:.8f}",
            "openOrderInitialMargin": "0",
            "updateTime": 1720736417660,
        }

    def _positions(self) -> Any:
        rows = [self._row("ETHUSDT", Decimal(-10), Decimal(2000), Decimal(5000))]
        if self.quantity:
            rows.append(self._row("BTCUSDT", self.quantity, Decimal(60000), Decimal(20000)))
        return rows

    def _account(self) -> Any:
        return {
            "availableBalance": "8300",
            "assets": [
                {
                    "asset": "USDT",
                    "walletBalance": "25000",
                    "crossWalletBalance": "20000.00000000",
                    "openOrderInitialMargin": "12.5",
                    "availableBalance": "8300",
                },
                {
                    "asset": "BNB",
                    "walletBalance": "0.00000000",
                    "crossWalletBalance": "0.00000000",
                    "openOrderInitialMargin": "0",
                    "availableBalance": "0",
                },
            ],
            "positions": [],
        }

    def told(self, socket: Socket, message: Any) -> list[Any]:
        """Subscribe to streams."""
        socket.topics |= set(message.get("params", ()))
        return [{"result": None, "id": message["id"]}]

    def mark_news(self, name: str) -> tuple[str, Any]:
        """Return a mark of the stream of one second."""
        now = self.now()
        return f"{name.lower()}@markPrice@1s", {
            "e": "markPriceUpdate",
            "E": now,
            "s": name,
            "p": plain(self.marks[name]),
            "i": plain(self.marks[name]),
            "P": plain(self.marks[name]),
            "r": "0.0001",
            "T": now + 3_600_000,
        }

    def account_news(self) -> tuple[str, Any]:
        """Return an update of balance and positions."""
        now = self.now()
        balances = [{"a": "USDT", "wb": "25000", "cw": "20000", "bc": "0"}]
        return "account", {
            "e": "ACCOUNT_UPDATE",
            "T": now,
            "E": now,
            "a": {"m": "ORDER", "B": balances, "P": []},
        }


class Bybit(Venue):
    """Unified account in isolated mode: a long of ETHUSDT from 1,200 with 1,200 USDT."""

    mode = "ISOLATED_MARGIN"

    def answer(self, request: web.Request, body: Any) -> tuple[int, Any, dict[str, str]]:
        """Answer as the venue does: errors come with status 200 and a code."""
        path, now = request.path, self.now()
        if self.limited > 0:
            self.limited -= 1
            reset = {"X-Bapi-Limit-Reset-Timestamp": str(now + int(float(self.wait) * 1000))}
            return 200, {"retCode": 10006, "retMsg": "Too many visits!", "result": {}}, reset
        if not path.startswith("/v5/market"):
            head = request.headers
            stamp, key = head.get("x-bapi-timestamp", "0"), head.get("x-bapi-api-key", "")
            text = f"{stamp}{key}{head.get('x-bapi-recv-window', '')}{request.query_string}"
            if self.is_revoked or key != KEY:
                return 200, {"retCode": 10003, "retMsg": "API key is invalid.", "result": {}}, OK
            if signed(text).hex() != head.get("x-bapi-sign"):
                return 200, {"retCode": 10004, "retMsg": "error sign!", "result": {}}, OK
            if self.is_late(stamp):
                said = "invalid request, please check your server timestamp"
                return 200, {"retCode": 10002, "retMsg": said, "result": {}}, OK
        tables: dict[str, Callable[[], Any]] = {
            "/v5/market/time": lambda: {
                "timeSecond": str(now // 1000),
                "timeNano": str(now * 10**6),
            },
            "/v5/market/instruments-info": lambda: self._instruments(request.query["category"]),
            "/v5/market/risk-limit": self._limits,
            "/v5/user/query-api": lambda: {"readOnly": 0 if self.is_strong else 1, "apiKey": KEY},
            "/v5/account/info": lambda: {"marginMode": self.mode, "unifiedMarginStatus": 5},
            "/v5/position/list": lambda: self._positions(request.query),
            "/v5/account/wallet-balance": self._wallet,
        }
        if path not in tables:
            return 404, {"retCode": 10404, "retMsg": path, "result": {}}, OK
        result = tables[path]()
        return 200, {"retCode": 0, "retMsg": "OK", "result": result, "time": now}, OK

    def _instruments(self, category: str) -> Any:
        listed = {
            "symbol": "ETHUSDT",
            "contractType": "LinearPerpetual",
            "status": "Trading",
            "baseCoin": "ETH",
            "quoteCoin": "USDT",
            "settleCoin": "USDT",
            "launchTime": "1584230400000",
            "deliveryTime": "0",
            "priceScale": "2",
            "leverageFilter": {"minLeverage": "1", "maxLeverage": "100", "leverageStep": "0.01"},
            "priceFilter": {"minPrice": "0.05", "maxPrice": "199999", "tickSize": "0.05"},
            "lotSizeFilter": {"maxOrderQty": "1500", "minOrderQty": "0.01", "qtyStep": "0.01"},
        }
        rows = [listed] if category == "linear" else []
        return {"category": category, "list": rows, "nextPageCursor": ""}

    def _limits(self) -> Any:
        rows = [
            {
                "id": 1,
                "symbol": "ETHUSDT",
                "riskLimitValue": "900000",
                "maintenanceMargin": "0.005",
                "initialMargin": "0.01",
                "isLowestRisk": 1,
                "maxLeverage": "100.00",
                "mmDeduction": "",
            },
            {
                "id": 2,
                "symbol": "ETHUSDT",
                "riskLimitValue": "1800000",
                "maintenanceMargin": "0.01",
                "initialMargin": "0.02",
                "isLowestRisk": 0,
                "maxLeverage": "50.00",
                "mmDeduction": "4500",
            },
        ]
        return {"category": "linear", "list": rows}

    def _positions(self, query: Any) -> Any:
        if query.get("settleCoin") != "USDT" or not self.quantity:
            return {"category": "linear", "list": [], "nextPageCursor": ""}
        if "cursor" not in query:
            # An empty page that is not the last one: whoever stops here misses the position.
            return {"category": "linear", "list": [], "nextPageCursor": "more"}
        entry, quantity = Decimal(1200), self.quantity
        margin, kept = Decimal(1200), quantity * entry * Decimal("0.005")
        row = {
            "positionIdx": 0,
            "symbol": "ETHUSDT",
            "side": "Buy",
            "size": plain(quantity),
            "avgPrice": plain(entry),
            "positionValue": plain(quantity * entry),
            "tradeMode": 1,
            "leverage": "10",
            "markPrice": plain(self.marks["ETHUSDT"]),
            "positionBalance": plain(margin),
            "positionIM": plain(margin),
            "positionMM": plain(kept + self.lie),
            # LP = entry - (IM - MM) / quantity, as the help centre has it.
            "liqPrice": f"{entry - (margin - kept) / quantity:.2f}",
            "bustPrice": f"{entry - margin / quantity:.2f}",
        }
        return {"category": "linear", "list": [row], "nextPageCursor": ""}

    def _wallet(self) -> Any:
        coin = {"coin": "USDT", "walletBalance": "1837", "totalOrderIM": "0", "equity": "1837"}
        whole = {
            "accountType": "UNIFIED",
            "totalMarginBalance": "1830",
            "totalMaintenanceMargin": "0.7",
            "totalInitialMargin": "30",
            "totalAvailableBalance": "1800",
            "accountMMRate": "0.003",
            "coin": [coin],
        }
        return {"list": [whole]}

    def told(self, socket: Socket, message: Any) -> list[Any]:
        """Take a login by signature, and subscriptions, private ones only after it."""
        if message["op"] == "auth":
            key, expires, signature = message["args"]
            right = signed(f"GET/realtime{expires}").hex()
            socket.is_known = not self.is_revoked and (key, signature) == (KEY, right)
            return [{"success": socket.is_known, "ret_msg": "", "op": "auth", "conn_id": "1"}]
        if message["op"] == "subscribe":
            wished = set(message["args"])
            is_private = "position" in wished
            if not is_private or socket.is_known:
                socket.topics |= {"account" if each == "position" else each for each in wished}
            return [{"success": True, "op": "subscribe", "req_id": message.get("req_id")}]
        return [{"success": True, "op": "pong", "req_id": message.get("req_id")}]

    def mark_news(self, name: str) -> tuple[str, Any]:
        """Return a ticker whole."""
        data = {"symbol": name, "markPrice": plain(self.marks[name]), "lastPrice": "1"}
        topic = f"tickers.{name}"
        return topic, {"topic": topic, "type": "snapshot", "data": data, "ts": self.now()}

    def account_news(self) -> tuple[str, Any]:
        """Return an update of a position."""
        data = {
            "category": "linear",
            "symbol": "ETHUSDT",
            "side": "Buy",
            "size": plain(self.quantity),
            "entryPrice": "1200",
            "positionIdx": 0,
        }
        return "account", {"topic": "position", "creationTime": self.now(), "data": [data]}


class Okx(Venue):
    """An isolated long of BTC-USDT-SWAP from 60,000 with 900 USDT; contracts of 0.01 BTC."""

    tiers = 1

    def answer(self, request: web.Request, body: Any) -> tuple[int, Any, dict[str, str]]:
        """Answer as the venue does."""
        path = request.path
        if self.limited > 0:
            self.limited -= 1
            said = {"code": "50011", "msg": "Requests too frequent.", "data": []}
            return 429, said, {"Retry-After": self.wait}
        if not path.startswith("/api/v5/public"):
            head = request.headers
            stamp = head.get("ok-access-timestamp", "1970-01-01T00:00:00.000Z")
            query = f"?{request.query_string}" if request.query_string else ""
            right = base64.b64encode(signed(f"{stamp}{request.method}{path}{query}")).decode()
            if self.is_revoked or head.get("ok-access-key") != KEY:
                return 401, {"code": "50111", "msg": "Invalid OK-ACCESS-KEY", "data": []}, OK
            if head.get("ok-access-passphrase") != PASSPHRASE:
                return 401, {"code": "50105", "msg": "Passphrase incorrect", "data": []}, OK
            if right != head.get("ok-access-sign"):
                return 401, {"code": "50113", "msg": "Invalid Sign", "data": []}, OK
            moment = time.strptime(stamp[:19], "%Y-%m-%dT%H:%M:%S")
            since = calendar.timegm(moment) * 1000
            if self.is_late(str(since), 30_000):
                return 401, {"code": "50102", "msg": "Timestamp request expired", "data": []}, OK
        perm = "read_only,trade" if self.is_strong else "read_only"
        config = {"uid": "1", "acctLv": "2", "posMode": "net_mode", "perm": perm}
        detail = {"ccy": "USDT", "cashBal": "17000", "eq": "16700", "mmr": "0", "imr": "0"}
        tables: dict[str, Callable[[], Any]] = {
            "/api/v5/public/time": lambda: [{"ts": str(self.now())}],
            "/api/v5/public/instruments": lambda: self._instruments(request.query["instType"]),
            "/api/v5/public/position-tiers": self._tiers,
            "/api/v5/account/config": lambda: [config],
            "/api/v5/account/balance": lambda: [{"totalEq": "16700", "details": [detail]}],
            "/api/v5/account/positions": self._positions,
        }
        if path not in tables:
            return 404, {"code": "50404", "msg": path, "data": []}, OK
        return 200, {"code": "0", "msg": "", "data": tables[path]()}, OK

    def _instruments(self, kind: str) -> Any:
        listed = {
            "instType": "SWAP",
            "instId": "BTC-USDT-SWAP",
            "uly": "BTC-USDT",
            "instFamily": "BTC-USDT",
            "baseCcy": "",
            "quoteCcy": "",
            "settleCcy": "USDT",
            "ctVal": "0.01",
            "ctMult": "1",
            "ctValCcy": "BTC",
            "ctType": "linear",
            "listTime": "1611916828000",
            "expTime": "",
            "lever": "100",
            "tickSz": "0.1",
            "lotSz": "0.01",
            "minSz": "0.01",
            "state": "live",
        }
        return [listed] if kind == "SWAP" else []

    def _tiers(self) -> Any:
        rows = [
            {"tier": "1", "minSz": "0", "maxSz": "500", "mmr": "0.004", "maxLever": "100"},
            {"tier": "2", "minSz": "501", "maxSz": "1000", "mmr": "0.006", "maxLever": "50"},
        ]
        return rows[: self.tiers]

    def _positions(self) -> Any:
        if not self.quantity:
            return []
        coins, entry, margin = self.quantity / 100, Decimal(60000), Decimal(900)
        mark, rate = self.marks["BTC-USDT-SWAP"], Decimal("0.004")
        # margin + coins (p - entry) = coins p rate, solved for p.
        liquidation = (coins * entry - margin) / (coins * (1 - rate))
        row = {
            "instId": "BTC-USDT-SWAP",
            "instType": "SWAP",
            "mgnMode": "isolated",
            "posSide": "net",
            "pos": plain(self.quantity),
            "avgPx": plain(entry),
            "markPx": plain(mark),
            "margin": plain(margin),
            "mmr": plain(coins * mark * rate + self.lie),
            "imr": plain(coins * mark / 10),
            "liqPx": f"{liquidation:.10f}",
            "lever": "10",
            "mgnRatio": "19.5",
            "ccy": "USDT",
        }
        return [row]

    def told(self, socket: Socket, message: Any) -> list[Any]:
        """Take a login by signature, and subscriptions, private ones only after it."""
        if message["op"] == "login":
            (wish,) = message["args"]
            text = f"{wish['timestamp']}GET/users/self/verify"
            right = (KEY, PASSPHRASE, base64.b64encode(signed(text)).decode())
            said = (wish["apiKey"], wish["passphrase"], wish["sign"])
            socket.is_known = not self.is_revoked and said == right
            if socket.is_known:
                return [{"event": "login", "msg": "", "code": "0", "connId": "1"}]
            return [{"event": "error", "msg": "Login failed.", "code": "60009", "connId": "1"}]
        answers = []
        for wish in message["args"]:
            if wish["channel"] == "mark-price":
                socket.topics.add(f"mark-price {wish['instId']}")
            elif socket.is_known:
                socket.topics.add("account")
            answers.append({"event": "subscribe", "arg": wish, "connId": "1"})
        return answers

    def mark_news(self, name: str) -> tuple[str, Any]:
        """Return a mark."""
        mark = {"instType": "SWAP", "instId": name, "markPx": plain(self.marks[name])}
        data = [{**mark, "ts": str(self.now())}]
        return f"mark-price {name}", {
            "arg": {"channel": "mark-price", "instId": name},
            "data": data,
        }

    def account_news(self) -> tuple[str, Any]:
        """Return positions anew."""
        arg = {"channel": "positions", "instType": "ANY", "uid": "1"}
        return "account", {"arg": arg, "data": self._positions()}


class Hyperliquid(Venue):
    """By address: a cross long of BTC from 60,000, an isolated short of ETH from 2,000."""

    ADDRESS = "0x" + "1a" * 20
    mode = "default"

    def answer(self, request: web.Request, body: Any) -> tuple[int, Any, dict[str, str]]:
        """Answer by the type that is asked for."""
        if self.limited > 0:
            self.limited -= 1
            return 429, None, {"Retry-After": self.wait}
        kind = body.get("type")
        universe = [
            {"name": "BTC", "szDecimals": 5, "maxLeverage": 40, "marginTableId": 56},
            {"name": "ETH", "szDecimals": 4, "maxLeverage": 25, "marginTableId": 25},
        ]
        table = {
            "description": "tiered",
            "marginTiers": [
                {"lowerBound": "0.0", "maxLeverage": 40},
                {"lowerBound": "150000000.0", "maxLeverage": 20},
            ],
        }
        meta = {"universe": universe, "marginTables": [[56, table]], "collateralToken": 0}
        contexts = [
            {
                "dayNtlVlm": "35",
                "funding": "0.0000125",
                "markPx": plain(self.marks[row["name"]]),
                "midPx": plain(self.marks[row["name"]]),
                "oraclePx": plain(self.marks[row["name"]]),
                "openInterest": "100",
                "premium": "0.0",
                "prevDayPx": "2200",
            }
            for row in universe
        ]
        answers = {
            "meta": meta,
            "metaAndAssetCtxs": [meta, contexts],
            "perpDexs": [None],
            "userAbstraction": self.mode,
            "clearinghouseState": self._state(),
        }
        if kind not in answers or body.get("user", self.ADDRESS) != self.ADDRESS:
            return 422, {"error": f"unknown {kind}"}, OK
        return 200, answers[kind], OK

    def _state(self) -> Any:
        btc, eth = self.marks["BTC"], self.marks["ETH"]
        raw = Decimal(10000) - self.quantity * 60000
        kept = abs(self.quantity) * btc / 80
        positions = []
        if self.quantity:
            # raw + q p = q p / 80, solved for p.
            liquidation = -raw / (self.quantity * (1 - Decimal(1) / 80))
            positions.append(
                self._row("BTC", self.quantity, 60000, btc, f"{liquidation:.7f}", {"type": "cross"})
            )
        # 4,800 - 2 p = 2 p / 50, solved for p.
        alone = {"type": "isolated", "rawUsd": "4800.0"}
        positions.append(self._row("ETH", Decimal(-2), 2000, eth, "2352.9411765", alone))
        return {
            "assetPositions": positions,
            "crossMaintenanceMarginUsed": plain(kept + self.lie),
            "crossMarginSummary": {
                "accountValue": plain(raw + self.quantity * btc),
                "totalRawUsd": plain(raw),
                "totalMarginUsed": plain(self.quantity * btc / 10),
                "totalNtlPos": plain(self.quantity * btc),
            },
            "marginSummary": {},
            "withdrawable": "100.0",
            "time": self.now(),
        }

    def _row(
        self, coin: str, quantity: Decimal, entry: int, mark: Decimal, at: str, leverage: Any
    ) -> Any:
        used = Decimal(leverage.get("rawUsd", "0")) + quantity * mark
        position = {
            "coin": coin,
            "szi": plain(quantity),
            "entryPx": f"{entry}.0",
            "leverage": {"value": 10, **leverage},
            "liquidationPx": at,
            "marginUsed": plain(used),
            "maxLeverage": 40,
            "positionValue": plain(abs(quantity) * mark),
            "unrealizedPnl": plain(quantity * (mark - entry)),
            "returnOnEquity": "0.0",
        }
        return {"type": "oneWay", "position": position}

    def told(self, socket: Socket, message: Any) -> list[Any]:
        """Subscribe to contexts of coins and to accounts by address."""
        if message["method"] != "subscribe":
            return [{"channel": "pong"}]
        wish = message["subscription"]
        if wish["type"] == "activeAssetCtx":
            socket.topics.add(f"context {wish['coin']}")
        elif wish.get("user") == self.ADDRESS:
            socket.topics.add("account")
        return [{"channel": "subscriptionResponse", "data": message}]

    def mark_news(self, name: str) -> tuple[str, Any]:
        """Return the context of a coin."""
        context = {
            "markPx": plain(self.marks[name]),
            "midPx": plain(self.marks[name]),
            "oraclePx": plain(self.marks[name]),
            "funding": "0.0",
            "openInterest": "1",
            "prevDayPx": "1",
            "dayNtlVlm": "1",
        }
        data = {"coin": name, "ctx": context}
        return f"context {name}", {"channel": "activeAssetCtx", "data": data}

    def account_news(self) -> tuple[str, Any]:
        """Return the account anew."""
        data = {"user": self.ADDRESS, "dex": "", "clearinghouseState": self._state()}
        return "account", {"channel": "clearinghouseState", "data": data}


class Dydx(Venue):
    """By address: a short of BTC-USD and 161,500 USDC."""

    ADDRESS = "dydx1" + "q" * 38

    def answer(self, request: web.Request, body: Any) -> tuple[int, Any, dict[str, str]]:
        """Answer as the indexer does."""
        path = request.path
        if self.limited > 0:
            self.limited -= 1
            return 429, {"errors": [{"msg": "Too many requests"}]}, {"Retry-After": self.wait}
        mark = self.marks["BTC-USD"]
        if path.endswith("/time"):
            return 200, {"iso": "2026-11-30T00:00:00.000Z", "epoch": self.now() / 1000}, OK
        if path.endswith("/perpetualMarkets"):
            market = {
                "clobPairId": "0",
                "ticker": "BTC-USD",
                "status": "ACTIVE",
                "oraclePrice": plain(mark),
                "initialMarginFraction": "0.02",
                "maintenanceMarginFraction": "0.012",
                "openInterest": "59.0763",
                "baseOpenInterest": "60.5",
                "openInterestLowerCap": "2000000",
                "openInterestUpperCap": "8000000",
                "atomicResolution": -10,
                "marketType": "CROSS",
            }
            return 200, {"markets": {"BTC-USD": market}}, OK
        if path.endswith(f"/addresses/{self.ADDRESS}/subaccountNumber/0"):
            return 200, {"subaccount": self._subaccount(mark)}, OK
        return 404, {"errors": [{"msg": f"no {path}"}]}, OK

    def _subaccount(self, mark: Decimal) -> Any:
        equity = Decimal(161500) + self.quantity * mark
        position = {
            "market": "BTC-USD",
            "status": "OPEN",
            "side": "SHORT",
            "size": plain(self.quantity),
            "entryPrice": "118000",
        }
        return {
            "address": self.ADDRESS,
            "subaccountNumber": 0,
            "equity": plain(equity + self.lie),
            "freeCollateral": plain(equity - abs(self.quantity) * mark / 50),
            "openPerpetualPositions": {"BTC-USD": position} if self.quantity else {},
            "assetPositions": {"USDC": {"symbol": "USDC", "side": "LONG", "size": "161500"}},
        }


class Deribit(Venue):
    """An account in BTC with a long of BTC-PERPETUAL, under a portfolio margin model."""

    def answer(self, request: web.Request, body: Any) -> tuple[int, Any, dict[str, str]]:
        """Answer in JSON-RPC over GET."""
        path, name = request.path, request.path.rsplit("/", 1)[1]
        if self.limited > 0:
            self.limited -= 1
            return self._error(10028, "too_many_requests", 429, {"Retry-After": self.wait})
        if name == "auth":
            return self._auth(dict(request.query))
        if "/private/" in path and not self._is_signed(request):
            return self._error(13009, "unauthorized", 400, OK)
        position = {
            "instrument_name": "BTC-PERPETUAL",
            "kind": "future",
            "direction": "buy",
            "size": float(self.quantity),
            "size_currency": 0.006687487,
            "average_price": 7440.18,
            "mark_price": float(self.marks["BTC-PERPETUAL"]),
            "estimated_liquidation_price": 1.74,
            "initial_margin": 0.000197283,
            "maintenance_margin": 0.000143783,
            "open_orders_margin": 0.0,
        }
        summary = {
            "currency": "BTC",
            "balance": 1.0,
            "equity": 1.0001,
            "margin_balance": 1.0001,
            "available_funds": 0.9,
            "initial_margin": 0.0002,
            "maintenance_margin": 0.00014,
            "margin_model": "cross_pm",
        }
        empty = {**summary, "currency": "ETH", "balance": 0.0}
        answers: dict[str, Callable[[], Any]] = {
            "get_time": self.now,
            "get_currencies": lambda: [{"currency": "BTC", "fee_precision": 4}],
            "get_instruments": lambda: [self._instrument()],
            "get_account_summaries": lambda: {"id": 1, "summaries": [summary, empty]},
            "get_positions": lambda: [position] if request.query["currency"] == "BTC" else [],
        }
        if name not in answers:
            return self._error(-32601, f"Method not found {name}", 404, OK)
        return 200, {"jsonrpc": "2.0", "id": 1, "result": answers[name]()}, OK

    def _error(self, code: int, said: str, status: int, headers: dict[str, str]) -> Any:
        return status, {"jsonrpc": "2.0", "error": {"code": code, "message": said}}, headers

    def _scope(self) -> str:
        trade = "trade:read_write" if self.is_strong else "trade:read"
        return f"account:read {trade} wallet:read connection mainaccount"

    def _auth(self, wish: dict[str, Any]) -> Any:
        """Take a signature of stamp, nonce and data; the secret itself is never to be sent."""
        text = f"{wish['timestamp']}\n{wish['nonce']}\n{wish['data']}"
        is_right = wish["client_id"] == KEY and signed(text).hex() == wish["signature"]
        if self.is_revoked or not is_right or self.is_late(wish["timestamp"], 60_000):
            return self._error(13004, "invalid_credentials", 400, OK)
        result = {"scope": self._scope(), "access_token": "t", "token_type": "bearer"}
        return 200, {"jsonrpc": "2.0", "id": 1, "result": result}, OK

    def _is_signed(self, request: web.Request) -> bool:
        """Check `deri-hmac-sha256 id=…,ts=…,sig=…,nonce=…` over the request."""
        scheme, _, rest = request.headers.get("authorization", "").partition(" ")
        parts = dict(part.strip().split("=", 1) for part in rest.split(",") if "=" in part)
        if scheme != "deri-hmac-sha256" or parts.get("id") != KEY or self.is_revoked:
            return False
        uri = request.path_qs
        text = f"{parts['ts']}\n{parts['nonce']}\n{request.method}\n{uri}\n\n"
        return signed(text).hex() == parts["sig"] and not self.is_late(parts["ts"], 60_000)

    def _instrument(self) -> Any:
        return {
            "instrument_name": "BTC-PERPETUAL",
            "kind": "future",
            "instrument_type": "reversed",
            "future_type": "reversed",
            "settlement_period": "perpetual",
            "settlement_currency": "BTC",
            "base_currency": "BTC",
            "quote_currency": "USD",
            "counter_currency": "USD",
            "price_index": "btc_usd",
            "tick_size": 0.5,
            "contract_size": 10.0,
            "min_trade_amount": 10.0,
            "taker_commission": 0.0005,
            "maker_commission": 0.0,
            "is_active": True,
            "state": "open",
            "max_leverage": 50,
            "creation_timestamp": 1534167754000,
            "expiration_timestamp": 32503708800000,
        }

    def told(self, socket: Socket, message: Any) -> list[Any]:
        """Take a login by signature, and subscriptions, private ones only after it."""
        method, wish = message["method"], message.get("params", {})
        answer: Any = wish.get("channels")
        if method == "public/auth":
            status, body, _ = self._auth({**wish, "timestamp": str(wish["timestamp"])})
            socket.is_known = status == 200
            return [{**body, "id": message["id"]}]
        for channel in wish.get("channels", ()):
            if channel.startswith("user.") and socket.is_known:
                socket.topics.add("account")
            elif channel.startswith("ticker."):
                socket.topics.add(channel)
        return [{"jsonrpc": "2.0", "id": message["id"], "result": answer}]

    def mark_news(self, name: str) -> tuple[str, Any]:
        """Return a ticker."""
        channel = f"ticker.{name}.100ms"
        data = {
            "instrument_name": name,
            "mark_price": float(self.marks[name]),
            "timestamp": self.now(),
            "stats": {},
        }
        told = {"channel": channel, "data": data}
        return channel, {"jsonrpc": "2.0", "method": "subscription", "params": told}

    def account_news(self) -> tuple[str, Any]:
        """Return the portfolio of a currency."""
        data = {"currency": "BTC", "balance": 1.0, "equity": 1.0, "initial_margin": 0.0}
        told = {"channel": "user.portfolio.BTC", "data": data}
        return "account", {"jsonrpc": "2.0", "method": "subscription", "params": told}


MAKERS: dict[str, Callable[[], Venue]] = {
    "binance-usdm": lambda: Binance(
        marks={"BTCUSDT": Decimal(58000), "ETHUSDT": Decimal(2100)}, quantity=Decimal("1.500")
    ),
    "bybit": lambda: Bybit(marks={"ETHUSDT": Decimal(1190)}, quantity=Decimal(10)),
    "okx": lambda: Okx(marks={"BTC-USDT-SWAP": Decimal(58000)}, quantity=Decimal(15)),
    "hyperliquid": lambda: Hyperliquid(
        marks={"BTC": Decimal(58000), "ETH": Decimal(2100)}, quantity=Decimal(1)
    ),
    "dydx": lambda: Dydx(marks={"BTC-USD": Decimal("118700.5426")}, quantity=Decimal("-0.4")),
    "deribit": lambda: Deribit(marks={"BTC-PERPETUAL": Decimal("7476.65")}, quantity=Decimal(50)),
}
WITH_KEY = ("binance-usdm", "bybit", "okx", "deribit")
STREAMING = ("binance-usdm", "bybit", "okx", "hyperliquid", "deribit")
