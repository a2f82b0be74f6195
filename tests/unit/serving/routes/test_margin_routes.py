"""What the rules answer to a body: literal amounts, triggers, liquidations and faults."""

import copy
import json
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
import venue_bodies
from schema_check import conforms
from venue_bodies import Body

from models.errors import InvalidInput
from models.margin.result import Verdict
from models.margin.rulebook import load, with_price
from serving.application import exact_margin
from serving.application.scoring import ScoringService
from serving.evaluation import effort, inputs
from serving.evaluation.assess import Model
from serving.http.routing import Call
from serving.routes import OPERATIONS, document
from serving.schemas import requests as wire
from serving.schemas.margin_requests import TriggerBody

Route = Callable[[ScoringService, bytes, str], bytes]
DESK = ScoringService(model=Model(bundle=None))
ROUTES: dict[str, Route] = {
    "/v1/margin": exact_margin.margin,
    "/v1/trigger": exact_margin.trigger,
    "/v1/liquidation": exact_margin.liquidation,
}


def ask(route: Route, body: Body) -> Body:
    """Return the answer to a body."""
    told: Body = json.loads(route(DESK, json.dumps(body).encode(), "unit"))
    return told


def faults(route: Route, body: Body) -> dict[str, str]:
    """Return message by pointer of what is wrong with a body."""
    with pytest.raises(InvalidInput) as caught:
        route(DESK, json.dumps(body).encode(), "unit")
    return {fault.where: fault.message for fault in caught.value.faults}


def with_request(body: Body, **request: Any) -> Body:
    """Return a body with what the liquidator asks."""
    return {**body, "request": request}


STANDINGS: list[tuple[Body, str, tuple[str, str | None], tuple[str, str, str], int]] = [
    (
        venue_bodies.maker(),
        "safe",
        ("collateralization_ratio", "1.1"),
        (
            "117486076.33892985107116454082583311970192680660876936",
            "117486076.33892985107116454016653665712241017028722025",
            "0.00000000000000000065929646257951663632154911",
        ),
        45,
    ),
    (
        venue_bodies.aave(),
        "liquidatable",
        ("health_factor", "0.95"),
        ("9500", "10000", "-500"),
        12,
    ),
    (
        venue_bodies.compound(),
        "liquidatable",
        ("collateralization", "0.990099009900990055"),
        ("22432800289.2443415", "22657128292.13678592", "-224328002.89244442"),
        8,
    ),
    (
        venue_bodies.morpho(),
        "liquidatable",
        ("health_factor", "0.999999999999993273"),
        ("148674047230770", "148674047230771", "-1"),
        0,
    ),
    (
        venue_bodies.hyperliquid(),
        "safe",
        ("maintenance margin / account value", "0.5"),
        ("100", "50", "50"),
        0,
    ),
    (
        venue_bodies.binance(),
        "safe",
        ("Margin Ratio", "0.036"),
        ("5000", "180", "4820"),
        0,
    ),
]


@pytest.mark.parametrize(("body", "verdict", "ratio", "side", "decimals"), STANDINGS)
def test_margin(
    body: Body,
    verdict: str,
    ratio: tuple[str, str],
    side: tuple[str, str, str],
    decimals: int,
) -> None:
    """Verdict, the venue's ratio and the maintenance side are the recorded or reckoned ones."""
    told = ask(exact_margin.margin, body)
    standing = told["standing"]
    assert standing["verdict"] == verdict
    assert (standing["ratio"]["name"], standing["ratio"]["value"]) == ratio
    assert tuple(standing["maintenance"].values()) == side
    assert list(standing["maintenance"]) == ["credit", "requirement", "surplus"]
    assert standing["value_decimals"] == decimals
    assert told["degraded"] is False
    assert {price["age_seconds"] for price in told["prices"]} == {60.0}


