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

from training import fit
from training.recipe import Recipe

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


def search(rows: fit.Dataset, asked: Search, *, end: datetime, tell: Tell) -> Best:
    """Search until so many trials are done, and return the best parameters.

    Parameters
    ----------
    rows
        Of the training years.
    end
        After which not even a label is seen.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        storage=asked.storage,
        study_name=asked.name,
        sampler=TPESampler(seed=asked.seed),
        pruner=MedianPruner(n_startup_trials=WARM_UP_TRIALS),
        load_if_exists=True,
    )
    while (done := _done(study)) < asked.trials:
        study.optimize(lambda trial: loss(trial, rows, end=end, seed=asked.seed), n_trials=1)
        last = study.trials[-1]
        best = study.best_value if _complete(study) else None
        tell(done + 1, last.value if last.state is TrialState.COMPLETE else None, best)
    return Best(changes=study.best_params, loss=study.best_value, trials=_done(study))


def loss(trial: Trial, rows: fit.Dataset, *, end: datetime, seed: int) -> float:
    """Return the log-loss of one trial's parameters per independent outcome.

    Raises
    ------
    optuna.TrialPruned
        When its folds so far are worse than the median of the trials before.
    """
    recipe = Recipe(changes=proposed(trial))
    told = np.zeros(2)
    step = 0
    for event in fit.EVENTS.values():
        for part in fit.fold_losses(rows, event=event, end=end, seed=seed, recipe=recipe):
            told += part
            trial.report(float(told[0] / told[1]), step)
            step += 1
            if trial.should_prune():
                raise optuna.TrialPruned
    return float(told[0] / told[1])


def proposed(trial: Trial) -> dict[str, Any]:
    """Return the parameters that a trial tries."""
    found: dict[str, Any] = {
        name: trial.suggest_float(name, low, high, log=True) for name, (low, high) in SPACE.items()
    }
    found |= {name: trial.suggest_float(name, low, high) for name, (low, high) in SHARES.items()}
    return found | {"num_leaves": trial.suggest_int("num_leaves", *LEAVES, log=True)}


def _done(study: optuna.Study) -> int:
    """Return the number of trials that ended."""
    return sum(t.state in {TrialState.COMPLETE, TrialState.PRUNED} for t in study.trials)


def _complete(study: optuna.Study) -> bool:
    """Return whether a trial was finished."""
    return any(trial.state is TrialState.COMPLETE for trial in study.trials)
