"""Reasons with their codes, values and text: what the forecast starts from, and features."""

import math
from typing import Literal

from features.pipeline import FEATURES
from models.margin.result import Trigger
from serving.schemas.assessment import ReasonAnswer, ReasonValue
from serving.words.reasons import distance_text, feature_text, reason_text
from serving.words.tables import english

HOURS = 24.0
NEAR_MOVES = 3.0
"""Usual daily moves to the line below which distance raises the risk: beyond, touches are rare."""

SIZES = frozenset(f.name for f in FEATURES if f.unit == "log10 quote units")
"""Features that tell how much is owed: they are named last, however much they weigh."""


def reason_answer(code: str, values: dict[str, ReasonValue]) -> ReasonAnswer:
    """Return a reason of the rule with its text."""
    stated = {"code": code, "feature": None, "values": values}
    return ReasonAnswer(
        code=code,
        feature=None,
        direction="raises",
        impact=None,
        text=reason_text(english(), stated),
        values=values,
    )


def feature_reason(name: str, value: float, impact: float) -> ReasonAnswer:
    """Return what a feature adds to the score; NaN where its value is not known."""
    direction: Literal["raises", "lowers"] = "raises" if impact > 0.0 else "lowers"
    shown = None if math.isnan(value) else value
    return ReasonAnswer(
        code=name,
        feature=name,
        direction=direction,
        impact=impact,
        text=feature_text(english(), name, shown, direction),
        values={"value": shown},
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
    return ReasonAnswer(
        code="distance",
        feature=None,
        direction="raises" if moves < NEAR_MOVES else "lowers",
        impact=None,
        text=distance_text(english(), values),
        values=values,
    )
