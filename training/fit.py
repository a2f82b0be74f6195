"""Fit a bundle: the market part on paths, the owner part on what owners were seen to do."""

import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import numpy as np

from features.inputs import Floats, seconds
from features.pipeline import BY_NAME, MARKET, NAMES, OWNER, fingerprint
from models.bundle import Bundle, Head, Passage, Upon
from models.errors import Fault, InvalidInput
from models.hazard import HORIZONS, LABELS, Line
from training import baselines, har, labels, scale, splits
from training.heads import Part, Progress, fit_head
from training.recipe import SHIPPED, Recipe
from training.rows import Dataset, Mask, dataset, thinned
from training.sources import History

__all__ = ["EVENTS", "Dataset", "Mask", "Progress", "dataset", "fit"]

EVENTS = {"unattended": "touched", "expected": "liquidated"}
MARKET_ROUNDS = 40
OWNER_ROUNDS = 60
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

UNMOVED: tuple[Line, ...] = ((0.0, 1.0),) * len(HORIZONS)


def fit(
    history: History,
    *,
    source: str,
    begin: datetime | None,
    end: datetime | None,
    seed: int,
    progress: Progress,
    owners: History | None = None,
    recipe: Recipe = SHIPPED,
) -> Bundle:
    """Train on [begin, end); nothing after `end` is seen, not even by a label.

    Parameters
    ----------
    progress
        Called with one line before each step.
    owners
        Log of what owners did, for the owner part; None where `history` is that log.
    recipe
        How boosters are trained.

    Raises
    ------
    InvalidInput
        When the period is empty or too short to hold out a calibration slice.
    """
    progress("computing features and labels")
    rows = thinned(history, begin=begin, end=end)
    limit = end or _last(rows)
    market = _market(history, rows, limit, seed=seed, progress=progress, recipe=recipe)
    held = rows if owners is None else thinned(owners, begin=begin, end=end)
    log = history if owners is None else owners
    known = end or _last(held)
    owner = _owner(log, held, market, known, seed=seed, progress=progress, recipe=recipe)
    progress("fitting the baselines")
    volatility = har.fit(history.tables.candles, end=int(limit.timestamp()))
    read = _read(history, rows)
    read_owners = read if owners is None else _read(log, held)
    rungs = {
        name: _ladder(inputs, part, EVENTS[name], until, volatility=volatility)
        for name, inputs, part, until in (
            ("unattended", read, rows, limit),
            ("expected", read_owners, held, known),
        )
    }
    return Bundle(
        heads={"unattended": market, "expected": owner},
        features=NAMES,
        fingerprint=fingerprint(),
        rungs=rungs,
        provenance={
            "source": source,
            **_told(history, rows, limit),
            "owners": _told(log, held, known),
            "reads": {"unattended": list(MARKET_READS), "expected": list(OWNER_READS)},
            "seed": seed,
            "parameters": {**recipe.changes, "rounds": recipe.rounds},
            "versions": {name: version(name) for name in ("lightgbm", "numpy", "pandas")},
            "python": platform.python_version(),
        },
    )


def heads(
    history: History, rows: Dataset, limit: datetime, *, seed: int, recipe: Recipe
) -> dict[str, Head]:
    """Return the heads alone, fitted to one log without a word; raises as `fit` does."""
    market = _market(history, rows, limit, seed=seed, progress=_silent, recipe=recipe)
    owner = _owner(history, rows, market, limit, seed=seed, progress=_silent, recipe=recipe)
    return {"unattended": market, "expected": owner}


def _silent(line: str) -> None:
    """Say nothing."""


def _ladder(
    inputs: baselines.Inputs,
    rows: Dataset,
    event: str,
    end: datetime,
    *,
    volatility: Mapping[str, Any],
) -> dict[str, Any]:
    """Fit the rungs, every row as often as the account-hours it stands for."""
    times = np.repeat(np.arange(len(rows.at)), rows.weights().astype(np.int64))
    repeated = baselines.Inputs(
        features=inputs.features.iloc[times],
        past=inputs.past[times],
        simulated=inputs.simulated[times],
        delay=inputs.delay[times],
        side=inputs.side[times],
    )
    outcomes = {name: y[times] for name, y in _outcomes(rows, event, end).items()}
    return baselines.fit(repeated, outcomes, volatility=volatility)


def _read(history: History, rows: Dataset) -> baselines.Inputs:
    """Return the rows as the ladder reads them."""
    return baselines.inputs(history.tables, rows.moments, rows.features, legs=rows.legs)


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


def _market(
    history: History,
    rows: Dataset,
    limit: datetime,
    *,
    seed: int,
    progress: Progress,
    recipe: Recipe,
) -> Head:
    """Fit what happens if nobody acts."""
    split = _split(history, rows, limit)
    progress("fitting the volatility ahead")
    ahead = scale.realised(history.tables.candles, rows.moments)
    ended = rows.at[:, np.newaxis] + np.array(HORIZONS) * 3600 <= limit.timestamp()
    sigma = rows.features["start_sigma"].to_numpy()
    found = scale.fit(rows.matrix(), sigma, np.where(ended, ahead, np.nan))
    part = Part(
        event=EVENTS["unattended"],
        reads=MARKET_READS,
        rounds=MARKET_ROUNDS,
        forgotten=0.0,
        seed=seed,
        recipe=recipe,
    )
    return fit_head(rows, split, Passage(found, UNMOVED), part, end=limit, progress=progress)


def _owner(
    history: History,
    rows: Dataset,
    market: Head,
    limit: datetime,
    *,
    seed: int,
    progress: Progress,
    recipe: Recipe,
) -> Head:
    """Fit what happens as owners were seen to act, on top of what would without them."""
    split = _split(history, rows, limit)
    part = Part(
        event=EVENTS["expected"],
        reads=OWNER_READS,
        rounds=OWNER_ROUNDS,
        forgotten=FORGOTTEN,
        seed=seed,
        recipe=recipe,
    )
    return fit_head(rows, split, Upon(market, UNMOVED), part, end=limit, progress=progress)


def _told(history: History, rows: Dataset, limit: datetime) -> dict[str, Any]:
    """Return what a part was trained on."""
    starts = seconds(history.episodes["at"])
    return {
        "from": datetime.fromtimestamp(int(rows.at.min()), tz=UTC).isoformat(),
        "to": limit.isoformat(),
        "calibrated_from": _split(history, rows, limit).boundary.isoformat(),
        "rows": int(rows.weights().sum()),
        "accounts": len(np.unique(rows.account)),
        "episodes": int(((starts >= rows.at.min()) & (starts < limit.timestamp())).sum()),
    }


def _outcomes(rows: Dataset, event: str, end: datetime) -> dict[str, Floats]:
    """Return by horizon what is known of an event by `end`."""
    happened, known = _known(rows, event, end)
    return {
        label: labels.by_horizon(happened, known, hours)
        for hours, label in zip(HORIZONS, LABELS, strict=True)
    }


def _known(rows: Dataset, event: str, end: datetime) -> tuple[Floats, Floats]:
    """Return when an event came and how far that is known, nothing after `end`."""
    happened = rows.labels[f"{event}_in"].to_numpy()
    known = rows.labels[f"{event}_known"].to_numpy()
    return labels.censor(happened, known, at=rows.at, end=end)
