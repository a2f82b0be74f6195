"""Messages carry the cheapest plan, and no alarm waits for it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import count
from typing import get_args

import pytest

from features.inputs import Tables, no_events
from models.alerting.aim import Aim, Limit
from models.alerting.audience import AlertMessage, Shape
from models.alerting.evidence import MEANINGS, aim
from models.alerting.policy import (
    AccrualTrigger,
    BlindBuffer,
    BufferTrigger,
    Doubt,
    ForecastTrigger,
    LiquidationTrigger,
    LossTrigger,
    Policy,
    ReproductionTrigger,
    RuleTrigger,
    SigmaTrigger,
    Trigger,
    default,
    of_tree,
    tree_of,
)
from models.alerting.signals import Cause, Level, Route, Transition, TransitionKind
from models.domain import Account, Leg, LegKind, Market, Price
from models.margin.fixed_point import RAY, WAD
from models.margin.result import Verdict
from models.margin.rulebook import load
from models.margin.venues import maker
from serving.evaluation.assess import Model
from serving.evaluation.inputs import AccountInput, MarketSnapshot
from serving.evaluation.rule_evaluation import RuleEvaluation, evaluate_rules
from serving.notify.message import Plans, compose, facts
from serving.watch import plans as planning
from serving.watch.plans import plans

AT = datetime(2030, 1, 1, tzinfo=UTC)
TERMS = maker.Terms(
    mat=3 * RAY // 2,
    duty=RAY,
    dust=0,
    chop=WAD,
    hole=10**60,
    hole_all=10**60,
)


def vault(*, price: int = 1_500, next_price: int | None = None) -> RuleEvaluation:
    """Return a vault of 10 ETH that owes 10,000 DAI, on the line at 1,500."""
    legs = (
        Leg(kind=LegKind.COLLATERAL, asset="ETH", quantity=10 * WAD),
        Leg(kind=LegKind.DEBT, asset="DAI", quantity=10_000 * WAD),
    )
    quote = Price(
        value=price * WAD,
        decimals=18,
        observed_at=AT,
        source="test",
        next_value=None if next_price is None else next_price * WAD,
        next_at=None if next_price is None else AT + timedelta(hours=1),
    )
    state = {"ETH-A.rate": RAY}
    case = AccountInput(
        account=Account(id="v", venue="maker", version="dss", market="ETH-A", legs=legs),
        market=Market(at=AT, prices={"ETH": quote}, state=state),
        terms=TERMS,
        rulebook=load("maker", "dss"),
        place="",
        terms_valid_from=None,
        opened_at=None,
        events=None,
    )
    return evaluate_rules(case)


def rise(*, kind: TransitionKind = TransitionKind.RAISED) -> Transition:
    """Return the rise of the vault to warning."""
    return Transition(
        account="v",
        episode=1,
        number=1,
        kind=kind,
        was=Level.NONE,
        level=Level.WARNING,
        at=AT,
        route=Route.NOW,
    )


def around() -> MarketSnapshot:
    """Return the surroundings of the vault, without candles."""
    known = Tables(candles={}, events=no_events())
    return MarketSnapshot(at=AT, prices={}, markets={}, market_tables=known, simulated=False)


def planned(
    judged: RuleEvaluation,
    *,
    told: Transition | None = None,
    pace: float = 0.0,
    policy: Policy | None = None,
) -> Plans:
    """Return the plans of one vault by a clock that moves at each look."""
    ticks = count()
    return plans(
        [rise() if told is None else told],
        {"v": judged},
        policy or default(),
        model=Model(bundle=None),
        around=around(),
        timer=lambda: pace * next(ticks),
    )


def message(found: Plans, language: str, told: Transition | None = None) -> str:
    """Return the text of the vault's message."""
    post = AlertMessage(
        key="o/v/1/1",
        receiver="o",
        shape=Shape.SINGLE,
        at=AT,
        transitions=(rise() if told is None else told,),
        counts=((Level.WARNING, 1),),
    )
    return compose(facts(post, {}, found), language, {}).text


