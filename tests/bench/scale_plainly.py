"""Market features of one instrument's minutes written straightforwardly in pandas and polars."""

import numpy as np
import pandas as pd
import polars as pl

from features.inputs import Candles

HOUR = 60
WEEK = 168 * HOUR


def in_pandas(candles: Candles) -> pd.DataFrame:
    """Return the features in pandas."""
    close, volume = pd.Series(candles.close), pd.Series(candles.volume)
    move = np.log(close / close.shift(1))
    squared, size, turnover = move * move, move.abs(), close * volume

    def total(values: pd.Series, window: int) -> pd.Series:
        return values.rolling(window, min_periods=window // 2).sum()

    def mean(values: pd.Series, hours: int) -> pd.Series:
        return values.rolling(hours * HOUR, min_periods=hours * HOUR // 2).mean()

    def sigma(half_life: int, hours: int) -> pd.Series:
        window, decay = hours * HOUR, 0.5 ** (1 / (half_life * HOUR))
        endless = squared.ewm(halflife=half_life * HOUR, adjust=False).mean()
        cut = endless - decay**window * endless.shift(window)
        return np.sqrt(cut / (1 - decay**window) * HOUR)

    day, days, fortnight = sigma(24, 144), sigma(72, 432), sigma(360, 720)
    week = close.rolling(WEEK, min_periods=WEEK // 2)
    illiquidity, usual = size / turnover, mean(turnover, 720)
    largest = size.rolling(24 * HOUR, min_periods=12 * HOUR).max()
    falls = squared.where(move < 0, 0.0)
    returns = {
        f"return_sigmas_{hours}h": np.log(close / close.shift(hours * HOUR))
        / (days * np.sqrt(hours))
        for hours in (1, 4, 24, 168)
    }
    return pd.DataFrame(
        {
            "volatility_ratio_24h_72h": np.log(day / days),
            "volatility_ratio_72h_360h": np.log(days / fortnight),
            **returns,
            "below_high_168h": np.log(close / week.max()) / (days * np.sqrt(168)),
            "above_low_168h": np.log(close / week.min()) / (days * np.sqrt(168)),
            "falling_share_72h": total(falls, 72 * HOUR) / total(squared, 72 * HOUR),
            "largest_share_24h": largest**2 / total(squared, 24 * HOUR),
            "jump_share_168h": 1
            - np.pi / 2 * total(size * size.shift(1), WEEK - 1) / total(squared, WEEK),
            "volume_surprise_4h": np.log(mean(turnover, 4) / usual),
            "volume_surprise_24h": np.log(mean(turnover, 24) / usual),
            "illiquidity_surprise_24h": np.log(mean(illiquidity, 24) / mean(illiquidity, 720)),
        }
    )


def in_polars(candles: Candles) -> pl.DataFrame:
    """Return the features in polars, lazily, on all its threads."""
    close, move = pl.col("close"), pl.col("move")

    def total(name: str, window: int) -> pl.Expr:
        return pl.col(name).rolling_sum(window, min_samples=window // 2)

    def mean(name: str, hours: int) -> pl.Expr:
        return pl.col(name).rolling_mean(hours * HOUR, min_samples=hours * HOUR // 2)

    def sigma(half_life: int, hours: int) -> pl.Expr:
        window, decay = hours * HOUR, 0.5 ** (1 / (half_life * HOUR))
        endless = pl.col("squared").ewm_mean(half_life=half_life * HOUR, adjust=False)
        cut = endless - decay**window * endless.shift(window)
        return (cut / (1 - decay**window) * HOUR).sqrt()

    frame = pl.LazyFrame({"close": candles.close, "volume": candles.volume})
    frame = frame.with_columns(
        move=(close / close.shift(1)).log(), turnover=close * pl.col("volume")
    )
    frame = frame.with_columns(
        squared=move**2,
        size=move.abs(),
        falls=pl.when(move < 0).then(move**2).otherwise(0.0),
        pairs=move.abs() * move.abs().shift(1),
        illiquidity=move.abs() / pl.col("turnover"),
    )
    frame = frame.with_columns(
        day=sigma(24, 144),
        days=sigma(72, 432),
        fortnight=sigma(360, 720),
        usual=mean("turnover", 720),
    )
    days = pl.col("days")
    high = close.rolling_max(WEEK, min_samples=WEEK // 2)
    low = close.rolling_min(WEEK, min_samples=WEEK // 2)
    largest = pl.col("size").rolling_max(24 * HOUR, min_samples=12 * HOUR)
    returns = {
        f"return_sigmas_{hours}h": (close / close.shift(hours * HOUR)).log()
        / (days * np.sqrt(hours))
        for hours in (1, 4, 24, 168)
    }
    return frame.select(
        volatility_ratio_24h_72h=(pl.col("day") / days).log(),
        volatility_ratio_72h_360h=(days / pl.col("fortnight")).log(),
        **returns,
        below_high_168h=(close / high).log() / (days * np.sqrt(168)),
        above_low_168h=(close / low).log() / (days * np.sqrt(168)),
        falling_share_72h=total("falls", 72 * HOUR) / total("squared", 72 * HOUR),
        largest_share_24h=largest**2 / total("squared", 24 * HOUR),
        jump_share_168h=1 - np.pi / 2 * total("pairs", WEEK - 1) / total("squared", WEEK),
        volume_surprise_4h=(mean("turnover", 4) / pl.col("usual")).log(),
        volume_surprise_24h=(mean("turnover", 24) / pl.col("usual")).log(),
        illiquidity_surprise_24h=(mean("illiquidity", 24) / mean("illiquidity", 720)).log(),
    ).collect()
