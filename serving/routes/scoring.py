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

SINGLE_OR_BATCH = (
    "`account` is answered with one answer, `accounts` with a batch: one item each in the order "
    "asked, an item with `errors` where that account could not be judged."
)


def score(desk: ScoringService, call: Call) -> Answer:
    """Answer `POST /v1/score` in the form asked for."""
    request, faults = envelope(call, requests.ScoreBody)
    answer = desk.assessed(request, faults, call.request_id)
    telemetry.record([answer] if isinstance(answer, Assessment) else answer.assessments)
    return answered(shown(answer, call.principal), call)


OPERATIONS = (
    Operation(
        name="score",
        method="POST",
        path="/v1/score",
        scope=Scope.READ,
        work=score,
        summary="Judge accounts by their venue's rules and forecast their liquidation",
        details=SINGLE_OR_BATCH,
        meaning="What the rules and the model say",
        request_type=requests.ScoreBody,
        answer_types=(assessment.Assessment, assessment.Batch),
        takes=FORMS,
        gives=FORMS,
        refusals=(UNKNOWN_ACCOUNT, NOT_ARROW, NOT_ACCEPTABLE),
        takes_turns=True,
    ),
)
