"""Pure: a plan of one account, applied, judged again and put in words."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from fractions import Fraction
from functools import partial

import numpy as np

from features.inputs import Floats
from models.alerting.aim import Aim
from models.domain import Account, Market
from models.hazard import LABELS
from models.margin.result import Verdict
from models.margin.rulebook import with_next_prices
from serving.asked.cases import Case, Surroundings
from serving.asked.change_wire import TargetBody
from serving.judging import rules
from serving.judging.actions import Action, Means, apply
from serving.judging.answers import ForecastAnswer, RulebookAnswer, exact_text
from serving.judging.assess import (
    Model,
    Outlook,
    Wish,
    doubts,
    outlooks,
    raised,
    shock_text,
    trigger_text,
)
from serving.judging.change_answers import PlanAnswer, StateAnswer
from serving.judging.judgement import Judgement, judge
from serving.judging.plan import Plan, Target, plan
from serving.judging.plan_answers import ActionAnswer, LegAnswer, Repaid, TargetAnswer

QUIET = Wish(reasons=False)


def planned(
    case: Case,
    stated: TargetBody,
    means: Means,
    *,
    model: Model,
    around: Surroundings,
    request_id: str,
    sized: Case | None = None,
) -> PlanAnswer:
    """Return the plan of one account, applied and judged again.

    Parameters
    ----------
    sized
        The case that the health target is met in, where that is not the case itself: at a
        price that is known to come.
    """
    before = judge(case)
    risk = partial(
        risks, before, model=model, around=around, horizon=stated.horizon, head=stated.head
    )
    wanted = Target(health=stated.health, probability=stated.probability)
    found = plan(case if sized is None else sized, wanted, means, risk=risk)
    after = judge(replace(case, account=found.after))
    both = states(model, around, [before, after], history=[before, before])
    return PlanAnswer(
        account=case.account.id,
        as_of=around.at,
        is_reached=found.is_reached,
        reason=found.reason,
        target=TargetAnswer(
            health=exact_text(stated.health, 0),
            probability=stated.probability,
            horizon=stated.horizon,
            head=stated.head,
        ),
        actions=tuple(action_texts(case, found)),
        cost=exact_text(found.cost, 0),
        value=exact_text(found.value, 0),
        probability=found.probability,
        before=both[0],
        after=both[1],
        legs_after=tuple(
            LegAnswer(kind=leg.kind.value, asset=leg.asset, quantity=exact_text(leg.quantity, 0))
            for leg in found.after.legs
        ),
        model_version=version_of(model, both[0]),
        rulebook=rulebook_of(case),
        simulated=around.simulated,
        request_id=request_id,
    )


def target(wanted: Aim, *, is_forecast: bool) -> TargetBody:
    """Return where a plan leads; without a forecast the rule alone says."""
    stated = {
        "health": exact_text(wanted.health, 0),
        "probability": wanted.probability if is_forecast else None,
        "horizon": wanted.horizon,
        "head": wanted.head,
    }
    return TargetBody.model_validate(stated)


def worse(judged: Judgement) -> Market:
    """Return the market at the price in force, or at the next one where that is worse."""
    now, soon, market = judged.now, judged.soon, judged.case.market
    if soon is None or soon.verdict is Verdict.UNEVALUABLE:
        return market
    if now.maintenance is None or soon.maintenance is None:
        return market
    isworse = soon.maintenance.surplus < now.maintenance.surplus
    return with_next_prices(market) if isworse else market


def risks(
    before: Judgement,
    accounts: Sequence[Account],
    *,
    model: Model,
    around: Surroundings,
    horizon: str,
    head: str,
) -> Floats:
    """Return the probability that counts of each changed account; NaN without a forecast.

    Parameters
    ----------
    before
        The account as it is: its owner's past stays what it was.
    """
    changed = [judge(replace(before.case, account=account)) for account in accounts]
    seen = outlooks(
        changed,
        at=around.at,
        known=around.known,
        model=model,
        wish=QUIET,
        history=[before] * len(changed),
    )
    place = LABELS.index(horizon)
    return np.array(
        [
            _chance(one, outlook, around.at, place, head)
            for one, outlook in zip(changed, seen, strict=True)
        ]
    )


def _chance(judged: Judgement, seen: Outlook, at: datetime, place: int, head: str) -> float:
    """Return one probability; 0 where no price can reach the account."""
    told = raised(judged, seen, at=at)
    if told:
        return float(getattr(told[place], head))
    return 0.0 if seen.silent is not None and seen.silent.code == "no_trigger" else float("nan")


def states(
    model: Model,
    around: Surroundings,
    judged: Sequence[Judgement],
    *,
    history: Sequence[Judgement] | None = None,
) -> list[StateAnswer]:
    """Return judged accounts in words."""
    seen = outlooks(
        judged,
        at=around.at,
        known=around.known,
        model=model,
        wish=QUIET,
        history=history,
    )
    return [_state(one, outlook, around.at) for one, outlook in zip(judged, seen, strict=True)]


def _state(judged: Judgement, seen: Outlook, at: datetime) -> StateAnswer:
    """Return one judged account in words."""
    now = judged.now
    side = now.maintenance
    forecast: tuple[ForecastAnswer, ...] = raised(judged, seen, at=at)
    return StateAnswer(
        verdict=now.verdict.value,
        reason=now.reason,
        health=None
        if side is None or not side.requirement
        else float(Fraction(side.credit) / Fraction(side.requirement)),
        ratio=rules.ratio_text(now.ratio),
        surplus=None if side is None else exact_text(side.surplus, now.value_decimals),
        trigger=trigger_text(judged.trigger),
        shock_trigger=shock_text(judged.shock),
        forecast=forecast,
        degraded_reasons=doubts(judged, seen, at=at),
    )


def action_texts(case: Case, found: Plan) -> list[ActionAnswer]:
    """Return the actions of a plan in words, in the order in which they are done."""
    account, told = case.account, []
    for action in found.actions:
        after = apply(account, (action,))
        told.append(_action(account, after, action))
        account = after
    return told


def _action(before: Account, after: Account, action: Action) -> ActionAnswer:
    """Return one action in words."""
    tool = action.tool
    repays = None
    if tool.kind == "swap" and tool.into is not None:
        paid = before.legs[tool.into].quantity - after.legs[tool.into].quantity
        repays = Repaid(asset=before.legs[tool.into].asset, quantity=exact_text(paid, 0))
    return ActionAnswer(
        kind=tool.kind,
        asset=before.legs[tool.leg].asset,
        quantity=exact_text(action.quantity, 0),
        value=exact_text(tool.value(action.quantity), 0),
        cost=exact_text(tool.cost(action.quantity), 0),
        repays=repays,
    )


def version_of(model: Model, state: StateAnswer) -> str | None:
    """Return the version of the model, where it was asked."""
    return model.bundle.version if model.bundle is not None and state.forecast else None


def rulebook_of(case: Case) -> RulebookAnswer:
    """Return which rules judged."""
    return RulebookAnswer(
        venue=case.account.venue,
        version=case.account.version,
        terms_valid_from=case.terms_valid_from,
    )
