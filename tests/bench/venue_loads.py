"""Requests of 1,000 positions on other venues than vaults, drawn around the many-venue book."""

import json
import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import many_venues
from service_loads import ROWS, Load

AAVE = "aave/two collaterals"
BINANCE = "binance, long and short"
VAULT = "vault ~/1"
STATE: Mapping[str, tuple[str, ...]] = {
    AAVE: ("WETH.", "WBTC.", "USDC."),
    BINANCE: (),
    VAULT: ("ETH-A.",),
}
"""Names of state that each account's venue reads, by how they begin."""

SPREAD = (800, 1200)
"""Thousandths between which every quantity is drawn."""


def venues(rows: int = ROWS) -> list[Load]:
    """Return requests of Aave's three reserves, of Binance's cross of two, of both with vaults."""
    return [
        _load("positions, Aave of three reserves", [AAVE], rows),
        _load("positions, Binance cross of two", [BINANCE], rows),
        _load("positions, mixed", [AAVE, BINANCE, VAULT], rows),
        _load("one position, Aave", [AAVE], 1),
        _load("one position, Binance", [BINANCE], 1),
    ]


def _load(name: str, keys: Sequence[str], rows: int) -> Load:
    """Return a request about copies of some accounts, their terms in the market."""
    bodies = {body["id"]: body for body in many_venues.book()}
    draw = random.Random(11)  # noqa: S311 - a simulated book, no secret
    copies = [_varied(bodies[keys[n % len(keys)]], n, draw) for n in range(rows)]
    body = many_venues.request(copies, reasons=False)
    read = tuple(begin for key in keys for begin in STATE[key])
    state = body["market"]["state"]
    body["market"] |= {
        "state": {each: value for each, value in state.items() if each.startswith(read)},
        "terms": _terms(bodies[key] for key in keys),
    }
    return Load(name=name, path="/v1/score", body=json.dumps(body).encode(), rows=rows)


def _terms(bodies: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the terms of accounts by their market."""
    return {body["market"]: body["terms"] for body in bodies}


def _varied(body: Mapping[str, Any], number: int, draw: random.Random) -> dict[str, Any]:
    """Return an account with other quantities, without its terms."""
    legs = [{**leg, "quantity": _scaled(leg["quantity"], draw)} for leg in body["legs"]]
    rest = {name: value for name, value in body.items() if name != "terms"}
    return {**rest, "id": f"a{number}", "legs": legs}


def _scaled(quantity: str, draw: random.Random) -> str:
    """Return a quantity times a drawn share: whole units stay whole."""
    share = draw.randint(*SPREAD)
    if len(quantity) > len("100000"):
        return str(int(quantity) * share // 1000)
    return f"{float(quantity) * share / 1000:.4f}"
