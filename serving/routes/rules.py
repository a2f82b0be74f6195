"""The exact rules: margins, triggers, liquidations, rulebooks and the terms in force."""

from serving.application import exact_margin
from serving.application.scoring import ScoringService
from serving.http.keys import Scope
from serving.http.negotiation import FORMS, answered, envelope
from serving.http.routing import Answer, Call, Operation, of_body
from serving.routes.scoring import SINGLE_OR_BATCH
from serving.schemas import margin, margin_requests
from serving.schemas.problems import NOT_ACCEPTABLE, NOT_ARROW, UNKNOWN_ACCOUNT


def judge(desk: ScoringService, call: Call) -> Answer:
    """Answer `POST /v1/margin` in the form asked for."""
    request, faults = envelope(call, margin_requests.MarginBody)
    return answered(exact_margin.margins(desk, request, faults, call.request_id), call)


OPERATIONS = (
    Operation(
        name="margin",
        method="POST",
        path="/v1/margin",
        scope=Scope.READ,
        work=judge,
        summary="Credit, requirement, surplus, the venue's ratio and its verdict, exact",
        details=SINGLE_OR_BATCH,
        meaning="What the venue's rules say",
        request_type=margin_requests.MarginBody,
        answer_types=(margin.MarginAnswer, margin.MarginBatch),
        takes=FORMS,
        gives=FORMS,
        refusals=(UNKNOWN_ACCOUNT, NOT_ARROW, NOT_ACCEPTABLE),
        takes_turns=True,
    ),
    Operation(
        name="trigger",
        method="POST",
        path="/v1/trigger",
        scope=Scope.READ,
        work=of_body(exact_margin.trigger),
        summary="The prices, the common shock and the time at which the verdict flips",
        details=SINGLE_OR_BATCH,
        meaning="Where and when the verdict flips",
        request_type=margin_requests.TriggerBody,
        answer_types=(margin.TriggersAnswer, margin.TriggerBatch),
        refusals=(UNKNOWN_ACCOUNT,),
        takes_turns=True,
    ),
    Operation(
        name="liquidation",
        method="POST",
        path="/v1/liquidation",
        scope=Scope.READ,
        work=of_body(exact_margin.liquidation),
        summary="What a liquidation would seize, or the venue's refusal",
        details=SINGLE_OR_BATCH,
        meaning="The liquidation, or its refusal: that is an answer too",
        request_type=margin_requests.LiquidationBody,
        answer_types=(margin.LiquidationAnswer, margin.LiquidationBatch),
        refusals=(UNKNOWN_ACCOUNT,),
        takes_turns=True,
    ),
)
