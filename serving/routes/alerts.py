"""Alerts over HTTP: what changed, acknowledging and muting, and the links of messages."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from html import escape
from typing import Annotated

from pydantic import Field

from models.alerting.signals import Transition
from serving import problems, wire
from serving.alerting import links
from serving.alerting.links import Link, LinkRefused
from serving.desk import Desk
from serving.keys import Scope
from serving.operations import Answer, Call, Operation, Parameter, json_answer
from serving.problems import Refused
from serving.queries import Limit, Query, parameters, read_query
from serving.routes.accounts import ACCOUNT
from serving.routes.market import parsed
from serving.store import Transaction, alerts, consents
from serving.writing import IDEMPOTENCY, opened, written

HTML = "text/html; charset=utf-8"
MUTE = timedelta(days=1)
LONGEST_MUTE = 24 * 30
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
TOKEN = Parameter(
    name="token",
    place="path",
    schema={"type": "string", "minLength": 1, "maxLength": 1000},
    meaning="the end of a message's link",
)
WORDS = {
    "acknowledge": "Acknowledge the alert about {}",
    "mute": "Mute {} for a day; critical still comes through",
    "stop": "Stop the channel {}",
}


class AlertsQuery(Query):
    """The page of `GET /v1/alerts`."""

    account: wire.Name | None = None
    begin: wire.Time | None = None
    end: wire.Time | None = None
    limit: Limit = 100


class MuteBody(wire.Body):
    """The body of `POST /v1/accounts/{account}/mute`."""

    hours: Annotated[int, Field(ge=0, le=LONGEST_MUTE, strict=True, description="0 ends it")] = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertLine:
    """One change of an account's level.

    Parameters
    ----------
    route
        `now`, `digest` or `silent`: how it was told.
    """

    key: str
    account: str
    at: datetime
    kind: str
    was: str
    level: str
    route: str
    buffer: float | None
    probability: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertsAnswer:
    """Changes of levels, oldest first."""

    request_id: str
    alerts: tuple[AlertLine, ...]


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


def changes(desk: Desk, call: Call) -> Answer:
    """Answer `GET /v1/alerts`."""
    asked = read_query(call.query, AlertsQuery)
    with opened(desk).read() as transaction:
        found = alerts.transitions(
            transaction,
            account=asked.account,
            begin=asked.begin,
            end=asked.end,
            limit=asked.limit,
        )
    lines = tuple(_line(one) for one in found)
    return json_answer(AlertsAnswer(request_id=call.request_id, alerts=lines))


def _line(one: Transition) -> AlertLine:
    """Return one change in words."""
    return AlertLine(
        key=one.key,
        account=one.account,
        at=one.at,
        kind=one.kind.value,
        was=one.was.name.lower(),
        level=one.level.name.lower(),
        route=one.route.value,
        buffer=one.buffer,
        probability=one.probability,
    )


def acknowledge(desk: Desk, call: Call) -> Answer:
    """Answer `POST /v1/accounts/{account}/acknowledge`."""
    account = call.path["account"]

    def act(transaction: Transaction) -> WishAnswer:
        level = alerts.acknowledge(transaction, account)
        return WishAnswer(request_id=call.request_id, account=account, level=level.name.lower())

    return written(desk, call, action="acknowledge alert", subject=account, act=act)


def mute(desk: Desk, call: Call) -> Answer:
    """Answer `POST /v1/accounts/{account}/mute`."""
    account, asked = call.path["account"], parsed(call.body, MuteBody)
    until = desk.clock() + timedelta(hours=asked.hours) if asked.hours else None

    def act(transaction: Transaction) -> WishAnswer:
        alerts.mute(transaction, account, until=until)
        return WishAnswer(request_id=call.request_id, account=account, muted_until=until)

    return written(desk, call, action="mute alerts", subject=account, act=act)


def ask(desk: Desk, call: Call) -> Answer:
    """Answer `GET /v1/alerts/links/{token}`: show what the link does and a button.

    Looking changes nothing: mail programs open links by themselves.
    """
    link = _link(desk, call)
    words = escape(WORDS[link.act].format(link.subject))
    return _page(f'<form method="post"><p>{words}?</p><button>{words}</button></form>')


def act(desk: Desk, call: Call) -> Answer:
    """Answer `POST /v1/alerts/links/{token}`: do what the link says."""
    link, now = _link(desk, call), desk.clock()
    with opened(desk).begin() as transaction:
        if link.act == "acknowledge":
            alerts.acknowledge(transaction, link.subject)
        elif link.act == "mute":
            alerts.mute(transaction, link.subject, until=now + MUTE)
        else:
            consents.stop(transaction, link.subject, actor=f"link of {link.receiver}", now=now)
    return _page(f"<p>Done: {escape(WORDS[link.act].format(link.subject))}.</p>")


def _link(desk: Desk, call: Call) -> Link:
    """Return what the link of a request does.

    Raises
    ------
    Refused
        404 where it is not one of this store's, or has ended.
    """
    with opened(desk).begin() as transaction:
        key = consents.link_key(transaction)
    try:
        return links.verify(call.path["token"], key, now=desk.clock())
    except LinkRefused as error:
        raise Refused(problems.UNKNOWN_THING, str(error)) from None


def _page(body: str) -> Answer:
    """Return a page whose form may be sent."""
    whole = f'<!doctype html><html lang="en"><title>Forewarn</title><body>{body}</body></html>'
    headers = {"Content-Security-Policy": POLICY}
    return Answer(body=whole.encode(), media_type=HTML, headers=headers)


OPERATIONS = (
    Operation(
        name="alerts",
        method="GET",
        path="/v1/alerts",
        scope=Scope.READ,
        work=changes,
        summary="What changed, when, and how it was told",
        meaning="Changes of levels",
        told=(AlertsAnswer,),
        parameters=parameters(AlertsQuery),
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
        told=(WishAnswer,),
        parameters=(ACCOUNT, IDEMPOTENCY),
        refusals=(problems.CONFLICT,),
    ),
    Operation(
        name="mute_alerts",
        method="POST",
        path="/v1/accounts/{account}/mute",
        scope=Scope.WRITE,
        work=mute,
        summary="Mute an account below critical",
        meaning="Until when it is muted",
        asked=MuteBody,
        told=(WishAnswer,),
        parameters=(ACCOUNT, IDEMPOTENCY),
        refusals=(problems.CONFLICT,),
    ),
    Operation(
        name="ask_link",
        method="GET",
        path="/v1/alerts/links/{token}",
        scope=None,
        work=ask,
        summary="Show what a message's link does",
        details="Changes nothing; the page has a button that does.",
        meaning="A page with a button",
        gives=("text/html",),
        parameters=(TOKEN,),
        refusals=(problems.UNKNOWN_THING, problems.UNAVAILABLE),
    ),
    Operation(
        name="act_on_link",
        method="POST",
        path="/v1/alerts/links/{token}",
        scope=None,
        work=act,
        summary="Do what a message's link says",
        meaning="A page that says what was done",
        gives=("text/html",),
        parameters=(TOKEN,),
        refusals=(problems.UNKNOWN_THING, problems.UNAVAILABLE),
    ),
)
