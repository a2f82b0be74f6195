"""Allocation to an account of every venue: what is proposed is replayed leg by leg and judged."""

from fractions import Fraction
from typing import Any

import msgspec
import pytest
import venue_bodies

from models.margin.result import Verdict
from serving.application.allocation import allocation
from serving.application.exact_margin import margin
from serving.application.scoring import ScoringService
from serving.evaluation.assess import Model

Body = dict[str, Any]


def desk() -> ScoringService:
    """Return a desk without a model."""
    return ScoringService(model=Model(bundle=None))


def judged(request: Body) -> Any:
    """Return what the rules say of a request's account."""
    return msgspec.json.decode(margin(desk(), msgspec.json.encode(request), "test"))


def collateral(account: Body) -> Body:
    """Return the first collateral leg."""
    return next(leg for leg in account["legs"] if leg["kind"] == "collateral")


@pytest.mark.parametrize("request_", venue_bodies.all_venues(), ids=lambda r: r["account"]["venue"])
@pytest.mark.parametrize("health", ["1", "1.3", "2"])
def test_an_account_of_each_venue_is_brought_where_its_rules_say(
    request_: Body, health: str
) -> None:
    """Each deposit in the units of the leg, added by hand: the venue's rules find it there."""
    account = request_["account"]
    name, leg = account["id"], collateral(account)
    asset = leg["asset"]
    prices = request_["market"].get("prices", {})
    stated = {} if asset in prices else {"price": "1"}
    body = {
        **{key: value for key, value in request_.items() if key != "account"},
        "accounts": [account],
        "assets": {asset: {"cost": "0.01", **stated}},
        "inventory": [{"asset": asset, "quantity": "1" + "0" * 27}],
        "settings": {name: {"health": health}},
    }
    answer = msgspec.json.decode(allocation(desk(), msgspec.json.encode(body), "test"))
    assert answer["is_accepted"], (answer["status"], answer["refusals"], answer["shortage"])
    added = sum((Fraction(move["leg_quantity"]) for move in answer["moves"]), Fraction(0))
    quantity = Fraction(leg["quantity"]) + added
    text = str(quantity) if quantity.denominator == 1 else f"{float(quantity):.10f}"
    legs = [{**part, "quantity": text} if part is leg else part for part in account["legs"]]
    answered = judged({**request_, "account": {**account, "legs": legs}})["standing"]
    assert answered["verdict"] == Verdict.SAFE
    side = answered["maintenance"]
    credit, requirement = Fraction(side["credit"]), Fraction(side["requirement"])
    assert credit >= Fraction(health) * requirement
    if added:  # and no more than a little beyond it
        assert credit <= Fraction(health) * requirement * Fraction(10_001, 10_000)
