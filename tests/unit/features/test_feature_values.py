"""Features on small histories, against values worked out by hand."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.inputs import (
    HOUR,
    LOOKBACK,
    Candles,
    Events,
    PointInTimeSeries,
    Tables,
    no_events,
)
from features.pipeline import BY_NAME, FEATURES, compute_feature
from models.events import EventKind

FIRST = 400_008
HOURS = 800
NOW = FIRST + HOURS


def candles(close: np.ndarray, **columns: np.ndarray) -> Candles:
    """Return candles that open and reach where they close, unless said otherwise."""
    flat = {"open": close, "high": close, "low": close, "volume": np.full(len(close), 10.0)}
    return Candles(FIRST, close=close, **{**flat, **columns})


def zigzag(step: float = 0.01) -> np.ndarray:
    """Return closes that rise and fall by turns: every return is ± `step`."""
    return 100.0 * np.exp(step * (np.arange(HOURS) % 2))


def value(name: str, tables: Tables, **changes: Any) -> float:
    """Return one feature of one account in ETH at the end of the history."""
    told: dict[str, Any] = {
        "account": "a",
        "at": pd.Timestamp(NOW * HOUR, unit="s", tz="UTC").as_unit("ns"),
        "asset": "ETH",
        "side": 1,
        "price": 100.0,
        "price_next": 100.0,
        "delay": 1.0,
        "trigger": 80.0,
        "collateral": 2.0,
        "debt": 100.0,
        "debt_value": 100.0,
        "cash": -160.0,
        "opened_at": pd.NaT,
        "venue": "x",
    }
    moments = pd.DataFrame([{**told, **changes}])
    moments["opened_at"] = pd.to_datetime(moments["opened_at"], utc=True).dt.as_unit("ns")
    return float(compute_feature(BY_NAME[name], tables, moments)[0])


def known(close: np.ndarray | None = None, **tables: Any) -> Tables:
    """Return a history of one asset."""
    path = candles(zigzag() if close is None else close)
    return Tables(**{"candles": {"ETH": path}, "events": no_events(), **tables})


def readings(*told: tuple[float, float]) -> PointInTimeSeries:
    """Return values by hours before now, oldest first."""
    at = [int((NOW - back) * HOUR) for back, _ in told]
    return PointInTimeSeries(np.array(at, dtype=np.int64), np.array([value for _, value in told]))


def events(*told: tuple[float, EventKind]) -> Events:
    """Return account `a`'s events by hours before now, oldest first; holdings never changed."""
    return Events(
        account=np.array(["a"] * len(told), dtype=object),
        at=np.array([int((NOW - back) * HOUR) for back, _ in told], dtype=np.int64),
        kind=np.array([int(kind) for _, kind in told], dtype=np.int64),
        collateral_before=np.full(len(told), 2.0),
        debt_before=np.full(len(told), 100.0),
    )


ZIGZAG: Mapping[str, float] = {
    "volatility_ratio_6h_24h": 0.0,
    "realised_ratio_24h_168h": 0.0,
    "falling_share_24h": 0.5,
    "skewness_168h": 0.0,
    "volatility_of_volatility_168h": 0.0,
    "autocorrelation_168h": -1.0,
    "roll_spread_168h": 2.0,
    "unmoved_share_168h": 0.0,
    "below_high_24h": 0.0,
    "above_low_24h": 1 / np.sqrt(24),
    "worst_fall_720h": 1.0,
    "profile_1h": 0.0,
    "distance_sigmas_6h": 22.31435513142097 / np.sqrt(24),
    "distance_market": 0.2331435513142097,
    "distance_worst": (22.31435513142097 - 3.0) / np.sqrt(24),
    "next_is_liquidatable": 0.0,
    "volatile_collateral_share": 1.0,
    "volatile_debt_share": 0.0,
    "loan_to_value": -0.6931471805599453,
}


@pytest.mark.parametrize("name", ZIGZAG)
def test_a_path_that_rises_and_falls_by_turns(name: str) -> None:
    """Every return is one sigma up or down."""
    assert value(name, known()) == pytest.approx(ZIGZAG[name], abs=1e-9)


def test_a_range_of_one_size_gives_its_textbook_variance() -> None:
    """Candles that open and close at 100 and reach 1 % both ways, between closes one sigma off."""
    close = zigzag(0.02)
    wide = candles(close, high=close * np.exp(0.01), low=close * np.exp(-0.01))
    tables = known(candles={"ETH": wide})
    # Parkinson: (0.02)² / 4 ln 2 against 0.02².
    assert value("parkinson_ratio_24h", tables) == pytest.approx(
        0.5 * np.log(1 / 2.772588722239781)
    )
    assert value("garman_klass_ratio_72h", tables) == pytest.approx(0.5 * np.log(0.5))
    assert value("rogers_satchell_ratio_72h", tables) == pytest.approx(0.5 * np.log(0.5))


def test_a_basis_and_funding_are_against_the_side_that_pays() -> None:
    """A long pays funding above zero, a short receives it; in daily volatilities."""
    told = {"funding": {"ETH": readings((30, 0.5), (16, 0.01), (8, 0.02), (0, 0.03))}}
    daily = 0.01 * np.sqrt(24)
    assert value("funding_24h", known(**told)) == pytest.approx(0.06 / daily)
    assert value("funding_now", known(**told)) == pytest.approx(0.03 / daily)
    assert value("funding_24h", known(**told), side=-1, trigger=120.0) == pytest.approx(
        -0.06 / daily
    )
    perpetual = {"perpetuals": {"ETH": candles(zigzag() * np.exp(0.005))}}
    assert value("basis", known(**perpetual)) == pytest.approx(0.005 / daily)


