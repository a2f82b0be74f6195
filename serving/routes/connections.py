"""Connections over HTTP: what is followed on chains and exchanges, and what differs."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field, RootModel, ValidationError

from models.errors import Fault, InvalidInput
from serving.application.scoring import ScoringService
from serving.connect.body import ConnectionBody, public, refuse_named, secret, target
from serving.connect.exchanges.body import (
    VENUES,
    ExchangeBody,
    exchange_target,
    secrets_of,
    stated,
)
from serving.connect.secrets import FILE, VARIABLE, keys_of, seal
from serving.http.idempotency import IDEMPOTENCY, opened, written
from serving.http.keys import Scope
from serving.http.routing import Answer, Call, Method, Operation, Parameter, json_answer
from serving.schemas import problems
from serving.schemas.problems import Refused
from serving.schemas.requests import pointers
from serving.schemas.strict_json import read
from serving.store import Transaction, connections, market, venue_accounts
from serving.store.connections import Connection, StoredCheck
from serving.store.venue_accounts import VenueAccount

LONGEST_NAME = 100
MOST_MISMATCHES = 1_000
CONNECTION = Parameter(
    name="connection",
    place="path",
    schema={"type": "string", "minLength": 1, "maxLength": LONGEST_NAME},
    meaning="name of the connection",
)


class ConnectionRequest(
    RootModel[Annotated[ConnectionBody | ExchangeBody, Field(discriminator="venue")]]
):
    """Accounts of a market on a chain, or of an exchange, by the venue's name."""


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
class FigureLine:
    """A figure of an exchange beside the rules' own, as exact text.

    Parameters
    ----------
    figure
        Such as `maintenance_margin` or `liquidation_price`.
    instrument, side
        What it is about; empty for the whole account.
    ours
        Of the rules; null where they give none.
    theirs
        Of the exchange, as it wrote it; null where it shows none.
    is_equal
        Null where the two are not compared.
    """

    figure: str
    instrument: str
    side: str
    ours: str | None
    theirs: str | None
    is_equal: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueAccountLine:
    """An account of an exchange with the exchange's own figures.

    Parameters
    ----------
    refused
        Why the rules do not judge it, so that the figures are the exchange's alone; null where
        they do.
    """

    account: str
    read_at: datetime
    refused: str | None
    figures: tuple[FigureLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MismatchLine:
    """An account that its venue judges otherwise than the rules.

    Parameters
    ----------
    block
        Number of the block; of an exchange, the milliseconds since 1970 of the reading.
    """

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
    chain, market
        Empty for an exchange.
    read_at
        When an exchange was read last; null for chains, whose `block` tells.
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
    read_at: datetime | None
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
    """One connection with its endpoints, what exchanges say of accounts, and whatever differs.

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
    accounts: tuple[VenueAccountLine, ...]


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
        venue_rows = venue_accounts.of_connection(transaction, name)
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
            accounts=tuple(_venue_account(each) for each in venue_rows),
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
        chain=body.get("chain", ""),
        market=body.get("market", ""),
        all_borrowers=body.get("all_borrowers", False),
        created_at=stored.created_at,
        state=status.get("state", "new"),
        reasons=tuple(ReasonLine(**each) for each in status.get("reasons", ())),
        block=None
        if block is None
        else BlockLine(**{**block, "at": datetime.fromisoformat(block["at"])}),
        read_at=None
        if (read_at := status.get("read_at")) is None
        else datetime.fromisoformat(read_at),
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


def _venue_account(venue_rows: VenueAccount) -> VenueAccountLine:
    """Return what an exchange says of an account in words."""
    return VenueAccountLine(
        account=venue_rows.account,
        read_at=venue_rows.read_at,
        refused=venue_rows.refused,
        figures=tuple(FigureLine(**each) for each in venue_rows.figures),
    )


def _wish(content: bytes) -> ConnectionBody | ExchangeBody:
    """Return what is to be followed.

    Raises
    ------
    NotJson
        When it is not JSON.
    InvalidInput
        Listing every fault, never with what was found: it may be a secret.
    """
    tree, faults = read(content)
    venue = tree.get("venue") if isinstance(tree, dict) else None
    refuse_named(venue)
    kind = ExchangeBody if venue in VENUES else ConnectionBody
    validated: ConnectionBody | ExchangeBody | None = None
    try:
        validated = kind.model_validate(tree)
    except ValidationError as error:
        reported = {fault.where for fault in faults}
        quiet = (Fault(f.where, f.message.partition(", not ")[0]) for f in pointers(error))
        faults.extend(fault for fault in quiet if fault.where not in reported)
    if faults or validated is None:
        raise InvalidInput(faults)
    return validated


def _parts(body: ConnectionBody | ExchangeBody) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what of a body is kept in the clear, and what is sealed; raises `InvalidInput`."""
    if isinstance(body, ExchangeBody):
        exchange_target(body)
        return stated(body), secrets_of(body)
    target(body)
    return public(body), secret(body)


def put(desk: ScoringService, call: Call) -> Answer:
    """Answer `PUT /v1/connections/{connection}`."""
    name, body = call.path["connection"], _wish(call.body)
    if len(name) > LONGEST_NAME:
        raise InvalidInput([Fault("connection", f"is longer than {LONGEST_NAME} characters")])
    clear, hidden = _parts(body)
    keys = keys_of()
    if not keys:
        detail = f"secrets are kept sealed alone: set {VARIABLE} or {FILE} for the service"
        raise Refused(problems.UNAVAILABLE, detail)
    sealed = seal(hidden, name=name, keys=keys)

    def act(transaction: Transaction) -> ConnectionWritten:
        now = market.clock(transaction, now=desk.clock())
        connections.write(transaction, name, clear, sealed=sealed, now=now)
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
        "What is followed on chains and exchanges, and how it stands",
        meaning="Every connection",
        answer_types=(ConnectionsAnswer,),
    ),
    _operation(
        "connection",
        "GET",
        show,
        "One connection: endpoints, accounts' figures, and what its venue judges otherwise",
        meaning="The connection",
        answer_types=(ConnectionAnswer,),
        parameters=(CONNECTION,),
        refusals=(problems.UNKNOWN_THING,),
    ),
    _operation(
        "put_connection",
        "PUT",
        put,
        "Follow accounts of a venue on a chain or of an exchange, or change what is followed",
        details="On chains, Hyperliquid and dYdX an address is enough; other exchanges need a key "
        "that can only read, and one that can do more is refused when it is first used. "
        "`forewarn connections follow` reads what is written here. Endpoints and keys are kept "
        "sealed and never shown again.",
        meaning="It is written",
        request_type=ConnectionRequest,
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