@pytest.mark.parametrize(
    ("body", "value", "debt"),
    [
        (venue_bodies.aave(), "10000", "10000"),
        (
            venue_bodies.maker(),
            # 17,324.978… ETH at 7,459.44…, where the rules count 1/1.1 of it.
            "129234683.972822836178280994908425094161283776",
            "117486076.33892985107116454016653665712241017028722025",
        ),
        (venue_bodies.hyperliquid(), "100", "0"),
        (venue_bodies.binance(), "5000", "0"),
    ],
)
def test_collateral_is_told_without_haircuts_and_debt_without_margin(
    body: Body, value: str, debt: str
) -> None:
    """A position owes nothing: what it must keep is margin, which stands beside it."""
    told = ask(exact_margin.margin, body)
    assert (told["collateral_value"], told["debt"]) == (value, debt)


def pegged(body: Body, *names: str) -> Body:
    """Return a request that says which assets keep their price."""
    return {**body, "market": {**body["market"], "pegged": list(names)}}


TRIGGERS: list[tuple[Body, list[tuple[str, str, str]], str | None]] = [
    (venue_bodies.maker(), [("ETH", "below", "7459.442749180869341371")], "-0.000000001"),
    (
        pegged(venue_bodies.aave(), "1"),
        [("0", "below", "1.05263157"), ("1", "above", "0.95000001")],
        "0.052631579",
    ),
    (
        venue_bodies.compound(),
        [
            ("BASE", "above", "1578.00383961"),
            ("A0", "below", "3988224.5280652"),
            ("A1", "below", "50076.53311889"),
        ],
        "0.01",
    ),
    (
        venue_bodies.morpho(),
        [("WETH", "below", "0.000000739055000000002573551400929979")],
        "0",
    ),
    (venue_bodies.hyperliquid(), [("X", "below", "94.7368421052")], "-0.052631579"),
    (venue_bodies.binance(), [("BTC/USDT:USDT", "below", "40160.64257028")], "-0.107541277"),
]


@pytest.mark.parametrize(("body", "prices", "shock"), TRIGGERS)
def test_triggers(body: Body, prices: list[tuple[str, str, str]], shock: str) -> None:
    """Every asset that the verdict rests on has its own trigger, and all have a joint one."""
    told = ask(exact_margin.trigger, body)
    found = [(one["asset"], one["direction"], one["price"]) for one in told["price_triggers"]]
    assert found == prices
    assert told["shock_trigger"]["shock"] == shock
    assert told["flips_at"] is None
    assert told["until"] == "2026-03-08T00:00:00Z"


@pytest.mark.parametrize("body", venue_bodies.all_venues())
def test_the_verdict_flips_one_unit_beside_the_trigger(body: Body) -> None:
    """At the trigger the account is liquidatable, one unit back it is not."""
    asked, _ = wire.parse(json.dumps(body).encode(), TriggerBody)
    account = wire.account(asked.account, "/account")
    around = inputs.snapshot(asked, now=DESK.clock(), stored=None, accounts=[account])
    case = inputs.account_input(account, "/account", around)
    book = load(case.account.venue, case.account.version)
    for one in ask(exact_margin.trigger, body)["price_triggers"]:
        at = Fraction(one["price"]) * 10 ** one["decimals"]
        back = 1 if one["direction"] == "below" else -1
        verdicts = [
            book.margin(
                case.account, with_price(case.market, one["asset"], int(at) + step), case.terms
            ).verdict
            for step in (-back, 0, back)
        ]
        assert verdicts == [Verdict.LIQUIDATABLE, Verdict.LIQUIDATABLE, Verdict.SAFE]


def test_prices_in_closed_form() -> None:
    """Exchanges give where equity meets maintenance and where it is gone, exactly."""
    told = ask(exact_margin.trigger, venue_bodies.hyperliquid())
    assert told["liquidation_prices"] == [{"asset": "X", "price": "1800/19"}]
    assert told["bankruptcy_prices"] == [{"asset": "X", "price": "90"}]
    told = ask(exact_margin.trigger, venue_bodies.binance())
    assert told["liquidation_prices"] == [{"asset": "BTC/USDT:USDT", "price": "10000000/249"}]
    assert told["bankruptcy_prices"] == [{"asset": "BTC/USDT:USDT", "price": "40000"}]


