"""The flattened boosters against `Booster.predict`, bit by bit."""

from typing import Any

import lightgbm
import numpy as np
import pytest

from models.forecast import forest
from models.forecast.forest import Floats

WIDTH = 6
STUMP = """tree
version=v4
num_class=1
num_tree_per_iteration=1
label_index=0
max_feature_idx=1
objective=binary sigmoid:1
feature_names=a b
feature_infos=[0:1] [0:1]
tree_sizes=0 0

Tree=0
num_leaves=3
num_cat=0
split_feature=1 0
threshold=2.5 -1
decision_type=10 8
left_child=1 -2
right_child=-1 -3
leaf_value=0.5 -0.25 0.125
leaf_count=2 1 1
is_linear=0
shrinkage=1


Tree=1
num_leaves=1
num_cat=0
leaf_value=0.0625
is_linear=0
shrinkage=1


end of trees
"""


def matrix(rows: int, *, seed: int) -> Floats:
    """Return rows with missing values, zeros and numbers that LightGBM takes for zero."""
    generator = np.random.default_rng(seed)
    drawn = generator.normal(size=(rows, WIDTH))
    drawn[generator.random(drawn.shape) < 0.2] = np.nan
    drawn[generator.random(drawn.shape) < 0.1] = 0.0
    drawn[generator.random(drawn.shape) < 0.02] = -5e-36
    return drawn


def trained(**parameters: Any) -> lightgbm.Booster:
    """Return a booster with some parameters of its own."""
    rows = matrix(3000, seed=1)
    signal = np.nan_to_num(rows[:, 0]) - np.isnan(rows[:, 1]) + (rows[:, 2] == 0.0)
    labels = (signal + np.random.default_rng(2).normal(size=len(rows)) > 0).astype(float)
    data = lightgbm.Dataset(rows, labels, **parameters.pop("data", {}))
    told = {"objective": "binary", "verbosity": -1, "num_threads": 1, "seed": 3, **parameters}
    return lightgbm.train(told, data, num_boost_round=told.pop("rounds", 30))


def by_booster(*boosters: lightgbm.Booster) -> Any:
    """Return the raw scores of boosters as a function of the rows."""

    def scores(rows: Floats) -> Floats:
        told = [b.predict(rows, raw_score=True, num_threads=1) for b in boosters]
        return np.stack([np.asarray(one) for one in told], axis=1)

    return scores


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"use_missing": False},
        {"zero_as_missing": True},
        {"monotone_constraints": [1, -1, 0, 0, 0, 0], "monotone_constraints_method": "basic"},
        {"num_leaves": 63, "rounds": 60, "min_data_in_leaf": 5},
        {"num_leaves": 2, "rounds": 3},
        {"min_data_in_leaf": 2999, "rounds": 2},
        {"objective": "regression", "max_bin": 15},
    ],
    ids=str,
)
def test_every_bit_is_the_boosters(parameters: dict[str, Any]) -> None:
    """However missing values and zeros are read, the raw score has the booster's bits."""
    booster = trained(**parameters)
    walked = forest.flatten([booster.model_to_string()])
    for rows in (matrix(1003, seed=4), forest.probes(walked, seed=5)):
        assert walked.raw(rows).tobytes() == by_booster(booster)(rows).tobytes()


def test_many_boosters_are_walked_in_one_pass() -> None:
    """Boosters of unlike sizes over one matrix keep their own columns."""
    boosters = [trained(rounds=n, num_leaves=leaves) for n, leaves in ((2, 4), (90, 31), (7, 8))]
    walked = forest.verified([b.model_to_string() for b in boosters], by_booster(*boosters))
    assert walked is not None
    rows = matrix(130, seed=6)
    assert walked.raw(rows).tobytes() == by_booster(*boosters)(rows).tobytes()
    for size in (0, 1, 7, 64, 65):
        assert (
            walked.raw(rows[:size]).tobytes() == by_booster(*boosters)(rows).tobytes()[: size * 24]
        )


