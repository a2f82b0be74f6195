"""Messages over HTTP: what became of each, and dead letters put back."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from serving.application.scoring import ScoringService
from serving.http.idempotency import IDEMPOTENCY, opened, written
from serving.http.keys import Scope
from serving.http.query import Limit, Query, parameters, read_query
from serving.http.routing import Answer, Call, Operation, json_answer
from serving.notify.channels import shown
from serving.routes.market import parsed
from serving.schemas import problems
from serving.schemas.fields import Body, Name
from serving.store import Transaction, market, outbox

Number = Annotated[int, Field(ge=1, le=2**62, strict=True)]


class DeliveriesQuery(Query):
    """The page of `GET /v1/deliveries`."""

    receiver: Name | None = None
    account: Name | None = Field(default=None, description="that the message is about alone")
    status: Literal["waiting", "sent", "dead", "stopped"] | None = None
    before: Annotated[int, Field(ge=1, le=2**62)] | None = Field(
        default=None, description="`next` of the page before"
    )
    limit: Limit = 100


class ReplayBody(Body):
    """The body of `POST /v1/deliveries/replay`."""

    numbers: Annotated[list[Number], Field(min_length=1, max_length=1000)]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryLine:
    """One message on one channel.

    Parameters
    ----------
    account
        That it is about; null where it is about several.
    alerts
        Keys of the changes that it names.
    target
        Where the channel leads, without what opens it.
    """

    number: int
    key: str
    receiver: str
    account: str | None
    channel: str
    kind: str
    target: str
    shape: str
    alerts: tuple[str, ...]
    status: str
    attempts: int
    created_at: datetime
    due_at: datetime
    settled_at: datetime | None
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveriesAnswer:
    """Messages, newest first, and how many are in each status; `next` is null on the last page."""

    request_id: str
    counts: dict[str, int]
    deliveries: tuple[DeliveryLine, ...]
    next: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayAnswer:
    """How many dead letters were put back, with their keys."""

    request_id: str
    replayed: int


def listed(desk: ScoringService, call: Call) -> Answer:
    """Answer `GET /v1/deliveries`."""
    query = read_query(call.query, DeliveriesQuery)
    with opened(desk).read() as transaction:
        counts = outbox.counts(transaction)
        criteria = outbox.DeliveryFilter(
            receiver=query.receiver,
            status=query.status,
            streams=None if query.account is None else (query.account,),
            before=query.before,
        )
        deliveries = outbox.deliveries(transaction, criteria, limit=query.limit)
    return json_answer(
        DeliveriesAnswer(
            request_id=call.request_id,
            counts=counts,
            deliveries=tuple(_line(delivery) for delivery in deliveries),
            next=deliveries[-1].number if len(deliveries) == query.limit else None,
        )
    )


def _line(delivery: outbox.Delivery) -> DeliveryLine:
    """Return one message in words."""
    return DeliveryLine(
        number=delivery.number,
        key=delivery.key,
        receiver=delivery.receiver,
        account=delivery.stream or None,
        channel=delivery.channel,
        kind=delivery.kind,
        target=shown(delivery.kind, delivery.target),
        shape=delivery.shape,
        alerts=delivery.keys,
        status=delivery.status,
        attempts=delivery.attempts,
        created_at=delivery.created_at,
        due_at=delivery.due_at,
        settled_at=delivery.settled_at,
        error=delivery.error,
    )


def replay(desk: ScoringService, call: Call) -> Answer:
    """Answer `POST /v1/deliveries/replay`."""
    body = parsed(call.body, ReplayBody)

    def act(transaction: Transaction) -> ReplayAnswer:
        now = market.clock(transaction, now=desk.clock())
        count = outbox.replay(transaction, body.numbers, now=now)
        return ReplayAnswer(request_id=call.request_id, replayed=count)

    subject = ", ".join(map(str, body.numbers))
    return written(desk, call, action="replay dead letters", subject=subject, act=act)


OPERATIONS = (
    Operation(
        name="deliveries",
        method="GET",
        path="/v1/deliveries",
        scope=Scope.READ,
        work=listed,
        summary="What became of every message; `status=dead` lists the dead letters",
        meaning="Messages",
        answer_types=(DeliveriesAnswer,),
        parameters=parameters(DeliveriesQuery),
        refusals=(problems.INVALID,),
    ),
    Operation(
        name="replay_deliveries",
        method="POST",
        path="/v1/deliveries/replay",
        scope=Scope.WRITE,
        work=replay,
        summary="Put dead letters back into the outbox, with their keys",
        meaning="How many were put back",
        request_type=ReplayBody,
        answer_types=(ReplayAnswer,),
        parameters=(IDEMPOTENCY,),
        refusals=(problems.CONFLICT,),
    ),
)
