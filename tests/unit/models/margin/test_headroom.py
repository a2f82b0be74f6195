"""What caps, ceilings and switches leave, as the answers of `POST /v1/margin` tell it."""

import json
from typing import Any

import pytest
import venue_bodies
from schema_check import conforms
from venue_bodies import Body

from serving.application import exact_margin
from serving.application.scoring import ScoringService
from serving.evaluation.assess import Model
from serving.routes import document

DESK = ScoringService(model=Model(bundle=None))
UNIT = 10**18


def told_of(body: Body) -> Body:
    """Return the answer to a body."""
    told: Body = json.loads(exact_margin.margin(DESK, json.dumps(body).encode(), "unit"))
    return told


def headroom_of(body: Body) -> dict[str, Body]:
    """Return the headroom in an answer, by asset."""
    return {one.pop("asset"): one for one in told_of(body)["headroom"]}


def room(supply: str | None, borrow: str | None, **limits: str) -> Body:
    """Return a room about which something is known."""
    return {"supply": supply, "borrow": borrow, "limits": limits, "unknown": None}


def unknown(reason: str, detail: str) -> Body:
    """Return a room about which nothing is known."""
    why = {"reason": reason, "detail": detail}
    return {"supply": None, "borrow": None, "limits": {}, "unknown": why}


def capped_aave(version: str = "3.6", **state: str) -> Body:
    """Return 10,000 supplied of 12,000 and 10,000 owed of 11,000, against isolated collateral.

    The ceiling is 10,000.50 tokens, of which 10,000 are taken.
    """
    body = venue_bodies.aave()
    account = body["account"]
    account["version"] = version
    account["terms"]["reserves"]["0"] |= {
        "supply_cap": 12_000,
        "borrow_cap": 5,
        "debt_ceiling": 1_000_050,
    }
    account["terms"]["reserves"]["1"] |= {"borrow_cap": 11_000, "borrowable_in_isolation": True}
    body["market"]["state"] |= {
        "0.scaled_supply": str(10_000 * UNIT),
        "0.scaled_debt": "0",
        "0.isolated_debt": "1000000",
        "1.scaled_debt": str(10_000 * UNIT),
        **state,
    }
    return body


def test_aave_caps_and_ceiling() -> None:
    """51 hundredths less one unit are left under the ceiling, below what the cap leaves."""
    ceiling = "509999999999999999"
    assert headroom_of(capped_aave()) == {
        "0": room(
            "2000000000000000000000",
            "0",
            supply_cap="2000000000000000000000",
            borrow_cap="5000000000000000000",
            debt_ceiling=ceiling,
            AssetNotBorrowableInIsolation="0",
        ),
        "1": room(None, ceiling, borrow_cap="1000000000000000000000", debt_ceiling=ceiling),
    }


def test_aave_without_isolation_mode() -> None:
    """From 3.7 on only the caps count."""
    found = headroom_of(capped_aave("3.7"))
    assert found["0"]["borrow"] == "5000000000000000000"
    assert found["1"] == room(None, "1000000000000000000000", borrow_cap="1000000000000000000000")


def test_a_frozen_reserve_takes_and_lends_nothing() -> None:
    """The venue's own code stands beside the caps."""
    found = headroom_of(capped_aave("3.7", **{"0.frozen": "1"}))["0"]
    assert (found["supply"], found["borrow"]) == ("0", "0")
    assert found["limits"]["ReserveFrozen"] == "0"
    assert found["limits"]["supply_cap"] == "2000000000000000000000"


def test_a_passed_cap_leaves_nothing() -> None:
    """More than the cap is in: nothing more goes in."""
    found = headroom_of(capped_aave(**{"0.scaled_supply": str(12_001 * UNIT)}))["0"]
    assert found["supply"] == "0"


def test_aave_without_caps_is_unlimited() -> None:
    """Null without a reason is no limit."""
    free = room(None, None)
    assert headroom_of(venue_bodies.aave()) == {"0": free, "1": free}


