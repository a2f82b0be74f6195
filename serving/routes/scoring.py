"""Assessments: the venue's verdict beside the forecast."""

from msgspec.structs import replace

from serving.asked import wire
from serving.asked.columnar import FORMS, answered, envelope
from serving.desk import Desk
from serving.http import telemetry
from serving.http.keys import Scope
from serving.http.operations import Answer, Call, Operation
from serving.http.problems import NOT_ACCEPTABLE, NOT_ARROW, UNKNOWN_ACCOUNT
from serving.judging import answers
from serving.judging.answers import Assessment, Batch

ONE_OR_MANY = (
    "`account` is answered with one answer, `accounts` with a batch: one item each in the order "
    "asked, an item with `errors` where that account could not be judged."
)


def score(desk: Desk, call: Call) -> Answer:
    """Answer `POST /v1/score` in the form asked for."""
    asked, found = envelope(call, wire.ScoreBody)
    told = desk.assessed(asked, found, call.request_id)
    telemetry.record([told] if isinstance(told, Assessment) else told.assessments)
    return answered(told if call.principal.may(Scope.WEIGHTS) else unweighted(told), call)


def unweighted(told: Assessment | Batch) -> Assessment | Batch:
    """Return an answer without the weights of its reasons."""
    if isinstance(told, Assessment):
        return _unweighted(told)
    kept = (_unweighted(o) if isinstance(o, Assessment) else o for o in told.assessments)
    return replace(told, assessments=tuple(kept))


def _unweighted(told: Assessment) -> Assessment:
    """Return an assessment whose reasons say what and which way, but not how much."""
    found = told.attribution
    return replace(
        told,
        reasons=tuple(replace(reason, impact=None) for reason in told.reasons),
        attribution=None if found is None else replace(found, start=None, others=None),
    )


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