def test_bankruptcy_by_the_rules_without_haircuts() -> None:
    """10,000 owed at 1 against 10,000 held: one unit less than 1 no longer covers it."""
    told = ask(exact_margin.trigger, venue_bodies.aave())["bankruptcy_prices"]
    assert told == [{"asset": "0", "price": "0.99999999"}, {"asset": "1", "price": "1.00000001"}]


def test_an_account_long_and_short_has_two_triggers() -> None:
    """In hedge mode a fall and a rise may both liquidate."""
    body = venue_bodies.binance()
    account = body["account"]
    account["terms"] = {
        "symbols": {
            "B": [
                {"floor": "0", "rate": "0.004"},
                {"floor": "100000", "rate": "0.104", "deduction": "10000"},
            ]
        }
    }
    account["legs"] = [
        venue_bodies.leg("collateral", "USDT", "4000"),
        venue_bodies.leg("position", "B", "1.1", entry="45000"),
        venue_bodies.leg("position", "B", "-1", entry="45000"),
    ]
    body["market"]["prices"] = {"B": venue_bodies.price("45000")}
    found = [
        (one["direction"], one["price"])
        for one in ask(exact_margin.trigger, body)["price_triggers"]
    ]
    # 500 = p (0.1 - 0.0084); above 100,000: -500 + 0.1 p = 0.2184 p - 20,000.
    assert found == [("below", "5458.51528384"), ("above", "164695.94594595")]


def test_betas_are_those_asked_for() -> None:
    """A beta of zero holds a price; a negative one moves it against the others."""
    body = venue_bodies.aave()
    told = ask(exact_margin.trigger, {**body, "betas": {"0": "0", "1": "1"}})
    assert told["betas"] == {"0": "0", "1": "1"}
    # floor(10^8 (1 - 0.049999991)) = 95,000,000 is safe; a billionth more leaves one unit more.
    assert told["shock_trigger"] == {"shock": "-0.04999999", "direction": "above"}
    assert ask(exact_margin.trigger, {**body, "betas": {}})["shock_trigger"] is None


def test_interest_flips_the_verdict_in_time() -> None:
    """A vault on its line is past it after the first second of a stability fee."""
    body = venue_bodies.maker()
    body["account"]["terms"]["duty"] = "1000000001000000000000000000"
    assert ask(exact_margin.trigger, body)["flips_at"] == "2026-03-01T00:00:01Z"
    body["until"] = "2026-03-01T00:00:00Z"
    assert list(faults(exact_margin.trigger, body)) == ["/until"]


def test_the_next_price_of_a_delayed_oracle_is_judged() -> None:
    """The verdict at a known next price stands beside the one at the price in force."""
    body = venue_bodies.maker()
    body["market"]["prices"]["ETH"] |= {
        "next_value": "6713498474262782407234",
        "next_at": "2026-03-01T01:00:00Z",
    }
    told = ask(exact_margin.margin, body)
    assert told["standing"]["verdict"] == "safe"
    assert told["next_verdict"] == {
        "verdict": "liquidatable",
        "reason": "below_liquidation_ratio",
        "at": "2026-03-01T01:00:00Z",
    }


def test_stale_and_disputed_prices_are_flagged() -> None:
    """The verdict is given on the venue's own price all the same."""
    body = venue_bodies.aave()
    body["market"]["prices"]["0"]["stale_after_seconds"] = 0
    body["market"]["prices"]["1"]["disputed"] = "jump"
    told = ask(exact_margin.margin, body)
    assert told["standing"]["verdict"] == "liquidatable"
    assert [price["is_stale"] for price in told["prices"]] == [True, False]
    assert [price["disputed"] for price in told["prices"]] == [None, "jump"]
    assert told["degraded"] is True
    assert [one["code"] for one in told["degraded_reasons"]] == ["price_stale", "price_disputed"]


