"""Proposals on their way through a store: each act checked, logged and written together.

What is acted on is read within the writing transaction and held until it ends, so that of two
acts at once the second meets what the first left; terms, proposal and log entry stand together
or not at all.
"""

import dataclasses
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

import msgspec

from models.domain import MarketId
from models.errors import Fault, ForewarnError, InvalidInput
from models.parameters.catalogue import Role
from models.parameters.changes import Change, applied
from models.parameters.proposal import (
    Action,
    Approval,
    Ballot,
    Count,
    NotAllowed,
    Policy,
    Proposal,
    State,
    act,
    allowed,
    as_of,
    count,
    expires_at,
)
from models.parameters.tiers import brackets
from serving.application import breaker_board, governed_log, term_preview
from serving.application.term_book import read_now
from serving.application.term_preview import POLICY, TermPreview
from serving.log.entries import digest
from serving.schemas.assessment import Notice, exact_text
from serving.schemas.proposals import (
    ApprovalAnswer,
    BallotBody,
    CountAnswer,
    GovernanceBody,
    ProposalAnswer,
    ProposalBody,
    SimulationAnswer,
)
from serving.schemas.term_changes import ChangeSet
from serving.store import Transaction, market, proposals
from serving.store.proposals import ProposalRow

CAPS = frozenset({Role.SUPPLY_CAP, Role.BORROW_CAP, Role.DEBT_CEILING})
"""Limits of exposure: lowering one takes nobody's collateral."""

MOST_EXACT = 2**53
"""From which on JSON's numbers are no longer exact."""

_WAY = ("binding", "simulated_at", "not_before", "moved_at")


class UnknownProposal(ForewarnError):  # noqa: N818 - named for what happened
    """There is no such proposal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who acts, when, and on which version.

    Parameters
    ----------
    version
        That the actor has looked at; None for whatever stands.
    """

    id: str
    at: datetime
    version: int | None = None


def policy_of(transaction: Transaction) -> tuple[Policy, GovernanceBody, datetime | None]:
    """Return how proposals are governed, as reckoned with and as stated, and since when."""
    document = proposals.governed(transaction, prefix=POLICY).get(POLICY)
    body = GovernanceBody() if document is None else GovernanceBody.model_validate(document[0])
    since = None if document is None else document[1]
    hours = {
        "delay": body.delay_hours,
        "window": body.window_hours,
        "lifetime": body.lifetime_hours,
        "preview_life": body.preview_hours,
    }
    policy = Policy(
        approvals=body.approvals,
        tolerance_accounts=body.tolerance_accounts,
        tolerance_debt=body.tolerance_debt,
        ballot=None if body.ballot is None else _ballot(body.ballot),
        **{name: timedelta(hours=value) for name, value in hours.items()},
    )
    return policy, body, since


def _ballot(body: BallotBody) -> Ballot:
    """Return how votes are counted."""
    return Ballot(
        quorum=body.quorum,
        threshold=body.threshold,
        period=timedelta(hours=body.period_hours),
        weights=body.weights,
    )


def document_of(body: GovernanceBody) -> dict[str, Any]:
    """Return a policy as it is kept: exact numbers as text."""
    tree: dict[str, Any] = body.model_dump()
    tree["tolerance_debt"] = exact_text(body.tolerance_debt, 0)
    if body.ballot is not None:
        tree["ballot"]["quorum"] = exact_text(body.ballot.quorum, 0)
        tree["ballot"]["threshold"] = exact_text(body.ballot.threshold, 0)
        tree["ballot"]["weights"] = {k: str(v) for k, v in body.ballot.weights.items()}
    return tree


