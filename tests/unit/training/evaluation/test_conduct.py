"""Ranking within a stretch of time, counted by hand; what cannot be judged is refused."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from features.inputs import Tables, no_events
from models.errors import InvalidInput
from training.evaluation.conduct import judged, ranked_within
from training.sources import History


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


def test_a_history_without_one_price_is_refused() -> None:
    """What several prices move, or nobody acts on, has no line of one price to come near."""
    history = History(
        tables=Tables(candles={}, events=no_events()),
        moments=pd.DataFrame(),
        path=pd.DataFrame(columns=["price", "accumulator"]),
        episodes=pd.DataFrame(),
        covered_until=datetime(2031, 1, 1, tzinfo=UTC),
        censored_at={},
        dropped={},
        checks={},
    )
    with pytest.raises(InvalidInput, match="--source: conduct needs the hourly price"):
        judged(history)
