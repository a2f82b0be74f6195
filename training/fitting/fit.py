"""Fit a bundle: the market part on paths, the owner part on what owners were seen to do."""

import platform
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from features.inputs import Floats, seconds
from features.pipeline import BY_NAME, MARKET, NAMES, OWNER, fingerprint
from models.errors import Fault, InvalidInput
from models.forecast.bundle import Bundle, Head
from models.forecast.volatility import VolatilityForecast
from models.horizons import HORIZONS, LABELS
from training import kernels
from training.baselines import baselines, har
from training.dataset import labels, splits
from training.dataset.dataset import Dataset, Mask, dataset, thinned
from training.dataset.sample_weights import weighted_outcomes
from training.fitting import init_scores, volatility
from training.fitting.boosting import SHIPPED, Recipe
from training.fitting.heads import HeadData, Progress, fit_head
from training.sources import History

__all__ = ["EVENTS", "Dataset", "Mask", "Progress", "dataset", "fit"]

EVENTS = {"unattended": "touched", "expected": "liquidated"}
MARKET_ROUNDS = (10, 20, 40, 10)
"""Trees by horizon: as many as still gained in half-years that followed the training."""

OWNER_ROUNDS = (25,) * len(HORIZONS)
OWNER_OVERRIDES: Mapping[str, Any] = {
    "num_leaves": 4,
    "lambda_l2": 20.0,
    "min_sum_hessian_in_leaf": 2.0,
}
"""A few dozen episodes teach trees little: what they add to the owner part is kept small."""

FORGOTTEN = 0.3
MARKET_READS: tuple[str, ...] = tuple(
    name
    for name in MARKET
    if BY_NAME[name].direction != 0 or "position" not in BY_NAME[name].sources
    if BY_NAME[name].unit != "log price"
)
"""What the market part reads: the path, and distances only in units of volatility."""

OWNER_READS: tuple[str, ...] = (*MARKET_READS, *OWNER)
"""What the owner part reads: nothing by which one venue could be told from another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """A history's rows within the training period.

    Parameters
    ----------
    source
        What its files are.
    limit
        After which nothing is seen, not even by a label.
    split
        Slices of trees and of calibrators.
    """

    source: str
    history: History
    rows: Dataset
    limit: datetime
    split: splits.Split


def fit(
    history: History,
    *,
    source: str,
    begin: datetime | None,
    end: datetime | None,
    seed: int,
    progress: Progress,
    owners: History | None = None,
    owners_source: str | None = None,
    recipe: Recipe = SHIPPED,
) -> Bundle:
    """Train on [begin, end); nothing after `end` is seen, not even by a label.

    Parameters
    ----------
    progress
        Called with one line before each step.
    owners, owners_source
        Log of what owners did, for the owner part, and what its files are; None where
        `history` is that log.
    recipe
        How boosters are trained.

    Raises
    ------
    InvalidInput
        When the period is empty or too short to hold out a calibration slice.
    """
    in_use = kernels.used()
    if in_use != kernels.PINNED:
        progress(f"kernels of this processor: {in_use}; on another one the bundle has other bytes")
    progress("computing features and labels")
    paths = _log(history, source, begin=begin, end=end)
    log = paths
    if owners is not None:
        log = _log(owners, owners_source or source, begin=begin, end=end)
    with single_threaded():
        fitted = _heads(paths, log, seed=seed, recipe=recipe, progress=progress)
        progress("fitting the baselines")
        rungs = _fit_baselines(paths, log)
    return Bundle(
        heads=fitted,
        features=NAMES,
        fingerprint=fingerprint(),
        rungs=rungs,
        provenance=_provenance(paths, log, seed=seed, recipe=recipe),
    )


def single_threaded() -> AbstractContextManager[Any]:
    """Return what holds the linear algebra to one thread while it is entered.

    Sums shared out over threads differ in their last digits with the number of them, and threads
    that wait for each other spend more time than products of this size take.
    """
    return threadpool_limits(limits=1, user_api="blas")


def heads(
    history: History, rows: Dataset, limit: datetime, *, seed: int, recipe: Recipe
) -> dict[str, Head]:
    """Return the heads alone, fitted to one log without a word; raises as `fit` does."""
    split = _split(history, rows, limit)
    log = Log(source="", history=history, rows=rows, limit=limit, split=split)
    with single_threaded():
        return _heads(log, log, seed=seed, recipe=recipe, progress=_silent)


def _log(history: History, source: str, *, begin: datetime | None, end: datetime | None) -> Log:
    """Return the rows of [begin, end), thinned, and how they are split."""
    rows = thinned(history, begin=begin, end=end)
    limit = end or _last(rows)
    split = _split(history, rows, limit)
    return Log(source=source, history=history, rows=rows, limit=limit, split=split)


def _heads(
    paths: Log, log: Log, *, seed: int, recipe: Recipe, progress: Progress
) -> dict[str, Head]:
    """Return what nobody's acting brings, and upon it what owners bring."""
    market = _market(paths, seed=seed, recipe=recipe, progress=progress)
    owner = _owner(log, market, seed=seed, recipe=recipe, progress=progress)
    return {"unattended": market, "expected": owner}


def _silent(line: str) -> None:
    """Say nothing."""


def _fit_baselines(paths: Log, log: Log) -> dict[str, Any]:
    """Return the ladders of both events, the market's volatility fitted to the paths."""
    candles = paths.history.tables.candles
    volatility = har.fit(candles, end=int(paths.limit.timestamp()))
    read = _read(paths)
    read_owners = read if log is paths else _read(log)
    return {
        "unattended": _baselines(read, paths, EVENTS["unattended"], volatility=volatility),
        "expected": _baselines(read_owners, log, EVENTS["expected"], volatility=volatility),
    }