def put_policy(transaction: Transaction, body: GovernanceBody, who: Actor) -> None:
    """Put another policy in force.

    Raises
    ------
    InvalidInput
        When quorum or threshold is no share.
    """
    ballot = body.ballot
    shares = () if ballot is None else (("quorum", ballot.quorum), ("threshold", ballot.threshold))
    faults = [
        Fault(f"/ballot/{name}", f"{exact_text(share, 0)} is outside [0, 1]")
        for name, share in shares
        if not 0 <= share <= 1
    ]
    if faults:
        raise InvalidInput(faults)
    document = document_of(body)
    proposals.govern(transaction, POLICY, document, actor=who.id, at=who.at)
    _log(transaction, who, "policy put", POLICY, document)


def _log(
    transaction: Transaction, who: Actor, action: str, subject: str, body: Mapping[str, Any]
) -> None:
    """Add an entry to the log."""
    governed_log.append(
        transaction, at=who.at, actor=who.id, action=action, subject=subject, body=body
    )


def create(
    transaction: Transaction, body: ProposalBody, who: Actor, *, rollback_of: str | None = None
) -> ProposalRow:
    """Propose changes, or put them down as a draft."""
    identity = f"{who.at:%Y%m%dT%H%M%S%f}-{secrets.token_hex(4)}"
    state = State.DRAFT if body.draft else State.PROPOSED
    stated = stated_of(body)
    row = ProposalRow(
        id=identity,
        state=state,
        version=1,
        created_at=who.at,
        body={
            **stated,
            "title": body.title,
            "reason": body.reason,
            "proposer": who.id,
            "moved_at": who.at.isoformat(),
            "approvals": [],
            "rollback_of": rollback_of,
        },
    )
    proposals.insert(transaction, row)
    what = {"title": body.title, "reason": body.reason, "rollback_of": rollback_of or ""}
    _log(transaction, who, state, identity, {**what, **stated})
    return row


def stated_of(body: ChangeSet) -> dict[str, Any]:
    """Return changes and limits as they are kept: exact numbers and times as text."""
    return {
        "changes": [_text(row.model_dump(exclude_none=True)) for row in body.changes],
        "oracles": [_text(row.model_dump(exclude_none=True)) for row in body.oracles],
        "limits": _text(body.limits.model_dump()),
    }


def _text(value: Any) -> Any:
    """Return a part of a body in what canonical JSON holds."""
    if isinstance(value, Mapping):
        return {name: _text(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_text(part) for part in value]
    if isinstance(value, Fraction):
        return exact_text(value, 0)
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, int) and abs(value) >= MOST_EXACT else value


def _standing(
    transaction: Transaction, identity: str, who: Actor
) -> tuple[ProposalRow, Proposal, Policy]:
    """Return a proposal as it stands, held until the transaction ends.

    Raises
    ------
    UnknownProposal
        When there is none.
    NotAllowed
        When the actor has looked at another version.
    """
    row = proposals.find(transaction, identity)
    if row is None:
        raise UnknownProposal(identity)
    if who.version is not None and who.version != row.version:
        raise NotAllowed(f"{identity} is at version {row.version}, not {who.version}")
    return row, proposal_of(row), policy_of(transaction)[0]


def proposal_of(row: ProposalRow) -> Proposal:
    """Return a kept proposal as far as its way is concerned."""
    body = row.body
    times = {name: _time(body.get(name)) for name in ("simulated_at", "not_before")}
    return Proposal(
        id=row.id,
        state=State(row.state),
        version=row.version,
        proposer=body["proposer"],
        created_at=row.created_at,
        moved_at=datetime.fromisoformat(body["moved_at"]),
        binding=body.get("binding"),
        approvals=tuple(
            Approval(
                actor=given["actor"],
                at=datetime.fromisoformat(given["at"]),
                binding=given["binding"],
            )
            for given in body["approvals"]
        ),
        **times,
    )


def _time(text: str | None) -> datetime | None:
    """Return a time of its text."""
    return None if text is None else datetime.fromisoformat(text)


