"""A bundle: a directory of text that holds everything a forecast needs; never pickle."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import numpy.typing as npt
from scipy import special

from models.errors import BundleRefused, Fault, UnknownFeature
from models.forecast import manifest as manifests
from models.forecast import owner_behaviour as conducts
from models.forecast import volatility as scales
from models.forecast.calibration import Calibrator, VennAbersBand
from models.forecast.forest import Forest, Unwalkable, verified
from models.forecast.hazard import (
    Line,
    cumulative,
    first_passage_scores,
    linear_in_log_odds,
    tree_scores,
)
from models.forecast.manifest import FORMAT, Manifest
from models.forecast.owner_behaviour import OwnerBehaviour
from models.forecast.volatility import VolatilityForecast
from models.horizons import HORIZONS, LABELS

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

MANIFEST = "bundle.json"
MOST_FAULTS = 20
LEAST_LOG = -12.0
"""Log of the least probability that one head takes from another."""


MOST_LOG = -1e-9
"""Log of the greatest probability that one head makes of another's."""

LEAST_STAGE = -6.0
"""Log of the probability of a touch below which answers to it are taken to be as frequent."""


def second_stage(touch: Floats) -> Floats:
    """Return the log of the probability of a touch as the second stage reads it."""
    return np.maximum(touch, LEAST_STAGE)


@dataclass(frozen=True, slots=True)
class FirstPassageStart:
    """Starts hazards from first passage at a forecast volatility: the market part.

    Parameters
    ----------
    scale
        Forecasts the volatility.
    lines
        One per hazard; slopes > 0, so that order is kept.
    """

    scale: VolatilityForecast
    lines: tuple[Line, ...]

    def scores(self, features: Floats, baseline: Floats) -> Floats:
        """Return log-odds per hazard, shape (N, K)."""
        return linear_in_log_odds(
            first_passage_scores(baseline, self.scale.corrections(features)), self.lines
        )


@dataclass(frozen=True, slots=True)
class StackedStart:
    """Starts hazards from another head's probability, and from what owners do: the owner part.

    Whoever is liquidated was first within reach of it. The hazard has two stages: the
    probability of a touch by the horizon, times that of a touch that nobody answers in time, a
    logistic in the log of the former (what was near left no time) and in the owner's past.

    Parameters
    ----------
    head
        What nobody's acting would bring.
    lines
        Shift and slope of the second stage, one per hazard; slopes > 0, so that order is kept.
    conduct
        What the owner's past adds.
    trust
        Weight of what owners were seen to do, against nobody's acting: 0 to 1.
    """

    head: "Head"
    lines: tuple[Line, ...]
    conduct: OwnerBehaviour
    trust: float = 1.0

    def scores(self, features: Floats, baseline: Floats) -> Floats:
        """Return log-odds per hazard, shape (N, K)."""
        return self.over(self.head.scores(features, baseline), features)

    def over(self, scores: Floats, features: Floats) -> Floats:
        """Return log-odds per hazard, given the other head's scores, shape (N, K)."""
        touch, habits = self.head.log_chances(scores), self.conduct.added(features)
        unanswered = linear_in_log_odds(second_stage(touch), self.lines) + habits
        joint = touch + special.log_expit(unanswered)
        return np.asarray(joint - np.log(-np.expm1(np.minimum(joint, MOST_LOG))))

    @property
    def powers(self) -> Floats:
        """Log-odds per log-odds of the other head, where its event is unlikely, shape (K,)."""
        return np.array(self.lines)[:, 1] + 1.0


