"""The book at risk: shocks, forecasts, their history, and curves of impact."""

from datetime import datetime
from fractions import Fraction
from functools import partial
from itertools import pairwise
from typing import Annotated

from pydantic import Field

from models.book.impact import FEWEST_POINTS
from models.book.stableswap import Pool, impact_curve
from models.errors import Fault, InvalidInput
from serving.application import book_risk
from serving.application.scoring import ScoringService
from serving.http.idempotency import IDEMPOTENCY, opened, written
from serving.http.keys import Scope
from serving.http.later import ACCEPTED, Begun, begun
from serving.http.query import Query, parameters, read_query
from serving.http.routing import Answer, Call, Operation, Parameter, json_answer
from serving.routes.market import parsed
from serving.schemas import problems
from serving.schemas.book_risk import (
    BlockSpaceAnswer,
    BlockSpaceBody,
    BlockSpacesAnswer,
    CurveAnswer,
    ForecastBody,
    ForecastStatus,
    HistoryAnswer,
    ImpactBody,
    PoolBody,
    RiskAnswer,
    StressAnswer,
    StressBody,
)
from serving.schemas.market_names import MOST_CHAIN
from serving.schemas.problems import Refused
from serving.store import Transaction, block_space, book_forecasts, impact, market
from serving.store.block_space import BlockSpaceRow
from serving.store.impact import ImpactQuotes

LEAST_AMOUNT = Fraction(1, 10**18)
"""Below the smallest unit of any asset, in whole units."""

NAME = {"type": "string", "minLength": 1, "maxLength": 200}
ASSET = Parameter(name="asset", place="path", schema=NAME, meaning="asset that is sold")
QUOTE = Parameter(name="quote", place="path", schema=NAME, meaning="what it is sold for, as USD")
CHAIN = Parameter(
    name="chain", place="path", schema={**NAME, "maxLength": MOST_CHAIN}, meaning="as ethereum"
)
ID = Parameter(name="id", place="path", schema=NAME, meaning="of the forecast")


class RiskHistoryQuery(Query):
    """How many forecasts `GET /v1/book/risk/history` tells."""

    limit: Annotated[int, Field(ge=1, le=1000)] = 100


def stress(desk: ScoringService, call: Call) -> Answer:
    """Answer `POST /v1/book/stress`."""
    request = parsed(call.body, StressBody)
    return json_answer(book_risk.stress(desk, opened(desk), request, call.request_id))


def begin(desk: ScoringService, call: Call) -> Answer:
    """Answer `POST /v1/book/forecasts`: write that it begins, and run it beside."""
    request = parsed(call.body, ForecastBody)
    store = opened(desk)

    def act(transaction: Transaction) -> Begun:
        name, result, ready = book_risk.begin(desk, transaction, request)
        row = book_forecasts.read(transaction, name)
        if row is None:
            raise LookupError(name)
        work = partial(book_risk.run, desk, store, name, request, result, ready)
        return book_risk.status_of(row, call.request_id, now=desk.clock()), work

    return begun(
        desk, call, action="forecast book", subject="book", place="/v1/book/forecasts", act=act
    )


def read(desk: ScoringService, call: Call) -> Answer:
    """Answer `GET /v1/book/forecasts/{id}`."""
    with opened(desk).read() as transaction:
        row = book_forecasts.read(transaction, call.path["id"])
    if row is None:
        raise Refused(problems.UNKNOWN_THING, f"no forecast {call.path['id'][:80]}")
    return json_answer(book_risk.status_of(row, call.request_id, now=desk.clock()))


def stop(desk: ScoringService, call: Call) -> Answer:
    """Answer `DELETE /v1/book/forecasts/{id}`: a running one stops at its next step."""
    name = call.path["id"]

    def act(transaction: Transaction) -> ForecastStatus:
        book_forecasts.stop(transaction, name, now=desk.clock())
        row = book_forecasts.read(transaction, name)
        if row is None:
            raise Refused(problems.UNKNOWN_THING, f"no forecast {name[:80]}")
        return book_risk.status_of(row, call.request_id, now=desk.clock())

    return written(desk, call, action="stop forecast", subject=name, act=act)


def risk(desk: ScoringService, call: Call) -> Answer:
    """Answer `GET /v1/book/risk`."""
    with opened(desk).read() as transaction:
        rows = book_forecasts.newest(transaction, limit=1)
        at = market.clock(transaction, now=desk.clock())
    answer = [book_risk.status_of(row, call.request_id, now=desk.clock()) for row in rows]
    return json_answer(
        RiskAnswer(
            request_id=call.request_id,
            forecast=answer[0] if answer else None,
            age_seconds=(at - answer[0].as_of).total_seconds() if answer else None,
        )
    )


def history(desk: ScoringService, call: Call) -> Answer:
    """Answer `GET /v1/book/risk/history`."""
    request = read_query(call.query, RiskHistoryQuery)
    with opened(desk).read() as transaction:
        at = market.clock(transaction, now=desk.clock())
        result = book_risk.points(transaction, limit=request.limit, now=at)
    return json_answer(
        HistoryAnswer(
            request_id=call.request_id, points=tuple(result), tests=book_risk.tests_of(result)
        )
    )