def _rewritten(row: ProposalRow, after: Proposal, **more: Any) -> ProposalRow:
    """Return a row with a proposal's way, and more, written into it."""
    way = {name: getattr(after, name) for name in _WAY}
    texts = {n: v.isoformat() if isinstance(v, datetime) else v for n, v in way.items()}
    given = [
        {"actor": item.actor, "at": item.at.isoformat(), "binding": item.binding}
        for item in after.approvals
    ]
    body = {**row.body, **texts, "approvals": given, **more}
    return replace(row, state=after.state, version=after.version, body=body)


def _write(transaction: Transaction, row: ProposalRow, after: Proposal, **more: Any) -> ProposalRow:
    """Write a proposal over what was read.

    Raises
    ------
    NotAllowed
        When somebody wrote it meanwhile.
    """
    fresh = _rewritten(row, after, **more)
    if not proposals.replace(transaction, fresh, version=row.version):
        raise NotAllowed(f"{row.id} was acted on at the same moment")
    return fresh


def plain(
    transaction: Transaction, identity: str, action: Action, who: Actor, *, reason: str = ""
) -> ProposalRow:
    """Propose a draft, reject or cancel.

    Raises
    ------
    UnknownProposal
        When there is no such proposal.
    NotAllowed, NotTheirs
        As of `models.parameters.proposal.act`.
    """
    row, proposal, policy = _standing(transaction, identity, who)
    after = act(proposal, action, actor=who.id, at=who.at, policy=policy)
    _log(transaction, who, after.state, identity, {"reason": reason})
    return _write(transaction, row, after)


def changes_of(row: ProposalRow) -> ChangeSet:
    """Return the changes of a kept proposal."""
    body = row.body
    return ChangeSet.model_validate({name: body[name] for name in ("changes", "oracles", "limits")})


def _preview(transaction: Transaction, row: ProposalRow, who: Actor) -> TermPreview:
    """Return what a proposal would do to the book of this moment."""
    book = read_now(transaction, now=who.at)
    return term_preview.make(
        transaction,
        book,
        changes_of(row),
        is_searched=False,
        is_bounded=row.body.get("rollback_of") is None,
    )


def _summary(made: TermPreview) -> dict[str, Any]:
    """Return a preview as it is kept beside its proposal."""
    effect = made.effect
    return {
        "preview_id": made.preview_id,
        "as_of": made.book.at.isoformat(),
        "liquidatable_now": effect.before,
        "liquidatable_after": effect.after,
        "newly_count": len(effect.newly),
        "newly_debt": exact_text(effect.debt, 0),
        "newly": sorted(item.key for item in effect.newly),
        "passes": made.decision.passes,
        "reasons": list(term_preview.texts(made.decision.reasons)),
        "reason_notices": msgspec.to_builtins(term_preview.notices(made.decision.reasons)),
        "lowers_limits": bool(made.changes) and all(map(_lowers_limit, made.changes)),
        "before": [_value(change, change.before) for change in made.changes],
    }


def _lowers_limit(change: Change) -> bool:
    """Return whether a change lowers a limit of exposure."""
    return change.parameter.role in CAPS and change.to < change.before


def _value(change: Change, value: Any) -> dict[str, Any]:
    """Return a parameter with a value, as a change states it."""
    unit = change.parameter.unit
    return {
        "venue": change.market.venue,
        "market": change.market.market,
        "chain": change.market.chain or None,
        "path": change.path,
        "value": list(brackets(value)) if change.is_table else exact_text(Fraction(value, unit), 0),
    }


def simulate(transaction: Transaction, identity: str, who: Actor) -> ProposalRow:
    """Preview a proposal on the book of this moment; approvals of what stood before fall.

    Raises
    ------
    UnknownProposal, NotAllowed
        As of `plain`.
    InvalidInput, Refused
        As of `term_preview.make`.
    """
    row, proposal, policy = _standing(transaction, identity, who)
    made = _preview(transaction, row, who)
    summary = _summary(made)
    binding = digest([row.body["changes"], row.body["oracles"], row.body["limits"], summary])
    after = act(proposal, Action.SIMULATE, actor=who.id, at=who.at, policy=policy, binding=binding)
    _log(transaction, who, after.state, identity, {"binding": binding, "preview": summary})
    return _write(transaction, row, after, preview=summary)


