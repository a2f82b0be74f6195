"""Why a score is what it is: contributions of features, in words."""

from collections.abc import Mapping, Sequence

import numpy as np

from features.inputs import Floats
from features.pipeline import FEATURES
from models.bundle import Bundle
from models.hazard import LABELS
from serving.answers import AttributionAnswer, ReasonAnswer

MOST_REASONS = 6
DAY = LABELS.index("24h")
MEANINGS: Mapping[str, tuple[str, str]] = {f.name: (f.meaning, f.unit) for f in FEATURES}


def drivers(bundle: Bundle, matrix: Floats, baseline: Floats, scores: Floats) -> Floats:
    """Return log-odds per feature for the 24 h expected probability, shape (N, F + 1).

    Each stretch up to 24 h enters by its share of the cumulative hazard.
    """
    head = bundle.heads["expected"]
    parts = head.contributions(matrix, baseline)[:, : DAY + 1]
    hazards = [head.calibrators[k].probability(scores[:, k]) for k in range(DAY + 1)]
    weights = np.maximum(-np.log1p(-np.minimum(np.stack(hazards, axis=1), 1 - 1e-15)), 1e-300)
    weights /= weights.sum(axis=1, keepdims=True)
    return np.asarray(np.einsum("nk,nkf->nf", weights, parts))


def explain(
    parts: Floats, values: Floats, names: Sequence[str]
) -> tuple[tuple[ReasonAnswer, ...], AttributionAnswer]:
    """Return the largest contributions in words, and how they were found."""
    order = np.argsort(-np.abs(parts[:-1]), kind="stable")[:MOST_REASONS]
    kept = [int(i) for i in order if parts[i] != 0.0]
    reasons = tuple(_reason(names[i], float(values[i]), float(parts[i])) for i in kept)
    others = float(parts[:-1].sum() - sum(parts[i] for i in kept))
    return reasons, AttributionAnswer(
        method="exact TreeSHAP in log-odds, stretches weighted by their share of the hazard",
        head="expected",
        horizon="24h",
        start=float(parts[-1]),
        others=others,
    )


def _reason(name: str, value: float, impact: float) -> ReasonAnswer:
    """Return one contribution in words."""
    meaning, unit = MEANINGS[name]
    effect = "raises" if impact > 0.0 else "lowers"
    shown = "unknown" if np.isnan(value) else f"{value:.3g} {unit}"
    return ReasonAnswer(
        code=name,
        feature=name,
        direction="raises" if impact > 0.0 else "lowers",
        impact=impact,
        text=f"{meaning.rstrip('.')}: {shown}; {effect} the risk",
    )
