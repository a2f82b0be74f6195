"""The cheapest plans that messages carry: sized to what clears the alert, in bounded time.

No message waits for its plan: one that takes too long or fails is left out, with the reason.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence

from msgspec import structs

from models.alerting.evidence import aim
from models.alerting.policy import Policy
from models.alerting.signals import Transition, TransitionKind
from models.errors import InvalidInput
from serving.evaluation.actions import Constraints
from serving.evaluation.assess import Model, unseen
from serving.evaluation.inputs import MarketSnapshot
from serving.evaluation.plan_result import planned, policy_goal
from serving.evaluation.rule_evaluation import RuleEvaluation
from serving.notify.message import Plans
from serving.schemas.changes import PlanAnswer
from serving.watch.time_limit import TimeLimit, TimeLimitReached

LOGGER = logging.getLogger("forewarn.watch")
EACH = 2.0
"""Seconds that one plan may take."""

TOGETHER = 3.0
"""Seconds that all plans of a pass may take; the worst accounts are planned first."""

WATCH = "watch"
NO_ACT = "no_act_clears_it"
"""Prices are in doubt, or what the message tells of has happened."""


def plans(
    rises: Sequence[Transition],
    judged: Mapping[str, RuleEvaluation],
    policy: Policy,
    *,
    model: Model,
    around: MarketSnapshot,
    timer: Callable[[], float] = time.monotonic,
) -> Plans:
    """Return the cheapest plan of each account that rose, or why there is none.

    Parameters
    ----------
    rises
        Worst first; those that tell of a fall have no plan.
    judged
        By account.
    timer
        Seconds that only grow.
    """
    by_account: dict[str, PlanAnswer] = {}
    absent: dict[str, str] = {}
    budget, end = TimeLimit(timer), timer() + TOGETHER
    for rise in rises:
        if rise.kind is TransitionKind.LOWERED or rise.account not in judged:
            continue
        budget.start(min(EACH, end - timer()))
        outcome = _attempt(rise, judged[rise.account], policy, model, around, budget)
        if isinstance(outcome, PlanAnswer):
            by_account[rise.account] = outcome
        else:
            absent[rise.account] = outcome
    return Plans(by_account=by_account, absent=absent)


def _attempt(
    rise: Transition,
    judged: RuleEvaluation,
    policy: Policy,
    model: Model,
    around: MarketSnapshot,
    budget: TimeLimit,
) -> PlanAnswer | str:
    """Return a plan, or the code of why there is none."""
    try:
        budget.check()
        (is_unseen,) = unseen([judged], model).tolist()
        policy_aim = aim(policy, rise.level, is_unseen=is_unseen)
        has_forecast = rise.probability is not None
        if rise.causes and {cause.signal for cause in rise.causes} <= policy_aim.beyond:
            return NO_ACT
        case = structs.replace(judged.case, rulebook=budget.limited(judged.case.rulebook))
        goal = policy_goal(case, policy_aim, has_forecast=has_forecast)
        return planned(case, goal, Constraints(), model=model, around=around, request_id=WATCH)
    except TimeLimitReached:
        return "no_time"
    except InvalidInput:
        return "not_evaluable"
    except Exception:  # the watching loop: recorded in the message
        LOGGER.exception("no plan of %s", rise.account[:80])
        return "failed"
