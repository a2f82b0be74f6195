"""Assessments: the venue's verdict beside the forecast."""

from serving.asked import wire
from serving.asked.columnar import FORMS, answered, envelope
from serving.desk import Desk
from serving.http import telemetry
from serving.http.keys import Scope
from serving.http.operations import Answer, Call, Operation
from serving.http.problems import NOT_ACCEPTABLE, NOT_ARROW, UNKNOWN_ACCOUNT
from serving.http.weights import shown
from serving.judging import answers
from serving.judging.answers import Assessment

ONE_OR_MANY = (
    "`account` is answered with one answer, `accounts` with a batch: one item each in the order "
    "asked, an item with `errors` where that account could not be judged."
)


def score(desk: Desk, call: Call) -> Answer:
    """Answer `POST /v1/score` in the form asked for."""
    asked, found = envelope(call, wire.ScoreBody)
    told = desk.assessed(asked, found, call.request_id)
    telemetry.record([told] if isinstance(told, Assessment) else told.assessments)
    return answered(shown(told, call.principal), call)


OPERATIONS = (
    Operation(
        name="score",
        method="POST",
        path="/v1/score",
        scope=Scope.READ,
        work=score,
        summary="Judge accounts by their venue's rules and forecast their liquidation",
        details=ONE_OR_MANY,
        meaning="What the rules and the model say",
        asked=wire.ScoreBody,
        told=(answers.Assessment, answers.Batch),
        takes=FORMS,
        gives=FORMS,
        refusals=(UNKNOWN_ACCOUNT, NOT_ARROW, NOT_ACCEPTABLE),
    ),
)
