"""The test of a whole book of vaults, on a market and vaults made for it."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.inputs import HOUR, Candles
from models.errors import InvalidInput
from training.evaluation import vault_backtest

START = datetime(2020, 1, 1, tzinfo=UTC)
HOURS = 24 * 200


def made(*, fails: float, seed: int = 3) -> Any:
    """Return a history of 30 vaults near their line, of which exposed ones fail by chance."""
    random = np.random.default_rng(seed)
    hour = pd.date_range(START, periods=HOURS, freq="h").as_unit("ns")
    close = 1000.0 * np.exp(np.cumsum(random.normal(0.0, 0.008, HOURS)))
    first = int(START.timestamp()) // HOUR
    candles = Candles(
        first_hour=first,
        step=HOUR,
        open=close,
        close=close,
        high=close * 1.005,
        low=close * 0.995,
        volume=close,
    )
    price = pd.Series(close, hour)
    rows, episodes = [], []
    for at in hour[::24]:
        ahead = price[at : at + pd.Timedelta(hours=24)].iloc[1:].min()
        for vault in range(30):
            trigger = price[at] * (1.0 - 0.01 * (vault + 1))
            rows.append((str(vault), at, trigger, 1000.0 * (vault + 1)))
            if ahead <= trigger and random.random() < fails:
                episodes.append((str(vault), at + pd.Timedelta(hours=5)))
    moments = pd.DataFrame(rows, columns=["account", "at", "trigger", "debt_value"])
    return SimpleNamespace(
        tables=SimpleNamespace(candles={"ETH": candles}),
        moments=moments.astype({"account": "category"}),
        path=pd.DataFrame({"price": price}),
        episodes=pd.DataFrame(episodes, columns=["account", "at"]),
    )


def test_what_is_expected_comes_about_in_a_market_without_change() -> None:
    """Exposed and liquidated vault-days within a quarter of the forecast; quantiles hold."""
    begin, end = (pd.Timestamp(day, tz="UTC") for day in ("2020-04-01", "2020-07-15"))
    found = vault_backtest.backtest(made(fails=0.3), begin, end)
    assert found["days"] == 105
    assert 0.75 < found["exposed"]["expected_over_realised"] < 1.25
    assert 0.75 < found["liquidated"]["realised_over_expected"] < 1.35
    assert found["unattended"]["0.99"]["kupiec_p"] > 0.05
    assert found["unattended"]["0.95"]["exceedances"] < 15
    assert len(found["by_day"]) == 105


def test_owners_who_always_act_bring_the_expected_quantile_down() -> None:
    """Nobody liquidated: the rate learnt falls towards none, the unattended one stands."""
    begin, end = (pd.Timestamp(day, tz="UTC") for day in ("2020-04-01", "2020-07-15"))
    days = vault_backtest.forecast_days(made(fails=0.0), begin, end, seed=1)
    share = days.expected_liquidated / days.expected
    assert share[0] > 3 * share[-1]
    assert days.lar["0.99"][-1] > 3 * days.expected_lar["0.99"][-1]
    assert days.liquidated.sum() == 0


def test_days_without_enough_past_are_not_forecast() -> None:
    """Two months of past lows are needed; a period before is refused."""
    begin, end = (pd.Timestamp(day, tz="UTC") for day in ("2020-01-02", "2020-02-01"))
    with pytest.raises(InvalidInput, match="hours before it"):
        vault_backtest.backtest(made(fails=0.1), begin, end)
