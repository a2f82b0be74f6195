"""Sources of training data: raw logs in, validated tables and account moments out."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import pandas as pd

from features.inputs import Tables


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """A venue's past, ready for features and labels.

    Parameters
    ----------
    tables
        Candles and events.
    moments
        One row per solvent account and hour, with the columns of `features.inputs.MOMENTS`.
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
    """

    tables: Tables
    moments: pd.DataFrame
    path: pd.DataFrame
    episodes: pd.DataFrame
    covered_until: datetime
    censored_at: Mapping[str, datetime]
    dropped: Mapping[str, int]
    checks: Mapping[str, float | None]
