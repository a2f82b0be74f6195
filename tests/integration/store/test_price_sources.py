"""Several sources of one price, pushed to a store and asked about."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import local
import pytest

from models.domain import UNPLACED, MarketId
from serving.application.scoring import ScoringService
from serving.evaluation.assess import Model
from serving.http.admission import Admission, Keyring
from serving.http.app import Api
from serving.http.routing import routes
from serving.routes import OPERATIONS
from serving.settings import Settings
from serving.store import Store, market

NOW = datetime(2026, 9, 1, 12, tzinfo=UTC)
ACCOUNT = {
    "id": "a",
    "venue": "hyperliquid",
    "market": "USDC",
    "legs": [
        {"kind": "collateral", "asset": "USDC", "quantity": "1000"},
        {"kind": "position", "asset": "ETH", "quantity": "1", "entry": "3000"},
    ],
    "options": {"ETH.leverage": 10},
    "terms": {"coins": {"ETH": [{"floor": "0", "max_leverage": 10}]}},
}


@pytest.fixture
def caller(store: Store) -> Iterator[local.Caller]:
    """Yield a caller of the API over an empty store."""
    desk = ScoringService(model=Model(bundle=None), store=store, clock=lambda: NOW)
    asked = local.Caller(Api(routes(OPERATIONS), desk, Admission(Settings(), Keyring(desk.keys))))
    yield asked
    asked.close()


def price(source: str, value: str, *, seconds: int, **more: Any) -> dict[str, Any]:
    """Return a price of ETH that a source told some seconds before noon."""
    at = NOW - timedelta(seconds=seconds)
    return {"asset": "ETH", "value": value, "observed_at": at.isoformat(), "source": source, **more}


def push(caller: local.Caller, *prices: dict[str, Any]) -> None:
    """Push prices that are taken."""
    answer = caller.post("/v1/prices", json={"prices": list(prices)})
    assert answer.status_code == 200, answer.text


def told(caller: local.Caller, seconds: int = 0) -> dict[str, Any]:
    """Return what is told of the price in force."""
    as_of = (NOW - timedelta(seconds=seconds)).isoformat()
    (one,) = caller.get("/v1/prices", params={"as_of": as_of}).json()["prices"]
    return dict(one)


def test_the_source_that_others_contradict_is_disputed_and_says_by_how_much(
    caller: local.Caller,
) -> None:
    """A print of 2,000 between two of 3,000: in force, and disputed until the next one."""
    push(
        caller,
        price("alpha", "3000", seconds=240),
        price("beta", "3010", seconds=200),
        price("gamma", "2000", seconds=100),
        price("beta", "3005", seconds=20),
    )
    calm, torn, later = told(caller, 150), told(caller, 60), told(caller)
    assert (calm["price"], calm["source"], calm["doubt"]) == ("3010", "beta", None)
    assert (torn["price"], torn["source"]) == ("2000", "gamma")
    # (3000 + 3010) / 2 = 3005; 1005 of it are 33.444... %.
    assert torn["doubt"] == {
        "code": "price_disputed",
        "text": "ETH: gamma is 33.44 % off the median(alpha, beta)",
        "subject": "ETH",
        "values": None,
    }
    assert (later["price"], later["doubt"]) == ("3005", None)
    assert [(one["source"], one["price"], one["faults"]) for one in later["sources"]] == [
        ("alpha", "3000", []),
        ("gamma", "2000", ["outlier"]),
        ("beta", "3005", []),
    ]


def test_a_lost_quorum_is_told_with_every_verdict(caller: local.Caller) -> None:
    """Of two, one broke the limit that it stated itself: the verdict stands, and is doubtful."""
    push(
        caller,
        price("alpha", "3000", seconds=90, stale_after_seconds=30),
        price("beta", "3000", seconds=0),
    )
    laid = caller.put("/v1/accounts", json={"as_of": NOW.isoformat(), "accounts": [ACCOUNT]})
    assert laid.status_code == 200, laid.text
    body = {"as_of": NOW.isoformat(), "accounts": ["a"]}
    answer = caller.post("/v1/margin", json=body)
    assert answer.status_code == 200, answer.text
    (margin,) = answer.json()["margins"]
    assert margin["standing"]["verdict"] == "safe"
    assert [one["code"] for one in margin["degraded_reasons"]] == ["price_disputed"]
    assert margin["degraded_reasons"][0]["text"] == (
        "ETH: quorum_lost: 1 of 2 sources; failed: alpha stale"
    )


def test_sources_that_did_not_speak_together_are_not_compared(caller: local.Caller) -> None:
    """One spoke five minutes and a second earlier, of another market; and one of another venue."""
    push(
        caller,
        price("alpha", "4000", seconds=301),
        price("oracle", "9", seconds=10, venue="maker", market="ETH-B"),
        price("beta", "3000", seconds=0),
    )
    found = caller.get("/v1/prices", params={"as_of": NOW.isoformat()}).json()["prices"]
    assert [(one["source"], one["doubt"], len(one["sources"])) for one in found] == [
        ("beta", None, 1),
        ("oracle", None, 1),
    ]


def test_five_minutes_are_together_and_a_moment_later_is_not_known(store: Store) -> None:
    """The span counts from the price in force, whatever the question's own moment is."""
    place = MarketId("maker", "ETH-B", "")
    quotes = [
        (place, "ETH", market.Price(value=value, decimals=0, observed_at=at, source=source))
        for source, value, at in (
            ("alpha", 10, NOW - timedelta(minutes=6)),
            ("alpha", 20, NOW - timedelta(minutes=5)),
            ("beta", 10, NOW),
            ("gamma", 10, NOW + timedelta(microseconds=1)),
        )
    ]
    with store.begin() as transaction:
        market.push_quotes(transaction, quotes, now=NOW)
    with store.read() as transaction:
        for at, sources in ((NOW, ["alpha", "beta"]), (NOW + timedelta(hours=9), None)):
            found = market.compared_quotes(transaction, at=at)[place]["ETH"]
            assert [each.source for each in found.sources] == (sources or ["beta", "gamma"])
        first = market.compared_quotes(transaction, at=NOW, markets=[place])[place]["ETH"]
        assert [each.value for each in first.sources] == [20, 10]
        assert UNPLACED not in market.compared_quotes(transaction, at=NOW)
