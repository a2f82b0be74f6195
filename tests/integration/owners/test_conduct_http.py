"""Conduct, personal requirements and allocation over the whole API, on a store's own history."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

import pytest
from local import Caller

from models.parameters.breakers import Breaker, Effect, Signal
from serving.application import breaker_board
from serving.application.scoring import ScoringService
from serving.evaluation.assess import Model
from serving.http.admission import Admission, Keyring
from serving.http.app import Api
from serving.http.routing import routes
from serving.routes import OPERATIONS
from serving.schemas.stored import Assessed
from serving.settings import Settings
from serving.store import Store, accounts, assessments

START = datetime(2026, 1, 1, tzinfo=UTC)
NOW = START + timedelta(days=60)
RAY = 10**27


def vault(name: str, owner: str) -> dict[str, Any]:
    """Return a vault of 10 ETH and 10,000 DAI at 150 %."""
    wide = str(10**54)
    return {
        "id": name,
        "owner": owner,
        "venue": "maker",
        "version": "dss",
        "market": "E",
        "legs": [
            {"kind": "collateral", "asset": "ETH", "quantity": "10" + "0" * 18},
            {"kind": "debt", "asset": "DAI", "quantity": "10000" + "0" * 18},
        ],
        "terms": {
            "mat": str(3 * RAY // 2),
            "duty": str(RAY),
            "dust": str(500 * 10**45),
            "chop": str(10**18),
            "hole": wide,
            "hole_all": wide,
        },
    }


def assessed(name: str, at: datetime, chance: float) -> Assessed:
    """Return an assessment that finds an account so likely to be liquidated within a day."""
    return Assessed(account=name, at=at, verdict="safe", unattended_24h=chance)


def near(store: Store, name: str, day: int, *, ends: str) -> None:
    """Bring an account near its line on a day, and let it end in an action or a liquidation."""
    began = START + timedelta(days=day)
    acted = began + timedelta(hours=2)
    event = {
        "account": name,
        "key": f"{name}-{day}",
        "at": acted,
        "kind": ends,
        "collateral": 10**18 if ends == "deposit" else 0,
        "debt": 0,
    }
    with store.begin() as transaction:
        accounts.push_events(transaction, [event], now=acted)
        for hours, chance in ((0, 0.9), (1, 0.8), (4, 0.1)):
            row = assessed(name, began + timedelta(hours=hours), chance)
            assessments.write(transaction, [row], now=row.at)


@pytest.fixture
def book(store: Store) -> Store:
    """Return a store of three owners: one cured twice, one was liquidated, one never near."""
    names = [("good", "alice"), ("second", "alice"), ("bad", "bob"), ("calm", "carol")]
    with store.begin() as transaction:
        bodies = [vault(name, owner) for name, owner in names]
        accounts.upsert(transaction, bodies, at=START, now=START)
    near(store, "good", 10, ends="deposit")
    near(store, "second", 20, ends="deposit")
    near(store, "bad", 15, ends="liquidate")
    return store


@pytest.fixture
def caller(book: Store) -> Iterator[Caller]:
    """Yield the API over the store, sixty days later."""
    desk = ScoringService(model=Model(bundle=None), store=book, clock=lambda: NOW)
    api = Api(routes(OPERATIONS), desk=desk, gate=Admission(Settings(), Keyring(None)))
    calling = Caller(api)
    yield calling
    calling.close()


def test_an_owner_is_scored_over_all_their_accounts(caller: Caller) -> None:
    """Two exposures cured, reasons that add up, and a population that says it is assumed."""
    answer = caller.get("/v1/owners/alice/conduct").json()
    assert answer["no_history"] is False
    assert answer["accounts"] == 2
    assert answer["exposures"]["cured"] == 2
    assert answer["exposures"]["median_seconds_to_cure"] == 7200.0
    assert sum(reason["points"] for reason in answer["reasons"]) == pytest.approx(answer["score"])
    assert answer["population"]["is_fitted"] is False
    assert answer["low"] < answer["probability"] < answer["high"]
    worse = caller.get("/v1/owners/bob/conduct").json()
    assert worse["exposures"]["liquidated"] == 1
    assert worse["score"] < answer["score"]


def test_what_happened_at_another_venue_counts(caller: Caller, book: Store) -> None:
    """A liquidation at Liquity stands beside two cures at Maker, in one score."""
    before = caller.get("/v1/owners/alice/conduct").json()
    trove = {**vault("far", "alice"), "venue": "liquity-v1", "version": "", "market": "LUSD"}
    with book.begin() as transaction:
        accounts.upsert(transaction, [trove], at=START, now=START)
    near(book, "far", 30, ends="liquidate")
    answer = caller.get("/v1/owners/alice/conduct").json()
    assert answer["accounts"] == 3
    assert (answer["exposures"]["cured"], answer["exposures"]["liquidated"]) == (2, 1)
    assert answer["score"] < before["score"]


def test_an_owner_without_exposures_has_no_score(caller: Caller) -> None:
    """`no_history` with the population's interval."""
    answer = caller.get("/v1/owners/carol/conduct").json()
    assert (answer["no_history"], answer["score"], answer["band"]) == (True, None, None)
    assert answer["high"] == answer["population"]["high"]


