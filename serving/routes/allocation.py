"""Allocation: which collateral to post where."""

from serving.application import allocation
from serving.http.keys import Scope
from serving.http.routing import Operation, of_body
from serving.schemas.allocation import AllocateBody, AllocationAnswer
from serving.schemas.problems import UNKNOWN_ACCOUNT

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
)
