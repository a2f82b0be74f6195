"""A proposal on its way: which action leads from which state to which, and who may take it.

draft → proposed → simulated → approved → scheduled → active → rolled_back | superseded, with the
exits rejected, cancelled and expired. Approvals bind to the hash of the changes and of the
preview that was approved, and fall when either changes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from fractions import Fraction

from models.errors import ForewarnError


class State(StrEnum):
    """Where a proposal stands."""

    DRAFT = "draft"
    PROPOSED = "proposed"
    SIMULATED = "simulated"
    APPROVED = "approved"
    SCHEDULED = "scheduled"
    ACTIVE = "active"
    ROLLED_BACK = "rolled_back"
    SUPERSEDED = "superseded"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class Action(StrEnum):
    """What can be done to a proposal."""

    PROPOSE = "propose"
    SIMULATE = "simulate"
    APPROVE = "approve"
    REJECT = "reject"
    SCHEDULE = "schedule"
    ACTIVATE = "activate"
    CANCEL = "cancel"
    EXPIRE = "expire"
    ROLL_BACK = "roll_back"
    SUPERSEDE = "supersede"


_OPEN = (State.DRAFT, State.PROPOSED, State.SIMULATED, State.APPROVED, State.SCHEDULED)
_REVIEWED = (State.PROPOSED, State.SIMULATED, State.APPROVED, State.SCHEDULED)

TABLE: Mapping[tuple[State, Action], State] = {
    (State.DRAFT, Action.PROPOSE): State.PROPOSED,
    (State.PROPOSED, Action.SIMULATE): State.SIMULATED,
    (State.SIMULATED, Action.SIMULATE): State.SIMULATED,
    (State.APPROVED, Action.SIMULATE): State.SIMULATED,
    (State.SCHEDULED, Action.SIMULATE): State.SIMULATED,
    (State.SIMULATED, Action.APPROVE): State.APPROVED,
    (State.APPROVED, Action.SCHEDULE): State.SCHEDULED,
    (State.SCHEDULED, Action.ACTIVATE): State.ACTIVE,
    (State.ACTIVE, Action.ROLL_BACK): State.ROLLED_BACK,
    (State.ACTIVE, Action.SUPERSEDE): State.SUPERSEDED,
    **{(state, Action.CANCEL): State.CANCELLED for state in _OPEN},
    **{(state, Action.EXPIRE): State.EXPIRED for state in _OPEN},
    **{(state, Action.REJECT): State.REJECTED for state in _REVIEWED},
}
"""Every transition that there is; an approval leads on only once there are enough of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How proposals are governed.

    Parameters
    ----------
    approvals
        How many are needed, each by another key than the proposer's.
    delay
        Least time from scheduling to activation.
    window
        How long a proposal may be activated once its time has come.
    lifetime
        How long a proposal lives before it is scheduled.
    preview_life
        Age beyond which a preview no longer counts.
    tolerance_accounts, tolerance_debt
        By how much worse than approved the gate may answer at activation.
    ballot
        How votes are counted; None where nobody votes.
    """

    approvals: int = 1
    delay: timedelta = timedelta(hours=24)
    window: timedelta = timedelta(hours=6)
    lifetime: timedelta = timedelta(days=14)
    preview_life: timedelta = timedelta(hours=24)
    tolerance_accounts: int = 0
    tolerance_debt: Fraction = Fraction(0)
    ballot: "Ballot | None" = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ballot:
    """How votes are counted.

    Parameters
    ----------
    quorum
        Share of all weight that has to vote.
    threshold
        Share of the weight of yes and no that has to be yes; more than it, not as much.
    period
        How long votes are taken, from when the proposal was simulated.
    weights
        Weight by voter, whole units.
    """

    quorum: Fraction
    threshold: Fraction
    period: timedelta
    weights: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """What votes say.

    Parameters
    ----------
    yes, no, abstained
        Weight of each.
    total
        Weight of all voters, who voted or not.
    has_quorum, passes
        Whether enough voted, and whether enough of them say yes.
    """

    yes: int
    no: int
    abstained: int
    total: int
    has_quorum: bool
    passes: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """One approval: by whom, when, and of what."""

    actor: str
    at: datetime
    binding: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A proposal as far as its way is concerned.

    Parameters
    ----------
    version
        Raised by every action; who acts on an older one is refused.
    binding
        Hash of the changes and the preview that approvals bind to; None until simulated.
    simulated_at
        When the preview was made.
    not_before
        From when it may be activated; None until scheduled.
    moved_at
        When it was acted on last.
    """

    id: str
    state: State
    version: int
    proposer: str
    created_at: datetime
    moved_at: datetime
    binding: str | None = None
    simulated_at: datetime | None = None
    approvals: tuple[Approval, ...] = ()
    not_before: datetime | None = None


class NotAllowed(ForewarnError):  # noqa: N818 - named for what happened
    """The state does not allow the action, or its time has not come or is over."""


