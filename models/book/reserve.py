"""Liquidations of a whole reserve where only its hourly sums are known.

What is liquidated within the next hours is mostly the price path: accounts are liquidated at
its low. So the forecast has two parts. The *path*: how far the price will fall at its lowest,
as quantiles of past lows over the low expected then, times the low expected now. The
*response*: how likely the liquidations of the horizon exceed an amount, given that low and
the state of the market and the reserve. The forecast is the response averaged over the path.

The response is a logistic curve in the low, in how far the low goes beyond earlier lows
(accounts above them were liquidated then or never stood there), in what was liquidated lately
and in volatility; a second curve also reads how far the price stands below its highs. The
log-odds of the two are averaged.

References
----------
The low's scale is a gamma regression with a logarithmic link on volatilities over several
windows, after Corsi (J. Financial Econometrics 7, 2009) and Parkinson (J. Business 53, 1980).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import special
from sklearn.linear_model import GammaRegressor, LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from models.book.columns import Floats
from models.book.kernel import Flags as Mask

HORIZON = 24
"""Hours ahead."""

PATHS = 60
"""Quantiles of the path's low over which a response is averaged."""

LOWS = (24, 72, 168, 720)
HIGHS = (168, 720)
SUMS = (1, 24, 168, 720)
"""Hours of the windows of earlier lows and highs, and of liquidations."""

LADDER: Floats = np.array([0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 60.0, 100.0, 200.0])
"""Amounts at which the distribution is forecast, in 1e-4 of what is supplied."""

BASIS = 1e-4
OPENING = 31 * 24
"""First hours of a reserve, whose liquidations are shares of a supply of next to nothing."""

TAIL = 1.0
"""Least fall of a log probability per log amount: slower, and a mean would not exist."""

LEAST_LOW = 1e-4
LEAST_SUPPLIED = 1.0
LEAST_CHANCE = 1e-9


@dataclass(frozen=True, slots=True)
class Hours:
    """A market and a reserve, hour by hour.

    Parameters
    ----------
    hour
        Start of each hour, UTC, one after the other, shape (hours,).
    close, high, low
        Quote per unit, NaN where no candle is, shape (hours,).
    liquidated, supplied
        USD repaid in each hour, and USD supplied at its end; NaN where unknown, shape (hours,).
    """

    hour: pd.DatetimeIndex
    close: Floats
    high: Floats
    low: Floats
    liquidated: Floats
    supplied: Floats


def states(hours: Hours) -> pd.DataFrame:
    """Return what is known at the end of each hour, and what the horizon after it brought.

    Returns
    -------
    pandas.DataFrame
        By start of the hour: `low_ahead`, the log of the lowest price within the horizon over
        the close, at most 0; `ahead`, USD liquidated within it, NaN where an hour is unknown;
        and the state, which reads nothing after the hour.
    """
    frame = pd.DataFrame(index=hours.hour)
    close = pd.Series(np.log(hours.close), hours.hour).ffill()
    low, high = (pd.Series(np.log(side), hours.hour) for side in (hours.low, hours.high))
    moves = close.diff()
    spans = (high - low) ** 2 / (4.0 * np.log(2.0))
    for half in (24, 168, 720):
        frame[f"moved{half}"] = np.sqrt((moves**2).ewm(halflife=half, min_periods=100).mean())
    for half in (6, 24, 72, 240):
        frame[f"span{half}"] = np.sqrt(spans.ewm(halflife=half, min_periods=100).mean())
    for window in LOWS:
        frame[f"low{window}"] = low.rolling(window, min_periods=1).min() - close
    for window in HIGHS:
        frame[f"high{window}"] = high.rolling(window, min_periods=1).max() - close
    frame["moved"] = close - close.shift(HORIZON)
    liquidated = pd.Series(hours.liquidated, hours.hour)
    for window in SUMS:
        usual = liquidated.rolling(window, min_periods=1).mean()
        frame[f"liquidated{window}"] = np.log10(1.0 + usual * window)
    frame["supplied"] = pd.Series(hours.supplied, hours.hour).ffill().clip(lower=LEAST_SUPPLIED)
    frame["ahead"] = liquidated.rolling(HORIZON).sum().shift(-HORIZON)
    lowest = low.rolling(HORIZON, min_periods=1).min().shift(-HORIZON)
    frame["low_ahead"] = np.minimum(lowest - close, 0.0)
    return frame


