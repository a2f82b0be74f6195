"""Allocation over HTTP: a body in; moves that every account's own rules were asked about out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from models.allocation.allocate import Allocation, SolverFault, allocate
from models.allocation.ordering import IsSound, Order, linear_judge, ordered
from models.allocation.problem import Problem
from models.allocation.program import program
from models.errors import Fault, InvalidInput
from serving.application.allocation_answer import answer
from serving.application.allocation_question import Question, question_of
from serving.application.scoring import ScoringService
from serving.schemas import problems, requests
from serving.schemas.allocation import MOST_WHOLE, AllocateBody, AllocationAnswer
from serving.schemas.assessment import Notice
from serving.schemas.problems import Refused, encode
from serving.words.tables import english

MOST_ROUNDS = 5
"""Times that needs are raised by what the rules find missing before they are given up on."""


def allocation(desk: ScoringService, body: bytes, request_id: str) -> bytes:
    """Answer the body of `POST /v1/allocate`.

    Raises
    ------
    NotJson
        When the body is not JSON.
    InvalidInput
        Listing every fault of the request.
    Refused
        When the solver's answer did not hold.
    """
    parsed, faults = requests.parse(body, AllocateBody)
    return encode(allocated(desk, parsed, faults, request_id))


@dataclass(frozen=True, slots=True, kw_only=True)
class Solved:
    """A request, its solution, and the steps to it.

    Parameters
    ----------
    problem
        With the needs that the solution was found for.
    order
        None without a solution.
    refusals
        Why the steps are not accepted; empty where they are.
    """

    question: Question
    problem: Problem
    result: Allocation
    order: Order | None
    refusals: list[Notice]

    @property
    def is_accepted(self) -> bool:
        """Return whether the exact rules confirm the solution and every step to it."""
        return self.result.result is not None and not self.refusals


def allocated(
    desk: ScoringService, body: AllocateBody, faults: Sequence[Fault], request_id: str
) -> AllocationAnswer:
    """Answer a request; `faults` are those of single accounts. Raises as `allocation` does."""
    return answered(desk, body, solved(desk, body, faults), request_id)


def answered(
    desk: ScoringService, body: AllocateBody, solution: Solved, request_id: str
) -> AllocationAnswer:
    """Return a solution in words."""
    return answer(
        desk,
        body,
        solution.question,
        solution.problem,
        solution.result,
        solution.order,
        solution.refusals,
        request_id,
    )


def solved(desk: ScoringService, body: AllocateBody, faults: Sequence[Fault]) -> Solved:
    """Return the solution of a request; raises as `allocation` does."""
    question = question_of(desk, body, faults)
    _refuse_large(question.problem)
    return solution_of(question, body.time_limit)


def solution_of(question: Question, time_limit: float) -> Solved:
    """Return the solution of a question, however large.

    Raises
    ------
    Refused
        When the solver's answer did not hold.
    """
    try:
        problem, result = _solved(question, time_limit)
    except SolverFault as error:
        raise Refused(problems.UNAVAILABLE, f"nothing is proposed: {error}") from None
    order, refusals = _carried_out(question, problem, result)
    return Solved(question=question, problem=problem, result=result, order=order, refusals=refusals)


def _refuse_large(problem: Problem) -> None:
    """Refuse what takes whole numbers minutes.

    Raises
    ------
    InvalidInput
        Naming how many accounts and assets a request in whole numbers may have.
    """
    venues, assets = MOST_WHOLE
    size = (len(problem.demands), len(problem.resources))
    if program(problem).is_whole and (size[0] > venues or size[1] > assets):
        detail = (
            f"lots, fixed costs and curves that are not convex are decided for at most {venues} "
            f"accounts and {assets} assets, not for {size[0]} and {size[1]}: ask POST "
            "/v1/allocations, which answers later"
        )
        raise InvalidInput([Fault("", detail)])


def _solved(question: Question, time_limit: float) -> tuple[Problem, Allocation]:
    """Return the allocation that the rules confirm, each need raised by what they wrong missing.

    The rules need not be linear: credits are measured at the account as it is, and where the
    solution falls short of the target by the exact rules, its need is raised by that and the
    program is solved again.
    """
    problem = question.problem
    result = allocate(problem, time_limit=time_limit)
    for _ in range(MOST_ROUNDS):
        short = dict(_short(question, result))
        if not short:
            break
        demands = dict(problem.demands)
        for name, missing in short.items():
            demands[name] = replace(demands[name], need=demands[name].need + missing)
        harder = replace(problem, demands=demands)
        tried = allocate(harder, time_limit=time_limit)
        problem, result = harder, tried
        if tried.result is None:
            break
    return problem, result


def _short(question: Question, result: Allocation) -> Iterator[tuple[str, Fraction]]:
    """Yield the accounts that the exact rules find below their target, with by how much."""
    if result.result is None:
        return
    for name, cover in question.covers.items():
        surplus = cover.surplus(result.result.posted[name], target=cover.target)
        if surplus is not None and surplus < 0:
            yield name, -surplus


def _judge(question: Question, problem: Problem) -> IsSound:
    """Return the exact rules as a judge of accounts, and the stated needs of venues."""
    linear = linear_judge(problem)

    def is_sound(name: str, posted: Mapping[str, Fraction]) -> bool:
        cover = question.covers.get(name)
        return linear(name, posted) if cover is None else cover.is_standing(posted)

    return is_sound


def _carried_out(
    question: Question, problem: Problem, result: Allocation
) -> tuple[Order | None, list[Notice]]:
    """Return the steps, and why they are not accepted where they are not."""
    if result.result is None:
        return None, []
    refusals = [
        Notice(
            code="exact_rules",
            text=f"{name}: by its rules {english().amount(missing, up=True)} are missing",
            subject=name,
            values={"missing": float(missing)},
        )
        for name, missing in _short(question, result)
    ]
    order = ordered(problem, result.flows, _judge(question, question.problem))
    refusals += [
        Notice(
            code="no_safe_order",
            text=f"{flow.asset} cannot leave {flow.origin.demand} before others have arrived, and "
            "none can arrive before",
            subject=flow.asset,
            values={"account": flow.origin.demand},
        )
        for flow, _ in order.stuck
    ]
    for name, cover in question.covers.items():
        posted = result.result.posted[name]
        if not order.stuck and posted != cover.posted and not cover.is_standing(posted):
            text = f"{name}: its venue would not let its owner leave it so"
            refusals.append(Notice(code="not_permitted", text=text, subject=name))
    if problem.deadline is not None and order.ends > problem.deadline:
        last, most = english().span(order.ends), english().span(problem.deadline)
        refusals.append(
            Notice(
                code="too_late",
                text=f"the last deposit is made after {last}, the deadline is {most}",
                values={
                    "last_seconds": order.ends.total_seconds(),
                    "deadline_seconds": problem.deadline.total_seconds(),
                },
            )
        )
    return order, refusals
