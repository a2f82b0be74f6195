"""How one booster is trained: parameters laid over the shipped ones, here or on workers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import lightgbm

from features.inputs import Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSample:
    """What a booster is trained on.

    Parameters
    ----------
    features
        Shape (N, F), in the order of `names`.
    labels, weights, starts
        Outcome, evidence and starting log-odds of each row.
    names
        Of the features.
    """

    features: Floats
    labels: Floats
    weights: Floats
    starts: Floats
    names: Sequence[str]


Trainer = Callable[[TrainingSample, Mapping[str, Any], int], lightgbm.Booster]
"""Trains on a sample with parameters for a number of rounds."""


def read(sample: TrainingSample, parameters: Mapping[str, Any]) -> lightgbm.Dataset:
    """Return a sample as LightGBM reads it."""
    return lightgbm.Dataset(
        sample.features,
        label=sample.labels,
        weight=sample.weights,
        init_score=sample.starts,
        feature_name=list(sample.names),
        params={"max_bin": parameters["max_bin"]},
    )


def locally(sample: TrainingSample, parameters: Mapping[str, Any], rounds: int) -> lightgbm.Booster:
    """Train one booster in this process."""
    return lightgbm.train(dict(parameters), read(sample, parameters), num_boost_round=rounds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How boosters are trained.

    Parameters
    ----------
    changes
        Parameters of LightGBM, over the shipped ones.
    rounds
        Trees per hazard; None for as many as each head has in the champion.
    trainer
        Trains one booster on a sample.
    """

    changes: Mapping[str, Any] = field(default_factory=dict)
    rounds: int | None = None
    trainer: Trainer = locally


SHIPPED = Recipe()
"""The parameters that the champion is trained with, in this process."""
