"""A simulated book lives by its own clock: what is pushed to it may be known by that clock."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from features.simulate import SimulatedBook, simulate
from models.errors import InvalidInput
from serving.application.sample_book import lay
from serving.application.scoring import ScoringService
from serving.evaluation.assess import Model
from serving.http.routing import Call
from serving.routes import OPERATIONS
from serving.store import Store, market

NOW = datetime(2026, 11, 30, tzinfo=UTC)
PATHS = {operation.name: operation for operation in OPERATIONS}
BAR = {"open": [1], "high": [1], "low": [1], "close": [1], "volume": [1]}


@pytest.fixture(scope="module")
def drawn() -> SimulatedBook:
    """Return a simulated book of years to come."""
    return simulate(seed=3, days=2, accounts=2, start=datetime(2030, 1, 1, tzinfo=UTC))


def push(store: Store, name: str, body: Any) -> None:
    """Ask one of the routes that write."""
    desk = ScoringService(model=Model(bundle=None), store=store, clock=lambda: NOW)
    content = json.dumps(body).encode()
    PATHS[name].work(desk, Call(body=content, request_id="test"))


def bodies(name: str, at: datetime) -> dict[str, Any]:
    """Return what each route that writes takes, known since a moment."""
    told = at.isoformat()
    legs = [{"kind": "collateral", "asset": "ETH", "quantity": "1"}]
    mine = {"id": "mine", "venue": "maker", "market": "ETH-B", "legs": legs}
    event = {"account": name, "key": "k", "at": told, "kind": "repay", "debt": "1"}
    candles = {"NEW": {"start": (at - timedelta(hours=1)).isoformat(), **BAR}}
    return {
        "upsert_accounts": {"as_of": told, "accounts": [mine]},
        "push_prices": {"prices": [{"asset": "ETH", "value": "2161.5", "observed_at": told}]},
        "push_candles": {"candles": candles},
        "push_state": {
            "venue": "maker",
            "market": "ETH-C",
            "at": told,
            "state": {"ETH-C.rate": str(10**27)},
        },
        "push_events": {"events": [event]},
    }


def test_what_is_known_by_the_book_s_clock_is_taken(store: Store, drawn: SimulatedBook) -> None:
    """Of this moment there it is in force; of the hour after it is refused at its place."""
    lay(drawn, store)
    name = str(drawn.accounts["account"].iloc[0])
    for route, body in bodies(name, drawn.at).items():
        push(store, route, body)
    with store.read() as transaction:
        prices = market.prices(transaction, at=drawn.at)
    assert float(prices["ETH"].value) / 10 ** prices["ETH"].decimals == 2161.5
    for route, body in bodies(name, drawn.at + timedelta(hours=1)).items():
        with pytest.raises(InvalidInput, match="is later than now") as caught:
            push(store, route, body)
        assert drawn.at.isoformat() in str(caught.value), route


def test_where_no_book_is_simulated_the_clock_decides(store: Store) -> None:
    """An hour ahead of it is too late."""
    for route, body in bodies("nobody", NOW + timedelta(hours=1)).items():
        with pytest.raises(InvalidInput, match="is later than now"):
            push(store, route, body)
