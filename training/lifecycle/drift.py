"""Whether what is served still looks like what it looked like: features, scores, outcomes.

The two-sample Kolmogorov-Smirnov test runs on one row per account and window, its newest:
hours of one account are no independent evidence. With many features some fall below any level
by chance, so the p-values are those of Benjamini and Hochberg (J. R. Statist. Soc. B 57, 1995),
and a shift must also be large to be called drift. The libraries that do this (Evidently
0.7.23, NannyML) do not load beside pandas 3; SciPy has the tests.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from features.inputs import Floats
from models.horizons import HEADS, HORIZONS, LABELS
from training.lifecycle.promote import CHANCES, ahead
from training.lifecycle.records import Records

LEVEL = 0.01
LARGE = 0.2
"""Kolmogorov-Smirnov distance from which a shift is called large."""

GAPS = 0.1
"""Change of the share of missing values from which it is called large."""

LEAST_ACCOUNTS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """How one served quantity moved between two windows.

    Parameters
    ----------
    distance
        Kolmogorov-Smirnov distance; None where too few values are known.
    p
        Adjusted p-value.
    medians, missing
        In the reference and in the current window.
    accounts
        With a value, in the reference and in the current window.
    """

    name: str
    kind: str
    distance: float | None
    p: float | None
    medians: tuple[float | None, float | None]
    missing: tuple[float, float]
    accounts: tuple[int, int]

    @property
    def is_drift(self) -> bool:
        """Whether the shift is large and not chance, or values went missing."""
        gone = abs(self.missing[1] - self.missing[0]) > GAPS
        if self.distance is None or self.p is None:
            return gone
        return gone or (self.distance > LARGE and self.p < LEVEL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """Reference and current window, both excluding their end."""

    reference: tuple[datetime, datetime]
    current: tuple[datetime, datetime]


def windows(clock: datetime, *, days: int, reference_days: int) -> Windows:
    """Return the last `days` before a clock, and the days before those."""
    split = clock - timedelta(days=days)
    return Windows(
        reference=(split - timedelta(days=reference_days), split),
        current=(split, clock + timedelta(seconds=1)),
    )


def drift(records: Records, version: str, periods: Windows, *, delay: timedelta) -> dict[str, Any]:
    """Return how features and scores moved, and how the forecasts did, as far as is known.

    Returns
    -------
    dict
        `version`, `windows`, `shifts` (largest first, with `is_drift`), `performance` by
        horizon and `warned`.
    """
    forecasts = records.forecasts[records.forecasts["model_version"] == version]
    parts = [_within(forecasts, window) for window in (periods.reference, periods.current)]
    shifts = [*_scores(parts), *_features(parts)]
    ordered = sorted(_adjusted(shifts), key=lambda s: -(s.distance or 0.0))
    return {
        "version": version,
        "windows": {
            name: [time.isoformat() for time in window] for name, window in asdict(periods).items()
        },
        "rows": [len(part) for part in parts],
        "shifts": [{**asdict(shift), "is_drift": shift.is_drift} for shift in ordered],
        "performance": performance(forecasts, records, delay=delay),
    }


def largest(report: Mapping[str, Any]) -> float:
    """Return the largest distance of what drifted in a report; 0 where nothing did."""
    return max(
        (shift["distance"] or 1.0 for shift in report["shifts"] if shift["is_drift"]), default=0.0
    )


def performance(forecasts: pd.DataFrame, records: Records, *, delay: timedelta) -> dict[str, Any]:
    """Return expected against observed liquidations on matured windows, by month.

    Parameters
    ----------
    forecasts
        Forecasts of one version.
    delay
        Time that the report of a liquidation may take.
    """
    hours_ahead = ahead(forecasts.reset_index(drop=True), records.liquidations)
    by_horizon: dict[str, Any] = {}
    for hours, label, chance in zip(HORIZONS, LABELS, CHANCES, strict=True):
        mature = (forecasts["at"] <= records.clock - delay - timedelta(hours=hours)).to_numpy()
        happened = hours_ahead <= hours
        months = forecasts["at"].dt.strftime("%Y-%m").to_numpy()
        by_horizon[label] = {
            month: _judged(forecasts[chance].to_numpy(), happened, mature & (months == month))
            for month in np.unique(months[mature]).tolist()
        } | {"waiting": int((~mature).sum())}
    return by_horizon


def warned(rows: pd.DataFrame, alerts: pd.DataFrame, *, within: timedelta) -> pd.DataFrame:
    """Return forecasts beside whether their owner had been warned shortly before.

    Owners who were warned act, so that what they were warned of does not come: a model that
    is judged or trained on such rows learns that flagged means safe. With this column the
    effect can be looked at apart.

    Parameters
    ----------
    rows
        `account`, `at` and anything else.
    alerts
        `account` and `at` of every message that reached an owner.
    within
        How long a warning is taken to work.

    Returns
    -------
    pandas.DataFrame
        `rows` in their order with `warned_at` (missing where there is none) and `is_warned`.
    """
    sent = alerts[["account", "at"]].assign(warned_at=alerts["at"]).sort_values("at")
    place = np.arange(len(rows))
    ordered = rows.assign(_place=place).sort_values("at")
    # A warning of the same moment comes after the forecast that raised it.
    joined = pd.merge_asof(
        ordered, sent, on="at", by="account", tolerance=within, allow_exact_matches=False
    )
    joined = joined.sort_values("_place").drop(columns="_place").set_index(rows.index)
    return joined.assign(is_warned=joined["warned_at"].notna())


def _judged(chance: Floats, happened: Any, rows: Any) -> dict[str, float | int | None]:
    """Return expected, observed and log-loss of some rows."""
    p, y = np.clip(chance[rows], 1e-9, 1.0 - 1e-9), happened[rows]
    if len(p) == 0:
        return {"rows": 0, "expected": 0.0, "observed": 0, "log_loss": None}
    loss = -np.where(y, np.log(p), np.log1p(-p)).mean()
    sums = {"expected": float(p.sum()), "observed": int(y.sum())}
    return {"rows": len(p), **sums, "log_loss": float(loss)}


def _within(forecasts: pd.DataFrame, window: tuple[datetime, datetime]) -> pd.DataFrame:
    """Return the newest row of every account in a window."""
    inside = forecasts[(forecasts["at"] >= window[0]) & (forecasts["at"] < window[1])]
    return inside.sort_values("at").groupby("account", observed=True).tail(1)


def _scores(parts: Sequence[pd.DataFrame]) -> Iterator[Shift]:
    """Yield how the scores moved."""
    for head in HEADS:
        for label in LABELS:
            name = f"{head}_{label}"
            yield _shift(name, "score", [part[name].to_numpy(dtype=np.float64) for part in parts])


def _features(parts: Sequence[pd.DataFrame]) -> Iterator[Shift]:
    """Yield how the features moved."""
    frames = [pd.DataFrame(list(part["features"].dropna()), dtype=np.float64) for part in parts]
    for name in frames[0].columns.intersection(frames[1].columns):
        yield _shift(str(name), "feature", [frame[name].to_numpy() for frame in frames])


def _shift(name: str, kind: str, values: Sequence[Floats]) -> Shift:
    """Return how one quantity moved, its p-value not adjusted yet."""
    finite = [value[np.isfinite(value)] for value in values]
    sizes = (len(finite[0]), len(finite[1]))
    distance = p = None
    if min(sizes) >= LEAST_ACCOUNTS:
        test = stats.ks_2samp(finite[0], finite[1], method="asymp")
        distance, p = float(test.statistic), float(test.pvalue)
    medians = [float(np.median(value)) if len(value) else None for value in finite]
    gaps = [1.0 - len(k) / len(v) if len(v) else 0.0 for k, v in zip(finite, values, strict=True)]
    return Shift(
        name=name,
        kind=kind,
        distance=distance,
        p=p,
        medians=(medians[0], medians[1]),
        missing=(gaps[0], gaps[1]),
        accounts=sizes,
    )


def _adjusted(shifts: Sequence[Shift]) -> Iterator[Shift]:
    """Yield shifts with p-values adjusted for how many were looked at."""
    tested = [shift for shift in shifts if shift.p is not None]
    values = stats.false_discovery_control([shift.p for shift in tested]) if tested else []
    adjusted: Mapping[str, float] = {
        shift.name: float(p) for shift, p in zip(tested, values, strict=True)
    }
    for shift in shifts:
        yield Shift(**{**asdict(shift), "p": adjusted.get(shift.name)})
