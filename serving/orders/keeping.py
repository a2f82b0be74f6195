"""Orders in the store: written, accepted, reported, withdrawn, judged; each act a transaction's.

Every act holds the order's row, and what spends holds the mandate's: two keepers that accept at
once, or two watchers that make an order at once, come one after the other and see what the first
did.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from fractions import Fraction
from typing import Any

import msgspec
from pydantic import BaseModel

from models.errors import Fault, ForewarnError, InvalidInput
from models.orders import order as machine
from models.orders.mandate import DAY, Bounds, over_budget
from models.orders.order import Action, Ground, NotAllowed, Order, State, View, ground_to_withdraw
from serving.orders.drafting import legs_text, refused
from serving.schemas.assessment import exact_text
from serving.schemas.orders import (
    Course,
    LegHolding,
    MandateAnswer,
    MandateBody,
    OrderAnswer,
    OrderContent,
    Outcome,
    Seal,
)
from serving.store import Transaction, accounts, alerts, orders, outbox
from serving.store.orders import MandateRow, OrderRow
from serving.store.outbox import OutboxMessage

SHAPE = "order"
"""Of messages that carry an order; the webhook's type is `plan.ready`."""


class UnknownOrder(ForewarnError):  # noqa: N818 - named for what happened
    """There is no such order, or no such mandate."""


class NotTheirs(ForewarnError):  # noqa: N818 - named for what happened
    """The mandate names another keeper."""


def order_of(row: OrderRow) -> Order:
    """Return a kept order as far as its way is concerned."""
    prices: Mapping[str, Mapping[str, str | None]] = row.body["prices"]
    return Order(
        id=row.id,
        state=State(row.state),
        version=row.version,
        made_at=row.made_at,
        expires_at=row.expires_at,
        moved_at=row.moved_at,
        value=Fraction(row.value),
        prices={
            asset: Bounds(least=_fraction(bounds["least"]), most=_fraction(bounds["most"]))
            for asset, bounds in prices.items()
        },
        legs={each["account"]: _legs(each["legs_before"]) for each in row.body["accounts"]},
        counts=row.counts,
    )


def _fraction(text: str | None) -> Fraction | None:
    """Return an exact bound of its text."""
    return None if text is None else Fraction(text)


def _legs(stated: Any) -> str:
    """Return kept legs as one text."""
    return legs_text(msgspec.convert(stated, tuple[LegHolding, ...]))


def course_of(row: OrderRow) -> Course:
    """Return what became of an order."""
    return msgspec.convert(row.course, Course)


def moved(row: OrderRow, order: Order, **news: Any) -> OrderRow:
    """Return a row with an order as it has become, and what is new of its course."""
    return replace(
        row,
        state=order.state,
        live=row.trigger if order.is_live else None,
        version=order.version,
        moved_at=order.moved_at,
        counts=order.counts,
        course=msgspec.to_builtins(replace(course_of(row), **news)),
    )


def withdrawn(
    row: OrderRow, ground: Ground, *, at: datetime, reason: str | None = None
) -> OrderRow:
    """Return an order that may no longer be acted on; raises `NotAllowed`."""
    after = machine.act(order_of(row), Action.WITHDRAW, at=max(at, row.moved_at))
    return moved(row, after, ground=ground.value, reason=reason)


def write_new(
    transaction: Transaction, row: OrderRow, *, receiver: str | None
) -> tuple[OrderRow | None, list[OutboxMessage]]:
    """Write an order, and return it as it was written with the message that tells of it.

    What others have spent since it was drafted counts: beyond the budget it is refused.

    Returns
    -------
    tuple
        None and no message where its trigger is held by another order.
    """
    mandate = orders.mandate(transaction, row.mandate)
    if mandate is None or not mandate.is_in_force(row.made_at):
        return None, []
    if row.live is not None:
        row = _within_budget(transaction, row, mandate)
    if not orders.insert(transaction, row):
        return None, []
    is_told = row.live is not None and receiver is not None
    return row, [message(row, receiver or "")] if is_told else []


def _within_budget(transaction: Transaction, row: OrderRow, mandate: MandateRow) -> OrderRow:
    """Return an order, refused where the budget has been spent meanwhile."""
    limits = MandateBody.model_validate(mandate.body).as_limits()
    spent = orders.spent(transaction, mandate.id, since=row.made_at - DAY)
    broken = over_budget(limits, Fraction(row.value), spent=spent)
    return refused(row, broken) if broken else row


