"""Evaluate a bundle on a period: every rung and the model on the same rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from features.inputs import Floats
from features.pipeline import BASELINE, NAMES
from models.bundle import Bundle
from models.hazard import HORIZONS, LABELS
from training import baselines, labels, metrics
from training.baselines import Scored
from training.fit import EVENTS, Dataset, Progress, dataset
from training.sources import History

DRAWS = 200
ZONE_SIGMAS = 3.0
MODEL = "model"


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """What is evaluated.

    Parameters
    ----------
    begin, end
        Aware UTC times, end excluded; None for no limit.
    seed
        Of the resampling.
    """

    begin: datetime | None
    end: datetime | None
    seed: int = 7


def evaluate(
    history: History, bundle: Bundle, period: Period, *, progress: Progress
) -> dict[str, Any]:
    """Return the report of `report.json`.

    Returns
    -------
    dict
        `rows`, `accounts`, `checks`, `dropped`, `provenance`; `horizons` for the event that
        happened (liquidated as observed) and `touch` for the one that would have (nobody
        acts): per horizon `rows`, `positives`, `accounts`, `episodes` and `rungs` with every
        metric as `{"value", "low", "high"}`.
    """
    progress("computing features and labels")
    rows = dataset(history, begin=period.begin, end=period.end)
    report: dict[str, Any] = {
        "rows": len(rows.at),
        "accounts": len(np.unique(rows.account)),
        "from": _iso(period.begin),
        "to": _iso(period.end),
        "bundle": bundle.version,
        "trained": dict(bundle.provenance),
        "checks": dict(history.checks),
        "dropped": dict(history.dropped),
    }
    for key, head in (("horizons", "expected"), ("touch", "unattended")):
        probabilities, scores = _forecast(bundle, rows, head)
        report[key] = {}
        for k, (hours, name) in enumerate(zip(HORIZONS, LABELS, strict=True)):
            progress(f"judging {EVENTS[head]} within {name}")
            outcome = labels.by_horizon(
                rows.labels[f"{EVENTS[head]}_in"].to_numpy(),
                rows.labels[f"{EVENTS[head]}_known"].to_numpy(),
                hours,
            )
            rungs = baselines.apply(bundle.rungs[head], rows.features, horizon=name)
            rungs[MODEL] = Scored(scores[:, k], probabilities[:, k])
            report[key][name] = _judge(rows, outcome, rungs, hours, seed=period.seed)
    return report


def _forecast(bundle: Bundle, rows: Dataset, head: str) -> tuple[Floats, Floats]:
    """Return probabilities by horizon, and what ranks the rows."""
    features = rows.features[list(NAMES)].to_numpy(dtype=np.float64)
    baseline = rows.features[list(BASELINE)].to_numpy(dtype=np.float64)
    found = bundle.heads[head].scores(features, baseline, threads=2)
    probabilities = bundle.heads[head].probabilities(found)
    return probabilities, probabilities


def _judge(
    rows: Dataset, outcome: Floats, rungs: Mapping[str, Scored], hours: int, *, seed: int
) -> dict[str, Any]:
    """Judge every rung on the rows whose window is known to its end and that all can score."""
    usable = np.isfinite(outcome)
    for rung in rungs.values():
        usable &= np.isfinite(rung.score) & np.isfinite(rung.probability)
    chosen = rows.select(usable)
    y = outcome[usable]
    names, account = np.unique(chosen.account, return_inverse=True)
    sigmas = chosen.features["distance_sigmas_72h"].to_numpy()
    judged = metrics.Judged(
        outcome=y,
        account=account.astype(np.int64),
        zone=sigmas <= ZONE_SIGMAS * np.sqrt(max(hours, 24) / 24.0),
        resamples=metrics.resample(len(names), draws=DRAWS, seed=seed),
    )
    happened = chosen.at[y > 0] + chosen.labels["liquidated_in"].to_numpy()[y > 0] * 3600.0
    pairs = {(int(a), float(t)) for a, t in zip(account[y > 0], happened, strict=True)}
    return {
        "rows": int(usable.sum()),
        "unjudged": int((~usable).sum()),
        "positives": int(y.sum()),
        "accounts": len({a for a, _ in pairs}),
        "episodes": len({pair for pair in pairs if np.isfinite(pair[1])}),
        "rungs": {
            rung: metrics.summary(
                metrics.judge(scored.score[usable], scored.probability[usable], judged)
            )
            for rung, scored in rungs.items()
        },
    }


def _iso(time: datetime | None) -> str | None:
    """Return a time as ISO 8601."""
    return None if time is None else time.isoformat()
