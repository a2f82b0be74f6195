"""Series to be drawn, and a cheap question whether anything is new."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import Field

from features.inputs import HOUR
from models.errors import Fault, InvalidInput
from serving.application.scoring import ScoringService
from serving.evaluation import rules
from serving.http.idempotency import opened
from serving.http.keys import Scope
from serving.http.query import MOST_ITEMS, Query, parameters, read_query
from serving.http.routing import Answer, Call, Operation, json_answer
from serving.routes.market import parsed
from serving.schemas import problems
from serving.schemas.assessment import Notice
from serving.schemas.fields import Body, Name, Time
from serving.schemas.problems import encode
from serving.store import alerts, assessments, changes, market
from serving.store.assessments import ProbabilityLine

LONGEST = timedelta(days=366)
WEEK = timedelta(days=7)
MOST_LINES = 200
POINTS = 48


class CandlesQuery(Query):
    """Which candles `GET /v1/candles` shows."""

    asset: Name
    begin: Time | None = Field(default=None, description="a week before the end if left out")
    end: Time | None = Field(default=None, description="now if left out")


class LinesBody(Body):
    """The body of `POST /v1/lines`: keys of accounts in the store."""

    accounts: Annotated[list[Name], Field(min_length=1, max_length=MOST_LINES)]
    begin: Time | None = Field(default=None, description="a week ago if left out")
    most: Annotated[int, Field(ge=1, le=MOST_ITEMS, strict=True)] = Field(
        default=POINTS, description="points of each account, the newest"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CandlesShown:
    """Hourly spot candles of one asset in columns, ascending; an hour without one is absent."""

    request_id: str
    asset: str
    step_seconds: int
    simulated: bool
    open_time: tuple[datetime, ...]
    open: tuple[float, ...]
    high: tuple[float, ...]
    low: tuple[float, ...]
    close: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LinesShown:
    """The past of many accounts, in the order asked; empty columns where nothing is kept."""

    request_id: str
    begin: datetime
    lines: tuple[ProbabilityLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulse:
    """How far the service is: what changed since a page was drawn is to be asked for again.

    Parameters
    ----------
    as_of
        Time of the service; a simulated book's own.
    prices_at, accounts_at
        When the newest price, and the newest change of an account, was received.
    assessed_at, alerted_at
        When an account was assessed, and when a level changed, last.
    doubts
        Why prices in force are stale or disputed, by asset.
    status, reasons
        As `/readyz` tells them.
    announced
        What a simulated market says is to come; null otherwise, and once it has come.
    scopes
        What the caller may do.
    """

    request_id: str
    as_of: datetime
    simulated: bool
    announced: str | None
    status: str
    reasons: tuple[str, ...]
    model_version: str | None
    prices_at: datetime | None
    accounts_at: datetime | None
    assessed_at: datetime | None
    alerted_at: datetime | None
    doubts: Mapping[str, Notice]
    scopes: tuple[str, ...]


def candles(desk: ScoringService, call: Call) -> Answer:
    """Answer `GET /v1/candles`."""
    query = read_query(call.query, CandlesQuery)
    with opened(desk).read() as transaction:
        end = query.end or market.clock(transaction, now=desk.clock())
        begin = _begin(query.begin, end)
        arrays = market.candle_arrays(transaction, [query.asset], after=begin, until=end)
        simulated = market.notes(transaction).get("simulated") == "yes"
    columns: Any = arrays[query.asset].T.tolist() if query.asset in arrays else [()] * 6
    opens, *prices = columns
    names = ("open", "high", "low", "close")
    price_columns = {name: tuple(column) for name, column in zip(names, prices, strict=False)}
    return json_answer(
        CandlesShown(
            request_id=call.request_id,
            asset=query.asset,
            step_seconds=HOUR,
            simulated=simulated,
            open_time=tuple(datetime.fromtimestamp(place * HOUR, tz=end.tzinfo) for place in opens),
            **price_columns,
        )
    )


def _begin(stated: datetime | None, end: datetime) -> datetime:
    """Return from when a series is shown.

    Raises
    ------
    InvalidInput
        When it begins after its end, or is too long.
    """
    begin = end - WEEK if stated is None else stated
    if not timedelta(0) <= end - begin <= LONGEST:
        detail = f"{begin.isoformat()} is not within {LONGEST.days} days before {end.isoformat()}"
        raise InvalidInput([Fault("?begin", detail)])
    return begin


def lines(desk: ScoringService, call: Call) -> Answer:
    """Answer `POST /v1/lines`."""
    body = parsed(call.body, LinesBody)
    with opened(desk).read() as transaction:
        now = market.clock(transaction, now=desk.clock())
        begin = body.begin or now - WEEK
        probability_lines = assessments.lines(
            transaction, body.accounts, begin=begin, most=body.most
        )
    answer = LinesShown(request_id=call.request_id, begin=begin, lines=tuple(probability_lines))
    return json_answer(answer)


def pulse(desk: ScoringService, call: Call) -> Answer:
    """Answer `GET /v1/pulse`, with 304 where the caller's entity tag still holds."""
    answer = _pulse(desk, call)
    tag = _tag(answer)
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if call.headers.get("if-none-match") == tag:
        return Answer(body=b"", status=304, headers=headers)
    return Answer(body=encode(answer), headers=headers)


