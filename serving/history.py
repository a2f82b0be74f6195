"""An assessment as the store keeps it, to be searched, sorted and looked back on."""

from fractions import Fraction
from typing import Any

import msgspec

from serving.answers import Assessment
from serving.store.assessments import Assessed


def kept(told: Assessment) -> Assessed:
    """Return what the store keeps of an assessment, the whole answer included."""
    chances = {
        f"{head}_{entry.horizon}": getattr(entry, head)
        for entry in told.forecast
        for head in ("unattended", "expected")
    }
    rule = told.rule
    body: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(told))
    return Assessed(
        account=told.account,
        at=told.as_of,
        verdict=rule.verdict,
        next_verdict=None if rule.next_verdict is None else rule.next_verdict.verdict,
        ratio=_ratio(told),
        credit=_size(rule.maintenance and rule.maintenance.credit),
        requirement=_size(rule.maintenance and rule.maintenance.requirement),
        model_version=told.model_version,
        degraded=tuple(notice.code for notice in told.degraded_reasons),
        body=body,
        **chances,
    )


def _ratio(told: Assessment) -> float | None:
    """Return the venue's ratio as a float64, to sort by; None where it has none."""
    ratio = told.rule.ratio
    return _size(ratio and ratio.value)


def _size(exact: str | None) -> float | None:
    """Return exact text as a float64; None where there is none or it is beyond one."""
    if exact is None:
        return None
    try:
        return float(Fraction(exact))
    except OverflowError:
        return None