def test_what_is_not_known_of_the_venue_is_missing_never_zero() -> None:
    """Without the table, or with a stale or foreign reading, there is no value."""
    assert np.isnan(value("utilisation", known()))
    fresh = {"utilisation": {("x", "ETH"): readings((49, 0.1), (3, 0.8))}}
    assert value("utilisation", known(**fresh)) == 0.8
    assert np.isnan(value("utilisation", known(**fresh), venue="y"))
    stale = {"utilisation": {("x", "ETH"): readings((49, 0.8))}}
    assert np.isnan(value("utilisation", known(**stale)))
    assert value("reserve_cover", known(liquidity={("x", "ETH"): readings((1, 200.0))})) == (
        pytest.approx(np.log(2.0))
    )


def test_an_oracle_is_as_old_as_its_last_answer() -> None:
    """Two and a half hours after its answer, 2 % under the market's last close."""
    rounds = {"rounds": {"ETH": readings((9, 90.0), (2.5, 101.00501670841679 * np.exp(-0.02)))}}
    assert value("oracle_age", known(**rounds)) == pytest.approx(np.log(3.5))
    assert value("oracle_gap", known(**rounds)) == pytest.approx(0.02 / (0.01 * np.sqrt(24)))


def test_a_path_of_its_own_reference_is_that_reference() -> None:
    """ETH moves with ETH one to one; its inverse against it; BTC at twice the size is not it."""
    twice = candles(zigzag(0.02))
    tables = known(candles={"ETH": candles(zigzag()), "BTC": twice})
    assert value("beta_eth", tables) == pytest.approx(1.0, abs=1e-6)
    assert value("beta_btc", tables) == pytest.approx(0.5)
    assert value("correlation_btc", tables) == pytest.approx(1.0)
    assert value("correlation_btc", tables, side=-1, trigger=120.0) == pytest.approx(-1.0)
    assert value("volatility_against_btc", tables) == pytest.approx(-0.6931471805599453)


def test_the_market_is_the_median_of_at_least_five_assets() -> None:
    """Four assets are no market; with five the middle one speaks for it."""
    steps = {"ETH": 0.01, "BTC": 0.02, "SOL": 0.03, "UNI": 0.04, "LINK": 0.05}
    grids = {name: candles(zigzag(step)) for name, step in steps.items()}
    five = value("volatility_against_market", known(candles=grids))
    assert five == pytest.approx(np.log(1 / 3))
    grids.pop("LINK")
    assert np.isnan(value("volatility_against_market", known(candles=grids)))


def test_time_of_week_is_counted_from_monday() -> None:
    """2020-01-04 was a Saturday; at six in the morning a quarter of the day is gone."""
    saturday = pd.Timestamp("2020-01-04 06:00", tz="UTC").as_unit("ns")
    monday = pd.Timestamp("2020-01-06 00:00", tz="UTC").as_unit("ns")
    assert value("weekend", known(), at=saturday) == 1.0
    assert value("weekend", known(), at=monday) == 0.0
    assert value("hour_sine", known(), at=saturday) == pytest.approx(1.0)
    assert value("day_sine", known(), at=monday) == pytest.approx(0.0)
    assert value("day_cosine", known(), at=monday) == pytest.approx(1.0)


def fall_and_recovery() -> np.ndarray:
    """Return a price at 100 that stands at 84 from 20 to 11 hours before now."""
    close = np.full(HOURS, 100.0)
    close[-20:-10] = 84.0
    return close


def test_buffers_near_misses_and_answers_are_counted_by_the_hour() -> None:
    """Ten of 719 hours under 5 % of the line at 80, left once, answered after four hours."""
    log = events((40, EventKind.DEPOSIT), (15, EventKind.REPAY), (12, EventKind.REPAY))
    tables = known(fall_and_recovery(), events=log)
    assert value("under_5_share_720h", tables) == pytest.approx(10 / 719)
    assert value("under_20_share_720h", tables) == pytest.approx(10 / 719)
    assert value("near_misses_720h", tables) == 1.0
    assert value("answer_hours_720h", tables) == pytest.approx(np.log(1 + 4.0))


def test_a_fall_nobody_answered_has_no_answer_time() -> None:
    """An owner who never acted in danger has no reaction time, not one of zero."""
    tables = known(fall_and_recovery(), events=events((40, EventKind.DEPOSIT)))
    assert np.isnan(value("answer_hours_720h", tables))


def test_a_machine_rescues_at_even_intervals() -> None:
    """Rescues every ten hours have no spread; fewer than three tell nothing."""
    even = events(*((back, EventKind.REPAY) for back in (40, 30, 20, 10)))
    assert value("rescue_regularity_720h", known(events=even)) == 0.0
    uneven = events(*((back, EventKind.REPAY) for back in (40, 30, 0.5)))
    assert value("rescue_regularity_720h", known(events=uneven)) == pytest.approx(
        0.4936708860759494
    )
    few = events((40, EventKind.REPAY), (30, EventKind.REPAY))
    assert np.isnan(value("rescue_regularity_720h", known(events=few)))


def test_accrual_and_the_next_verdict_are_told() -> None:
    """Interest that flips the verdict in 23 hours; a next price already at the line."""
    assert value("accrual_hours", known(), accrual_hours=23.0) == pytest.approx(np.log(24.0))
    assert value("accrual_hours", known(), accrual_hours=np.inf) == pytest.approx(np.log(169.0))
    assert np.isnan(value("accrual_hours", known()))
    assert value("next_is_liquidatable", known(), price_next=80.0) == 1.0


def test_no_feature_looks_further_back_than_is_said() -> None:
    """The furthest one, and the candle that it begins in."""
    furthest = max(feature.lookback for feature in FEATURES)
    assert timedelta(hours=1) + furthest == LOOKBACK
