"""Probe a bundle with random rows: nested in the horizon, falling in every distance.

python tests/bench/probes.py [BUNDLE] [PROBES]; prints the number of violations, wanted 0.
"""

import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

from features.pipeline import FEATURES, NAMES, fingerprint
from models.forecast import bundle
from models.forecast.bundle import Head

Floats = npt.NDArray[np.float64]

CHAMPION = Path(__file__).parents[2] / "models" / "champion"
STEP = 50_000
PROBES = 1_000_000
MISSING = 0.1
DIRECTIONS = np.array([feature.direction for feature in FEATURES], dtype=np.float64)


def rows(generator: np.random.Generator, count: int) -> tuple[Floats, Floats]:
    """Return features of any size, some missing, and what forecasts start from."""
    spread = 10.0 ** generator.uniform(-2, 1.5, (count, 1))
    features = spread * generator.standard_normal((count, len(NAMES)))
    features[generator.random(features.shape) < MISSING] = np.nan
    distance = generator.uniform(-0.02, 1.0, count)
    sigma = 10.0 ** generator.uniform(-4.0, -1.0, count)
    delay = generator.choice([0.0, 1.0], count)
    odds = np.sort(generator.normal(-3.0, 4.0, (count, 4)), axis=1)
    return features, np.column_stack([odds, distance, sigma, delay])


def further(
    generator: np.random.Generator, features: Floats, baseline: Floats
) -> tuple[Floats, Floats]:
    """Return the same rows further from their triggers, by every measure of it."""
    size = 10.0 ** generator.uniform(-6, 1, (len(features), 1))
    moved = features - DIRECTIONS * size * generator.random(features.shape)
    away = baseline.copy()
    away[:, 4] += size[:, 0] * generator.random(len(features))
    return moved, away


def violations(head: Head, generator: np.random.Generator, count: int) -> tuple[int, int, int]:
    """Return rows not nested, not falling in the distance, not held by their interval."""
    features, baseline = rows(generator, count)
    near_scores = head.scores(features, baseline)
    near = head.probabilities(near_scores)
    far = head.probabilities(head.scores(*further(generator, features, baseline)))
    low, high = head.interval(near_scores)
    nested = (np.diff(near, axis=1) < 0.0).any(axis=1)
    falling = (far > near).any(axis=1)
    held = ((low > near) | (high < near)).any(axis=1)
    return int(nested.sum()), int(falling.sum()), int(held.sum())


def main() -> None:
    """Print the violations of every head."""
    directory = Path(sys.argv[1]) if len(sys.argv) > 1 else CHAMPION
    probes = int(sys.argv[2]) if len(sys.argv) > 2 else PROBES
    loaded = bundle.load(directory, fingerprint=fingerprint)
    for name, head in loaded.heads.items():
        generator = np.random.default_rng(0)
        parts = [violations(head, generator, STEP) for _ in range(-(-probes // STEP))]
        nested, falling, held = np.sum(parts, axis=0)
        print(
            f"{name}: {len(parts) * STEP:,} probes, {nested} not nested, {falling} rising with "
            f"the distance, {held} outside their interval"
        )


if __name__ == "__main__":
    main()
