"""What a derived alert policy was chosen by: its frontier, beside that of the rule alone."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from models.alerting.policy import Policy, default, load

SUFFIX = ".evidence.json"
"""Of the file that `forewarn alerts tune` writes beside a policy."""

CROSS_VALIDATED = "held back"


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontierFigures:
    """What one way of warning did over a history; null where there was nothing to count.

    Parameters
    ----------
    warned
        Share of the episodes that were told of at least half an hour ahead.
    lead_median_hours, lead_p10_hours
        Of the leads, hours; the second is what nine in ten exceed.
    alert_days, on_days
        Shares of account-days with an early message, and on a level.
    precision
        Share of the alerts that a liquidation followed.
    """

    warned: float | None
    lead_median_hours: float | None
    lead_p10_hours: float | None
    alert_days: float | None
    on_days: float | None
    precision: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontierPoint:
    """What a budget of early messages buys.

    Parameters
    ----------
    budget
        Share of account-days with an early message, at most.
    policy, rule
        The cheapest policy within it, and the cheapest that looks at the rule alone, each fold
        of the history judged by what was chosen on the others; null where none keeps within it.
    """

    budget: float
    policy: FrontierFigures | None
    rule: FrontierFigures | None


def frontier(policy: Policy, file: Path | None) -> tuple[FrontierPoint, ...]:
    """Return the frontier that a policy was chosen on; empty where it is not known.

    Parameters
    ----------
    file
        The policy's own file, beside which its evidence lies; None for the one that ships.

    Raises
    ------
    InvalidInput
        A file that holds no policy.
    """
    if file is not None and load(file) == policy:
        beside = file.with_suffix(SUFFIX)
        return _read(beside.read_text(encoding="utf-8")) if beside.is_file() else ()
    if policy == default():
        shipped = files("models.alerting") / f"default{SUFFIX}"
        return _read(shipped.read_text(encoding="utf-8"))
    return ()


def _read(text: str) -> tuple[FrontierPoint, ...]:
    """Return the points of evidence; none where it is not what `forewarn alerts tune` writes."""
    try:
        points = json.loads(text)["frontier"][CROSS_VALIDATED]
        return tuple(
            FrontierPoint(
                budget=float(point["budget"]),
                policy=_figures(point["policy"]),
                rule=_figures(point["rule"]),
            )
            for point in points
        )
    except (ValueError, KeyError, TypeError):
        return ()


def _figures(row: Mapping[str, Any] | None) -> FrontierFigures | None:
    """Return the figures of one way of warning."""
    if row is None:
        return None
    return FrontierFigures(
        warned=row["warned"],
        lead_median_hours=row["lead_median"],
        lead_p10_hours=row["lead_p10"],
        alert_days=row["alert_days"],
        on_days=row["on_days"],
        precision=row["precision"],
    )
