"""A bundle: a directory of text that holds everything a forecast needs; never pickle."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import numpy.typing as npt

from models.calibration import Calibrator
from models.errors import BundleRefused
from models.forest import Forest, verified
from models.hazard import HORIZONS, LABELS, Line, cumulative, start, starts, trees

Floats = npt.NDArray[np.float64]

FORMAT = 1
MANIFEST = "bundle.json"
INTERVAL = (0.05, 0.95)


@dataclass(frozen=True, slots=True)
class Head:
    """One forecast: a starting line, a booster and a calibrator per horizon.

    Parameters
    ----------
    lines, boosters, calibrators
        In the order of `models.hazard.HORIZONS`.
    forest
        The boosters flattened, where that gives their very bits; None leaves the work to them.
    """

    lines: tuple[Line, ...]
    boosters: tuple[lightgbm.Booster, ...]
    calibrators: tuple[Calibrator, ...]
    forest: Forest | None = None

    def scores(self, features: Floats, baseline: Floats, *, threads: int = 1) -> Floats:
        """Return uncalibrated log-odds per hazard; NaN where the baseline is missing.

        Parameters
        ----------
        features
            Shape (N, F), in the bundle's order.
        baseline
            First-passage log-odds, shape (N, K).

        Returns
        -------
        numpy.ndarray
            Shape (N, K).
        """
        return starts(baseline, self.lines) + self._trees(features, threads=threads)

    def _trees(self, features: Floats, *, threads: int) -> Floats:
        """Return what the trees of each hazard add, by the fastest way that gives their bits."""
        if self.forest is not None:
            return self.forest.raw(features)
        return trees(self.boosters, features, threads=threads)

    def probabilities(self, scores: Floats) -> Floats:
        """Return the probability of the event by each horizon, shape (N, K)."""
        hazards = [c.probability(scores[:, k]) for k, c in enumerate(self.calibrators)]
        return cumulative(np.stack(hazards, axis=1))

    def interval(self, scores: Floats) -> tuple[Floats, Floats]:
        """Return the 5 % and 95 % points over resampled accounts, each of shape (N, K)."""
        drawn = [c.spread(scores[:, k]) for k, c in enumerate(self.calibrators)]
        low, high = np.quantile(cumulative(np.stack(drawn, axis=-1)), INTERVAL, axis=0)
        point = self.probabilities(scores)
        return np.minimum(low, point), np.maximum(high, point)

    def contributions(self, features: Floats, baseline: Floats) -> Floats:
        """Return exact TreeSHAP log-odds per feature and horizon.

        Returns
        -------
        numpy.ndarray
            Shape (N, K, F + 1); the last column holds the start and the trees' mean. The sum
            over the last axis is the score.
        """
        parts = []
        for k, booster in enumerate(self.boosters):
            shap = np.array(booster.predict(features, pred_contrib=True, num_threads=1))
            shap[:, -1] += start(baseline[:, k], self.lines[k])
            parts.append(shap)
        return np.stack(parts, axis=1)

    def paths(self, features: Floats, baseline: Floats) -> Floats:
        """Return log-odds per feature and horizon along the paths taken: fast, not TreeSHAP.

        Returns
        -------
        numpy.ndarray
            Shape (N, K, F + 1) as of `contributions`, which answers where the boosters are
            not flattened.
        """
        if self.forest is None:
            return self.contributions(features, baseline)
        parts = self.forest.paths(features)
        parts[:, :, -1] += starts(baseline, self.lines)
        return parts


@dataclass(frozen=True, slots=True)
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


def save(bundle: Bundle, directory: Path) -> None:
    """Write a bundle; the same bundle gives the same bytes."""
    directory.mkdir(parents=True, exist_ok=True)
    files: dict[str, str] = {}
    heads: dict[str, list[dict[str, Any]]] = {}
    for name, head in bundle.heads.items():
        heads[name] = []
        for label, line, booster, calibrator in zip(
            LABELS, head.lines, head.boosters, head.calibrators, strict=True
        ):
            file = f"{name}_{label}.txt"
            text = booster.model_to_string()
            (directory / file).write_text(text)
            files[file] = hashlib.sha256(text.encode()).hexdigest()
            heads[name].append(
                {
                    "booster": file,
                    "line": list(line),
                    "shift": calibrator.shift,
                    "slope": calibrator.slope,
                    "draws": calibrator.draws.tolist(),
                }
            )
    manifest = {
        "format": FORMAT,
        "horizons_hours": list(HORIZONS),
        "features": list(bundle.features),
        "fingerprint": bundle.fingerprint,
        "heads": heads,
        "rungs": bundle.rungs,
        "provenance": bundle.provenance,
        "sha256": files,
    }
    (directory / MANIFEST).write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n")


def load(directory: Path, *, fingerprint: str, features: Sequence[str]) -> Bundle:
    """Read and verify a bundle.

    Parameters
    ----------
    fingerprint, features
        Of the features that this code computes.

    Raises
    ------
    BundleRefused
        When a file is missing, damaged or altered, or the features differ.
    """
    manifest, text = _manifest(directory)
    if manifest["format"] != FORMAT or manifest["horizons_hours"] != list(HORIZONS):
        raise BundleRefused(f"{directory}: format or horizons are not this version's")
    if manifest["fingerprint"] != fingerprint or manifest["features"] != list(features):
        raise BundleRefused(
            f"{directory}: trained on other features ({manifest['fingerprint'][:12]}), "
            f"this code computes {fingerprint[:12]}"
        )
    heads = {
        name: _flattened(
            Head(
                lines=tuple((part["line"][0], part["line"][1]) for part in parts),
                boosters=tuple(_booster(directory, part["booster"], manifest) for part in parts),
                calibrators=tuple(
                    Calibrator(part["shift"], part["slope"], np.array(part["draws"]))
                    for part in parts
                ),
            )
        )
        for name, parts in manifest["heads"].items()
    }
    return Bundle(
        heads=heads,
        features=tuple(manifest["features"]),
        fingerprint=manifest["fingerprint"],
        rungs=manifest["rungs"],
        provenance=manifest["provenance"],
        version=hashlib.sha256(text.encode()).hexdigest()[:12],
    )


def _flattened(head: Head) -> Head:
    """Return the head with its boosters flattened, checked against them on probe rows."""
    texts = [booster.model_to_string() for booster in head.boosters]
    return replace(head, forest=verified(texts, partial(trees, head.boosters)))


def _manifest(directory: Path) -> tuple[dict[str, Any], str]:
    """Return the manifest and its text."""
    try:
        text = (directory / MANIFEST).read_text()
        manifest = json.loads(text)
    except (OSError, ValueError) as error:
        raise BundleRefused(f"{directory}: no readable {MANIFEST}: {error}") from None
    wanted = {"format", "horizons_hours", "features", "fingerprint", "heads", "rungs", "sha256"}
    missing = wanted - set(manifest) if isinstance(manifest, dict) else wanted
    if missing:
        raise BundleRefused(f"{directory}: {MANIFEST} lacks {', '.join(sorted(missing))}")
    return manifest, text


def _booster(directory: Path, file: str, manifest: Mapping[str, Any]) -> lightgbm.Booster:
    """Return a booster whose text has the recorded hash."""
    try:
        text = (directory / file).read_text()
    except OSError as error:
        raise BundleRefused(f"{directory}: {file} cannot be read: {error}") from None
    found, recorded = hashlib.sha256(text.encode()).hexdigest(), manifest["sha256"].get(file)
    if found != recorded:
        raise BundleRefused(f"{directory}: {file} has hash {found[:12]}, recorded {recorded}")
    return lightgbm.Booster(model_str=text)
