"""An assessment as the store keeps it, to be searched, sorted and looked back on."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from fractions import Fraction
from typing import Any

import msgspec

from models.domain import Exact
from models.horizons import HEADS, LABELS
from models.margin.result import Side, Verdict
from models.margin.trigger import BREACHED
from serving.evaluation import rules
from serving.evaluation.assess import ForecastOutcome, doubts, raised
from serving.evaluation.buffers import Nearest, nearest
from serving.evaluation.rule_evaluation import RuleEvaluation
from serving.schemas.assessment import Assessment, ForecastAnswer
from serving.schemas.stored import Assessed


def record(assessment: Assessment, judged: RuleEvaluation | None = None) -> Assessed:
    """Return the stored row of an assessment, with the whole answer.

    Parameters
    ----------
    judged
        What the rules said of the account; None where that is not at hand: then neither its line
        nor what its collateral is worth is known.
    """
    rule = assessment.rule
    body: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(assessment))
    row = Assessed(
        account=assessment.account,
        at=assessment.as_of,
        verdict=rule.verdict,
        next_verdict=None if rule.next_verdict is None else rule.next_verdict.verdict,
        ratio=_ratio(assessment),
        credit=None if rule.maintenance is None else _size(rule.maintenance.credit),
        requirement=None if rule.maintenance is None else _size(rule.maintenance.requirement),
        model_version=assessment.model_version,
        degraded=tuple(notice.code for notice in assessment.degraded_reasons),
        body=body,
        **_chances(assessment.forecast),
    )
    return row if judged is None else replace(row, **standing(judged))


def _ratio(assessment: Assessment) -> float | None:
    """Return the venue's ratio as a float64, to sort by; None where it has none."""
    ratio = assessment.rule.ratio
    return None if ratio is None or ratio.value is None else _size(ratio.value)


def record_of_rules(
    judged: RuleEvaluation,
    outcome: ForecastOutcome,
    *,
    at: datetime,
    model_version: str | None,
    forecast: Sequence[ForecastAnswer] | None = None,
    worth: Side | None = None,
) -> Assessed:
    """Return the stored row of a watched account: its numbers, without the whole answer.

    Parameters
    ----------
    forecast
        With what the rule knows laid over it, where that is at hand already.
    worth
        Collateral and debt at market value, where they are at hand already.
    """
    now, side, ratio = judged.now, judged.now.maintenance, judged.now.ratio
    entries = raised(judged, outcome, at=at) if forecast is None else forecast
    return Assessed(
        account=judged.case.account.id,
        at=at,
        verdict=now.verdict.value,
        next_verdict=None if judged.soon is None else judged.soon.verdict.value,
        ratio=None if ratio is None else _scaled(ratio.value, ratio.decimals),
        credit=None if side is None else _scaled(side.credit, now.value_decimals),
        requirement=None if side is None else _scaled(side.requirement, now.value_decimals),
        model_version=model_version if outcome.words else None,
        degraded=tuple([notice.code for notice in doubts(judged, outcome)]),
        **standing(judged, worth),
        **_chances(entries),
    )


def standing(judged: RuleEvaluation, worth: Side | None = None) -> dict[str, Any]:
    """Return where an account stands, as the store keeps it: its line, and its collateral.

    Parameters
    ----------
    worth
        Collateral and debt at market value, where they are at hand already.

    Returns
    -------
    dict
        Values of fields of `Assessed`; what is not known is left out or None.
    """
    return {"collateral_value": _collateral(judged, worth), **_line(judged)}


def _line(judged: RuleEvaluation) -> dict[str, Any]:
    """Return how far an account is from its line, and by which price, as the store keeps it."""
    closest = nearest(judged, at_next=True)
    if judged.now.verdict in BREACHED or (judged.soon and judged.soon.verdict in BREACHED):
        closest = Nearest(share=0.0, trigger=None if closest is None else closest.trigger)
    if closest is None:
        return {}
    trigger = closest.trigger
    columns: dict[str, Any] = {"distance": max(0.0, closest.share)}
    if trigger is None:
        return columns
    columns["trigger_side"] = trigger.direction
    if trigger.asset is not None:
        columns["trigger_asset"] = trigger.asset
        power = judged.case.rulebook.price_power(judged.case.terms, trigger.asset) or 0
        columns["trigger_price"] = _scaled(trigger.value, trigger.decimals - power)
    return columns


def _chances(forecast: Sequence[ForecastAnswer]) -> dict[str, Any]:
    """Return the probabilities of a forecast by their columns."""
    return {
        column: getattr(entry, head)
        for entry in forecast
        for head, column in _COLUMNS[entry.horizon]
    }


_COLUMNS = {label: [(head, f"{head}_{label}") for head in HEADS] for label in LABELS}
"""By horizon: heads, with the columns that keep what they say."""


def _collateral(judged: RuleEvaluation, worth: Side | None) -> float | None:
    """Return the market value of the collateral; None where the rules cannot judge it."""
    if judged.now.maintenance is None:
        return None
    side = rules.worth(judged.case) if worth is None else worth
    return None if side is None else _scaled(side.credit, judged.now.value_decimals)


def record_of_nothing(account: str, *, at: datetime, reason: str) -> Assessed:
    """Return what the store keeps of an account that cannot be judged at all.

    Parameters
    ----------
    reason
        Code of why.
    """
    verdict = Verdict.UNEVALUABLE.value
    return Assessed(account=account, at=at, verdict=verdict, degraded=(reason,))


def _scaled(value: Exact | None, decimals: int) -> float | None:
    """Return value / 10^decimals as a float64; None where there is none or it is beyond one."""
    try:
        return None if value is None else float(value / 10**decimals)
    except OverflowError:
        return None


def _size(exact: str) -> float | None:
    """Return exact text as a float64; None where it is beyond one."""
    try:
        return float(Fraction(exact))
    except OverflowError:
        return None
