"""What a wallet developer and a risk manager come for, through the thin client alone.

An ML engineer's goal is walked in `mlflow/test_lifecycle.py`, an operator's in
`test_operator_day.py`, a maintainer's in `tests/integration/process/test_one_more.py` and, for a
feature, in `tests/integration/training/test_bundle.py`; alerts arrive in `test_alerts_whole.py`,
the desk is walked in `chromium/`, where every example of the document is asked by the client too.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

import local
import pytest
from forewarn_client import Client

ETHER, DAI = 10**18, 10**18


@pytest.fixture(scope="module")
def client(trained: local.Trained, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Return a client of a service with a model, a store and a book of vaults."""
    with (
        local.api(tmp_path_factory.mktemp("goals"), trained[0], simulated=local.book()) as app,
        local.listening(app) as url,
        Client(url) as found,
    ):
        yield found


def vault(client: Client, debt: int, *, hours: int) -> Any:
    """Return the request that writes a vault of 10 ETH as it stood so many hours before now."""
    clock: Any = client.pulse()
    at = datetime.fromisoformat(clock["as_of"]) - timedelta(hours=hours)
    legs = [
        {"kind": "collateral", "asset": "ETH", "quantity": str(10 * ETHER)},
        {"kind": "debt", "asset": "DAI", "quantity": str(debt)},
    ]
    account = {"id": "wallet-1", "venue": "maker", "market": "ETH-B", "legs": legs}
    return {"as_of": at.isoformat(), "accounts": [account]}


def line(told: Any) -> Fraction:
    """Return the price at which an account becomes liquidatable."""
    trigger = told["rule"]["trigger"]
    assert (trigger["asset"], trigger["direction"]) == ("ETH", "below")
    return Fraction(trigger["price"])


def test_a_wallet_warns_its_owner_and_says_what_to_do(client: Client) -> None:
    """Written, judged, explained, tried under a fall, planned; what was planned holds."""
    prices: Any = client.prices()
    price = Fraction(next(one["price"] for one in prices["prices"] if one["asset"] == "ETH"))
    client.upsert_accounts(vault(client, 1000 * DAI, hours=3))
    lone = line(client.score({"account": "wallet-1"}))
    # The line moves as the debt does: at this one it lies a twentieth below the price.
    debt = int(1000 * DAI * (price * Fraction(95, 100)) / lone)
    client.upsert_accounts(vault(client, debt, hours=2))
    told: Any = client.score({"account": "wallet-1"})
    assert told["rule"]["verdict"] == "safe"
    assert float(line(told)) == pytest.approx(float(price) * 0.95, rel=1e-6)
    reason = told["reasons"][0]
    assert reason["code"] == "distance"
    assert "ETH must fall" in reason["text"]
    for shock, verdict in (("-0.04", "safe"), ("-0.06", "liquidatable")):
        tried: Any = client.what_if({"account": "wallet-1", "shock": shock})
        assert tried["after"]["verdict"] == verdict, shock
    plan: Any = client.plan({"account": "wallet-1", "target": {"buffer": "0.2"}})
    assert plan["is_reached"]
    assert [one["text"].split()[0] for one in plan["actions"]] == ["repay"]
    left = next(one for one in plan["legs_after"] if one["kind"] == "debt")
    client.upsert_accounts(vault(client, int(left["quantity"]), hours=1))
    assert line(client.score({"account": "wallet-1"})) <= price * Fraction(8, 10)


def test_a_risk_manager_sees_what_a_fall_would_take(client: Client) -> None:
    """Sums of the book are those of its accounts, and a stress says what the sums say."""
    keys: Any = [one["account"] for one in client.every_account()]
    judged: Any = client.score_many({"accounts": keys})["assessments"]
    prices: Any = client.prices()
    price = Fraction(next(one["price"] for one in prices["prices"] if one["asset"] == "ETH"))
    owing = [one for one in judged if one["rule"]["trigger"] is not None]
    fallen = {
        shock: sum(
            one["rule"]["verdict"] == "liquidatable" or line(one) > price * (1 + Fraction(shock))
            for one in owing
        )
        for shock in ("-0.3", "-0.5")
    }
    assert 0 < fallen["-0.3"] < fallen["-0.5"]
    sums: Any = client.book()
    by_shock = {(one["asset"], one["shock"]): one["accounts"] for one in sums["shocks"]}
    assert {shock: by_shock["ETH", shock] for shock in fallen} == fallen
    shocks = [{"name": shock, "prices": {"ETH": shock}} for shock in fallen]
    stressed: Any = client.stress_book({"shocks": shocks, "impact": "none"})
    assert {one["name"]: one["accounts"] for one in stressed["shocks"]} == fallen
    policy: Any = client.policy()
    same: Any = client.preview_policy({"policy": policy["policy"]})
    assert same["in_force"] == same["proposed"]
