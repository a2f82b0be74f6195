"""Judge the model and every rung on the same rows of one event and horizon."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from features.inputs import Floats, Ints, Names
from models.horizons import HORIZONS
from training.baselines.baselines import CALIBRATED, Scored
from training.dataset import labels
from training.evaluation import alert_budget, failure_cases, metrics, oracles, slices
from training.evaluation.alert_budget import Watched
from training.evaluation.metrics import Estimate, Mask, ScoredOutcomes
from training.evaluation.oracles import Hindsight

DRAWS = 200
ZONE_SIGMAS = 3.0
MODEL = "model"
DAY = 86_400

CURVES = ("B1", "B2", "B5")
"""Rungs drawn beside the model and the best rung."""


@dataclass(frozen=True, slots=True)
class Pooled:
    """The rows of all folds.

    Parameters
    ----------
    at, account
        Seconds, and codes of accounts.
    names
        Account of each row.
    happened, censoring
        By head: hours to the event, and how far its absence is known.
    distance, sigmas
        log(price / trigger), and in daily volatilities.
    traits
        Of `training.evaluation.slices.traits`.
    unseen
        Rows of accounts that training never saw.
    hindsight
        What came after every row.
    """

    at: Ints
    account: Ints
    names: Names
    happened: Mapping[str, Floats]
    censoring: Mapping[str, Floats]
    distance: Floats
    sigmas: Floats
    traits: pd.DataFrame
    unseen: Mask
    hindsight: Hindsight


def compare(
    rows: Pooled, scored: Mapping[str, Scored], *, head: str, k: int, seed: int
) -> dict[str, Any]:
    """Judge every rung on the rows whose window is known to its end and that all can score.

    Returns
    -------
    dict
        `rows`, `unjudged`, `positives`, `accounts`, `episodes`; `rungs` with every metric and
        its intervals; `best`, the calibrated rung with the least log-loss; `differences` of
        the model to each rung; `reliability`, `curves`, `alerts`, `oracles`, `slices`,
        `failure_cases`.
    """
    hours = HORIZONS[k]
    outcome = labels.by_horizon(rows.happened[head], rows.censoring[head], hours)
    usable = np.isfinite(outcome)
    for rung in scored.values():
        usable &= np.isfinite(rung.score) & np.isfinite(rung.probability)
    counted = {"rows": int(usable.sum()), "unjudged": int((~usable).sum())}
    if not usable.any():
        return counted | {"positives": 0, "accounts": 0, "episodes": 0, "rungs": {}}
    selected = {name: Scored(s.score[usable], s.probability[usable]) for name, s in scored.items()}
    judged = judged_rows(rows, outcome[usable], usable, hours=hours, seed=seed)
    watched = alert_budget.watch(
        rows.at[usable],
        judged.resamplings["account"],
        ahead=rows.happened[head][usable],
        horizon=float(hours),
    )
    best, ladder = _compare(selected, judged, watched)
    parts = list(_slices(rows, usable, judged, model=selected[MODEL], rung=selected[best]))
    return {
        **counted,
        **_events(judged, watched),
        **ladder,
        **_drawn(selected, best, judged, watched),
        "oracles": _oracles(rows, usable, judged, head=head, k=k, scored=selected, best=best),
        "slices": parts,
        "worst": _worst(parts, selected[MODEL], watched, names=rows.names[usable]),
    }


def _oracles(
    rows: Pooled,
    usable: Mask,
    judged: ScoredOutcomes,
    *,
    head: str,
    k: int,
    scored: Mapping[str, Scored],
    best: str,
) -> dict[str, dict[str, Any]]:
    """Return what forecasts would be worth that knew a part of what was to come."""
    touched = None
    if head == "expected":
        touches = (rows.happened["unattended"], rows.censoring["unattended"])
        touched = labels.by_horizon(*touches, HORIZONS[k])[usable]
    return oracles.compare_oracles(
        rows.hindsight.select(usable),
        judged.outcome,
        k=k,
        model=scored[MODEL].probability,
        best=scored[best].probability,
        touched=touched,
        at=rows.at[usable],
        rows=judged,
    )


def _events(judged: ScoredOutcomes, watched: Watched) -> dict[str, int]:
    """Return how many rows, accounts and episodes are positive."""
    positive = judged.outcome > 0.0
    return {
        "positives": int(positive.sum()),
        "accounts": len(np.unique(watched.account[positive])),
        "episodes": int(watched.episode.max(initial=-1)) + 1,
    }


def judged_rows(rows: Pooled, y: Floats, usable: Mask, *, hours: int, seed: int) -> ScoredOutcomes:
    """Return the rows as the metrics read them.

    Blocks of days are as long as the horizon: neighbours share their outcome.
    """
    length = max(DAY, hours * 3600)
    return ScoredOutcomes(
        outcome=y,
        zone=rows.sigmas[usable] <= ZONE_SIGMAS * np.sqrt(max(hours, 24) / 24.0),
        resamplings={
            "account": metrics.resample(rows.account[usable], draws=DRAWS, seed=seed),
            "day": metrics.resample(rows.at[usable] // length, draws=DRAWS, seed=seed + 1),
        },
    )


def _compare(
    scored: Mapping[str, Scored], judged: ScoredOutcomes, watched: Watched
) -> tuple[str, dict[str, Any]]:
    """Return the best calibrated rung, and the ladder with what the model adds to each."""
    by_rung = {name: metrics.judge(s.score, s.probability, judged) for name, s in scored.items()}
    best = min(CALIBRATED, key=lambda rung: by_rung[rung]["log_loss"].value)
    caught = {
        name: alert_budget.accounts_caught(s.score, judged.outcome, watched)
        for name, s in scored.items()
    }
    return best, {
        "best": best,
        "rungs": {name: metrics.summary(by_rung[name] | caught[name]) for name in by_rung},
        "differences": {
            rung: metrics.summary(_difference(by_rung[MODEL], by_rung[rung])) for rung in CALIBRATED
        },
    }


def _difference(model: Mapping[str, Estimate], rung: Mapping[str, Estimate]) -> dict[str, Estimate]:
    """Return what the model adds to one rung, paired."""
    return {
        "log_loss_change": model["log_loss"].relative_to(rung["log_loss"]),
        "brier_skill_gain": model["brier_skill"] - rung["brier_skill"],
        "average_precision_gain": model["average_precision"] - rung["average_precision"],
        "auc_zone_gain": model["auc_zone"] - rung["auc_zone"],
    }


def _drawn(
    scored: Mapping[str, Scored], best: str, judged: ScoredOutcomes, watched: Watched
) -> dict[str, Any]:
    """Return curves, diagrams and alerts of the model, the best rung and the simple rules."""
    shown = {name: scored[name] for name in dict.fromkeys((MODEL, best, *CURVES))}
    model_score = scored[MODEL].score
    return {
        "reliability": {
            name: metrics.reliability(scored[name].probability, judged) for name in (MODEL, best)
        },
        "curves": {
            name: {
                "precision_recall": metrics.precision_recall(s.score, judged.outcome),
                "budget": alert_budget.curve(s.score, watched),
            }
            for name, s in shown.items()
        },
        "alerts": {name: alert_budget.spend(s.score, watched) for name, s in shown.items()},
        "later_than_rule": {
            rule: alert_budget.later_than(model_score, scored[rule].score, watched)
            for rule in CURVES
        },
    }


def _worst(
    parts: Sequence[Mapping[str, Any]], model: Scored, watched: Watched, *, names: Names
) -> dict[str, Any]:
    """Return what the model does worst."""
    return {
        **failure_cases.parts(parts),
        "episodes": failure_cases.episodes(model.probability, watched, names=names),
        "false_alarms": failure_cases.false_alarms(model.score, watched, names=names),
    }


def _slices(
    rows: Pooled, usable: Mask, judged: ScoredOutcomes, *, model: Scored, rung: Scored
) -> Iterator[dict[str, Any]]:
    """Yield every slice that holds rows."""
    parts = slices.slices(
        rows.traits[usable].reset_index(drop=True),
        rows.at[usable],
        distance=rows.distance[usable],
        unseen=rows.unseen[usable],
    )
    for part in parts:
        compared = slices.compare_slices(part, judged, model=model, rung=rung)
        if compared is not None:
            yield compared
