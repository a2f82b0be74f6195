"""Two bundles on the same rows: equal ones differ by nothing, a worse one to the worse side."""

import numpy as np
import pandas as pd
import pytest

from models.horizons import HORIZONS, LABELS
from training.evaluation.beside import WHOLE, beside
from training.evaluation.comparison import Pooled
from training.evaluation.oracles import Hindsight

HEADS = {"touch": "unattended"}
NAMES = ("log_loss_change", "brier_skill_gain", "average_precision_gain")
ENDS = ("value", "low", "high", "day_low", "day_high")
ROWS = 8_000
JULY = 1_625_097_600
"""2021-07-01 00:00 UTC."""

K = LABELS.index("24h")


def drawn() -> tuple[Pooled, np.ndarray]:
    """Return rows over the turn of a half-year, and the true probabilities of their events."""
    draw = np.random.default_rng(3)
    at = JULY + 3600 * (np.arange(ROWS) // 2 - ROWS // 4)
    odds = draw.normal(-3.0, 1.5, ROWS)
    truth = np.repeat(1.0 / (1.0 + np.exp(-odds))[:, None], len(HORIZONS), axis=1)
    happened = np.where(draw.random(ROWS) < truth[:, 0], 0.5, np.inf)
    nothing = np.full((ROWS, len(HORIZONS)), np.nan)
    account = draw.integers(0, 60, ROWS)
    half = np.where(at < JULY, "2021 H1", "2021 H2")
    rows = Pooled(
        at=at,
        account=account,
        names=account.astype(str).astype(object),
        happened={"unattended": happened},
        censoring={"unattended": np.full(ROWS, 200.0)},
        distance=np.ones(ROWS),
        sigmas=np.ones(ROWS),
        traits=pd.DataFrame({"half_year": half}),
        unseen=np.zeros(ROWS, dtype=bool),
        hindsight=Hindsight(nothing, nothing, at * 1.0, at * 1.0, at * 1.0),
    )
    return rows, truth


def loss(p: np.ndarray, y: np.ndarray) -> float:
    """Return the mean log-loss, as its definition has it."""
    return -float(
        np.mean([np.log(q) if one else np.log(1.0 - q) for q, one in zip(p, y, strict=True)])
    )


def test_a_bundle_beside_itself_changes_nothing() -> None:
    """Every difference and both ends of every interval are 0, of the whole and of each half."""
    rows, truth = drawn()
    found = beside(rows, {"unattended": truth}, {"unattended": truth}, heads=HEADS, seed=7)
    for parts in found["touch"].values():
        assert [part["name"] for part in parts] == [WHOLE, "2021 H1", "2021 H2"]
        for part in parts:
            for name in NAMES:
                assert {end: part[name][end] for end in ENDS} == dict.fromkeys(ENDS, 0.0)


def test_a_worse_bundle_is_told_worse_and_a_better_one_better() -> None:
    """Odds drawn together and noised lose in all three; the other way about all signs turn."""
    rows, truth = drawn()
    noise = np.random.default_rng(4).normal(0.0, 1.0, truth.shape)
    worse = 1.0 / (1.0 + (1.0 / truth - 1.0) * np.exp(noise))
    lost = beside(rows, {"unattended": worse}, {"unattended": truth}, heads=HEADS, seed=7)
    won = beside(rows, {"unattended": truth}, {"unattended": worse}, heads=HEADS, seed=7)
    for part in lost["touch"]["24h"]:
        assert part["log_loss_change"]["day_low"] > 0.0
        assert part["brier_skill_gain"]["day_high"] < 0.0
        assert part["average_precision_gain"]["day_high"] < 0.0
    for part in won["touch"]["24h"]:
        assert part["log_loss_change"]["day_high"] < 0.0
        assert part["brier_skill_gain"]["day_low"] > 0.0
        assert part["average_precision_gain"]["day_low"] > 0.0
    whole = lost["touch"]["24h"][0]
    happened = np.isfinite(rows.happened["unattended"])
    expected = loss(worse[:, K], happened) / loss(truth[:, K], happened) - 1.0
    assert whole["log_loss_change"]["value"] == pytest.approx(expected, rel=1e-9)
    assert whole["positives"] == happened.sum()


def test_only_rows_that_both_forecast_and_whose_window_is_known_are_compared() -> None:
    """A censored window and a row without a forecast of either are left out; without any: none."""
    rows, truth = drawn()
    rows.censoring["unattended"][:100] = 23.0
    happened = np.isfinite(rows.happened["unattended"])
    ours, theirs = truth.copy(), truth.copy()
    ours[100:150], theirs[140:200] = np.nan, np.nan
    found = beside(rows, {"unattended": ours}, {"unattended": theirs}, heads=HEADS, seed=7)
    assert found["touch"]["24h"][0]["rows"] == ROWS - 200 + happened[:100].sum()
    assert found["touch"]["4h"][0]["rows"] == ROWS - 100
    ours[:] = np.nan
    none = beside(rows, {"unattended": ours}, {"unattended": theirs}, heads=HEADS, seed=7)
    assert none["touch"] == {label: [] for label in LABELS}
