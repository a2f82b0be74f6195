"""Allocation: which collateral to post where."""

from functools import partial

from serving.application import allocation, long_allocation
from serving.application.scoring import ScoringService
from serving.http.idempotency import IDEMPOTENCY, opened
from serving.http.keys import Scope
from serving.http.later import ACCEPTED, Begun, begun
from serving.http.routing import Answer, Call, Operation, Parameter, json_answer, of_body
from serving.schemas import problems
from serving.schemas.allocation import (
    AllocateBody,
    AllocationAnswer,
    AllocationStatus,
    LongAllocateBody,
)
from serving.schemas.problems import UNKNOWN_ACCOUNT, Refused
from serving.store import Transaction, allocations

ID = Parameter(
    name="id",
    place="path",
    schema={"type": "string", "minLength": 1, "maxLength": 200},
    meaning="of the allocation",
)


def begin(desk: ScoringService, call: Call) -> Answer:
    """Answer `POST /v1/allocations`: write that it begins, and run it beside."""
    store = opened(desk)
    body, question = long_allocation.question(call.body, desk)

    def act(transaction: Transaction) -> Begun:
        now = desk.clock()
        row = long_allocation.begin(transaction, call.body, now=now)
        work = partial(long_allocation.run, desk, store, row.id, body, question)
        return long_allocation.status_of(row, call.request_id, now=now), work

    return begun(
        desk,
        call,
        action="begin_allocation",
        subject="allocation",
        place="/v1/allocations",
        act=act,
    )


def read(desk: ScoringService, call: Call) -> Answer:
    """Answer `GET /v1/allocations/{id}`."""
    with opened(desk).read() as transaction:
        row = allocations.read(transaction, call.path["id"])
    if row is None:
        raise Refused(problems.UNKNOWN_THING, f"no allocation {call.path['id'][:80]!r}")
    return json_answer(long_allocation.status_of(row, call.request_id, now=desk.clock()))


OPERATIONS = (
    Operation(
        name="allocate",
        method="POST",
        path="/v1/allocate",
        scope=Scope.READ,
        work=of_body(allocation.allocation),
        summary="Which collateral to post where, at least cost or least expected loss",
        details="Accounts are judged by their venue's rules before and after, and at each step of "
        "the moves; venues are stated by their need. Where nothing suffices the answer says what "
        "is missing and which limits are in conflict. It proposes; it never executes.",
        meaning="The moves in their order, what they come to, and the proof of it",
        request_type=AllocateBody,
        answer_types=(AllocationAnswer,),
        refusals=(UNKNOWN_ACCOUNT,),
    ),
    Operation(
        name="begin_allocation",
        method="POST",
        path="/v1/allocations",
        scope=Scope.READ,
        work=begin,
        summary="Begin an allocation that takes long: whole numbers of any size",
        details="Answered at once with its place, where what came of it is read later. It "
        "proposes; it never executes.",
        meaning="The allocation, running",
        status=ACCEPTED,
        request_type=LongAllocateBody,
        answer_types=(AllocationStatus,),
        parameters=(IDEMPOTENCY,),
        refusals=(UNKNOWN_ACCOUNT, problems.CONFLICT, problems.UNAVAILABLE),
    ),
    Operation(
        name="allocation_status",
        method="GET",
        path="/v1/allocations/{id}",
        scope=Scope.READ,
        work=read,
        summary="An allocation that takes long, and what came of it",
        meaning="The allocation",
        answer_types=(AllocationStatus,),
        parameters=(ID,),
        refusals=(problems.UNKNOWN_THING, problems.UNAVAILABLE),
    ),
)
