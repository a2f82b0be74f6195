"""Alerts over HTTP: what changed, acknowledging and muting, and the links of messages."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Annotated, Literal

import msgspec
from pydantic import Field

from models.alerting.policy import LevelName
from models.alerting.signals import BOOK, Level, Transition
from models.alerting.state import AlertState
from models.errors import Fault, InvalidInput
from serving.application.scoring import ScoringService
from serving.http.idempotency import IDEMPOTENCY, opened, written
from serving.http.keys import Scope
from serving.http.query import Cursor, Limit, Query, of_cursor, parameters, read_query, to_cursor
from serving.http.routing import Answer, Call, Operation, json_answer
from serving.routes.accounts import ACCOUNT, stored_account
from serving.routes.market import parsed
from serving.schemas import problems
from serving.schemas.fields import Body, Name, Time
from serving.store import Transaction, alerts, market, outbox

LONGEST_MUTE = 24 * 30
DELIVERED_WITHIN = timedelta(days=1)
"""Within which a digest leaves after what it tells of."""

DELIVERIES_AT_ONCE = 1000

FIRST = (max(map(alerts.urgency_of, Level)) + 1, "")
"""Before every account, the most urgent first."""


class AlertsQuery(Query):
    """The page of `GET /v1/alerts`."""

    account: Name | None = None
    begin: Time | None = None
    end: Time | None = None
    least_level: LevelName | None = Field(
        default=None, description="lowest level that was entered or left"
    )
    kind: Literal["raised", "repeated", "lowered"] | None = None
    route: Literal["now", "digest", "silent"] | None = None
    order: Literal["oldest", "newest"] = Field(default="oldest", description="first")
    cursor: Cursor | None = Field(default=None, description="`next` of the page before")
    limit: Limit = 100


class RaisedQuery(Query):
    """The page of `GET /v1/alerts/raised`."""

    least_level: LevelName = "watch"
    account: Name | None = Field(default=None, description="this one alone")
    order: Literal["name", "urgency"] = Field(
        default="name", description="`urgency`: what can most be done for first, liquidated last"
    )
    cursor: Cursor | None = Field(default=None, description="`next` of the page before")
    limit: Limit = 100


class MuteBody(Body):
    """The body of `POST /v1/accounts/{account}/mute`."""

    hours: Annotated[int, Field(ge=0, le=LONGEST_MUTE, strict=True, description="0 ends it")] = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class CauseAnswer:
    """A trigger of the policy that fired; what was found and at what it fires, as text."""

    level: str
    signal: str
    horizon: str
    found: str
    limit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryAnswer:
    """One message that told of a change, and what became of it.

    Parameters
    ----------
    shape
        `single`, or `aggregate` or `digest` of several accounts.
    at
        When it was settled; null while it waits.
    """

    number: int
    receiver: str
    channel: str
    shape: str
    status: str
    attempts: int
    at: datetime | None
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertLine:
    """One change of an account's level.

    Parameters
    ----------
    episode
        Numbers, for each account, the spans between two rests; its changes share it.
    route
        `now`, `digest` or `silent`: how it was told.
    told
        Messages that name it; an aggregate names the worst alone and counts the others.
    """

    key: str
    account: str
    episode: int
    at: datetime
    kind: str
    was: str
    level: str
    route: str
    buffer: float | None
    probability: float | None
    causes: tuple[CauseAnswer, ...]
    told: tuple[DeliveryAnswer, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertsAnswer:
    """Changes of levels, in the order asked; `next` is null on the last page."""

    request_id: str
    alerts: tuple[AlertLine, ...]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RaisedLine:
    """An account on a level now.

    Parameters
    ----------
    told
        Level that its owner was told last.
    """

    account: str
    level: str
    told: str
    entered_at: datetime | None
    is_acknowledged: bool
    muted_until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RaisedAnswer:
    """Accounts on a level, and how many are on each; `next` is null on the last page."""

    request_id: str
    counts: dict[str, int]
    accounts: tuple[RaisedLine, ...]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WishAnswer:
    """What was asked for about an account.

    Parameters
    ----------
    level
        That was acknowledged; null for a mute.
    muted_until
        Null where nothing is muted by this request.
    """

    request_id: str
    account: str
    level: str | None = None
    muted_until: datetime | None = None


def changes(desk: ScoringService, call: Call) -> Answer:
    """Answer `GET /v1/alerts`."""
    query = read_query(call.query, AlertsQuery)
    level = None if query.least_level is None else Level[query.least_level.upper()]
    criteria = alerts.TransitionFilter(
        account=query.account,
        begin=query.begin,
        end=query.end,
        least_level=level,
        kind=query.kind,
        route=query.route,
    )
    with opened(desk).read() as transaction:
        transitions = alerts.transitions(
            transaction,
            criteria,
            after=_place(query.cursor),
            is_newest_first=query.order == "newest",
            limit=query.limit,
        )
        deliveries = _deliveries(transaction, transitions)
    lines = tuple(
        _line(transition, deliveries.get(transition.key, ())) for transition in transitions
    )
    following = _cursor(transitions[-1]) if len(transitions) == query.limit else None
    return json_answer(AlertsAnswer(request_id=call.request_id, alerts=lines, next=following))


def _cursor(last: Transition) -> str:
    """Return where a page ended."""
    return to_cursor([last.at.isoformat(), last.account, last.episode, last.number])


def _place(cursor: str | None) -> alerts.Place | None:
    """Return where a page ended.

    Raises
    ------
    InvalidInput
        When it is the cursor of another list.
    """
    if cursor is None:
        return None
    try:
        return msgspec.convert(of_cursor(cursor), alerts.Place)
    except msgspec.ValidationError:
        raise InvalidInput([Fault("?cursor", "is the cursor of another list")]) from None


def _deliveries(
    transaction: Transaction, transitions: Sequence[Transition]
) -> dict[str, list[outbox.Delivery]]:
    """Return by transition the messages that name it."""
    if not transitions:
        return {}
    moments = [transition.at for transition in transitions]
    criteria = outbox.DeliveryFilter(
        streams=("", *sorted({transition.account for transition in transitions})),
        begin=min(moments),
        end=max(moments) + DELIVERED_WITHIN,
    )
    keys = {transition.key for transition in transitions}
    by_key: dict[str, list[outbox.Delivery]] = {}
    for delivery in _every_delivery(transaction, criteria):
        for key in keys.intersection(delivery.keys):
            by_key.setdefault(key, []).append(delivery)
    return by_key


def _every_delivery(
    transaction: Transaction, criteria: outbox.DeliveryFilter
) -> Iterator[outbox.Delivery]:
    """Yield messages with what became of them, the newest first, a page in memory at a time."""
    page = outbox.deliveries(transaction, criteria, limit=DELIVERIES_AT_ONCE)
    while page:
        yield from page
        older = replace(criteria, before=page[-1].number)
        page = outbox.deliveries(transaction, older, limit=DELIVERIES_AT_ONCE)


def _line(transition: Transition, deliveries: Sequence[outbox.Delivery]) -> AlertLine:
    """Return one change in words."""
    return AlertLine(
        key=transition.key,
        account=transition.account,
        episode=transition.episode,
        at=transition.at,
        kind=transition.kind.value,
        was=transition.was.name.lower(),
        level=transition.level.name.lower(),
        route=transition.route.value,
        buffer=transition.buffer,
        probability=transition.probability,
        causes=tuple(
            CauseAnswer(
                level=Level(cause.level).name.lower(),
                signal=cause.signal,
                horizon=cause.horizon,
                found=cause.found,
                limit=cause.limit,
            )
            for cause in transition.causes
        ),
        told=tuple(
            DeliveryAnswer(
                number=sent.number,
                receiver=sent.receiver,
                channel=sent.kind,
                shape=sent.shape,
                status=sent.status,
                attempts=sent.attempts,
                at=sent.settled_at,
                error=sent.error,
            )
            for sent in deliveries
        ),
    )


def standing(desk: ScoringService, call: Call) -> Answer:
    """Answer `GET /v1/alerts/raised`."""
    query = read_query(call.query, RaisedQuery)
    least = Level[query.least_level.upper()]
    with opened(desk).read() as transaction:
        counts = alerts.levels(transaction)
        states = (
            alerts.raised(
                transaction, least_level=least, after=_last_raised(query), limit=query.limit
            )
            if query.account is None
            else _at_or_above(alerts.states(transaction, [query.account]), least)
        )
    lines = tuple(
        RaisedLine(
            account=account,
            level=state.level.name.lower(),
            told=state.notified.name.lower(),
            entered_at=state.entered_at,
            is_acknowledged=state.is_acknowledged,
            muted_until=state.muted_until,
        )
        for account, state in states.items()
    )
    return json_answer(
        RaisedAnswer(
            request_id=call.request_id,
            counts={level.name.lower(): counts.get(level, 0) for level in Level if level},
            accounts=lines,
            next=_next_raised(query, lines[-1]) if len(lines) == query.limit else None,
        )
    )


def _last_raised(query: RaisedQuery) -> tuple[int, str] | str:
    """Return after whom a page begins.

    Raises
    ------
    InvalidInput
        When the cursor is of another list.
    """
    if query.order == "name":
        return query.cursor or ""
    if query.cursor is None:
        return FIRST
    try:
        last: tuple[int, str] = msgspec.convert(of_cursor(query.cursor), tuple[int, str])
    except msgspec.ValidationError:
        raise InvalidInput([Fault("?cursor", "is the cursor of another list")]) from None
    return last


def _next_raised(query: RaisedQuery, last: RaisedLine) -> str:
    """Return the cursor of the page after the one that ends so."""
    if query.order == "name":
        return last.account
    return to_cursor([alerts.urgency_of(Level[last.level.upper()]), last.account])


def _at_or_above(states: Mapping[str, AlertState], least: Level) -> dict[str, AlertState]:
    """Return the states that are on a level or a higher one."""
    return {account: state for account, state in states.items() if state.level >= least}


def _subject(transaction: Transaction, account: str) -> None:
    """Refuse what alerts are not about: neither an account of the store nor the whole book.

    Raises
    ------
    UnknownAccounts
        When the store holds no such account.
    """
    if account != BOOK:
        stored_account(transaction, account)


def acknowledge(desk: ScoringService, call: Call) -> Answer:
    """Answer `POST /v1/accounts/{account}/acknowledge`."""
    account = call.path["account"]

    def act(transaction: Transaction) -> WishAnswer:
        _subject(transaction, account)
        level = alerts.acknowledge(transaction, account)
        return WishAnswer(request_id=call.request_id, account=account, level=level.name.lower())

    return written(desk, call, action="acknowledge alert", subject=account, act=act)


def mute(desk: ScoringService, call: Call) -> Answer:
    """Answer `POST /v1/accounts/{account}/mute`."""
    account, body = call.path["account"], parsed(call.body, MuteBody)

    def act(transaction: Transaction) -> WishAnswer:
        _subject(transaction, account)
        now = market.clock(transaction, now=desk.clock())
        until = now + timedelta(hours=body.hours) if body.hours else None
        alerts.mute(transaction, account, until=until)
        return WishAnswer(request_id=call.request_id, account=account, muted_until=until)

    return written(desk, call, action="mute alerts", subject=account, act=act)


OPERATIONS = (
    Operation(
        name="alerts",
        method="GET",
        path="/v1/alerts",
        scope=Scope.READ,
        work=changes,
        summary="What changed, when, to whom it was told, and whether that arrived",
        meaning="Changes of levels",
        answer_types=(AlertsAnswer,),
        parameters=parameters(AlertsQuery),
        refusals=(problems.INVALID,),
    ),
    Operation(
        name="raised_accounts",
        method="GET",
        path="/v1/alerts/raised",
        scope=Scope.READ,
        work=standing,
        summary="Which accounts are on a level now, acknowledged or not",
        meaning="Accounts on a level",
        answer_types=(RaisedAnswer,),
        parameters=parameters(RaisedQuery),
        refusals=(problems.INVALID,),
    ),
    Operation(
        name="acknowledge_alert",
        method="POST",
        path="/v1/accounts/{account}/acknowledge",
        scope=Scope.WRITE,
        work=acknowledge,
        summary="Acknowledge the level an account is on",
        details="Critical is not repeated until the account leaves the level and comes back.",
        meaning="The level acknowledged",
        answer_types=(WishAnswer,),
        parameters=(ACCOUNT, IDEMPOTENCY),
        refusals=(problems.UNKNOWN_ACCOUNT, problems.CONFLICT),
    ),
    Operation(
        name="mute_alerts",
        method="POST",
        path="/v1/accounts/{account}/mute",
        scope=Scope.WRITE,
        work=mute,
        summary="Mute an account below critical",
        meaning="Until when it is muted",
        request_type=MuteBody,
        answer_types=(WishAnswer,),
        parameters=(ACCOUNT, IDEMPOTENCY),
        refusals=(problems.UNKNOWN_ACCOUNT, problems.CONFLICT),
    ),
)
