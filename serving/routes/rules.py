"""The exact rules: margins, triggers, liquidations, rulebooks and the terms in force."""

from serving.asked.columnar import FORMS, answered, envelope
from serving.desk import Desk
from serving.http.keys import Scope
from serving.http.operations import Answer, Call, Operation, of_body
from serving.http.problems import NOT_ACCEPTABLE, NOT_ARROW, UNKNOWN_ACCOUNT
from serving.margin import answers, requests, wire
from serving.routes.scoring import ONE_OR_MANY


def judge(desk: Desk, call: Call) -> Answer:
    """Answer `POST /v1/margin` in the form asked for."""
    asked, found = envelope(call, wire.MarginBody)
    return answered(requests.margins(desk, asked, found, call.request_id), call)


OPERATIONS = (
    Operation(
        name="margin",
        method="POST",
        path="/v1/margin",
        scope=Scope.READ,
        work=judge,
        summary="Credit, requirement, surplus, the venue's ratio and its verdict, exact",
        details=ONE_OR_MANY,
        meaning="What the venue's rules say",
        asked=wire.MarginBody,
        told=(answers.MarginAnswer, answers.MarginBatch),
        takes=FORMS,
        gives=FORMS,
        refusals=(UNKNOWN_ACCOUNT, NOT_ARROW, NOT_ACCEPTABLE),
    ),
    Operation(
        name="trigger",
        method="POST",
        path="/v1/trigger",
        scope=Scope.READ,
        work=of_body(requests.trigger),
        summary="The prices, the common shock and the time at which the verdict flips",
        details=ONE_OR_MANY,
        meaning="Where and when the verdict flips",
        asked=wire.TriggerBody,
        told=(answers.TriggersAnswer, answers.TriggerBatch),
        refusals=(UNKNOWN_ACCOUNT,),
    ),
    Operation(
        name="liquidation",
        method="POST",
        path="/v1/liquidation",
        scope=Scope.READ,
        work=of_body(requests.liquidation),
        summary="What a liquidation would seize, or the venue's refusal",
        details=ONE_OR_MANY,
        meaning="The liquidation, or its refusal: that is an answer too",
        asked=wire.LiquidationBody,
        told=(answers.LiquidationAnswer, answers.LiquidationBatch),
        refusals=(UNKNOWN_ACCOUNT,),
    ),
)
