"""An order's way: every state with every action, what withdraws it, and what holds its trigger."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import product

import pytest

from models.orders.mandate import Bounds
from models.orders.order import (
    LIVE,
    PATIENCE,
    Action,
    Ground,
    NotAllowed,
    Order,
    State,
    View,
    act,
    ground_to_withdraw,
    is_overdue,
    is_to_be_judged,
)

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
ORDER = Order(
    id="o",
    state=State.READY,
    version=1,
    made_at=NOON,
    moved_at=NOON,
    expires_at=NOON + 60 * SECOND,
    value=Fraction(100),
    prices={"ETH": Bounds(least=Fraction(990), most=Fraction(1010))},
    legs={"a": "1"},
)
LEADS = {
    ("ready", "accept"): "accepted",
    ("ready", "withdraw"): "withdrawn",
    ("accepted", "finish"): "done",
    ("accepted", "fail"): "failed",
    ("done", "judge"): "judged",
}


@pytest.mark.parametrize(("state", "action"), list(product(State, Action)))
def test_every_state_with_every_action(state: State, action: Action) -> None:
    """What the table does not name is refused, and says what is allowed."""
    order = replace(ORDER, state=state)
    following = LEADS.get((state.value, action.value))
    if following is None:
        with pytest.raises(NotAllowed, match=f"o is {state}: {action} is not allowed"):
            act(order, action, at=NOON)
        return
    after = act(order, action, at=NOON + SECOND)
    assert (after.state, after.version, after.moved_at) == (following, 2, NOON + SECOND)


def test_a_trigger_is_held_until_it_is_known_what_came_of_it() -> None:
    """Ready, accepted and done hold it; what ended otherwise does not."""
    assert {state.value for state in LIVE} == {"ready", "accepted", "done"}
    assert [replace(ORDER, state=state).is_live for state in State] == [
        True,
        True,
        True,
        False,
        False,
        False,
        False,
    ]


def test_an_order_is_not_accepted_at_its_end() -> None:
    """The last moment belongs to nobody."""
    act(ORDER, Action.ACCEPT, at=NOON + 59 * SECOND)
    with pytest.raises(NotAllowed, match="expired 2030-01-01T12:01:00"):
        act(ORDER, Action.ACCEPT, at=NOON + 60 * SECOND)
    with pytest.raises(NotAllowed, match="is before"):
        act(ORDER, Action.ACCEPT, at=NOON - SECOND)


@pytest.mark.parametrize(
    ("view", "ground"),
    [
        (View(at=NOON, prices={"ETH": Fraction(990)}, legs={"a": "1"}), None),
        (View(at=NOON), None),
        (View(at=NOON, is_in_force=False), Ground.MANDATE_ENDED),
        (View(at=NOON + 60 * SECOND), Ground.EXPIRED),
        (View(at=NOON, legs={"a": "2"}), Ground.POSITION_CHANGED),
        (View(at=NOON, prices={"ETH": Fraction(9899, 10)}), Ground.PRICE_MOVED),
        (View(at=NOON, prices={"ETH": Fraction(10101, 10)}), Ground.PRICE_MOVED),
        (View(at=NOON, prices={}), Ground.PRICE_UNKNOWN),
        (View(at=NOON, is_needed=False), Ground.NOT_NEEDED),
        (View(at=NOON, is_needed=True), None),
    ],
)
def test_what_withdraws_an_order_that_nobody_accepted(view: View, ground: Ground | None) -> None:
    """One ground is enough; once a keeper acts, none takes the order from it."""
    assert ground_to_withdraw(ORDER, view) is ground
    for state in set(State) - {State.READY}:
        assert ground_to_withdraw(replace(ORDER, state=state), view) is None


def test_a_silent_keeper_is_waited_for() -> None:
    """Ten minutes beyond the order's end; only then the trigger is free again."""
    accepted = act(ORDER, Action.ACCEPT, at=NOON + SECOND)
    end = ORDER.expires_at + PATIENCE
    assert not is_overdue(accepted, end - SECOND)
    assert is_overdue(accepted, end)
    assert not is_overdue(ORDER, end)


def test_a_finished_order_is_judged_once_its_accounts_changed() -> None:
    """Or once that was waited for in vain."""
    done = replace(ORDER, state=State.DONE, moved_at=NOON)
    assert not is_to_be_judged(done, View(at=NOON + SECOND, legs={"a": "1"}))
    assert not is_to_be_judged(done, View(at=NOON + SECOND))
    assert is_to_be_judged(done, View(at=NOON + SECOND, legs={"a": "2"}))
    assert is_to_be_judged(done, View(at=NOON + PATIENCE))
    both = replace(done, legs={"a": "1", "b": "1"})
    assert not is_to_be_judged(both, View(at=NOON + SECOND, legs={"a": "2", "b": "1"}))


@pytest.mark.parametrize(
    ("state", "action", "has_moved", "counts"),
    [
        (State.READY, Action.WITHDRAW, True, False),
        (State.READY, Action.ACCEPT, True, True),
        (State.ACCEPTED, Action.FAIL, True, True),
        (State.ACCEPTED, Action.FAIL, False, False),
        (State.ACCEPTED, Action.FINISH, True, True),
    ],
)
def test_only_what_surely_moved_nothing_leaves_the_budget(
    state: State, action: Action, *, has_moved: bool, counts: bool
) -> None:
    """A keeper that failed half-way may have spent all of it."""
    after = act(replace(ORDER, state=state), action, at=NOON + SECOND, has_moved=has_moved)
    assert after.counts is counts
