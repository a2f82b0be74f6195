"""Recommendations as resources: begun, run beside, and revoked once the market has moved on."""

import uuid
from datetime import timedelta
from typing import Any

import msgspec

from models.errors import ForewarnError
from serving.application import term_recommend
from serving.application.scoring import ScoringService
from serving.application.term_book import term_book
from serving.application.term_sizing import Sizer
from serving.schemas.problems import Refused
from serving.schemas.term_changes import RecommendAnswer, RecommendationStatus, RecommendBody
from serving.store import Store, Transaction, market, recommendations
from serving.store.recommendations import RecommendationRow

LOST = timedelta(minutes=15)
"""Without a word for so long, who ran a recommendation is gone."""


def begin(
    desk: ScoringService, transaction: Transaction, request: RecommendBody
) -> RecommendationRow:
    """Write that a recommendation begins.

    Raises
    ------
    Refused
        409 while a breaker pauses recommendations.
    """
    term_recommend.refuse_paused(transaction)
    now = desk.clock()
    row = RecommendationRow(
        id=uuid.uuid4().hex,
        at=market.clock(transaction, now=now),
        status=recommendations.RUNNING,
        tried=0,
        updated_at=now,
        request=request.model_dump(mode="json"),
        body=None,
    )
    recommendations.begin(transaction, row.id, row.request, at=row.at, now=now)
    return row


def run(desk: ScoringService, store: Store, name: str, request: RecommendBody) -> None:
    """Run a recommendation to its end, and keep what came of it."""
    values: dict[str, Any] = {
        "status": recommendations.FAILED,
        "body": {"error": "ended by a defect: see the log"},
    }

    def report(tried: int) -> None:
        with store.begin() as transaction:
            recommendations.update(transaction, name, now=desk.clock(), tried=tried)

    try:
        book = term_book(store, now=desk.clock())
        with store.read() as transaction:
            answer = term_recommend.recommend(
                transaction, book, request, request_id="", report=report
            )
        body = msgspec.to_builtins(answer)
        values = {"status": recommendations.DONE, "tried": answer.tried, "body": body}
    except Refused as error:
        values["body"] = {"error": f"{error.kind.title}: {error.detail}"[:1000]}
    except (ForewarnError, ArithmeticError, ValueError) as error:
        values["body"] = {"error": str(error)[:1000]}
    finally:
        with store.begin() as transaction:
            recommendations.update(transaction, name, now=desk.clock(), **values)


def status_of(
    desk: ScoringService, store: Store, row: RecommendationRow, request_id: str
) -> RecommendationStatus:
    """Return a recommendation as it is answered, and whether it still stands."""
    is_lost = row.status == recommendations.RUNNING and desk.clock() - row.updated_at > LOST
    revoked: tuple[str, ...] = ()
    body = None if row.body is None else {k: v for k, v in row.body.items() if k != "request_id"}
    if row.status == recommendations.DONE and row.body is not None:
        revoked = _revoked(desk, store, row)
    return RecommendationStatus(
        request_id=request_id,
        id=row.id,
        as_of=row.at,
        status=recommendations.FAILED if is_lost else row.status,
        tried=row.tried,
        request=row.request,
        result=body,
        stands=row.status == recommendations.DONE and not revoked,
        revoked_because=revoked,
    )


def _revoked(desk: ScoringService, store: Store, row: RecommendationRow) -> tuple[str, ...]:
    """Return what has left its band since."""
    then = msgspec.convert(row.body, RecommendAnswer)
    request = RecommendBody.model_validate(row.request)
    book = term_book(store, now=desk.clock())
    limit = None if request.lar_limit is None else float(request.lar_limit)
    with store.read() as transaction:
        sizer = Sizer(transaction, book, fees=float(request.fees), lar_limit=limit)
        return term_recommend.moved(then, sizer, band=request.revoked_beyond)