@pytest.mark.parametrize(
    ("asset", "gone"), [("0", "0.scaled_supply"), ("0", "0.scaled_debt"), ("1", "1.scaled_debt")]
)
def test_aave_totals_missing(asset: str, gone: str) -> None:
    """A cap without the total it is set against is not known, and the verdict stands."""
    body = capped_aave()
    del body["market"]["state"][gone]
    assert headroom_of(body)[asset] == unknown("totals_missing", gone)
    assert told_of(body)["standing"]["verdict"] == "liquidatable"


def test_unknown_category_and_reserve() -> None:
    """What the terms do not hold is named and breaks nothing."""
    body = capped_aave()
    body["account"]["options"] = {"emode": 7}
    assert headroom_of(body)["0"] == unknown("emode_unknown", "category 7 has no terms")
    body = capped_aave()
    body["account"]["legs"].append(venue_bodies.leg("debt", "DAI", "1"))
    assert headroom_of(body)["0"] == unknown("reserve_unknown", "DAI")
    assert headroom_of(body)["DAI"] == unknown("reserve_unknown", "DAI")


def test_too_few_decimals_for_a_ceiling() -> None:
    """A hundredth of a token with one decimal is no whole number of units."""
    body = capped_aave()
    body["account"]["terms"]["reserves"]["1"]["decimals"] = 1
    assert headroom_of(body)["1"] == unknown("decimals_too_few", "1 has 1")


def capped_compound(**state: Any) -> Body:
    """Return an account with 100 and 831403.918174 as the caps of what it holds."""
    body = venue_bodies.compound()
    first, second = body["account"]["terms"]["collaterals"]
    first["supply_cap"] = "100000000"
    second["supply_cap"] = "831403918174"
    body["market"]["state"] |= state
    return body


def test_compound_caps() -> None:
    """27.748679 of A0 are left, nothing of A1; the base asset has no cap, collateral no loan."""
    totals = {"A0.total_supply_asset": "72251321", "A1.total_supply_asset": "831403918174"}
    assert headroom_of(capped_compound(**totals)) == {
        "BASE": room(None, None),
        "A0": room("27748679", "0", supply_cap="27748679", base_asset_only="0"),
        "A1": room("0", "0", supply_cap="0", base_asset_only="0"),
    }


def test_compound_totals_or_caps_missing() -> None:
    """A cap of 0 takes nothing whatever is in; any other needs the total."""
    body = capped_compound()
    assert headroom_of(body)["A0"] == unknown("totals_missing", "A0.total_supply_asset")
    body["account"]["terms"]["collaterals"][0]["supply_cap"] = "0"
    assert headroom_of(body)["A0"]["supply"] == "0"
    assert headroom_of(venue_bodies.compound())["A1"] == unknown("supply_cap_missing", "A1")


def test_compound_asset_that_is_not_listed() -> None:
    """The market does not take it."""
    body = capped_compound()
    body["account"]["legs"].append(venue_bodies.leg("collateral", "X", "1"))
    assert headroom_of(body)["X"] == unknown("asset_not_listed", "X")


def test_headroom_does_not_need_prices() -> None:
    """An account that cannot be judged has its headroom all the same."""
    body = capped_aave()
    body["market"]["prices"] = {}
    told = told_of(body)
    assert told["standing"]["verdict"] == "unevaluable"
    assert told["headroom"][0]["supply"] == "2000000000000000000000"


def test_venues_without_established_caps_say_null() -> None:
    """Maker's debt ceiling is not modelled."""
    assert told_of(venue_bodies.maker())["headroom"] is None


@pytest.mark.parametrize("body", [capped_aave(), capped_compound(), venue_bodies.compound()])
def test_headroom_is_documented(body: Body) -> None:
    """The answer has the shape that the document tells."""
    told = document()
    content = told["paths"]["/v1/margin"]["post"]["responses"]["200"]["content"]
    assert conforms(told_of(body), content["application/json"]["schema"], told)