@dataclass(frozen=True, slots=True)
class PathModel:
    """How far the price falls within the horizon.

    Parameters
    ----------
    scale
        Gamma regression of the expected low on the state.
    steps
        Quantiles of the low over the expected one, negative and rising to 0, shape (PATHS,).
    """

    scale: Pipeline
    steps: Floats

    def lows(self, rows: pd.DataFrame) -> Floats:
        """Return equally likely log lows of every row, shape (rows, PATHS)."""
        return np.asarray(np.outer(self.scale.predict(_spans(rows)), self.steps))


def path_model(rows: pd.DataFrame) -> PathModel:
    """Fit the path's low on rows whose horizon has passed.

    Parameters
    ----------
    rows
        As of `states`; those that lack a candle's state or low are left out.
    """
    sound = rows[np.isfinite(_spans(rows)).all(axis=1) & rows["low_ahead"].notna().to_numpy()]
    lows = sound["low_ahead"].to_numpy()
    scale = _scaled(GammaRegressor(alpha=1e-3, max_iter=500))  # type: ignore[no-untyped-call]
    scale.fit(_spans(sound), np.maximum(-lows, LEAST_LOW))
    places = (np.arange(PATHS) + 0.5) / PATHS
    return PathModel(scale, np.quantile(lows / scale.predict(_spans(sound)), places))


def _scaled(model: Any) -> Pipeline:
    """Return a model of inputs scaled to their own spread."""
    return make_pipeline(StandardScaler(), model)  # type: ignore[no-untyped-call]


def _spans(rows: pd.DataFrame) -> Floats:
    """Return the inputs of the low's scale, shape (rows, 11)."""
    logs = [np.log(rows[f"span{half}"]) for half in (6, 24, 72, 240)]
    logs += [np.log(rows[f"moved{half}"]) for half in (24, 720)]
    slow = rows["span240"]
    moved = [
        rows["moved"] / (rows["span24"] * np.sqrt(24)),
        np.minimum(rows["moved"], 0.0) / (slow * np.sqrt(24)),
        *(rows[f"low{window}"] / (slow * np.sqrt(window)) for window in (24, 168, 720)),
    ]
    return np.column_stack([*logs, *moved])


@dataclass(frozen=True, slots=True)
class Response:
    """How likely an amount is exceeded, given the path's low and the state.

    Parameters
    ----------
    weights
        Log-odds per unit of each driver, shape (14,): the mean of a logistic curve without and
        one with the distance below earlier highs, which is a line as they are.
    intercept
        Log-odds where every driver is 0; infinite where every row of the past was on one side.
    rate
        Share of past rows that exceeded the amount.
    """

    weights: Floats
    intercept: float
    rate: float

    @property
    def is_learned(self) -> bool:
        """Return whether the past held both sides."""
        return bool(np.isfinite(self.intercept))


def response(rows: pd.DataFrame, exceeded: Mask) -> Response:
    """Fit a response on rows whose horizon has passed.

    Parameters
    ----------
    rows
        As of `states`, nothing of them missing.
    exceeded
        Whether the horizon's liquidations exceeded the amount, shape (rows,).
    """
    rate = float(np.mean(exceeded))
    drivers = _drivers(rows, rows["low_ahead"].to_numpy())
    weights = np.zeros(drivers.shape[1])
    if rate in {0.0, 1.0}:
        return Response(weights, float(special.logit(rate)), rate)
    intercept = 0.0
    for count in (drivers.shape[1] - len(HIGHS), drivers.shape[1]):
        curve = _scaled(LogisticRegression(max_iter=2000))  # type: ignore[no-untyped-call]
        curve.fit(drivers[:, :count], exceeded)
        scaler, line = curve[0], curve[1]
        slopes = line.coef_[0] / scaler.scale_
        weights[:count] += slopes / 2.0
        intercept += float(line.intercept_[0] - slopes @ scaler.mean_) / 2.0
    return Response(weights, intercept, rate)


def _averaged(responses: Sequence[Response], rows: pd.DataFrame, lows: Floats) -> Floats:
    """Return probabilities averaged over lows of shape (rows, paths), shape (rows, responses)."""
    weights = np.column_stack([each.weights for each in responses])
    intercepts = np.array([each.intercept for each in responses])
    total = np.zeros((len(rows), len(responses)))
    for path in lows.T:
        total += special.expit(_drivers(rows, path) @ weights + intercepts)
    return total / lows.shape[1]