def put_impact(desk: ScoringService, call: Call) -> Answer:
    """Answer `PUT /v1/impact/{asset}/{quote}`."""
    request = parsed(call.body, ImpactBody)
    now = desk.clock()
    with opened(desk).read() as transaction:
        at = max(market.clock(transaction, now=now), now)
    answer = _quotes(call, request, at)
    curve = book_risk.fit(answer)

    def act(transaction: Transaction) -> CurveAnswer:
        impact.write(transaction, answer, now=now)
        return book_risk.curve_answer(answer, curve, at=at)

    subject = f"{answer.asset}/{answer.quote}"
    return written(desk, call, action="push impact", subject=subject, act=act)


def _quotes(call: Call, request: ImpactBody, now: datetime) -> ImpactQuotes:
    """Return sound quotes, as they were pushed or of a pool.

    Raises
    ------
    InvalidInput
        A time to come, and as of `_pushed` or `_of_pool`: all of them.
    """
    faults: list[Fault] = []
    if request.measured_at > now:
        faults.append(Fault("/measured_at", f"{request.measured_at:%FT%TZ} is still to come"))
    points: tuple[tuple[float, float], ...] = ()
    try:
        points = _pushed(request) if request.pool is None else _of_pool(request.pool)
    except InvalidInput as error:
        faults += error.faults
    if faults:
        raise InvalidInput(faults)
    return ImpactQuotes(
        asset=call.path["asset"],
        quote=call.path["quote"],
        measured_at=request.measured_at,
        quotes=points,
    )


def _pushed(request: ImpactBody) -> tuple[tuple[float, float], ...]:
    """Return amounts and impacts as they were pushed.

    Raises
    ------
    InvalidInput
        Impacts out of range or falling, too few amounts: all of them.
    """
    faults = []
    for place, item in enumerate(request.quotes):
        if not 0 <= float(item.impact) < 1:
            where = f"/quotes/{place}/impact"
            faults.append(Fault(where, f"{float(item.impact):g} is not in [0, 1)"))
        if item.amount < LEAST_AMOUNT:
            where = f"/quotes/{place}/amount"
            faults.append(Fault(where, f"{float(item.amount):g} is below {float(LEAST_AMOUNT):g}"))
    different = {float(item.amount) for item in request.quotes}
    if len(different) < FEWEST_POINTS:
        detail = f"{len(different)} different amounts; at least {FEWEST_POINTS}"
        faults.append(Fault("/quotes", detail))
    ordered = sorted(enumerate(request.quotes), key=lambda item: (item[1].amount, item[1].impact))
    for (_, low), (place, high) in pairwise(ordered):
        if high.impact < low.impact:
            detail = (
                f"{float(high.impact):g} for {float(high.amount):g} is below "
                f"{float(low.impact):g} for {float(low.amount):g}: an impact does not fall"
            )
            faults.append(Fault(f"/quotes/{place}/impact", detail))
    if faults:
        raise InvalidInput(faults)
    return tuple((float(item.amount), float(item.impact)) for item in request.quotes)


def _of_pool(body: PoolBody) -> tuple[tuple[float, float], ...]:
    """Return amounts and impacts of a pool, exact at every amount.

    Raises
    ------
    InvalidInput
        Balances that are none.
    """
    try:
        pool = Pool(body.base, body.quoted, body.amplification, body.fee)
    except InvalidInput as error:
        raise InvalidInput(
            [Fault(f"/pool{fault.where}", fault.message) for fault in error.faults]
        ) from None
    curve = impact_curve(pool, body.amounts)
    return tuple((float(a), float(i)) for a, i in zip(curve.amounts, curve.impacts, strict=True))


def get_impact(desk: ScoringService, call: Call) -> Answer:
    """Answer `GET /v1/impact/{asset}/{quote}`."""
    asset, quote = call.path["asset"], call.path["quote"]
    with opened(desk).read() as transaction:
        at = market.clock(transaction, now=desk.clock())
        result = impact.newest(transaction, at=max(at, desk.clock()))
    stored = [item for item in result if (item.asset, item.quote) == (asset, quote)]
    if not stored:
        raise Refused(problems.UNKNOWN_THING, f"no quotes of {asset[:80]} in {quote[:80]}")
    return json_answer(book_risk.curve_answer(stored[0], book_risk.fit(stored[0]), at=at))


def put_block_space(desk: ScoringService, call: Call) -> Answer:
    """Answer `PUT /v1/block-space/{chain}`."""
    request = parsed(call.body, BlockSpaceBody)
    now = desk.clock()

    def act(transaction: Transaction) -> BlockSpaceAnswer:
        at = max(market.clock(transaction, now=now), now)
        if request.measured_at > at:
            detail = f"{request.measured_at:%FT%TZ} is still to come"
            raise InvalidInput([Fault("/measured_at", detail)])
        body = request.model_dump(mode="json")
        row = BlockSpaceRow(chain=call.path["chain"], measured_at=request.measured_at, body=body)
        block_space.write(transaction, row, now=now)
        return book_risk.block_answer(row, book_risk.priced(transaction, at=at), at=at)

    return written(desk, call, action="push block space", subject=call.path["chain"], act=act)


