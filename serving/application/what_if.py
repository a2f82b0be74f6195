"""Accounts before and after a change: what-if questions, and plans over HTTP."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from functools import partial
from typing import Any

from msgspec import structs

from models.domain import Market
from models.errors import Fault, InvalidInput
from models.margin.shock import shocked
from models.margin.trigger import BREACHED
from serving.application.scoring import ScoringService, in_order
from serving.evaluation import inputs, rules
from serving.evaluation.actions import ActionCost as Cost
from serving.evaluation.actions import Constraints
from serving.evaluation.inputs import AccountInput
from serving.evaluation.item import Item
from serving.evaluation.plan_result import planned, rulebook_of, stated_goal, states, version_of
from serving.evaluation.rule_evaluation import RuleEvaluation, evaluate_rules
from serving.evaluation.stated_terms import terms_of
from serving.schemas import change_requests, requests
from serving.schemas.changes import PlanAnswer, PlanBatch, WhatIfAnswer, WhatIfBatch
from serving.schemas.problems import encode
from serving.schemas.strict_json import escape


def what_if(desk: ScoringService, body: bytes, request_id: str) -> bytes:
    """Answer the body of `POST /v1/what-if`.

    Raises
    ------
    NotJson
        When the body is not JSON.
    InvalidInput
        When the envelope or every account is at fault.
    """
    request, faults = requests.parse(body, change_requests.WhatIfBody)
    around, outcomes = desk.outcomes(request, faults, partial(_changed, request=request))
    sound = [pair for pair in outcomes if not isinstance(pair, InvalidInput)]
    state_texts = states(desk.model, around, [evaluation for pair in sound for evaluation in pair])
    answers = [
        WhatIfAnswer(
            account=before.case.account.id,
            as_of=around.at,
            before=state_texts[2 * i],
            after=state_texts[2 * i + 1],
            model_version=version_of(desk.model, state_texts[2 * i]),
            rulebook=rulebook_of(before.case),
            simulated=around.simulated,
            request_id=request_id,
        )
        for i, (before, _) in enumerate(sound)
    ]
    if request.accounts is None:
        return encode(answers[0])
    return encode(
        WhatIfBatch(
            request_id=request_id,
            as_of=around.at,
            simulated=around.simulated,
            newly_liquidatable=tuple(_newly(sound)),
            answers=tuple(in_order(request, outcomes, answers)),
        )
    )


def _newly(pairs: Sequence[tuple[RuleEvaluation, RuleEvaluation]]) -> list[str]:
    """Return the accounts that the change makes liquidatable."""
    return [
        before.case.account.id
        for before, after in pairs
        if after.now.verdict in BREACHED and before.now.verdict not in BREACHED
    ]


def _changed(
    item: Item, *, request: change_requests.WhatIfBody
) -> tuple[RuleEvaluation, RuleEvaluation]:
    """Return one account judged before and after the change.

    Raises
    ------
    InvalidInput
        When changed legs or terms are unusable, or a shocked asset has no price.
    """
    case = item.case
    market = _shocked(case, request)
    after = structs.replace(case, market=market)
    stated = _changed_terms(item, request)
    if stated is not None:
        after = structs.replace(after, terms=terms_of(stated[1], case.rulebook, stated[0]))
    changed = _changed_legs(item, request)
    if changed is not None:
        legs = inputs.legs(changed[1], changed[0], case.rulebook)
        after = structs.replace(after, account=replace(case.account, legs=legs))
    place = f"{case.place}/legs" if changed is None else changed[0]
    faults = inputs.unread_legs(after.account.legs, place, after)
    if faults:
        raise InvalidInput(faults)
    return evaluate_rules(case, within=item.meter), evaluate_rules(after, within=item.meter)


def _changed_legs(
    item: Item, request: change_requests.WhatIfBody
) -> tuple[str, list[requests.LegBody]] | None:
    """Return where the changed legs of an account stand, and the legs; None where unchanged."""
    stated = getattr(item.body, "changed_legs", None)
    if stated is not None:
        return f"{item.case.place}/changed_legs", stated
    account = item.case.account.id
    if account in request.changed_legs:
        return f"/changed_legs/{escape(account)}", request.changed_legs[account]
    return None


def _changed_terms(
    item: Item, request: change_requests.WhatIfBody
) -> tuple[str, dict[str, Any]] | None:
    """Return where the changed terms of an account stand, and the terms; None where unchanged."""
    stated = getattr(item.body, "changed_terms", None)
    if stated is not None:
        return f"{item.case.place}/changed_terms", stated
    market = item.case.account.market
    if market in request.changed_terms:
        return f"/changed_terms/{escape(market)}", request.changed_terms[market]
    return None


def _shocked(case: AccountInput, request: change_requests.WhatIfBody) -> Market:
    """Return the market with its prices moved, rounded down to the venue's unit.

    A shock of the whole market leaves alone what keeps its price, unless it is named.
    """
    market = case.market
    absent = [name for name in request.shocks if name not in market.prices]
    if absent:
        raise InvalidInput(
            [Fault(f"/shocks/{escape(name)}", f"no price of {name}") for name in absent]
        )
    common = dict.fromkeys(rules.moving(case, market.prices), request.shock or Fraction(0))
    return shocked(market, {**common, **request.shocks})


def plans(desk: ScoringService, body: bytes, request_id: str) -> bytes:
    """Answer the body of `POST /v1/plan`; raises as `what_if` does."""
    request, faults = requests.parse(body, change_requests.PlanBody)
    around, outcomes = desk.outcomes(
        request, faults, lambda item: _planned(desk, item, request, request_id)
    )
    answers = [outcome for outcome in outcomes if not isinstance(outcome, InvalidInput)]
    if request.accounts is None:
        return encode(answers[0])
    return encode(
        PlanBatch(
            request_id=request_id,
            as_of=around.at,
            simulated=around.simulated,
            plans=tuple(in_order(request, outcomes, answers)),
        )
    )


def _planned(
    desk: ScoringService,
    item: Item,
    request: change_requests.PlanBody,
    request_id: str,
) -> PlanAnswer:
    """Return the plan of one account of a request."""
    stated = getattr(item.body, "target", None) or request.target
    means = constraints_of(getattr(item.body, "means", None) or request.means)
    case = item.metered
    goal = stated_goal(case, stated)
    return planned(case, goal, means, model=desk.model, around=item.around, request_id=request_id)


def constraints_of(body: change_requests.MeansBody) -> Constraints:
    """Return what the owner can and will use."""
    return Constraints(
        balances=body.balances,
        prices={kind: Cost(fixed=cost.fixed, rate=cost.rate) for kind, cost in body.costs.items()},
        kinds=tuple(dict.fromkeys(body.kinds)),
        step=body.steps,
    )