def _baselines(
    inputs: baselines.Inputs, log: Log, event: str, *, volatility: Mapping[str, Any]
) -> dict[str, Any]:
    """Fit the rungs, every row as often as the account-hours it stands for."""
    rows = log.rows
    times = np.repeat(np.arange(len(rows.at)), rows.weights().astype(np.int64))
    repeated = baselines.Inputs(
        features=inputs.features.iloc[times],
        past=inputs.past[times],
        simulated=inputs.simulated[times],
        delay=inputs.delay[times],
        side=inputs.side[times],
    )
    outcomes = {name: y[times] for name, y in _outcomes(rows, event, log.limit).items()}
    return baselines.fit(repeated, outcomes, volatility=volatility)


def _read(log: Log) -> baselines.Inputs:
    """Return the rows as the ladder reads them."""
    rows = log.rows
    return baselines.inputs(log.history.tables, rows.moments, rows.features, legs=rows.legs)


def _last(rows: Dataset) -> datetime:
    """Return the hour after the last moment."""
    return datetime.fromtimestamp(int(rows.at.max()) + 3600, tz=UTC)


def _split(history: History, rows: Dataset, limit: datetime) -> splits.Split:
    """Return the slices of trees and calibrators."""
    starts = seconds(history.episodes["at"])
    split = splits.calibration(rows.at, starts[starts < int(limit.timestamp())])
    hours = (int(limit.timestamp()) - split.boundary.timestamp() - splits.EMBARGO) / 3600
    if hours <= max(HORIZONS):
        message = f"the period is too short: {hours:.0f} h are left to calibrate {HORIZONS} h on"
        raise InvalidInput([Fault("--from,--to", message)])
    return split


def _market(log: Log, *, seed: int, recipe: Recipe, progress: Progress) -> Head:
    """Fit what happens if nobody acts."""
    progress("fitting the volatility ahead")
    rows, event = log.rows, EVENTS["unattended"]
    # An asset's path decides its outcomes; trees that took all assets, which one shock
    # moves, for separate witnesses lost out of time.
    assets = weighted_outcomes(rows, event, group=rows.asset, end=log.limit)
    start = init_scores.from_passage(rows, _scale(log), assets)
    part = HeadData(
        event=event,
        reads=MARKET_READS,
        rounds=MARKET_ROUNDS,
        forgotten=0.0,
        seed=seed,
        recipe=recipe,
    )
    outcomes = weighted_outcomes(rows, event, group=init_scores.together(rows), end=log.limit)
    return fit_head(rows, log.split, start, part, outcomes, end=log.limit, progress=progress)


def _scale(log: Log) -> VolatilityForecast:
    """Fit the volatility ahead to windows that have ended."""
    rows = log.rows
    ahead = volatility.realised(log.history.tables.candles, rows.moments)
    ended = rows.at[:, np.newaxis] + np.array(HORIZONS) * 3600 <= log.limit.timestamp()
    sigma = rows.features["start_sigma"].to_numpy()
    return volatility.fit(rows.matrix(), sigma, np.where(ended, ahead, np.nan))


def _owner(log: Log, market: Head, *, seed: int, recipe: Recipe, progress: Progress) -> Head:
    """Fit what happens as owners were seen to act, on top of what would without them."""
    progress("fitting what owners do")
    rows, event = log.rows, EVENTS["expected"]
    outcomes = weighted_outcomes(rows, event, group=rows.account, end=log.limit)
    touches = weighted_outcomes(rows, EVENTS["unattended"], group=rows.account, end=log.limit)
    start = init_scores.from_head(rows, market, outcomes, touches)
    part = HeadData(
        event=event,
        reads=OWNER_READS,
        rounds=OWNER_ROUNDS,
        forgotten=FORGOTTEN,
        seed=seed,
        overrides=OWNER_OVERRIDES,
        recipe=recipe,
    )
    return fit_head(rows, log.split, start, part, outcomes, end=log.limit, progress=progress)


def _provenance(paths: Log, log: Log, *, seed: int, recipe: Recipe) -> dict[str, Any]:
    """Return what a bundle was trained on, and by what."""
    return {
        **_training_summary(paths),
        "owners": _training_summary(log),
        "markets": list(log.history.markets),
        "reads": {"unattended": list(MARKET_READS), "expected": list(OWNER_READS)},
        "seed": seed,
        "parameters": {**recipe.changes, "rounds": recipe.rounds},
        "versions": {name: version(name) for name in ("lightgbm", "numpy", "pandas")},
        "python": platform.python_version(),
        "kernels": kernels.used(),
    }


def _training_summary(log: Log) -> dict[str, Any]:
    """Return what a part was trained on."""
    rows, starts_at = log.rows, seconds(log.history.episodes["at"])
    inside = (starts_at >= rows.at.min()) & (starts_at < log.limit.timestamp())
    return {
        "source": log.source,
        "from": datetime.fromtimestamp(int(rows.at.min()), tz=UTC).isoformat(),
        "to": log.limit.isoformat(),
        "calibrated_from": log.split.boundary.isoformat(),
        "rows": int(rows.weights().sum()),
        "accounts": len(np.unique(rows.account)),
        "episodes": int(inside.sum()),
    }


def _outcomes(rows: Dataset, event: str, end: datetime) -> dict[str, Floats]:
    """Return by horizon what is known of an event by `end`."""
    happened, censoring = labels.censor(
        rows.labels[f"{event}_in"].to_numpy(),
        rows.labels[f"{event}_known"].to_numpy(),
        at=rows.at,
        end=end,
    )
    return {
        label: labels.by_horizon(happened, censoring, hours)
        for hours, label in zip(HORIZONS, LABELS, strict=True)
    }
