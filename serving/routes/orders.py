"""Mandates and orders: what keepers may do for owners, and what became of it."""

from collections.abc import Callable
from typing import Annotated, Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import Field

from models.errors import Fault, InvalidInput
from models.orders.order import NotAllowed, State
from serving.application.scoring import ScoringService
from serving.http.idempotency import IDEMPOTENCY, opened, written
from serving.http.keys import Scope
from serving.http.query import Limit, Query, parameters, read_query
from serving.http.routing import Answer, Call, Operation, Parameter, json_answer
from serving.log.heads import read_key
from serving.orders import asking, keeping
from serving.orders.keeping import Keeper, NotTheirs, UnknownOrder
from serving.routes.market import parsed
from serving.schemas import problems
from serving.schemas.fields import Name
from serving.schemas.orders import (
    AcceptBody,
    AskBody,
    DoneBody,
    FailedBody,
    MandateAnswer,
    MandateBody,
    MandatesAnswer,
    OrderAnswer,
    OrdersAnswer,
    WithdrawBody,
)
from serving.schemas.problems import Refused
from serving.store import Transaction, orders
from serving.store.orders import MandateRow, OrderFilter, OrderRow

ORDER = Parameter(
    name="id",
    place="path",
    schema={"type": "string", "minLength": 1, "maxLength": 40},
    meaning="of the order",
)
MANDATE = Parameter(
    name="id",
    place="path",
    schema={"type": "string", "minLength": 1, "maxLength": 40},
    meaning="of the mandate, chosen by whoever gives it",
)


class OrdersQuery(Query):
    """The page of `GET /v1/orders`."""

    state: State | None = None
    account: Name | None = None
    mandate: Annotated[str | None, Field(min_length=1, max_length=40)] = None
    before: Annotated[str | None, Field(max_length=40)] = None
    limit: Limit = 100


class MandatesQuery(Query):
    """The page of `GET /v1/mandates`."""

    owner: Name | None = None
    after: Annotated[str, Field(max_length=40)] = ""
    limit: Limit = 100


def put_mandate(desk: ScoringService, call: Call) -> Answer:
    """Answer `PUT /v1/mandates/{id}`."""
    body: MandateBody = parsed(call.body, MandateBody)
    stated = keeping.text_of(body)

    def act(transaction: Transaction) -> MandateAnswer:
        now = desk.clock()
        row = keeping.put_mandate(transaction, call.path["id"], body, stated, at=now)
        return keeping.mandate_answer(transaction, row, at=now)

    return written(desk, call, action="put_mandate", subject=call.path["id"], act=act)


def end_mandate(desk: ScoringService, call: Call) -> Answer:
    """Answer `DELETE /v1/mandates/{id}`."""

    def act(transaction: Transaction) -> MandateAnswer:
        now = desk.clock()
        _mandate(transaction, call.path["id"])
        orders.end_mandate(transaction, call.path["id"], at=now)
        row = _mandate(transaction, call.path["id"])
        return keeping.mandate_answer(transaction, row, at=now)

    return written(desk, call, action="end_mandate", subject=call.path["id"], act=act)


def mandate(desk: ScoringService, call: Call) -> Answer:
    """Answer `GET /v1/mandates/{id}`."""
    with opened(desk).read() as transaction:
        row = _mandate(transaction, call.path["id"])
        return json_answer(keeping.mandate_answer(transaction, row, at=desk.clock()))


def _mandate(transaction: Transaction, name: str) -> MandateRow:
    """Return a mandate; raises `Refused` (404) where there is none."""
    row = orders.mandate(transaction, name)
    if row is None:
        raise Refused(problems.UNKNOWN_THING, f"no mandate {name[:40]!r}")
    return row