def test_the_aim_clears_the_levels_the_account_is_on() -> None:
    """Every signal just beyond what holds a level; critical is brought out of warning."""
    wanted = aim(default(), Level.WARNING, is_unseen=False)
    assert (wanted.buffer, wanted.next_buffer, wanted.sigmas) == (0, 0, 0.0)
    assert wanted.limits == (
        Limit(probability=0.2, horizon="24h", head="expected"),
        Limit(probability=0.4, horizon="4h", head="expected"),
    )
    line = {Verdict.LIQUIDATABLE, Verdict.NOT_EXECUTABLE}
    assert wanted.verdicts == {Verdict.MARGIN_CALL, *line}
    assert wanted.next_verdicts == line
    assert wanted.accrual == timedelta(hours=36)
    assert (
        aim(default(), Level.CRITICAL, is_unseen=False)
        == aim(default(), Level.LIQUIDATED, is_unseen=False)
        == wanted
    )
    watched = aim(default(), Level.WATCH, is_unseen=False)
    assert (watched.limits, watched.sigmas) == (wanted.limits, 4.8)
    assert watched.buffer == Fraction(201, 10000)
    assert watched.accrual == timedelta(days=7)
    assert (wanted.blind_buffer, watched.blind_buffer) == (
        Fraction(501, 10000),
        Fraction(1201, 10000),
    )
    alone = aim(default(), Level.WATCH, is_unseen=True)
    assert (alone.buffer, alone.next_buffer) == (Fraction(1801, 10000),) * 2
    # Their bundle may come to know them: what counts then is cleared, too.
    assert (alone.limits, alone.sigmas) == (watched.limits, 4.8)
    beyond = {"liquidation", "reproduction"}
    assert (wanted.beyond, watched.beyond) == (beyond, beyond | {"doubt"})


AIMS = {
    ForecastTrigger: (
        {"signal": "unattended", "horizon": "1h", "raise": 0.2, "clear": 0.1},
        Aim(limits=(Limit(probability=0.1, horizon="1h", head="unattended"),)),
    ),
    BufferTrigger: (
        {"signal": "next_buffer", "raise": 0.1, "clear": 0.2},
        Aim(next_buffer=Fraction(2001, 10000)),
    ),
    SigmaTrigger: ({"signal": "sigmas", "raise": 1.5, "clear": 4.5}, Aim(sigmas=4.5)),
    BlindBuffer: (
        {"signal": "buffer_without_forecast", "raise": 0.1, "clear": 0.3},
        Aim(blind_buffer=Fraction(3001, 10000)),
    ),
    Doubt: ({"signal": "doubt", "reasons": ["price_stale"]}, Aim(beyond=frozenset({"doubt"}))),
    RuleTrigger: (
        {"signal": "verdict", "verdicts": ["margin_call"]},
        Aim(verdicts=frozenset({Verdict.MARGIN_CALL})),
    ),
    AccrualTrigger: (
        {"signal": "accrual", "raise": "1d", "clear": "2d"},
        Aim(accrual=timedelta(days=2)),
    ),
    LossTrigger: (
        {
            "signal": "lar",
            "horizon": "7d",
            "owners": "unattended",
            "quantile": "0.95",
            "raise": 100.0,
            "clear": 50.0,
        },
        Aim(beyond=frozenset({"lar"})),
    ),
    ReproductionTrigger: (
        {"signal": "reproduction", "within": 0.1, "raise": 1.0, "clear": 0.8},
        Aim(beyond=frozenset({"reproduction"})),
    ),
    LiquidationTrigger: (
        {"signal": "liquidation", "within": "1d"},
        Aim(beyond=frozenset({"liquidation"})),
    ),
}
"""By kind of trigger: one, and where it wants the account."""


def test_every_kind_of_trigger_has_an_aim() -> None:
    """None that a policy may state is unknown to what reads it and to what aims by it."""
    stated = set(get_args(get_args(Trigger)[0]))
    assert set(AIMS) == set(MEANINGS) == stated


@pytest.mark.parametrize("kind", AIMS, ids=lambda kind: kind.__name__)
def test_a_trigger_alone_is_aimed_at(kind: type) -> None:
    """A warning of one trigger asks for what that trigger asks, and for the rule's last word."""
    tree, wanted = AIMS[kind]
    policy = tree_of(default())
    policy["warning"]["triggers"] = [tree]
    policy["critical"]["triggers"] = [{"signal": "verdict", "verdicts": ["liquidatable"]}]
    policy["liquidated"]["triggers"] = [{"signal": "liquidation", "within": "1h"}]
    found = aim(of_tree(policy), Level.WARNING, is_unseen=False)
    assert found == replace(
        wanted,
        verdicts=wanted.verdicts | {Verdict.LIQUIDATABLE},
        beyond=wanted.beyond | {"liquidation"},
    )


