"""Changes of terms over HTTP: what they would do, and how far they may go."""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from functools import partial
from typing import Annotated, Any

from pydantic import Field

from models.domain import MarketId
from models.errors import Fault, InvalidInput
from models.parameters import catalogue
from models.parameters.bounds import Measure, StepBound
from models.parameters.catalogue import Role
from models.parameters.changes import places, value_at
from serving.application import governed_log, recommendations, term_preview, term_risk
from serving.application.scoring import ScoringService
from serving.application.term_book import term_book
from serving.http.idempotency import IDEMPOTENCY, opened, written
from serving.http.keys import Scope
from serving.http.later import ACCEPTED, Begun, begun
from serving.http.query import Query, parameters, read_query
from serving.http.routing import Answer, Call, Operation, Parameter, json_answer
from serving.routes.market import parsed
from serving.schemas import problems
from serving.schemas.assessment import exact_text
from serving.schemas.problems import Refused
from serving.schemas.term_changes import (
    BoundAnswer,
    BoundBody,
    BoundsAnswer,
    BoundsBody,
    ParametersAnswer,
    ParameterValue,
    RecommendationsAnswer,
    RecommendationStatus,
    RecommendBody,
    TermsPreviewAnswer,
    TermsPreviewBody,
)
from serving.store import Transaction, market, proposals
from serving.store import recommendations as stored

NAME = {"type": "string", "minLength": 1, "maxLength": 200}
ID = Parameter(name="id", place="path", schema=NAME, meaning="of the recommendation")


class NewestQuery(Query):
    """How many `GET /v1/terms/recommendations` tells."""

    limit: Annotated[int, Field(ge=1, le=100)] = 10


def preview(desk: ScoringService, call: Call) -> Answer:
    """Answer `POST /v1/terms/preview`."""
    body = parsed(call.body, TermsPreviewBody)
    store = opened(desk)
    book = term_book(store, now=desk.clock(), at=body.at)
    with store.read() as transaction:
        made = term_preview.make(transaction, book, body, is_searched=body.cliffs)
        risk = None
        if body.scenarios:
            count, seed = body.scenarios, body.seed
            risk = term_risk.paired(transaction, book, made.changes, count=count, seed=seed)
    answer = term_preview.answer(made, body, request_id=call.request_id)
    return json_answer(replace(answer, risk=risk))


def recommend(desk: ScoringService, call: Call) -> Answer:
    """Answer `POST /v1/terms/recommend`."""
    body = parsed(call.body, RecommendBody)
    store = opened(desk)

    def act(transaction: Transaction) -> Begun:
        row = recommendations.begin(desk, transaction, body)
        work = partial(recommendations.run, desk, store, row.id, body)
        return recommendations.status_of(desk, store, row, call.request_id), work

    return begun(
        desk,
        call,
        action="recommend terms",
        subject="terms",
        place="/v1/terms/recommendations",
        act=act,
    )


def recommendation(desk: ScoringService, call: Call) -> Answer:
    """Answer `GET /v1/terms/recommendations/{id}`."""
    store = opened(desk)
    with store.read() as transaction:
        row = stored.read(transaction, call.path["id"])
    if row is None:
        raise Refused(problems.UNKNOWN_THING, f"no recommendation {call.path['id'][:80]}")
    return json_answer(recommendations.status_of(desk, store, row, call.request_id))


def newest(desk: ScoringService, call: Call) -> Answer:
    """Answer `GET /v1/terms/recommendations`."""
    query = read_query(call.query, NewestQuery)
    store = opened(desk)
    with store.read() as transaction:
        rows = stored.newest(transaction, limit=query.limit)
    answers = (recommendations.status_of(desk, store, row, call.request_id) for row in rows)
    return json_answer(
        RecommendationsAnswer(request_id=call.request_id, recommendations=tuple(answers))
    )


def parameters_of(desk: ScoringService, call: Call) -> Answer:
    """Answer `GET /v1/terms/parameters`."""
    book = term_book(opened(desk), now=desk.clock())
    listed = tuple(
        _value(market, path, parameter, value_at(terms, path))
        for market, terms in sorted(book.judged.terms.items())
        for path, parameter in places(market.venue, terms)
    )
    return json_answer(
        ParametersAnswer(request_id=call.request_id, as_of=book.at, parameters=listed)
    )


def _value(
    market: MarketId, path: str, parameter: catalogue.Parameter, value: Any
) -> ParameterValue:
    """Return a parameter as it stands."""
    is_number = isinstance(value, int | Fraction)
    share = Fraction(value) / parameter.unit if is_number else None
    return ParameterValue(
        venue=market.venue,
        market=market.market,
        path=path,
        role=parameter.role.value,
        value=None if share is None else exact_text(share, 0),
        step=exact_text(Fraction(1, parameter.unit), 0) if is_number else None,
    )


def bounds(desk: ScoringService, call: Call) -> Answer:
    """Answer `GET /v1/terms/bounds`."""
    with opened(desk).read() as transaction:
        listed, since = term_preview.in_force(transaction)
    return json_answer(
        BoundsAnswer(
            request_id=call.request_id, since=since, bounds=tuple(_bound(item) for item in listed)
        )
    )


def _bound(bound: StepBound) -> BoundAnswer:
    """Return a bound in exact text."""
    return BoundAnswer(
        venue=bound.venue,
        market=bound.market,
        path=bound.path,
        role=None if bound.role is None else bound.role.value,
        measure=bound.measure.value,
        up=None if bound.up is None else exact_text(bound.up, 0),
        down=None if bound.down is None else exact_text(bound.down, 0),
        every_hours=int(bound.every.total_seconds()) // 3600,
        restricted=bound.is_restricted,
    )