def mandates(desk: ScoringService, call: Call) -> Answer:
    """Answer `GET /v1/mandates`."""
    query = read_query(call.query, MandatesQuery)
    now = desk.clock()
    with opened(desk).read() as transaction:
        rows = orders.mandates(transaction, owner=query.owner, after=query.after, limit=query.limit)
        answers = tuple(keeping.mandate_answer(transaction, row, at=now) for row in rows)
    return json_answer(
        MandatesAnswer(
            request_id=call.request_id,
            mandates=answers,
            next=rows[-1].id if len(rows) == query.limit else None,
        )
    )


def listed(desk: ScoringService, call: Call) -> Answer:
    """Answer `GET /v1/orders`."""
    query = read_query(call.query, OrdersQuery)
    criteria = OrderFilter(state=query.state, account=query.account, mandate=query.mandate)
    with opened(desk).read() as transaction:
        rows = orders.read(transaction, criteria, before=query.before, limit=query.limit)
    return json_answer(
        OrdersAnswer(
            request_id=call.request_id,
            orders=tuple(keeping.answer(row) for row in rows),
            next=rows[-1].id if len(rows) == query.limit else None,
        )
    )


def single(desk: ScoringService, call: Call) -> Answer:
    """Answer `GET /v1/orders/{id}`."""
    return json_answer(keeping.answer(_order(desk, call.path["id"])))


def _order(desk: ScoringService, name: str) -> OrderRow:
    """Return an order; raises `Refused` (404) where there is none."""
    with opened(desk).read() as transaction:
        row = orders.find(transaction, name)
    if row is None:
        raise Refused(problems.UNKNOWN_THING, f"no order {name[:40]!r}")
    return row


def ask(desk: ScoringService, call: Call) -> Answer:
    """Answer `POST /v1/orders`."""
    body: AskBody = parsed(call.body, AskBody)
    key = _key(desk)
    with opened(desk).read() as transaction:
        row = _mandate(transaction, body.mandate)
    if body.account is not None and body.account not in row.body["accounts"]:
        raise InvalidInput([Fault("/account", f"the mandate does not cover {body.account[:80]!r}")])
    if not row.is_in_force(desk.clock()):
        raise Refused(problems.NOT_ALLOWED, f"the mandate {row.id} is not in force")
    made = asking.requested(desk, row, key, account=body.account, allocation=body.allocation)
    if made is None:
        raise Refused(problems.NOT_ALLOWED, "nothing is to be done: the target is met as it is")

    def act(transaction: Transaction) -> OrderAnswer:
        stored, messages = keeping.write_new(transaction, made, receiver=row.body.get("receiver"))
        if stored is None:
            detail = f"an order of {made.trigger} is live, or the mandate has ended"
            raise Refused(problems.NOT_ALLOWED, detail)
        keeping.tell(transaction, messages, at=made.made_at)
        return keeping.answer(stored)

    return written(desk, call, action="ask_order", subject=made.id, act=act)


def _key(desk: ScoringService) -> Ed25519PrivateKey:
    """Return the key that seals orders.

    Raises
    ------
    Refused
        503 where none is named, or its file holds none.
    """
    if desk.order_key is None:
        raise Refused(problems.UNAVAILABLE, "no key seals orders: name its file as order_key")
    try:
        return read_key(desk.order_key)
    except InvalidInput as error:
        raise Refused(problems.UNAVAILABLE, f"no key seals orders: {error}") from None


def accept(desk: ScoringService, call: Call) -> Answer:
    """Answer `POST /v1/orders/{id}/accept`.

    What may no longer be acted on is withdrawn there and then, and the keeper told why.
    """
    parsed(call.body or b"{}", AcceptBody)
    name = call.path["id"]
    row = _order(desk, name)
    if row.state == State.READY:
        view = asking.view_of(desk, row)

        def look(transaction: Transaction) -> Any:
            who = Keeper(id=call.principal.id, at=view.at)
            return keeping.withdraw_stale(transaction, name, view, who)[1]

        with opened(desk).begin() as transaction:
            ground = _attempt(lambda: look(transaction))
        if ground is not None:
            raise Refused(problems.NOT_ALLOWED, f"{name} is withdrawn: {ground}")
    return _acted(desk, call, "accept_order", lambda t, who: keeping.accept(t, name, who))