def doubtful(*more: Cause) -> Transition:
    """Return a rise to watch for a stale price, and for more."""
    doubt = Cause(Level.WATCH, "doubt", "", "price_stale", "price_stale")
    return replace(rise(), level=Level.WATCH, causes=(doubt, *more))


def test_no_plan_clears_a_stale_price() -> None:
    """The message says so, and asks nothing of the owner."""
    found = planned(vault(), told=doubtful())
    assert (found.by_account, found.absent) == ({}, {"v": "no_act_clears_it"})
    assert "No plan: nothing the owner does clears it." in message(found, "en", doubtful())
    assert "Kein Plan: keine Handlung hebt ihn auf." in message(found, "de", doubtful())


def test_a_plan_beside_a_stale_price_says_what_it_leaves() -> None:
    """What can be cleared is planned for; the doubt stays and is told."""
    both = doubtful(Cause(Level.WATCH, "buffer_without_forecast", "", "0", "0.09"))
    found = planned(vault(), told=both)
    text = message(found, "en", both)
    assert "so that prices may move by 18 % without liquidation" in text
    assert "The doubt about a price stays until a fresh one comes." in text
    assert "Der Zweifel an einem Preis bleibt" in message(found, "de", both)
    assert "doubt" not in message(planned(vault()), "en")


def test_the_plan_reaches_its_aim_exactly() -> None:
    """15,000 less 5.01 %, without a forecast, must cover 150 % of the debt: 9,499 DAI are left."""
    found = planned(vault()).by_account["v"]
    assert [act.kind for act in found.actions] == ["repay"]
    left = 10_000 * WAD - int(found.actions[0].quantity)
    assert left == 9_499 * WAD
    assert found.is_reached
    assert (found.target.health, found.target.buffer) == ("1", "0.0501")
    assert found.after.verdict == "safe"


def test_a_plan_is_sized_at_the_price_that_is_known_to_come() -> None:
    """At a next price of 1,200 the vault may owe 7,759.2 DAI, whatever the price in force."""
    policy = tree_of(default())
    policy["warning"]["triggers"] += [{"signal": "next_buffer", "raise": 0.015, "clear": 0.03}]
    fallen = vault(price=2_000, next_price=1_200)
    found = planned(fallen, policy=of_tree(policy)).by_account["v"]
    assert 10_000 * WAD - int(found.actions[0].quantity) == 7_759 * WAD + WAD // 5


def test_amounts_and_effect_stand_in_the_text_of_both_languages() -> None:
    """The exact amount, and the health it leads to."""
    found = planned(vault())
    text = message(found, "en")
    assert "so that prices may move by 5.01 % without liquidation" in text
    assert "repay 501.00 DAI (worth 501.00)" in text
    assert "then safe, health 1.0527" in text
    assert "Rückzahlung von 501,00 DAI (Wert 501,00)" in message(found, "de")


def test_an_aim_that_cannot_be_reached_names_the_best() -> None:
    """The words of a plan whose means do not suffice."""
    whole = planned(vault())
    short = replace(whole.by_account["v"], is_reached=False, reason="means_do_not_suffice")
    text = message(Plans(by_account={"v": short}), "en")
    assert "that cannot be reached (the means do not suffice); the best is: repay" in text
    empty = replace(short, actions=(), reason="no_action_open")
    assert "No plan: no action is open." in message(Plans(by_account={"v": empty}), "en")


def test_a_plan_that_takes_too_long_is_left_out() -> None:
    """A clock that moves half a second at each look ends the search after four looks."""
    late = planned(vault(), pace=0.5)
    assert late.absent == {"v": "no_time"}
    assert "No plan: too many accounts rose at once" in message(late, "en")
    assert "Kein Plan: zu viele Konten" in message(late, "de")


def test_a_plan_that_fails_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever goes wrong is told in place of the plan."""

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(planning, "planned", broken)
    assert planned(vault()).absent == {"v": "failed"}


def test_a_fall_has_no_plan() -> None:
    """Good news asks for nothing."""
    assert planned(vault(), told=rise(kind=TransitionKind.LOWERED)) == Plans()
