"""An order on its way: which action leads from which state to which, and what withdraws it.

ready → accepted → done → judged, with the exits withdrawn and failed. An order that breaks a limit
is refused from the start. A trigger has at most one order that is ready, accepted or done and not
yet judged: as long as it may have been acted on, no second one is made.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from fractions import Fraction

from models.errors import ForewarnError
from models.orders.mandate import Bounds

PATIENCE = timedelta(minutes=10)
"""How long a keeper's report, or what it did, is waited for beyond an order's life."""


class State(StrEnum):
    """Where an order stands."""

    READY = "ready"
    ACCEPTED = "accepted"
    DONE = "done"
    JUDGED = "judged"
    FAILED = "failed"
    WITHDRAWN = "withdrawn"
    REFUSED = "refused"


class Action(StrEnum):
    """What can be done to an order."""

    ACCEPT = "accept"
    FINISH = "finish"
    FAIL = "fail"
    WITHDRAW = "withdraw"
    JUDGE = "judge"


class Ground(StrEnum):
    """Why an order is withdrawn, or has failed without a report."""

    EXPIRED = "expired"
    PRICE_MOVED = "price_moved"
    PRICE_UNKNOWN = "price_unknown"
    OVER_BUDGET = "over_budget"
    MANDATE_ENDED = "mandate_ended"
    POSITION_CHANGED = "position_changed"
    ACCOUNT_STALE = "account_stale"
    RULE_MISMATCH = "rule_mismatch"
    NOT_NEEDED = "not_needed"
    BY_HAND = "by_hand"
    NO_REPORT = "no_report"


TABLE: Mapping[tuple[State, Action], State] = {
    (State.READY, Action.ACCEPT): State.ACCEPTED,
    (State.READY, Action.WITHDRAW): State.WITHDRAWN,
    (State.ACCEPTED, Action.FINISH): State.DONE,
    (State.ACCEPTED, Action.FAIL): State.FAILED,
    (State.DONE, Action.JUDGE): State.JUDGED,
}
"""Every transition that there is."""

LIVE = frozenset({State.READY, State.ACCEPTED, State.DONE})
"""States in which an order may act, or may have acted without its being known what came of it."""


class NotAllowed(ForewarnError):  # noqa: N818 - named for what happened
    """The state does not allow the action, or a limit does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An order as far as its way is concerned.

    Parameters
    ----------
    version
        Raised by every action.
    value
        Quote units that it may move.
    prices
        By asset, between which it may be acted on.
    legs
        What its accounts held when it was made, as text by account.
    counts
        Whether its value counts against the budget: not once it is known that nothing moved.
    """

    id: str
    state: State
    version: int
    made_at: datetime
    expires_at: datetime
    moved_at: datetime
    value: Fraction
    prices: Mapping[str, Bounds] = field(default_factory=dict)
    legs: Mapping[str, str] = field(default_factory=dict)
    counts: bool = True

    @property
    def is_live(self) -> bool:
        """Return whether it holds its trigger."""
        return self.state in LIVE


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What is known now of what an order depends on.

    Parameters
    ----------
    prices
        By asset, quote units; an asset that is absent has no price that can be relied on.
    legs
        What its accounts hold, as text by account; an account that is absent was not looked at.
    doubts
        Why what is known of its accounts is not to be acted on, by account.
    is_in_force
        Whether its mandate is.
    is_needed
        Whether its trigger still fires; None where it was not looked at.
    """

    at: datetime
    prices: Mapping[str, Fraction] | None = None
    legs: Mapping[str, str] = field(default_factory=dict)
    doubts: Mapping[str, Ground] = field(default_factory=dict)
    is_in_force: bool = True
    is_needed: bool | None = None


def ground_to_withdraw(order: Order, view: View) -> Ground | None:
    """Return why an order that nobody has accepted may no longer be acted on; None where it may."""
    return next(_grounds(order, view), None) if order.state is State.READY else None


def _grounds(order: Order, view: View) -> Iterator[Ground]:
    """Yield every ground, the plainest first."""
    if not view.is_in_force:
        yield Ground.MANDATE_ENDED
    if view.at >= order.expires_at:
        yield Ground.EXPIRED
    if any(view.legs.get(name, legs) != legs for name, legs in order.legs.items()):
        yield Ground.POSITION_CHANGED
    yield from (view.doubts[name] for name in order.legs if name in view.doubts)
    prices = view.prices
    for asset, bounds in () if prices is None else order.prices.items():
        price = None if prices is None else prices.get(asset)
        if price is None:
            yield Ground.PRICE_UNKNOWN
        elif not bounds.hold(price):
            yield Ground.PRICE_MOVED
    if view.is_needed is False:
        yield Ground.NOT_NEEDED


def is_overdue(order: Order, at: datetime) -> bool:
    """Return whether a keeper that accepted has been silent for too long."""
    return order.state is State.ACCEPTED and at >= order.expires_at + PATIENCE


def is_to_be_judged(order: Order, view: View) -> bool:
    """Return whether what came of a finished order is known, or was waited for long enough."""
    if order.state is not State.DONE:
        return False
    moved = [view.legs[name] != legs for name, legs in order.legs.items() if name in view.legs]
    return (bool(moved) and all(moved)) or view.at >= order.moved_at + PATIENCE


def act(order: Order, action: Action, *, at: datetime, has_moved: bool = True) -> Order:
    """Return an order after an action.

    Parameters
    ----------
    has_moved
        Of a failure: whether anything may have been moved. Where nothing was, its value no
        longer counts against the budget.

    Raises
    ------
    NotAllowed
        When the state does not allow it, it is accepted too late, or the clock went back.
    """
    following = TABLE.get((order.state, action))
    if following is None:
        able = ", ".join(a for (state, a) in TABLE if state is order.state) or "nothing"
        raise NotAllowed(f"{order.id} is {order.state}: {action} is not allowed; allowed: {able}")
    if at < order.moved_at:
        raise NotAllowed(f"{at.isoformat()} is before {order.moved_at.isoformat()}, the last act")
    if action is Action.ACCEPT and at >= order.expires_at:
        raise NotAllowed(f"{order.id} expired {order.expires_at.isoformat()}")
    counts = action is not Action.WITHDRAW and has_moved
    return replace(order, state=following, version=order.version + 1, moved_at=at, counts=counts)