def _drivers(rows: pd.DataFrame, low: Floats) -> Floats:
    """Return what a response reads, shape (rows, 14); the highs come last."""
    columns: list[Any] = [low, low**2]
    columns += [np.minimum(0.0, low - rows[f"low{window}"].to_numpy()) for window in LOWS]
    columns += [rows[f"liquidated{window}"].to_numpy() for window in SUMS]
    columns += [np.log(rows[f"moved{half}"].to_numpy()) for half in (24, 168)]
    columns += [rows[f"high{window}"].to_numpy() for window in HIGHS]
    return np.column_stack(columns)


def has_drivers(rows: pd.DataFrame) -> Mask:
    """Return which rows lack nothing that a forecast reads, shape (rows,)."""
    zero = np.zeros(len(rows))
    drivers = _drivers(rows, zero)
    return np.asarray(np.isfinite(np.column_stack([drivers, _spans(rows)])).all(axis=1))


@dataclass(frozen=True, slots=True)
class ReserveModel:
    """A fitted forecast of a reserve's liquidations within the horizon.

    Parameters
    ----------
    path
        Distribution of the path's low.
    above
        Response of each amount in USD.
    ladder
        Response of each amount of `LADDER`, in 1e-4 of what is supplied.
    """

    path: PathModel
    above: dict[float, Response]
    ladder: tuple[Response, ...]

    def chances(self, rows: pd.DataFrame) -> dict[float, Floats]:
        """Return the probability of exceeding each amount in USD, shape (rows,) each."""
        averaged = _averaged([*self.above.values()], rows, self.path.lows(rows))
        return dict(zip(self.above, averaged.T, strict=True))

    def quantiles(self, rows: pd.DataFrame, levels: Sequence[float]) -> Floats:
        """Return quantiles of what is liquidated, 1e-4 of supply, shape (rows, levels)."""
        chances = _averaged(self.ladder, rows, self.path.lows(rows))
        falling = np.minimum.accumulate(chances, axis=1)
        return np.array([[_inverted(row, level) for level in levels] for row in falling])


def _inverted(chances: Floats, level: float) -> float:
    """Return where chances at `LADDER` fall to 1 - level, straight in logarithms.

    Below the least amount it is straight to 0; beyond the largest it goes on as the last step,
    falling at least as fast as `TAIL`.
    """
    beyond = 1.0 - level
    if chances[0] <= beyond:
        return float(LADDER[0] * chances[0] / beyond)
    is_inside = chances[-1] <= beyond
    place = int(np.argmax(chances <= beyond)) if is_inside else chances.size - 1
    high, low = np.log(np.maximum(chances[place - 1 : place + 1], LEAST_CHANCE))
    left, right = np.log(LADDER[place - 1 : place + 1])
    if is_inside:
        return float(np.exp(left + (high - np.log(beyond)) / (high - low) * (right - left)))
    fall = max((high - low) / (right - left), TAIL)
    return float(np.exp(right + (low - np.log(beyond)) / fall))


def reserve_model(market: pd.DataFrame, amounts: Sequence[float]) -> ReserveModel:
    """Fit on the past of a market and of its reserve.

    Parameters
    ----------
    market
        As of `states`, every row's horizon passed; rows before the reserve began serve the
        path alone.
    amounts
        USD, each with a response of its own.

    Raises
    ------
    ValueError
        No row of the reserve's past is complete.
    """
    is_whole = has_drivers(market) & market[["ahead", "low_ahead"]].notna().all(axis=1).to_numpy()
    rows = market[is_whole]
    if rows.empty:
        message = "no complete row of the reserve's past to learn from"
        raise ValueError(message)
    ahead = rows["ahead"].to_numpy()
    grown = opened(rows)
    share = (grown["ahead"] / grown["supplied"] / BASIS).to_numpy()
    return ReserveModel(
        path_model(market),
        {amount: response(rows, ahead > amount) for amount in amounts},
        tuple(response(grown, share > step) for step in LADDER.tolist()),
    )


def opened(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows without a reserve's opening, or all where there is nothing else."""
    grown = rows[rows.index >= rows.index[0] + pd.Timedelta(hours=OPENING)]
    return rows if grown.empty else grown