def test_a_score_is_of_what_was_there_by_then(caller: Caller) -> None:
    """As of the day before the second exposure there is one."""
    at = (START + timedelta(days=19)).isoformat()
    answer = caller.get("/v1/owners/alice/conduct", params={"as_of": at}).json()
    assert answer["exposures"]["total"] == 1
    history = caller.get("/v1/owners/alice/conduct/history", params={"points": 7}).json()
    assert len(history["points"]) == 7
    times = [point["at"] for point in history["points"]]
    assert times == sorted(times)
    assert history["points"][0]["no_history"] is True
    assert history["points"][-1]["no_history"] is False


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/owners/nobody/conduct", 404),
        ("/v1/owners/nobody/conduct/history", 404),
        ("/v1/owners/alice/conduct?as_of=2030-01-01T00:00:00Z", 422),
        ("/v1/owners/alice/conduct?as_of=yesterday", 422),
        ("/v1/owners/alice/conduct/history?points=0", 422),
        ("/v1/owners/alice/conduct?wish=1", 422),
    ],
)
def test_unknown_owners_and_moments_to_come_are_refused(
    caller: Caller, path: str, status: int
) -> None:
    """No default score for anyone."""
    assert caller.get(path).status_code == status


def market() -> dict[str, Any]:
    """Return ether at 1,600."""
    price = {"value": "1600", "decimals": 0, "observed_at": (NOW - timedelta(hours=1)).isoformat()}
    return {"prices": {"ETH": price}, "state": {"E.rate": str(RAY)}}


def test_requirements_lie_between_the_venue_and_a_newcomer(caller: Caller) -> None:
    """The account that was cured is asked less than the one that was liquidated or never near."""
    body = {"market": market(), "accounts": ["good", "bad", "calm"]}
    answer = caller.post("/v1/requirements/personal", json=body)
    assert answer.status_code == 200, answer.text
    rows = {row["account"]: row for row in answer.json()["requirements"]}
    amounts = {name: Fraction(row["personal"]) for name, row in rows.items()}
    for row in rows.values():
        assert Fraction(row["venue"]) <= Fraction(row["personal"]) <= Fraction(row["newcomer"])
    assert amounts["good"] < amounts["bad"] == amounts["calm"]
    assert rows["calm"]["exposures"] == 0
    assert rows["good"]["path"][-1]["required"] == rows["good"]["personal"]
    assert Fraction(answer.json()["personal"]) == sum(amounts.values())


def test_an_open_breaker_has_the_house_ask_twice_its_add_on(caller: Caller, book: Store) -> None:
    """An account that nobody knows is asked 25 % more than the venue, then 50 %."""
    body = {"market": market(), "account": "calm", "policy": {"sensitivity": "0"}}
    before = caller.post("/v1/requirements/personal", json=body).json()
    with book.begin() as transaction:
        breaker = Breaker(
            name="b",
            signal=Signal.DRIFT,
            trip=2.0,
            clear=1.0,
            hold=1,
            shortest=timedelta(0),
            longest=timedelta(days=1),
            effects=(Effect.TIGHTEN_REQUIREMENT,),
        )
        breaker_board.put(transaction, breaker, actor="gov", at=NOW)
        breaker_board.by_hand(transaction, "b", is_trip=True, reason="drill", actor="gov", at=NOW)
    for _ in range(30):  # a worker looks once a second
        after = caller.post("/v1/requirements/personal", json=body).json()
        if after["tightened"]:
            break
        time.sleep(0.1)
    assert (before["tightened"], after["tightened"]) == (False, True)
    (first,), (second,) = before["requirements"], after["requirements"]
    assert first["venue"] == second["venue"]
    assert Fraction(first["personal"]) == Fraction(first["venue"]) * Fraction(5, 4)
    assert Fraction(second["personal"]) == Fraction(first["venue"]) * Fraction(3, 2)