def put_bounds(desk: ScoringService, call: Call) -> Answer:
    """Answer `PUT /v1/terms/bounds`."""
    body = parsed(call.body, BoundsBody)
    faults = [fault for i, bound in enumerate(body.bounds) for fault in _faults(bound, i)]
    if faults:
        raise InvalidInput(faults)
    document: dict[str, Any] = {
        "bounds": [
            {name: value for name, value in _document(bound).items() if value is not None}
            for bound in body.bounds
        ]
    }

    def act(transaction: Transaction) -> BoundsAnswer:
        now = market.clock(transaction, now=desk.clock())
        name = term_preview.BOUNDS
        proposals.govern(transaction, name, document, actor=call.principal.id, at=now)
        governed_log.append(
            transaction,
            at=now,
            actor=call.principal.id,
            action="bounds put",
            subject=name,
            body=document,
        )
        listed, since = term_preview.in_force(transaction)
        return BoundsAnswer(
            request_id=call.request_id, since=since, bounds=tuple(_bound(item) for item in listed)
        )

    answer = written(desk, call, action="put_bounds", subject=term_preview.BOUNDS, act=act)
    governed_log.export_head(opened(desk), desk.log_keys, now=desk.clock())
    return answer


def _document(bound: BoundBody) -> dict[str, Any]:
    """Return a bound as it is kept: exact numbers as text."""
    retained = bound.model_dump()
    for side in ("up", "down"):
        retained[side] = None if retained[side] is None else exact_text(retained[side], 0)
    return retained


def _faults(bound: BoundBody, place: int) -> Iterator[Fault]:
    """Yield what is wrong with a bound."""
    where = f"/bounds/{place}"
    for name, kinds, value in (("role", Role, bound.role), ("measure", Measure, bound.measure)):
        if value is not None and value not in {kind.value for kind in kinds}:
            yield Fault(f"{where}/{name}", f"{value[:80]!r} is none of {', '.join(kinds)}")
    for side, limit in (("up", bound.up), ("down", bound.down)):
        if limit is not None and limit < 0:
            yield Fault(f"{where}/{side}", f"{exact_text(limit, 0)} is below 0")


OPERATIONS = (
    Operation(
        name="preview_terms",
        method="POST",
        path="/v1/terms/preview",
        scope=Scope.READ,
        work=preview,
        summary="Who a change of risk parameters would make liquidatable, and whether it may be",
        details="All changes are made at once and judged by the exact rules on the book of the "
        "store. Nothing changes. An account that is liquidatable already is never counted.",
        meaning="Who falls, who is freed, the cliff of every parameter, and what the gate says",
        request_type=TermsPreviewBody,
        answer_types=(TermsPreviewAnswer,),
        refusals=(problems.STALE_BOOK, problems.BOOK_INCOMPLETE),
    ),
    Operation(
        name="recommend_terms",
        method="POST",
        path="/v1/terms/recommend",
        scope=Scope.PROPOSE,
        work=recommend,
        summary="Begin to look which change within one step lowers the expected losses",
        details="Every candidate is judged on the same scenarios and passes the gate; caps, "
        "ceilings, bonuses, loan to value and tiers follow from rules. Nothing is applied: what "
        "is recommended has to be proposed.",
        meaning="The recommendation that has begun",
        request_type=RecommendBody,
        answer_types=(RecommendationStatus,),
        status=ACCEPTED,
        parameters=(IDEMPOTENCY,),
        refusals=(problems.NOT_ALLOWED, problems.CONFLICT),
    ),
    Operation(
        name="recommendation",
        method="GET",
        path="/v1/terms/recommendations/{id}",
        scope=Scope.READ,
        work=recommendation,
        summary="A recommendation: how far it is, what came of it, and whether it still stands",
        meaning="What to change, its gain with an interval, what binds, and its preview",
        answer_types=(RecommendationStatus,),
        parameters=(ID,),
        refusals=(problems.UNKNOWN_THING,),
    ),
    Operation(
        name="recommendations",
        method="GET",
        path="/v1/terms/recommendations",
        scope=Scope.READ,
        work=newest,
        summary="The newest recommendations",
        meaning="Recommendations, the newest first",
        answer_types=(RecommendationsAnswer,),
        parameters=parameters(NewestQuery),
    ),
    Operation(
        name="parameters",
        method="GET",
        path="/v1/terms/parameters",
        scope=Scope.READ,
        work=parameters_of,
        summary="Every parameter that may be changed, as it stands",
        meaning="The parameters",
        answer_types=(ParametersAnswer,),
    ),
    Operation(
        name="bounds",
        method="GET",
        path="/v1/terms/bounds",
        scope=Scope.READ,
        work=bounds,
        summary="How far each parameter may move at once, and how long between two moves",
        meaning="The bounds",
        answer_types=(BoundsAnswer,),
    ),
    Operation(
        name="put_bounds",
        method="PUT",
        path="/v1/terms/bounds",
        scope=Scope.GOVERN,
        work=put_bounds,
        summary="Put other bounds in force",
        meaning="The bounds in force now",
        request_type=BoundsBody,
        answer_types=(BoundsAnswer,),
        parameters=(IDEMPOTENCY,),
        refusals=(problems.CONFLICT,),
    ),
)
