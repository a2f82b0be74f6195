"""Proposals and the log over HTTP."""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from models.parameters.proposal import Action, NotAllowed, NotTheirs, State
from serving.application import governance, governed_log, term_preview
from serving.application.governance import Actor, UnknownProposal
from serving.application.governed_log import ClockWentBack
from serving.application.scoring import ScoringService
from serving.http.idempotency import IDEMPOTENCY, opened, written
from serving.http.keys import Scope
from serving.http.query import Limit, Query, parameters, read_query
from serving.http.routing import Answer, Call, Operation, Parameter, json_answer
from serving.log.entries import leaf_of
from serving.log.heads import read_heads
from serving.log.verify import verify
from serving.routes.market import parsed
from serving.schemas import problems
from serving.schemas.fields import Name
from serving.schemas.problems import Refused
from serving.schemas.proposals import (
    ApprovalBody,
    CheckAnswer,
    GovernanceAnswer,
    GovernanceBody,
    HeadAnswer,
    LogAnswer,
    LogLine,
    ProofAnswer,
    ProposalAnswer,
    ProposalBody,
    ProposalsAnswer,
    ReasonBody,
    VoteBody,
)
from serving.store import Transaction, log_entries, market, proposals
from serving.store.proposals import ProposalRow

ID = Parameter(
    name="id",
    place="path",
    schema={"type": "string", "minLength": 1, "maxLength": 40},
    meaning="of the proposal",
)
IF_MATCH = Parameter(
    name="If-Match",
    place="header",
    schema={"type": "string", "pattern": '^"?[0-9]{1,9}"?$'},
    meaning="version that was looked at; an act on another one is refused",
)
Act = Callable[[Transaction, Actor], ProposalRow]


class ProposalsQuery(Query):
    """The page of `GET /v1/proposals`."""

    state: State | None = None
    after: Annotated[str, Field(max_length=40)] = ""
    limit: Limit = 100


class LogQuery(Query):
    """The page of `GET /v1/log`."""

    after: Annotated[int, Field(ge=-1, le=2**62)] = -1
    limit: Limit = 100
    subject: Name | None = None


class TreeQuery(Query):
    """The tree of `GET /v1/log/proof/{number}`."""

    size: Annotated[int | None, Field(ge=1, le=2**31)] = None


class ConsistencyQuery(Query):
    """The trees of `GET /v1/log/consistency`."""

    first: Annotated[int, Field(ge=1, le=2**31, alias="from")]
    second: Annotated[int | None, Field(ge=1, le=2**31, alias="to")] = None


def _actor(desk: ScoringService, call: Call, transaction: Transaction) -> Actor:
    """Return who acts, when by the clock of the book, and on which version.

    Raises
    ------
    Refused
        400 where the version is none.
    """
    stated = call.headers.get("if-match")
    if stated is not None and not stated.strip('"').isdecimal():
        raise Refused(problems.BAD_REQUEST, f"If-Match {stated[:40]!r} is no version")
    version = None if stated is None else int(stated.strip('"'))
    return Actor(id=call.principal.id, at=_now(desk, transaction), version=version)


def _now(desk: ScoringService, transaction: Transaction) -> datetime:
    """Return the time of the book: waiting times pass by the clock that verdicts go by."""
    return market.clock(transaction, now=desk.clock())


def _acted(desk: ScoringService, call: Call, action: str, act: Act) -> Answer:
    """Act on a proposal in one transaction, and export the head of the log that tells of it."""
    identity = call.path.get("id", "")

    def acted(transaction: Transaction) -> ProposalAnswer:
        who = _actor(
            desk, call, transaction
        )  # after the wait for others who write: time does not go back
        try:
            row = act(transaction, who)
        except UnknownProposal:
            detail = f"no proposal {identity[:40]!r}"
            raise Refused(problems.UNKNOWN_THING, detail) from None
        except NotTheirs as error:
            raise Refused(problems.NOT_THEIRS, str(error)) from None
        except (NotAllowed, ClockWentBack) as error:
            raise Refused(problems.NOT_ALLOWED, str(error)) from None
        return governance.answer(transaction, row, at=who.at, request_id=call.request_id)

    answer = written(desk, call, action=action, subject=identity, act=acted)
    governed_log.export_head(opened(desk), desk.log_keys, now=desk.clock())
    return answer


def propose(desk: ScoringService, call: Call) -> Answer:
    """Answer `POST /v1/proposals`."""
    body = parsed(call.body, ProposalBody)
    return _acted(desk, call, "propose", lambda t, who: governance.create(t, body, who))


def submit(desk: ScoringService, call: Call) -> Answer:
    """Answer `POST /v1/proposals/{id}/propose`."""
    return _plain(desk, call, Action.PROPOSE)