def test_a_booster_read_by_hand() -> None:
    """Equality goes left; a missing value takes each split's own way."""
    walked = forest.flatten([STUMP])
    rows = np.array([[-1.0, 2.5], [-0.5, 2.5], [0.0, 2.6], [np.nan, np.nan], [-2.0, np.nan]])
    expected = [-0.1875, 0.1875, 0.5625, 0.1875, -0.1875]
    assert walked.raw(rows)[:, 0].tolist() == expected


def test_what_features_added_along_the_path() -> None:
    """The change of the mean goes to the feature asked; the rest is the mean of the roots."""
    rows = np.array([[-1.0, 2.5], [0.0, 2.6]])
    walked = forest.flatten([STUMP])
    # Means: root (2·.5 - .25 + .125)/4 = .21875, its left child -.0625; second tree .0625.
    assert walked.paths(rows, np.ones((2, 1))).tolist() == [[-0.1875, -0.28125], [0.0, 0.28125]]
    assert walked.paths(rows, np.full((2, 1), 2.0)).tolist() == [[-0.375, -0.5625], [0.0, 0.5625]]
    assert walked.bases.tolist() == [0.28125]


def test_paths_sum_to_the_score_and_agree_with_treeshap_on_one_split() -> None:
    """All contributions add up; where trees ask one question, both attributions are one."""
    deep, flat = trained(), trained(num_leaves=2)
    walked = forest.flatten([deep.model_to_string(), flat.model_to_string()])
    rows = matrix(300, seed=7)
    weights = np.random.default_rng(8).random((300, 2))
    weighted = (weights * (walked.raw(rows) - walked.bases)).sum(axis=1)
    told = walked.paths(rows, weights).sum(axis=1)
    np.testing.assert_allclose(told, weighted, rtol=1e-12, atol=1e-12)
    exact = np.asarray(flat.predict(rows, pred_contrib=True, num_threads=1))
    only = walked.paths(rows, np.repeat([[0.0, 1.0]], 300, axis=0))
    np.testing.assert_allclose(only, exact[:, :-1], rtol=0, atol=1e-12)


def test_one_different_bit_leaves_the_boosters_in_charge() -> None:
    """A reference that differs by the last bit of one row is reason enough."""
    booster = trained()

    def altered(rows: Floats) -> Floats:
        scores = by_booster(booster)(rows)
        scores[17, 0] = np.nextafter(scores[17, 0], np.inf)
        return np.asarray(scores)

    texts = [booster.model_to_string()]
    assert forest.verified(texts, by_booster(booster)) is not None
    assert forest.verified(texts, altered) is None


@pytest.mark.parametrize(
    "parameters",
    [
        {"data": {"categorical_feature": [3]}},
        {"linear_tree": True},
        {"boosting": "rf", "bagging_fraction": 0.5, "bagging_freq": 1},
    ],
    ids=str,
)
def test_other_kinds_of_boosters_are_not_flattened(parameters: dict[str, Any]) -> None:
    """Categories, linear leaves and averages stay with LightGBM."""
    rows = matrix(600, seed=8)
    rows[:, 3] = np.arange(600) % 5
    told = {"objective": "binary", "verbosity": -1, "num_threads": 1, **parameters}
    data = lightgbm.Dataset(rows, np.arange(600) % 5 == 2, **told.pop("data", {}))
    text = lightgbm.train(told, data, num_boost_round=3).model_to_string()
    with pytest.raises(forest.Unwalkable):
        forest.flatten([text])
    assert forest.verified([text], lambda _: np.zeros((1, 1))) is None


def test_boosters_of_other_widths_and_rows_of_other_widths_are_refused() -> None:
    """One matrix serves all boosters of a forest, and has their width."""
    with pytest.raises(forest.Unwalkable, match="one width"):
        forest.flatten([STUMP, trained().model_to_string()])
    with pytest.raises(ValueError, match=r"wanted \(N, 2\)"):
        forest.flatten([STUMP]).raw(np.zeros((3, 3)))
