"""Allocation as a caller asks for it: venues by their need, accounts by their own rules."""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import msgspec
import pytest
import venue_bodies

from models.allocation import allocate as solving
from models.errors import InvalidInput
from serving.application import allocation as use_case
from serving.application.allocation import allocation
from serving.application.scoring import ScoringService
from serving.evaluation.assess import Model
from serving.schemas.problems import Refused

Body = dict[str, Any]
ETH = "7459.442749180869341372"


def answered(request: Body) -> Any:
    """Return the answer of a desk without a model."""
    desk = ScoringService(model=Model(bundle=None))
    return msgspec.json.decode(allocation(desk, msgspec.json.encode(request), "test"))


def refused(request: Body) -> dict[str, str]:
    """Return the faults for which a request is refused, by place."""
    with pytest.raises(InvalidInput) as error:
        answered(request)
    return {fault.where: fault.message for fault in error.value.faults}


def venues(**more: Any) -> Body:
    """Return two venues that need 90 each, of A 100, B 100 and cash 50."""
    weights = {"X": {"A": "0.8", "B": "0.5", "cash": "1"}, "Y": {"B": "0.9", "cash": "1"}}
    return {
        "assets": {
            "A": {"price": "1", "cost": "0.01"},
            "B": {"price": "1", "cost": "0.03"},
            "cash": {"price": "1", "cost": "0.05"},
        },
        "inventory": [
            {"asset": "A", "quantity": "100"},
            {"asset": "B", "quantity": "100"},
            {"asset": "cash", "quantity": "50"},
        ],
        "venues": [
            {
                "id": name,
                "need": "90",
                "eligible": {asset: {"weight": weight} for asset, weight in taken.items()},
            }
            for name, taken in weights.items()
        ],
        **more,
    }


def accounts(**more: Any) -> Body:
    """Return an account of Aave below its line and a vault of Maker just above its own."""
    aave, maker = venue_bodies.aave(), venue_bodies.maker()
    market = {
        name: {**aave["market"][name], **maker["market"][name]} for name in ("prices", "state")
    }
    return {
        "as_of": venue_bodies.AT,
        "market": market,
        "accounts": [aave["account"], maker["account"]],
        "assets": {"0": {"price": "1", "cost": "0.01"}, "ETH": {"price": ETH, "cost": "3"}},
        "inventory": [
            {"asset": "0", "quantity": "2000"},
            {"asset": "ETH", "quantity": "5000"},
        ],
        "settings": {"borrower": {"buffer": "0.05"}, "vault": {"buffer": "0.1"}},
        **more,
    }


def by_id(answer: Any) -> dict[str, Any]:
    """Return accounts and venues by name."""
    return {account["id"]: account for account in answer["accounts"]}


def test_two_venues_are_covered_at_the_least_cost() -> None:
    """The moves, their cost, the proof and what one more of each would save."""
    answer = answered(venues())
    assert (answer["status"], answer["is_accepted"], answer["cost"]) == ("optimal", True, "4.5")
    assert [(m["asset"], m["destination"], m["quantity"]) for m in answer["moves"]] == [
        ("A", "X", "100"),
        ("B", "Y", "100"),
        ("cash", "X", "10"),
    ]
    assert "one more A saves 0.03" in [dual["text"] for dual in answer["duals"]]
    assert answer["bound"] == "4.5"


def test_what_cannot_be_done_is_an_answer_and_no_error() -> None:
    """The shortage, and the limits in conflict by name."""
    request = venues()
    request["venues"][0]["need"] = "300"
    answer = answered(request)
    assert (answer["status"], answer["is_accepted"]) == ("infeasible", False)
    assert answer["shortage"] == [{"id": "X", "missing": "170"}]
    assert answer["moves"] == []
    said = {limit["text"] for limit in answer["conflict"]}
    assert {"the need of X", "the need of Y", "the stock of A", "the stock of cash"} <= said


def test_accounts_are_brought_where_their_own_rules_find_them_well() -> None:
    """By literal arithmetic: Aave needs 10,500 of debt over .95, the vault a tenth more ether."""
    answer = answered(accounts())
    assert answer["is_accepted"], answer["refusals"]
    after = by_id(answer)
    # (10,000 * 1.05 - 9,500) / .95, up to eight decimals.
    assert {m["destination"]: m["quantity"] for m in answer["moves"]} == {
        "borrower": "1052.63157895",
        "vault": "1732.49783286",
    }
    assert after["borrower"]["before"]["verdict"] == "liquidatable"
    assert after["borrower"]["after"]["verdict"] == "safe"
    assert Fraction(after["borrower"]["after"]["surplus"]) >= 500
    assert after["vault"]["after"]["ratio"]["value"].startswith("1.21")
    (move,) = [m for m in answer["moves"] if m["destination"] == "borrower"]
    assert move["leg_quantity"] == "1052631578950000000000"