@dataclass(frozen=True, slots=True)
class Head:
    """One forecast: a start, and a booster, a calibrator and its evidence per horizon.

    Parameters
    ----------
    start
        Log-odds that the trees add to.
    boosters, calibrators, evidence
        In the order of `models.horizons.HORIZONS`; evidence is of the cumulative
        probability.
    forest
        The boosters flattened, where that gives their very bits; None leaves the work to them.
    """

    start: FirstPassageStart | StackedStart
    boosters: tuple[lightgbm.Booster, ...]
    calibrators: tuple[Calibrator, ...]
    evidence: tuple[VennAbersBand, ...]
    forest: Forest | None = None

    def scores(self, features: Floats, baseline: Floats, *, threads: int = 1) -> Floats:
        """Return uncalibrated log-odds per hazard; NaN where the baseline is missing.

        Parameters
        ----------
        features
            Shape (N, F), in the bundle's order.
        baseline
            Columns `features.pipeline.BASELINE`, shape (N, K + 3).

        Returns
        -------
        numpy.ndarray
            Shape (N, K).
        """
        return self.begun(self.start.scores(features, baseline), features, threads=threads)

    def begun(self, start: Floats, features: Floats, *, threads: int = 1) -> Floats:
        """Return `scores`, given the log-odds that the trees add to, shape (N, K)."""
        return start + self._trees(features, threads=threads)

    def log_chances(self, scores: Floats) -> Floats:
        """Return the log of the probability by each horizon, at least LEAST_LOG, shape (N, K)."""
        return np.log(np.maximum(self.probabilities(scores), np.exp(LEAST_LOG)))

    def _trees(self, features: Floats, *, threads: int) -> Floats:
        """Return what the trees of each hazard add, by the fastest way that gives their bits."""
        if self.forest is not None:
            return self.forest.raw(features)
        return tree_scores(self.boosters, features, threads=threads)

    def probabilities(self, scores: Floats) -> Floats:
        """Return the probability of the event by each horizon, shape (N, K)."""
        shifts, slopes = np.array([(c.shift, c.slope) for c in self.calibrators]).T
        return cumulative(special.expit(shifts + slopes * scores))

    def interval(self, scores: Floats) -> tuple[Floats, Floats]:
        """Return what later outcomes allow, nested in the horizon, each of shape (N, K)."""
        point = self.probabilities(scores)
        ends = [band.interval(point[:, k]) for k, band in enumerate(self.evidence)]
        low, high = (np.stack(end, axis=1) for end in zip(*ends, strict=True))
        return np.maximum.accumulate(low, axis=1), np.maximum.accumulate(high, axis=1)

    def contributions(self, features: Floats, baseline: Floats) -> Floats:
        """Return exact TreeSHAP log-odds per feature and horizon.

        Returns
        -------
        numpy.ndarray
            Shape (N, K, F + 1); the last column holds the start and the trees' mean. The sum
            over the last axis is the score. Trees of a head that this one starts from are
            booked to their features, by the power; the owner's past to its own.
        """
        parts = np.stack(
            [
                np.asarray(booster.predict(features, pred_contrib=True, num_threads=1))
                for booster in self.boosters
            ],
            axis=1,
        )
        return self._begun(parts, features, baseline)

    def paths(self, features: Floats, weights: Floats) -> Floats:
        """Return log-odds per feature along the paths taken: fast, not TreeSHAP.

        Parameters
        ----------
        weights
            Of the hazards, row by row, shape (N, K).

        Returns
        -------
        numpy.ndarray
            Shape (N, F): what the trees of this head, those of one that it starts from by the
            power, and the owner's past add to the weighted score.

        Raises
        ------
        Unwalkable
            When the boosters are not flattened.
        """
        if self.forest is None:
            raise Unwalkable("the boosters are not flattened: there are no paths to follow")
        log_odds = self.forest.paths(features, weights)
        if isinstance(self.start, StackedStart):
            log_odds += self.start.head.paths(features, weights * self.start.powers)
            habits = np.einsum("nk,nkm->nm", weights, self.start.conduct.parts(features))
            log_odds[:, self.start.conduct.columns] += habits
        return log_odds

    def _begun(self, parts: Floats, features: Floats, baseline: Floats) -> Floats:
        """Add the start to what the trees say."""
        begun = self.start.scores(features, baseline)
        if isinstance(self.start, StackedStart):
            below = self.start.head.contributions(features, baseline)[:, :, :-1]
            below *= self.start.powers[:, np.newaxis]
            below[:, :, self.start.conduct.columns] += self.start.conduct.parts(features)
            parts[:, :, :-1] += below
            begun = begun - below.sum(axis=2)
        parts[:, :, -1] += begun
        return parts


