"""A walk-forward test of the forecast of a reserve's liquidations, beside its baselines.

Every quarter is forecast by models fitted on rows whose 24 hours had passed when it began.
Hours follow one another, so an interval comes from drawing whole episodes: stretches above
the largest amount, each with the calm around it up to halfway to its neighbours.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from features.inputs import Floats, Ints
from models.book.reserve import (
    BASIS,
    HORIZON,
    ReserveModel,
    has_drivers,
    opened,
    reserve_model,
    states,
)
from models.errors import Fault, InvalidInput
from training.baselines.reserve import CHANCES, QUANTILES
from training.evaluation.metrics import (
    Estimate,
    Mask,
    Resampling,
    ScoredOutcomes,
    calibration,
    interval,
    rank,
    resample,
)
from training.sources.aave_hourly import Record

AMOUNTS = {"1e6": 1e6, "1e5": 1e5}
LEVELS = {"0.95": 0.95, "0.99": 0.99}
DRAWS = 1000
FEWEST_EPISODES = 3
CALM_HOURS = 24
"""Hours below the largest amount that end an episode."""

FORTNIGHT = 14 * 24
OURS = "structural"


@dataclass(slots=True)
class Forecasts:
    """Rows of every quarter, and each method's forecasts of them, appended quarter by quarter."""

    rows: list[pd.DataFrame] = field(default_factory=list)
    chances: dict[str, dict[str, list[Floats]]] = field(default_factory=dict)
    quantiles: dict[str, list[Floats]] = field(default_factory=dict)


