"""A plan leads out of danger: applied, judged again by the rules, and seen by the policy."""

import json
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import many_venues
import pytest
from msgspec import structs

from models.alerting.evidence import PolicyEvaluation, evidence
from models.alerting.policy import Policy, default, of_tree, tree_of
from models.alerting.signals import Level, Route, Transition, TransitionKind
from models.domain import Account
from serving.application import what_if
from serving.application.deployment import read_deployment
from serving.application.scoring import ScoringService
from serving.evaluation import inputs
from serving.evaluation.assess import Model, ScoreOptions, forecast_outcomes
from serving.evaluation.inputs import MarketSnapshot
from serving.evaluation.rule_evaluation import RuleEvaluation, evaluate_rules
from serving.schemas import requests
from serving.schemas.changes import PlanAnswer
from serving.watch.plans import plans
from serving.watch.signals import signal

CHAMPION = read_deployment(Path(__file__).parents[4] / "models" / "champion").model
MODELS = {"forecast": CHAMPION, "rules alone": Model(bundle=None)}
AT = many_venues.AT
NEAR = {
    "aave/two collaterals": {"WETH": "1841.80", "WBTC": "56141.30"},
    "aave: Jürgen 库🙂, short": {"WETH": "2227"},
    "aave, both ways": {"WBTC": "52706"},
    "comet": {"WETH": "1672.50", "WBTC": "50850.80"},
    "morpho\nposition": {"wstETH": "0.00000000221"},
    "vault ~/1": {"ETH": "1856"},
    "binance, long and short": {"BTC/USDT:USDT": "56283"},
    "binance, long": {"BTC/USDT:USDT": "57731"},
    "hyper, long": {"kPEPE 库/1": "0.01116"},
    "hyper, no candles": {"ODD~coin\n2": "22.27"},
    "dydx, short": {"DOGE-USD": "0.21355"},
    "gmx, long": {"gmx:WETH": "1850000000000000"},
    "gmx, short": {"gmx:WETH": "2140000000000000"},
}
"""By account: prices a few hundredths of a percent from its line."""


def gmx(name: str, size: int) -> dict[str, Any]:
    """Return a position of ten WETH with 1,900 USDC behind it."""
    return {
        "id": name,
        "venue": "gmx-v2",
        "market": "M",
        "legs": [
            many_venues.leg("collateral", "gmx:USDC", 1_900 * 10**6),
            many_venues.leg("position", "gmx:WETH", size, entry=str(2_000 * 10**12)),
        ],
        "terms": {
            "min_collateral_factor": str(2 * 10**28),
            "min_collateral_usd": str(10**30),
            "position_fee_factor": str(5 * 10**26),
        },
    }


BOOK = {
    one["id"]: one
    for one in (
        *many_venues.book(),
        gmx("gmx, long", 10 * 10**18),
        gmx("gmx, short", -10 * 10**18),
    )
}


def request(account: str, prices: dict[str, str]) -> dict[str, Any]:
    """Return a request about one account at other prices."""
    body = many_venues.request([BOOK[account]])
    stated = body["market"]["prices"]
    observed = stated["WETH"]["observed_at"]
    stated["gmx:USDC"] = {"value": str(10**24), "observed_at": observed}
    for name, value in prices.items():
        stated[name] = {**stated.get(name, {"observed_at": observed}), "value": value}
        stated[name].pop("next_value", None)
        stated[name].pop("next_at", None)
    body["market"]["pegged"] = ["gmx:USDC"]
    return body


def judged(body: dict[str, Any]) -> tuple[MarketSnapshot, RuleEvaluation]:
    """Return the account of a request, judged."""
    asked, _ = requests.parse(json.dumps(body).encode(), requests.ScoreBody)
    ((place, item),) = asked.items
    account = requests.account(item, place)
    around = inputs.snapshot(asked, now=AT, stored=None, accounts=[account])
    return around, evaluate_rules(inputs.account_input(account, place, around))


def seen(
    one: RuleEvaluation,
    around: MarketSnapshot,
    model: Model,
    policy: Policy,
    before: RuleEvaluation,
) -> tuple[PolicyEvaluation, float | None]:
    """Return what a policy finds in a judgement, and its expected probability of a day."""
    (outlook,) = forecast_outcomes(
        [one],
        at=AT,
        market_tables=around.market_tables,
        model=model,
        wish=ScoreOptions(reasons=False),
        history=[before],
    )
    told = signal(one, outlook, at=AT)
    return evidence(told, AT, policy), told.expected.get("24h")


def plan_of(
    account: str, body: dict[str, Any], model: Model, policy: Policy
) -> tuple[PlanAnswer, Level, PolicyEvaluation]:
    """Return an alert's plan, the level it is for, and what the policy finds once it is done."""
    around, one = judged(body)
    found, chance = seen(one, around, model, policy, one)
    rise = Transition(
        account=account,
        episode=1,
        number=1,
        kind=TransitionKind.RAISED,
        was=Level.NONE,
        level=found.raised,
        at=AT,
        route=Route.NOW,
        probability=chance,
    )
    made = plans([rise], {account: one}, policy, model=model, around=around, timer=lambda: 0.0)
    assert made.absent == {}
    done = applied(one.case.account, made.by_account[account])
    after = evaluate_rules(structs.replace(one.case, account=done))
    again, _ = seen(after, around, model, policy, one)
    return made.by_account[account], found.raised, again


