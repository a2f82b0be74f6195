"""Risk weights beside the venue's own, as the answers of `POST /v1/margin` tell them."""

import json

import pytest
import venue_bodies
from schema_check import conforms
from venue_bodies import Body

from models.errors import InvalidInput
from serving.application import exact_margin
from serving.application.scoring import ScoringService
from serving.cli.margin_table import sheet
from serving.evaluation.assess import Model
from serving.routes import document
from serving.schemas.assessment import FaultyItem

DESK = ScoringService(model=Model(bundle=None))


def told_of(body: Body) -> Body:
    """Return the answer to a body."""
    told: Body = json.loads(exact_margin.margin(DESK, json.dumps(body).encode(), "unit"))
    return told


def faults(body: Body) -> set[str]:
    """Return the pointers to what is wrong with a body."""
    with pytest.raises(InvalidInput) as caught:
        exact_margin.margin(DESK, json.dumps(body).encode(), "unit")
    return {fault.where for fault in caught.value.faults}


def measures(volatility: str = "0.05", depth: str = "40000", concentration: str = "0.15") -> Body:
    """Return what is known of one collateral."""
    return {"volatility": volatility, "depth": depth, "concentration": concentration}


def test_aave_collateral() -> None:
    """11.63 % market, 0.02 · 10,000 / 40,000 / 2 liquidation, half of 10 % concentration."""
    body = venue_bodies.aave()
    told = told_of({**body, "risk": {"0": measures()}})
    assert told["risk_weights"] == {
        "collaterals": [
            {
                "asset": "0",
                "value": "10000",
                "venue_weight": "0.95",
                "risk_weight": "0.8312",
                "market": "0.1163",
                "liquidation": "0.0025",
                "concentration": "0.05",
                "is_overvalued": True,
            }
        ],
        "unmeasured": [],
        "unknown": None,
    }
    assert told["standing"] == told_of(body)["standing"]


def test_nothing_is_weighed_unasked() -> None:
    """Without `risk` there are no weights; without measures collateral is only named."""
    body = venue_bodies.aave()
    assert told_of(body)["risk_weights"] is None
    empty = {"collaterals": [], "unmeasured": ["0"], "unknown": None}
    assert told_of({**body, "risk": {}})["risk_weights"] == empty
    assert told_of({**body, "risk": {"1": measures()}})["risk_weights"] == empty


def test_the_weight_in_force_is_the_categorys() -> None:
    """Inside an e-mode the category's threshold is the venue's weight."""
    body = venue_bodies.aave()
    account = body["account"]
    account["options"] = {"emode": 1}
    category = {"ltv": 8000, "threshold": 8300, "bonus": 10100, "collateral_bitmap": 1}
    account["terms"]["categories"] = {"1": category}
    (found,) = told_of({**body, "risk": {"0": measures()}})["risk_weights"]["collaterals"]
    assert (found["venue_weight"], found["is_overvalued"]) == ("0.83", False)


@pytest.mark.parametrize("version", ["3.5", "3.7"])
def test_collateral_without_a_threshold_has_no_weight(version: str) -> None:
    """It is worth 10,000 and counts nothing."""
    body = venue_bodies.aave()
    body["account"]["version"] = version
    body["account"]["terms"]["reserves"]["0"]["threshold"] = 0
    (found,) = told_of({**body, "risk": {"0": measures()}})["risk_weights"]["collaterals"]
    assert (found["value"], found["venue_weight"]) == ("10000", "0")


def test_compound_collateral() -> None:
    """2 of A0 at 5: a market without depth leaves nothing; A1 has no measures."""
    body = venue_bodies.compound()
    body["account"]["legs"][1]["quantity"] = "2000000"
    body["market"]["prices"]["A0"]["value"] = "500000000"
    told = told_of({**body, "risk": {"A0": measures("0.1", "0", "0.05")}})["risk_weights"]
    assert told == {
        "collaterals": [
            {
                "asset": "A0",
                "value": "10",
                "venue_weight": "0.7785",
                "risk_weight": "0",
                "market": "0.2326",
                "liquidation": "1",
                "concentration": "0",
                "is_overvalued": True,
            }
        ],
        "unmeasured": ["A1"],
        "unknown": None,
    }


def test_what_is_not_known_is_said() -> None:
    """No price, no listing, no weight: each has its reason, and the answer stands."""
    body = venue_bodies.compound() | {"risk": {"A0": measures()}}
    del body["market"]["prices"]["A1"]
    found = told_of(body)["risk_weights"]
    assert found["unknown"] == {"reason": "price_missing", "detail": "A1"}
    assert found["collaterals"] == []
    body["account"]["legs"].append(venue_bodies.leg("collateral", "X", "1"))
    unlisted = {"reason": "asset_not_listed", "detail": "X"}
    assert told_of(body)["risk_weights"]["unknown"] == unlisted
    body = venue_bodies.aave() | {"risk": {"0": measures()}}
    del body["market"]["prices"]["1"]
    assert told_of(body)["risk_weights"]["unknown"] == {"reason": "price_missing", "detail": "1"}
    body = venue_bodies.maker() | {"risk": {"ETH": measures()}}
    reason = told_of(body)["risk_weights"]["unknown"]["reason"]
    assert reason == "weights_not_established"


@pytest.mark.parametrize(
    ("pointers", "risk"),
    [
        ({"/risk/0/volatility"}, {"0": measures(volatility="-0.01")}),
        ({"/risk/0/depth"}, {"0": measures(depth="-1")}),
        ({"/risk/0/concentration"}, {"0": measures(concentration="1.01")}),
        ({"/risk/0/concentration"}, {"0": measures(concentration="-0.01")}),
        ({"/risk/0/volatility"}, {"0": {**measures(), "volatility": 0.05}}),
        ({"/risk/0/depth"}, {"0": measures(depth="much")}),
        ({"/risk/0/beta"}, {"0": {**measures(), "beta": "1"}}),
        ({"/risk/0/volatility", "/risk/0/depth", "/risk/0/concentration"}, {"0": {}}),
        ({"/risk/0"}, {"0": "0.05"}),
        ({"/risk"}, ["0"]),
        ({"/risk/E~1T~0H", "/risk/2"}, {"0": measures(), "E/T~H": measures(), "2": measures()}),
    ],
)
def test_faults_have_their_place(pointers: set[str], risk: object) -> None:
    """Each fault of `risk` is listed with its pointer, an asset without a price included."""
    assert faults({**venue_bodies.aave(), "risk": risk}) == pointers


def test_risk_weights_are_documented() -> None:
    """The answers have the shape that the document tells."""
    told = document()
    content = told["paths"]["/v1/margin"]["post"]["responses"]["200"]["content"]
    schema = content["application/json"]["schema"]
    for body, asset in ((venue_bodies.aave(), "0"), (venue_bodies.maker(), "ETH")):
        assert conforms(told_of({**body, "risk": {asset: measures()}}), schema, told)
    assert {"RiskBody", "RiskWeights"} <= told["components"]["schemas"].keys()


def test_the_command_weighs_too() -> None:
    """The file's answer has the same weights."""
    body = venue_bodies.aave() | {"risk": {"0": measures()}}
    (row,) = sheet(json.dumps(body).encode()).accounts
    assert not isinstance(row, FaultyItem)
    assert row.margin.risk_weights is not None
    assert row.margin.risk_weights.collaterals[0].risk_weight == "0.8312"
