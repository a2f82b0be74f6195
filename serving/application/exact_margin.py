"""The rules over HTTP: a body in; margins, triggers and liquidations out."""

from collections.abc import Sequence
from functools import partial
from typing import TypeVar

from models.errors import Fault, InvalidInput
from serving.application.scoring import ScoringService, in_order
from serving.evaluation.aggregate import Placed, aggregate, refuse_single
from serving.evaluation.liquidations import liquidation_of
from serving.evaluation.margin import MarginEvaluation, margin_evaluation
from serving.evaluation.triggers import triggers_of
from serving.schemas import requests
from serving.schemas.assessment import FaultyItem
from serving.schemas.margin import (
    LiquidationAnswer,
    LiquidationBatch,
    MarginAnswer,
    MarginBatch,
    TriggerBatch,
    TriggersAnswer,
)
from serving.schemas.margin_requests import LiquidationBody, MarginBody, TriggerBody
from serving.schemas.problems import encode

T = TypeVar("T")


def margin(desk: ScoringService, body: bytes, request_id: str) -> bytes:
    """Answer the body of `POST /v1/margin`.

    Raises
    ------
    NotJson
        When the body is not JSON.
    InvalidInput
        When the envelope or every account is at fault.
    """
    return encode(answer_margin(desk, body, request_id))


def trigger(desk: ScoringService, body: bytes, request_id: str) -> bytes:
    """Answer the body of `POST /v1/trigger`; raises as `margin` does."""
    return encode(answer_trigger(desk, body, request_id))


def liquidation(desk: ScoringService, body: bytes, request_id: str) -> bytes:
    """Answer the body of `POST /v1/liquidation`; raises as `margin` does."""
    return encode(answer_liquidation(desk, body, request_id))


def answer_margin(desk: ScoringService, body: bytes, request_id: str) -> MarginAnswer | MarginBatch:
    """Answer the body of `POST /v1/margin`; raises as `margin` does."""
    request, faults = requests.parse(body, MarginBody)
    return margins(desk, request, faults, request_id)


def margins(
    desk: ScoringService, request: MarginBody, faults: Sequence[Fault], request_id: str
) -> MarginAnswer | MarginBatch:
    """Answer an envelope; `faults` holds the faults of single accounts."""
    refuse_single(request)
    ask = partial(margin_evaluation, risk=request.risk, request_id=request_id)
    around, outcomes = desk.outcomes(request, faults, ask)
    answers = [
        outcome if isinstance(outcome, InvalidInput) else outcome.answer for outcome in outcomes
    ]
    if request.accounts is None:
        return _only(answers)
    return MarginBatch(
        request_id=request_id,
        as_of=around.at,
        simulated=around.simulated,
        margins=_items(request, answers),
        aggregate=aggregate(request, placed(outcomes)),
    )


def answer_trigger(
    desk: ScoringService, body: bytes, request_id: str
) -> TriggersAnswer | TriggerBatch:
    """Answer the body of `POST /v1/trigger`; raises as `margin` does."""
    request, faults = requests.parse(body, TriggerBody)
    ask = partial(triggers_of, betas=request.betas, search_end=request.until, request_id=request_id)
    around, outcomes = desk.outcomes(request, faults, ask)
    if request.accounts is None:
        return _only(outcomes)
    return TriggerBatch(
        request_id=request_id,
        as_of=around.at,
        simulated=around.simulated,
        triggers=_items(request, outcomes),
    )


def answer_liquidation(
    desk: ScoringService, body: bytes, request_id: str
) -> LiquidationAnswer | LiquidationBatch:
    """Answer the body of `POST /v1/liquidation`; raises as `margin` does."""
    request, faults = requests.parse(body, LiquidationBody)
    ask = partial(liquidation_of, request=request.request, request_id=request_id)
    around, outcomes = desk.outcomes(request, faults, ask)
    if request.accounts is None:
        return _only(outcomes)
    return LiquidationBatch(
        request_id=request_id,
        as_of=around.at,
        simulated=around.simulated,
        liquidations=_items(request, outcomes),
    )


def _only(outcomes: Sequence[T | InvalidInput]) -> T:
    """Return the one answer; a request whose only account is at fault is refused before."""
    return sound(outcomes)[0]


def _items(
    request: requests.Envelope, outcomes: Sequence[T | InvalidInput]
) -> tuple[T | FaultyItem, ...]:
    """Return the answer or the faults per account, in the order asked."""
    return tuple(in_order(request, outcomes, sound(outcomes)))


def sound(outcomes: Sequence[T | InvalidInput]) -> list[T]:
    """Return the answers among answers and faults."""
    return [outcome for outcome in outcomes if not isinstance(outcome, InvalidInput)]


def placed(outcomes: Sequence[MarginEvaluation | InvalidInput]) -> list[Placed | InvalidInput]:
    """Return what the accounts' whole is made of."""
    return [
        outcome if isinstance(outcome, InvalidInput) else Placed(item=outcome.item, now=outcome.now)
        for outcome in outcomes
    ]
