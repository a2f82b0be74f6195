"""Assessments: the venue's verdict beside the forecast."""

from serving import telemetry
from serving.application.scoring import ScoringService
from serving.http.keys import Scope
from serving.http.negotiation import FORMS, answered, envelope
from serving.http.routing import Answer, Call, Operation
from serving.http.weights import shown
from serving.schemas import assessment, requests
from serving.schemas.assessment import Assessment
from serving.schemas.problems import NOT_ACCEPTABLE, NOT_ARROW, UNKNOWN_ACCOUNT

ONE_OR_MANY = (
    "`account` is answered with one answer, `accounts` with a batch: one item each in the order "
    "asked, an item with `errors` where that account could not be judged."
)


def score(desk: ScoringService, call: Call) -> Answer:
    """Answer `POST /v1/score` in the form asked for."""
    asked, found = envelope(call, requests.ScoreBody)
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
        request_type=requests.ScoreBody,
        answer_types=(assessment.Assessment, assessment.Batch),
        takes=FORMS,
        gives=FORMS,
        refusals=(UNKNOWN_ACCOUNT, NOT_ARROW, NOT_ACCEPTABLE),
    ),
)