def block_spaces(desk: ScoringService, call: Call) -> Answer:
    """Answer `GET /v1/block-space`."""
    with opened(desk).read() as transaction:
        at = market.clock(transaction, now=desk.clock())
        rows = block_space.newest(transaction, at=max(at, desk.clock()))
        prices = book_risk.priced(transaction, at=at) if rows else {}
    chains = tuple(book_risk.block_answer(row, prices, at=at) for row in rows)
    return json_answer(BlockSpacesAnswer(request_id=call.request_id, chains=chains))


STORED = (problems.UNAVAILABLE,)

OPERATIONS = (
    Operation(
        name="stress_book",
        method="POST",
        path="/v1/book/stress",
        scope=Scope.READ,
        work=stress,
        summary="What price moves would liquidate, round by round",
        meaning="The book after every shock",
        request_type=StressBody,
        answer_types=(StressAnswer,),
        refusals=(problems.INVALID, problems.TOO_LARGE, *STORED),
    ),
    Operation(
        name="begin_book_forecast",
        method="POST",
        path="/v1/book/forecasts",
        scope=Scope.WRITE,
        work=begin,
        summary="Forecast what will be liquidated within a day and a week",
        meaning="The forecast that has begun",
        request_type=ForecastBody,
        answer_types=(ForecastStatus,),
        status=ACCEPTED,
        parameters=(IDEMPOTENCY,),
        refusals=(problems.INVALID, problems.TOO_LARGE, problems.CONFLICT, *STORED),
    ),
    Operation(
        name="book_forecast",
        method="GET",
        path="/v1/book/forecasts/{id}",
        scope=Scope.READ,
        work=read,
        summary="A forecast of the book: how far it is, or what came of it",
        meaning="The forecast",
        answer_types=(ForecastStatus,),
        parameters=(ID,),
        refusals=(problems.UNKNOWN_THING, *STORED),
    ),
    Operation(
        name="stop_book_forecast",
        method="DELETE",
        path="/v1/book/forecasts/{id}",
        scope=Scope.WRITE,
        work=stop,
        summary="Stop a forecast of the book",
        meaning="The forecast, stopping if it ran",
        answer_types=(ForecastStatus,),
        parameters=(ID, IDEMPOTENCY),
        refusals=(problems.UNKNOWN_THING, problems.CONFLICT, *STORED),
    ),
    Operation(
        name="book_risk",
        method="GET",
        path="/v1/book/risk",
        scope=Scope.READ,
        work=risk,
        summary="The newest forecast of the book",
        meaning="LaR and VaR, unattended and expected side by side",
        answer_types=(RiskAnswer,),
        refusals=STORED,
    ),
    Operation(
        name="book_risk_history",
        method="GET",
        path="/v1/book/risk/history",
        scope=Scope.READ,
        work=history,
        summary="Past forecasts of the book beside what came true",
        meaning="Forecasts, what came, and tests of how often they were exceeded",
        answer_types=(HistoryAnswer,),
        parameters=parameters(RiskHistoryQuery),
        refusals=(problems.INVALID, *STORED),
    ),
    Operation(
        name="put_impact",
        method="PUT",
        path="/v1/impact/{asset}/{quote}",
        scope=Scope.WRITE,
        work=put_impact,
        summary="State what selling an asset does to its price",
        meaning="The fitted curve, its tail marked",
        request_type=ImpactBody,
        answer_types=(CurveAnswer,),
        parameters=(ASSET, QUOTE, IDEMPOTENCY),
        refusals=(problems.INVALID, problems.CONFLICT, *STORED),
    ),
    Operation(
        name="get_impact",
        method="GET",
        path="/v1/impact/{asset}/{quote}",
        scope=Scope.READ,
        work=get_impact,
        summary="The fitted curve of impact of an asset",
        meaning="The curve, its age and its tail",
        answer_types=(CurveAnswer,),
        parameters=(ASSET, QUOTE),
        refusals=(problems.UNKNOWN_THING, *STORED),
    ),
    Operation(
        name="put_block_space",
        method="PUT",
        path="/v1/block-space/{chain}",
        scope=Scope.WRITE,
        work=put_block_space,
        summary="State gas price and block space of a chain",
        meaning="The blocks, and the congestion that follows from them",
        request_type=BlockSpaceBody,
        answer_types=(BlockSpaceAnswer,),
        parameters=(CHAIN, IDEMPOTENCY),
        refusals=(problems.INVALID, problems.CONFLICT, *STORED),
    ),
    Operation(
        name="block_spaces",
        method="GET",
        path="/v1/block-space",
        scope=Scope.READ,
        work=block_spaces,
        summary="The blocks of every chain, and what liquidations cost and take in them",
        meaning="The newest blocks by chain",
        answer_types=(BlockSpacesAnswer,),
        refusals=STORED,
    ),
)
