"""Reasons with their codes, values and text: what the forecast starts from, and features."""

import math
from typing import Literal

from features.pipeline import FEATURES
from models.margin.result import Trigger
from serving.schemas.assessment import ReasonAnswer, ReasonValue
from serving.words.reasons import feature_text, reason_text
from serving.words.tables import english

HOURS = 24.0
NEAR_MOVES = 3.0
"""Usual daily moves to the line below which distance raises the risk: beyond, touches are rare."""

SIZES = frozenset(f.name for f in FEATURES if f.unit == "log10 quote units")
"""Features that tell how much is owed: they are named last, however much they weigh."""


def reason_answer(
    code: str,
    values: dict[str, ReasonValue],
    *,
    feature: str | None = None,
    direction: Literal["raises", "lowers"] = "raises",
    impact: float | None = None,
) -> ReasonAnswer:
    """Return a reason with its text."""
    value = values.get("value")
    if feature is not None and not isinstance(value, str):
        text = feature_text(english(), feature, value, direction)
    else:
        stated = {"code": code, "feature": feature, "direction": direction, "values": values}
        text = reason_text(english(), stated)
    return ReasonAnswer(
        code=code,
        feature=feature,
        direction=direction,
        impact=impact,
        text=text,
        values=values,
    )


def distance_reason(
    trigger: Trigger | None, *, distance: float, sigma: float
) -> ReasonAnswer | None:
    """Return how far the line is, in usual moves of the price; None where that is not known.

    It comes first: what the forecast starts from weighs more than any feature.

    Parameters
    ----------
    trigger
        Of the price, or of the common shock, that flips the verdict; None where it is not known.
    distance
        Log of the price that judges next over its trigger, or the reverse for what loses by a
        rise; below 0 where it is past.
    sigma
        Volatility of that price per root hour.
    """
    if not (math.isfinite(distance) and math.isfinite(sigma) and sigma > 0.0):
        return None
    day = sigma * math.sqrt(HOURS)
    moves = distance / day
    asset = None if trigger is None else trigger.asset
    values: dict[str, ReasonValue] = {"asset": asset, "share": None}
    if distance > 0.0:
        rises = trigger is not None and trigger.direction == "above"
        share = math.expm1(distance) if rises else -math.expm1(-distance)
        goes = "rise" if rises else "fall"
        values |= {"share": share, "goes": goes, "moves": moves, "day": math.expm1(day)}
    return reason_answer("distance", values, direction="raises" if moves < NEAR_MOVES else "lowers")
