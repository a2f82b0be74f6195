"""Connections over HTTP: what is followed on chains, how it stands, and what differs."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from models.errors import Fault, InvalidInput
from serving.application.scoring import ScoringService
from serving.connect.body import ConnectionBody, public, secret, target
from serving.connect.secrets import FILE, VARIABLE, keys_of, seal
from serving.http.idempotency import IDEMPOTENCY, opened, written
from serving.http.keys import Scope
from serving.http.routing import Answer, Call, Method, Operation, Parameter, json_answer
from serving.routes.market import parsed
from serving.schemas import problems
from serving.schemas.problems import Refused
from serving.store import Transaction, connections, market
from serving.store.connections import Connection, StoredCheck

LONGEST_NAME = 100
MOST_MISMATCHES = 1_000
CONNECTION = Parameter(
    name="connection",
    place="path",
    schema={"type": "string", "minLength": 1, "maxLength": LONGEST_NAME},
    meaning="name of the connection",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasonLine:
    """What keeps a connection from being live."""

    code: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockLine:
    """The block as of which the store stands."""

    number: int
    hash: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointLine:
    """How an endpoint does, by its host alone."""

    host: str
    head: int | None
    seconds: float | None
    failures: int
    error: str | None
    code: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DifferenceLine:
    """A figure that the rules and the venue give differently; integers of the venue as text."""

    figure: str
    ours: str | None
    theirs: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MismatchLine:
    """An account that its venue judges otherwise than the rules."""

    account: str
    since: datetime
    block: int
    differences: tuple[DifferenceLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLine:
    """One connection.

    Parameters
    ----------
    state
        `new` before it was read, `live`, `degraded`, or `failing`.
    noted_at
        When it was last told how it stands; a connection that nobody follows stays as it stood.
    accounts
        How many are followed.
    mismatches
        How many their venue judges otherwise than the rules.
    """

    name: str
    venue: str
    chain: str
    market: str
    all_borrowers: bool
    created_at: datetime
    state: str
    reasons: tuple[ReasonLine, ...]
    block: BlockLine | None
    noted_at: datetime | None
    accounts: int
    mismatches: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionsAnswer:
    """Every connection by name."""

    request_id: str
    connections: tuple[ConnectionLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionAnswer:
    """One connection with its endpoints and whatever differs.

    Parameters
    ----------
    unmapped
        Assets that its accounts hold and for which no symbol of an exchange is on record: there
        is no forecast of them unless their candles are pushed.
    heads
        Whether new heads are `subscribed` to by WebSocket or `polled`; None before it began.
    """

    request_id: str
    connection: ConnectionLine
    heads: str | None
    unmapped: tuple[str, ...]
    contract: str | None
    addresses: tuple[str, ...]
    endpoints: tuple[EndpointLine, ...]
    mismatches: tuple[MismatchLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionWritten:
    """What was written, or ended."""

    request_id: str
    connection: str


def listed(desk: ScoringService, call: Call) -> Answer:
    """Answer `GET /v1/connections`."""
    with opened(desk).read() as transaction:
        stored = connections.every(transaction)
        checks = connections.differing(transaction)
    lines = tuple(_line(each, checks) for each in stored)
    return json_answer(ConnectionsAnswer(request_id=call.request_id, connections=lines))


def show(desk: ScoringService, call: Call) -> Answer:
    """Answer `GET /v1/connections/{connection}`."""
    name = call.path["connection"]
    with opened(desk).read() as transaction:
        stored = _stored(transaction, name)
        checks = connections.differing(transaction, name)
    status = stored.status or {}
    return json_answer(
        ConnectionAnswer(
            request_id=call.request_id,
            connection=_line(stored, checks),
            heads=status.get("heads"),
            unmapped=tuple(status.get("unmapped", ())),
            contract=stored.body.get("contract"),
            addresses=tuple(stored.body["addresses"]),
            endpoints=tuple(EndpointLine(**each) for each in status.get("endpoints", ())),
            mismatches=tuple(_mismatch(check) for check in checks[:MOST_MISMATCHES]),
        )
    )


def _stored(transaction: Transaction, name: str) -> Connection:
    """Return a connection.

    Raises
    ------
    Refused
        404 where there is none of that name.
    """
    stored = connections.read(transaction, name)
    if stored is None:
        raise Refused(problems.UNKNOWN_THING, f"no connection {name[:80]!r} is known")
    return stored


def _line(stored: Connection, checks: list[StoredCheck]) -> ConnectionLine:
    """Return a connection in words."""
    status, body = stored.status or {}, stored.body
    block = status.get("block")
    return ConnectionLine(
        name=stored.name,
        venue=body["venue"],
        chain=body["chain"],
        market=body["market"],
        all_borrowers=body["all_borrowers"],
        created_at=stored.created_at,
        state=status.get("state", "new"),
        reasons=tuple(ReasonLine(**each) for each in status.get("reasons", ())),
        block=None
        if block is None
        else BlockLine(**{**block, "at": datetime.fromisoformat(block["at"])}),
        noted_at=stored.status_at,
        accounts=status.get("accounts", len(body["addresses"])),
        mismatches=sum(check.connection == stored.name for check in checks),
    )


def _mismatch(check: StoredCheck) -> MismatchLine:
    """Return an account that differs in words."""
    return MismatchLine(
        account=check.account,
        since=check.differs_since or check.at,
        block=check.block,
        differences=tuple(DifferenceLine(**each) for each in check.differences),
    )


def put(desk: ScoringService, call: Call) -> Answer:
    """Answer `PUT /v1/connections/{connection}`."""
    name, body = call.path["connection"], parsed(call.body, ConnectionBody)
    if len(name) > LONGEST_NAME:
        raise InvalidInput([Fault("connection", f"is longer than {LONGEST_NAME} characters")])
    target(body)
    keys = keys_of()
    if not keys:
        detail = f"endpoints are kept sealed alone: set {VARIABLE} or {FILE} for the service"
        raise Refused(problems.UNAVAILABLE, detail)
    sealed = seal(secret(body), name=name, keys=keys)

    def act(transaction: Transaction) -> ConnectionWritten:
        now = market.clock(transaction, now=desk.clock())
        connections.write(transaction, name, public(body), sealed=sealed, now=now)
        return ConnectionWritten(request_id=call.request_id, connection=name)

    return written(desk, call, action="write connection", subject=name, act=act)


def remove(desk: ScoringService, call: Call) -> Answer:
    """Answer `DELETE /v1/connections/{connection}`."""
    name = call.path["connection"]

    def act(transaction: Transaction) -> ConnectionWritten:
        _stored(transaction, name)
        connections.remove(transaction, name)
        return ConnectionWritten(request_id=call.request_id, connection=name)

    return written(desk, call, action="end connection", subject=name, act=act)


def _operation(name: str, method: Method, work: Any, summary: str, **rest: Any) -> Operation:
    """Return an operation on connections, which only an administrator may see or change."""
    path = "/v1/connections" if name == "connections" else "/v1/connections/{connection}"
    return Operation(
        name=name, method=method, path=path, scope=Scope.ADMIN, work=work, summary=summary, **rest
    )


OPERATIONS = (
    _operation(
        "connections",
        "GET",
        listed,
        "What is followed on chains, and how it stands",
        meaning="Every connection",
        answer_types=(ConnectionsAnswer,),
    ),
    _operation(
        "connection",
        "GET",
        show,
        "One connection: its endpoints, and what its venue judges otherwise",
        meaning="The connection",
        answer_types=(ConnectionAnswer,),
        parameters=(CONNECTION,),
        refusals=(problems.UNKNOWN_THING,),
    ),
    _operation(
        "put_connection",
        "PUT",
        put,
        "Follow accounts of a venue on a chain, or change what is followed",
        details="An address is enough; no key is ever asked for. `forewarn connections follow` "
        "reads what is written here. Endpoints are kept sealed and never shown again.",
        meaning="It is written",
        request_type=ConnectionBody,
        answer_types=(ConnectionWritten,),
        parameters=(CONNECTION, IDEMPOTENCY),
        refusals=(problems.CONFLICT,),
    ),
    _operation(
        "delete_connection",
        "DELETE",
        remove,
        "End a connection; what it wrote of accounts stays",
        meaning="It is ended",
        answer_types=(ConnectionWritten,),
        parameters=(CONNECTION, IDEMPOTENCY),
        refusals=(problems.UNKNOWN_THING, problems.CONFLICT),
    ),
)
