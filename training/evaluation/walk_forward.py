"""Evaluate the way of training itself: refit before every half-year, judge the half-year.

Each bundle sees nothing of the half-year it is judged on, not even by a label:
`training.fitting.fit`
censors its labels at the end of its period. All half-years are judged together, on the same
rows, with every rung refitted as the model is.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from features.inputs import seconds
from models.errors import Fault, InvalidInput
from training.evaluation.evaluate import Fold, Period, forecast, judge_all
from training.evaluation.metrics import Mask
from training.fitting import fit
from training.fitting.heads import Progress
from training.sources import History, select_legs

LEAST_PAST = timedelta(days=60)
"""Less than this before a half-year is too little to train on."""

JULY = 7
Accounts = Literal["all", "disjoint"]
Half = Literal["trained", "judged"]


def half_years(begin: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Yield the half-years that [begin, end) touches, the first and last cut to it.

    >>> from datetime import UTC, datetime
    >>> spans = half_years(datetime(2021, 3, 1, tzinfo=UTC), datetime(2022, 2, 1, tzinfo=UTC))
    >>> [f"{a:%Y-%m} {b:%Y-%m}" for a, b in spans]
    ['2021-03 2021-07', '2021-07 2022-01', '2022-01 2022-02']
    """
    starts = [
        datetime(year, month, 1, tzinfo=UTC)
        for year in range(begin.year, end.year + 1)
        for month in (1, JULY)
    ]
    edges = [begin, *(start for start in starts if begin < start < end), end]
    yield from pairwise(edges)


def walk_forward(
    history: History,
    period: Period,
    *,
    accounts: Accounts,
    progress: Progress,
    owners: History | None = None,
) -> dict[str, Any]:
    """Return the report of all half-years of a period, each judged by a bundle of its past.

    Parameters
    ----------
    period
        What is judged; its beginning defaults to the first half-year with enough before it.
    accounts
        `disjoint`: every account is only trained on or only judged, by a hash of its name.
    owners
        Log of what owners did, for the owner part; None where `history` is that log.

    Raises
    ------
    InvalidInput
        When no half-year has enough before it.
    """
    at = seconds(history.moments["at"])
    first, last = (datetime.fromtimestamp(int(t), tz=UTC) for t in (at.min(), at.max()))
    end = period.end or last + timedelta(hours=1)
    folds: list[Fold] = []
    summaries: list[Mapping[str, Any]] = []
    for begin, until in half_years(period.begin or first + LEAST_PAST, end):
        if begin - first < LEAST_PAST:
            progress(f"{begin:%Y-%m-%d}: too little before it, not judged")
            continue
        progress(f"refitting on what came before {begin:%Y-%m-%d}")
        span = replace(period, begin=begin, end=until)
        fold = _fold(history, owners, span, accounts=accounts, progress=progress)
        folds.append(fold)
        summaries.append(
            {"from": begin.isoformat(), "to": until.isoformat(), "rows": len(fold.rows.at)}
        )
    if not folds:
        message = f"no half-year of the period has {LEAST_PAST.days} days before it"
        raise InvalidInput([Fault("--from,--to", message)])
    return {"folds": summaries, "split": accounts} | judge_all(
        folds, history, period, progress=progress
    )


def _fold(
    history: History,
    owners: History | None,
    period: Period,
    *,
    accounts: Accounts,
    progress: Progress,
) -> Fold:
    """Refit on everything before a period and forecast it."""
    trained, judged = history, history
    if accounts == "disjoint":
        trained, judged = only(history, "trained"), only(history, "judged")
    bundle = fit.fit(
        trained,
        source=period.source,
        begin=None,
        end=period.begin,
        seed=period.seed,
        progress=progress,
        owners=owners,
    )
    fold = forecast(judged, bundle, period, progress=progress)
    if accounts == "disjoint":
        return replace(fold, unseen=np.ones(len(fold.rows.at), dtype=bool))
    return fold


def only(history: History, half: Half) -> History:
    """Return a history of the accounts of one half, by a hash of the name."""
    in_half = _half(list(history.moments["account"].astype(str)), half)
    owners = _half([str(name) for name in history.episodes["account"]], half)
    touches = None if history.touches is None else history.touches[in_half].reset_index(drop=True)
    return replace(
        history,
        moments=history.moments[in_half].reset_index(drop=True),
        episodes=history.episodes[owners].reset_index(drop=True),
        legs=select_legs(history.legs, in_half),
        touches=touches,
    )


def _half(names: Sequence[str], half: Half) -> Mask:
    """Return which names belong to a half."""
    is_odd = {name: hashlib.sha256(name.encode()).digest()[0] % 2 == 1 for name in set(names)}
    odd = np.array([is_odd[name] for name in names], dtype=bool)
    return odd if half == "judged" else ~odd
