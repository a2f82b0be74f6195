"""How well conduct ranks owners among those who are exposed, on a history with outcomes.

An account is exposed on a day when the price judged by comes, within it, to the line that the
account had at its beginning: whoever did nothing would have been liquidated. It is known at the
day's end. Scores are taken at the beginning of each exposed day from what was known then, the
population as well.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from features.inputs import HOUR
from models.conduct.exposures import Kind, Moment, Record, record
from models.conduct.score import (
    LEAST_POPULATION,
    STARTING,
    STARTING_WEIGHT,
    Evidence,
    Prior,
    band,
    estimate,
    evidence,
    fitted,
    points,
)
from models.errors import Fault, InvalidInput
from models.events import EventKind
from training.evaluation.metrics import ScoredOutcomes, calibration, interval, rank, resample
from training.sources import History

DAY = 24 * HOUR
REFIT = 7 * DAY
Population = list[Evidence] | None
"""What members of a population came to; None where too few were exposed to fit one."""

DRAWS = 1000
OTHER_STARTS = tuple((rate, weight) for rate in (0.01, 0.1, 0.3) for weight in (1.0, 5.0, 200.0))
"""Rates and weights that owners might start from instead."""

OTHER_WEIGHTS = (20.0, 50.0, STARTING_WEIGHT)
"""Weights that the starting rate of a population might have instead."""

KINDS: Mapping[EventKind, Kind] = {
    EventKind.DEPOSIT: Kind.DEPOSIT,
    EventKind.WITHDRAW: Kind.WITHDRAW,
    EventKind.BORROW: Kind.BORROW,
    EventKind.REPAY: Kind.REPAY,
}


@dataclass(frozen=True, slots=True)
class ExposedDay:
    """A day on which an account would have been liquidated, had nobody acted.

    Parameters
    ----------
    at
        Second at which it begins.
    liquidated_at
        Second of the first liquidation within it; None where there was none.
    """

    account: str
    at: int
    liquidated_at: int | None


def exposed_days(history: History) -> list[ExposedDay]:
    """Return every exposed day of a history, oldest first.

    Raises
    ------
    InvalidInput
        When the history tells no hourly price that its venue judges by.
    """
    if history.path.empty:
        message = "conduct needs the hourly price that the venue judges by, as maker-ethb has it"
        raise InvalidInput([Fault("--source", message)])
    path = history.path["price"]
    first = int(path.index[0].timestamp()) // HOUR
    prices = path.to_numpy(dtype=np.float64)
    liquidated: dict[str, list[int]] = defaultdict(list)
    for account, at in zip(history.episodes["account"], history.episodes["at"], strict=True):
        liquidated[str(account)].append(int(at.timestamp()))
    frame = history.moments[["account", "at", "trigger"]]
    hours = frame["at"].astype("int64").to_numpy() // 10**9 // HOUR
    is_midnight = hours % 24 == 0
    days = []
    rows = zip(
        frame["account"].astype(str).to_numpy()[is_midnight],
        hours[is_midnight],
        frame["trigger"].to_numpy(dtype=np.float64)[is_midnight],
        strict=True,
    )
    for account, hour, trigger in rows:
        ahead = prices[hour - first + 1 : hour - first + 25]
        begin, end = int(hour) * HOUR, int(hour) * HOUR + DAY
        censored = history.censored_at.get(account)
        if len(ahead) < DAY // HOUR or (censored is not None and censored.timestamp() < end):
            continue
        if np.nanmin(ahead) <= trigger:
            at = [second for second in liquidated[account] if begin < second <= end]
            days.append(ExposedDay(account, begin, min(at) if at else None))
    return sorted(days, key=lambda day: (day.at, day.account))


def moments_of(history: History, days: Sequence[ExposedDay]) -> dict[str, list[Moment]]:
    """Return what happened to each account, oldest first, as conduct reads it.

    The size of an account's last action is not in the log of what was there before each: it is
    taken to be whole.
    """
    venue = history.markets[0] if history.markets else "history"
    rows: dict[str, list[Moment]] = defaultdict(list)
    for account, at, kind, amount, share in _actions(history):
        rows[account].append(
            Moment(
                account=account, venue=venue, at=_time(at), kind=kind, amount=amount, share=share
            )
        )
    for day in days:
        end = day.at + DAY if day.liquidated_at is None else day.liquidated_at
        kind = Kind.RELEASED if day.liquidated_at is None else Kind.LIQUIDATE
        for at, what in ((day.at, Kind.EXPOSED), (end, kind)):
            rows[day.account].append(
                Moment(account=day.account, venue=venue, at=_time(at), kind=what)
            )
    order = [Kind.RELEASED, *(kind for kind in Kind if kind is not Kind.RELEASED)]
    return {
        account: sorted(listed, key=lambda m: (m.at, order.index(m.kind)))
        for account, listed in rows.items()
    }


def _actions(history: History) -> Iterator[tuple[str, int, Kind, float, float]]:
    """Yield the owners' actions: account, second, kind, amount, share of what was there."""
    events = history.tables.events
    order = np.lexsort((np.arange(len(events.at)), events.account.astype(str)))
    for this, following in zip(order, [*order[1:], -1], strict=True):
        kind = KINDS.get(EventKind(int(events.kind[this])))
        if kind is None:
            continue
        moves = kind in {Kind.DEPOSIT, Kind.WITHDRAW}
        column = events.collateral_before if moves else events.debt_before
        before = float(column[this])
        amount = max(before, 1.0)
        if following >= 0 and events.account[following] == events.account[this]:
            amount = abs(float(column[following]) - before)
        share = amount / before if before else 1.0
        if not events.debt_before[this]:
            share = 0.0
        yield str(events.account[this]), int(events.at[this]), kind, amount, share


