"""What the model does worst, found by rule and not by choice."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from features.inputs import HOUR, Floats
from training.evaluation import alert_budget
from training.evaluation.alert_budget import SHARE_NAME, Watched

LEAST_POSITIVES = 20
"""Parts with fewer events are left out: their figures are noise."""

MOST = 8


def parts(candidates: Sequence[Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Return the slices with the most lost log-loss and the worst calibration.

    Parameters
    ----------
    candidates
        Slices as `training.evaluation.slices.compare_slices` describes them.
    """
    # A part that holds every row says nothing that the ladder does not.
    most = max((part["rows"] for part in candidates), default=0)
    enough = [
        part for part in candidates if part["positives"] >= LEAST_POSITIVES and part["rows"] < most
    ]
    losing = sorted(enough, key=lambda part: -_value(part, "log_loss_change"))
    biased = sorted(enough, key=lambda part: -abs(np.log(_value(part, "expected_observed"))))
    return {
        "log_loss": [_named(p, "log_loss_change") for p in losing[:MOST]],
        "calibration": [_named(p, "expected_observed") for p in biased[:MOST]],
    }


def _value(part: Mapping[str, Any], name: str) -> float:
    """Return a figure of a part."""
    return float(part[name]["value"])


def _named(part: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return a part's name and one figure with its intervals."""
    return {key: part[key] for key in ("by", "name", "rows", "positives")} | {name: part[name]}


def episodes(
    probability: Floats, rows: Watched, *, names: npt.NDArray[np.object_]
) -> list[dict[str, Any]]:
    """Return the episodes that the model saw coming least.

    Parameters
    ----------
    probability
        Forecast of each row.
    names
        Account of each row.

    Returns
    -------
    list of dict
        `account`, `at`, `highest` probability in the window before it that came early enough
        to warn, `hours` of the window that have a row.
    """
    best = np.full(int(rows.episode.max(initial=-1)) + 1, 0.0)
    early = rows.ahead[rows.inside] >= alert_budget.LEAST_LEAD
    np.maximum.at(best, rows.episode[early], probability[rows.inside[early]])
    count = np.bincount(rows.episode, minlength=len(best))
    place = np.zeros(len(best), dtype=np.int64)
    place[rows.episode] = rows.inside
    begin = np.round(rows.at[place] + rows.ahead[place] * HOUR)
    return [
        {
            "account": str(names[place[k]]),
            "at": datetime.fromtimestamp(int(begin[k]), tz=UTC).isoformat(),
            "highest": float(best[k]),
            "hours": int(count[k]),
        }
        for k in np.argsort(best, kind="stable")[:MOST]
    ]


def false_alarms(
    score: Floats, rows: Watched, *, names: npt.NDArray[np.object_]
) -> list[dict[str, Any]]:
    """Return the accounts that were warned most often for nothing, at 1 % of account-days.

    Returns
    -------
    list of dict
        `account`, `alerts` without an event within the horizon, and how many `followed`.
    """
    level = alert_budget.level(rows.highest(score), alert_budget.budgets(rows)[SHARE_NAME])
    raised = np.flatnonzero(score >= level)
    days, first = np.unique(rows.day[raised], return_index=True)
    sent = raised[first]
    followed = np.zeros(len(days), dtype=bool)
    np.logical_or.at(
        followed, np.searchsorted(days, rows.day[raised]), rows.ahead[raised] <= rows.horizon
    )
    account = names[sent].astype(str)
    accounts, codes = np.unique(account, return_inverse=True)
    empty = np.bincount(codes, weights=~followed, minlength=len(accounts))
    right = np.bincount(codes, weights=followed, minlength=len(accounts))
    return [
        {"account": str(accounts[k]), "alerts": int(empty[k]), "followed": int(right[k])}
        for k in np.argsort(-empty, kind="stable")[:MOST]
        if empty[k] > 0
    ]
