"""Fit a bundle: boosters on the earlier slice, calibrators on the later one."""

import platform
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import lightgbm
import numpy as np
import numpy.typing as npt
import pandas as pd

from features.inputs import Floats, Ints, seconds
from features.pipeline import BASELINE, FEATURES, NAMES, compute, fingerprint
from models import calibration
from models.bundle import Bundle, Head
from models.calibration import Calibrator
from models.errors import Fault, InvalidInput
from models.hazard import HORIZONS, LABELS, Line, start
from training import baselines, har, labels, splits
from training.recipe import SHIPPED, Recipe, Sample, read
from training.sources import History, select_legs

EVENTS = {"unattended": "touched", "expected": "liquidated"}
FOLDS = 3
DRAWS = 60
MOST_ROUNDS = 100
FAR = 8.0
THINNING = 8
PARAMETERS: Mapping[str, Any] = {
    "objective": "binary",
    "learning_rate": 0.08,
    "num_leaves": 8,
    "min_data_in_leaf": 200,
    # In independent outcomes: rows are weighted by the share of an outcome they hold.
    "min_sum_hessian_in_leaf": 1.0,
    "lambda_l2": 2.0,
    "feature_fraction": 0.5,
    "bagging_fraction": 0.7,
    "bagging_freq": 1,
    "max_bin": 127,
    "monotone_constraints": [feature.direction for feature in FEATURES],
    "monotone_constraints_method": "basic",
    "boost_from_average": False,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 2,
    "verbosity": -1,
}

