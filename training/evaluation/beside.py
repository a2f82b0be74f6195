"""Two bundles on the same rows: what one changes, paired, each half-year apart."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from features.inputs import Floats
from models.horizons import HORIZONS, LABELS
from training.dataset import labels
from training.evaluation import metrics
from training.evaluation.comparison import Pooled, judged_rows
from training.evaluation.metrics import Mask, ScoredOutcomes

WHOLE = "whole period"


def beside(
    rows: Pooled,
    ours: Mapping[str, Floats],
    theirs: Mapping[str, Floats],
    *,
    heads: Mapping[str, str],
    seed: int,
) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Return what the judged bundle changes against another one.

    Parameters
    ----------
    ours, theirs
        Probabilities of the judged bundle and of the other one, by head, shape (N, K).
    heads
        Key of the result by head.
    seed
        Of the resampling: both bundles are seen under the same draws.

    Returns
    -------
    dict
        By key and horizon one entry for the whole period and one per half-year, of the rows whose
        window is known to its end and that both can forecast: `name`, `rows`, `positives`,
        `accounts`, and, each with intervals by account and by blocks of days,
        `log_loss_change` (relative, below 0 where ours is better), `brier_skill_gain` and
        `average_precision_gain` (above 0 where ours is better). Empty where there is no such row.
    """
    return {
        key: {
            name: list(_parts(rows, ours[head][:, k], theirs[head][:, k], head, k, seed))
            for k, name in enumerate(LABELS)
        }
        for key, head in heads.items()
    }


def _parts(
    rows: Pooled, ours: Floats, theirs: Floats, head: str, k: int, seed: int
) -> Iterator[dict[str, Any]]:
    """Yield the whole period and its half-years, as far as they hold rows."""
    outcome = labels.by_horizon(rows.happened[head], rows.censoring[head], HORIZONS[k])
    usable = np.isfinite(outcome) & np.isfinite(ours) & np.isfinite(theirs)
    if not usable.any():
        return
    whole = judged_rows(rows, outcome[usable], usable, hours=HORIZONS[k], seed=seed)
    half_years = rows.traits["half_year"].to_numpy()[usable]
    accounts, pair = rows.account[usable], (ours[usable], theirs[usable])
    for name in (WHOLE, *sorted(set(half_years))):
        inside = np.ones(len(half_years), dtype=bool) if name == WHOLE else half_years == name
        judged = whole.select(inside)
        positive = judged.outcome > 0.0
        yield {
            "name": str(name),
            "rows": int(inside.sum()),
            "positives": int(positive.sum()),
            "accounts": len(np.unique(accounts[inside][positive])),
            **_paired(*pair, inside, judged),
        }


def _paired(
    ours: Floats, theirs: Floats, inside: Mask, judged: ScoredOutcomes
) -> dict[str, dict[str, float | None]]:
    """Return the paired differences on some rows; both figures of a draw are of the same rows."""
    mine, other = (
        metrics.calibration(values[inside], judged) | metrics.rank(values[inside], judged)
        for values in (ours, theirs)
    )
    return metrics.summary(
        {
            "log_loss_change": mine["log_loss"].relative_to(other["log_loss"]),
            "brier_skill_gain": mine["brier_skill"] - other["brier_skill"],
            "average_precision_gain": mine["average_precision"] - other["average_precision"],
        }
    )
