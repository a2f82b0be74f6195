"""Price moves of a horizon, drawn from what prices did before: blocks with lows and highs.

A scenario is a stretch of past hours, the same for all assets, so that what fell together
falls together. Of the stretch two moments count: the hour in which the market stood lowest,
where accounts that are long fall, and the one in which it stood highest, where those that are
short do. Filtered, every asset's moves are scaled by its volatility now over that at the
stretch's beginning; so that calm times do not make the forecast forget, a share of scenarios
is drawn unfiltered from the most volatile hours.

References
----------
Barone-Adesi, Giannopoulos and Vosper, VaR without correlations, J. Futures Markets 19 (1999).
A stressed share of at least 25 %: Delegated Regulation (EU) 153/2013, article 28.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from models.errors import Fault, InvalidInput

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]

HALF_LIFE = 72
"""Hours after which a past move counts half in the volatility."""

STRESSED_SHARE = 0.25
STRESSED_TENTH = 0.9
"""Hours are stressed whose volatility is above this quantile."""

FEWEST_BLOCKS = 100
MOST_SCALE = 10.0


class Method(StrEnum):
    """How past moves are taken for future ones."""

    PLAIN = "plain"
    FILTERED = "filtered"
    STRESSED = "stressed"


@dataclass(frozen=True, slots=True)
class Bars:
    """Hourly candles of all assets on one grid.

    Parameters
    ----------
    assets
        Names of the columns.
    close, high, low
        Quote per unit, above 0; NaN where no candle is, shape (hours, assets).
    """

    assets: tuple[str, ...]
    close: Floats
    high: Floats
    low: Floats


@dataclass(frozen=True, slots=True)
class Moves:
    """Log price moves of scenarios.

    Parameters
    ----------
    lowest, highest
        At the market's lowest and highest hour of each, shape (scenarios, assets).
    starts
        Hour each begins after, shape (scenarios,).
    is_stressed
        Drawn for the stressed share, shape (scenarios,).
    """

    lowest: Floats
    highest: Floats
    starts: Places
    is_stressed: npt.NDArray[np.bool_]


def volatility(bars: Bars) -> Floats:
    """Return the exponentially weighted volatility of hourly closes, shape (hours, assets)."""
    moves = np.diff(np.log(bars.close), axis=0, prepend=np.nan)
    keep = 0.5 ** (1.0 / HALF_LIFE)
    level, weight = np.zeros(moves.shape[1]), np.zeros(moves.shape[1])
    result = np.full(moves.shape, np.nan)
    for hour, move in enumerate(moves):
        is_there = np.isfinite(move)
        level = np.where(is_there, keep * level + np.nan_to_num(move) ** 2, level)
        weight = np.where(is_there, keep * weight + 1.0, weight)
        result[hour] = np.sqrt(np.divide(level, weight, out=level * np.nan, where=weight > 0.0))
    return result


def moves(
    bars: Bars,
    weights: Floats,
    *,
    hours: int,
    scenarios: int,
    seed: int,
    method: Method = Method.STRESSED,
) -> Moves:
    """Draw scenarios.

    Parameters
    ----------
    bars
        The past, its last hour now.
    weights
        Quote of the book in each asset, not negative: which hour is the market's lowest,
        shape (assets,).
    hours
        Length of the horizon.
    scenarios
        How many are drawn, with replacement.
    seed
        The same seed draws the same to the bit.
    method
        Plain, filtered, or filtered with a stressed share of plain ones.

    Raises
    ------
    InvalidInput
        Assets without a volatility now, or too few stretches with every candle.
    """
    is_still = (bars.close == bars.close[:1]).all(axis=0)  # what keeps its price has no scale
    spread = np.where(is_still, 1.0, volatility(bars))
    starts = _whole_blocks(bars, spread, hours)
    now = spread[-1]
    faults = [
        Fault(f"/candles/{asset}", "no candle moves it: its volatility now is not known")
        for asset, level in zip(bars.assets, now.tolist(), strict=True)
        if not level > 0.0
    ]
    if starts.size < FEWEST_BLOCKS:
        detail = f"{starts.size} stretches of {hours} h have every candle; at least {FEWEST_BLOCKS}"
        faults.append(Fault("/candles", detail))
    if faults:
        raise InvalidInput(faults)
    generator = np.random.default_rng(seed)
    share = weights / weights.sum() if weights.sum() > 0 else np.full(now.size, 1.0 / now.size)
    chosen = generator.choice(starts, size=scenarios)
    is_stressed = np.zeros(scenarios, dtype=np.bool_)
    if method is Method.STRESSED:
        wild = (spread[starts] * share).sum(axis=1)
        stressed = starts[wild >= np.quantile(wild, STRESSED_TENTH)]
        is_stressed = np.arange(scenarios) < round(STRESSED_SHARE * scenarios)
        chosen = np.where(is_stressed, generator.choice(stressed, size=scenarios), chosen)
    low, high = _extremes(bars, chosen, share, hours)
    if method is not Method.PLAIN:
        scale = np.where(is_stressed[:, np.newaxis], 1.0, now / spread[chosen])
        low, high = (side * np.minimum(scale, MOST_SCALE) for side in (low, high))
    return Moves(low, high, chosen, is_stressed)


def _whole_blocks(bars: Bars, spread: Floats, hours: int) -> Places:
    """Return hours that have a volatility and all of the horizon's candles after them."""
    sound = np.isfinite(bars.close).all(axis=1) & np.isfinite(bars.low).all(axis=1)
    missing = np.concatenate([[0], np.cumsum(~sound)])
    starts = np.arange(max(bars.close.shape[0] - hours, 0))
    is_whole = missing[starts + hours + 1] == missing[starts]
    has_level = (spread[starts] > 0.0).all(axis=1)
    return np.asarray(starts[is_whole & has_level & (starts >= HALF_LIFE)], dtype=np.int64)


def _extremes(bars: Bars, starts: Places, share: Floats, hours: int) -> tuple[Floats, Floats]:
    """Return log moves from each start to the market's lowest and highest hour."""
    close, low, high = np.log(bars.close), np.log(bars.low), np.log(bars.high)
    lows = np.zeros((starts.size, share.size))
    highs = np.zeros((starts.size, share.size))
    least, most = np.zeros(starts.size), np.zeros(starts.size)
    for ahead in range(1, hours + 1):
        down, up = low[starts + ahead] - close[starts], high[starts + ahead] - close[starts]
        level_down, level_up = down @ share, up @ share
        falls, rises = level_down < least, level_up > most
        lows[falls], least[falls] = down[falls], level_down[falls]
        highs[rises], most[rises] = up[rises], level_up[rises]
    return lows, highs
