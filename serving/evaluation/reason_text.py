"""A reason in a borrower's words: the value of a feature in units that people use."""

import math
from collections.abc import Callable, Mapping

from features.pipeline import FEATURES
from models.margin.result import Trigger
from serving.schemas.assessment import ReasonAnswer

HOURS = 24.0
NEAR_MOVES = 3.0
"""Usual daily moves to the line below which distance raises the risk: beyond, touches are rare."""

SIZES = frozenset(f.name for f in FEATURES if f.unit == "log10 quote units")
"""Features that tell how much is owed: they are named last, however much they weigh."""

MEANINGS: Mapping[str, tuple[str, str]] = {
    f.name: (f.meaning.rstrip("."), f.unit) for f in FEATURES
}


def _span(hours: float) -> str:
    """Return a time in words."""
    return f"{hours:.0f} hours" if hours < 2 * HOURS else f"{hours / HOURS:.0f} days"


WORDS: Mapping[str, Callable[[float], str]] = {
    "log price": lambda v: f"{100.0 * -math.expm1(-v):.1f} %",
    "daily sigmas": lambda v: f"{v:.1f} usual daily moves",
    "hourly sigmas": lambda v: f"{v:.2f} usual hourly moves",
    "sigmas": lambda v: f"{v:.1f} usual moves",
    "log-odds": lambda v: f"{100.0 / (1.0 + math.exp(-v)):.2g} %",
    "1": lambda v: f"{v:.2f}",
    "log ratio": lambda v: f"{math.exp(v):.2f} to 1",
    "share": lambda v: f"{100.0 * v:.0f} %",
    "log hours": lambda v: _span(math.expm1(v)),
    "log days": lambda v: f"{math.expm1(v):.2g} days",
    "events": lambda v: f"{v:.0f}",
    "times": lambda v: f"{v:.0f}",
    "log10 quote units": lambda v: f"{10.0**v:,.0f} in the quote",
}
"""By a feature's unit, its value in people's units."""


def feature_text(name: str, value: float, *, direction: str) -> str:
    """Return one contribution in words.

    Parameters
    ----------
    value
        Of the feature, in its unit; NaN where it is not known.
    direction
        `raises` or `lowers`.
    """
    meaning, unit = MEANINGS[name]
    shown = "unknown" if math.isnan(value) else WORDS[unit](value)
    return f"{meaning}: {shown}; {direction} the risk"


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
    whose = (trigger and trigger.asset) or "The market"
    if distance <= 0.0:
        text = f"{whose} is past the liquidation price"
    else:
        rises = trigger is not None and trigger.direction == "above"
        share = math.expm1(distance) if rises else -math.expm1(-distance)
        goes = "rise" if rises else "fall"
        text = (
            f"{whose} must {goes} {100.0 * share:.1f} % to the liquidation price: "
            f"{moves:.1f} of its usual daily moves of {100.0 * math.expm1(day):.1f} %"
        )
    return ReasonAnswer(
        code="distance",
        feature=None,
        direction="raises" if moves < NEAR_MOVES else "lowers",
        impact=None,
        text=text,
    )
