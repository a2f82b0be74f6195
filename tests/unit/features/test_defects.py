"""Defects of real market data: each has one stated treatment.

- gap: stays a gap; a window with less than half of it is missing, else it is of what is there;
- flash print: a wick counts up to what its own and the last candle moved otherwise;
- late row: a candle or reading counts from when it was known, whatever its place in the table;
- duplicate row: the table is refused, with the row;
- clock skew: a candle off the hour belongs to no hour and is dropped, counted; a candle that has
  not closed and a reading dated ahead are not seen yet;
- asset that appears or dies: missing until half a window is there, and when half is gone.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.inputs import (
    COLUMNS,
    HOUR,
    Candles,
    PointInTimeSeries,
    Tables,
    candles_on_grid,
    no_events,
)
from features.pipeline import BY_NAME, compute_feature
from features.tables import read_candles
from models.errors import InvalidTable

FIRST = 400_008
HOURS = 900


def path(seed: int = 1) -> Candles:
    """Return a steady random path with ordinary wicks."""
    generator = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(generator.normal(0, 0.01, HOURS)))
    opened = np.concatenate([[100.0], close[:-1]])
    high = np.maximum(opened, close) * np.exp(np.abs(generator.normal(0, 0.004, HOURS)))
    low = np.minimum(opened, close) * np.exp(-np.abs(generator.normal(0, 0.004, HOURS)))
    return Candles(FIRST, opened, high, low, close, np.full(HOURS, 10.0))


def feature(name: str, candles: Candles, hour: int = HOURS, **tables: object) -> float:
    """Return one feature of a long after `hour` candles."""
    at = pd.Timestamp((FIRST + hour) * HOUR, unit="s", tz="UTC").as_unit("ns")
    moments = pd.DataFrame(
        {
            "account": ["a"],
            "at": [at],
            "asset": ["ETH"],
            "side": [1],
            "price": [100.0],
            "price_next": [100.0],
            "delay": [0.0],
            "trigger": [80.0],
            "collateral": [1.0],
            "debt": [60.0],
            "debt_value": [60.0],
            "cash": [-80.0],
            "opened_at": pd.to_datetime([None], utc=True).as_unit("ns"),
        }
    )
    known = Tables(candles={"ETH": candles}, events=no_events(), **tables)  # type: ignore[arg-type]
    return float(compute_feature(BY_NAME[name], known, moments)[0])


def cut(candles: Candles, begin: int, end: int) -> Candles:
    """Return candles with hours begin ≤ k < end gone."""
    gone = np.zeros(HOURS, dtype=bool)
    gone[begin:end] = True
    columns = {name: np.where(gone, np.nan, getattr(candles, name)) for name in COLUMNS}
    return Candles(candles.first_hour, **columns)


def test_a_gap_leaves_a_value_of_what_is_there_and_none_of_too_little() -> None:
    """Eleven of 24 hours missing leave a value, 13 leave none; nothing is filled."""
    whole = path()
    assert np.isfinite(feature("falling_share_24h", cut(whole, HOURS - 15, HOURS - 4)))
    assert np.isnan(feature("falling_share_24h", cut(whole, HOURS - 17, HOURS - 4)))
    assert np.isnan(feature("return_sigmas_1h", cut(whole, HOURS - 2, HOURS - 1)))


@pytest.mark.parametrize(
    "name",
    [
        "parkinson_ratio_24h",
        "garman_klass_ratio_72h",
        "rogers_satchell_ratio_72h",
        "yang_zhang_ratio_168h",
        "range_ratio_24h_72h",
    ],
)
def test_a_flash_print_does_not_pass_for_volatility(name: str) -> None:
    """A low of a millionth of the price, as LINK printed, moves no log volatility by 0.2."""
    whole = path()
    low = whole.low.copy()
    low[HOURS - 10] *= 1e-6
    printed = Candles(FIRST, whole.open, whole.high, low, whole.close, whole.volume)
    assert abs(feature(name, printed) - feature(name, whole)) < 0.2


def test_a_flash_print_changes_nothing_that_reads_closes() -> None:
    """Volatility and distance of closes are judged as by a mark price."""
    whole = path()
    low = np.full(HOURS, 1e-6)
    printed = Candles(FIRST, whole.open, whole.high, low, whole.close, whole.volume)
    for name in ("distance_sigmas_72h", "below_high_168h", "jump_share_168h"):
        assert feature(name, printed) == feature(name, whole)


def frame(*hours: int) -> pd.DataFrame:
    """Return candles that open at these hours, in this order."""
    rows = len(hours)
    return pd.DataFrame(
        {
            "symbol": ["ETH"] * rows,
            "open_time": pd.to_datetime([(FIRST + h) * HOUR for h in hours], unit="s", utc=True),
            **{name: [h + 1.0 for h in hours] for name in ("open", "high", "low", "close")},
            "volume": [1.0] * rows,
        }
    )


def test_late_rows_take_their_place_in_time() -> None:
    """The order of rows does not matter, only the hour they tell of."""
    late = candles_on_grid(frame(2, 0, 3, 1))["ETH"]
    assert late.close.tolist() == [1.0, 2.0, 3.0, 4.0]


def test_a_reading_published_late_counts_from_its_publication() -> None:
    """A round an hour ahead of the moment is not seen; the one before it is."""
    at = (FIRST + HOURS) * HOUR
    rounds = PointInTimeSeries(np.array([at - 2 * HOUR, at + HOUR]), np.array([100.0, 200.0]))
    assert feature("oracle_age", path(), rounds={"ETH": rounds}) == pytest.approx(np.log(3.0))


def test_duplicate_rows_are_refused_with_their_place(tmp_path: Path) -> None:
    """Two candles of one hour cannot both be true."""
    file = tmp_path / "candles.parquet"
    frame(0, 1, 1).to_parquet(file)
    with pytest.raises(InvalidTable, match=r"open_time:row 3: \(ETH, .*\) stands twice"):
        read_candles(file, symbols=["ETH"])


def test_a_skewed_clock_puts_a_candle_in_no_hour(tmp_path: Path) -> None:
    """A candle five minutes off the hour overlaps two; it is dropped and counted."""
    file = tmp_path / "candles.parquet"
    rows = frame(0, 1, 2)
    rows.loc[1, "open_time"] += pd.Timedelta(minutes=5)
    rows.to_parquet(file)
    kept, dropped = read_candles(file, symbols=["ETH"])
    assert dropped == {"candles that do not start on the hour": 1}
    assert np.isnan(candles_on_grid(kept)["ETH"].close).tolist() == [False, True, False]


def test_a_candle_that_has_not_closed_is_not_seen() -> None:
    """With a clock ahead of the exchange, the candle of the current hour tells nothing yet."""
    whole = path()
    longer = Candles(
        FIRST,
        *(np.append(getattr(whole, name), 1e6) for name in COLUMNS),
    )
    assert feature("return_sigmas_1h", longer) == feature("return_sigmas_1h", whole)


@pytest.mark.parametrize(("age", "is_there"), [(60, False), (100, True)])
def test_a_new_asset_is_missing_until_half_a_window_is_there(age: int, *, is_there: bool) -> None:
    """Volatility of half-life 72 h needs half of its weights: not after 60 hours, after 100."""
    born = cut(path(), 0, HOURS - age)
    assert np.isfinite(feature("distance_sigmas_72h", born)) == is_there


@pytest.mark.parametrize(("since", "is_there"), [(10, True), (200, False)])
def test_a_dead_asset_is_missing_again(since: int, *, is_there: bool) -> None:
    """Ten hours after its last candle volatility is still told, 200 hours after no more."""
    dead = cut(path(), HOURS - since, HOURS)
    assert np.isfinite(feature("volatility_ratio_24h_72h", dead)) == is_there
    assert np.isnan(feature("return_sigmas_1h", dead))
    shorter = Candles(
        FIRST,
        *(getattr(dead, name)[: HOURS - since] for name in COLUMNS),
    )
    assert np.isnan(feature("return_sigmas_1h", shorter))
