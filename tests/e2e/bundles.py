"""A bundle of trees that know next to nothing, for tests of where bundles go."""

from collections.abc import Sequence
from pathlib import Path

import lightgbm
import numpy as np

from features.pipeline import NAMES, fingerprint
from models.forecast import bundle
from models.forecast.bundle import Bundle, FirstPassageStart, Head, StackedStart
from models.forecast.calibration import Calibrator, VennAbersBand
from models.forecast.owner_behaviour import OwnerBehaviour
from models.forecast.volatility import VolatilityForecast
from models.horizons import HORIZONS

COUNT = len(HORIZONS)


def write(directory: Path, *, seed: int, names: Sequence[str] = NAMES) -> Path:
    """Write a bundle of some features that is another one for every seed."""
    generator = np.random.default_rng(seed)
    rows = generator.normal(size=(400, len(names)))
    data = lightgbm.Dataset(rows, rows[:, 0] > 0.0, feature_name=list(names))
    params = {"objective": "binary", "verbosity": -1, "num_threads": 1, "seed": seed}
    boosters = (lightgbm.train(params, data, num_boost_round=2),) * COUNT
    scale = VolatilityForecast(
        np.array([0]), np.zeros(1), np.zeros(1), np.zeros((COUNT, 2)), np.zeros(COUNT)
    )
    lines = ((0.0, 1.0),) * COUNT
    sure = (VennAbersBand(np.empty(0), np.zeros(1), np.ones(1)),) * COUNT
    calibrators = (Calibrator(0.0, 1.0),) * COUNT
    conduct = OwnerBehaviour(
        np.array([0]), np.zeros(1), np.zeros(1), np.ones(1), np.zeros((COUNT, 1))
    )
    market = Head(FirstPassageStart(scale, lines), boosters, calibrators, sure)
    owner = Head(StackedStart(market, lines, conduct), boosters, calibrators, sure)
    model_bundle = Bundle(
        heads={"unattended": market, "expected": owner},
        features=tuple(names),
        fingerprint=fingerprint(names),
        rungs={},
        provenance={"source": "a test", "seed": seed},
    )
    bundle.save(model_bundle, directory)
    return directory
