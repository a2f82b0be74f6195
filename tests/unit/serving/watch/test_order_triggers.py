"""Which signals fire a mandate's trigger: a probability, a buffer, a breached rule."""

from typing import Any

import pytest
from governed_books import NOON
from order_books import mandate

from models.alerting.signals import Signal
from models.margin.result import Verdict
from serving.schemas.orders import MandateBody
from serving.watch.orders import fired

SIGNAL: dict[str, Any] = {
    "verdict": Verdict.SAFE,
    "buffer": 0.3,
    "unattended": {"4h": 0.1, "24h": 0.4},
    "expected": {"4h": 0.02, "24h": 0.2},
}


@pytest.mark.parametrize(
    ("trigger", "found"),
    [
        ({"probability": 0.4, "horizon": "24h"}, ("probability", "0.4")),
        ({"probability": 0.4, "horizon": "4h"}, None),
        ({"probability": 0.3, "horizon": "24h", "head": "expected"}, None),
        ({"probability": 0.2, "horizon": "24h", "head": "expected"}, ("probability", "0.2")),
        ({"probability": 0.01, "horizon": "7d"}, None),
        ({"buffer": "0.3"}, ("buffer", "0.3")),
        ({"buffer": "0.29"}, None),
    ],
)
def test_a_trigger_looks_at_its_horizon_and_head(
    trigger: dict[str, Any], found: tuple[str, str] | None
) -> None:
    """A horizon without a forecast fires nothing."""
    body = MandateBody.model_validate(mandate(trigger=trigger))
    assert fired(body, Signal(account="a", at=NOON, **SIGNAL)) == found


def test_a_breached_rule_always_fires() -> None:
    """However far the probability is from where the owner set it."""
    body = MandateBody.model_validate(mandate(trigger={"probability": 0.9}))
    breached = Signal(account="a", at=NOON, **{**SIGNAL, "verdict": Verdict.LIQUIDATABLE})
    assert fired(body, breached) == ("verdict", "liquidatable")
