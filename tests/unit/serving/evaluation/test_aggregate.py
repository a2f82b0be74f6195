"""One owner's accounts as a whole, as the answers of `POST /v1/margin` tell it."""

import json
from typing import Any

import pytest
import venue_bodies
from schema_check import conforms
from venue_bodies import Body

from models.errors import InvalidInput
from serving.application import exact_margin
from serving.application.scoring import ScoringService
from serving.cli.margin_table import sheet, whole
from serving.evaluation.assess import Model
from serving.routes import document

DESK = ScoringService(model=Model(bundle=None))


def encoded(body: Body) -> bytes:
    """Return a body as it is sent."""
    return json.dumps(body).encode()


def told_of(body: Body) -> Body:
    """Return the answer to a body."""
    told: Body = json.loads(exact_margin.margin(DESK, encoded(body), "unit"))
    return told


def faults(body: Body) -> set[str]:
    """Return the pointers to what is wrong with a body."""
    with pytest.raises(InvalidInput) as caught:
        exact_margin.margin(DESK, encoded(body), "unit")
    return {fault.where for fault in caught.value.faults}


def link(value: str = "1", haircut: str = "0", delay: int = 0) -> Body:
    """Return how surplus of an account reaches the others."""
    return {"quote_value": value, "bridge_haircut": haircut, "message_delay_seconds": delay}


def three(**composed: Any) -> Body:
    """Return surpluses of 50, 4,820 and -500, the last in a unit worth two.

    A tenth of the first is lost on the bridge; the second arrives after 600 seconds.
    """
    bodies = [venue_bodies.hyperliquid(), venue_bodies.binance(), venue_bodies.aave()]
    prices = {name: one for body in bodies for name, one in body["market"]["prices"].items()}
    market = {"prices": prices, "state": bodies[2]["market"]["state"]}
    venues = {
        "hyperliquid": link(haircut="0.1"),
        "binance-usdm": link(delay=600),
        "aave-v3": link("2"),
    }
    return {
        "as_of": venue_bodies.AT,
        "market": market,
        "accounts": [body["account"] for body in bodies],
        "composed": {
            "value_unit": "USD",
            "within_seconds": 600,
            "venues": venues,
            **composed,
        },
    }


def part(name: str, verdict: str, reason: str, sums: tuple[str, str, str], *, saved: bool) -> Body:
    """Return one part with surplus, what is available from it and what it can reach."""
    surplus, available, reachable = sums
    return {
        "name": name,
        "verdict": verdict,
        "reason": reason,
        "surplus": surplus,
        "available": available,
        "reachable": reachable,
        "can_be_rescued": saved,
    }


LONG = "hyperliquid/cross/long"
FUTURES = "binance-usdm/USDT/futures"
BORROWER = "aave-v3/core/borrower"


def test_a_whole_in_surplus_is_liquidatable_where_a_part_is() -> None:
    """45 and 4,820 arrive, 1,000 are short: 3,865 in sum, and the loan is liquidatable."""
    found = told_of(three())["aggregate"]
    standings = [one["standing"] for one in told_of(three())["margins"]]
    reasons = [one["reason"] for one in standings]
    assert found == {
        "value_unit": "USD",
        "within_seconds": 600,
        "verdict": "liquidatable",
        "reason": f"{BORROWER}: health_factor_below_one",
        "surplus": "3865",
        "unevaluable": [],
        "parts": [
            part(LONG, "safe", reasons[0], ("50", "45", "4820"), saved=True),
            part(FUTURES, "safe", reasons[1], ("4820", "4820", "45"), saved=True),
            part(BORROWER, "liquidatable", reasons[2], ("-1000", "0", "4865"), saved=True),
        ],
    }


def test_surplus_that_arrives_too_late_does_not_count() -> None:
    """Within 599 seconds only 45 arrive: 955 are short."""
    found = told_of(three(within_seconds=599))["aggregate"]
    assert found["surplus"] == "-955"
    assert found["parts"][1]["available"] == "0"
    assert found["parts"][2]["reachable"] == "45"
    assert found["parts"][2]["can_be_rescued"] is False


def test_an_account_may_have_its_own_link() -> None:
    """The account's id goes before its venue: all of the 50 is lost."""
    found = told_of(three(accounts={"long": link(haircut="1")}))["aggregate"]
    assert found["surplus"] == "3820"


def test_an_account_at_fault_makes_the_sum_unknown_and_hides_nothing() -> None:
    """The part is unevaluable under its pointer; the liquidatable one is told all the same."""
    body = three()
    body["accounts"][1] = {"id": "futures", "venue": "binance-usdm", "legs": 7}
    found = told_of(body)["aggregate"]
    assert found["verdict"] == "liquidatable"
    assert found["surplus"] is None
    assert found["unevaluable"] == ["/accounts/1"]
    assert found["parts"][1] == {
        **part("/accounts/1", "unevaluable", "request_at_fault", ("", "0", "45"), saved=False),
        "surplus": None,
    }