def reject(desk: ScoringService, call: Call) -> Answer:
    """Answer `POST /v1/proposals/{id}/reject`."""
    return _plain(desk, call, Action.REJECT)


def cancel(desk: ScoringService, call: Call) -> Answer:
    """Answer `POST /v1/proposals/{id}/cancel`."""
    return _plain(desk, call, Action.CANCEL)


def _plain(desk: ScoringService, call: Call, action: Action) -> Answer:
    """Propose a draft, reject or cancel."""
    reason = parsed(call.body, ReasonBody).reason

    def act(transaction: Transaction, who: Actor) -> ProposalRow:
        return governance.plain(transaction, call.path["id"], action, who, reason=reason)

    return _acted(desk, call, f"{action}_proposal", act)


def simulate(desk: ScoringService, call: Call) -> Answer:
    """Answer `POST /v1/proposals/{id}/simulate`."""
    return _acted(
        desk, call, "simulate", lambda t, who: governance.simulate(t, call.path["id"], who)
    )


def approve(desk: ScoringService, call: Call) -> Answer:
    """Answer `POST /v1/proposals/{id}/approve`."""
    binding = parsed(call.body, ApprovalBody).binding

    def act(transaction: Transaction, who: Actor) -> ProposalRow:
        return governance.approve(transaction, call.path["id"], who, binding=binding)

    return _acted(desk, call, "approve", act)


def schedule(desk: ScoringService, call: Call) -> Answer:
    """Answer `POST /v1/proposals/{id}/schedule`."""
    return _acted(
        desk, call, "schedule", lambda t, who: governance.schedule(t, call.path["id"], who)
    )


def activate(desk: ScoringService, call: Call) -> Answer:
    """Answer `POST /v1/proposals/{id}/activate`."""
    return _acted(
        desk, call, "activate", lambda t, who: governance.activate(t, call.path["id"], who)
    )


def roll_back(desk: ScoringService, call: Call) -> Answer:
    """Answer `POST /v1/proposals/{id}/rollback`."""
    reason = parsed(call.body, ReasonBody).reason

    def act(transaction: Transaction, who: Actor) -> ProposalRow:
        return governance.roll_back(transaction, call.path["id"], who, reason=reason)

    return _acted(desk, call, "rollback", act)


def vote(desk: ScoringService, call: Call) -> Answer:
    """Answer `POST /v1/proposals/{id}/votes`."""
    body = parsed(call.body, VoteBody)

    def act(transaction: Transaction, who: Actor) -> ProposalRow:
        return governance.vote(
            transaction, call.path["id"], who, voter=body.voter, choice=body.choice
        )

    return _acted(desk, call, "vote", act)


def single(desk: ScoringService, call: Call) -> Answer:
    """Answer `GET /v1/proposals/{id}`."""
    with opened(desk).read() as transaction:
        row = proposals.find(transaction, call.path["id"])
        if row is None:
            detail = f"no proposal {call.path['id'][:40]!r}"
            raise Refused(problems.UNKNOWN_THING, detail)
        at = _now(desk, transaction)
        answer = governance.answer(transaction, row, at=at, request_id=call.request_id)
    return json_answer(answer)


def listed(desk: ScoringService, call: Call) -> Answer:
    """Answer `GET /v1/proposals`."""
    query = read_query(call.query, ProposalsQuery)
    with opened(desk).read() as transaction:
        rows = proposals.read(transaction, state=query.state, after=query.after, limit=query.limit)
        at = _now(desk, transaction)
        answers = tuple(
            governance.answer(transaction, row, at=at, request_id=call.request_id) for row in rows
        )
    return json_answer(
        ProposalsAnswer(
            request_id=call.request_id,
            proposals=answers,
            next=rows[-1].id if len(rows) == query.limit else None,
        )
    )


def policy(desk: ScoringService, call: Call) -> Answer:
    """Answer `GET /v1/governance/policy`."""
    with opened(desk).read() as transaction:
        return json_answer(_policy(transaction, call))


def _policy(transaction: Transaction, call: Call) -> GovernanceAnswer:
    """Return the policy in force."""
    _, body, since = governance.policy_of(transaction)
    return GovernanceAnswer(
        request_id=call.request_id, since=since, policy=governance.document_of(body)
    )


def put_policy(desk: ScoringService, call: Call) -> Answer:
    """Answer `PUT /v1/governance/policy`."""
    body = parsed(call.body, GovernanceBody)

    def act(transaction: Transaction) -> GovernanceAnswer:
        governance.put_policy(transaction, body, _actor(desk, call, transaction))
        return _policy(transaction, call)

    answer = written(desk, call, action="put_policy", subject=term_preview.POLICY, act=act)
    governed_log.export_head(opened(desk), desk.log_keys, now=desk.clock())
    return answer