def done(desk: ScoringService, call: Call) -> Answer:
    """Answer `POST /v1/orders/{id}/done`."""
    receipt = parsed(call.body, DoneBody).receipt
    name = call.path["id"]
    return _acted(
        desk, call, "order_done", lambda t, who: keeping.finish(t, name, who, receipt=receipt)
    )


def failed(desk: ScoringService, call: Call) -> Answer:
    """Answer `POST /v1/orders/{id}/failed`."""
    body: FailedBody = parsed(call.body, FailedBody)

    def act(transaction: Transaction, who: Keeper) -> OrderRow:
        return keeping.fail(
            transaction, call.path["id"], who, reason=body.reason, has_moved=body.moved
        )

    return _acted(desk, call, "order_failed", act)


def withdraw(desk: ScoringService, call: Call) -> Answer:
    """Answer `POST /v1/orders/{id}/withdraw`."""
    body: WithdrawBody = parsed(call.body or b"{}", WithdrawBody)

    def act(transaction: Transaction, who: Keeper) -> OrderRow:
        return keeping.withdraw(transaction, call.path["id"], at=who.at, reason=body.reason)

    return _acted(desk, call, "withdraw_order", act)


def _acted(
    desk: ScoringService,
    call: Call,
    action: str,
    act: Callable[[Transaction, Keeper], OrderRow],
) -> Answer:
    """Act on an order in one transaction."""

    def acted(transaction: Transaction) -> OrderAnswer:
        who = Keeper(id=call.principal.id, at=desk.clock())
        return keeping.answer(_attempt(lambda: act(transaction, who)))

    return written(desk, call, action=action, subject=call.path["id"], act=acted)


def _attempt(act: Callable[[], Any]) -> Any:
    """Act, with what does not go told as a refusal."""
    try:
        return act()
    except UnknownOrder as error:
        raise Refused(problems.UNKNOWN_THING, str(error)) from None
    except NotTheirs as error:
        raise Refused(problems.NOT_THEIRS, str(error)) from None
    except NotAllowed as error:
        raise Refused(problems.NOT_ALLOWED, str(error)) from None


_READ = (problems.UNKNOWN_THING, problems.UNAVAILABLE)
_ACT = (problems.UNKNOWN_THING, problems.NOT_THEIRS, problems.NOT_ALLOWED, problems.UNAVAILABLE)