@dataclass(frozen=True, slots=True, eq=False)
class Bundle:
    """A trained forecast with what is needed to trust it.

    Parameters
    ----------
    heads
        `unattended` and `expected`.
    features
        Feature names in the order the boosters were trained on.
    fingerprint
        Of the feature definitions.
    rungs
        Baselines fitted on the training years, as plain numbers.
    provenance
        Source, period, seed, versions.
    version
        First 12 digits of the manifest's hash; names the bundle in answers.
    """

    heads: Mapping[str, Head]
    features: tuple[str, ...]
    fingerprint: str
    rungs: Mapping[str, Any]
    provenance: Mapping[str, Any]
    version: str = ""

    def trained_to(self, *part: str) -> datetime:
        """Return the moment that training saw nothing after.

        Parameters
        ----------
        part
            Key of a part of the provenance that has a moment of its own.

        Raises
        ------
        BundleRefused
            When the provenance does not tell it.
        """
        where = (*part, "to")
        value: Any = self.provenance
        for key in where:
            value = value.get(key) if isinstance(value, Mapping) else None
        try:
            at = datetime.fromisoformat(value) if isinstance(value, str) else None
        except ValueError:
            at = None
        if at is None or at.tzinfo is None:
            name = "/".join(where)
            raise BundleRefused(f"bundle {self.version}: provenance/{name} is {value!r}, no time")
        return at

    def knows(self, markets: Iterable[str]) -> Mask:
        """Return of which markets, each as `venue/market`, the owner part has seen owners."""
        trained = frozenset(self.provenance.get("markets", ()))
        return np.array([market in trained for market in markets], dtype=np.bool_)

    def scores(self, features: Floats, baseline: Floats) -> dict[str, Floats]:
        """Return what `Head.scores` does for every head, each head scored once.

        Parameters
        ----------
        features, baseline
            As of `Head.scores`.
        """
        by_head: dict[str, Floats] = {}
        for name, head in sorted(self.heads.items(), key=lambda pair: _is_stacked(pair[1])):
            if isinstance(head.start, StackedStart):
                start = head.start.over(by_head[_stacked(self, head.start)], features)
            else:
                start = head.start.scores(features, baseline)
            by_head[name] = head.begun(start, features)
        return {name: by_head[name] for name in self.heads}

    def probabilities(
        self, scores: Mapping[str, Floats], *, observed: Mask | None = None
    ) -> dict[str, Floats]:
        """Return the probability of the event by each horizon, by head, each of shape (N, K).

        Owners can only keep away what comes if nobody acts: what a head that starts from
        another one says is at most what that one says. Where the owners were never seen, it
        says the same.

        Parameters
        ----------
        scores
            Of `scores`.
        observed
            Rows of markets whose owners were seen (`knows`), shape (N,); all without it.
        """
        by_head = {name: head.probabilities(scores[name]) for name, head in self.heads.items()}
        for name, head in self.heads.items():
            if isinstance(head.start, StackedStart):
                below = by_head[_stacked(self, head.start)]
                stacked = np.minimum(by_head[name], below)
                by_head[name] = _pooled(stacked, below, trust=head.start.trust, observed=observed)
        return by_head

    def intervals(
        self, scores: Mapping[str, Floats], *, observed: Mask | None = None
    ) -> dict[str, tuple[Floats, Floats]]:
        """Return what later outcomes allow by head: intervals that hold `probabilities`."""
        points = self.probabilities(scores, observed=observed)
        by_head = {name: head.interval(scores[name]) for name, head in self.heads.items()}
        for name, head in self.heads.items():
            if isinstance(head.start, StackedStart):
                below, trust = by_head[_stacked(self, head.start)], head.start.trust
                low, high = (
                    _pooled(end, other, trust=trust, observed=observed)
                    for end, other in zip(by_head[name], below, strict=True)
                )
                by_head[name] = low, np.maximum(high, points[name])
        return {
            name: (np.minimum(low, points[name]), high) for name, (low, high) in by_head.items()
        }


