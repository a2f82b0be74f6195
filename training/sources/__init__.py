"""Sources of training data: raw logs in, validated tables and account moments out."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.inputs import Tables
from models.forecast.bundle import Bundle, Mask


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """A venue's past, ready for features and labels.

    Parameters
    ----------
    tables
        Candles and events.
    moments
        One row per solvent account and hour, with the columns of `features.inputs.MOMENTS`.
    legs
        Of accounts that several prices move, by `features.inputs.LEGS`; None without any.
    touches
        `touched_in` and `touched_known` of every moment, in hours, where the source follows
        the verdict itself; None where `path` says it.
    path
        Per hour (UTC index): `price` that the venue judges by, and `accumulator`, by which
        a trigger grows for an account that does nothing (interest times the liquidation
        ratio in force). NaN where the price is missing.
    episodes
        Liquidation episodes: `account`, `at` (UTC, first lot), `lots`.
    covered_until
        UTC time to which the log is complete.
    censored_at
        UTC time by account from which its log cannot be trusted.
    dropped
        Rows left out, by stated rule.
    checks
        Figures that show the rebuilding is sound; None where there is nothing to measure.
    markets
        What owners were seen on, as `venue/market`; empty where nobody acts.
    """

    tables: Tables
    moments: pd.DataFrame
    path: pd.DataFrame
    episodes: pd.DataFrame
    covered_until: datetime
    censored_at: Mapping[str, datetime]
    dropped: Mapping[str, int]
    checks: Mapping[str, float | None]
    legs: pd.DataFrame | None = None
    touches: pd.DataFrame | None = None
    markets: tuple[str, ...] = ()


def observed_by(bundle: Bundle, history: History, rows: int) -> Mask:
    """Return whether the owners of a history's rows are those a bundle has seen, shape (rows,).

    A history is of one venue: all of them are, or none.
    """
    markets = history.markets
    return np.full(rows, bool(markets) and bool(bundle.knows(markets).all()))


def select_legs(legs: pd.DataFrame | None, rows: npt.NDArray[np.bool_]) -> pd.DataFrame | None:
    """Return the legs of some moments, `row` counting what is kept.

    Parameters
    ----------
    rows
        Which moments are kept.
    """
    if legs is None:
        return None
    places = legs["row"].to_numpy(dtype=np.int64)
    selected = rows[places]
    number = np.cumsum(rows) - 1
    return legs[selected].assign(row=number[places[selected]]).reset_index(drop=True)
