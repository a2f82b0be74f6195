"""The gate between a challenger and the champion's place."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from models.horizons import LABELS
from training.lifecycle import promote
from training.lifecycle.promote import PromotionPolicy
from training.lifecycle.records import Records

START = datetime(2030, 1, 1, tzinfo=UTC)
DAYS = 40
ACCOUNTS = 30
EARLY = timedelta(hours=2)


def records(champion: float, challenger: float, *, days: int = DAYS, scale: float = 1.0) -> Records:
    """Return daily forecasts of two versions and what became of the accounts.

    Parameters
    ----------
    champion, challenger
        How much of the true log-odds each knows: 1 all, 0 none.
    scale
        Factor on the challenger's probabilities.
    """
    generator = np.random.default_rng(5)
    odds = generator.normal(-3.0, 1.5, (days, ACCOUNTS))
    hit = generator.random(odds.shape) < 1.0 / (1.0 + np.exp(-odds))
    rows, happened = [], []
    for day in range(days):
        at = START + timedelta(days=day)
        for account in range(ACCOUNTS):
            name = f"account-{account:02d}"
            for version, known in (("old", champion), ("new", challenger)):
                chance = float(
                    1.0 / (1.0 + np.exp(-(known * odds[day, account] - 2.2 * (1.0 - known))))
                )
                chance = min(chance * (scale if version == "new" else 1.0), 0.99)
                said = {f"expected_{label}": chance for label in LABELS}
                rows.append({"account": name, "at": at, "model_version": version, **said})
            if hit[day, account]:
                happened.append({"account": name, "at": at + timedelta(minutes=40)})
    return Records(
        clock=START + timedelta(days=days + 8),
        forecasts=pd.DataFrame(rows).assign(at=lambda f: pd.to_datetime(f["at"], utc=True)),
        liquidations=pd.DataFrame(happened).assign(at=lambda f: pd.to_datetime(f["at"], utc=True)),
    )


def only(records_: Records, label: str) -> list[str]:
    """Return the gate's reasons that speak of one horizon."""
    found = promote.decide(records_, "old", "new", PromotionPolicy())
    return [reason for reason in found.reasons if reason.startswith(f"{label}:")]


def test_a_better_challenger_is_let_in() -> None:
    """More knowledge of the same outcomes: no objection at the shortest horizons."""
    assert only(records(0.3, 1.0), "1h") == []
    assert only(records(0.3, 1.0), "24h") == []


def test_the_evidence_is_told_with_intervals() -> None:
    """Counts, both figures and the paired difference, drawn by accounts and by days."""
    found = promote.decide(records(0.3, 1.0), "old", "new", PromotionPolicy())
    told = found.evidence["1h"]
    assert (told["rows"], told["accounts"], told["days"]) == (1200, 30, 40)
    assert told["judged"] is True
    difference = told["log_loss"]["difference"]
    assert difference["day_low"] <= difference["value"] <= difference["day_high"] < 0.0
    assert set(told["warned"]) == {"champion", "challenger"}


def test_a_worse_challenger_is_refused_by_its_log_loss() -> None:
    """Less knowledge of the same outcomes costs log-loss, whatever the interval."""
    reasons = only(records(1.0, 0.3), "1h")
    assert reasons[0].startswith("1h: log-loss")
    assert "at most +2.0% is allowed" in reasons[0]


def test_a_challenger_that_cries_too_loud_is_refused_by_its_calibration() -> None:
    """Twice the probabilities are off by a factor of two."""
    reasons = only(records(1.0, 1.0, scale=2.0), "1h")
    assert any("liquidations expected for one observed" in reason for reason in reasons)


def test_a_challenger_that_warns_of_fewer_is_refused() -> None:
    """Within the same alert budget at the horizon that decides."""
    reasons = only(records(1.0, 0.0), "24h")
    assert any(reason.startswith("24h: fewer caught: 0") for reason in reasons)


def test_too_little_evidence_is_no_evidence() -> None:
    """Days and liquidations are wanted; a version never seen has neither."""
    few = promote.decide(records(0.3, 1.0, days=3), "old", "new", PromotionPolicy())
    assert few.reasons[0] == "24h: 3 days of matured forecasts of both, at least 14 are wanted"
    none = promote.decide(records(0.3, 1.0), "old", "unheard of", PromotionPolicy())
    assert none.reasons == (
        "24h: 0 days of matured forecasts of both, at least 14 are wanted",
        "24h: 0 liquidations in matured windows, at least 10 are wanted",
    )
    assert none.evidence["24h"] == {
        "rows": 0, "accounts": 0, "days": 0, "episodes": 0, "judged": False
    }  # fmt: skip


@pytest.mark.parametrize(
    ("hours", "days"), [(24 + 2, 1), (24 + 1, 0), (48 + 2, 2)], ids="{}".format
)
def test_a_window_counts_once_it_and_the_reports_are_over(hours: int, days: int) -> None:
    """A day's window of midnight counts 24 h and the reporting delay later, event or not."""
    told = records(1.0, 1.0)
    early = Records(
        clock=START + timedelta(hours=hours),
        forecasts=told.forecasts,
        liquidations=told.liquidations,
    )
    rows = promote.paired(early, "old", "new", place=LABELS.index("24h"), delay=EARLY)
    assert rows.days == days


def test_a_liquidation_is_ahead_only_strictly_later() -> None:
    """An event of the moment itself is past; without one nothing is ahead."""
    rows = pd.DataFrame({"account": ["a", "a", "b"], "at": [START, START + EARLY, START]})
    rows["at"] = pd.to_datetime(rows["at"], utc=True)
    told = pd.DataFrame({"account": ["a"], "at": pd.to_datetime([START + EARLY], utc=True)})
    assert promote.ahead(rows, told).tolist() == [2.0, float("inf"), float("inf")]