def test_a_missing_price_is_graver_than_safe() -> None:
    """The whole is not safe where a part cannot be judged."""
    body = three()
    del body["accounts"][2], body["composed"]["venues"]["aave-v3"]
    del body["market"]["prices"]["X"]
    found = told_of(body)["aggregate"]
    assert (found["verdict"], found["reason"]) == ("unevaluable", f"{LONG}: price_missing")
    assert (found["surplus"], found["unevaluable"]) == (None, [LONG])


def test_nothing_is_composed_unasked() -> None:
    """Without `composed` there is no aggregate."""
    body = three()
    del body["composed"]
    assert told_of(body)["aggregate"] is None


def test_every_account_needs_a_link_and_every_link_an_account() -> None:
    """Nothing is assumed, and nothing misspelt is ignored."""
    body = three(venues={"hyperliquid": link(), "aave": link()}, accounts={"lon/g": link()})
    assert faults(body) == {
        "/composed/venues/binance-usdm",
        "/composed/venues/aave-v3",
        "/composed/venues/aave",
        "/composed/accounts/lon~1g",
    }


def test_an_account_that_stands_twice_is_refused() -> None:
    """Its surplus would count twice."""
    body = three()
    body["accounts"].append(body["accounts"][0])
    assert faults(body) == {"/accounts/3"}


def test_one_account_is_no_whole() -> None:
    """`composed` goes with `accounts`."""
    body = venue_bodies.maker() | {"composed": three()["composed"]}
    assert faults(body) == {"/composed"}


@pytest.mark.parametrize(
    ("pointers", "more"),
    [
        ({"/composed/value_unit"}, {"value_unit": ""}),
        ({"/composed/value_unit"}, {"value_unit": 7}),
        ({"/composed/within_seconds"}, {"within_seconds": -1}),
        ({"/composed/within_seconds"}, {"within_seconds": 1.5}),
        ({"/composed/within_seconds"}, {"within_seconds": 10**8 + 1}),
        ({"/composed/within_seconds"}, {"within_seconds": True}),
        ({"/composed/bridge"}, {"bridge": "1"}),
        ({"/composed/venues"}, {"venues": []}),
        ({"/composed/accounts/long/quote_value"}, {"accounts": {"long": link("0")}}),
        ({"/composed/accounts/long/quote_value"}, {"accounts": {"long": link("-1")}}),
        ({"/composed/accounts/long/bridge_haircut"}, {"accounts": {"long": link("1", "1.01")}}),
        ({"/composed/accounts/long/bridge_haircut"}, {"accounts": {"long": link("1", "-0.1")}}),
        (
            {"/composed/accounts/long/message_delay_seconds"},
            {"accounts": {"long": link("1", "0", -1)}},
        ),
        (
            {
                "/composed/venues/x/quote_value",
                "/composed/venues/x/bridge_haircut",
                "/composed/venues/x/message_delay_seconds",
                "/composed/within_seconds",
            },
            {"venues": {"x": {}}, "within_seconds": "600"},
        ),
    ],
)
def test_faults_have_their_place(pointers: set[str], more: Body) -> None:
    """Each fault of `composed` is listed with its pointer."""
    assert faults(three(**more)) == pointers


def test_a_float_is_refused_and_a_missing_field_named() -> None:
    """Amounts are exact, and nothing has a default."""
    body = three(venues={"aave-v3": {**link(), "bridge_haircut": 0.1}})
    assert faults(body) == {"/composed/venues/aave-v3/bridge_haircut"}
    body = three()
    del body["composed"]["value_unit"], body["composed"]["within_seconds"]
    assert faults(body) == {"/composed/value_unit", "/composed/within_seconds"}
    assert faults({**three(), "composed": 7}) == {"/composed"}


def test_the_aggregate_is_documented() -> None:
    """The answer has the shape that the document tells."""
    told = document()
    content = told["paths"]["/v1/margin"]["post"]["responses"]["200"]["content"]
    schema = content["application/json"]["schema"]
    body = three()
    assert conforms(told_of(body), schema, told)
    body["accounts"].append({"id": "x"})
    assert conforms(told_of(body), schema, told)
    assert "composed" in told["components"]["schemas"]["MarginBody"]["properties"]
    assert {"ComposedBody", "LinkBody"} <= told["components"]["schemas"].keys()


def test_the_command_composes_too() -> None:
    """The file's answer has the same aggregate, and a line for people."""
    found = sheet(encoded(three()))
    assert found.aggregate is not None
    assert found.aggregate.surplus == "3865"
    expected = f"together liquidatable: {BORROWER}: health_factor_below_one; surplus 3865 USD"
    assert whole(found.aggregate) == expected
    assert sheet(encoded(venue_bodies.maker())).aggregate is None