def _pooled(stacked: Floats, below: Floats, *, trust: float, observed: Mask | None) -> Floats:
    """Return what a stacked head counts for beside the one below, shape (N, K)."""
    pooled = np.minimum(trust * stacked + (1.0 - trust) * below, below) if trust < 1.0 else stacked
    return pooled if observed is None else np.where(observed[:, np.newaxis], pooled, below)


def _is_stacked(head: Head) -> bool:
    """Return whether a head starts from another one."""
    return isinstance(head.start, StackedStart)


def _stacked(bundle: Bundle, start: StackedStart) -> str:
    """Return the name of the head that another one starts from."""
    return next(name for name, head in bundle.heads.items() if head is start.head)


def save(bundle: Bundle, directory: Path) -> None:
    """Write a bundle; the same bundle gives the same bytes."""
    directory.mkdir(parents=True, exist_ok=True)
    files: dict[str, str] = {}
    for name, head in bundle.heads.items():
        for label, booster in zip(LABELS, head.boosters, strict=True):
            text = booster.model_to_string()
            (directory / _file(name, label)).write_text(text)
            files[_file(name, label)] = hashlib.sha256(text.encode()).hexdigest()
    manifest = {
        "format": FORMAT,
        "horizons_hours": list(HORIZONS),
        "features": list(bundle.features),
        "fingerprint": bundle.fingerprint,
        "heads": {name: _written(name, bundle) for name in bundle.heads},
        "rungs": bundle.rungs,
        "provenance": bundle.provenance,
        "sha256": files,
    }
    (directory / MANIFEST).write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n")


def _file(head: str, label: str) -> str:
    """Return the name of a booster's file."""
    return f"{head}_{label}.txt"


def _written(name: str, bundle: Bundle) -> dict[str, Any]:
    """Return a head as plain numbers, its boosters by file."""
    head = bundle.heads[name]
    return {
        "start": _written_start(head.start, bundle),
        "stretches": [
            {
                "booster": _file(name, label),
                "line": list(line),
                "shift": calibrator.shift,
                "slope": calibrator.slope,
                "evidence": [band.places.tolist(), band.low.tolist(), band.high.tolist()],
            }
            for label, line, calibrator, band in zip(
                LABELS, head.start.lines, head.calibrators, head.evidence, strict=True
            )
        ],
    }


def _written_start(start: FirstPassageStart | StackedStart, bundle: Bundle) -> dict[str, Any]:
    """Return a start as plain numbers; what another head does is told by its name."""
    if isinstance(start, FirstPassageStart):
        return {"scale": scales.written(start.scale, bundle.features)}
    return {
        "upon": _stacked(bundle, start),
        "trust": start.trust,
        "conduct": conducts.written(start.conduct, bundle.features),
    }


def load(directory: Path, *, fingerprint: Callable[[Sequence[str]], str]) -> Bundle:
    """Read and verify a bundle.

    Parameters
    ----------
    fingerprint
        Of the features of these names, as this code computes them; raises `UnknownFeature`
        for names that it does not know.

    Raises
    ------
    BundleRefused
        Naming every fault: a file that is missing, damaged or altered, a manifest that does
        not hold what it must, features that this code defines otherwise.
    """
    try:
        text = (directory / MANIFEST).read_bytes()
    except OSError as error:
        raise BundleRefused(f"{directory}: no readable {MANIFEST}: {error}") from None
    manifest = manifests.parse(text)
    if not isinstance(manifest, Manifest):
        raise _refusal(directory, manifest)
    boosters: dict[str, lightgbm.Booster] = {}
    faults = list(_feature_faults(manifest, fingerprint))
    faults += _read_boosters(directory, manifest, boosters)
    if faults:
        raise _refusal(directory, faults)
    heads: dict[str, Head] = {}
    # What starts from first passage comes before what starts from another head.
    for name in sorted(manifest.heads, key=lambda name: _is_told_upon(manifest.heads[name])):
        heads[name] = flattened(_head(manifest, manifest.heads[name], heads, boosters))
    return Bundle(
        heads=heads,
        features=tuple(manifest.features),
        fingerprint=manifest.fingerprint,
        rungs=manifest.rungs,
        provenance=manifest.provenance.model_dump(exclude_unset=True),
        version=hashlib.sha256(text).hexdigest()[:12],
    )