def approve(transaction: Transaction, identity: str, who: Actor, *, binding: str) -> ProposalRow:
    """Approve what is stated, if it is what stands and the gate lets it pass.

    Raises
    ------
    UnknownProposal, NotAllowed, NotTheirs
        As of `plain`.
    """
    row, proposal, policy = _standing(transaction, identity, who)
    after = act(proposal, Action.APPROVE, actor=who.id, at=who.at, policy=policy, binding=binding)
    _refuse_gate(row)
    given = {"binding": binding, "approvals": len(after.approvals), "needed": policy.approvals}
    _log(transaction, who, "approval", identity, {**given, "state": after.state})
    return _write(transaction, row, after)


def _refuse_gate(row: ProposalRow) -> None:
    """Refuse what the gate refused.

    Raises
    ------
    NotAllowed
        With its reasons.
    """
    visited = row.body.get("preview") or {}
    if not visited.get("passes"):
        raise NotAllowed(f"the gate refuses {row.id}: {'; '.join(visited.get('reasons', []))}")


def schedule(transaction: Transaction, identity: str, who: Actor) -> ProposalRow:
    """Schedule an approved proposal; votes, where they are taken, have to be won by then.

    Lowering limits of exposure that takes nobody's collateral waits for nothing.

    Raises
    ------
    UnknownProposal, NotAllowed
        As of `plain`.
    """
    row, proposal, policy = _standing(transaction, identity, who)
    _refuse_votes(transaction, proposal, policy, who)
    visited = row.body.get("preview") or {}
    if visited.get("lowers_limits") and not visited["newly_count"]:
        policy = replace(policy, delay=timedelta(0))
    after = act(proposal, Action.SCHEDULE, actor=who.id, at=who.at, policy=policy)
    begin = "" if after.not_before is None else after.not_before.isoformat()
    _log(transaction, who, after.state, identity, {"not_before": begin})
    return _write(transaction, row, after)


def _refuse_votes(transaction: Transaction, proposal: Proposal, policy: Policy, who: Actor) -> None:
    """Refuse a proposal whose votes are not won, where votes are taken.

    Raises
    ------
    NotAllowed
        While votes are taken, and when they are lost.
    """
    if policy.ballot is None or proposal.simulated_at is None:
        return
    end = proposal.simulated_at + policy.ballot.period
    if who.at < end:
        raise NotAllowed(f"votes on {proposal.id} are taken until {end.isoformat()}")
    result = count(policy.ballot, proposals.votes(transaction, proposal.id))
    if not result.passes:
        why = "is not accepted" if result.has_quorum else "has no quorum"
        raise NotAllowed(f"{proposal.id} {why}: {result.yes} yes, {result.no} no of {result.total}")


def vote(
    transaction: Transaction, identity: str, who: Actor, *, voter: str, choice: str
) -> ProposalRow:
    """Take a vote.

    Raises
    ------
    UnknownProposal
        When there is no such proposal.
    NotAllowed
        When no votes are taken, or their time is over.
    InvalidInput
        When the voter has no weight.
    """
    row, proposal, policy = _standing(transaction, identity, who)
    ballot = policy.ballot
    if ballot is None or proposal.simulated_at is None:
        raise NotAllowed(f"no votes are taken on {identity}")
    if proposal.state not in {State.SIMULATED, State.APPROVED} or (
        who.at >= proposal.simulated_at + ballot.period
    ):
        raise NotAllowed(f"the time to vote on {identity} is over")
    if voter not in ballot.weights:
        raise InvalidInput([Fault("/voter", f"{voter[:80]!r} has no weight")])
    proposals.vote(transaction, proposal=identity, voter=voter, choice=choice, at=who.at)
    weight = str(ballot.weights[voter])
    _log(transaction, who, "vote", identity, {"voter": voter, "choice": choice, "weight": weight})
    return row


