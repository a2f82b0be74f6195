"""Labels: strictly later, censored rather than 0, nothing after the end."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd

from features.inputs import Tables, no_events
from training.dataset import labels
from training.sources import History

BEGIN = pd.Timestamp("2021-01-01", tz="UTC")


def history(
    hours: list[int], *, price: list[float], episodes: list[str], trigger: float = 90.0
) -> History:
    """Return one account's moments on a path of hourly prices."""
    index = pd.date_range(BEGIN, periods=len(price), freq="h")
    moments = pd.DataFrame(
        {
            "account": pd.Categorical(["a"] * len(hours)),
            "at": [BEGIN + pd.Timedelta(hours=hour) for hour in hours],
            "trigger": trigger,
        }
    )
    return History(
        tables=Tables(candles={}, events=no_events()),
        moments=moments,
        path=pd.DataFrame({"price": price, "accumulator": 1.0}, index=index),
        episodes=pd.DataFrame({"account": "a", "at": pd.to_datetime(episodes, utc=True)}),
        covered_until=datetime(2021, 1, 2, tzinfo=UTC),
        censored_at={},
        dropped={},
        checks={},
    )


def test_a_liquidation_at_the_moment_itself_is_not_ahead() -> None:
    """The window is open at its start and closed at its end."""
    known = history([0, 1, 2], price=[100.0] * 200, episodes=["2021-01-01T02:00:00Z"])
    found = labels.label(known)["liquidated_in"]
    assert found.tolist() == [2.0, 1.0, np.inf]
    assert labels.by_horizon(found.to_numpy(), np.full(3, 99.0), 1).tolist() == [0.0, 1.0, 0.0]


def test_a_window_beyond_the_data_is_censored_never_zero() -> None:
    """A day after the log's end nothing is known, unless the event came first."""
    known = history([0, 23], price=[100.0] * 200, episodes=["2021-01-01T23:30:00Z"])
    marked = labels.label(known)
    found = labels.by_horizon(
        marked["liquidated_in"].to_numpy(), marked["liquidated_known"].to_numpy(), 24
    )
    assert found.tolist() == [1.0, 1.0]
    quiet = labels.label(history([0, 23], price=[100.0] * 200, episodes=[]))
    found = labels.by_horizon(
        quiet["liquidated_in"].to_numpy(), quiet["liquidated_known"].to_numpy(), 24
    )
    assert found[0] == 0.0
    assert np.isnan(found[1])


def test_a_touch_is_the_first_judged_price_at_the_line() -> None:
    """Equality touches; the price at the moment itself does not count; gaps censor."""
    price = [80.0, 100.0, 100.0, 90.0, 100.0, np.nan, 50.0, *[100.0] * 200]
    marked = labels.label(history([0, 3, 7], price=price, episodes=[]))
    assert marked["touched_in"].tolist() == [3.0, np.inf, np.inf]
    assert marked["touched_known"].tolist() == [3.0, 1.0, 168.0]


def test_training_forgets_what_came_after_its_end() -> None:
    """An event after the end is unknown, not absent."""
    at = np.array([0, 3600], dtype=np.int64)
    end = datetime(1970, 1, 1, 4, tzinfo=UTC)
    happened, known = labels.censor(np.array([5.0, 2.0]), np.array([9.0, 9.0]), at=at, end=end)
    assert happened.tolist() == [np.inf, 2.0]
    assert known.tolist() == [4.0, 3.0]


def test_a_hazard_asks_only_those_still_at_risk() -> None:
    """Whoever was liquidated in an earlier stretch is not asked about a later one."""
    happened = np.array([0.5, 3.0, np.inf, np.inf])
    known = np.array([99.0, 99.0, 99.0, 3.9])
    found = labels.in_stretch(happened, known, begin=1, end=4)
    assert np.isnan(found[[0, 3]]).all()
    assert found[[1, 2]].tolist() == [1.0, 0.0]
