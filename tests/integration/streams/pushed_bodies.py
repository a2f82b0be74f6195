"""What is pushed in the tests: a small book, each body as it would go to its door over HTTP."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

DAY = datetime.fromisoformat("2026-01-01T00:00:00+00:00")
TERMS = {
    "mat": "1300000000000000000000000000",
    "duty": "1000000000000000000000000000",
    "dust": "0",
    "chop": "1130000000000000000",
    "hole": "1" + "0" * 53,
    "hole_all": "1" + "0" * 53,
    "buf": "1" + "0" * 27,
    "tail": "8400",
    "cusp": "450000000000000000000000000",
}
DOORS = {"accounts": ("PUT", "/v1/accounts")}
Push = tuple[str, dict[str, Any]]


def text(at: datetime) -> str:
    """Return a time as JSON has it."""
    return at.isoformat().replace("+00:00", "Z")


def vault(number: int) -> dict[str, Any]:
    """Return an account."""
    legs = [
        {"kind": "collateral", "asset": "ETH", "quantity": str(2 * 10**18 + number)},
        {"kind": "debt", "asset": "DAI", "quantity": "1000000000000000000000"},
    ]
    return {"id": f"vault/{number}", "venue": "maker", "market": "ETH-B", "legs": legs}


def pushes(rounds: int) -> Iterator[Push]:
    """Yield the pushes of a book, in order: by round a price, an event and every hour a candle."""
    yield (
        "terms",
        {
            "venue": "maker",
            "market": "ETH-B",
            "valid_from": text(DAY),
            "terms": TERMS,
        },
    )
    yield "state", {"at": text(DAY), "state": {"ETH-B.rate": "1" + "0" * 27}}
    yield "accounts", {"as_of": text(DAY), "accounts": [vault(n) for n in range(3)]}
    for place in range(rounds):
        at = DAY + timedelta(minutes=place + 1)
        price = {"asset": "ETH", "value": f"{1000 + place}.25", "observed_at": text(at)}
        yield "prices", {"prices": [price]}
        event = {
            "account": f"vault/{place % 3}",
            "key": f"tx-{place}",
            "at": text(at),
            "kind": "deposit",
            "collateral": "7",
            "debt": "0",
        }
        yield "events", {"events": [event]}
        if place % 10 == 0:
            candle = {name: [1000.5 + place] for name in ("open", "high", "low", "close")}
            start = text(DAY - timedelta(hours=place + 1))
            yield "candles", {"candles": {"ETH": {"start": start, **candle, "volume": [3.0]}}}
