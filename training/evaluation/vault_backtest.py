"""A walk-forward test of a whole book's forecast: complete vaults with what became of them.

Every day the book is what vaults hold at its first hour. A vault is *exposed* when the lowest
judged price of the next 24 hours reaches its trigger: it would be liquidated if nobody acted.
The forecast is the share of past lows, over the volatility then and times the volatility now,
that reach it; the price that the delayed oracle will show next is known and is the first step.
Few of the exposed are *liquidated*: owners act. How few is learnt from earlier days alone, of
vaults exposed for the first time and of those that were before and stand: who acted once acts
again.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from features.inputs import HOUR, Candles, Floats, Ints
from models.book.exceedance import christoffersen, kupiec, zone
from models.errors import Fault, InvalidInput
from training.evaluation.metrics import Mask, ScoredOutcomes, interval, rank, resample
from training.sources import History

ASSET = "ETH"
DAY = 24
HALF_LIFE = 12
YEAR = 365 * DAY
LEVELS = {"0.95": 0.95, "0.99": 0.99}
FEWEST_LOWS = 24 * 60
PRIOR_LIQUIDATED, PRIOR_EXPOSED = 2.0, 20.0
"""Exposed vault-days, and the liquidated ones among them, that each rate begins with."""

DRAWS = 1000
ROOM = 1e-12


@dataclass(frozen=True, slots=True)
class Days:
    """What was forecast of each day and what came, shape (days,) each.

    Parameters
    ----------
    first
        Hour at which the day begins.
    expected, exposed
        Vaults expected to be exposed, and exposed.
    expected_debt, exposed_debt
        The same in DAI.
    lar
        Quantile of the exposed debt by level, DAI.
    expected_liquidated, liquidated
        Vaults expected to be liquidated as owners act, and liquidated.
    liquidated_debt
        DAI owed by those.
    expected_lar
        Quantile of the liquidated debt by level as owners act, DAI.
    volatility
        Of the price at the beginning, per hour.
    """

    first: pd.DatetimeIndex
    expected: Floats
    exposed: Floats
    expected_debt: Floats
    exposed_debt: Floats
    lar: Mapping[str, Floats]
    expected_liquidated: Floats
    liquidated: Floats
    liquidated_debt: Floats
    expected_lar: Mapping[str, Floats]
    volatility: Floats


def backtest(
    history: History,
    begin: pd.Timestamp,
    end: pd.Timestamp,
    *,
    seed: int = 7,
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Forecast every day of a period and score.

    Parameters
    ----------
    history
        Vaults rebuilt hour by hour.
    begin, end
        First day, and the day after the last.
    seed
        Of the owners' draws and of the resampling.
    progress
        Takes a line per month.

    Raises
    ------
    InvalidInput
        No day of the period has both a book and enough past.
    """
    days = forecast_days(history, begin, end, seed=seed, progress=progress)
    return {**_scores(days, seed), "days": days.first.size, "by_day": _by_day(days)}