def applied(account: Account, plan: PlanAnswer) -> Account:
    """Return the account after every action of a plan, by hand where that is plain arithmetic."""
    legs = list(account.legs)
    for act in plan.actions:
        kind = {"repay": "debt", "add": "collateral"}[act.kind]
        (place,) = (
            n for n, leg in enumerate(legs) if (leg.kind.value, leg.asset) == (kind, act.asset)
        )
        moved = Fraction(act.quantity) * (1 if act.kind == "add" else -1)
        quantity = legs[place].quantity + moved
        whole = int(quantity) if quantity.denominator == 1 else quantity
        legs[place] = replace(legs[place], quantity=whole)
    return replace(account, legs=tuple(legs))


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize("account", NEAR)
def test_the_plan_of_an_alert_clears_it(account: str, model: Model) -> None:
    """On every venue, long and short, nothing holds the level or worse once the plan is done."""
    plan, level, after = plan_of(account, request(account, NEAR[account]), model, default())
    lowest = min(level, Level.WARNING)
    assert lowest > Level.NONE
    assert plan.is_reached
    assert plan.actions
    assert after.raised < lowest
    assert not after.sustained & {held for held in Level if held >= lowest}


def test_a_plan_is_no_larger_than_the_policy_asks() -> None:
    """Binance, by hand: 5.01 % of 0.2 BTC less what is there, maintenance at the lower price."""
    plan, _, _ = plan_of(
        "binance, long",
        request("binance, long", {"BTC/USDT:USDT": "57731"}),
        MODELS["rules alone"],
        default(),
    )
    # 900 + x + 0.2 (57,731 · 0.9499 - 62,000) > 0.004 · 0.2 · 57,731 · 0.9499
    least = Fraction(4, 1000) * Fraction(2, 10) * 57731 * Fraction(9499, 10000)
    least -= 900 + Fraction(2, 10) * (57731 * Fraction(9499, 10000) - 62000)
    (act,) = plan.actions
    assert (act.kind, act.asset) == ("add", "USDT")
    assert 0 < Fraction(act.quantity) - least < Fraction(1, 10**7)


def test_dust_is_planned_off_watch() -> None:
    """It is held on watch by every trigger there is, and the plan clears them all."""
    policy = of_tree({**tree_of(default()), "least_requirement": 1e9})
    body = request("comet", NEAR["comet"])
    plan, level, after = plan_of("comet", body, MODELS["rules alone"], policy)
    assert level is Level.WATCH
    assert plan.target.buffer == "0.1801"
    assert (after.raised, after.sustained) == (Level.NONE, frozenset())


@pytest.mark.parametrize("account", ["comet", "binance, long and short", "dydx, short"])
def test_every_signal_of_a_policy_counts(account: str) -> None:
    """A limit on another horizon and head, and a wider buffer, are met as well."""
    tree = tree_of(default())
    tree["critical"]["triggers"] += [
        {"signal": "unattended", "horizon": "1h", "raise": 0.002, "clear": 0.001},
        {"signal": "buffer", "raise": 0.05, "clear": 0.08},
    ]
    plan, level, after = plan_of(account, request(account, NEAR[account]), CHAMPION, of_tree(tree))
    assert level is Level.CRITICAL
    assert plan.target.buffer == "0.0801"
    assert not after.sustained & {Level.WARNING, Level.CRITICAL}


def test_interest_alone_is_planned_for() -> None:
    """A vault that fees carry over the line within a day owes less for a day and a half."""
    body = request("vault ~/1", {"ETH": "2000"})
    terms = {**many_venues.MAKER, "duty": str(10**27 + 10**21)}
    body["accounts"] = [{**BOOK["vault ~/1"], "terms": terms}]
    plan, level, after = plan_of("vault ~/1", body, MODELS["rules alone"], default())
    assert level is Level.WARNING
    assert plan.is_reached
    assert not after.sustained & {Level.WARNING, Level.CRITICAL}


@pytest.mark.parametrize("limit", [0.02, 0.002])
@pytest.mark.parametrize("kinds", [["reduce"], ["reduce", "add"]])
def test_two_positions_are_reduced_to_a_probability(limit: float, kinds: Sequence[str]) -> None:
    """Where one position alone cannot be calm, both are closed as far as needed."""
    account = "binance, long and short"
    legs = [
        many_venues.leg("collateral", "USDT", "9000"),
        many_venues.leg("position", "BTC/USDT:USDT", "0.8", entry="61000"),
        many_venues.leg("position", "ETH/USDT:USDT", "-20", entry="2000"),
    ]
    body = many_venues.request([{**BOOK[account], "legs": legs}])
    means = {"kinds": kinds, **({"balances": {"USDT": "0"}} if "add" in kinds else {})}
    target = {"probability": limit, "horizon": "7d"}
    desk = ScoringService(model=CHAMPION, clock=lambda: AT)
    asked = json.dumps({**body, "target": target, "means": means}).encode()
    (found,) = json.loads(what_if.plans(desk, asked, "r"))["plans"]
    assert (found["is_reached"], found["reason"]) == (True, "reached")
    assert 0 <= found["probability"] < limit
    (later,) = (one for one in found["after"]["forecast"] if one["horizon"] == "7d")
    assert later["unattended"] == found["probability"]


def test_a_buffer_can_be_asked_for_over_http() -> None:
    """The account then stands the move, and not a ten-thousandth part more."""
    body = request("comet", {})
    desk = ScoringService(model=Model(bundle=None), clock=lambda: AT)
    asked = {**body, "target": {"buffer": "0.25"}, "means": {"kinds": ["repay"]}}
    (found,) = json.loads(what_if.plans(desk, json.dumps(asked).encode(), "r"))["plans"]
    assert found["target"]["buffer"] == "0.25"
    assert float(found["after"]["shock_trigger"]["shock"]) == pytest.approx(-0.25, abs=1e-4)
    refused = {**asked, "target": {"buffer": "1"}}
    with pytest.raises(Exception, match="not below 1"):
        what_if.plans(desk, json.dumps(refused).encode(), "r")
