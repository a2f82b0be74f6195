"""Allocation by forecast: a stock that is too small goes where it lowers the risk most."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import local
import pytest

from features.simulate import simulate

CHAMPION = Path(__file__).resolve().parents[2] / "models" / "champion"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[local.Caller]:
    """Yield a caller of a service with the shipped bundle and a book with some near the line."""
    book = simulate(seed=9, days=60, accounts=160, start=datetime(2020, 1, 1, tzinfo=UTC))
    with local.calling(tmp_path_factory.mktemp("allocation"), CHAMPION, simulated=book) as caller:
        yield caller


def test_a_small_stock_lowers_the_probabilities_of_the_riskiest(client: local.Caller) -> None:
    """Judged again afterwards: no account is likelier to be liquidated, the sum of losses less."""
    names = [listed["account"] for listed in client.get("/v1/accounts").json()["accounts"]]
    scored = client.post("/v1/score", json={"accounts": names}).json()["assessments"]
    safe = [item for item in scored if item["rule"]["verdict"] == "safe" and item["forecast"]]
    safe.sort(key=lambda item: -item["forecast"][2]["unattended"])
    chosen = [item["account"] for item in safe[:4]]
    answer = client.post(
        "/v1/allocate",
        json={
            "accounts": chosen,
            "assets": {"ETH": {"cost": "0.0001"}},
            "inventory": [{"asset": "ETH", "quantity": "30"}],
            "objective": "probability",
            "settings": {name: {"at_risk": {"loss": "1000"}} for name in chosen},
        },
    ).json()
    assert answer["status"] == "optimal"
    assert answer["is_accepted"]
    pairs = [
        [state["forecast"][2]["unattended"] for state in (item["before"], item["after"])]
        for item in answer["accounts"]
    ]
    assert all(after <= before for before, after in pairs)
    before, after = (1000 * sum(column) for column in zip(*pairs, strict=True))
    assert after < before / 5
    # The pieces of a curve lie above it where it is convex: what is promised is not undercut.
    assert after <= float(answer["expected_loss"]) * 1.01


def test_without_a_loss_the_account_is_named(client: local.Caller) -> None:
    """Nothing is guessed of what a liquidation would cost."""
    name = client.get("/v1/accounts").json()["accounts"][0]["account"]
    answer = client.post(
        "/v1/allocate",
        json={
            "account": name,
            "assets": {"ETH": {}},
            "inventory": [],
            "objective": "probability",
        },
    )
    assert answer.status_code == 422
    assert f"/settings/{name}/at_risk" in answer.text