def forecast_days(
    history: History,
    begin: pd.Timestamp,
    end: pd.Timestamp,
    *,
    seed: int,
    progress: Callable[[str], None] = lambda _: None,
) -> Days:
    """Return every day's forecast beside what came of it."""
    path = _path(history.path["price"], _spans(history.tables.candles[ASSET]))
    starts = pd.date_range(begin, end, freq="D", inclusive="left")
    at_start = history.moments[history.moments["at"].isin(starts)]
    books = dict(tuple(at_start.groupby("at", observed=True)))
    episodes = history.episodes
    rows: list[dict[str, Any]] = []
    exposures, liquidations = np.zeros(2), np.zeros(2)
    before: set[str] = set()
    for first in starts:
        book = books.get(first)
        lows = _past_lows(path, first)
        if book is None or lows.size < FEWEST_LOWS or first not in path.index:
            continue
        now = Now(*(float(path[name][first]) for name in ("spread", "next", "low_ahead")))
        if not np.isfinite(now.low_ahead):
            continue
        ended = first + pd.Timedelta(hours=DAY)
        inside = (episodes["at"] > first) & (episodes["at"] <= ended)
        fell = set(episodes.loc[inside, "account"].astype(str))
        rates = (liquidations + PRIOR_LIQUIDATED) / (exposures + PRIOR_EXPOSED)
        names = book["account"].astype(str).to_numpy()
        again = np.isin(names, sorted(before))
        random = np.random.default_rng([seed, len(rows)])
        answer, exposed = _day(
            book, now, lows, np.isin(names, sorted(fell)), rates[again * 1], random
        )
        rows.append(answer)
        exposures += np.bincount(again[exposed], minlength=2)
        liquidations += np.bincount(again[exposed & np.isin(names, sorted(fell))], minlength=2)
        before |= set(names[exposed])
        if first.day == 1:
            progress(f"{first:%F}: {len(book):,} vaults, {lows.size:,} past lows")
    if not rows:
        detail = f"no day of {begin:%F} to {end:%F} has a book and {FEWEST_LOWS} hours before it"
        raise InvalidInput([Fault("--from", detail)])
    result = pd.DataFrame(rows)

    def column(name: str) -> Floats:
        return result[name].to_numpy(dtype=np.float64)

    return Days(
        pd.DatetimeIndex(result["first"]),
        column("expected"),
        column("exposed"),
        column("expected_debt"),
        column("exposed_debt"),
        {name: column(f"lar_{name}") for name in LEVELS},
        column("expected_liquidated"),
        column("liquidated"),
        column("liquidated_debt"),
        {name: column(f"expected_lar_{name}") for name in LEVELS},
        column("volatility"),
    )


@dataclass(frozen=True, slots=True)
class Now:
    """Volatility and next price at the beginning of a day, and the log low that it brought."""

    spread: float
    following: float
    low_ahead: float


def _spans(candles: Candles) -> "pd.Series[float]":
    """Return the squared range of each candle, by the hour at which it closes."""
    hours = candles.first_hour + 1 + np.arange(len(candles.close), dtype=np.int64)
    at = pd.DatetimeIndex(pd.to_datetime(hours * HOUR, unit="s", utc=True)).as_unit("ns")
    ranges = np.log(candles.high / candles.low) ** 2 / (4.0 * np.log(2.0))
    return pd.Series(ranges, at)


def _path(price: "pd.Series[float]", spans: "pd.Series[float]") -> pd.DataFrame:
    """Return volatility, the next judged price and the standardised low ahead, by hour.

    The volatility is Parkinson's, of ranges, which tell more of a few hours than closes do.
    """
    price = price.ffill()  # the oracle shows the last price until it has a new one
    level = spans.reindex(price.index).ewm(halflife=HALF_LIFE, min_periods=DAY).mean()
    spread = pd.Series(np.sqrt(level.to_numpy()), price.index)
    following = price.shift(-1)
    lowest = price.rolling(DAY, min_periods=1).min().shift(-DAY)
    ahead = pd.Series(np.log((lowest / following).to_numpy()), price.index)
    return pd.DataFrame(
        {"spread": spread, "next": following, "low_ahead": ahead, "step": ahead / spread}
    )


def _past_lows(path: pd.DataFrame, first: pd.Timestamp) -> Floats:
    """Return the standardised lows of a year whose days had passed at an hour."""
    before = path["step"][path.index <= first - pd.Timedelta(hours=DAY)]
    return np.asarray(before.dropna(), dtype=np.float64)[-YEAR:]


def _day(
    book: pd.DataFrame,
    now: Now,
    lows: Floats,
    liquidated: Mask,
    chance: Floats,
    random: np.random.Generator,
) -> tuple[dict[str, Any], Mask]:
    """Return one day's forecast and outcome, and which vaults were exposed."""
    trigger, debt = book["trigger"].to_numpy(), book["debt_value"].to_numpy()
    moved = np.sort(lows * now.spread)
    line = np.log(trigger / now.following)
    reached = np.searchsorted(moved, line + ROOM, side="right") / moved.size
    order = np.argsort(-line, kind="stable")  # who falls first
    owed = np.concatenate([[0.0], np.cumsum(debt[order])])
    count = np.searchsorted(-line[order], -moved + ROOM, side="right").astype(np.int64)
    exposed = now.low_ahead <= line + ROOM
    acts = _thinned(debt[order], count, chance[order], random)
    answer = {
        "first": book["at"].iloc[0],
        "expected": reached.sum(),
        "exposed": exposed.sum(),
        "expected_debt": (reached * debt).sum(),
        "exposed_debt": debt[exposed].sum(),
        "expected_liquidated": (reached * chance).sum(),
        "liquidated": liquidated.sum(),
        "liquidated_debt": debt[liquidated].sum(),
        "volatility": now.spread,
        **{f"lar_{name}": _quantile(owed[count], level) for name, level in LEVELS.items()},
        **{f"expected_lar_{name}": _quantile(acts, level) for name, level in LEVELS.items()},
    }
    return answer, exposed


