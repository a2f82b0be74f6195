"""Pure: the plan that an assessment carries, as an alert of the policy that ships would."""

from msgspec import structs

from models.alerting.evidence import aim
from models.alerting.policy import default
from models.alerting.signals import Level
from models.errors import InvalidInput
from serving.evaluation.actions import Constraints
from serving.evaluation.assess import Model
from serving.evaluation.inputs import MarketSnapshot
from serving.evaluation.plan import is_healthy
from serving.evaluation.plan_result import Goal, planned, policy_goal
from serving.evaluation.rule_evaluation import RuleEvaluation
from serving.schemas.assessment import Assessment
from serving.schemas.changes import PlanAnswer
from serving.schemas.plan_actions import AdviceAnswer


def advised(
    told: Assessment, judged: RuleEvaluation, *, model: Model, around: MarketSnapshot
) -> Assessment:
    """Return an assessment with the cheapest plan out of warning, or why it has none."""
    case, wanted = judged.case, aim(default(), Level.WARNING)
    goal = policy_goal(case, wanted, has_forecast=bool(told.forecast))
    # A plan asks the model a hundred times and more; most accounts need none.
    if _is_calm(told, goal) and is_healthy(case, case.account, goal.target):
        return structs.replace(told, plan_absence="already_there")
    try:
        found = planned(
            case, goal, Constraints(), model=model, around=around, request_id=told.request_id
        )
    except InvalidInput:
        return structs.replace(told, plan_absence="not_evaluable")
    if not found.actions:
        return structs.replace(told, plan_absence=found.reason)
    return structs.replace(told, plan=advice(found))


def _is_calm(told: Assessment, goal: Goal) -> bool:
    """Whether the forecast is within every limit already."""
    by_horizon = {entry.horizon: entry for entry in told.forecast}
    return all(getattr(by_horizon[one.horizon], one.head) < one.probability for one in goal.limits)


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
