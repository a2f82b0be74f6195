"""An allocation in words: moves with their reasons, accounts before and after, duals, conflicts."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from fractions import Fraction

from msgspec import structs

from models.allocation.allocate import Allocation, DualPrice
from models.allocation.ordering import Order
from models.allocation.problem import Problem
from models.allocation.program import Limit, program
from serving.application.allocation_question import Question
from serving.application.scoring import ScoringService
from serving.evaluation.cover import Cover
from serving.evaluation.plan_result import states
from serving.evaluation.rule_evaluation import evaluate_rules
from serving.schemas.allocation import (
    AllocateBody,
    AllocationAnswer,
    CoverAnswer,
    DualAnswer,
    LimitAnswer,
    MoveAnswer,
    ShortageAnswer,
)
from serving.schemas.assessment import Notice, exact_text
from serving.schemas.changes import StateAnswer
from serving.words.allocation import dual_text, limit_text
from serving.words.tables import english

ZERO = Fraction(0)


def answer(
    desk: ScoringService,
    body: AllocateBody,
    question: Question,
    problem: Problem,
    result: Allocation,
    order: Order | None,
    refusals: list[Notice],
    request_id: str,
) -> AllocationAnswer:
    """Return the answer in words."""
    is_accepted = result.result is not None and not refusals
    moves = _moves(question, problem, order) if order is not None and is_accepted else ()
    outcome = result.result
    is_risk = body.objective == "probability"
    carry = sum(
        (
            demand.eligible[asset].cost * quantity
            for demand in problem.demands.values()
            for asset, quantity in demand.posted.items()
        ),
        ZERO,
    )
    return AllocationAnswer(
        request_id=request_id,
        as_of=question.around.at,
        status=result.status,
        is_accepted=is_accepted,
        refusals=tuple(refusals),
        quote=body.quote,
        cost_before=_text(carry),
        cost=None if outcome is None else _text(outcome.cost),
        expected_loss=_approximate(outcome.expected_loss)
        if outcome is not None and is_risk
        else None,
        objective=_approximate(result.objective) if is_risk else _text(result.objective),
        bound=_approximate(result.bound),
        gap=None if result.gap is None else float(result.gap),
        moves=moves,
        ends_seconds=0 if order is None else int(order.ends.total_seconds()),
        accounts=tuple(_covers(desk, question, result)),
        duals=tuple(dual_answer(price) for price in result.prices),
        duals_are_relaxed=program(problem).is_whole,
        shortage=tuple(
            ShortageAnswer(id=name, missing=exact_text(short, 0))
            for name, short in (result.shortage or {}).items()
        ),
        conflict=tuple(limit_answer(limit) for limit in result.conflict),
        simulated=question.around.simulated,
    )


def _text(value: Fraction | None) -> str | None:
    """Return an exact amount; None where there is none."""
    return None if value is None else exact_text(value, 0)


def _approximate(value: Fraction | None) -> str | None:
    """Return what rests on forecasts or floats in twelve digits; None where there is none."""
    return None if value is None else f"{float(value):.12g}"


def _moves(question: Question, problem: Problem, order: Order) -> tuple[MoveAnswer, ...]:
    """Return the steps in words."""
    answers = []
    now = {name: dict(demand.posted) for name, demand in problem.demands.items()}
    for step in order.steps:
        name = {"deposit": step.destination, "withdraw": step.origin}.get(step.kind)
        moved = None
        if name is not None:
            sign = 1 if step.kind == "deposit" else -1
            before = dict(now[name])
            now[name][step.asset] = now[name].get(step.asset, ZERO) + sign * step.quantity
            cover = question.covers.get(name)
            if cover is not None:
                place = cover.legs[step.asset]
                legs = [cover.account(posted).legs[place] for posted in (before, now[name])]
                moved = exact_text(abs(Fraction(legs[1].quantity - legs[0].quantity)), 0)
        reason = _reason(problem, step.kind, step.asset, name)
        answers.append(
            MoveAnswer(
                kind=step.kind,
                asset=step.asset,
                quantity=exact_text(step.quantity, 0),
                leg_quantity=moved,
                origin=step.origin,
                destination=step.destination,
                begins_seconds=int(step.begins.total_seconds()),
                reason=reason.text,
                reason_notice=reason,
            )
        )
    return tuple(answers)


def _reason(problem: Problem, kind: str, asset: str, name: str | None) -> Notice:
    """Say why a step is done."""
    if name is None:
        return Notice(code="needed_there", text=f"{asset} is needed there", subject=asset)
    entry, where = problem.demands[name].eligible[asset], {"account": name}
    if kind == "withdraw":
        text = f"{asset} is of more use elsewhere than at {name}"
        return Notice(code="of_more_use_elsewhere", text=text, subject=asset, values={**where})
    if not entry.credit:
        text = f"{asset} goes to {name}"
        return Notice(code="goes_to_account", text=text, subject=asset, values={**where})
    price = entry.cost / entry.credit
    shown = english().amount(price)
    return Notice(
        code="credit_costs",
        text=f"a quote unit of credit at {name} costs {shown} in {asset}",
        subject=asset,
        values={**where, "price": float(price)},
    )


def _covers(desk: ScoringService, question: Question, result: Allocation) -> Iterator[CoverAnswer]:
    """Yield every account and venue before and after."""
    for name, demand in question.problem.demands.items():
        posted = demand.posted if result.result is None else result.result.posted[name]
        cover = question.covers.get(name)
        before, after = (None, None)
        if cover is not None:
            before, after = _states(desk, question, cover, posted)
            after = after if result.result is not None else None
            first, last = (
                cover.surplus(p, target=cover.health) or ZERO for p in (cover.posted, posted)
            )
        else:
            first, last = (demand.credit(p) - demand.need for p in (demand.posted, posted))
        surplus = demand.credit(posted) - demand.need
        chance = None if demand.curve is None else float(demand.curve.probability(surplus))
        yield CoverAnswer(
            id=name,
            surplus_before=exact_text(first, 0),
            surplus=exact_text(last, 0),
            posted={asset: exact_text(q, 0) for asset, q in posted.items() if q},
            probability=chance,
            before=before,
            after=after,
        )


def _states(
    desk: ScoringService, question: Question, cover: Cover, posted: Mapping[str, Fraction]
) -> tuple[StateAnswer, StateAnswer]:
    """Return an account before and after, judged anew."""
    before = evaluate_rules(cover.case)
    after = evaluate_rules(structs.replace(cover.case, account=cover.account(posted)))
    first, last = states(desk.model, question.around, [before, after], history=[before, before])
    return first, last


def dual_answer(price: DualPrice) -> DualAnswer:
    """Return a dual in words."""
    plain = DualAnswer(limit=limit_answer(price.limit), value=price.value, text="")
    return replace(plain, text=dual_text(english(), asdict(plain)))


def limit_answer(limit: Limit) -> LimitAnswer:
    """Return a limit in words."""
    plain = LimitAnswer(
        kind=limit.kind,
        id=limit.demand or None,
        asset=limit.asset or None,
        place=limit.place or None,
        text="",
    )
    return replace(plain, text=limit_text(english(), asdict(plain)))
