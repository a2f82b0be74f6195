"""Search for parameters inside the training years: purged walk-forward folds, nothing later.

Trials lie in a database, so that a search that was stopped goes on where it was, and several
processes search together. A trial whose first folds are worse than the median of those before
is given up.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import optuna
from optuna.pruners import MedianPruner
from optuna.samplers import TPESampler
from optuna.trial import Trial, TrialState

from features.inputs import Floats
from models.errors import InvalidInput
from models.horizons import HORIZONS
from training.dataset import labels, splits
from training.dataset.dataset import Dataset
from training.fitting import fit
from training.fitting.boosting import Recipe
from training.sources import History

WARM_UP_TRIALS = 5
SPACE: Mapping[str, tuple[float, float]] = {
    "learning_rate": (0.02, 0.2),
    "lambda_l2": (0.1, 50.0),
    "min_sum_hessian_in_leaf": (0.3, 10.0),
}
SHARES: Mapping[str, tuple[float, float]] = {
    "feature_fraction": (0.2, 1.0),
    "bagging_fraction": (0.4, 1.0),
}
LEAVES = (4, 32)
ROUNDS = (20, 300)
FOLDS = 3
LEAST = 1e-9

Tell = Callable[[int, float | None, float | None], None]
"""Called after each trial: how many are done, its loss (None if given up) and the best."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """A search and where it is kept.

    Parameters
    ----------
    storage
        Database URL of the trials.
    name
        Of the study: one for each set of training rows.
    trials
        Finished trials after which it ends, those of earlier processes included.
    seed
        Of the proposals and of the training.
    """

    storage: str
    name: str
    trials: int
    seed: int


@dataclass(frozen=True, slots=True, eq=False)
class Past:
    """The training years.

    Parameters
    ----------
    end
        After which not even a label is seen.
    """

    history: History
    rows: Dataset
    end: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Best:
    """The best parameters found.

    Parameters
    ----------
    loss
        Log-loss per independent outcome over all folds, horizons and heads.
    """

    changes: Mapping[str, Any]
    loss: float
    trials: int


def search(past: Past, settings: Search, *, tell: Tell) -> Best:
    """Search until so many trials are done, and return the best parameters."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        storage=settings.storage,
        study_name=settings.name,
        sampler=TPESampler(seed=settings.seed),
        pruner=MedianPruner(n_startup_trials=WARM_UP_TRIALS),
        load_if_exists=True,
    )
    while (done := _done(study)) < settings.trials:
        study.optimize(lambda trial: loss(trial, past, seed=settings.seed), n_trials=1)
        last = study.trials[-1]
        best = study.best_value if _complete(study) else None
        tell(done + 1, last.value if last.state is TrialState.COMPLETE else None, best)
    return Best(changes=study.best_params, loss=study.best_value, trials=_done(study))


def loss(trial: Trial, past: Past, *, seed: int) -> float:
    """Return the log-loss of one trial's parameters per independent outcome.

    Raises
    ------
    optuna.TrialPruned
        When its folds so far are worse than the median of the trials before.
    InvalidInput
        When the period is too short for any fold.
    """
    totals = np.zeros(2)
    recipe = proposed(trial)
    for step, split in enumerate(splits.walk_forward(past.rows.at, FOLDS)):
        try:
            totals += _fold(past, split, recipe, seed=seed)
        except InvalidInput:
            if step == FOLDS - 1:
                raise
            continue  # the first folds of a short period leave nothing to calibrate on
        trial.report(float(totals[0] / totals[1]), step)
        if trial.should_prune():
            raise optuna.TrialPruned
    return float(totals[0] / totals[1])


def _fold(past: Past, split: splits.Split, recipe: Recipe, *, seed: int) -> Floats:
    """Return the summed loss on the later slice of a fold, and the evidence it holds."""
    early, later = past.rows.select(split.before), past.rows.select(split.after)
    heads = fit.heads(past.history, early, split.boundary, seed=seed, recipe=recipe)
    matrix, baseline = later.matrix(), later.baseline()
    totals = np.zeros(2)
    for name, head in heads.items():
        chances = head.probabilities(head.scores(matrix, baseline, threads=2))
        for k, hours in enumerate(HORIZONS):
            totals += _judged(chances[:, k], later, fit.EVENTS[name], hours, end=past.end)
    return totals


def _judged(chance: Floats, rows: Dataset, event: str, hours: int, *, end: datetime) -> Floats:
    """Return the summed loss of one horizon; hours that share an outcome count as one."""
    happened, censoring = (rows.labels[f"{event}_{what}"].to_numpy() for what in ("in", "known"))
    y = labels.by_horizon(*labels.censor(happened, censoring, at=rows.at, end=end), hours)
    weights = rows.weights() * np.isfinite(y) * np.isfinite(chance) / hours
    used = weights > 0.0
    p = np.clip(chance[used], LEAST, 1.0 - LEAST)
    losses = -np.where(y[used] > 0.0, np.log(p), np.log1p(-p))
    return np.array([float(losses @ weights[used]), float(weights.sum())])


def proposed(trial: Trial) -> Recipe:
    """Return the recipe that a trial tries."""
    changes: dict[str, Any] = {
        name: trial.suggest_float(name, low, high, log=True) for name, (low, high) in SPACE.items()
    }
    changes |= {name: trial.suggest_float(name, low, high) for name, (low, high) in SHARES.items()}
    changes["num_leaves"] = trial.suggest_int("num_leaves", *LEAVES, log=True)
    return Recipe(changes=changes, rounds=trial.suggest_int("rounds", *ROUNDS, log=True))


def _done(study: optuna.Study) -> int:
    """Return the number of trials that ended."""
    return sum(t.state in {TrialState.COMPLETE, TrialState.PRUNED} for t in study.trials)


def _complete(study: optuna.Study) -> bool:
    """Return whether a trial was finished."""
    return any(trial.state is TrialState.COMPLETE for trial in study.trials)