class NotTheirs(ForewarnError):  # noqa: N818 - named for what happened
    """The actor may not take the action: the proposal, or an approval of it, is theirs."""


def allowed(state: State) -> tuple[Action, ...]:
    """Return what a state allows."""
    return tuple(action for (at, action) in TABLE if at is state)


def expires_at(proposal: Proposal, policy: Policy) -> datetime | None:
    """Return when a proposal dies if nothing happens; None once it is no longer on its way."""
    if proposal.state not in _OPEN:
        return None
    if proposal.not_before is not None:
        return proposal.not_before + policy.window
    return proposal.created_at + policy.lifetime


def as_of(proposal: Proposal, policy: Policy, at: datetime) -> Proposal:
    """Return a proposal as it stands at a moment: expired where its time is over."""
    end = expires_at(proposal, policy)
    if end is None or at < end:
        return proposal
    return replace(
        proposal, state=State.EXPIRED, version=proposal.version + 1, moved_at=max(end, at)
    )


def act(
    proposal: Proposal,
    action: Action,
    *,
    actor: str,
    at: datetime,
    policy: Policy,
    binding: str | None = None,
) -> Proposal:
    """Return a proposal after an action.

    Parameters
    ----------
    binding
        Of a simulation: hash of the changes and the new preview. Of an approval: hash of what
        is approved.

    Raises
    ------
    NotAllowed
        When the state does not allow it, the proposal has expired, the preview is too old, what
        is approved is not what stands, its time has not come, or the clock went back.
    NotTheirs
        When the proposer approves, or somebody approves twice.
    """
    if at < proposal.moved_at:
        raise NotAllowed(
            f"{at.isoformat()} is before {proposal.moved_at.isoformat()}, the last act"
        )
    now = as_of(proposal, policy, at)
    following = TABLE.get((now.state, action))
    if following is None:
        able = ", ".join(allowed(now.state)) or "nothing"
        raise NotAllowed(f"{now.id} is {now.state}: {action} is not allowed; allowed: {able}")
    moved = replace(now, state=following, version=now.version + 1, moved_at=at)
    if action is Action.SIMULATE:
        return replace(moved, binding=binding, simulated_at=at, approvals=(), not_before=None)
    if action is Action.APPROVE:
        return _approved(now, moved, Approval(actor=actor, at=at, binding=binding or ""), policy)
    if action is Action.SCHEDULE:
        _fresh(now, at, policy)
        return replace(moved, not_before=at + policy.delay)
    if action is Action.ACTIVATE:
        _due(now, at)
    return moved


def _approved(now: Proposal, moved: Proposal, approval: Approval, policy: Policy) -> Proposal:
    """Return a proposal with one more approval, approved once there are enough."""
    if approval.actor == now.proposer:
        raise NotTheirs(f"{approval.actor} proposed {now.id} and cannot approve it")
    if approval.actor in {given.actor for given in now.approvals}:
        raise NotTheirs(f"{approval.actor} has approved {now.id} already")
    if approval.binding != now.binding:
        raise NotAllowed(
            f"{approval.binding[:80] or 'nothing'} is approved, but {now.binding} is what stands: "
            "changes or preview are others now"
        )
    _fresh(now, approval.at, policy)
    given = (*now.approvals, approval)
    state = State.APPROVED if len(given) >= policy.approvals else State.SIMULATED
    return replace(moved, approvals=given, state=state)


def _fresh(proposal: Proposal, at: datetime, policy: Policy) -> None:
    """Refuse a preview that is too old to go by."""
    made = proposal.simulated_at
    if made is None or at > made + policy.preview_life:
        raise NotAllowed(f"the preview of {proposal.id} is stale: simulate it again")


def _due(proposal: Proposal, at: datetime) -> None:
    """Refuse an activation before its time."""
    if proposal.not_before is None or at < proposal.not_before:
        begin = None if proposal.not_before is None else proposal.not_before.isoformat()
        raise NotAllowed(f"{proposal.id} may not be activated before {begin}")


def count(ballot: Ballot, votes: Mapping[str, str]) -> Count:
    """Return what votes say; who has no weight counts for nothing.

    Parameters
    ----------
    votes
        `yes`, `no` or `abstain` by voter, the last of each.
    """
    sums = dict.fromkeys(("yes", "no", "abstain"), 0)
    for voter, choice in votes.items():
        sums[choice] += ballot.weights.get(voter, 0)
    total = sum(ballot.weights.values())
    voted = sum(sums.values())
    decided = sums["yes"] + sums["no"]
    has_quorum = total > 0 and Fraction(voted, total) >= ballot.quorum
    return Count(
        yes=sums["yes"],
        no=sums["no"],
        abstained=sums["abstain"],
        total=total,
        has_quorum=has_quorum,
        passes=has_quorum and decided > 0 and Fraction(sums["yes"], decided) > ballot.threshold,
    )
