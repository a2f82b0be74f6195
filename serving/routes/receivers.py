"""Who is told, over HTTP: receivers, their channels, consent."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from models.alerting.policy import Quiet
from models.errors import Fault, InvalidInput
from serving.application.scoring import ScoringService
from serving.http.idempotency import IDEMPOTENCY, opened, written
from serving.http.keys import Scope
from serving.http.query import Limit, Query, parameters, read_query
from serving.http.routing import Answer, Call, Operation, Parameter, json_answer
from serving.notify.channels import shown
from serving.routes.market import parsed
from serving.schemas import problems
from serving.schemas.fields import Body, Name
from serving.schemas.problems import Refused
from serving.store import Transaction, alerts, consents, market
from serving.store.alerts import Receiver

RECEIVER = Parameter(
    name="receiver",
    place="path",
    schema={"type": "string", "minLength": 1, "maxLength": 200},
    meaning="name of the receiver; what it owns has it as `owner`",
)
LONGEST_NAME = 200


class ReceiversQuery(Query):
    """The page of `GET /v1/receivers`."""

    cursor: Name | None = Field(default=None, description="`next` of the page before")
    limit: Limit = 100


class ReceiverBody(Body):
    """The body of `PUT /v1/receivers/{receiver}`."""

    audience: Literal["owner", "desk", "assessments"] = Field(
        default="owner",
        description="a desk hears of every account; assessments are for a channel that machines "
        "read: what the watch adds to the history of every account, and no alerts",
    )
    language: Annotated[str, Field(pattern=r"^[a-z]{2}$")] = "en"
    accounts: Annotated[list[Name], Field(max_length=10_000)] = Field(
        default_factory=list, description="heard of from now on, beside those it owns"
    )
    quiet: Quiet | None = Field(default=None, description="its own quiet hours")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverLine:
    """One receiver."""

    receiver: str
    audience: str
    language: str
    quiet: dict[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiversAnswer:
    """Receivers by name; `next` is null on the last page."""

    request_id: str
    receivers: tuple[ReceiverLine, ...]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelLine:
    """One channel.

    Parameters
    ----------
    target
        Where it leads, without what opens it.
    """

    channel: str
    kind: str
    target: str
    rank: int
    status: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentLine:
    """One line of the audit of consent."""

    at: datetime
    channel: str
    action: str
    actor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverAnswer:
    """One receiver with its channels, the accounts it covers, and what it agreed to.

    Parameters
    ----------
    accounts
        Heard of beside those it owns; at most a thousand are listed.
    """

    request_id: str
    receiver: ReceiverLine
    accounts: tuple[str, ...]
    channels: tuple[ChannelLine, ...]
    consents: tuple[ConsentLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WroteAnswer:
    """What was written."""

    request_id: str
    receiver: str


def listed(desk: ScoringService, call: Call) -> Answer:
    """Answer `GET /v1/receivers`."""
    query = read_query(call.query, ReceiversQuery)
    with opened(desk).read() as transaction:
        receivers = alerts.all_receivers(transaction, after=query.cursor or "", limit=query.limit)
    following = receivers[-1].receiver if len(receivers) == query.limit else None
    lines = tuple(_line(receiver) for receiver in receivers)
    return json_answer(ReceiversAnswer(request_id=call.request_id, receivers=lines, next=following))


def _line(receiver: Receiver) -> ReceiverLine:
    """Return a receiver in words."""
    return ReceiverLine(
        receiver=receiver.receiver,
        audience=receiver.audience,
        language=receiver.language,
        quiet=None if receiver.quiet is None else receiver.quiet.model_dump(mode="json"),
    )


def show(desk: ScoringService, call: Call) -> Answer:
    """Answer `GET /v1/receivers/{receiver}`."""
    name = call.path["receiver"]
    with opened(desk).read() as transaction:
        receiver = stored_receiver(transaction, name)
        channels = consents.channels(transaction, name)
        history = consents.history(transaction, name)
        covered = alerts.covered(transaction, name)
    return json_answer(
        ReceiverAnswer(
            request_id=call.request_id,
            receiver=_line(receiver),
            accounts=tuple(covered),
            channels=tuple(
                ChannelLine(
                    channel=channel.id,
                    kind=channel.kind,
                    target=shown(channel.kind, channel.target),
                    rank=channel.rank,
                    status=channel.status,
                    created_at=channel.created_at,
                )
                for channel in channels
            ),
            consents=tuple(
                ConsentLine(
                    **{name: consent[name] for name in ("at", "channel", "action", "actor")}
                )
                for consent in history
            ),
        )
    )


def stored_receiver(transaction: Transaction, name: str) -> Receiver:
    """Return a receiver.

    Raises
    ------
    Refused
        404 where there is none of that name.
    """
    receiver = alerts.receiver(transaction, name)
    if receiver is None:
        raise Refused(problems.UNKNOWN_THING, f"no receiver {name[:80]!r} is known")
    return receiver


def put(desk: ScoringService, call: Call) -> Answer:
    """Answer `PUT /v1/receivers/{receiver}`."""
    name, body = call.path["receiver"], parsed(call.body, ReceiverBody)
    if len(name) > LONGEST_NAME:
        raise InvalidInput([Fault("receiver", f"is longer than {LONGEST_NAME} characters")])
    receiver = Receiver(
        receiver=name, audience=body.audience, language=body.language, quiet=body.quiet
    )

    def act(transaction: Transaction) -> WroteAnswer:
        now = market.clock(transaction, now=desk.clock())
        alerts.add_receiver(transaction, receiver, body.accounts, now=now)
        return WroteAnswer(request_id=call.request_id, receiver=name)

    return written(desk, call, action="write receiver", subject=name, act=act)


OPERATIONS = (
    Operation(
        name="receivers",
        method="GET",
        path="/v1/receivers",
        scope=Scope.ADMIN,
        work=listed,
        summary="Who is told of alerts",
        meaning="Receivers",
        answer_types=(ReceiversAnswer,),
        parameters=parameters(ReceiversQuery),
        refusals=(problems.INVALID,),
    ),
    Operation(
        name="receiver",
        method="GET",
        path="/v1/receivers/{receiver}",
        scope=Scope.ADMIN,
        work=show,
        summary="One receiver: its channels, what it covers, what it agreed to",
        meaning="The receiver",
        answer_types=(ReceiverAnswer,),
        parameters=(RECEIVER,),
        refusals=(problems.UNKNOWN_THING,),
    ),
    Operation(
        name="put_receiver",
        method="PUT",
        path="/v1/receivers/{receiver}",
        scope=Scope.ADMIN,
        work=put,
        summary="Add a receiver, or change one",
        meaning="It is written",
        request_type=ReceiverBody,
        answer_types=(WroteAnswer,),
        parameters=(RECEIVER, IDEMPOTENCY),
        refusals=(problems.CONFLICT,),
    ),
)