def log(desk: ScoringService, call: Call) -> Answer:
    """Answer `GET /v1/log`."""
    query = read_query(call.query, LogQuery)
    with opened(desk).read() as transaction:
        rows = log_entries.read(
            transaction, after=query.after, limit=query.limit, subject=query.subject
        )
    lines = tuple(
        LogLine(number=row.number, entry=json.loads(row.entry), chain=row.chain) for row in rows
    )
    return json_answer(LogAnswer(request_id=call.request_id, entries=lines))


def export(desk: ScoringService, call: Call) -> Answer:  # noqa: ARG001 - the whole log
    """Answer `GET /v1/log/export`."""
    lines = b"".join(line + b"\n" for line in governed_log.export_lines(opened(desk)))
    return Answer(body=lines, media_type="application/x-ndjson")


def head(desk: ScoringService, call: Call) -> Answer:
    """Answer `GET /v1/log/head`."""
    store, now = opened(desk), desk.clock()
    if desk.log_keys is not None:
        made = governed_log.head(store, desk.log_keys, now=now)
        return json_answer(
            HeadAnswer(
                request_id=call.request_id,
                size=made.size,
                root=made.root.hex(),
                time=made.time,
                key=made.key,
                signature=made.signature,
            )
        )
    with store.read() as transaction:
        tip = governed_log.tip(transaction)
    return json_answer(
        HeadAnswer(
            request_id=call.request_id,
            size=tip.size,
            root=tip.root.hex(),
            time=now,
            key=None,
            signature=None,
        )
    )


def proof(desk: ScoringService, call: Call) -> Answer:
    """Answer `GET /v1/log/proof/{number}`."""
    query = read_query(call.query, TreeQuery)
    number = int(call.path["number"]) if call.path["number"].isdecimal() else -1
    with opened(desk).read() as transaction:
        size, steps, root = governed_log.proof_of(transaction, number, size=query.size)
        row = log_entries.read(transaction, after=number - 1, limit=1)[0]
    return json_answer(
        ProofAnswer(
            request_id=call.request_id,
            leaf=leaf_of(row.entry).hex(),
            first=number,
            size=size,
            root=root,
            proof=tuple(steps),
        )
    )


def consistency(desk: ScoringService, call: Call) -> Answer:
    """Answer `GET /v1/log/consistency`."""
    query = read_query(call.query, ConsistencyQuery)
    with opened(desk).read() as transaction:
        size, steps, root = governed_log.consistency_of(
            transaction, first=query.first, second=query.second
        )
    return json_answer(
        ProofAnswer(
            request_id=call.request_id,
            leaf=None,
            first=query.first,
            size=size,
            root=root,
            proof=tuple(steps),
        )
    )


def check(desk: ScoringService, call: Call) -> Answer:
    """Answer `GET /v1/log/verify`."""
    keys = desk.log_keys
    path = None if keys is None else keys.heads
    lines = path.read_text().splitlines() if path is not None and path.is_file() else []
    heads = read_heads(lines, name="heads")
    finding = verify(governed_log.export_lines(opened(desk)), heads)
    return json_answer(
        CheckAnswer(
            request_id=call.request_id,
            entries=finding.entries,
            root=finding.root.hex(),
            is_whole=finding.is_whole,
            first_bad=finding.first_bad,
            reason=finding.reason,
            heads=finding.heads,
            covered=finding.covered,
            caution=finding.caution,
        )
    )


def _acts() -> tuple[Operation, ...]:
    """Return the operations that act on a proposal."""
    rows: tuple[tuple[str, Scope, Any, str, type[Any] | None], ...] = (
        ("propose", Scope.PROPOSE, submit, "Propose a draft", ReasonBody),
        ("simulate", Scope.PROPOSE, simulate, "Preview it on the book of this moment", None),
        ("approve", Scope.APPROVE, approve, "Approve what its preview says", ApprovalBody),
        ("reject", Scope.APPROVE, reject, "Reject it", ReasonBody),
        ("votes", Scope.APPROVE, vote, "Take a vote on it", VoteBody),
        ("schedule", Scope.ACTIVATE, schedule, "Schedule it once it is approved", None),
        ("activate", Scope.ACTIVATE, activate, "Put its terms in force, once", None),
        ("cancel", Scope.PROPOSE, cancel, "Cancel it", ReasonBody),
        ("rollback", Scope.PROPOSE, roll_back, "Propose what stood before it", ReasonBody),
    )
    refusals = (
        problems.NOT_ALLOWED,
        problems.NOT_THEIRS,
        problems.CONFLICT,
        problems.UNKNOWN_THING,
        problems.STALE_BOOK,
        problems.BOOK_INCOMPLETE,
    )
    return tuple(
        Operation(
            name=f"{verb}_proposal",
            method="POST",
            path=f"/v1/proposals/{{id}}/{verb}",
            scope=scope,
            work=work,
            summary=summary,
            meaning="The proposal as it stands now; of a rollback, the new one",
            request_type=body,
            answer_types=(ProposalAnswer,),
            parameters=(ID, IDEMPOTENCY, IF_MATCH),
            refusals=refusals,
        )
        for verb, scope, work, summary, body in rows
    )