@pytest.mark.parametrize("route", ROUTES.values())
def test_a_missing_price_is_an_answer(route: Route) -> None:
    """Unevaluable is a verdict: it names the price, has no triggers and seizes nothing."""
    body = venue_bodies.hyperliquid()
    body["market"]["prices"] = {}
    told = ask(route, body)
    assert told.get("standing", told)["verdict"] == "unevaluable"
    assert told.get("standing", told)["reason"] == "price_missing"
    assert told["degraded"] is True
    if route is exact_margin.margin:
        assert told["missing_prices"] == ["X"]
        assert told["standing"]["maintenance"] is None
    if route is exact_margin.liquidation:
        assert told["refusal"]["reason"] == "price_missing"


def test_maker_liquidation() -> None:
    """At the recorded new price the recorded debt and collateral go to auction."""
    told = ask(exact_margin.liquidation, venue_bodies.maker("6713498474262782407234"))
    assert told["outcome"] == "liquidated"
    # The recorded dart, 75984638713875253074697553, times the rate.
    assert told["liquidation"]["repaid"] == {"DAI": "92592592592592592592592592"}
    assert told["liquidation"]["seized"] == {"ETH": "13654083190468393903635"}
    assert told["refusal"] is None


def test_aave_liquidation() -> None:
    """All the collateral goes for part of the debt; what it leaves is a deficit."""
    found = ask(exact_margin.liquidation, venue_bodies.aave())["liquidation"]
    assert found["repaid"] == {"1": "9523809523809523809524"}
    assert found["seized"] == {"0": "10000000000000000000000"}
    assert found["bad_debt"] == {"1": "476190476190476190476"}
    assert found["protocol_fee"] == {"0": "0"}
    assert found["after"]["reason"] == "no_debt"
    assert found["after"]["ratio"] == {"name": "health_factor", "value": None, "text": None}
    assert found["is_toxic"] is False


def test_compound_liquidation() -> None:
    """An absorption pays out what the contract paid out."""
    found = ask(exact_margin.liquidation, venue_bodies.compound())["liquidation"]
    assert found["repaid"] == {"BASE": "24415606428958716590807426"}
    assert found["seized"] == {"A0": "72251321", "A1": "831403918174"}


def test_morpho_liquidation() -> None:
    """The shares asked for are repaid, and no more."""
    body = with_request(venue_bodies.morpho(), repay="62860303170737430458")
    found = ask(exact_margin.liquidation, body)["liquidation"]
    assert found["repaid"] == {"USDC": "67664481346327"}
    assert found["seized"] == {"WETH": "92526939904092388252"}


def test_hyperliquid_liquidation() -> None:
    """Below the line a market order closes the long at the bid: 45 of 100 are left."""
    found = ask(exact_margin.liquidation, venue_bodies.hyperliquid("9450"))["liquidation"]
    assert found["repaid"] == {"X": "10"}
    assert found["after"]["verdict"] == "safe"
    assert found["after"]["maintenance"] == {"credit": "45", "requirement": "0", "surplus": "45"}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (venue_bodies.maker(), "Dog/not-unsafe"),
        (venue_bodies.hyperliquid(), "not_liquidatable"),
        (venue_bodies.binance(), "not_liquidatable"),
    ],
)
def test_a_refusal_is_an_answer(body: Body, reason: str) -> None:
    """The venue's own reason is told."""
    told = ask(exact_margin.liquidation, body)
    assert told["outcome"] == "refused"
    assert told["refusal"]["reason"] == reason
    assert told["liquidation"] is None


def test_a_rulebook_without_a_liquidation_refuses() -> None:
    """Regulation T states a requirement and no procedure."""
    body = venue_bodies.hyperliquid()
    body["account"] |= {"venue": "reg-t", "market": "margin", "legs": [], "options": {}}
    del body["account"]["terms"]
    told = ask(exact_margin.liquidation, body)
    assert told["refusal"]["reason"] == "liquidation_not_established"


