"""Drift of what is served, performance once it is known, warnings apart."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from models.horizons import LABELS
from training.lifecycle import drift
from training.lifecycle.records import Records
from training.reports import drift_page

CLOCK = datetime(2030, 3, 1, tzinfo=UTC)
DELAY = timedelta(hours=2)


def records(shift: float, *, missing: float = 0.0) -> Records:
    """Return two windows of daily forecasts; the features of the later one are moved."""
    generator = np.random.default_rng(1)
    rows = []
    for day in range(35):
        later = day >= 28
        for account in range(60):
            value = float(generator.normal()) + (shift if later else 0.0)
            gone = later and generator.random() < missing
            features = {"moved": None if gone else value, "still": float(generator.normal())}
            chance = float(generator.uniform(0.0, 0.1))
            said = {f"{head}_{h}": chance for head in ("unattended", "expected") for h in LABELS}
            at = CLOCK - timedelta(days=35 - day)
            row = {"account": f"a{account}", "at": at, "model_version": "v", "features": features}
            rows.append({**row, **said})
    frame = pd.DataFrame(rows)
    frame["at"] = pd.to_datetime(frame["at"], utc=True)
    told = pd.DataFrame({"account": ["a1"], "at": pd.to_datetime([CLOCK - timedelta(days=20)])})
    return Records(clock=CLOCK, forecasts=frame, liquidations=told)


def drifted(told: Records) -> list[str]:
    """Return the names of what drifted."""
    windows = drift.windows(CLOCK, days=7, reference_days=28)
    found = drift.drift(told, "v", windows, delay=DELAY)
    return [shift["name"] for shift in found["shifts"] if shift["is_drift"]]


def test_a_moved_feature_is_told_and_a_still_one_is_not() -> None:
    """A shift of two standard deviations is drift; chance among ten quantities is none."""
    assert drifted(records(2.0)) == ["moved"]
    assert drifted(records(0.0)) == []


def test_values_that_go_missing_are_drift() -> None:
    """Half of the values gone, the rest as ever."""
    assert drifted(records(0.0, missing=0.5)) == ["moved"]


def test_performance_waits_for_the_end_of_each_window() -> None:
    """Forecasts of the last week are no evidence on the 7 d horizon yet."""
    told = records(0.0)
    found = drift.performance(told.forecasts, told, delay=DELAY)
    assert found["7d"]["waiting"] == 7 * 60
    assert found["1h"]["waiting"] == 0
    assert sum(part["rows"] for m, part in found["7d"].items() if m != "waiting") == 28 * 60
    # One liquidation lies ahead of its account's forecasts of the seven days before it.
    assert sum(part["observed"] for m, part in found["7d"].items() if m != "waiting") == 7


def test_a_version_without_forecasts_says_so() -> None:
    """Nothing can be said, and the page says that."""
    windows = drift.windows(CLOCK, days=7, reference_days=28)
    told = records(0.0)
    empty = Records(clock=CLOCK, forecasts=told.forecasts.iloc[:0], liquidations=told.liquidations)
    found = drift.drift(empty, "v", windows, delay=DELAY)
    assert drift_page.verdict(found) == (
        "v: no forecasts in one of the windows, nothing can be said."
    )


def test_the_page_names_what_drifted_and_reaches_nowhere() -> None:
    """One page with the shift marked; nothing is fetched from another address."""
    windows = drift.windows(CLOCK, days=7, reference_days=28)
    page = drift_page.page(drift.drift(records(2.0), "v", windows, delay=DELAY))
    assert '<tr class="drift">' in page
    assert "v: 1 drifted: moved." in page
    assert "http" not in page


def test_forecasts_of_warned_owners_are_told_apart() -> None:
    """Only a warning before the forecast, not older than a day, and of the same account."""
    at = pd.to_datetime([CLOCK + timedelta(hours=h) for h in (0, 1, 30)], utc=True)
    rows = pd.DataFrame({"account": ["a", "a", "a"], "at": at}, index=[7, 8, 9])
    alerts = pd.DataFrame({"account": ["a", "b"], "at": at[[0, 0]]})
    found = drift.warned(rows, alerts, within=timedelta(days=1))
    assert found["is_warned"].tolist() == [False, True, False]
    assert found.index.tolist() == [7, 8, 9]


@pytest.mark.parametrize("missing", [0.0, 1.0])
def test_too_few_values_are_not_tested(missing: float) -> None:
    """Without values there is no distance; with them there is one."""
    windows = drift.windows(CLOCK, days=7, reference_days=28)
    found = drift.drift(records(0.0, missing=missing), "v", windows, delay=DELAY)
    moved = next(shift for shift in found["shifts"] if shift["name"] == "moved")
    assert (moved["distance"] is None) is (missing == 1.0)