OPERATIONS = (
    Operation(
        name="proposals",
        method="GET",
        path="/v1/proposals",
        scope=Scope.READ,
        work=listed,
        summary="Proposals to change risk parameters, the oldest first",
        meaning="A page of proposals",
        answer_types=(ProposalsAnswer,),
        parameters=parameters(ProposalsQuery),
    ),
    Operation(
        name="create_proposal",
        method="POST",
        path="/v1/proposals",
        scope=Scope.PROPOSE,
        work=propose,
        summary="Propose a change of risk parameters",
        meaning="The proposal",
        request_type=ProposalBody,
        answer_types=(ProposalAnswer,),
        parameters=(IDEMPOTENCY,),
        refusals=(problems.CONFLICT, problems.NOT_ALLOWED),
    ),
    Operation(
        name="proposal",
        method="GET",
        path="/v1/proposals/{id}",
        scope=Scope.READ,
        work=single,
        summary="One proposal and where it stands",
        meaning="The proposal",
        answer_types=(ProposalAnswer,),
        parameters=(ID,),
        refusals=(problems.UNKNOWN_THING,),
    ),
    *_acts(),
    Operation(
        name="governance_policy",
        method="GET",
        path="/v1/governance/policy",
        scope=Scope.READ,
        work=policy,
        summary="How proposals are governed",
        meaning="The policy",
        answer_types=(GovernanceAnswer,),
    ),
    Operation(
        name="put_governance_policy",
        method="PUT",
        path="/v1/governance/policy",
        scope=Scope.GOVERN,
        work=put_policy,
        summary="Govern proposals otherwise",
        meaning="The policy in force now",
        request_type=GovernanceBody,
        answer_types=(GovernanceAnswer,),
        parameters=(IDEMPOTENCY,),
        refusals=(problems.CONFLICT,),
    ),
    Operation(
        name="log",
        method="GET",
        path="/v1/log",
        scope=Scope.READ,
        work=log,
        summary="The log of everything that was governed, the oldest first",
        meaning="A page of the log",
        answer_types=(LogAnswer,),
        parameters=parameters(LogQuery),
    ),
    Operation(
        name="log_export",
        method="GET",
        path="/v1/log/export",
        scope=Scope.READ,
        work=export,
        summary="The whole log, one entry a line, as `forewarn log verify` reads it",
        meaning="The log",
        gives=("application/x-ndjson",),
    ),
    Operation(
        name="log_head",
        method="GET",
        path="/v1/log/head",
        scope=Scope.READ,
        work=head,
        summary="How long the log is and its root, signed where a key is named",
        meaning="The head",
        answer_types=(HeadAnswer,),
    ),
    Operation(
        name="log_proof",
        method="GET",
        path="/v1/log/proof/{number}",
        scope=Scope.READ,
        work=proof,
        summary="The proof that an entry is in the log (RFC 6962)",
        meaning="The path from the entry to the root, the nearest first",
        answer_types=(ProofAnswer,),
        parameters=(
            Parameter(
                name="number",
                place="path",
                schema={"type": "string", "pattern": "^[0-9]{1,10}$", "maxLength": 10},
                meaning="of the entry",
            ),
            *parameters(TreeQuery),
        ),
    ),
    Operation(
        name="log_consistency",
        method="GET",
        path="/v1/log/consistency",
        scope=Scope.READ,
        work=consistency,
        summary="The proof that an earlier log is the beginning of a later one (RFC 6962)",
        meaning="The proof",
        answer_types=(ProofAnswer,),
        parameters=parameters(ConsistencyQuery),
    ),
    Operation(
        name="log_verify",
        method="GET",
        path="/v1/log/verify",
        scope=Scope.READ,
        work=check,
        summary="Whether the log is as it was, against itself and the heads that were exported",
        meaning="The first bad entry, where there is one, and what cannot be told",
        answer_types=(CheckAnswer,),
    ),
)
