"""How far prices may still move against an account."""

from dataclasses import dataclass

from models.margin.result import Trigger
from serving.evaluation.rule_evaluation import RuleEvaluation


@dataclass(frozen=True, slots=True, kw_only=True)
class Nearest:
    """The line that is reached first.

    Parameters
    ----------
    share
        By which the price, or the whole market, may move against the account; 0 or less where
        the line is reached.
    trigger
        The line; None where it is reached and no price tells of it.
    """

    share: float
    trigger: Trigger | None


def buffer(judged: RuleEvaluation, *, at_next: bool = False) -> float | None:
    """Return the share by which prices may still move against the account; see `nearest`.

    Returns
    -------
    float or None
        0 or less where the line is reached; None where no price reaches it.
    """
    closest = nearest(judged, at_next=at_next)
    return None if closest is None else closest.share


def nearest(judged: RuleEvaluation, *, at_next: bool = False) -> Nearest | None:
    """Return the line that is nearest: of the price that matters most, or of the whole market.

    Parameters
    ----------
    at_next
        From the price already known to come next, rather than from the one in force.

    Returns
    -------
    Nearest or None
        None where no price reaches a line.
    """
    shock = judged.soon_shock if at_next and judged.soon is not None else judged.shock
    alone, together = _alone(judged, at_next=at_next), _together(shock)
    if alone is not None and (together is None or alone <= together):
        return Nearest(share=alone, trigger=judged.trigger)
    return None if together is None else Nearest(share=together, trigger=shock)


def _together(shock: Trigger | None) -> float | None:
    """Return the share by which the whole market may move against the account."""
    if shock is None or shock.value is None:
        return None
    return float(-shock.value if shock.direction == "below" else shock.value)


def _alone(judged: RuleEvaluation, *, at_next: bool) -> float | None:
    """Return the share by which the price that matters most may move against the account."""
    trigger = judged.trigger
    if trigger is None or trigger.asset is None or trigger.value is None:
        return None
    price = judged.case.market.prices.get(trigger.asset)
    if price is None:
        return None
    value = price.value
    if at_next and price.next_value is not None:
        value = price.next_value
    # Whole numbers over whole numbers are rounded once, as a fraction would be.
    now, line = value * 10**trigger.decimals, trigger.value * 10**price.decimals
    return float((now - line if trigger.direction == "below" else line - now) / now)
