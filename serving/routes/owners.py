"""Owners: how they behave when a line comes near, and what is required of their accounts."""

from typing import Annotated

from pydantic import Field

from serving.application import conduct
from serving.application.conduct import OptedOut, UnknownOwner
from serving.application.scoring import ScoringService
from serving.http.idempotency import IDEMPOTENCY, opened, written
from serving.http.keys import Scope
from serving.http.query import Query, parameters, read_query
from serving.http.routing import Answer, Call, Operation, Parameter, json_answer
from serving.routes.market import parsed
from serving.schemas import problems
from serving.schemas.conduct import (
    ConductAnswer,
    ConductHistory,
    ConsentAnswer,
    ConsentBody,
    PersonalBatch,
    PersonalBody,
)
from serving.schemas.fields import Time
from serving.schemas.problems import Refused
from serving.store import Transaction

MOST_POINTS = 200
OWNER = Parameter(
    name="owner",
    place="path",
    schema={"type": "string", "minLength": 1, "maxLength": 200},
    meaning="name of an owner as accounts of the store state it, percent-encoded",
)


class ConductQuery(Query):
    """The moment of `GET /v1/owners/{owner}/conduct`."""

    as_of: Time | None = Field(default=None, description="now if left out")


class ConductHistoryQuery(Query):
    """The size of `GET /v1/owners/{owner}/conduct/history`."""

    points: Annotated[int, Field(ge=1, le=MOST_POINTS)] = Field(
        default=52, description="scores at even steps from the first event to now"
    )


def show(desk: ScoringService, call: Call) -> Answer:
    """Answer `GET /v1/owners/{owner}/conduct`."""
    query = read_query(call.query, ConductQuery)
    try:
        answer = conduct.owner_conduct(
            opened(desk),
            call.path["owner"],
            at=query.as_of,
            now=desk.clock(),
            request_id=call.request_id,
        )
    except UnknownOwner as error:
        raise Refused(problems.UNKNOWN_THING, error.faults[0].message) from None
    except OptedOut as error:
        raise Refused(problems.OPTED_OUT, error.faults[0].message) from None
    return json_answer(answer)


def history(desk: ScoringService, call: Call) -> Answer:
    """Answer `GET /v1/owners/{owner}/conduct/history`."""
    query = read_query(call.query, ConductHistoryQuery)
    try:
        answer = conduct.owner_history(
            opened(desk),
            call.path["owner"],
            points=query.points,
            now=desk.clock(),
            request_id=call.request_id,
        )
    except UnknownOwner as error:
        raise Refused(problems.UNKNOWN_THING, error.faults[0].message) from None
    except OptedOut as error:
        raise Refused(problems.OPTED_OUT, error.faults[0].message) from None
    return json_answer(answer)


def consent(desk: ScoringService, call: Call) -> Answer:
    """Answer `PUT /v1/owners/{owner}/conduct/consent`."""
    may_score = parsed(call.body, ConsentBody).scored
    owner = call.path["owner"]

    def act(transaction: Transaction) -> ConsentAnswer:
        try:
            return conduct.consent(transaction, owner, may_score=may_score, now=desk.clock())
        except UnknownOwner as error:
            raise Refused(problems.UNKNOWN_THING, error.faults[0].message) from None

    return written(desk, call, action="conduct_consent", subject=owner, act=act)


def requirements(desk: ScoringService, call: Call) -> Answer:
    """Answer `POST /v1/requirements/personal`."""
    return json_answer(conduct.answer_requirements(desk, call.body, call.request_id))


OPERATIONS = (
    Operation(
        name="owner_conduct",
        method="GET",
        path="/v1/owners/{owner}/conduct",
        scope=Scope.READ,
        work=show,
        summary="How an owner behaved when a line came near, as a score with reasons",
        details="Probability of liquidation given exposure, over all accounts of the owner. It "
        "never replaces today's ratio and is not mixed with it. Without an exposure that counts "
        "there is no score but `no_history`.",
        meaning="The score, its reasons and what they rest on",
        answer_types=(ConductAnswer,),
        parameters=(OWNER, *parameters(ConductQuery)),
        refusals=(
            problems.UNKNOWN_THING,
            problems.OPTED_OUT,
            problems.INVALID,
            problems.UNAVAILABLE,
        ),
    ),
    Operation(
        name="owner_conduct_history",
        method="GET",
        path="/v1/owners/{owner}/conduct/history",
        scope=Scope.READ,
        work=history,
        summary="An owner's score over time, each from what was known then",
        meaning="Scores, oldest first",
        answer_types=(ConductHistory,),
        parameters=(OWNER, *parameters(ConductHistoryQuery)),
        refusals=(
            problems.UNKNOWN_THING,
            problems.OPTED_OUT,
            problems.INVALID,
            problems.UNAVAILABLE,
        ),
    ),
    Operation(
        name="conduct_consent",
        method="PUT",
        path="/v1/owners/{owner}/conduct/consent",
        scope=Scope.WRITE,
        work=consent,
        summary="Say whether an owner may be scored",
        details="Of an owner who opts out nothing is read for a score, there or in any population; "
        "asked for one, the service refuses. Today's rules and forecasts go on.",
        meaning="Whether the owner may be scored",
        request_type=ConsentBody,
        answer_types=(ConsentAnswer,),
        parameters=(OWNER, IDEMPOTENCY),
        refusals=(problems.UNKNOWN_THING, problems.CONFLICT, problems.UNAVAILABLE),
    ),
    Operation(
        name="personal_requirements",
        method="POST",
        path="/v1/requirements/personal",
        scope=Scope.READ,
        work=requirements,
        summary="What accounts are required beyond their venue, by their own record",
        details="Never below the venue's exact requirement, never above a newcomer's. The record "
        "is the account's own, so that splitting an owner changes nothing; an account sent whole "
        "has none.",
        meaning="Requirements with the path of steps to them",
        request_type=PersonalBody,
        answer_types=(PersonalBatch,),
        refusals=(problems.UNKNOWN_ACCOUNT,),
    ),
)
