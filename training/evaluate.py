"""Evaluate a bundle on a period: every rung and the model on the same rows."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from features.inputs import Floats, Ints
from models.bundle import Bundle
from models.hazard import HORIZONS, LABELS
from training import baselines, budget, labels, metrics, slices, worst
from training.baselines import CALIBRATED, Inputs, Scored
from training.fit import EVENTS, Dataset, Progress, dataset
from training.metrics import Judged, Mask
from training.sources import History

DRAWS = 200
ZONE_SIGMAS = 3.0
MODEL = "model"
DAY = 86_400
HEADS: Mapping[str, str] = {"horizons": "expected", "touch": "unattended"}
"""Key of the report by head of the bundle."""

CURVES = ("B1", "B2", "B5")
"""Rungs drawn beside the model and the best rung."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """What is evaluated.

    Parameters
    ----------
    begin, end
        Aware UTC times, end excluded; None for no limit.
    seed
        Of the resampling.
    source
        Name of the source; stands for the venue where the rows do not say theirs.
    """

    begin: datetime | None
    end: datetime | None
    seed: int = 7
    source: str = ""


@dataclass(frozen=True, slots=True)
class Fold:
    """Rows forecast by one bundle that saw nothing of them.

    Parameters
    ----------
    rows
        With features and labels.
    inputs
        What the rungs read.
    rungs
        Fitted baselines, by head.
    model
        Probabilities by head, shape (N, 4).
    unseen
        Rows of accounts that have no moment in what the bundle was trained on.
    """

    rows: Dataset
    inputs: Inputs
    rungs: Mapping[str, Any]
    model: Mapping[str, Floats]
    unseen: Mask


def evaluate(
    history: History, bundle: Bundle, period: Period, *, progress: Progress
) -> dict[str, Any]:
    """Return the report of `report.json`.

    Returns
    -------
    dict
        `rows`, `accounts`, `checks`, `dropped`, `trained`; `horizons` for the event that
        happened (liquidated as observed) and `touch` for the one that would have (nobody
        acts), per horizon as `judge` describes.
    """
    fold = forecast(history, bundle, period, progress=progress)
    told = {"bundle": bundle.version, "trained": dict(bundle.provenance)}
    return told | judge_all([fold], history, period, progress=progress)


def forecast(history: History, bundle: Bundle, period: Period, *, progress: Progress) -> Fold:
    """Return the rows of a period with everything that is forecast of them."""
    progress("computing features and labels")
    rows = dataset(history, begin=period.begin, end=period.end)
    progress("computing the rungs of volatility")
    inputs = baselines.inputs(history.tables, rows.moments, rows.features, legs=rows.legs)
    until = datetime.fromisoformat(str(bundle.provenance["to"]))
    return Fold(
        rows=rows,
        inputs=inputs,
        rungs=bundle.rungs,
        model={head: _probabilities(bundle, rows, head) for head in EVENTS},
        unseen=slices.unseen(rows.moments, history.moments, until=until),
    )


def _probabilities(bundle: Bundle, rows: Dataset, head: str) -> Floats:
    """Return the model's probabilities by horizon, shape (N, 4)."""
    scores = bundle.heads[head].scores(rows.matrix(), rows.baseline(), threads=2)
    return bundle.heads[head].probabilities(scores)


def judge_all(
    folds: Sequence[Fold], history: History, period: Period, *, progress: Progress
) -> dict[str, Any]:
    """Return the report on the rows of all folds together."""
    pooled = _pool(folds, period)
    report: dict[str, Any] = {
        "rows": len(pooled.at),
        "accounts": len(np.unique(pooled.account)),
        "from": _iso(period.begin),
        "to": _iso(period.end),
        "source": period.source,
        "checks": dict(history.checks),
        "dropped": dict(history.dropped),
    }
    for key, head in HEADS.items():
        report[key] = {}
        if head == "expected" and history.episodes.empty:
            progress("nobody was liquidated: only touches are judged")
            continue
        for k, name in enumerate(LABELS):
            progress(f"judging {EVENTS[head]} within {name}")
            scored = _scored(folds, head, k)
            report[key][name] = judge(pooled, scored, head=head, k=k, seed=period.seed)
    return report