def test_what_the_moves_say_is_what_the_rules_confirm() -> None:
    """The legs that the moves lead to, judged by the rulebook here, are safe as told."""
    request = accounts()
    answer = answered(request)
    body = request["accounts"][0]
    added = sum(
        int(move["leg_quantity"]) for move in answer["moves"] if move["destination"] == "borrower"
    )
    total = int(body["legs"][0]["quantity"]) + added
    # Collateral at .95 against 10,000 of debt, in whole numbers.
    assert total * 95 >= 10_500 * 10**18 * 100
    assert (total - 10**10) * 95 < 10_500 * 10**18 * 100


def movable(quantity: str) -> Body:
    """Return two accounts of Aave on one market, the second with too much, and nothing free."""
    request = accounts(inventory=[], assets={"0": {"price": "1"}})
    short = request["accounts"][0]
    rich: Mapping[str, Any] = {
        **short,
        "id": "rich",
        "legs": [
            {"kind": "collateral", "asset": "0", "quantity": quantity},
            {"kind": "debt", "asset": "1", "quantity": "10000" + "0" * 18},
        ],
    }
    request["accounts"] = [short, rich]
    request["settings"] = {"borrower": {}, "rich": {"movable": True}}
    return request


def test_collateral_moves_from_where_there_is_too_much() -> None:
    """500 / .95 leaves the rich account, which stands above its line after every step."""
    answer = answered(movable("12000" + "0" * 18))
    assert answer["is_accepted"], answer["refusals"]
    assert [(m["kind"], m["origin"], m["destination"], m["quantity"]) for m in answer["moves"]] == [
        ("withdraw", "rich", "", "526.31578948"),
        ("deposit", "", "borrower", "526.31578948"),
    ]
    after = by_id(answer)
    assert after["rich"]["after"]["verdict"] == "safe"
    assert after["borrower"]["after"]["verdict"] == "safe"


def test_nothing_is_taken_from_an_account_that_needs_it() -> None:
    """A rich account that is rich by 100 cannot mend a hole of 500: 400 are missing."""
    answer = answered(movable("10631578947368421052632"))
    assert answer["status"] == "infeasible"
    (missing,) = answer["shortage"]
    assert missing["id"] == "borrower"
    assert 399 < float(Fraction(missing["missing"])) < 401


def test_a_deadline_leaves_far_collateral_where_it_is() -> None:
    """What takes a day does not help within an hour."""
    request = venues(
        inventory=[{"asset": "cash", "quantity": "500", "place": "far"}],
        transfers=[{"origin": "far", "destination": "", "delay": 86_400, "rate": "0.001"}],
    )
    patient = answered(request)
    assert patient["status"] == "optimal"
    assert patient["ends_seconds"] == 86_400
    assert [move["kind"] for move in patient["moves"]] == ["transfer", "deposit"] * 2
    assert patient["cost"] == "9.18"
    assert answered({**request, "deadline": 3600})["status"] == "infeasible"


def test_currencies_are_converted() -> None:
    """A need of 90 pounds at 1.25 is 112.5 dollars."""
    request = venues(rates={"GBP": "1.25"})
    request["venues"][1]["quote"] = "GBP"
    answer = answered(request)
    after = by_id(answer)
    # B covers 90 of Y, cash the other 22.5.
    assert after["Y"]["posted"] == {"B": "100", "cash": "22.5"}


def test_probability_decides_where_it_is_asked_to() -> None:
    """One venue's risk falls twice as fast: the stock goes there first."""
    steep = {"loss": "200", "points": [["0", "0.5"], ["10", "0"]]}
    flat = {"loss": "100", "points": [["0", "0.5"], ["10", "0"]]}
    request: Body = {
        "assets": {"cash": {"price": "1"}},
        "inventory": [{"asset": "cash", "quantity": "12"}],
        "objective": "probability",
        "venues": [
            {"id": "X", "need": "0", "eligible": {"cash": {"weight": "1"}}, "at_risk": flat},
            {"id": "Y", "need": "0", "eligible": {"cash": {"weight": "1"}}, "at_risk": steep},
        ],
    }
    answer = answered(request)
    assert {name: entry["posted"] for name, entry in by_id(answer).items()} == {
        "X": {"cash": "2"},
        "Y": {"cash": "10"},
    }
    assert answer["expected_loss"] == "40"


