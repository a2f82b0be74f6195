"""Changes: what would become of an account, and the cheapest way to a target."""

from serving.asked import change_wire
from serving.http.keys import Scope
from serving.http.operations import Operation, of_body
from serving.http.problems import UNKNOWN_ACCOUNT
from serving.judging import change_answers, changes
from serving.routes.scoring import ONE_OR_MANY

OPERATIONS = (
    Operation(
        name="what_if",
        method="POST",
        path="/v1/what-if",
        scope=Scope.READ,
        work=of_body(changes.what_if),
        summary="Judge accounts before and after price shocks, changed legs or changed terms",
        details=ONE_OR_MANY,
        meaning="Each account before and after",
        asked=change_wire.WhatIfBody,
        told=(change_answers.WhatIfAnswer, change_answers.WhatIfBatch),
        refusals=(UNKNOWN_ACCOUNT,),
    ),
    Operation(
        name="plan",
        method="POST",
        path="/v1/plan",
        scope=Scope.READ,
        work=of_body(changes.plans),
        summary="The cheapest actions that reach a health and a probability",
        details=ONE_OR_MANY,
        meaning="What to do, and where it leads",
        asked=change_wire.PlanBody,
        told=(change_answers.PlanAnswer, change_answers.PlanBatch),
        refusals=(UNKNOWN_ACCOUNT,),
    ),
)
