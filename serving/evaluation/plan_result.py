"""Pure: a plan of one account, applied, judged again and put in words."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from fractions import Fraction
from functools import partial
from typing import Literal

import numpy as np
from msgspec import structs

from features.inputs import Floats
from models.alerting.aim import Aim, Limit
from models.domain import Account, Market
from models.horizons import LABELS, REFERENCE
from models.margin.rulebook import priced_assets
from models.margin.shock import shocked
from models.margin.trigger import BREACHED
from serving.evaluation import rules
from serving.evaluation.actions import Action, Constraints, apply, with_cash
from serving.evaluation.assess import (
    ForecastOutcome,
    Model,
    ScoreOptions,
    doubts,
    forecast_outcomes,
    raised,
    shock_text,
    trigger_text,
)
from serving.evaluation.inputs import AccountInput, MarketSnapshot
from serving.evaluation.plan import ActionPlan, Condition, Target, plan
from serving.evaluation.rule_evaluation import RuleEvaluation, evaluate_rules, judge_line
from serving.schemas.assessment import ForecastAnswer, RulebookAnswer, exact_text
from serving.schemas.change_requests import TargetBody
from serving.schemas.changes import PlanAnswer, StateAnswer
from serving.schemas.plan_actions import ActionAnswer, LegAnswer, Repaid, TargetAnswer
from serving.words.actions import action_text
from serving.words.tables import english

QUIET = ScoreOptions(reasons=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """Where a plan is to lead, by the rules and by the forecast.

    Parameters
    ----------
    health
        Credit per requirement in the market in force, at least.
    buffer
        As the answer tells it; the conditions hold the account to it.
    conditions
        Other markets in which the rules must find the account well.
    limits
        Of the forecast; the answer tells the first.
    sigmas
        Daily volatilities that the distance must exceed; 0 where none are asked for.
    horizon, head
        Which probability the answer tells of.
    """

    health: Fraction = Fraction(1)
    buffer: Fraction = Fraction(0)
    conditions: tuple[Condition, ...] = ()
    limits: tuple[Limit, ...] = ()
    sigmas: float = 0.0
    horizon: str = REFERENCE
    head: Literal["unattended", "expected"] = "expected"

    @property
    def target(self) -> Target:
        """Return the target of a plan, its risk as a share of what the limits allow."""
        return Target(
            health=self.health,
            probability=1.0 if self.limits or self.sigmas else None,
            conditions=self.conditions,
        )


def stated_goal(case: AccountInput, body: TargetBody) -> Goal:
    """Return the goal that a request states."""
    limits = () if body.probability is None else (body.probability,)
    return Goal(
        health=body.health,
        buffer=body.buffer,
        conditions=tuple(
            Condition(market=market) for market in _moved(case, case.market, body.buffer)
        ),
        limits=tuple(Limit(probability=p, horizon=body.horizon, head=body.head) for p in limits),
        horizon=body.horizon,
        head=body.head,
    )


def policy_goal(case: AccountInput, policy_aim: Aim, *, has_forecast: bool) -> Goal:
    """Return the goal that takes an account off a policy's levels.

    Parameters
    ----------
    has_forecast
        Where there is none, the rules alone say where the account must be.
    """
    first = next(iter(policy_aim.limits), Limit(probability=1.0))
    blind = Fraction(0) if has_forecast else policy_aim.blind_buffer
    policy_aim = replace(policy_aim, buffer=max(policy_aim.buffer, blind))
    return Goal(
        buffer=max(policy_aim.buffer, policy_aim.next_buffer),
        conditions=tuple(_conditions(case, policy_aim)),
        limits=policy_aim.limits if has_forecast else (),
        sigmas=policy_aim.sigmas if has_forecast else 0.0,
        horizon=first.horizon,
        head=first.head,
    )


def _conditions(case: AccountInput, policy_aim: Aim) -> Iterator[Condition]:
    """Yield the markets in which an account must be found well, the hardest first."""
    book, market, terms = case.rulebook, case.market, case.terms
    ahead = case.ahead(market)
    for moved in _moved(case, ahead, policy_aim.next_buffer):
        yield Condition(market=moved)
    for moved in _moved(case, market, policy_aim.buffer):
        yield Condition(market=moved)
    yield Condition(market=market, refused=BREACHED | policy_aim.verdicts)
    later, _ = rules.next_market(case, book.margin(case.account, market, terms))
    if later is not None:
        yield Condition(market=later, refused=BREACHED | policy_aim.next_verdicts)
    if policy_aim.accrual and book.accrue is not None:
        due = market.at + policy_aim.accrual + timedelta(seconds=1)
        yield Condition(market=book.accrue(market, terms, due))


def _moved(case: AccountInput, market: Market, share: Fraction) -> Iterator[Market]:
    """Yield the market with each price that counts moved by a share, alone and all together.

    What keeps its price is moved only where nothing else does.
    """
    if not share:
        return
    now = case.rulebook.margin(case.account, market, case.terms)
    priced = priced_assets(case.account, market, now)
    chosen = rules.moving(case, priced) or priced
    for group in dict.fromkeys((chosen, *((name,) for name in chosen))):
        for move in (-share, share):
            yield shocked(market, dict.fromkeys(group, move))


def planned(
    case: AccountInput,
    goal: Goal,
    means: Constraints,
    *,
    model: Model,
    around: MarketSnapshot,
    request_id: str,
) -> PlanAnswer:
    """Return the plan of one account, applied and judged again."""
    case = with_cash(case)
    before = evaluate_rules(case)
    risk = partial(burdens, before, goal, model=model, around=around)
    action_plan = plan(case, goal.target, means, risk=risk)
    after = evaluate_rules(structs.replace(case, account=action_plan.after))
    both = states(model, around, [before, after], history=[before, before])
    first = goal.limits[0] if goal.limits else None
    burden = action_plan.probability
    return PlanAnswer(
        account=case.account.id,
        as_of=around.at,
        is_reached=action_plan.is_reached,
        reason=action_plan.reason,
        target=target_text(goal),
        actions=tuple(action_texts(case, action_plan)),
        cost=exact_text(action_plan.cost, 0),
        value=exact_text(action_plan.value, 0),
        probability=None if first is None or burden is None else _limited(both[1], first),
        before=both[0],
        after=both[1],
        legs_after=tuple(
            LegAnswer(kind=leg.kind.value, asset=leg.asset, quantity=exact_text(leg.quantity, 0))
            for leg in action_plan.after.legs
        ),
        model_version=version_of(model, both[0]),
        rulebook=rulebook_of(case),
        simulated=around.simulated,
        request_id=request_id,
    )


def target_text(goal: Goal) -> TargetAnswer:
    """Return a goal as the answer tells it."""
    first = goal.limits[0] if goal.limits else None
    return TargetAnswer(
        health=exact_text(goal.health, 0),
        buffer=exact_text(goal.buffer, 0),
        probability=None if first is None else first.probability,
        horizon=goal.horizon,
        head=goal.head,
        sigmas=goal.sigmas or None,
    )


def _limited(state: StateAnswer, limit: Limit) -> float:
    """Return the probability that a limit speaks of; 0 where no price reaches the account."""
    chances = (
        getattr(forecast, limit.head)
        for forecast in state.forecast
        if forecast.horizon == limit.horizon
    )
    return float(next(chances, 0.0))


def burdens(
    before: RuleEvaluation,
    goal: Goal,
    accounts: Sequence[Account],
    *,
    model: Model,
    around: MarketSnapshot,
) -> Floats:
    """Return the largest share of what a goal's limits allow, per changed account.

    Parameters
    ----------
    before
        The account as it is: its owner's past stays what it was.

    Returns
    -------
    numpy.ndarray
        Shape (N,); below 1 within every limit, NaN without a forecast.
    """
    changed = [judge_line(structs.replace(before.case, account=account)) for account in accounts]
    outcomes = forecast_outcomes(
        changed,
        at=around.at,
        market_tables=around.market_tables,
        model=model,
        wish=QUIET,
        history=[before] * len(changed),
    )
    return np.array(
        [
            _burden(evaluation, outlook, around.at, goal)
            for evaluation, outlook in zip(changed, outcomes, strict=True)
        ]
    )


def _burden(judged: RuleEvaluation, outcome: ForecastOutcome, at: datetime, goal: Goal) -> float:
    """Return the largest share of what a limit allows; 0 where no price reaches the account."""
    entries = raised(judged, outcome, at=at)
    if entries:
        shares = [
            getattr(entries[LABELS.index(limit.horizon)], limit.head) / limit.probability
            for limit in goal.limits
        ]
        return max([*shares, *_nearness(outcome, goal.sigmas)], default=0.0)
    return (
        0.0 if outcome.silent is not None and outcome.silent.code == "no_trigger" else float("nan")
    )


def _nearness(outcome: ForecastOutcome, sigmas: float) -> Iterator[float]:
    """Yield the distance wanted over the one there is, where one is wanted."""
    if sigmas:
        there = outcome.sigmas
        yield math.inf if there is None or there <= 0.0 else sigmas / there


def states(
    model: Model,
    around: MarketSnapshot,
    judged: Sequence[RuleEvaluation],
    *,
    history: Sequence[RuleEvaluation] | None = None,
) -> list[StateAnswer]:
    """Return judged accounts in words."""
    outcomes = forecast_outcomes(
        judged,
        at=around.at,
        market_tables=around.market_tables,
        model=model,
        wish=QUIET,
        history=history,
    )
    return [
        _state(evaluation, outlook, around.at)
        for evaluation, outlook in zip(judged, outcomes, strict=True)
    ]


def _state(judged: RuleEvaluation, outcome: ForecastOutcome, at: datetime) -> StateAnswer:
    """Return one judged account in words."""
    now = judged.now
    side = now.maintenance
    forecast: tuple[ForecastAnswer, ...] = raised(judged, outcome, at=at)
    return StateAnswer(
        verdict=now.verdict.value,
        reason=now.reason,
        health=None
        if side is None or not side.requirement
        else float(Fraction(side.credit) / Fraction(side.requirement)),
        ratio=rules.ratio_text(now.ratio),
        surplus=None if side is None else exact_text(side.surplus, now.value_decimals),
        trigger=trigger_text(judged.trigger, judged.case),
        shock_trigger=shock_text(judged.shock),
        forecast=forecast,
        degraded_reasons=doubts(judged, outcome),
    )


def action_texts(case: AccountInput, action_plan: ActionPlan) -> list[ActionAnswer]:
    """Return the actions of a plan in words, in the order in which they are done."""
    texts = []
    for action in action_plan.actions:
        after = structs.replace(case, account=apply(case.account, (action,)))
        texts.append(_action(case, after, action))
        case = after
    return texts


def _action(case: AccountInput, after: AccountInput, action: Action) -> ActionAnswer:
    """Return one action in words."""
    tool, legs = action.tool, case.account.legs
    repays = None
    if tool.kind == "swap" and tool.into is not None:
        paid = legs[tool.into].quantity - after.account.legs[tool.into].quantity
        repays = Repaid(
            asset=legs[tool.into].asset,
            quantity=exact_text(paid, 0),
            tokens=_moved_tokens(case, after, tool.into),
        )
    answer = ActionAnswer(
        kind=tool.kind,
        asset=legs[tool.leg].asset,
        quantity=exact_text(action.quantity, 0),
        value=exact_text(tool.value(action.quantity), 0),
        cost=exact_text(tool.cost(action.quantity), 0),
        repays=repays,
        tokens=_moved_tokens(case, after, tool.leg),
    )
    return replace(answer, text=action_text(english(), asdict(answer)))


def _moved_tokens(case: AccountInput, after: AccountInput, place: int) -> str | None:
    """Return by how much a leg changes, whole tokens; None where it is not known."""
    before, left = rules.token_amounts(case), rules.token_amounts(after)
    if before is None or left is None:
        return None
    return exact_text(abs(before[place].amount - left[place].amount), 0)


def version_of(model: Model, state: StateAnswer) -> str | None:
    """Return the version of the model, where it was asked."""
    return model.bundle.version if model.bundle is not None and state.forecast else None


def rulebook_of(case: AccountInput) -> RulebookAnswer:
    """Return which rules judged."""
    return RulebookAnswer(
        venue=case.account.venue,
        version=case.account.version,
        terms_valid_from=case.terms_valid_from,
    )
