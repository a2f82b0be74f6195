"""Parts of the rows that are reported apart: stress windows, half-years, venues, sizes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from features.inputs import Floats, Ints, seconds
from training.baselines.baselines import Scored
from training.evaluation import metrics
from training.evaluation.metrics import Mask, ScoredOutcomes

BEFORE, AFTER = timedelta(days=2), timedelta(days=4)
"""A window named by its day holds the two days before it, itself and the three after."""


def _around(year: int, month: int, day: int) -> tuple[datetime, datetime]:
    """Return the window of a named day."""
    named = datetime(year, month, day, tzinfo=UTC)
    return named - BEFORE, named + AFTER


def month(year: int, month: int) -> tuple[datetime, datetime]:
    """Return the window of a named month."""
    begin = datetime(year, month, 1, tzinfo=UTC)
    return begin, (begin + timedelta(days=31)).replace(day=1)


STRESS: Mapping[str, tuple[datetime, datetime]] = {
    "2020-03-12": _around(2020, 3, 12),
    "2021-05-19": _around(2021, 5, 19),
    "2021-12-04": _around(2021, 12, 4),
    "2022-05": month(2022, 5),
    "2022-06": month(2022, 6),
    "2022-11": month(2022, 11),
    "2023-03": month(2023, 3),
    "2024-08-05": _around(2024, 8, 5),
}
"""Windows that every report shows apart where its period holds them; the end is excluded."""

SIZES: tuple[tuple[str, float], ...] = (
    ("under 10 k", 1e4),
    ("10 k to 100 k", 1e5),
    ("100 k to 1 M", 1e6),
    ("over 1 M", np.inf),
)
"""Debt in quote units."""

WATCH_LIST = 0.35
"""A fall of so much liquidates: collateral ratio under 2 where the line is 1.3."""

MOST = 40
UNKNOWN = "not said"


@dataclass(frozen=True, slots=True)
class Slice:
    """One part of the rows."""

    by: str
    name: str
    rows: Mask


def traits(moments: pd.DataFrame, *, source: str) -> pd.DataFrame:
    """Return what rows are told apart by: venue, asset, side, size, half-year.

    Parameters
    ----------
    moments
        Account moments; a column `venue` is used where the source has several.
    source
        Stands for the venue where there is no such column.
    """
    at = pd.DatetimeIndex(moments["at"])
    half = np.where(at.month <= 6, "H1", "H2")  # noqa: PLR2004 - June ends the first half
    sizes = np.array([bound for _, bound in SIZES[:-1]])
    debt = moments["debt_value"].to_numpy(dtype=np.float64)
    places = np.searchsorted(sizes, debt, side="right")
    names = np.array([name for name, _ in SIZES])
    return pd.DataFrame(
        {
            "venue": moments["venue"].astype(str) if "venue" in moments else source,
            "asset": moments["asset"].astype(str),
            "side": np.where(moments["side"].to_numpy() < 0, "short", "long"),
            "size": np.where(np.isnan(debt), UNKNOWN, names[places]),
            "half_year": [f"{year} {h}" for year, h in zip(at.year, half, strict=True)],
        },
        index=moments.index,
    )


def slices(traits: pd.DataFrame, at: Ints, *, distance: Floats, unseen: Mask) -> Iterator[Slice]:
    """Yield every part that holds rows, the largest MOST of each kind.

    Parameters
    ----------
    traits
        Of `traits`.
    at
        Seconds since 1970.
    distance
        log(price / trigger).
    unseen
        Rows of accounts that training never saw.
    """
    for name, (begin, end) in STRESS.items():
        yield Slice("stress", name, (at >= begin.timestamp()) & (at < end.timestamp()))
    for by in traits.columns:
        largest = traits[by].value_counts().index[:MOST]
        for name in sorted(largest):
            yield Slice(by, str(name), (traits[by] == name).to_numpy())
    near = distance <= -np.log1p(-WATCH_LIST)
    yield Slice("distance", "a fall of 35 % or less liquidates", near)
    yield Slice("distance", "farther", ~near)
    yield Slice("accounts", "never seen in training", unseen)
    yield Slice("accounts", "seen in training", ~unseen)


def compare_slices(
    part: Slice, rows: ScoredOutcomes, *, model: Scored, rung: Scored
) -> dict[str, Any] | None:
    """Return how the model and the best rung do on one part; None where it holds no row."""
    inside = part.rows
    if not inside.any():
        return None
    selected = rows.select(inside)
    model_figures, rung_figures = (
        metrics.calibration(s.probability[inside], selected) for s in (model, rung)
    )
    plain = ScoredOutcomes(selected.outcome, selected.zone, {})
    ranked = {
        name: metrics.rank(scored.score[inside], plain)
        for name, scored in (("model", model), ("rung", rung))
    }
    change = model_figures["log_loss"].relative_to(rung_figures["log_loss"])
    gain = model_figures["brier_skill"] - rung_figures["brier_skill"]
    figures = {
        "expected_observed": model_figures["expected_observed"],
        "rung_expected_observed": rung_figures["expected_observed"],
        "log_loss": model_figures["log_loss"],
        "log_loss_change": change,
        "brier_skill": model_figures["brier_skill"],
        "brier_skill_gain": gain,
        "average_precision": ranked["model"]["average_precision"],
        "rung_average_precision": ranked["rung"]["average_precision"],
        "auc": ranked["model"]["auc"],
    }
    counted = {"rows": int(inside.sum()), "positives": int(selected.outcome.sum())}
    if not counted["positives"]:
        # How far below the rung a forecast of nothing lies is no measure of either.
        nothing = metrics.Estimate(
            float("nan"), {name: np.array([]) for name in selected.resamplings}
        )
        figures |= {"log_loss_change": nothing, "brier_skill_gain": nothing}
    return {"by": part.by, "name": part.name, **counted, **metrics.summary(figures)}


def unseen(moments: pd.DataFrame, earlier: pd.DataFrame, *, until: datetime) -> Mask:
    """Return the rows of accounts that have no moment before `until`.

    Parameters
    ----------
    earlier
        All moments of the history.
    """
    before = earlier["account"].astype(str)[seconds(earlier["at"]) < until.timestamp()].unique()
    return ~moments["account"].astype(str).isin(set(before)).to_numpy()