@pytest.mark.parametrize(
    ("path", "key"),
    [("/v1/margin", "margins"), ("/v1/trigger", "triggers"), ("/v1/liquidation", "liquidations")],
)
def test_a_batch_keeps_its_order_and_its_faults_to_themselves(path: str, key: str) -> None:
    """An account at fault has its errors where its answer would stand."""
    body = venue_bodies.maker()
    sound = body.pop("account")
    wrong = copy.deepcopy(sound) | {"venue": "atlantis", "id": "sunken"}
    body["accounts"] = [sound, wrong, "nobody", {**sound, "id": "second"}]
    told = ask(ROUTES[path], body)[key]
    assert [one["account"] for one in told] == ["vault", "sunken", "nobody", "second"]
    assert ["errors" in one for one in told] == [False, True, True, False]
    assert told[1]["errors"][0]["pointer"] == "/accounts/1/venue"
    assert told[2]["errors"][0]["pointer"] == "/accounts/2"


def test_each_account_may_carry_its_own_request() -> None:
    """An account's request stands in place of the envelope's."""
    body = venue_bodies.morpho()
    first = body.pop("account")
    second = {**first, "request": {"repay": "62860303170737430458"}}
    told = ask(exact_margin.liquidation, {**body, "accounts": [first, second]})["liquidations"]
    repaid = [one["liquidation"]["repaid"]["USDC"] for one in told]
    assert repaid == ["148674047230771", "67664481346327"]


FAULTY: list[tuple[Route, str, Body]] = [
    (exact_margin.trigger, "/betas/WETH", {"betas": {"WETH": "1"}}),
    (exact_margin.trigger, "/betas/ETH", {"betas": {"ETH": "101"}}),
    (exact_margin.trigger, "/betas/ETH", {"betas": {"ETH": 1.5}}),
    (exact_margin.trigger, "/until", {"until": "2027-03-03T00:00:00Z"}),
    (exact_margin.trigger, "/until", {"until": 7}),
    (exact_margin.trigger, "/features", {"features": True}),
    (exact_margin.margin, "/request", {"request": {}}),
    (exact_margin.liquidation, "/request/repay", {"request": {"repay": "-1"}}),
    (exact_margin.liquidation, "/request/repay", {"request": {"repay": "0.5"}}),
    (exact_margin.liquidation, "/request/repay", {"request": {"repay": 1.0}}),
    (exact_margin.liquidation, "/request/debt_asset", {"request": {"debt_asset": ""}}),
    (exact_margin.liquidation, "/request/seize", {"request": {"seize": "1"}}),
    (exact_margin.liquidation, "/request", {"request": 7}),
]


@pytest.mark.parametrize(("route", "pointer", "more"), FAULTY)
def test_faults_have_their_place(route: Route, pointer: str, more: Body) -> None:
    """What these paths add to a body is checked like the rest of it."""
    assert list(faults(route, venue_bodies.maker() | more)) == [pointer]


def test_a_fault_of_an_own_request_has_its_place() -> None:
    """The pointer leads into the account."""
    body = venue_bodies.maker()
    body["account"]["request"] = {"repay": "0.5"}
    assert list(faults(exact_margin.liquidation, body)) == ["/account/request/repay"]
    assert list(faults(exact_margin.margin, body)) == ["/account/request"]


def grid(size: int, *, scenarios: int = 20) -> Body:
    """Return a request about positions under a grid of scenarios."""
    names = [f"X{i}" for i in range(size)]
    moves = [{"name": f"s{k}", "move": f"0.{k:04}"} for k in range(scenarios)]
    account = {
        "id": "grid",
        "venue": "portfolio-margin",
        "market": "M",
        "legs": [
            venue_bodies.leg("collateral", "USD", "100000000"),
            *(venue_bodies.leg("position", name, "1", entry="100") for name in names),
        ],
        "terms": {
            "instruments": {name: {"asset_class": "X", "underlying": name} for name in names},
            "groups": {"all": {"classes": ["X"], "scenarios": moves}},
        },
    }
    prices = {name: venue_bodies.price("100") for name in names}
    return venue_bodies.body(account, prices=prices)


