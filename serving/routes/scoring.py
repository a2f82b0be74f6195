"""Assessments: the venue's verdict beside the forecast."""

from serving import answers, wire
from serving.desk import Desk
from serving.keys import Scope
from serving.operations import Operation, of_body
from serving.problems import UNKNOWN_ACCOUNT

ONE_OR_MANY = (
    "`account` is answered with one answer, `accounts` with a batch: one item each in the order "
    "asked, an item with `errors` where that account could not be judged."
)

OPERATIONS = (
    Operation(
        name="score",
        method="POST",
        path="/v1/score",
        scope=Scope.READ,
        work=of_body(Desk.score),
        summary="Judge accounts by their venue's rules and forecast their liquidation",
        details=ONE_OR_MANY,
        meaning="What the rules and the model say",
        asked=wire.ScoreBody,
        told=(answers.Assessment, answers.Batch),
        refusals=(UNKNOWN_ACCOUNT,),
    ),
)