def backtest(
    record: Record,
    begin: pd.Timestamp,
    end: pd.Timestamp,
    *,
    seed: int = 7,
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Forecast every hour of a period from its past, and score.

    Parameters
    ----------
    record
        A reserve and its market.
    begin, end
        First hour forecast and the hour after the last one, UTC.
    seed
        Of the resampling.
    progress
        Takes a line per quarter.

    Returns
    -------
    dict
        `thresholds` by amount and `quantiles` by level, each metric a number with its
        interval under `intervals`; `baselines` the same by name; and what was read.

    Raises
    ------
    InvalidInput
        No hour of the period can be judged, or nothing lies before it.
    """
    market = states(record.hours)
    answer = market[["ahead", "low_ahead"]].notna().all(axis=1).to_numpy() & has_drivers(market)
    inside = (market.index >= begin) & (market.index < end)
    if not (answer & inside).any():
        raise InvalidInput([Fault("--from", f"no hour of {begin:%F} to {end:%F} can be judged")])
    result = walk(market, answer, begin, end, progress)
    rows = pd.concat(result.rows)
    blocks, kind = _blocks(rows)
    drawn = resample(blocks, draws=DRAWS, seed=seed)
    methods = {name: _thresholds(parts, rows, drawn) for name, parts in result.chances.items()}
    tails = {name: _tails(parts, rows, drawn) for name, parts in result.quantiles.items()}
    return {
        "thresholds": methods.pop(OURS),
        "quantiles": tails.pop(OURS),
        "baselines": {
            **{name: {"thresholds": scored} for name, scored in methods.items()},
            **{name: {"quantiles": scored} for name, scored in tails.items()},
        },
        "unit": {"quantiles": "1e-4 of USD supplied", "thresholds": "USD within 24 hours"},
        "period": {"from": begin.isoformat(), "to": end.isoformat()},
        "hours": len(rows),
        "hours_left_out": int((inside & ~answer).sum()),
        "rates": {name: float((rows["ahead"] > at).mean()) for name, at in AMOUNTS.items()},
        "blocks": {"kind": kind, "count": int(blocks.max()) + 1},
        "repeated_rows_dropped": record.repeated,
        "unknown_stretches": [[item.isoformat() for item in gap] for gap in record.gaps],
        "quarterly_usd": record.quarters,
    }


def walk(
    market: pd.DataFrame,
    answer: Mask,
    begin: pd.Timestamp,
    end: pd.Timestamp,
    progress: Callable[[str], None] = lambda _: None,
) -> Forecasts:
    """Forecast the hours of a period quarter by quarter, each from what had passed before it.

    Parameters
    ----------
    market
        As of `states`.
    answer
        Which of its hours can be judged, shape (hours,).
    begin, end, progress
        As of `backtest`.
    """
    result = Forecasts()
    for start, stop in _quarters(begin, end):
        rows = market[(market.index >= start) & (market.index < stop) & answer]
        past = passed(market[answer], start)
        if rows.empty:
            continue
        if past.empty:
            raise InvalidInput([Fault("--from", f"no hour of the reserve lies before {start:%F}")])
        fitted = fitted_before(market, start)
        result.rows.append(rows)
        ours = fitted.chances(rows)
        for name, amount in AMOUNTS.items():
            _add(result.chances, OURS, name, ours[amount])
            for method, forecast in CHANCES.items():
                _add(result.chances, method, name, forecast(past, rows, amount))
        levels = list(LEVELS.values())
        result.quantiles.setdefault(OURS, []).append(fitted.quantiles(rows, levels))
        for method, of_past in QUANTILES.items():
            result.quantiles.setdefault(method, []).append(of_past(opened(past), rows, levels))
        progress(f"{start:%F}: {len(rows):,} hours forecast from {len(past):,}")
    return result


def passed(market: pd.DataFrame, moment: pd.Timestamp) -> pd.DataFrame:
    """Return the rows of `states` whose horizon had passed at a moment."""
    return market[market.index <= moment - pd.Timedelta(hours=HORIZON + 1)]


def fitted_before(market: pd.DataFrame, moment: pd.Timestamp) -> ReserveModel:
    """Fit on rows of `states` whose horizon had passed at a moment, one response per amount."""
    return reserve_model(passed(market, moment), list(AMOUNTS.values()))


def _add(
    chances: dict[str, dict[str, list[Floats]]], method: str, name: str, values: Floats
) -> None:
    chances.setdefault(method, {}).setdefault(name, []).append(values)


def _quarters(begin: pd.Timestamp, end: pd.Timestamp) -> list[tuple[pd.Timestamp, pd.Timestamp]]:
    """Return the parts of a period by quarter."""
    starts = pd.date_range(begin, end, freq="QS", tz="UTC", inclusive="left").normalize()
    edges = sorted({begin, *starts[starts > begin], end})
    return list(pairwise(edges))


def _blocks(rows: pd.DataFrame) -> tuple[Ints, str]:
    """Return the block of every row, and what a block is."""
    hour = np.asarray((rows.index - rows.index[0]) // pd.Timedelta(hours=1), dtype=np.int64)
    above = hour[(rows["ahead"] > max(AMOUNTS.values())).to_numpy()]
    breaks = np.flatnonzero(np.diff(above) > CALM_HOURS)
    if above.size == 0 or breaks.size + 1 < FEWEST_EPISODES:
        _, block = np.unique(hour // FORTNIGHT, return_inverse=True)
        return block.astype(np.int64), "fortnight"
    halfway = (above[breaks] + above[breaks + 1]) / 2.0
    return np.searchsorted(halfway, hour).astype(np.int64), "episode"


def _thresholds(
    parts: Mapping[str, Sequence[Floats]], rows: pd.DataFrame, drawn: Resampling
) -> dict[str, Any]:
    result = {}
    for name, values in parts.items():
        chance = np.concatenate(values)
        outcome = np.asarray(rows["ahead"] > AMOUNTS[name], dtype=np.float64)
        scored = ScoredOutcomes(outcome, np.ones(len(outcome), dtype=bool), {"episode": drawn})
        measured = rank(chance, scored) | calibration(chance, scored)
        names = ("auc", "average_precision", "brier_skill", "log_loss", "expected_observed")
        result[name] = _figures({metric: measured[metric] for metric in names})
    return result


def _tails(parts: Sequence[Floats], rows: pd.DataFrame, drawn: Resampling) -> dict[str, Any]:
    share = np.asarray(rows["ahead"] / rows["supplied"] / BASIS)
    result = {}
    for column, (name, level) in enumerate(LEVELS.items()):
        off = share - np.concatenate([values[:, column] for values in parts])
        measured = {
            "pinball": np.maximum(level * off, (level - 1.0) * off),
            "exceedance": (off > 0.0).astype(np.float64),
        }
        result[name] = _figures({key: _mean(values, drawn) for key, values in measured.items()})
    return result


def _mean(values: Floats, drawn: Resampling) -> Estimate:
    count = drawn.sums(np.ones_like(values))
    return Estimate(float(values.mean()), {"episode": drawn.sums(values) / count})


def _figures(measured: Mapping[str, Estimate]) -> dict[str, Any]:
    """Return each figure as a number, and its interval beside."""
    answer = {name: interval(estimate) for name, estimate in measured.items()}
    return {
        **{name: figures["value"] for name, figures in answer.items()},
        "intervals": {
            name: [figures["episode_low"], figures["episode_high"]]
            for name, figures in answer.items()
        },
    }
