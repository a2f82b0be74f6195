"""Messages carry the cheapest plan, and no alarm waits for it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import count

import pytest

from features.inputs import Tables, no_events
from models.alerting.aim import Limit, aim
from models.alerting.audience import Post, Shape
from models.alerting.policy import default
from models.alerting.signals import Kind, Level, Route, Transition
from models.domain import Account, Leg, LegKind, Market, Price
from models.margin.fixed_point import RAY, WAD
from models.margin.result import Verdict
from models.margin.rulebook import load
from models.margin.venues import maker
from serving.alerting import planning
from serving.alerting.message import compose, facts
from serving.alerting.planning import Plans, plans
from serving.asked.cases import Case, Surroundings
from serving.judging.assess import Model
from serving.judging.judgement import Judgement, judge

AT = datetime(2030, 1, 1, tzinfo=UTC)
TERMS = maker.Terms(
    mat=3 * RAY // 2,
    duty=RAY,
    dust=0,
    chop=WAD,
    hole=10**60,
    hole_all=10**60,
)


def vault(*, price: int = 1_500, next_price: int | None = None) -> Judgement:
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
    case = Case(
        account=Account(id="v", venue="maker", version="dss", market="ETH-A", legs=legs),
        market=Market(at=AT, prices={"ETH": quote}, state=state),
        terms=TERMS,
        rulebook=load("maker", "dss"),
        place="",
        terms_valid_from=None,
        opened_at=None,
        events=None,
    )
    return judge(case)


def rise(*, kind: Kind = Kind.RAISED) -> Transition:
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


def around() -> Surroundings:
    """Return the surroundings of the vault, without candles."""
    known = Tables(candles={}, events=no_events())
    return Surroundings(at=AT, prices={}, markets={}, known=known, simulated=False)


def planned(judged: Judgement, *, told: Transition | None = None, pace: float = 0.0) -> Plans:
    """Return the plans of one vault by a clock that moves at each look."""
    ticks = count()
    return plans(
        [rise() if told is None else told],
        {"v": judged},
        default(),
        model=Model(bundle=None),
        around=around(),
        timer=lambda: pace * next(ticks),
    )


def message(found: Plans, language: str) -> str:
    """Return the text of the vault's message."""
    post = Post(
        key="o/v/1/1",
        receiver="o",
        shape=Shape.SINGLE,
        at=AT,
        transitions=(rise(),),
        counts=((Level.WARNING, 1),),
    )
    return compose(facts(post, {}, found), language, {}).text


def test_the_aim_clears_the_levels_the_account_is_on() -> None:
    """Every signal just beyond what holds a level; critical is brought out of warning."""
    wanted = aim(default(), Level.WARNING)
    assert (wanted.buffer, wanted.next_buffer) == (Fraction(201, 10000), Fraction(301, 10000))
    assert wanted.limits == (
        Limit(probability=0.15, horizon="24h", head="expected"),
        Limit(probability=0.15, horizon="4h", head="expected"),
    )
    line = {Verdict.LIQUIDATABLE, Verdict.NOT_EXECUTABLE}
    assert wanted.verdicts == {Verdict.MARGIN_CALL, *line}
    assert wanted.next_verdicts == line
    assert wanted.accrual == timedelta(hours=36)
    assert aim(default(), Level.CRITICAL) == aim(default(), Level.LIQUIDATED) == wanted
    watched = aim(default(), Level.WATCH)
    assert watched.limits[0] == Limit(probability=0.01, horizon="24h", head="expected")
    assert watched.accrual == timedelta(days=7)


def test_the_plan_reaches_its_aim_exactly() -> None:
    """15,000 less 3.01 % must cover 150 % of the debt: 9,699 DAI may be left."""
    found = planned(vault()).found["v"]
    assert [act.kind for act in found.actions] == ["repay"]
    left = 10_000 * WAD - int(found.actions[0].quantity)
    assert left == 9_699 * WAD
    assert found.is_reached
    assert (found.target.health, found.target.buffer) == ("1", "0.0301")
    assert found.after.verdict == "safe"


def test_a_plan_is_sized_at_the_price_that_is_known_to_come() -> None:
    """At a next price of 1,200 the vault may owe 7,759.2 DAI, whatever the price in force."""
    found = planned(vault(price=2_000, next_price=1_200)).found["v"]
    assert 10_000 * WAD - int(found.actions[0].quantity) == 7_759 * WAD + WAD // 5


def test_amounts_and_effect_stand_in_the_text_of_both_languages() -> None:
    """The exact amount, and the health it leads to."""
    found = planned(vault())
    text = message(found, "en")
    assert "so that prices may move by 3.01 % without liquidation" in text
    assert "repay 301000000000000000000 DAI" in text
    assert "then safe, health 1.031" in text
    assert "Rückzahlung von 301000000000000000000 DAI" in message(found, "de")


def test_an_aim_that_cannot_be_reached_names_the_best() -> None:
    """The words of a plan whose means do not suffice."""
    whole = planned(vault())
    short = replace(whole.found["v"], is_reached=False, reason="means_do_not_suffice")
    text = message(Plans(found={"v": short}), "en")
    assert "That cannot be reached (the means do not suffice); the best is: repay" in text
    empty = replace(short, actions=(), reason="no_action_open")
    assert "No plan: no action is open." in message(Plans(found={"v": empty}), "en")


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
    assert planned(vault(), told=rise(kind=Kind.LOWERED)) == Plans()