OPERATIONS = (
    Operation(
        name="put_mandate",
        method="PUT",
        path="/v1/mandates/{id}",
        scope=Scope.MANDATE,
        work=put_mandate,
        summary="Let a keeper act for an owner, within limits",
        details="Orders are held to the mandate as it stands when they are made and when they are "
        "accepted. One that was ended is in force again once it is put again.",
        meaning="The mandate",
        request_type=MandateBody,
        answer_types=(MandateAnswer,),
        parameters=(MANDATE, IDEMPOTENCY),
        refusals=(problems.CONFLICT, problems.UNAVAILABLE),
    ),
    Operation(
        name="end_mandate",
        method="DELETE",
        path="/v1/mandates/{id}",
        scope=Scope.MANDATE,
        work=end_mandate,
        summary="End a mandate: nothing more is made or accepted by it",
        meaning="The mandate, ended",
        answer_types=(MandateAnswer,),
        parameters=(MANDATE, IDEMPOTENCY),
        refusals=(problems.UNKNOWN_THING, problems.CONFLICT, problems.UNAVAILABLE),
    ),
    Operation(
        name="mandate",
        method="GET",
        path="/v1/mandates/{id}",
        scope=Scope.READ,
        work=mandate,
        summary="A mandate, and how much of its budget is spent",
        meaning="The mandate",
        answer_types=(MandateAnswer,),
        parameters=(MANDATE,),
        refusals=_READ,
    ),
    Operation(
        name="mandates",
        method="GET",
        path="/v1/mandates",
        scope=Scope.READ,
        work=mandates,
        summary="Mandates by their ids",
        meaning="A page of mandates",
        answer_types=(MandatesAnswer,),
        parameters=parameters(MandatesQuery),
        refusals=(problems.UNAVAILABLE,),
    ),
    Operation(
        name="orders",
        method="GET",
        path="/v1/orders",
        scope=Scope.READ,
        work=listed,
        summary="Orders, the newest first",
        meaning="A page of orders, each exactly as it was signed",
        answer_types=(OrdersAnswer,),
        parameters=parameters(OrdersQuery),
        refusals=(problems.UNAVAILABLE,),
    ),
    Operation(
        name="order",
        method="GET",
        path="/v1/orders/{id}",
        scope=Scope.READ,
        work=single,
        summary="One order: what to do, who vouches for it, what became of it",
        meaning="The order exactly as it was signed",
        answer_types=(OrderAnswer,),
        parameters=(ORDER,),
        refusals=_READ,
    ),
    Operation(
        name="ask_order",
        method="POST",
        path="/v1/orders",
        scope=Scope.MANDATE,
        work=ask,
        summary="Make an order now, of an account's plan or of an allocation",
        details="Held to the mandate as an order is that a trigger makes: outside its limits it is "
        "kept as `refused`, with each limit named, and nobody is told to act.",
        meaning="The order, ready or refused",
        request_type=AskBody,
        answer_types=(OrderAnswer,),
        parameters=(IDEMPOTENCY,),
        refusals=(
            problems.UNKNOWN_THING,
            problems.NOT_ALLOWED,
            problems.CONFLICT,
            problems.UNAVAILABLE,
        ),
    ),
    Operation(
        name="accept_order",
        method="POST",
        path="/v1/orders/{id}/accept",
        scope=Scope.KEEP,
        work=accept,
        summary="Say that you act on an order: nobody else may from then on",
        details="An order that is stale, moved past its price limit, beyond its budget, or of a "
        "position that has changed, was not read for two minutes or is judged otherwise by its "
        "venue is withdrawn instead.",
        meaning="The order, accepted",
        request_type=AcceptBody,
        answer_types=(OrderAnswer,),
        parameters=(ORDER, IDEMPOTENCY),
        refusals=(*_ACT, problems.CONFLICT),
    ),
    Operation(
        name="order_done",
        method="POST",
        path="/v1/orders/{id}/done",
        scope=Scope.KEEP,
        work=done,
        summary="Report that an order was carried out",
        meaning="The order; its outcome follows with the next judgement of its accounts",
        request_type=DoneBody,
        answer_types=(OrderAnswer,),
        parameters=(ORDER, IDEMPOTENCY),
        refusals=(*_ACT, problems.CONFLICT),
    ),
    Operation(
        name="order_failed",
        method="POST",
        path="/v1/orders/{id}/failed",
        scope=Scope.KEEP,
        work=failed,
        summary="Report that an order could not be carried out",
        meaning="The order, failed",
        request_type=FailedBody,
        answer_types=(OrderAnswer,),
        parameters=(ORDER, IDEMPOTENCY),
        refusals=(*_ACT, problems.CONFLICT),
    ),
    Operation(
        name="withdraw_order",
        method="POST",
        path="/v1/orders/{id}/withdraw",
        scope=Scope.MANDATE,
        work=withdraw,
        summary="Withdraw an order that nobody has accepted",
        meaning="The order, withdrawn",
        request_type=WithdrawBody,
        answer_types=(OrderAnswer,),
        parameters=(ORDER, IDEMPOTENCY),
        refusals=(*_ACT, problems.CONFLICT),
    ),
)