def test_a_house_policy_below_the_venue_is_refused(caller: Caller) -> None:
    """A cap under one, and a step of nothing."""
    body = {"market": market(), "account": "good", "policy": {"cap": "0.5", "step": "0"}}
    answer = caller.post("/v1/requirements/personal", json=body)
    assert answer.status_code == 422
    assert "/policy/step" in answer.text
    capped = {"market": market(), "account": "good", "policy": {"cap": "0.5"}}
    assert "/policy/cap" in caller.post("/v1/requirements/personal", json=capped).text


def test_a_stored_account_is_allocated_to(caller: Caller) -> None:
    """By its key: brought to twice its requirement with ether from elsewhere."""
    body = {
        "market": market(),
        "accounts": ["calm"],
        "assets": {"ETH": {"cost": "2"}},
        "inventory": [{"asset": "ETH", "quantity": "50"}],
        "settings": {"calm": {"health": "2"}},
    }
    answer = caller.post("/v1/allocate", json=body)
    assert answer.status_code == 200, answer.text
    # 10,000 * 1.5 * 2 = 30,000 of ether at 1,600 is 18.75, and it has 10; the venue rounds the
    # price per ratio down, so that 8.75 is short by a hair.
    (move,) = answer.json()["moves"]
    assert (move["quantity"], move["leg_quantity"]) == ("8.75000001", "8750000010000000000")


def test_who_opts_out_is_not_scored(caller: Caller) -> None:
    """Nothing is read of their accounts: they are required what a newcomer's are; until asked."""
    body = {"market": market(), "account": "good"}
    before = caller.post("/v1/requirements/personal", json=body).json()["requirements"][0]
    path = "/v1/owners/alice/conduct/consent"
    answer = caller.put(path, json={"scored": False})
    assert answer.status_code == 200, answer.text
    assert (answer.json()["scored"], answer.json()["opted_out_at"][:10]) == (False, "2026-03-02")
    for place in ("conduct", "conduct/history"):
        refused = caller.get(f"/v1/owners/alice/{place}")
        assert refused.status_code == 403
        assert refused.json()["type"] == "urn:forewarn:problem:opted-out"
    without = caller.post("/v1/requirements/personal", json=body).json()["requirements"][0]
    assert (without["exposures"], without["personal"]) == (0, without["newcomer"])
    assert Fraction(before["personal"]) < Fraction(without["personal"])
    assert caller.get("/v1/owners/bob/conduct").status_code == 200
    assert caller.put(path, json={"scored": True}).json()["opted_out_at"] is None
    assert caller.get("/v1/owners/alice/conduct").json()["exposures"]["cured"] == 2
    assert caller.put(path, json={}).status_code == 422
    assert caller.put("/v1/owners/nobody/conduct/consent", json={"scored": True}).status_code == 404


def many_lots() -> dict[str, Any]:
    """Return twelve venues that need ten of cash each, in lots of three."""
    return {
        "assets": {"cash": {"price": "1", "cost": "0.05", "lot": "3"}},
        "inventory": [{"asset": "cash", "quantity": "200"}],
        "venues": [
            {"id": f"v{n}", "need": "10", "eligible": {"cash": {"weight": "1"}}} for n in range(12)
        ],
    }


def test_what_takes_long_is_answered_later(caller: Caller) -> None:
    """Whole numbers beyond what a request is waited for: begun, and read at its place."""
    refused = caller.post("/v1/allocate", json=many_lots())
    assert refused.status_code == 422
    assert "POST /v1/allocations" in refused.json()["errors"][0]["detail"]
    once = {"Idempotency-Key": "once"}
    begun = caller.post("/v1/allocations", json=many_lots(), headers=once)
    assert begun.status_code == 202, begun.text
    place = begun.headers["location"]
    again = caller.post("/v1/allocations", json=many_lots(), headers=once)
    assert (again.status_code, again.headers["location"]) == (202, place), "nothing begins twice"
    assert again.json() == begun.json()
    assert (begun.json()["status"], place[-32:]) == ("running", begun.json()["id"])
    deadline = time.monotonic() + 60
    while (answer := caller.get(place).json())["status"] == "running":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert (answer["status"], answer["error"]) == ("done", None)
    # Four lots of three at twelve venues, 144 at .05.
    assert answer["allocation"]["cost"] == "7.2"
    assert answer["allocation"]["is_accepted"] is True
    assert len(answer["allocation"]["moves"]) == 12
    assert caller.get("/v1/allocations/none").status_code == 404
    wrong = caller.post("/v1/allocations", json={**many_lots(), "time_limit": 601})
    assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (422, "/time_limit")
