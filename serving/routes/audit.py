"""Who wrote what."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from serving.application.scoring import ScoringService
from serving.http.idempotency import opened
from serving.http.keys import Scope
from serving.http.query import Limit, Query, parameters, read_query
from serving.http.routing import Answer, Call, Operation, json_answer
from serving.schemas import problems
from serving.store import audit as journal


class AuditQuery(Query):
    """The page of `GET /v1/audit`."""

    after: Annotated[int, Field(ge=0, le=2**62)] = 0
    limit: Limit = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditLine:
    """One write.

    Parameters
    ----------
    actor
        Id of the key, or `loopback`.
    """

    number: int
    at: datetime
    actor: str
    action: str
    subject: str
    request_id: str
    detail: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditAnswer:
    """Writes, oldest first; `after` of the next page is the last number."""

    request_id: str
    lines: tuple[AuditLine, ...]


def audit(desk: ScoringService, call: Call) -> Answer:
    """Answer `GET /v1/audit`."""
    query = read_query(call.query, AuditQuery)
    with opened(desk).read() as transaction:
        entries = journal.audit(transaction, after=query.after, limit=query.limit)
    lines = tuple(
        AuditLine(
            number=number,
            at=entry.at,
            actor=entry.actor,
            action=entry.action,
            subject=entry.subject,
            request_id=entry.request_id,
            detail=entry.detail,
        )
        for number, entry in entries
    )
    return json_answer(AuditAnswer(request_id=call.request_id, lines=lines))


OPERATIONS = (
    Operation(
        name="audit",
        method="GET",
        path="/v1/audit",
        scope=Scope.ADMIN,
        work=audit,
        summary="Every write: who, what, when",
        meaning="A page of the audit log",
        answer_types=(AuditAnswer,),
        parameters=parameters(AuditQuery),
        refusals=(problems.INVALID,),
    ),
)
