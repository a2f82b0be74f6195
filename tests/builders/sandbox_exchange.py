"""A sandbox exchange that speaks Binance's API: one position, its margin, orders and transfers.

Signatures are checked as the venue does. A limit order is filled at the mark or not at all; one
that only reduces never turns a position; an id that was used before is refused.

References
----------
https://developers.binance.com/docs/derivatives/usds-margined-futures/trade/rest-api/New-Order and
https://developers.binance.com/docs/wallet/asset/user-universal-transfer, read 2026-11.
"""

import contextlib
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

KEY, SECRET = "key", "secret"
FEE = Fraction(1, 2000)
SYMBOL = {
    "symbol": "BTCUSDT",
    "pair": "BTCUSDT",
    "contractType": "PERPETUAL",
    "deliveryDate": 4133404800000,
    "onboardDate": 1569398400000,
    "status": "TRADING",
    "baseAsset": "BTC",
    "quoteAsset": "USDT",
    "marginAsset": "USDT",
    "pricePrecision": 2,
    "quantityPrecision": 3,
    "baseAssetPrecision": 8,
    "quotePrecision": 8,
    "orderTypes": ["LIMIT", "MARKET"],
    "timeInForce": ["GTC", "IOC"],
    "filters": [
        {
            "filterType": "PRICE_FILTER",
            "minPrice": "0.1",
            "maxPrice": "1000000",
            "tickSize": "0.10",
        },
        {"filterType": "LOT_SIZE", "minQty": "0.001", "maxQty": "1000", "stepSize": "0.001"},
    ],
}


class Refused(Exception):  # noqa: N818 - named for what happened
    """The exchange refuses a request, with its code."""

    def __init__(self, code: int, message: str) -> None:
        self.body = {"code": code, "msg": message}
        super().__init__(message)


@dataclass
class Exchange:
    """One account of the sandbox.

    Parameters
    ----------
    size, entry
        Of the position in BTC, above 0; USDT for one.
    wallet, spot
        USDT of margin, and beside it.
    """

    mark: Fraction
    size: Fraction
    entry: Fraction
    wallet: Fraction
    spot: Fraction = Fraction(0)
    url: str = ""
    used: set[str] = field(default_factory=set)

    def answer(self, method: str, path: str, asked: dict[str, str]) -> Any:
        """Return the answer to a signed request."""
        if (method, path) == ("POST", "/fapi/v1/order"):
            return self._order(asked)
        if (method, path) == ("POST", "/sapi/v1/asset/transfer"):
            return self._transfer(asked)
        raise Refused(-5000, f"Path {path}, Method {method} is invalid")

    def _order(self, asked: dict[str, str]) -> dict[str, Any]:
        """Fill an order at the mark, or let it expire."""
        name = asked["newClientOrderId"]
        if name in self.used:
            raise Refused(-4116, "ClientOrderId is duplicated.")
        self.used.add(name)
        amount, limit = Fraction(asked["quantity"]), Fraction(asked["price"])
        if asked["reduceOnly"] != "true" or asked["side"] != "SELL" or amount > self.size:
            raise Refused(-2022, "ReduceOnly Order is rejected.")
        is_filled = self.mark >= limit
        if is_filled:
            self.wallet += amount * (self.mark - self.entry) - FEE * amount * self.mark
            self.size -= amount
        return {
            "orderId": 7,
            "symbol": "BTCUSDT",
            "status": "FILLED" if is_filled else "EXPIRED",
            "clientOrderId": name,
            "price": asked["price"],
            "avgPrice": str(float(self.mark)) if is_filled else "0.00",
            "origQty": asked["quantity"],
            "executedQty": asked["quantity"] if is_filled else "0",
            "timeInForce": "IOC",
            "type": "LIMIT",
            "reduceOnly": True,
            "side": "SELL",
            "updateTime": 1566818724722,
        }

    def _transfer(self, asked: dict[str, str]) -> dict[str, Any]:
        """Move USDT from spot to margin."""
        amount = Fraction(asked["amount"])
        if asked["type"] != "MAIN_UMFUTURE" or amount > self.spot:
            raise Refused(-5013, "Asset transfer failed: insufficient balance")
        self.spot -= amount
        self.wallet += amount
        return {"tranId": 13526853623}


def hold_signature(*, is_same: bool) -> None:
    """Refuse a request that is not signed by the account's keys."""
    if not is_same:
        raise Refused(-1022, "Signature for this request is not valid.")


@contextlib.contextmanager
def listening(exchange: Exchange) -> Iterator[Exchange]:
    """Yield the exchange on a port of its own."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._tell(200, {"timezone": "UTC", "rateLimits": [], "symbols": [SYMBOL]})

        def do_POST(self) -> None:
            parts = urlsplit(self.path)
            length = int(self.headers.get("Content-Length") or 0)
            text = parts.query or self.rfile.read(length).decode()
            signed, _, signature = text.rpartition("&signature=")
            mark = hmac.new(SECRET.encode(), signed.encode(), hashlib.sha256).hexdigest()
            try:
                is_ours = self.headers.get("X-MBX-APIKEY") == KEY
                hold_signature(is_same=is_ours and mark == signature)
                asked = {name: values[0] for name, values in parse_qs(signed).items()}
                self._tell(200, exchange.answer("POST", parts.path, asked))
            except Refused as error:
                self._tell(400, error.body)

        def _tell(self, status: int, body: Any) -> None:
            text = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    exchange.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield exchange
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