@dataclass(frozen=True, slots=True)
class _Pooled:
    """The rows of all folds.

    Parameters
    ----------
    at, account
        Seconds, and codes of accounts.
    names
        Account of each row.
    happened, known
        By head: hours to the event, and how far its absence is known.
    distance, sigmas
        log(price / trigger), and in daily volatilities.
    traits
        Of `training.slices.traits`.
    unseen
        Rows of accounts that training never saw.
    """

    at: Ints
    account: Ints
    names: Any
    happened: Mapping[str, Floats]
    known: Mapping[str, Floats]
    distance: Floats
    sigmas: Floats
    traits: pd.DataFrame
    unseen: Mask


def _pool(folds: Sequence[Fold], period: Period) -> _Pooled:
    """Lay the folds' rows one after the other."""

    def column(frame: str, name: str) -> Floats:
        return np.concatenate([getattr(fold.rows, frame)[name].to_numpy() for fold in folds])

    names = np.concatenate([fold.rows.moments["account"].astype(str) for fold in folds])
    parts = [slices.traits(fold.rows.moments, source=period.source) for fold in folds]
    return _Pooled(
        at=np.concatenate([fold.rows.at for fold in folds]),
        account=pd.factorize(names)[0].astype(np.int64),
        names=names,
        happened={head: column("labels", f"{event}_in") for head, event in EVENTS.items()},
        known={head: column("labels", f"{event}_known") for head, event in EVENTS.items()},
        distance=column("features", "distance_next"),
        sigmas=column("features", "distance_sigmas_72h"),
        traits=pd.concat(parts, ignore_index=True),
        unseen=np.concatenate([fold.unseen for fold in folds]),
    )


def _scored(folds: Sequence[Fold], head: str, k: int) -> dict[str, Scored]:
    """Return every rung and the model on one horizon, over all folds."""
    parts = []
    for fold in folds:
        found = baselines.apply(fold.rungs[head], fold.inputs, horizon=LABELS[k])
        own = fold.model[head][:, k]
        parts.append(found | {MODEL: Scored(own, own)})
    return {
        rung: Scored(
            np.concatenate([part[rung].score for part in parts]),
            np.concatenate([part[rung].probability for part in parts]),
        )
        for rung in parts[0]
    }


def judge(
    rows: _Pooled, scored: Mapping[str, Scored], *, head: str, k: int, seed: int
) -> dict[str, Any]:
    """Judge every rung on the rows whose window is known to its end and that all can score.

    Returns
    -------
    dict
        `rows`, `unjudged`, `positives`, `accounts`, `episodes`; `rungs` with every metric and
        its intervals; `best`, the calibrated rung with the least log-loss; `differences` of
        the model to each rung; `reliability`, `curves`, `alerts`, `slices`, `worst`.
    """
    hours = HORIZONS[k]
    outcome = labels.by_horizon(rows.happened[head], rows.known[head], hours)
    usable = np.isfinite(outcome)
    for rung in scored.values():
        usable &= np.isfinite(rung.score) & np.isfinite(rung.probability)
    counted = {"rows": int(usable.sum()), "unjudged": int((~usable).sum())}
    if not usable.any():
        return counted | {"positives": 0, "accounts": 0, "episodes": 0, "rungs": {}}
    kept = {name: Scored(s.score[usable], s.probability[usable]) for name, s in scored.items()}
    judged = _judged(rows, outcome[usable], usable, hours=hours, seed=seed)
    watched = budget.watch(
        rows.at[usable],
        judged.resamplings["account"],
        ahead=rows.happened[head][usable],
        horizon=float(hours),
    )
    return counted | _compare(kept, judged, watched) | _apart(rows, usable, kept, judged, watched)


