"""Contributions to a score: along the paths taken, and by exact TreeSHAP."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from probes import rows

import models
from features.pipeline import NAMES, fingerprint
from models.forecast.bundle import Bundle, FirstPassageStart, load
from models.forecast.forest import Unwalkable
from serving.evaluation.attribution import drivers, explain, method_of
from serving.schemas.assessment import Method

ROWS = 40


@pytest.fixture(scope="module")
def champion() -> Bundle:
    """Return the bundle that ships."""
    directory = Path(models.__file__).parent / "champion"
    return load(directory, fingerprint=fingerprint)


def test_paths_and_start_make_up_the_score(champion: Bundle) -> None:
    """Start, mean of the trees and what features added are the log-odds of each hazard."""
    head = champion.heads["unattended"]
    assert head.forest is not None
    assert isinstance(head.start, FirstPassageStart)
    features, baseline = rows(np.random.default_rng(1), ROWS)
    told = head.start.scores(features, baseline) + head.forest.bases
    for k in range(4):
        only = np.zeros((ROWS, 4))
        only[:, k] = 1.0
        told[:, k] += head.paths(features, only).sum(axis=1)
    np.testing.assert_allclose(told, head.scores(features, baseline), rtol=0, atol=1e-9)


@pytest.mark.parametrize("method", ["path", "shap"])
def test_drivers_sum_to_one_score(champion: Bundle, method: Method) -> None:
    """By either method the parts make up the same weighted log-odds, every time."""
    features, baseline = rows(np.random.default_rng(2), ROWS)
    scores = champion.scores(features, baseline)["expected"]
    told, again = (
        drivers(champion, features, baseline, scores=scores, method=method) for _ in range(2)
    )
    path = drivers(champion, features, baseline, scores=scores, method="path")
    np.testing.assert_allclose(told.sum(axis=1), path.sum(axis=1), rtol=0, atol=1e-9)
    assert told.tobytes() == again.tobytes()


def test_shap_agrees_with_the_boosters(champion: Bundle) -> None:
    """Where the first hazard is all there is, contributions are LightGBM's own."""
    head = champion.heads["unattended"]
    features, baseline = rows(np.random.default_rng(3), ROWS)
    wanted = np.asarray(head.boosters[0].predict(features, pred_contrib=True, num_threads=1))
    told = head.contributions(features, baseline)[:, 0]
    np.testing.assert_allclose(told[:, :-1], wanted[:, :-1], rtol=0, atol=1e-12)


def test_the_largest_contributions_are_named() -> None:
    """Six at most, largest first, zeros left out; the rest is told as one number."""
    names = NAMES[:8]
    drove = np.array([[0.1, -0.5, 0.0, 0.3, 0.2, -0.2, 0.4, 0.05, -2.0], [0.0] * 8 + [1.0]])
    matrix = np.array([[1.0] * 7 + [np.nan], [np.nan] * 8])
    (reasons, found), (none, empty) = explain(drove, matrix, names, method="path")
    assert [reason.impact for reason in reasons] == [-0.5, 0.4, 0.3, 0.2, -0.2, 0.1]
    assert [reason.direction for reason in reasons[:2]] == ["lowers", "raises"]
    assert found.method == "path"
    assert found.start == -2.0
    assert found.others == pytest.approx(0.05, abs=1e-12)
    assert none == ()
    assert empty.others == 0.0


def test_without_paths_contributions_are_exact(champion: Bundle) -> None:
    """Boosters that are not flattened have no paths: the exact method is used and named."""
    heads = {name: replace(head, forest=None) for name, head in champion.heads.items()}
    assert method_of(replace(champion, heads=heads), "path") == "shap"
    assert method_of(champion, "path") == "path"
    with pytest.raises(Unwalkable):
        heads["unattended"].paths(np.zeros((1, len(NAMES))), np.ones((1, 4)))
