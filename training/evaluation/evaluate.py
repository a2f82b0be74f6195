"""Evaluate a bundle on a period: every rung and the model on the same rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from features.inputs import Floats
from models.forecast.bundle import Bundle
from models.horizons import LABELS
from training.baselines import baselines
from training.baselines.baselines import Inputs, Scored
from training.dataset.dataset import Dataset, dataset
from training.evaluation import comparison, slices
from training.evaluation.beside import beside
from training.evaluation.comparison import MODEL, Pooled
from training.evaluation.metrics import Mask
from training.evaluation.oracles import Hindsight, volatilities
from training.fitting.fit import EVENTS
from training.fitting.heads import Progress
from training.sources import History, observed_by

HEADS: Mapping[str, str] = {"horizons": "expected", "touch": "unattended"}
"""Key of the report by head of the bundle."""


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
    history: History,
    bundle: Bundle,
    period: Period,
    *,
    progress: Progress,
    other: Bundle | None = None,
) -> dict[str, Any]:
    """Return the report of `report.json`.

    Parameters
    ----------
    other
        A bundle to set beside the judged one, on the same rows.

    Returns
    -------
    dict
        `rows`, `accounts`, `checks`, `dropped`, `trained`; `horizons` for the event that
        happened (liquidated as observed) and `touch` for the one that would have (nobody
        acts), per horizon as `compare` describes; with another bundle `beside`: which one, what
        it was trained on, and the differences as `training.evaluation.beside` describes them.
    """
    fold = forecast(history, bundle, period, progress=progress)
    header = {"bundle": bundle.version, "trained": dict(bundle.provenance)}
    pooled = _pool([fold], history, period)
    report = header | _judge(pooled, [fold], history, period, progress=progress)
    if other is None:
        return report
    progress(f"setting bundle {other.version} beside it")
    theirs = _probabilities(other, fold.rows, observed_by(other, history, len(fold.rows.at)))
    differences = beside(pooled, fold.model, theirs, heads=HEADS, seed=period.seed)
    which = {"bundle": other.version, "trained": dict(other.provenance)}
    return report | {"beside": which | differences}


def forecast(history: History, bundle: Bundle, period: Period, *, progress: Progress) -> Fold:
    """Return the rows of a period with everything that is forecast of them."""
    progress("computing features and labels")
    rows = dataset(history, begin=period.begin, end=period.end)
    progress("computing the rungs of volatility")
    inputs = baselines.inputs(history.tables, rows.moments, rows.features, legs=rows.legs)
    return Fold(
        rows=rows,
        inputs=inputs,
        rungs=bundle.rungs,
        model=_probabilities(bundle, rows, observed_by(bundle, history, len(rows.at))),
        unseen=_unseen(rows, history, bundle, period),
    )


def _unseen(rows: Dataset, history: History, bundle: Bundle, period: Period) -> Mask:
    """Return the rows of accounts that the owner part was not trained on."""
    until = bundle.trained_to("owners")
    if period.source and period.source != bundle.provenance["owners"].get("source"):
        return np.ones(len(rows.at), dtype=bool)
    return slices.unseen(rows.moments, history.moments, until=until)


def _probabilities(bundle: Bundle, rows: Dataset, observed: Mask) -> dict[str, Floats]:
    """Return the model's probabilities by head and horizon, each of shape (N, 4)."""
    scores = bundle.scores(rows.matrix(bundle.features), rows.baseline())
    return bundle.probabilities(scores, observed=observed)


def judge_all(
    folds: Sequence[Fold], history: History, period: Period, *, progress: Progress
) -> dict[str, Any]:
    """Return the report on the rows of all folds together."""
    return _judge(_pool(folds, history, period), folds, history, period, progress=progress)


def _judge(
    pooled: Pooled,
    folds: Sequence[Fold],
    history: History,
    period: Period,
    *,
    progress: Progress,
) -> dict[str, Any]:
    """Return the report on pooled rows."""
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
            report[key][name] = comparison.compare(pooled, scored, head=head, k=k, seed=period.seed)
    return report


def _pool(folds: Sequence[Fold], history: History, period: Period) -> Pooled:
    """Lay the folds' rows one after the other."""

    def column(frame: str, name: str) -> Floats:
        return np.concatenate([getattr(fold.rows, frame)[name].to_numpy() for fold in folds])

    names = np.concatenate([fold.rows.moments["account"].astype(str) for fold in folds])
    parts = [slices.traits(fold.rows.moments, source=period.source) for fold in folds]
    distance = column("features", "distance_next")
    return Pooled(
        at=np.concatenate([fold.rows.at for fold in folds]),
        account=pd.factorize(names)[0].astype(np.int64),
        names=names,
        happened={head: column("labels", f"{event}_in") for head, event in EVENTS.items()},
        censoring={head: column("labels", f"{event}_known") for head, event in EVENTS.items()},
        distance=distance,
        hindsight=Hindsight(
            window=_ahead(folds, history, windows=0),
            later=_ahead(folds, history, windows=1),
            past=column("features", "start_sigma"),
            distance=distance,
            delay=column("moments", "delay").astype(np.float64),
        ),
        sigmas=column("features", "distance_sigmas_72h"),
        traits=pd.concat(parts, ignore_index=True),
        unseen=np.concatenate([fold.unseen for fold in folds]),
    )


def _ahead(folds: Sequence[Fold], history: History, *, windows: int) -> Floats:
    """Return the volatilities that came after each row; of baskets they are not known."""
    parts = []
    for fold in folds:
        asset = fold.rows.moments["asset"].astype(str).to_numpy(dtype=object)
        part = volatilities(history.tables.candles, asset, fold.rows.at, windows=windows)
        if fold.rows.legs is not None:
            part[fold.rows.legs["row"].to_numpy(dtype=np.int64)] = np.nan
        parts.append(part)
    return np.concatenate(parts)


def _scored(folds: Sequence[Fold], head: str, k: int) -> dict[str, Scored]:
    """Return every rung and the model on one horizon, over all folds."""
    parts = []
    for fold in folds:
        scored = baselines.apply(fold.rungs[head], fold.inputs, horizon=LABELS[k])
        probability = fold.model[head][:, k]
        parts.append(scored | {MODEL: Scored(probability, probability)})
    return {
        rung: Scored(
            np.concatenate([part[rung].score for part in parts]),
            np.concatenate([part[rung].probability for part in parts]),
        )
        for rung in parts[0]
    }


def _iso(time: datetime | None) -> str | None:
    """Return a time as ISO 8601."""
    return None if time is None else time.isoformat()
