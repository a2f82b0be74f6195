"""Pure: the plan that an assessment carries, as an alert of the policy that ships would."""

from dataclasses import replace

from msgspec import structs

from models.alerting.aim import aim
from models.alerting.policy import default
from models.alerting.signals import Level
from models.errors import InvalidInput
from serving.asked.cases import Surroundings
from serving.asked.change_wire import TargetBody
from serving.judging.actions import Means
from serving.judging.answers import Assessment
from serving.judging.assess import Model
from serving.judging.change_answers import PlanAnswer
from serving.judging.judgement import Judgement
from serving.judging.plan import Target, is_healthy
from serving.judging.plan_answers import AdviceAnswer
from serving.judging.planned import planned, target, worse


def advised(
    told: Assessment, judged: Judgement, *, model: Model, around: Surroundings
) -> Assessment:
    """Return an assessment with the cheapest plan out of warning, or why it has none."""
    wanted = target(aim(default(), Level.WARNING), is_forecast=bool(told.forecast))
    sized = replace(judged.case, market=worse(judged))
    # A plan asks the model a hundred times and more; most accounts need none.
    if _is_there(told, wanted) and is_healthy(sized, sized.account, Target(health=wanted.health)):
        return structs.replace(told, plan_absence="already_there")
    try:
        found = planned(
            judged.case,
            wanted,
            Means(),
            model=model,
            around=around,
            request_id=told.request_id,
            sized=sized,
        )
    except InvalidInput:
        return structs.replace(told, plan_absence="not_evaluable")
    if not found.actions:
        return structs.replace(told, plan_absence=found.reason)
    return structs.replace(told, plan=advice(found))


def _is_there(told: Assessment, wanted: TargetBody) -> bool:
    """Whether the forecast is within a target already."""
    if wanted.probability is None:
        return True
    chances = {entry.horizon: getattr(entry, wanted.head) for entry in told.forecast}
    return bool(chances[wanted.horizon] <= wanted.probability)


def advice(found: PlanAnswer) -> AdviceAnswer:
    """Return a plan without what an assessment tells already."""
    return AdviceAnswer(
        is_reached=found.is_reached,
        reason=found.reason,
        target=found.target,
        actions=found.actions,
        cost=found.cost,
        value=found.value,
        health=found.after.health,
        probability=found.probability,
        legs_after=found.legs_after,
    )