def test_every_fault_of_a_request_is_told_at_once() -> None:
    """Twice, unknown, unpriced, nowhere, without a rate: each with its place."""
    request = venues(
        settings={"nobody": {}},
        transfers=[{"origin": "a", "destination": "a"}],
    )
    request["assets"]["D"] = {"quote": "EUR"}
    request["inventory"] += [
        {"asset": "A", "quantity": "1"},
        {"asset": "Q", "quantity": "1"},
    ]
    request["venues"].append({**request["venues"][0], "eligible": {"Z": {"weight": "0.5"}}})
    request["venues"][1]["posted"] = {"A": "1"}
    assert set(refused(request)) == {
        "/venues/0/id",
        "/venues/2/id",
        "/settings/nobody",
        "/inventory/0",
        "/inventory/3",
        "/inventory/4/asset",
        "/transfers/0",
        "/assets/D/quote",
        "/assets/D/price",
        "/venues/1/posted/A",
        "/venues/2/eligible/Z",
        "/venues/2/eligible",
    }


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"inventory": [{"asset": "A", "quantity": "-1"}]}, "/inventory/0/quantity"),
        ({"inventory": [{"asset": "A", "quantity": 1.5}]}, "/inventory/0/quantity"),
        ({"time_limit": 1e6}, "/time_limit"),
        ({"objective": "luck"}, "/objective"),
        ({"assets": {}}, "/assets"),
        ({"venues": []}, ""),
        ({"deadline": -1}, "/deadline"),
        ({"unknown": 1}, "/unknown"),
    ],
)
def test_malformed_fields_are_named(change: Body, where: str) -> None:
    """Each malformed field by its pointer."""
    assert where in refused({**venues(), **change})


@pytest.mark.parametrize(("field", "value"), [("weight", "1.01"), ("weight", "-0.1")])
def test_a_weight_is_a_share(field: str, value: str) -> None:
    """Above one or below nothing is no haircut."""
    request = venues()
    request["venues"][0]["eligible"]["A"][field] = value
    assert f"/venues/0/eligible/A/{field}" in refused(request)


@pytest.mark.parametrize("need", ["NaN", "-1", None])
def test_a_need_is_an_amount(need: Any) -> None:
    """No number, negative or missing."""
    request = venues()
    request["venues"][0]["need"] = need
    assert "/venues/0/need" in refused(request)


def test_an_account_without_an_eligible_leg_is_named() -> None:
    """Settings that name an asset it has no leg of, and an account with none at all."""
    request = accounts(settings={"borrower": {"eligible": {"ETH": {}}}})
    faults = refused(request)
    assert set(faults) == {"/settings/borrower/eligible/ETH", "/accounts/0"}


def test_whole_numbers_beyond_what_is_decided_in_time_are_refused() -> None:
    """Eleven accounts in lots."""
    request = venues()
    request["assets"]["A"]["lot"] = "1"
    first = request["venues"][0]
    request["venues"] = [{**first, "id": f"v{i}", "need": "1"} for i in range(11)]
    assert "10 accounts" in refused(request)[""]


def test_a_solver_that_lies_proposes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The service is unavailable for it rather than wrong."""

    def lying(*_: Any, **__: Any) -> None:
        raise solving.SolverFault("the solver's optimal solution breaks its own limits")

    monkeypatch.setattr(use_case, "allocate", lying)
    with pytest.raises(Refused, match="nothing is proposed"):
        answered(venues())


def test_units_of_a_leg_are_found_by_the_rules() -> None:
    """An exchange reckons in whole units; a power of ten is taken for what it is."""
    answer = answered(accounts())
    (move,) = [m for m in answer["moves"] if m["destination"] == "vault"]
    assert int(move["leg_quantity"]) == 1732497832860000000000


def apart(*oracles: str) -> Body:
    """Return two accounts of Aave, each of a market whose own oracle prices its assets."""
    request = accounts(inventory=[{"asset": "0", "quantity": "5000"}], assets={"0": {}})
    shared = request["market"]
    first = request["accounts"][0]
    request["accounts"] = [
        {**first, "id": f"borrower{place}", "market": f"m{place}"} for place in range(len(oracles))
    ]
    request["market"] = {
        "markets": [
            {
                "venue": "aave-v3",
                "market": f"m{place}",
                "state": {k: v for k, v in shared["state"].items() if k.endswith("_index")},
                "prices": {"0": venue_bodies.price(oracle, 8), "1": shared["prices"]["1"]},
            }
            for place, oracle in enumerate(oracles)
        ]
    }
    request["settings"] = {}
    return request


def test_the_price_of_an_accounts_own_market_is_a_known_price() -> None:
    """At 80 cents, (10,000 / (.8 x .95)) - 10,000 = 3157.89473684… are missing."""
    answer = answered(apart("80000000"))
    assert answer["is_accepted"], answer["refusals"]
    (move,) = answer["moves"]
    assert move["quantity"] == "3157.89473685"
    assert move["leg_quantity"] == "3157894736850000000000"


def test_markets_that_disagree_on_a_price_leave_it_to_the_caller() -> None:
    """Neither is chosen."""
    assert refused(apart("80000000", "90000000")) == {
        "/assets/0/price": "the accounts' markets price '0' differently: state a price"
    }


def test_a_stated_price_beside_the_oracles_does_not_change_what_a_unit_is() -> None:
    """10,000 whole units are posted, whatever somebody pays for one elsewhere."""
    request = apart("80000000")
    request["assets"] = {"0": {"price": "0.81", "cost": "0.01"}}
    answer = answered(request)
    assert answer["cost_before"] == "100"
    assert answer["moves"][0]["leg_quantity"] == "3157894736850000000000"
