"""Why a score is what it is: contributions of features, in words."""

from collections.abc import Mapping, Sequence

import numpy as np

from features.inputs import Floats
from models.forecast.bundle import Bundle, Head, Mask
from models.horizons import LABELS, REFERENCE
from serving.evaluation.reason_text import SIZES, feature_reason
from serving.schemas.assessment import AttributionAnswer, Method, ReasonAnswer

MOST_REASONS = 6
DAY = LABELS.index(REFERENCE)

Explanation = tuple[tuple[ReasonAnswer, ...], AttributionAnswer]


def explanations(
    bundle: Bundle,
    matrix: Floats,
    baseline: Floats,
    *,
    scores: Mapping[str, Floats],
    observed: Mask,
    method: Method,
) -> list[Explanation]:
    """Return why the 24 h expected probability of each row is what it is.

    Of a market whose owners were never seen that is what comes if nobody acts.

    Parameters
    ----------
    scores
        Of `Bundle.scores`.
    observed
        Of `Bundle.knows`, shape (N,).
    """
    explained: dict[int, Explanation] = {}
    for head, rows in (("expected", observed), ("unattended", ~observed)):
        if not rows.any():
            continue
        chosen = matrix[rows]
        drove = drivers(
            bundle, chosen, baseline[rows], scores=scores[head][rows], method=method, head=head
        )
        parts = explain(drove, chosen, bundle.features, method=method, head=head)
        explained.update(zip(np.flatnonzero(rows).tolist(), parts, strict=True))
    return [explained[row] for row in range(len(matrix))]


def drivers(
    bundle: Bundle,
    matrix: Floats,
    baseline: Floats,
    *,
    scores: Floats,
    method: Method,
    head: str = "expected",
) -> Floats:
    """Return log-odds per feature for a head's 24 h probability, shape (N, F + 1).

    Each stretch up to 24 h enters by its share of the cumulative hazard.

    Parameters
    ----------
    scores
        Of the head, shape (N, K).
    method
        `path` along the trees' paths, `shap` by exact TreeSHAP; either sums to the score, and
        what no feature explains stands in the last column.
    """
    explained = bundle.heads[head]
    weights = _shares(explained, scores)
    if method == "shap":
        parts = explained.contributions(matrix, baseline)
        return np.asarray(np.einsum("nk,nkf->nf", weights, parts))
    paths = explained.paths(matrix, weights)
    rest = (weights * scores).sum(axis=1) - paths.sum(axis=1)
    return np.column_stack([paths, rest])


def method_of(bundle: Bundle, method: Method) -> Method:
    """Return how contributions can be told: exactly where there are no paths to follow."""
    has_paths = all(head.forest is not None for head in bundle.heads.values())
    return method if has_paths else "shap"


def _shares(head: Head, scores: Floats) -> Floats:
    """Return each hazard's share of the cumulative one at 24 h, 0 for later ones."""
    hazards = [head.calibrators[k].probability(scores[:, k]) for k in range(DAY + 1)]
    shares = np.maximum(-np.log1p(-np.minimum(np.stack(hazards, axis=1), 1 - 1e-15)), 1e-300)
    weights = np.zeros_like(scores)
    weights[:, : DAY + 1] = shares / shares.sum(axis=1, keepdims=True)
    return weights


def explain(
    drove: Floats,
    matrix: Floats,
    names: Sequence[str],
    *,
    method: Method,
    head: str = "expected",
) -> list[Explanation]:
    """Return each row's largest contributions in words, sizes last, and how they were found.

    Parameters
    ----------
    drove, matrix
        What `drivers` found, shape (N, F + 1), and the features, shape (N, F).
    """
    order = np.argsort(-np.abs(drove[:, :-1]), axis=1, kind="stable")[:, :MOST_REASONS]
    is_size = np.isin(order, [place for place, name in enumerate(names) if name in SIZES])
    order = np.take_along_axis(order, np.argsort(is_size, axis=1, kind="stable"), axis=1)
    impacts = np.take_along_axis(drove, order, axis=1)
    values = np.take_along_axis(matrix, order, axis=1).tolist()
    others = (drove[:, :-1].sum(axis=1) - impacts.sum(axis=1)).tolist()
    rows = zip(order.tolist(), values, impacts.tolist(), strict=True)
    reasons = [
        tuple([feature_reason(names[i], v, by) for i, v, by in zip(*row, strict=True) if by != 0.0])
        for row in rows
    ]
    return [
        (
            row_reasons,
            AttributionAnswer(method=method, head=head, horizon=REFERENCE, start=s, others=o),
        )
        for row_reasons, s, o in zip(reasons, drove[:, -1].tolist(), others, strict=True)
    ]