def message(row: OrderRow, receiver: str) -> OutboxMessage:
    """Return the message that an order is ready."""
    return OutboxMessage(
        key=f"order/{row.id}",
        receiver=receiver,
        stream="",
        urgency=0,
        body={
            "key": f"order/{row.id}",
            "shape": SHAPE,
            "at": row.made_at.isoformat(),
            "counts": {},
            "items": [],
            "more": 0,
            "order": dict(row.body),
            "seal": dict(row.seal or {}),
        },
    )


def tell(transaction: Transaction, messages: Sequence[OutboxMessage], *, at: datetime) -> None:
    """Put messages into the outbox."""
    outbox.post(transaction, messages, now=at)


def standing(transaction: Transaction, name: str) -> OrderRow:
    """Return an order, held until the transaction ends; raises `UnknownOrder`."""
    row = orders.find(transaction, name)
    if row is None:
        raise UnknownOrder(f"no order {name[:40]!r}")
    return row


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeper:
    """Who reports, and when."""

    id: str
    at: datetime


def _theirs(transaction: Transaction, row: OrderRow, who: Keeper) -> MandateRow:
    """Return the mandate of an order that somebody may report on.

    Raises
    ------
    NotTheirs
        When the mandate names another keeper, or another one accepted.
    """
    mandate = orders.mandate(transaction, row.mandate)
    if mandate is None:
        raise UnknownOrder(f"no mandate {row.mandate!r}")
    named = mandate.body.get("keeper") or course_of(row).keeper
    if named is not None and named != who.id:
        raise NotTheirs(f"{row.id} is for another keeper")
    return mandate


def ground_now(transaction: Transaction, row: OrderRow, view: View) -> Ground | None:
    """Return why an order may no longer be acted on, its mandate as it stands now."""
    mandate = orders.mandate(transaction, row.mandate)
    is_in_force = mandate is not None and mandate.is_in_force(view.at)
    ground = ground_to_withdraw(order_of(row), replace(view, is_in_force=is_in_force))
    if ground is not None or mandate is None or row.state != State.READY:
        return ground
    limits = MandateBody.model_validate(mandate.body).as_limits()
    spent = orders.spent(transaction, mandate.id, since=view.at - DAY)
    is_beyond = Fraction(row.value) > limits.per_order or spent > limits.per_day
    return Ground.OVER_BUDGET if is_beyond else None


def withdraw_stale(
    transaction: Transaction, name: str, view: View, who: Keeper
) -> tuple[OrderRow, Ground | None]:
    """Withdraw an order that a keeper asks for and that may no longer be acted on.

    Returns
    -------
    tuple
        The order as it stands, and why it was withdrawn; None where it was not.
    """
    row = standing(transaction, name)
    _theirs(transaction, row, who)
    ground = ground_now(transaction, row, view)
    if ground is None:
        return row, None
    after = withdrawn(row, ground, at=who.at)
    orders.replace(transaction, after, version=row.version)
    return after, ground


def accept(transaction: Transaction, name: str, who: Keeper) -> OrderRow:
    """Let a keeper act on an order; the same keeper may ask again and gets the same answer.

    Raises
    ------
    UnknownOrder, NotTheirs, NotAllowed
        When there is none, it is another's, or its state does not allow it.
    """
    row = standing(transaction, name)
    _theirs(transaction, row, who)
    if row.state == State.ACCEPTED and course_of(row).keeper == who.id:
        return row
    after = machine.act(order_of(row), Action.ACCEPT, at=who.at)
    return _written(transaction, row, moved(row, after, keeper=who.id, accepted_at=who.at))


def finish(transaction: Transaction, name: str, who: Keeper, *, receipt: str) -> OrderRow:
    """Take a keeper's report that all was done; raises as `accept` does."""
    row = standing(transaction, name)
    _theirs(transaction, row, who)
    if row.state in {State.DONE, State.JUDGED} and course_of(row).receipt == receipt:
        return row
    after = machine.act(order_of(row), Action.FINISH, at=who.at)
    return _written(transaction, row, moved(row, after, receipt=receipt))


def fail(
    transaction: Transaction, name: str, who: Keeper, *, reason: str, has_moved: bool
) -> OrderRow:
    """Take a keeper's report that it failed; raises as `accept` does."""
    row = standing(transaction, name)
    _theirs(transaction, row, who)
    if row.state == State.FAILED and course_of(row).reason == reason:
        return row
    after = machine.act(order_of(row), Action.FAIL, at=who.at, has_moved=has_moved)
    return _written(transaction, row, moved(row, after, reason=reason))


def withdraw(transaction: Transaction, name: str, *, at: datetime, reason: str) -> OrderRow:
    """Withdraw an order that nobody has accepted; raises as `accept` does."""
    row = standing(transaction, name)
    return _written(transaction, row, withdrawn(row, Ground.BY_HAND, at=at, reason=reason or None))