Progress = Callable[[str], None]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Dataset:
    """Features and what happened, row by row.

    Parameters
    ----------
    features
        Of `features.pipeline.compute`.
    labels
        Of `training.labels.label`.
    at
        Seconds since 1970.
    account
        Account codes.
    moments
        Rows of `History.moments`.
    legs
        Their legs, by `features.inputs.LEGS`.
    """

    features: pd.DataFrame
    labels: pd.DataFrame
    at: Ints
    account: Ints
    moments: pd.DataFrame
    legs: pd.DataFrame | None = None

    def select(self, rows: Mask) -> "Dataset":
        """Return some rows."""
        return Dataset(
            self.features[rows],
            self.labels[rows],
            self.at[rows],
            self.account[rows],
            self.moments[rows],
            select_legs(self.legs, rows),
        )

    def weights(self) -> Floats:
        """Return 0, 1 or THINNING per row.

        Of an account far from the line one hour in THINNING stands for all, staggered over
        accounts.
        """
        turn = (self.at // 3600 + self.account) % THINNING == 0
        return np.where(self._is_far(), THINNING * turn, 1).astype(np.float64)

    def company(self) -> Floats:
        """Return per row the number of accounts near the line at the same time, at least 1."""
        _, places = np.unique(self.at, return_inverse=True)
        near = np.bincount(places, weights=~self._is_far())
        return np.maximum(near[places], 1.0)

    def _is_far(self) -> Mask:
        """Return which accounts are more than FAR daily volatilities from the line."""
        return np.asarray(~(self.features["distance_sigmas_72h"].to_numpy() <= FAR))


def dataset(
    history: History, *, begin: datetime | None = None, end: datetime | None = None
) -> Dataset:
    """Return the rows of [begin, end) with features and labels.

    Raises
    ------
    InvalidInput
        When the period holds no account-hour.
    """
    at = seconds(history.moments["at"])
    keep = np.ones(len(at), dtype=bool)
    if begin is not None:
        keep &= at >= int(begin.timestamp())
    if end is not None:
        keep &= at < int(end.timestamp())
    if not keep.any():
        raise InvalidInput([_no_rows(at, begin, end)])
    moments = history.moments[keep].reset_index(drop=True)
    marked = labels.label(history)[keep].reset_index(drop=True)
    codes = moments["account"].astype("category").cat.codes.to_numpy(dtype=np.int64)
    legs = select_legs(history.legs, keep)
    features = compute(history.tables, moments, legs=legs)
    return Dataset(features, marked, at[keep], codes.astype(np.int64), moments, legs)


def _no_rows(at: Ints, begin: datetime | None, end: datetime | None) -> Fault:
    """Return the fault of a period without account-hours."""
    held = "none at all"
    if len(at):
        first, last = (datetime.fromtimestamp(int(t), tz=UTC) for t in (at.min(), at.max()))
        held = f"{first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M}"
    return Fault("--from,--to", f"no account-hours in [{begin}, {end}); the data holds {held}")


def fit(
    history: History,
    *,
    source: str,
    begin: datetime | None,
    end: datetime | None,
    seed: int,
    progress: Progress,
    recipe: Recipe = SHIPPED,
) -> Bundle:
    """Train on [begin, end); nothing after `end` is seen, not even by a label.

    Parameters
    ----------
    progress
        Called with one line before each step.
    recipe
        How boosters are trained.

    Raises
    ------
    InvalidInput
        When the period is empty or too short to hold out a calibration slice.
    """
    progress("computing features and labels")
    rows = dataset(history, begin=begin, end=end)
    last = datetime.fromtimestamp(int(rows.at.max()) + 3600, tz=UTC)
    limit = end or last
    starts = seconds(history.episodes["at"])
    split = splits.calibration(rows.at, starts[starts < int(limit.timestamp())])
    hours = (int(limit.timestamp()) - split.boundary.timestamp() - splits.EMBARGO) / 3600
    if hours <= max(HORIZONS):
        message = f"the period is too short: {hours:.0f} h are left to calibrate {HORIZONS} h on"
        raise InvalidInput([Fault("--from,--to", message)])
    heads = {}
    for name, event in EVENTS.items():
        told = _Told(event, seed, recipe)
        heads[name] = _fit_head(rows, split, told, end=limit, progress=progress)
    progress("fitting the baselines")
    inputs = baselines.inputs(history.tables, rows.moments, rows.features, legs=rows.legs)
    volatility = har.fit(history.tables.candles, end=int(limit.timestamp()))
    return Bundle(
        heads=heads,
        features=NAMES,
        fingerprint=fingerprint(),
        rungs={
            head: baselines.fit(inputs, _outcomes(rows, event, limit), volatility=volatility)
            for head, event in EVENTS.items()
        },
        provenance={
            "source": source,
            "from": datetime.fromtimestamp(int(rows.at.min()), tz=UTC).isoformat(),
            "to": limit.isoformat(),
            "calibrated_from": split.boundary.isoformat(),
            "rows": len(rows.at),
            "accounts": len(np.unique(rows.account)),
            "episodes": int(((starts >= rows.at.min()) & (starts < limit.timestamp())).sum()),
            "seed": seed,
            "parameters": dict(recipe.changes),
            "versions": {name: version(name) for name in ("lightgbm", "numpy", "pandas")},
            "python": platform.python_version(),
        },
    )


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


def _fit_head(
    rows: Dataset, split: splits.Split, told: "_Told", *, end: datetime, progress: Progress
) -> Head:
    """Fit one line, one booster and one calibrator per stretch."""
    lines, boosters, calibrators = [], [], []
    event = told.event
    early, late = rows.select(split.before), rows.select(split.after)
    begin = 0
    for k, (hours, name) in enumerate(zip(HORIZONS, LABELS, strict=True)):
        progress(f"fitting the hazard of {event} between {begin} h and {hours} h")
        y = labels.in_stretch(*_known(early, event, split.boundary), begin=begin, end=hours)
        stretch = _stretch(k, told)
        lines.append(_fit_line(early, y, stretch))
        rounds = _choose_rounds(early, y, stretch)
        boosters.append(_train(early, y, stretch, lines[-1], rounds=rounds))
        later = labels.in_stretch(*_known(late, event, end), begin=begin, end=hours)
        calibrators.append(_calibrate(boosters[-1], late, later, stretch, lines[-1]))
        progress(
            f"  {name}: start {lines[-1][0]:+.2f} {lines[-1][1]:.2f}, {rounds} trees, "
            f"calibrated {calibrators[-1].shift:+.2f} {calibrators[-1].slope:.2f}"
        )
        begin = hours
    return Head(tuple(lines), tuple(boosters), tuple(calibrators))


def fold_losses(
    rows: Dataset, *, event: str, end: datetime, seed: int, recipe: Recipe
) -> Iterator[tuple[float, float]]:
    """Yield the log-loss of every horizon on every purged later fold; nothing after `end` is seen.

    Yields
    ------
    tuple of float
        Least summed loss over the rounds, and the summed evidence it was reached on.
    """
    for k, hours in enumerate(HORIZONS):
        stretch = _stretch(k, _Told(event, seed, recipe))
        begin = hours - int(stretch.overlap)
        y = labels.in_stretch(*_known(rows, event, end), begin=begin, end=hours)
        for before, after in _folds(rows, y, stretch):
            evidence = float(_evidence(rows, after, stretch).sum())
            yield float(_losses(rows, before, after, stretch).min()), evidence


@dataclass(frozen=True, slots=True)
class _Told:
    """What a head is fitted to, and how."""

    event: str
    seed: int
    recipe: Recipe


def _stretch(k: int, told: _Told) -> "_Stretch":
    """Return the hazard of the stretch that ends at the k-th horizon."""
    hours = HORIZONS[k] - (HORIZONS[k - 1] if k else 0)
    return _Stretch(
        k, float(hours), told.seed, is_shared=told.event == "touched", recipe=told.recipe
    )


@dataclass(frozen=True, slots=True)
class _Stretch:
    """A hazard being fitted.

    Parameters
    ----------
    k
        Place of its horizon.
    overlap
        Hours of the stretch: so many hourly rows share one outcome.
    seed
        Of everything random.
    is_shared
        Whether one price path decides for all accounts, which then hold one outcome between
        them; owners decide each for themselves.
    recipe
        How its booster is trained.
    """

    k: int
    overlap: float
    seed: int
    is_shared: bool
    recipe: Recipe = SHIPPED

    @property
    def parameters(self) -> dict[str, Any]:
        """Every parameter of LightGBM."""
        return {**PARAMETERS, **self.recipe.changes, "seed": self.seed}


def _matrix(rows: Dataset) -> Floats:
    """Return the feature matrix in the bundle's order."""
    return rows.features[list(NAMES)].to_numpy(dtype=np.float64)


def _starts(rows: Dataset, k: int, line: Line) -> Floats:
    """Return the log-odds each row of hazard k starts from."""
    return start(rows.features[BASELINE[k]].to_numpy(), line)


def _evidence(rows: Dataset, y: Floats, stretch: _Stretch) -> Floats:
    """Return how much of an independent outcome each row holds; 0 where it cannot be used."""
    baseline = rows.features[BASELINE[stretch.k]].to_numpy()
    evidence = rows.weights() * np.isfinite(y) * np.isfinite(baseline) / stretch.overlap
    return evidence / rows.company() if stretch.is_shared else evidence


def _fit_line(rows: Dataset, y: Floats, stretch: _Stretch) -> Line:
    """Fit the line that turns the baseline into the start."""
    evidence = _evidence(rows, y, stretch)
    used = evidence > 0.0
    raw = _starts(rows.select(used), stretch.k, (0.0, 1.0))
    return calibration.fit_line(raw, y[used], weights=evidence[used])


def _sample(rows: Dataset, y: Floats, stretch: _Stretch, line: Line) -> Sample:
    """Return the rows with a known label, thinned."""
    evidence = _evidence(rows, y, stretch)
    used = evidence > 0.0
    chosen = rows.select(used)
    return Sample(
        features=_matrix(chosen),
        labels=y[used],
        weights=evidence[used],
        starts=_starts(chosen, stretch.k, line),
        names=NAMES,
    )


def _train(
    rows: Dataset, y: Floats, stretch: _Stretch, line: Line, *, rounds: int
) -> lightgbm.Booster:
    """Train one booster for a fixed number of rounds."""
    sample = _sample(rows, y, stretch, line)
    return stretch.recipe.trainer(sample, stretch.parameters, rounds)


def _choose_rounds(rows: Dataset, y: Floats, stretch: _Stretch) -> int:
    """Return the rounds with the least log-loss over purged later folds, at least 1."""
    losses = np.zeros(MOST_ROUNDS + 1)
    for before, after in _folds(rows, y, stretch):
        losses += _losses(rows, before, after, stretch)
    return max(int(np.argmin(losses)), 1)


def _folds(rows: Dataset, y: Floats, stretch: _Stretch) -> Iterator[tuple[Floats, Floats]]:
    """Yield the labels of earlier and of later rows, purged between, NaN elsewhere."""
    for split in splits.walk_forward(rows.at, FOLDS):
        # A label whose stretch ends after the boundary is not known before it.
        ended = rows.at + HORIZONS[stretch.k] * 3600 <= int(split.boundary.timestamp())
        before = np.where(split.before & ended, y, np.nan)
        after = np.where(split.after, y, np.nan)
        if np.nansum(before) > 0 and np.isfinite(after).any():
            yield before, after


def _losses(rows: Dataset, before: Floats, after: Floats, stretch: _Stretch) -> Floats:
    """Return the summed log-loss on later rows after 0, 1, 2 … rounds.

    Parameters
    ----------
    before, after
        Labels of the earlier and of the later rows, NaN elsewhere.
    """
    line = _fit_line(rows, before, stretch)
    data = read(_sample(rows, before, stretch, line), stretch.parameters)
    evidence = _evidence(rows, after, stretch)
    used = evidence > 0.0
    later, y, weight = rows.select(used), after[used], evidence[used]
    begun = _starts(later, stretch.k, line)
    held = data.create_valid(_matrix(later), label=y, weight=weight, init_score=begun)
    record: dict[str, dict[str, list[float]]] = {}
    lightgbm.train(
        {**stretch.parameters, "metric": "binary_logloss"},
        data,
        num_boost_round=MOST_ROUNDS,
        valid_sets=[held],
        valid_names=["later"],
        callbacks=[lightgbm.record_evaluation(record)],
    )
    untouched = float(np.average(np.logaddexp(0.0, begun) - y * begun, weights=weight))
    return np.array([untouched, *record["later"]["binary_logloss"]]) * float(weight.sum())


def _calibrate(
    booster: lightgbm.Booster, rows: Dataset, y: Floats, stretch: _Stretch, line: Line
) -> Calibrator:
    """Calibrate a hazard on rows later than its trees."""
    used = np.isfinite(y) & np.isfinite(rows.features[BASELINE[stretch.k]].to_numpy())
    chosen = rows.select(used)
    trees = np.asarray(booster.predict(_matrix(chosen), raw_score=True, num_threads=2))
    return calibration.fit(
        trees + _starts(chosen, stretch.k, line),
        y[used],
        groups=chosen.account,
        overlap=stretch.overlap,
        draws=DRAWS,
        seed=stretch.seed,
    )