def _thinned(debt: Floats, count: Ints, chance: Floats, random: np.random.Generator) -> Floats:
    """Return debt liquidated in every scenario when each exposed owner fails to act by chance.

    Drawn per account, never a share of accounts applied to debt: large owners weigh what
    they owe.
    """
    most = int(count.max(initial=0))
    fails = random.random((count.size, most)) < chance[:most]
    within = np.arange(most) < np.asarray(count)[:, np.newaxis]
    return np.asarray((fails & within) @ debt[:most])


def _quantile(values: Floats, level: float) -> float:
    return float(np.sort(values)[min(int(np.ceil(level * values.size)), values.size) - 1])


def _scores(days: Days, seed: int) -> dict[str, Any]:
    """Return ratios, tests of the quantiles and how well days are ranked."""
    fell = (days.liquidated > 0).astype(np.float64)
    weeks = np.arange(fell.size) // 7
    drawn = resample(weeks, draws=DRAWS, seed=seed)
    scored = ScoredOutcomes(fell, np.ones(fell.size, dtype=bool), {"week": drawn})
    yesterday = np.concatenate([[0.0], days.exposed[:-1]])
    ranked = {
        "expected_exposed": days.expected,
        "expected_liquidated": days.expected_liquidated,
        "volatility": days.volatility,
        "exposed_before": yesterday,
    }
    return {
        "exposed": {
            "expected": float(days.expected.sum()),
            "realised": float(days.exposed.sum()),
            "expected_over_realised": _ratio(days.expected.sum(), days.exposed.sum()),
            "debt_expected_over_realised": _ratio(
                days.expected_debt.sum(), days.exposed_debt.sum()
            ),
        },
        "liquidated": {
            "expected": float(days.expected_liquidated.sum()),
            "realised": float(days.liquidated.sum()),
            "realised_over_expected": _ratio(days.liquidated.sum(), days.expected_liquidated.sum()),
            "share_of_exposed": _ratio(days.liquidated.sum(), days.exposed.sum()),
            "share_of_exposed_debt": _ratio(days.liquidated_debt.sum(), days.exposed_debt.sum()),
        },
        "unattended": {
            name: _exceeded(days.exposed_debt, days.lar[name], 1.0 - level)
            for name, level in LEVELS.items()
        },
        "expected": {
            name: _exceeded(days.liquidated_debt, days.expected_lar[name], 1.0 - level)
            for name, level in LEVELS.items()
        },
        "days_with_liquidations": int(fell.sum()),
        "day_auc": {name: interval(rank(score, scored)["auc"]) for name, score in ranked.items()},
    }


def _exceeded(came: Floats, forecast: Floats, rate: float) -> dict[str, Any]:
    over = came > forecast
    count = int(over.sum())
    return {
        "exceedances": count,
        "kupiec_p": kupiec(count, over.size, rate).p_value,
        "christoffersen_p": christoffersen(over).p_value,
        "zone": zone(count, over.size, rate).value,
        "mean_usd": float(forecast.mean()),
    }


def _ratio(part: float, whole: float) -> float | None:
    return float(part / whole) if whole > 0 else None


def _by_day(days: Days) -> list[dict[str, Any]]:
    """Return what a chart of forecast and outcome shows."""
    return [
        {
            "day": first.date().isoformat(),
            "expected": float(days.expected[place]),
            "exposed": int(days.exposed[place]),
            "lar_99": float(days.lar["0.99"][place]),
            "exposed_debt": float(days.exposed_debt[place]),
            "liquidated_debt": float(days.liquidated_debt[place]),
        }
        for place, first in enumerate(days.first)
    ]
