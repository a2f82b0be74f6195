"""Ranking within a stretch of time, counted by hand."""

import numpy as np

from training.evaluation.conduct import ranked_within


def test_pairs_of_one_stratum_alone_are_ranked() -> None:
    """Of four pairs in the first stratum two are right and one is a tie; the second has none."""
    outcome = np.array([1, 1, 0, 0, 0, 0])
    strata = np.array([0, 0, 0, 0, 1, 1])
    score = np.array([3.0, 1.0, 2.0, 1.0, 9.0, 8.0])
    assert ranked_within({"auc": score}, outcome, strata) == {"pairs": 4, "auc": 2.5 / 4}


def test_without_a_pair_there_is_no_share() -> None:
    """Where nobody of a stratum was liquidated, or all were, nothing can be ranked."""
    outcome, strata = np.array([1, 1, 0]), np.array([0, 0, 1])
    none = ranked_within({"auc": np.array([1.0, 2.0, 3.0])}, outcome, strata)
    assert none == {"pairs": 0, "auc": None}
