"""Every state with every action, who may act, and what approvals bind to."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import product

import pytest

from models.parameters.proposal import (
    Action,
    Approval,
    Ballot,
    NotAllowed,
    NotTheirs,
    Policy,
    Proposal,
    State,
    act,
    allowed,
    as_of,
    count,
    expires_at,
)

AT = datetime(2026, 3, 10, tzinfo=UTC)
POLICY = Policy()
LATER = AT + timedelta(hours=25)

ALLOWED = {
    "draft": {"propose": "proposed", "cancel": "cancelled", "expire": "expired"},
    "proposed": {
        "simulate": "simulated",
        "reject": "rejected",
        "cancel": "cancelled",
        "expire": "expired",
    },
    "simulated": {
        "simulate": "simulated",
        "approve": "approved",
        "reject": "rejected",
        "cancel": "cancelled",
        "expire": "expired",
    },
    "approved": {
        "simulate": "simulated",
        "schedule": "scheduled",
        "reject": "rejected",
        "cancel": "cancelled",
        "expire": "expired",
    },
    "scheduled": {
        "simulate": "simulated",
        "activate": "active",
        "reject": "rejected",
        "cancel": "cancelled",
        "expire": "expired",
    },
    "active": {"roll_back": "rolled_back", "supersede": "superseded"},
    "rolled_back": {},
    "superseded": {},
    "rejected": {},
    "cancelled": {},
    "expired": {},
}
"""What leads where, written down apart from the table that is tested."""


def proposal(state: State) -> Proposal:
    """Return a proposal that stands in a state."""
    has_preview = state not in {State.DRAFT, State.PROPOSED}
    return Proposal(
        id="p",
        state=state,
        version=7,
        proposer="ada",
        created_at=AT,
        moved_at=AT,
        binding="b" if has_preview else None,
        simulated_at=AT if has_preview else None,
        approvals=(Approval(actor="ben", at=AT, binding="b"),)
        if state in {State.APPROVED, State.SCHEDULED}
        else (),
        not_before=AT if state is State.SCHEDULED else None,
    )


@pytest.mark.parametrize(("state", "action"), list(product(State, Action)))
def test_every_state_with_every_action(state: State, action: Action) -> None:
    """What is allowed leads where it should; everything else names what is allowed."""
    goal = ALLOWED[state].get(action)
    if goal is None:
        with pytest.raises(NotAllowed, match=f"p is {state}: {action} is not allowed"):
            act(proposal(state), action, actor="cyd", at=AT, policy=POLICY, binding="b")
        return
    after = act(proposal(state), action, actor="cyd", at=AT, policy=POLICY, binding="b")
    assert (after.state, after.version, after.moved_at) == (goal, 8, AT)
    assert action in allowed(state)


def test_nobody_approves_their_own_proposal_or_twice() -> None:
    """Both are refused as not theirs, whatever the binding."""
    two = Policy(approvals=2)
    with pytest.raises(NotTheirs, match="ada proposed"):
        act(proposal(State.SIMULATED), Action.APPROVE, actor="ada", at=AT, policy=two, binding="b")
    once = act(
        proposal(State.SIMULATED), Action.APPROVE, actor="ben", at=AT, policy=two, binding="b"
    )
    assert once.state is State.SIMULATED
    with pytest.raises(NotTheirs, match="already"):
        act(once, Action.APPROVE, actor="ben", at=AT, policy=two, binding="b")
    assert (
        act(once, Action.APPROVE, actor="cyd", at=AT, policy=two, binding="b").state == "approved"
    )


def test_an_approval_binds_to_what_stands() -> None:
    """Another binding is refused; a new preview lets the approvals fall."""
    with pytest.raises(NotAllowed, match="b is what stands"):
        act(proposal(State.SIMULATED), Action.APPROVE, actor="c", at=AT, policy=POLICY, binding="a")
    again = act(
        proposal(State.SCHEDULED), Action.SIMULATE, actor="c", at=AT, policy=POLICY, binding="n"
    )
    assert (again.state, again.approvals, again.binding, again.not_before) == (
        State.SIMULATED,
        (),
        "n",
        None,
    )


@pytest.mark.parametrize("action", [Action.APPROVE, Action.SCHEDULE])
def test_a_stale_preview_leads_no_further(action: Action) -> None:
    """After its life it has to be made anew."""
    state = State.SIMULATED if action is Action.APPROVE else State.APPROVED
    with pytest.raises(NotAllowed, match="stale"):
        act(proposal(state), action, actor="cyd", at=LATER, policy=POLICY, binding="b")


def test_an_activation_waits_and_does_not_wait_for_ever() -> None:
    """Not before its time, and not after its window."""
    made = act(proposal(State.APPROVED), Action.SCHEDULE, actor="c", at=AT, policy=POLICY)
    assert made.not_before == AT + timedelta(hours=24)
    early, late = AT + timedelta(hours=23), AT + timedelta(hours=30)
    with pytest.raises(NotAllowed, match="may not be activated before"):
        act(made, Action.ACTIVATE, actor="c", at=early, policy=POLICY)
    with pytest.raises(NotAllowed, match="is expired"):
        act(made, Action.ACTIVATE, actor="c", at=late, policy=POLICY)
    assert as_of(made, POLICY, late).state is State.EXPIRED
    assert expires_at(made, POLICY) == late


def test_a_proposal_does_not_live_for_ever() -> None:
    """Two weeks after it was made it is expired, whatever is done to it."""
    old = AT + timedelta(days=14)
    with pytest.raises(NotAllowed, match="is expired"):
        act(proposal(State.PROPOSED), Action.SIMULATE, actor="c", at=old, policy=POLICY)
    assert expires_at(proposal(State.ACTIVE), POLICY) is None


def test_a_clock_that_goes_back_is_refused() -> None:
    """No act lies before the last."""
    with pytest.raises(NotAllowed, match="the last act"):
        act(
            proposal(State.PROPOSED),
            Action.CANCEL,
            actor="c",
            at=AT - timedelta(seconds=1),
            policy=POLICY,
        )


def test_votes_are_counted_by_weight() -> None:
    """40 of 100 yes against 30 no reaches a quorum of 70 % and passes one half, not 4/7."""
    weights = {"a": 40, "b": 30, "c": 20, "d": 10}
    ballot = Ballot(
        quorum=Fraction(7, 10),
        threshold=Fraction(1, 2),
        period=timedelta(days=3),
        weights=weights,
    )
    votes = {"a": "yes", "b": "no", "stranger": "no"}
    found = count(ballot, votes)
    assert (found.yes, found.no, found.total) == (40, 30, 100)
    assert (found.has_quorum, found.passes) == (True, True)
    tight = Ballot(
        quorum=Fraction(7, 10), threshold=Fraction(4, 7), period=ballot.period, weights=weights
    )
    assert not count(tight, votes).passes
    assert not count(ballot, {"a": "yes"}).has_quorum
    assert count(ballot, {"a": "yes", "b": "abstain"}).passes
    assert not count(ballot, {"a": "abstain", "b": "abstain"}).passes
