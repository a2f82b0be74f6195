"""Plans sized to a probability by a trained bundle, applied and assessed again."""

import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest

from features.simulate import simulate
from serving.application.deployment import read_deployment
from serving.application.sample_book import account_body, market_body
from serving.application.scoring import ScoringService
from serving.application.what_if import plans, what_if

TARGET = 0.02


@pytest.fixture(scope="module")
def desk(trained: tuple[Path, subprocess.CompletedProcess[str]]) -> ScoringService:
    """Return a desk with a bundle trained on a simulated log."""
    return ScoringService(model=read_deployment(trained[0]).model)


@pytest.fixture(scope="module")
def request_body() -> dict[str, Any]:
    """Return the riskiest open accounts of a simulated book."""
    book = simulate(seed=9, days=40, accounts=60)
    held = book.accounts[book.accounts["art"] > 0]
    ratio = held["ink"].astype(float) / held["art"].astype(float)
    names = held.loc[ratio.sort_values().index, "account"].tolist()[2:10]
    return {
        "as_of": book.at.isoformat(),
        "market": market_body(book),
        "accounts": [account_body(book, name) for name in names],
    }


def told(work: Any, desk: ScoringService, body: dict[str, Any]) -> Any:
    """Return an answer."""
    return msgspec.json.decode(work(desk, msgspec.json.encode(body), "test"))


def test_plan_reaches_the_probability_it_promises(
    desk: ScoringService, request_body: dict[str, Any]
) -> None:
    """Assessing the account that a plan leads to gives the probability that it promised."""
    target = {"probability": TARGET, "horizon": "7d"}
    answer = told(plans, desk, {**request_body, "target": target, "means": {"kinds": ["repay"]}})
    moved = [plan for plan in answer["plans"] if plan["actions"]]
    assert moved
    for plan in moved:
        assert plan["is_reached"]
        assert plan["probability"] <= TARGET < plan["before"]["forecast"][3]["unattended"]
        assert plan["after"]["forecast"][3]["unattended"] == plan["probability"]
        assert plan["after"]["health"] > plan["before"]["health"]


def test_an_assessment_s_plan_is_within_its_target(
    desk: ScoringService, request_body: dict[str, Any]
) -> None:
    """By the trained model: the probability and the health that it leads to, with other legs."""
    body = msgspec.json.encode({**request_body, "plan": True})
    answer = msgspec.json.decode(desk.score(body, "test"))
    items = zip(request_body["accounts"], answer["assessments"], strict=True)
    advised = [(account, told["plan"]) for account, told in items if told["plan"] is not None]
    assert advised
    for account, plan in advised:
        assert plan["is_reached"]
        assert plan["probability"] <= plan["target"]["probability"]
        assert plan["health"] >= float(plan["target"]["health"])
        assert plan["legs_after"] != account["legs"]


def test_a_fall_raises_what_is_forecast(desk: ScoringService, request_body: dict[str, Any]) -> None:
    """Every probability is at least as high after a fall as before it."""
    answer = told(what_if, desk, {**request_body, "shocks": {"ETH": "-0.03"}})
    for one in answer["answers"]:
        before, after = one["before"]["forecast"], one["after"]["forecast"]
        assert [entry["horizon"] for entry in before] == ["1h", "4h", "24h", "7d"]
        for early, late in zip(before, after, strict=True):
            assert late["unattended"] >= early["unattended"]