def _pulse(desk: ScoringService, call: Call) -> Pulse:
    """Return how far the service is."""
    _, state = desk.status()
    with opened(desk).read() as transaction:
        priced = changes.newest(transaction, changes.PRICES)
        changed = changes.newest(transaction, changes.ACCOUNTS)
        at = market.clock(transaction, now=desk.clock())
        notes = market.notes(transaction)
        prices = market.prices(transaction, at=at)
        doubts = {name: rules.doubt(price, at=at, asset=name) for name, price in prices.items()}
        return Pulse(
            request_id=call.request_id,
            as_of=at,
            simulated=notes.get("simulated") == "yes",
            announced=_announced(notes, at=at),
            status=state["status"],
            reasons=tuple(state["reasons"]),
            model_version=state["model_version"],
            prices_at=None if priced is None else priced.at,
            accounts_at=None if changed is None else changed.at,
            assessed_at=assessments.newest(transaction),
            alerted_at=alerts.newest(transaction),
            doubts={name: doubt for name, doubt in doubts.items() if doubt is not None},
            scopes=tuple(sorted(call.principal.scopes)),
        )


def _announced(notes: Mapping[str, str], *, at: datetime) -> str | None:
    """Return what a simulated market says is to come, until it has come."""
    until = notes.get(market.ANNOUNCED_UNTIL)
    is_to_come = until is not None and at < datetime.fromisoformat(until)
    return notes.get(market.ANNOUNCED) if is_to_come else None


def _tag(answer: Pulse) -> str:
    """Return the entity tag of a pulse: the time that passes is no news."""
    names = ("status", "reasons", "model_version", "simulated", "announced", "scopes")
    times = ("prices_at", "accounts_at", "assessed_at", "alerted_at")
    doubtful = {name: doubt.code for name, doubt in sorted(answer.doubts.items())}
    news = encode([doubtful, *(getattr(answer, name) for name in (*names, *times))])
    return f'"{hashlib.sha256(news).hexdigest()[:32]}"'


OPERATIONS = (
    Operation(
        name="candles",
        method="GET",
        path="/v1/candles",
        scope=Scope.READ,
        work=candles,
        summary="Hourly candles of an asset, to be drawn",
        meaning="The candles in columns",
        answer_types=(CandlesShown,),
        parameters=parameters(CandlesQuery),
        refusals=(problems.INVALID,),
    ),
    Operation(
        name="lines",
        method="POST",
        path="/v1/lines",
        scope=Scope.READ,
        work=lines,
        summary="The past probabilities of many accounts, to be drawn",
        meaning="One line each, in the order asked",
        request_type=LinesBody,
        answer_types=(LinesShown,),
    ),
    Operation(
        name="pulse",
        method="GET",
        path="/v1/pulse",
        scope=Scope.READ,
        work=pulse,
        summary="Whether anything is new: cheap to ask, with an entity tag",
        details="With `If-None-Match` of the answer before, 304 and no body where nothing is new.",
        meaning="How far the service is",
        answer_types=(Pulse,),
    ),
)
