"""Files of a market and of a reserve that it liquidates, written for tests."""

from pathlib import Path

import numpy as np
import pandas as pd


def candles(directory: Path, days: int, *, seed: int = 3) -> tuple[Path, pd.DataFrame]:
    """Write hourly candles of a price that walks, and return them."""
    hour = pd.date_range("2021-01-01", periods=24 * days, freq="h", tz="UTC")
    random = np.random.default_rng(seed)
    wild = 0.004 * np.exp(np.sin(np.arange(hour.size) / 300.0))
    close = 1000.0 * np.exp(np.cumsum(random.normal(0.0, wild)))
    opened = np.concatenate([[1000.0], close[:-1]])
    low = np.minimum(opened, close) * (1.0 - np.abs(random.normal(0.0, wild)))
    frame = pd.DataFrame(
        {
            "open_time": hour.astype("datetime64[ms, UTC]"),
            "open": opened,
            "high": np.maximum(opened, close) * 1.001,
            "low": low,
            "close": close,
            "volume": 1.0,
            "symbol": "ETH",
        }
    )
    frame.to_parquet(directory / "candles.parquet")
    return directory / "candles.parquet", frame


def reserve(directory: Path, bars: pd.DataFrame, **changed: object) -> Path:
    """Write a reserve that is liquidated whenever the price falls by 2 % in an hour."""
    fell = np.log(bars["low"] / bars["open"]) < -0.015
    rows = pd.DataFrame(
        {
            "timestamp": bars["open_time"].astype("int64") / 1000.0 + 3590.0,
            "supplied_USD": 1e9,
            "borrowed_USD": 1e8,
            "liquidations": np.where(fell, 3e6, 0.0),
        }
    ).assign(**changed)
    rows = pd.concat([rows, rows.iloc[[5, 5]]])
    rows.to_parquet(directory / "reserve.parquet")
    return directory / "reserve.parquet"
