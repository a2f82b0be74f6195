"""Reasons in people's units."""

import math

import pytest

from features.pipeline import FEATURES
from models.margin.result import Trigger
from serving.evaluation.reason_text import distance_reason, feature_reason
from serving.words.reasons import VALUES

FALL = Trigger(kind="price", asset="ETH", direction="below", value=1, decimals=0)
RISE = Trigger(kind="price", asset="BTC", direction="above", value=1, decimals=0)
SHOCK = Trigger(kind="shock", asset=None, direction="below", value=1, decimals=0)
HOURLY = 0.04 / math.sqrt(24.0)
"""Of a price that usually moves 4 % a day, in logs."""


def test_every_unit_has_words() -> None:
    """A feature whose unit nobody can read is a fault of whoever adds it."""
    assert {feature.unit for feature in FEATURES} <= set(VALUES)


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("distance", math.log(1.25), "20.0 %"),
        ("debt_size", 4.0, "10,000 in the quote"),
        ("hours_since_action", math.log(721.0), "30 days"),
        ("hours_since_action", math.log(31.0), "30 hours"),
        ("loan_to_value", math.log(0.8), "0.80 to 1"),
        ("volatile_debt_share", 0.25, "25 %"),
        ("actions_720h", 3.0, "3"),
        ("distance_sigmas_24h", 1.52, "1.5 usual daily moves"),
        ("touch_odds_360h_24h", 0.0, "50 %"),
        ("actions_720h", math.nan, "unknown"),
    ],
)
def test_a_value_is_told_in_units_of_people(name: str, value: float, shown: str) -> None:
    """Logs are undone."""
    reason = feature_reason(name, value, 0.1)
    assert reason.text.endswith(f": {shown}; raises the risk")


@pytest.mark.parametrize(
    ("trigger", "distance", "direction", "text"),
    [
        (
            FALL,
            math.log(1.25),
            "lowers",
            "ETH must fall 20.0 % to the liquidation price: 5.6 of its usual daily moves of 4.1 %",
        ),
        (
            RISE,
            math.log(1.1),
            "raises",
            "BTC must rise 10.0 % to the liquidation price: 2.4 of its usual daily moves of 4.1 %",
        ),
        (
            SHOCK,
            0.02,
            "raises",
            (
                "The market must fall 2.0 % to the liquidation price: "
                "0.5 of its usual daily moves of 4.1 %"
            ),
        ),
        (FALL, 0.0, "raises", "ETH is past the liquidation price"),
    ],
)
def test_distance_is_told_in_usual_moves(
    trigger: Trigger, distance: float, direction: str, text: str
) -> None:
    """A fall of 20 % is a log distance of log 1.25; a rise of 10 % is one of log 1.1."""
    reason = distance_reason(trigger, distance=distance, sigma=HOURLY)
    assert reason is not None
    assert (reason.text, reason.direction, reason.impact) == (text, direction, None)


@pytest.mark.parametrize(("distance", "sigma"), [(math.nan, 0.01), (0.1, 0.0), (0.1, math.nan)])
def test_what_is_not_known_is_not_told(distance: float, sigma: float) -> None:
    """Without a volatility there are no usual moves."""
    assert distance_reason(FALL, distance=distance, sigma=sigma) is None