def _time(second: int) -> datetime:
    """Return a second as a time."""
    return datetime.fromtimestamp(second, tz=UTC)


def judged(history: History, *, seed: int = 7) -> dict[str, Any]:
    """Return how conduct ranks and predicts, with intervals over whole accounts.

    Returns
    -------
    dict
        `exposed_days`, `accounts`, `liquidated`, `without_history`; `auc` against the population
        that every venue starts with, which knows nothing of the history; beside it the same with a
        population fitted each week to what was known then, whose level moves between markets, and
        `auc_by_days_90`, the count of protective days in the 90 days before. `within_month` are
        the first and the last of these between days of the same 30 days alone, where neither level
        nor the length of records tells days apart. `brier_skill` against the days' own rate, and
        `bands` with their rates, are of the moving population. `other_constants` tells the first
        two areas under constants that were not chosen.
    """
    days = exposed_days(history)
    moments = moments_of(history, days)
    evidences, members, counts = [], [], []
    fitted_at, population = -REFIT, None
    for day in days:
        moment = _time(day.at)
        if day.at - fitted_at >= REFIT:
            population, fitted_at = _population(moments, moment), day.at
        past = record(moments[day.account], as_of=moment)
        evidences.append(evidence(past))
        members.append(population)
        counts.append(_days_90(past))
    outcome = np.array([float(day.liquidated_at is not None) for day in days])
    blocks = pd.factorize(pd.Series([day.account for day in days]))[0].astype(np.int64)
    draws = {"account": resample(blocks, draws=DRAWS, seed=seed)}
    rows = ScoredOutcomes(outcome, np.ones(len(days), dtype=bool), draws)
    chance = _moving(evidences, members, weight=STARTING_WEIGHT)
    fixed = _fixed(evidences, STARTING)
    by_name = {"auc": fixed, "auc_by_days_90": -np.array(counts, dtype=np.float64)}
    months = np.array([day.at // (30 * DAY) for day in days])
    return {
        "exposed_days": len(days),
        "accounts": len(set(blocks)),
        "liquidated": int(outcome.sum()),
        "without_history": sum(each.exposures <= 0 for each in evidences),
        "auc": interval(rank(by_name["auc"], rows)["auc"]),
        "auc_with_moving_population": interval(rank(chance, rows)["auc"]),
        "auc_by_days_90": interval(rank(by_name["auc_by_days_90"], rows)["auc"]),
        "within_month": ranked_within(by_name, outcome, months),
        "brier_skill": interval(calibration(chance, rows)["brier_skill"]),
        "bands": _bands(chance, outcome),
        "other_constants": {
            "auc": {
                f"{rate:g} at the weight of {weight:g}": interval(
                    rank(_fixed(evidences, _start(rate, weight)), rows)["auc"]
                )
                for rate, weight in OTHER_STARTS
            },
            "auc_with_moving_population": {
                f"weight of {weight:g}": interval(
                    rank(_moving(evidences, members, weight=weight), rows)["auc"]
                )
                for weight in OTHER_WEIGHTS
            },
        },
    }


def _start(rate: float, weight: float) -> Prior:
    """Return a population of a rate at the weight of so many exposures."""
    return Prior(rate * weight, (1 - rate) * weight)


def _fixed(evidences: Sequence[Evidence], prior: Prior) -> np.ndarray[Any, Any]:
    """Return the probability of each day's owner, started from one population."""
    return np.array([estimate(each, prior).probability for each in evidences])


def _moving(
    evidences: Sequence[Evidence], members: Sequence[Population], *, weight: float
) -> np.ndarray[Any, Any]:
    """Return the probability of each day's owner, started from the population of its week.

    Parameters
    ----------
    members
        Of the population as it was known on each day; None where too few were exposed.
    """
    # Days of one week share their population, which is added up once.
    priors = {
        id(of): STARTING if of is None else fitted(of, weight=weight)
        for of in {id(each): each for each in members}.values()
    }
    return np.array(
        [
            estimate(each, priors[id(of)]).probability
            for each, of in zip(evidences, members, strict=True)
        ]
    )


def ranked_within(
    scores: Mapping[str, np.ndarray[Any, Any]],
    outcome: np.ndarray[Any, Any],
    strata: np.ndarray[Any, Any],
) -> dict[str, float | None]:
    """Return the pairs of one stratum, one liquidated and one not, and the shares ranked rightly.

    A tie counts a half; without a pair there is no share.
    """
    pairs, right = 0, dict.fromkeys(scores, 0.0)
    for stratum in np.unique(strata):
        bad, good = ((strata == stratum) & (outcome == kind) for kind in (1, 0))
        pairs += int(bad.sum()) * int(good.sum())
        for name, score in scores.items():
            difference = score[bad][:, None] - score[good][None, :]
            right[name] += float((difference > 0).sum() + 0.5 * (difference == 0).sum())
    return {"pairs": pairs} | {
        name: ranked / pairs if pairs else None for name, ranked in right.items()
    }


def _population(moments: Mapping[str, Sequence[Moment]], at: datetime) -> Population:
    """Return the members of the population as it was known at a moment; None of too few."""
    members = [evidence(_ended(rows, at)) for rows in moments.values()]
    is_too_few = sum(member.exposures > 0 for member in members) < LEAST_POPULATION
    return None if is_too_few else members


def _ended(rows: Sequence[Moment], at: datetime) -> Record:
    """Return the record of an account with an exposure behind it; an empty one otherwise."""
    if not any(m.kind in {Kind.RELEASED, Kind.LIQUIDATE} and m.at <= at for m in rows):
        return Record(as_of=at)
    return record(rows, as_of=at)


def _days_90(past: Record) -> int:
    """Return how many protective days stand in the 90 days before."""
    return sum(past.as_of - day.at <= timedelta(days=90) for day in past.days)


def _bands(chance: np.ndarray[Any, Any], outcome: np.ndarray[Any, Any]) -> list[dict[str, Any]]:
    """Return the rate of liquidation in each band."""
    names = np.array([band(points(float(p))) for p in chance])
    return [
        {
            "band": str(name),
            "days": int((names == name).sum()),
            "expected": float(chance[names == name].mean()),
            "liquidated": float(outcome[names == name].mean()),
        }
        for name in sorted(set(names), key=lambda n: float(chance[names == n].mean()))
    ]
