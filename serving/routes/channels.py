"""Where receivers are reached, over HTTP: channels added, verified, re-keyed, stopped."""

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

from pydantic import Field

from models.errors import InvalidInput
from serving.application.scoring import ScoringService
from serving.http.idempotency import opened
from serving.http.keys import Scope
from serving.http.routing import Answer, Call, Operation, Parameter, json_answer
from serving.notify import subscriptions
from serving.notify.channels import KINDS
from serving.routes.market import parsed
from serving.routes.receivers import RECEIVER, stored_receiver
from serving.schemas import problems
from serving.schemas.fields import Body
from serving.schemas.problems import Refused
from serving.settings import AlertSettings, alert_settings
from serving.store import consents

CHANNEL = Parameter(
    name="channel",
    place="path",
    schema={"type": "string", "minLength": 1, "maxLength": 40},
    meaning="id of the channel",
)
LONGEST_TARGET = 2000
if TYPE_CHECKING:
    KindName: TypeAlias = str
else:
    KindName = Literal[tuple(KINDS)]


class ChannelBody(Body):
    """The body of `POST /v1/receivers/{receiver}/channels`."""

    kind: KindName
    target: Annotated[str, Field(min_length=1, max_length=LONGEST_TARGET)]
    rank: Annotated[int, Field(ge=0, le=100, strict=True, description="0 is told first")] = 0


class ConfirmBody(Body):
    """The body of `POST /v1/channels/{channel}/confirm`."""

    code: Annotated[str, Field(pattern=r"^[0-9]{8}$")]


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeAnswer:
    """A channel whose one-time code was sent.

    Parameters
    ----------
    secret
        That a webhook is signed with, told this once; null otherwise.
    outcome
        What became of the message with the code: `delivered`, `later` or `never`.
    """

    request_id: str
    channel: str
    secret: str | None
    outcome: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretAnswer:
    """A webhook's new secret, told this once; the one before signs along with it."""

    request_id: str
    channel: str
    secret: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DoneAnswer:
    """Whether it was done: a code that is not right verifies nothing."""

    request_id: str
    channel: str
    done: bool


def add_channel(desk: ScoringService, call: Call) -> Answer:
    """Answer `POST /v1/receivers/{receiver}/channels`."""
    name, body = call.path["receiver"], parsed(call.body, ChannelBody)
    store = opened(desk)
    with store.read() as transaction:
        stored_receiver(transaction, name)
    request = subscriptions.ChannelRequest(
        receiver=name, kind=body.kind, target=body.target, rank=body.rank
    )
    added = subscriptions.add(
        store, request, _settings(), actor=call.principal.id, now=desk.clock()
    )
    return json_answer(
        CodeAnswer(
            request_id=call.request_id,
            channel=added.channel,
            secret=added.secret or None,
            outcome=added.sent.outcome,
            error=added.sent.error,
        )
    )


def resend(desk: ScoringService, call: Call) -> Answer:
    """Answer `POST /v1/channels/{channel}/resend`."""
    channel = call.path["channel"]
    sent = subscriptions.resend(
        opened(desk), channel, _settings(), actor=call.principal.id, now=desk.clock()
    )
    return json_answer(
        CodeAnswer(
            request_id=call.request_id,
            channel=channel,
            secret=None,
            outcome=sent.outcome,
            error=sent.error,
        )
    )


def rotate(desk: ScoringService, call: Call) -> Answer:
    """Answer `POST /v1/channels/{channel}/rotate`."""
    channel = call.path["channel"]
    secret = subscriptions.rotate(opened(desk), channel, actor=call.principal.id, now=desk.clock())
    return json_answer(SecretAnswer(request_id=call.request_id, channel=channel, secret=secret))


def confirm(desk: ScoringService, call: Call) -> Answer:
    """Answer `POST /v1/channels/{channel}/confirm`."""
    channel, body = call.path["channel"], parsed(call.body, ConfirmBody)
    with opened(desk).begin() as transaction:
        done = consents.confirm(
            transaction, channel, body.code, actor=call.principal.id, now=desk.clock()
        )
    return json_answer(DoneAnswer(request_id=call.request_id, channel=channel, done=done))


def stop(desk: ScoringService, call: Call) -> Answer:
    """Answer `POST /v1/channels/{channel}/stop`."""
    channel = call.path["channel"]
    with opened(desk).begin() as transaction:
        done = consents.stop(transaction, channel, actor=call.principal.id, now=desk.clock())
    return json_answer(DoneAnswer(request_id=call.request_id, channel=channel, done=done))


def _settings() -> AlertSettings:
    """Return how alerts leave, as the environment says.

    Raises
    ------
    Refused
        503 where the environment cannot be used.
    """
    try:
        return alert_settings(os.environ)
    except InvalidInput as error:
        raise Refused(problems.UNAVAILABLE, str(error)) from None


_CHANNELS = "/v1/channels/{channel}"
OPERATIONS = (
    Operation(
        name="add_channel",
        method="POST",
        path="/v1/receivers/{receiver}/channels",
        scope=Scope.ADMIN,
        work=add_channel,
        summary="Add a channel and send its one-time code there",
        details="Nothing else is sent before the code is confirmed. A webhook may not lead to a "
        "private address unless the operator lists its network.",
        meaning="The channel, and what became of the message with the code",
        request_type=ChannelBody,
        answer_types=(CodeAnswer,),
        parameters=(RECEIVER,),
        refusals=(problems.UNKNOWN_THING,),
    ),
    Operation(
        name="resend_code",
        method="POST",
        path=f"{_CHANNELS}/resend",
        scope=Scope.ADMIN,
        work=resend,
        summary="Send a channel a fresh one-time code",
        meaning="What became of the message with the code",
        answer_types=(CodeAnswer,),
        parameters=(CHANNEL,),
        refusals=(problems.INVALID,),
    ),
    Operation(
        name="rotate_secret",
        method="POST",
        path=f"{_CHANNELS}/rotate",
        scope=Scope.ADMIN,
        work=rotate,
        summary="Give a webhook a new signing secret; the one before signs along",
        meaning="The secret, this once",
        answer_types=(SecretAnswer,),
        parameters=(CHANNEL,),
        refusals=(problems.INVALID,),
    ),
    Operation(
        name="confirm_channel",
        method="POST",
        path=f"{_CHANNELS}/confirm",
        scope=Scope.WRITE,
        work=confirm,
        summary="Confirm a channel by the code that was sent there",
        meaning="Whether it is verified",
        request_type=ConfirmBody,
        answer_types=(DoneAnswer,),
        parameters=(CHANNEL,),
    ),
    Operation(
        name="stop_channel",
        method="POST",
        path=f"{_CHANNELS}/stop",
        scope=Scope.ADMIN,
        work=stop,
        summary="Stop a channel for good",
        details="A receiver stops its own by the link in every message.",
        meaning="Whether it was open",
        answer_types=(DoneAnswer,),
        parameters=(CHANNEL,),
    ),
)