def _judged(rows: _Pooled, y: Floats, usable: Mask, *, hours: int, seed: int) -> Judged:
    """Return the rows as the metrics read them.

    Blocks of days are as long as the horizon: neighbours share their outcome.
    """
    length = max(DAY, hours * 3600)
    return Judged(
        outcome=y,
        zone=rows.sigmas[usable] <= ZONE_SIGMAS * np.sqrt(max(hours, 24) / 24.0),
        resamplings={
            "account": metrics.resample(rows.account[usable], draws=DRAWS, seed=seed),
            "day": metrics.resample(rows.at[usable] // length, draws=DRAWS, seed=seed + 1),
        },
    )


def _compare(
    scored: Mapping[str, Scored], judged: Judged, watched: budget.Watched
) -> dict[str, Any]:
    """Return the ladder, the differences to the model, and the curves."""
    found = {name: metrics.judge(s.score, s.probability, judged) for name, s in scored.items()}
    best = min(CALIBRATED, key=lambda rung: found[rung]["log_loss"].value)
    own = found[MODEL]
    drawn = {name: scored[name] for name in dict.fromkeys((MODEL, best, *CURVES))}
    caught = {
        name: budget.accounts_caught(s.score, judged.outcome, watched) for name, s in scored.items()
    }
    positive = judged.outcome > 0.0
    return {
        "positives": int(positive.sum()),
        "accounts": len(np.unique(watched.account[positive])),
        "episodes": int(watched.episode.max(initial=-1)) + 1,
        "best": best,
        "rungs": {name: metrics.summary(found[name] | caught[name]) for name in found},
        "differences": {
            name: metrics.summary(
                {
                    "log_loss_change": own["log_loss"].relative_to(other["log_loss"]),
                    "brier_skill_gain": own["brier_skill"] - other["brier_skill"],
                    "average_precision_gain": own["average_precision"] - other["average_precision"],
                    "auc_zone_gain": own["auc_zone"] - other["auc_zone"],
                }
            )
            for name, other in found.items()
            if name in CALIBRATED
        },
        "reliability": {
            name: metrics.reliability(scored[name].probability, judged)
            for name in dict.fromkeys((MODEL, best))
        },
        "curves": {
            name: {
                "precision_recall": metrics.precision_recall(s.score, judged.outcome),
                "budget": budget.curve(s.score, watched),
            }
            for name, s in drawn.items()
        },
        "alerts": {name: budget.spend(s.score, watched) for name, s in drawn.items()},
        "later_than_rule": {
            rule: budget.later_than(scored[MODEL].score, scored[rule].score, watched)
            for rule in CURVES
        },
    }


def _apart(
    rows: _Pooled,
    usable: Mask,
    scored: Mapping[str, Scored],
    judged: Judged,
    watched: budget.Watched,
) -> dict[str, Any]:
    """Return the slices, and what the model does worst."""
    losses = {
        name: metrics.calibration(scored[name].probability, judged)["log_loss"].value
        for name in CALIBRATED
    }
    best = min(losses, key=lambda name: losses[name])
    found = list(_slices(rows, usable, judged, model=scored[MODEL], rung=scored[best]))
    names = rows.names[usable]
    return {
        "slices": found,
        "worst": {
            **worst.parts(found),
            "episodes": worst.episodes(scored[MODEL].probability, watched, names=names),
            "false_alarms": worst.false_alarms(scored[MODEL].score, watched, names=names),
        },
    }


def _slices(
    rows: _Pooled, usable: Mask, judged: Judged, *, model: Scored, rung: Scored
) -> Iterator[dict[str, Any]]:
    """Yield every slice that holds rows."""
    parts = slices.slices(
        rows.traits[usable].reset_index(drop=True),
        rows.at[usable],
        distance=rows.distance[usable],
        unseen=rows.unseen[usable],
    )
    for part in parts:
        found = slices.judge(part, judged, model=model, rung=rung)
        if found is not None:
            yield found


def _iso(time: datetime | None) -> str | None:
    """Return a time as ISO 8601."""
    return None if time is None else time.isoformat()
