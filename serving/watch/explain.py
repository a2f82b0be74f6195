"""What messages say beyond their transitions: the assessment, its reasons, the cheapest plan."""

import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence

from models.alerting.policy import Policy
from models.alerting.signals import Transition
from models.errors import InvalidInput
from serving.evaluation.assess import Model, ScoreOptions, assess
from serving.evaluation.inputs import AccountInput, MarketSnapshot
from serving.evaluation.rule_evaluation import RuleEvaluation, evaluate_rules
from serving.schemas.assessment import Assessment
from serving.watch.plans import WATCH, plans
from serving.watch.step import Explanations

LOGGER = logging.getLogger("forewarn.watch")
MOST_EXPLAINED = 100
"""Accounts per pass whose messages carry reasons and a plan; the others carry the rule's."""


def explained(
    transitions: Sequence[Transition],
    judged: Mapping[str, RuleEvaluation],
    *,
    policy: Policy,
    model: Model,
    around: MarketSnapshot,
    case_of: Callable[[str], AccountInput],
) -> Explanations:
    """Return what messages say of accounts; nothing where that fails: no alarm waits for it.

    Parameters
    ----------
    transitions
        Worst first.
    judged
        By account, what this step judged.
    case_of
        Returns the case of an account that a digest tells of and this step did not judge.
    """
    try:
        evaluations = {**judged, **_judged_again(transitions, judged, case_of)}
        chosen = [
            evaluations[transition.account]
            for transition in transitions
            if transition.account in evaluations
        ]
        return Explanations(
            assessed=_assessed(chosen, model, around),
            plans=plans(
                transitions[:MOST_EXPLAINED], evaluations, policy, model=model, around=around
            ),
        )
    except Exception:  # the watching loop: an alarm leaves without its explanation
        LOGGER.exception("messages could not be explained")
        return Explanations()


def _judged_again(
    transitions: Sequence[Transition],
    judged: Mapping[str, RuleEvaluation],
    case_of: Callable[[str], AccountInput],
) -> dict[str, RuleEvaluation]:
    """Return the judgements of accounts that are told of and were not judged in this step."""
    evaluations = {}
    for key in [
        transition.account for transition in transitions if transition.account not in judged
    ][:MOST_EXPLAINED]:
        with contextlib.suppress(InvalidInput):
            evaluations[key] = evaluate_rules(case_of(key))
    return evaluations


def _assessed(
    judged: Sequence[RuleEvaluation], model: Model, around: MarketSnapshot
) -> dict[str, Assessment]:
    """Return the assessments of accounts, with reasons for the first of them."""
    by_account: dict[str, Assessment] = {}
    for some, wish in (
        (judged[:MOST_EXPLAINED], ScoreOptions(reasons=True)),
        (judged[MOST_EXPLAINED:], ScoreOptions(reasons=False)),
    ):
        made = assess(
            some,
            at=around.at,
            market_tables=around.market_tables,
            model=model,
            wish=wish,
            request_id=WATCH,
            simulated=around.simulated,
        )
        by_account.update({assessment.account: assessment for assessment in made})
    return by_account
