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
    """Every second account 4 % from its line has one, with other legs; those far off have none."""
    answer = told(ScoringService.score, desk, request_body)
    items = zip(request_body["accounts"], answer["assessments"], strict=True)
    body = [
        account if place % 2 else drawn_down(account, before)
        for place, (account, before) in enumerate(items)
    ]
    answer = told(ScoringService.score, desk, {**request_body, "accounts": body, "plan": True})
    plans_told = [one["plan"] for one in answer["assessments"]]
    assert plans_told[1::2] == [None] * (len(body) // 2)
    assert {one["plan_absence"] for one in answer["assessments"][1::2]} == {"already_there"}
    for account, plan in zip(body[::2], plans_told[::2], strict=True):
        assert plan["is_reached"]
        assert plan["probability"] <= plan["target"]["probability"]
        assert plan["health"] >= float(plan["target"]["health"])
        assert plan["legs_after"] != account["legs"]


def drawn_down(account: dict[str, Any], assessment: dict[str, Any]) -> dict[str, Any]:
    """Return an account after a withdrawal down to a ratio of 1.35, of 1.3 required."""
    collateral, debt = account["legs"]
    there = int(collateral["quantity"])
    left = int(there * 1.35 / float(assessment["rule"]["ratio"]["value"]))
    taken = {
        "at": assessment["as_of"],
        "kind": "withdraw",
        "collateral": str(there - left),
        "debt": "0",
    }
    return {
        **account,
        "legs": [{**collateral, "quantity": str(left)}, debt],
        "events": [*account["events"], taken],
    }


def test_a_fall_raises_what_is_forecast(desk: ScoringService, request_body: dict[str, Any]) -> None:
    """Every probability is at least as high after a fall as before it."""
    answer = told(what_if, desk, {**request_body, "shocks": {"ETH": "-0.03"}})
    for one in answer["answers"]:
        before, after = one["before"]["forecast"], one["after"]["forecast"]
        assert [entry["horizon"] for entry in before] == ["1h", "4h", "24h", "7d"]
        for early, late in zip(before, after, strict=True):
            assert late["unattended"] >= early["unattended"]