def activate(transaction: Transaction, identity: str, who: Actor) -> ProposalRow:
    """Put a proposal's terms in force, if the gate lets it pass on the book of this moment.

    Raises
    ------
    UnknownProposal, NotAllowed
        As of `plain`; NotAllowed too where more accounts fall than was approved, and while a
        breaker holds terms.
    """
    row, proposal, policy = _standing(transaction, identity, who)
    after = act(proposal, Action.ACTIVATE, actor=who.id, at=who.at, policy=policy)
    made = _preview(transaction, row, who)
    summary = _summary(made)
    _refuse_worse(row, made, policy)
    if not (summary["lowers_limits"] or breaker_board.holds_nothing(transaction)):
        raise NotAllowed(f"a breaker holds terms: {identity} cannot be activated now")
    for whose in dict.fromkeys(change.market for change in made.changes):
        mine = [change for change in made.changes if change.market == whose]
        terms = applied(made.book.judged.terms[whose], mine)
        market.push_terms(transaction, whose, raw(terms), valid_from=made.book.at)
    values = [
        {**_value(change, change.before), "to": _value(change, change.to)["value"]}
        for change in made.changes
    ]
    for change, value in zip(made.changes, values, strict=True):
        subject = term_preview.subject_of(change)
        _log(transaction, who, term_preview.CHANGED, subject, {**value, "proposal": identity})
    _log(transaction, who, after.state, identity, {"preview": summary, "values": values})
    _end_others(transaction, row, made.changes, who)
    done = {"at": made.book.at.isoformat(), "values": values, "preview": summary}
    return _write(transaction, row, after, activation=done)


def _refuse_worse(row: ProposalRow, made: TermPreview, policy: Policy) -> None:
    """Refuse to do more harm than was approved.

    Raises
    ------
    NotAllowed
        With who falls beyond those.
    """
    if not made.decision.passes:
        raise NotAllowed(
            f"the gate refuses {row.id} now: {'; '.join(term_preview.texts(made.decision.reasons))}"
        )
    then = row.body["preview"]
    more = sorted({item.key for item in made.effect.newly} - set(then["newly"]))
    if len(more) > policy.tolerance_accounts:
        raise NotAllowed(f"{len(more)} accounts fall that were not approved: {', '.join(more[:5])}")
    debt = Fraction(then["newly_debt"]) + policy.tolerance_debt
    if made.effect.debt > debt:
        raise NotAllowed(
            f"{exact_text(made.effect.debt, 0)} of debt falls, more than {exact_text(debt, 0)}"
        )


def raw(terms: Any) -> dict[str, Any]:
    """Return terms as a store keeps them: exact numbers as text."""
    tree = _plain(terms)
    return dict(tree)


