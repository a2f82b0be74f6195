"""A server that speaks Binance's API, in whatever mood it is told to be."""

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

HOUR_MS = 3_600_000
SPOT = {
    "symbol": "ETHUSDT",
    "status": "TRADING",
    "baseAsset": "ETH",
    "quoteAsset": "USDT",
    "isSpotTradingAllowed": True,
    "permissions": ["SPOT"],
    "filters": [],
}
PERPETUAL = {
    "symbol": "ETHUSDT",
    "pair": "ETHUSDT",
    "contractType": "PERPETUAL",
    "deliveryDate": 4133404800000,
    "onboardDate": 1569398400000,
    "status": "TRADING",
    "baseAsset": "ETH",
    "quoteAsset": "USDT",
    "marginAsset": "USDT",
    "filters": [],
}


@dataclass(slots=True)
class Binance:
    """What the server knows, how it feels, and what it was asked.

    Parameters
    ----------
    time
        Its clock, ms.
    candles
        Per route, by the hour since 1970: open, high, low, close, volume as text.
    page
        Most candles in one answer, whatever the limit.
    moods
        What to do instead of answering, one per request for candles or rates: a status with
        headers, or the text of a body.
    """

    url: str = ""
    time: int = 0
    candles: dict[str, dict[int, list[str]]] = field(default_factory=dict)
    rates: list[tuple[int, str]] = field(default_factory=list)
    page: int = 1000
    moods: list[tuple[int, dict[str, str]] | str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def answer(self, path: str, asked: dict[str, str]) -> Any:
        """Return the answer to a request."""
        begin = int(asked.get("startTime", "0"))
        if path.endswith("/time"):
            return {"serverTime": self.time}
        if path.endswith("/exchangeInfo"):
            known = {"/api/v3/exchangeInfo": [SPOT], "/fapi/v1/exchangeInfo": [PERPETUAL]}
            return {"timezone": "UTC", "rateLimits": [], "symbols": known.get(path, [])}
        if path.endswith("/fundingRate"):
            told = [(at, rate) for at, rate in self.rates if at >= begin]
            rows = [{"symbol": "ETHUSDT", "fundingTime": at, "fundingRate": r} for at, r in told]
            return rows[: min(self.page, int(asked["limit"]))]
        held = self.candles.get(path, {})
        places = sorted(place for place in held if place * HOUR_MS >= begin)
        limit = min(self.page, int(asked["limit"]))
        return [[place * HOUR_MS, *held[place], 0] for place in places[:limit]]


@contextlib.contextmanager
def binance_candles() -> Iterator[Binance]:
    """Yield a server that speaks Binance's API on a port of its own."""
    state = Binance()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
            told: Any = None
            if not parts.path.endswith(("/time", "/exchangeInfo")):
                state.asked.append(f"{parts.path}?{asked.get('startTime')}")
                told = state.moods.pop(0) if state.moods else None
            status, headers = told if isinstance(told, tuple) else (200, {})
            body = told if isinstance(told, str) else json.dumps(state.answer(parts.path, asked))
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", headers.get("X-Length", str(len(body))))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