@pytest.fixture
def thrifty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Allow a hundredth of what is usual, so that a test need not take it."""
    monkeypatch.setattr(effort, "MOST_OF_ACCOUNT", 5_000)
    monkeypatch.setattr(effort, "MOST_OF_REQUEST", 20_000)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        pytest.param("/v1/score", grid(15), id="many positions"),
        pytest.param("/v1/what-if", grid(15), id="before and after"),
        pytest.param("/v1/plan", {**grid(15), "target": {"health": "1.5"}}, id="a plan"),
        pytest.param("/v1/score", grid(1, scenarios=2_000), id="many scenarios"),
        pytest.param("/v1/margin", grid(99, scenarios=201), id="one evaluation"),
        pytest.param("/v1/liquidation", grid(99, scenarios=201), id="a liquidation"),
    ],
)
@pytest.mark.usefixtures("thrifty")
def test_an_account_that_costs_too_much_is_refused(path: str, body: Body) -> None:
    """Whatever is asked, the refusal names the account and the limit."""
    found = next(one for one in OPERATIONS if one.path == path)
    with pytest.raises(InvalidInput) as caught:
        found.work(DESK, Call(body=json.dumps(body).encode(), request_id="r"))
    (fault,) = caught.value.faults
    assert fault.where == "/account"
    assert "steps" in fault.message


@pytest.mark.usefixtures("thrifty")
def test_a_costly_account_leaves_the_others_their_answers() -> None:
    """An item that costs too much is at fault alone."""
    body = grid(15)
    small = {**body["account"], "id": "small", "legs": body["account"]["legs"][:2]}
    told = ask(
        ScoringService.score, {**body, "account": None, "accounts": [body["account"], small]}
    )
    first, second = told["assessments"]
    assert "5000 steps" in first["errors"][0]["detail"]
    assert second["rule"]["verdict"] == "safe"


@pytest.mark.usefixtures("thrifty")
def test_too_long_a_search_is_refused() -> None:
    """What a request may cost is counted where the rules are evaluated, and named."""
    assert "20000 steps" in faults(exact_margin.trigger, grid(20))["/account"]


@pytest.mark.parametrize("path", ROUTES)
def test_answers_are_what_the_document_says(path: str) -> None:
    """Each answer has exactly the shape of one of the two schemas of its path."""
    told = document()
    content = told["paths"][path]["post"]["responses"]["200"]["content"]
    schema = content["application/json"]["schema"]
    for body in [*venue_bodies.all_venues(), venue_bodies.maker("6713498474262782407234")]:
        one = ask(ROUTES[path], body)
        many = {name: part for name, part in body.items() if name != "account"}
        batch = ask(ROUTES[path], {**many, "accounts": [body["account"], "nobody"]})
        assert conforms(one, schema, told)
        assert conforms(batch, schema, told)
        assert not conforms({**one, "surprise": 1}, schema, told)


@pytest.mark.parametrize("decimals", ["9" * 40, 78, -1])
def test_a_scale_that_cannot_be_reckoned_with_is_refused(decimals: str | int) -> None:
    """A power of ten without end would never be answered."""
    body = venue_bodies.aave()
    body["account"]["terms"]["reserves"]["0"]["decimals"] = decimals
    assert "/account/terms/reserves/0/decimals" in faults(exact_margin.margin, body)


def test_legs_that_are_no_list_are_the_fault_of_their_account() -> None:
    """They are told of that account, and the others are answered."""
    body = venue_bodies.maker()
    body["accounts"] = [body.pop("account"), {"id": "x", "legs": 7}]
    assert "errors" in ask(exact_margin.trigger, body)["triggers"][1]


@pytest.mark.parametrize("duty", [2 * 10**27, 101 * 10**25, 2**256 - 1])
def test_a_fee_that_the_contract_cannot_compound_is_refused(duty: int) -> None:
    """By 2199 its factor passes 2^256, where the contract reverts: a fault, not a frozen worker."""
    body = venue_bodies.maker()
    body["account"]["terms"]["duty"] = str(duty)
    body["market"]["prices"]["ETH"] |= {"next_value": "1", "next_at": "2199-01-01T00:00:00Z"}
    for route in (ScoringService.score, exact_margin.margin):
        assert "OverflowError" in faults(route, body)["/account"]
