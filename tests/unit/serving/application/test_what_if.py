"""What-if questions and plans as a caller asks them, by the rules alone."""

from typing import Any

import msgspec
import pytest

from models.errors import InvalidInput
from serving.application.scoring import ScoringService
from serving.application.what_if import plans, what_if
from serving.evaluation.assess import Model

AT = "2026-03-01T00:00:00Z"
RAY = 10**27


def vault(ink: str = "10", art: str = "10000", name: str = "v") -> dict[str, Any]:
    """Return a vault that must hold 150 %."""
    return {
        "id": name,
        "venue": "maker",
        "market": "E",
        "legs": [
            {"kind": "collateral", "asset": "ETH", "quantity": ink + "0" * 18},
            {"kind": "debt", "asset": "DAI", "quantity": art + "0" * 18},
        ],
    }


def terms(mat: int = 3 * RAY // 2) -> dict[str, Any]:
    """Return the vaults' terms."""
    wide = str(10**54)
    return {
        "mat": str(mat), "duty": str(RAY), "dust": str(500 * 10**45), "chop": str(10**18),
        "hole": wide, "hole_all": wide,
    }  # fmt: skip


def body(*accounts: dict[str, Any], **more: Any) -> bytes:
    """Return a request at an oracle price of 1,600."""
    price = {"value": "1600", "observed_at": "2026-02-28T23:59:00Z"}
    asked: dict[str, Any] = {
        "as_of": AT,
        "market": {
            "prices": {"ETH": {**price, "decimals": 0}},
            "state": {"E.rate": str(RAY)},
            "terms": {"E": terms()},
        },
        **more,
    }
    asked |= {"account": accounts[0]} if len(accounts) == 1 else {"accounts": list(accounts)}
    return msgspec.json.encode(asked)


def asked(work: Any, request: bytes) -> Any:
    """Return the answer of a desk without a model."""
    return msgspec.json.decode(work(ScoringService(model=Model(bundle=None)), request, "test"))


def test_shock_moves_the_verdict() -> None:
    """10,000 at 150 % needs 1,500 per ETH: 5 % down holds, 7 % down does not."""
    for shock, verdict in (("-0.05", "safe"), ("-0.07", "liquidatable")):
        told = asked(what_if, body(vault(), shocks={"ETH": shock}))
        assert told["before"]["verdict"] == "safe"
        assert told["after"]["verdict"] == verdict
    assert told["before"]["health"] == pytest.approx(16_000 / 15_000)
    assert told["after"]["health"] == pytest.approx(14_880 / 15_000)


def test_changed_terms_say_who_becomes_liquidatable() -> None:
    """At 165 % the thinner of two vaults falls below the line, and is named."""
    change = {"E": terms(RAY * 165 // 100)}
    told = asked(what_if, body(vault(), vault(art="5000", name="w"), changed_terms=change))
    assert told["newly_liquidatable"] == ["v"]
    assert [one["after"]["verdict"] for one in told["answers"]] == ["liquidatable", "safe"]


def test_changed_legs_replace_the_legs() -> None:
    """The same vault with 20 ETH has twice the health."""
    account = {**vault(), "changed_legs": vault(ink="20")["legs"]}
    told = asked(what_if, body(account))
    assert told["after"]["health"] == pytest.approx(2 * told["before"]["health"])


def test_shock_of_all_leaves_the_named_to_itself() -> None:
    """A common shock does not touch an asset that has one of its own."""
    told = asked(what_if, body(vault(), shock="-0.5", shocks={"ETH": "0"}))
    assert told["after"] == told["before"]


@pytest.mark.parametrize(
    ("more", "where"),
    [
        ({"shocks": {"BTC": "-0.1"}}, "/shocks/BTC"),
        ({"shocks": {"ETH": "-1"}}, "/shocks/ETH"),
        ({"shocks": {"ETH": "1e999"}}, "/shocks/ETH"),
        ({"changed_terms": {"E": {"mat": "1"}}}, "/changed_terms/E/duty"),
        (
            {"changed_legs": {"v": [{"kind": "debt", "asset": "DAI", "quantity": "1.5"}]}},
            "/changed_legs/v/0/quantity",
        ),
        (
            {"changed_legs": {"v": [{"kind": "position", "asset": "ETH", "quantity": "-1"}]}},
            "/changed_legs/v/0",
        ),
    ],
)
def test_unusable_changes_are_named(more: dict[str, Any], where: str) -> None:
    """Every fault has its place."""
    with pytest.raises(InvalidInput) as error:
        asked(what_if, body(vault(), **more))
    assert where in [fault.where for fault in error.value.faults]


def test_plan_is_exact_and_holds_when_applied() -> None:
    """The plan's legs asked about again have the health that it promised."""
    more = {"target": {"health": "1.25"}, "means": {"kinds": ["repay"]}}
    told = asked(plans, body(vault(), **more))
    assert (told["is_reached"], told["reason"]) == (True, "reached")
    assert [a["kind"] for a in told["actions"]] == ["repay"]
    assert told["actions"][0]["quantity"] == "1466666666666666666667"
    again = asked(what_if, body({**vault(), "legs": told["legs_after"]}))
    assert again["before"]["health"] == told["after"]["health"]
    assert again["before"]["surplus"] == told["after"]["surplus"]
    assert told["after"]["health"] >= 1.25


def test_means_of_one_account_come_before_those_of_all() -> None:
    """What an account states for itself replaces what the request states."""
    own = {**vault(name="w"), "means": {"kinds": ["add"]}}
    more = {"target": {"health": "1.25"}, "means": {"kinds": ["repay"]}}
    told = asked(plans, body(vault(), own, **more))
    assert [plan["actions"][0]["kind"] for plan in told["plans"]] == ["repay", "add"]


def test_probability_without_a_model_is_not_reached() -> None:
    """A probability target cannot be promised where nothing is forecast; the reason is told."""
    target = {"health": "1.1", "probability": 0.05}
    told = asked(plans, body(vault(), target=target, means={"balances": {"DAI": "1" + "0" * 21}}))
    assert (told["is_reached"], told["reason"]) == (False, "no_forecast")
    assert [notice["code"] for notice in told["after"]["degraded_reasons"]] == ["no_model"]


@pytest.mark.parametrize(
    ("more", "where"),
    [
        ({"target": {"probability": 0.0}}, "/target/probability"),
        ({"target": {"probability": 1.5}}, "/target/probability"),
        ({"target": {"horizon": "2h"}}, "/target/horizon"),
        ({"target": {"health": "-1"}}, "/target/health"),
        ({"means": {"kinds": ["pray"]}}, "/means/kinds/0"),
        ({"means": {"costs": {"repay": {"rate": "2"}}}}, "/means/costs/repay/rate"),
    ],
)
def test_unusable_targets_are_named(more: dict[str, Any], where: str) -> None:
    """Every fault has its place."""
    with pytest.raises(InvalidInput) as error:
        asked(plans, body(vault(), **more))
    assert where in [fault.where for fault in error.value.faults]


def scored(*accounts: dict[str, Any], **more: Any) -> Any:
    """Return the answer to a question for scores."""
    return asked(lambda desk, request, name: desk.score(request, name), body(*accounts, **more))


def test_an_assessment_carries_the_plan_that_is_answered_alone() -> None:
    """Asked for by itself with the same target, the plan is the same to the last unit."""
    thin = vault(art="10500")
    advice = scored(thin, plan=True)["plan"]
    target = {"buffer": advice["target"]["buffer"]}
    alone = asked(plans, body(thin, target=target))
    shared = ("actions", "cost", "value", "is_reached", "reason", "probability", "legs_after")
    assert {name: advice[name] for name in shared} == {name: alone[name] for name in shared}
    assert target["buffer"] == "0.0501"
    assert advice["health"] == alone["after"]["health"] >= 1 / (1 - 0.0501) - 1e-12
    again = scored({**thin, "legs": advice["legs_after"]}, plan=True)
    assert (again["plan"], again["plan_absence"]) == (None, "already_there")


def test_why_there_is_no_plan_is_told_where_one_was_asked_for() -> None:
    """Unasked, both are null; an account far from the line needs none."""
    safe = vault(art="1000")
    unasked, told = scored(safe), scored(safe, plan=True)
    assert (unasked["plan"], unasked["plan_absence"]) == (None, None)
    assert (told["plan"], told["plan_absence"]) == (None, "already_there")


def test_plans_are_made_for_a_bounded_number_of_accounts() -> None:
    """Thirty-two may be asked for; of one more plans and exact reasons are both refused."""
    many = [vault(art="1000", name=str(i)) for i in range(33)]
    assert len(scored(*many[:32], plan=True)["assessments"]) == 32
    with pytest.raises(InvalidInput) as refused:
        scored(*many, plan=True, contributions="shap")
    assert [fault.where for fault in refused.value.faults] == ["/contributions", "/plan"]
