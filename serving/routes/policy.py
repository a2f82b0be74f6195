"""The alert policy over HTTP: the one in force, and what another would have sent."""

import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pydantic import Field

from models.alerting.policy import Policy, default, of_tree, tree_of
from models.errors import Fault, InvalidInput
from serving.application.policy_evidence import FrontierPoint, frontier
from serving.application.scoring import ScoringService
from serving.http.idempotency import opened
from serving.http.keys import Scope
from serving.http.routing import Answer, Call, Operation, json_answer
from serving.routes.market import parsed
from serving.schemas.fields import Body, Time
from serving.settings import alert_settings
from serving.store import Store, leases, market
from serving.store.leases import POLICY
from serving.watch.backtest import BacktestResult, backtest

USUAL = timedelta(days=7)
LONGEST = timedelta(days=31)


class PreviewBody(Body):
    """The body of `POST /v1/policy/preview`."""

    policy: dict[str, Any] = Field(description="as `GET /v1/policy` tells one")
    begin: Time | None = Field(default=None, description="a week before the end if left out")
    end: Time | None = Field(default=None, description="now if left out")


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyAnswer:
    """The policy in force.

    Parameters
    ----------
    since
        When a watch last said that it goes by it; null where none has watched yet: then it is
        the one that ships.
    frontier
        What budgets of early messages buy, by the evidence that `forewarn alerts tune` wrote
        beside the policy; empty where the policy has none.
    """

    request_id: str
    policy: dict[str, Any]
    since: datetime | None
    frontier: tuple[FrontierPoint, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewAnswer:
    """What two policies would have sent in [begin, end), by what was kept of every account."""

    request_id: str
    begin: datetime
    end: datetime
    in_force: BacktestResult
    proposed: BacktestResult


def in_force(desk: ScoringService, call: Call) -> Answer:
    """Answer `GET /v1/policy`."""
    since, policy = _in_force(opened(desk))
    return json_answer(
        PolicyAnswer(
            request_id=call.request_id,
            policy=tree_of(policy),
            since=since,
            frontier=_frontier(policy),
        )
    )


def _frontier(policy: Policy) -> tuple[FrontierPoint, ...]:
    """Return the frontier of a policy; empty where the settings name no policy that is readable."""
    try:
        return frontier(policy, alert_settings(os.environ).policy)
    except InvalidInput:
        return ()


def _in_force(store: Store) -> tuple[datetime | None, Policy]:
    """Return the policy that the watch goes by, and since when it says so."""
    with store.read() as transaction:
        since, tree = leases.beats(transaction).get(POLICY, (None, None))
    return since, default() if tree is None else of_tree(tree)


def preview(desk: ScoringService, call: Call) -> Answer:
    """Answer `POST /v1/policy/preview`."""
    body = parsed(call.body, PreviewBody)
    store = opened(desk)
    proposed = _proposed(body.policy)
    with store.read() as transaction:
        now = market.clock(transaction, now=desk.clock())
    # What was seen at the end itself belongs to it.
    end = now + timedelta(microseconds=1) if body.end is None else body.end
    begin = end - USUAL if body.begin is None else body.begin
    if not timedelta(0) < end - begin <= LONGEST:
        raise InvalidInput([Fault("/begin", f"is not within {LONGEST.days} days before the end")])
    return json_answer(
        PreviewAnswer(
            request_id=call.request_id,
            begin=begin,
            end=end,
            in_force=backtest(store, _in_force(store)[1], begin=begin, end=end),
            proposed=backtest(store, proposed, begin=begin, end=end),
        )
    )


def _proposed(tree: dict[str, Any]) -> Policy:
    """Return the policy of a body.

    Raises
    ------
    InvalidInput
        Listing every fault beneath `/policy`.
    """
    try:
        return of_tree(tree)
    except InvalidInput as error:
        raise InvalidInput([Fault(f"/policy{f.where}", f.message) for f in error.faults]) from None


OPERATIONS = (
    Operation(
        name="policy",
        method="GET",
        path="/v1/policy",
        scope=Scope.READ,
        work=in_force,
        summary="The alert policy in force",
        meaning="The policy",
        answer_types=(PolicyAnswer,),
    ),
    Operation(
        name="preview_policy",
        method="POST",
        path="/v1/policy/preview",
        scope=Scope.READ,
        work=preview,
        summary="What a changed policy would have sent over a past period",
        details="Nothing changes: a policy is put in force by the file that the watch reads.",
        meaning="What both policies would have sent",
        request_type=PreviewBody,
        answer_types=(PreviewAnswer,),
    ),
)
