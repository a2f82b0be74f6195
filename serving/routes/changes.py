"""Changes: what would become of an account, and the cheapest way to a target."""

from serving.application import what_if
from serving.http.keys import Scope
from serving.http.routing import Operation, of_body
from serving.routes.scoring import SINGLE_OR_BATCH
from serving.schemas import change_requests
from serving.schemas import changes as change_answers
from serving.schemas.problems import UNKNOWN_ACCOUNT

OPERATIONS = (
    Operation(
        name="what_if",
        method="POST",
        path="/v1/what-if",
        scope=Scope.READ,
        work=of_body(what_if.what_if),
        summary="Judge accounts before and after price shocks, changed legs or changed terms",
        details=SINGLE_OR_BATCH,
        meaning="Each account before and after",
        request_type=change_requests.WhatIfBody,
        answer_types=(change_answers.WhatIfAnswer, change_answers.WhatIfBatch),
        refusals=(UNKNOWN_ACCOUNT,),
    ),
    Operation(
        name="plan",
        method="POST",
        path="/v1/plan",
        scope=Scope.READ,
        work=of_body(what_if.plans),
        summary="The cheapest actions that reach a health and a probability",
        details=SINGLE_OR_BATCH,
        meaning="What to do, and where it leads",
        request_type=change_requests.PlanBody,
        answer_types=(change_answers.PlanAnswer, change_answers.PlanBatch),
        refusals=(UNKNOWN_ACCOUNT,),
    ),
)
