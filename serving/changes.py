"""Accounts before and after a change: what-if questions, and plans over HTTP."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np

from features.inputs import Floats
from models.domain import Account, Market
from models.errors import Fault, InvalidInput
from models.hazard import LABELS
from models.margin.trigger import BREACHED
from serving import cases, change_wire, rules, wire
from serving.actions import Action, Means, apply
from serving.actions import Price as Cost
from serving.answers import ForecastAnswer, RulebookAnswer, exact_text
from serving.assess import Model, Outlook, Wish, doubts, outlooks, raised, trigger_text
from serving.cases import Case, Surroundings
from serving.change_answers import (
    ActionAnswer,
    LegAnswer,
    PlanAnswer,
    PlanBatch,
    Repaid,
    StateAnswer,
    TargetAnswer,
    WhatIfAnswer,
    WhatIfBatch,
)
from serving.desk import Desk, Item, in_order
from serving.judgement import Judgement, judge
from serving.plan import Plan, Target, plan
from serving.problems import encode
from serving.reading import escape
from serving.shocks import shocked

QUIET = Wish(reasons=False)


def what_if(desk: Desk, body: bytes, request_id: str) -> bytes:
    """Answer the body of `POST /v1/what-if`.

    Raises
    ------
    NotJson
        When the body is not JSON.
    InvalidInput
        When the envelope or every account is at fault.
    """
    asked, found = wire.parse(body, change_wire.WhatIfBody)
    around, told = desk.outcomes(asked, found, partial(_changed, asked=asked))
    sound = [pair for pair in told if not isinstance(pair, InvalidInput)]
    seen = _states(desk.model, around, [one for pair in sound for one in pair])
    answers = [
        WhatIfAnswer(
            account=before.case.account.id,
            as_of=around.at,
            before=seen[2 * i],
            after=seen[2 * i + 1],
            model_version=_version(desk.model, seen[2 * i]),
            rulebook=_rulebook(before.case),
            simulated=around.simulated,
            request_id=request_id,
        )
        for i, (before, _) in enumerate(sound)
    ]
    if asked.accounts is None:
        return encode(answers[0])
    return encode(
        WhatIfBatch(
            request_id=request_id,
            as_of=around.at,
            simulated=around.simulated,
            newly_liquidatable=tuple(_newly(sound)),
            answers=tuple(in_order(asked, told, answers)),
        )
    )


def _newly(pairs: Sequence[tuple[Judgement, Judgement]]) -> list[str]:
    """Return the accounts that the change makes liquidatable."""
    return [
        before.case.account.id
        for before, after in pairs
        if after.now.verdict in BREACHED and before.now.verdict not in BREACHED
    ]


def _changed(item: Item, *, asked: change_wire.WhatIfBody) -> tuple[Judgement, Judgement]:
    """Return one account judged before and after the change.

    Raises
    ------
    InvalidInput
        When changed legs or terms are unusable, or a shocked asset has no price.
    """
    case = item.case
    market = _shocked(case.market, asked)
    after = replace(case, market=market)
    changed = _changed_legs(item, asked)
    if changed is not None:
        legs = cases.legs(changed[1], changed[0], case.rulebook)
        after = replace(after, account=replace(case.account, legs=legs))
    stated = _changed_terms(item, asked)
    if stated is not None:
        after = replace(after, terms=cases.terms(stated[1], case.rulebook, stated[0]))
    return judge(case), judge(after)


def _changed_legs(
    item: Item, asked: change_wire.WhatIfBody
) -> tuple[str, list[wire.LegBody]] | None:
    """Return where the changed legs of an account stand, and the legs; None where unchanged."""
    own = getattr(item.body, "changed_legs", None)
    if own is not None:
        return f"{item.case.place}/changed_legs", own
    account = item.case.account.id
    if account in asked.changed_legs:
        return f"/changed_legs/{escape(account)}", asked.changed_legs[account]
    return None


def _changed_terms(item: Item, asked: change_wire.WhatIfBody) -> tuple[str, dict[str, Any]] | None:
    """Return where the changed terms of an account stand, and the terms; None where unchanged."""
    own = getattr(item.body, "changed_terms", None)
    if own is not None:
        return f"{item.case.place}/changed_terms", own
    market = item.case.account.market
    if market in asked.changed_terms:
        return f"/changed_terms/{escape(market)}", asked.changed_terms[market]
    return None


def _shocked(market: Market, asked: change_wire.WhatIfBody) -> Market:
    """Return the market with its prices moved, rounded down to the venue's unit."""
    absent = [name for name in asked.shocks if name not in market.prices]
    if absent:
        raise InvalidInput(
            [Fault(f"/shocks/{escape(name)}", f"no price of {name}") for name in absent]
        )
    whole = asked.shock or Fraction(0)
    return shocked(market, {name: asked.shocks.get(name, whole) for name in market.prices})


def plans(desk: Desk, body: bytes, request_id: str) -> bytes:
    """Answer the body of `POST /v1/plan`; raises as `what_if` does."""
    asked, found = wire.parse(body, change_wire.PlanBody)
    around, told = desk.outcomes(asked, found, lambda item: item)
    sound = [item for item in told if not isinstance(item, InvalidInput)]
    answers = [_planned(desk, item, asked, around, request_id) for item in sound]
    if asked.accounts is None:
        return encode(answers[0])
    return encode(
        PlanBatch(
            request_id=request_id,
            as_of=around.at,
            simulated=around.simulated,
            plans=tuple(in_order(asked, told, answers)),
        )
    )


def _planned(
    desk: Desk,
    item: Item,
    asked: change_wire.PlanBody,
    around: Surroundings,
    request_id: str,
) -> PlanAnswer:
    """Return the plan of one account of a request."""
    stated = getattr(item.body, "target", None) or asked.target
    means = means_of(getattr(item.body, "means", None) or asked.means)
    return planned(item.case, stated, means, model=desk.model, around=around, request_id=request_id)


def planned(
    case: Case,
    stated: change_wire.TargetBody,
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
    states = _states(model, around, [before, after], history=[before, before])
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
        before=states[0],
        after=states[1],
        legs_after=tuple(
            LegAnswer(kind=leg.kind.value, asset=leg.asset, quantity=exact_text(leg.quantity, 0))
            for leg in found.after.legs
        ),
        model_version=_version(model, states[0]),
        rulebook=_rulebook(case),
        simulated=around.simulated,
        request_id=request_id,
    )


def means_of(body: change_wire.MeansBody) -> Means:
    """Return what the owner can and will use."""
    return Means(
        balances=body.balances,
        prices={kind: Cost(fixed=cost.fixed, rate=cost.rate) for kind, cost in body.costs.items()},
        kinds=tuple(dict.fromkeys(body.kinds)),
        step=body.steps,
    )


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


def _states(
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


def _version(model: Model, state: StateAnswer) -> str | None:
    """Return the version of the model, where it was asked."""
    return model.bundle.version if model.bundle is not None and state.forecast else None


def _rulebook(case: Case) -> RulebookAnswer:
    """Return which rules judged."""
    return RulebookAnswer(
        venue=case.account.venue,
        version=case.account.version,
        terms_valid_from=case.terms_valid_from,
    )