def _refusal(directory: Path, faults: Sequence[Fault]) -> BundleRefused:
    """Return the refusal that names the first MOST_FAULTS faults and counts the others."""
    messages = [str(fault) for fault in faults[:MOST_FAULTS]]
    if len(faults) > MOST_FAULTS:
        messages.append(f"and {len(faults) - MOST_FAULTS} more")
    return BundleRefused(f"{directory}: {'; '.join(messages)}")


def _feature_faults(
    manifest: Manifest, fingerprint: Callable[[Sequence[str]], str]
) -> Iterator[Fault]:
    """Yield how the features differ from those that this code computes."""
    try:
        computed = fingerprint(manifest.features)
    except UnknownFeature as error:
        yield Fault("/features", str(error))
        return
    if computed != manifest.fingerprint:
        recorded = manifest.fingerprint[:12]
        yield Fault(
            "/fingerprint",
            f"trained on other features ({recorded}), this code computes {computed[:12]}",
        )


def _read_boosters(
    directory: Path, manifest: Manifest, boosters: dict[str, lightgbm.Booster]
) -> Iterator[Fault]:
    """Read every booster by file, yielding what is wrong with those that cannot be used."""
    for file in {s.booster: None for head in manifest.heads.values() for s in head.stretches}:
        try:
            text = (directory / file).read_bytes()
        except (OSError, ValueError) as error:
            yield Fault(file, f"cannot be read: {error}")
            continue
        digest = hashlib.sha256(text).hexdigest()
        if digest != manifest.sha256[file]:
            yield Fault(file, f"has hash {digest[:12]}, recorded {manifest.sha256[file][:12]}")
            continue
        try:
            boosters[file] = lightgbm.Booster(model_str=text.decode())
        except (lightgbm.basic.LightGBMError, ValueError) as error:
            yield Fault(file, f"is no booster: {error}")
            continue
        if boosters[file].feature_name() != manifest.features:
            yield Fault(file, "was trained on other features than the manifest names")


def _is_told_upon(head: manifests.HeadEntry) -> bool:
    """Return whether a head starts from another one."""
    return isinstance(head.start, manifests.StackedEntry)


def _head(
    manifest: Manifest,
    entry: manifests.HeadEntry,
    heads: Mapping[str, Head],
    boosters: Mapping[str, lightgbm.Booster],
) -> Head:
    """Return one head; `heads` holds those that it may start from."""
    lines = tuple(part.line for part in entry.stretches)
    start: FirstPassageStart | StackedStart
    if isinstance(entry.start, manifests.StackedEntry):
        conduct = conducts.read(entry.start.conduct.model_dump(), manifest.features)
        start = StackedStart(heads[entry.start.upon], lines, conduct, entry.start.trust)
    else:
        start = FirstPassageStart(
            scales.read(entry.start.scale.model_dump(), manifest.features), lines
        )
    return Head(
        start=start,
        boosters=tuple(boosters[part.booster] for part in entry.stretches),
        calibrators=tuple(Calibrator(part.shift, part.slope) for part in entry.stretches),
        evidence=tuple(
            VennAbersBand(*(np.array(values, dtype=np.float64) for values in part.evidence))
            for part in entry.stretches
        ),
    )


def flattened(head: Head) -> Head:
    """Return the head with its boosters flattened, checked against them on probe rows."""
    texts = [booster.model_to_string() for booster in head.boosters]
    return replace(head, forest=verified(texts, partial(tree_scores, head.boosters)))
