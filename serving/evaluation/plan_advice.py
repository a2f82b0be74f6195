"""Pure: the plan that an assessment carries, as an alert of the policy that ships would."""

from msgspec import structs

from models.alerting.evidence import aim
from models.alerting.policy import default
from models.alerting.signals import Level
from models.errors import InvalidInput
from serving.evaluation.actions import Constraints
from serving.evaluation.assess import Model, unseen
from serving.evaluation.inputs import MarketSnapshot
from serving.evaluation.plan_result import planned, policy_goal
from serving.evaluation.rule_evaluation import RuleEvaluation
from serving.schemas.assessment import Assessment
from serving.schemas.changes import PlanAnswer
from serving.schemas.plan_actions import AdviceAnswer


def advised(
    assessment: Assessment, judged: RuleEvaluation, *, model: Model, around: MarketSnapshot
) -> Assessment:
    """Return an assessment with the cheapest plan out of warning, or why it has none."""
    (is_unseen,) = unseen([judged], model).tolist()
    case, policy_aim = judged.case, aim(default(), Level.WARNING, is_unseen=is_unseen)
    goal = policy_goal(case, policy_aim, has_forecast=bool(assessment.forecast))
    try:
        plan = planned(
            case, goal, Constraints(), model=model, around=around, request_id=assessment.request_id
        )
    except InvalidInput:
        return structs.replace(assessment, plan_absence="not_evaluable")
    if not plan.actions:
        return structs.replace(assessment, plan_absence=plan.reason)
    return structs.replace(assessment, plan=advice(plan))


def advice(plan: PlanAnswer) -> AdviceAnswer:
    """Return a plan without the fields that its assessment has already."""
    return AdviceAnswer(
        is_reached=plan.is_reached,
        reason=plan.reason,
        target=plan.target,
        actions=plan.actions,
        cost=plan.cost,
        value=plan.value,
        health=plan.after.health,
        probability=plan.probability,
        legs_after=plan.legs_after,
    )