def _written(transaction: Transaction, row: OrderRow, after: OrderRow) -> OrderRow:
    """Write an order over the version that is held."""
    if not orders.replace(transaction, after, version=row.version):
        raise NotAllowed(f"{row.id} changed meanwhile")
    return after


def settle(row: OrderRow, view: View, outcome: Callable[[], Outcome]) -> OrderRow | None:
    """Return an order that time or the account has moved on; None where nothing has.

    Parameters
    ----------
    outcome
        Returns what a finished order came to.
    """
    order = order_of(row)
    if machine.is_overdue(order, view.at):
        return moved(
            row, machine.act(order, Action.FAIL, at=view.at), ground=Ground.NO_REPORT.value
        )
    if machine.is_to_be_judged(order, view):
        return moved(row, machine.act(order, Action.JUDGE, at=view.at), outcome=outcome())
    ground = ground_to_withdraw(order, view)
    return None if ground is None else withdrawn(row, ground, at=view.at)


def write_changes(
    transaction: Transaction, changed: Iterable[tuple[OrderRow, OrderRow]]
) -> list[OrderRow]:
    """Write orders over the versions they were read at; one that moved meanwhile stays."""
    return [
        after
        for before, after in changed
        if orders.replace(transaction, after, version=before.version)
    ]


def answer(row: OrderRow) -> OrderAnswer:
    """Return an order in words, exactly as it was signed."""
    return OrderAnswer(
        id=row.id,
        state=row.state,
        version=row.version,
        moved_at=row.moved_at,
        order=msgspec.convert(row.body, OrderContent),
        seal=None if row.seal is None else msgspec.convert(row.seal, Seal),
        course=course_of(row),
    )


def mandate_answer(transaction: Transaction, row: MandateRow, *, at: datetime) -> MandateAnswer:
    """Return a mandate as it stands."""
    return MandateAnswer(
        id=row.id,
        version=row.version,
        created_at=row.created_at,
        ended_at=row.ended_at,
        in_force=row.is_in_force(at),
        spent=exact_text(orders.spent(transaction, row.id, since=at - DAY), 0),
        mandate=dict(row.body),
    )


def put_mandate(
    transaction: Transaction,
    name: str,
    body: MandateBody,
    stated: Mapping[str, Any],
    *,
    at: datetime,
) -> MandateRow:
    """Write a mandate.

    Parameters
    ----------
    stated
        The body as it is kept, exact numbers as text.

    Raises
    ------
    InvalidInput
        Listing accounts that the store does not know or that another owns, an unknown receiver,
        and an end that is past.
    """
    before = orders.mandate(transaction, name)
    faults = list(_mandate_faults(transaction, body, at))
    if before is not None and before.owner != body.owner:
        faults.append(Fault("/owner", f"the mandate is {before.owner[:80]!r}'s"))
    if faults:
        raise InvalidInput(faults)
    row = MandateRow(
        id=name,
        owner=body.owner,
        version=1 if before is None else before.version + 1,
        created_at=at if before is None else before.created_at,
        expires_at=body.expires_at,
        ended_at=None,
        body=stated,
    )
    orders.put_mandate(transaction, row, body.accounts)
    return row


def _mandate_faults(transaction: Transaction, body: MandateBody, at: datetime) -> Iterable[Fault]:
    """Yield what is wrong with a mandate beside its form."""
    stored = accounts.owners(transaction, body.accounts)
    for place, name in enumerate(body.accounts):
        if name not in stored:
            yield Fault(f"/accounts/{place}", f"the store knows no account {name[:80]!r}")
        elif stored[name][0] != body.owner:
            yield Fault(f"/accounts/{place}", f"{name[:80]!r} is not {body.owner[:80]!r}'s")
        elif stored[name][1] not in body.venues:
            detail = f"its venue {stored[name][1]} is none of venues"
            yield Fault(f"/accounts/{place}", detail)
    if body.expires_at <= at:
        yield Fault("/expires_at", f"{body.expires_at.isoformat()} is past")
    if body.per_order > body.per_day:
        yield Fault("/per_order", "is more than per_day")
    if body.receiver is not None and alerts.receiver(transaction, body.receiver) is None:
        yield Fault("/receiver", f"no receiver {body.receiver[:80]!r}")


def text_of(value: Any) -> Any:
    """Return a body in what is kept: exact numbers and times as text, what was left out too."""
    if isinstance(value, BaseModel):
        return {name: text_of(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, Mapping):
        return {name: text_of(part) for name, part in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [text_of(part) for part in value]
    if isinstance(value, Fraction):
        return exact_text(value, 0)
    return value.isoformat() if isinstance(value, datetime) else value