def _plain(value: Any) -> Any:
    """Return a part of terms without the rulebook's own types."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        parts = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return {name: _plain(part) for name, part in parts.items() if part is not None}
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    return str(value)


def _end_others(
    transaction: Transaction, row: ProposalRow, changes: Iterable[Change], who: Actor
) -> None:
    """End the active proposals whose parameters another one sets now."""
    places = {(change.market, change.path) for change in changes}
    undone = row.body.get("rollback_of")
    policy = policy_of(transaction)[0]
    after = ""
    while part := proposals.read(transaction, state=State.ACTIVE, after=after):
        after = part[-1].id
        for other in part:
            if other.id == undone or places & _places(other):
                action = Action.ROLL_BACK if other.id == undone else Action.SUPERSEDE
                ended = act(proposal_of(other), action, actor=who.id, at=who.at, policy=policy)
                _log(transaction, who, ended.state, other.id, {"by": row.id})
                _write(transaction, other, ended)


def _places(row: ProposalRow) -> set[tuple[MarketId, str]]:
    """Return the parameters that an active proposal set."""
    return {
        (MarketId(value["venue"], value["market"], value["chain"] or ""), value["path"])
        for value in row.body["activation"]["values"]
    }


def roll_back(transaction: Transaction, identity: str, who: Actor, *, reason: str) -> ProposalRow:
    """Propose what stood before a proposal; it passes the same gate, for it can liquidate too.

    Raises
    ------
    UnknownProposal
        When there is no such proposal.
    NotAllowed
        When it is not active.
    """
    row, proposal, policy = _standing(transaction, identity, who)
    act(proposal, Action.ROLL_BACK, actor=who.id, at=who.at, policy=policy)
    changes = [
        {
            "venue": value["venue"],
            "market": value["market"],
            **({"chain": value["chain"]} if value["chain"] else {}),
            **_named(value["path"], value["value"]),
            "to": value["value"],
        }
        for value in row.body["activation"]["values"]
    ]
    body = ProposalBody.model_validate(
        {
            "title": f"Roll back: {row.body['title']}"[:200],
            "reason": reason,
            "changes": changes,
            "limits": row.body["limits"],
        }
    )
    return create(transaction, body, who, rollback_of=identity)


def _named(path: str, value: Any) -> dict[str, str]:
    """Return how a change names a parameter: a table by its asset, a number by its path."""
    if isinstance(value, list):
        return {"asset": path.partition(".")[2], "parameter": Role.TIERS.value}
    return {"parameter": path}


def answer(
    transaction: Transaction, row: ProposalRow, *, at: datetime, request_id: str
) -> ProposalAnswer:
    """Return a proposal as it stands at a moment."""
    policy = policy_of(transaction)[0]
    now = as_of(proposal_of(row), policy, at)
    body = row.body
    votes = None
    if policy.ballot is not None:
        votes = _counted(count(policy.ballot, proposals.votes(transaction, row.id)))
    return ProposalAnswer(
        request_id=request_id,
        id=row.id,
        state=now.state,
        version=row.version,
        title=body["title"],
        reason=body["reason"],
        proposer=now.proposer,
        created_at=now.created_at,
        moved_at=now.moved_at,
        allowed=tuple(allowed(now.state)),
        changes=tuple(body["changes"]),
        oracles=tuple(body["oracles"]),
        limits=body["limits"],
        binding=now.binding,
        simulation=None if body.get("preview") is None else _simulation(body["preview"]),
        approvals=tuple(
            ApprovalAnswer(actor=item.actor, at=item.at, binding=item.binding)
            for item in now.approvals
        ),
        approvals_needed=policy.approvals,
        votes=votes,
        not_before=now.not_before,
        expires_at=expires_at(now, policy),
        rollback_of=body.get("rollback_of"),
        activation=body.get("activation"),
    )


def _simulation(visited: Mapping[str, Any]) -> SimulationAnswer:
    """Return a kept preview."""
    return SimulationAnswer(
        preview_id=visited["preview_id"],
        as_of=datetime.fromisoformat(visited["as_of"]),
        liquidatable_now=visited["liquidatable_now"],
        liquidatable_after=visited["liquidatable_after"],
        newly_count=visited["newly_count"],
        newly_debt=visited["newly_debt"],
        newly=tuple(visited["newly"]),
        before=tuple(visited["before"]),
        passes=visited["passes"],
        reasons=tuple(visited["reasons"]),
        reason_notices=msgspec.convert(visited.get("reason_notices", ()), tuple[Notice, ...]),
    )


def _counted(result: Count) -> CountAnswer:
    """Return what votes say in exact text."""
    return CountAnswer(
        yes=str(result.yes),
        no=str(result.no),
        abstained=str(result.abstained),
        total=str(result.total),
        has_quorum=result.has_quorum,
        passes=result.passes,
    )
