"""Rolling state gives the bits of the batch: by parts, candle by candle, after a crash."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features import grid
from features.grid import at_moments, market_function, market_grids, market_values
from features.inputs import COLUMNS, HOUR, Candles, Floats
from features.market import MarketWindows, RecordedWindows
from features.online import RollingMarket
from features.pipeline import FEATURES
from models.errors import InvalidInput

HOURS = 1700
MONTH = 720
FIRST = 400_000
ALONE = tuple(feature for feature in FEATURES if feature.sources == {"candles"})
FUNCTIONS = tuple(market_function(feature) for feature in ALONE)
BORN, DIED = 300, 900


@cache
def market() -> dict[str, Candles]:
    """Return hourly candles: one with gaps, one without, one that is born late and dies."""
    return {"gaps": candles(1, gaps=0.02), "whole": candles(2, gaps=0.0), "brief": brief()}


def candles(seed: int, *, gaps: float) -> Candles:
    """Return a random path."""
    generator = np.random.default_rng(seed)
    close = 2000.0 * np.exp(np.cumsum(generator.standard_t(4, HOURS) * 0.01))
    close[generator.random(HOURS) < gaps] = np.nan
    wide = np.exp(np.abs(generator.normal(0, 0.004, HOURS)))
    volume = np.where(np.isnan(close), np.nan, generator.lognormal(8, 1, HOURS))
    return Candles(FIRST, close / wide, close * wide, close / wide, close, volume)


def brief() -> Candles:
    """Return a path that exists for a part of the time."""
    whole = candles(3, gaps=0.0)
    alive = (np.arange(HOURS) >= BORN) & (np.arange(HOURS) < DIED)
    return Candles(FIRST, *(np.where(alive, getattr(whole, name), np.nan) for name in COLUMNS))


@cache
def batch(asset: str) -> Floats:
    """Return every feature at every hour by the windows that accounts are computed by."""
    place = np.arange(HOURS)
    own = market()[asset]
    recorded = MarketWindows(RecordedWindows(candles=own, place=place, index=place + FIRST))
    return np.stack([function(recorded) for function in FUNCTIONS])


def engine(first: int) -> RollingMarket:
    """Return an engine before whose first hour all is missing."""
    return RollingMarket(FUNCTIONS, assets=tuple(market()), step=HOUR, index=FIRST + first)


def block(first: int, end: int) -> Floats:
    """Return the candles of every asset between two hours."""
    return np.stack(
        [[getattr(own, name)[first:end] for own in market().values()] for name in COLUMNS]
    )


def known(hour: int) -> Floats:
    """Return the batch at one hour; shape (features, assets)."""
    return np.stack([batch(asset)[:, hour] for asset in market()], axis=1)


def push(rolling: RollingMarket, hour: int) -> Floats:
    """Add the candles of one hour, those that are missing left out."""
    opened = (FIRST + hour) * HOUR
    rows = {asset: block(hour, hour + 1)[:, place, 0] for place, asset in enumerate(market())}
    return rolling.push(opened, {k: row.tolist() for k, row in rows.items() if row[3] == row[3]})


def test_every_feature_has_values() -> None:
    """The comparisons compare something."""
    assert len(ALONE) > 30
    assert np.isfinite(batch("whole")[:, MONTH + 2 :]).mean() > 0.95


@pytest.mark.parametrize("asset", ["gaps", "whole", "brief"])
@pytest.mark.parametrize("part", [HOURS, 7, 250])
def test_a_history_by_parts_is_the_batch(
    monkeypatch: pytest.MonkeyPatch, asset: str, part: int
) -> None:
    """To the bit, however long the parts are."""
    monkeypatch.setattr(grid, "PART", part)
    np.testing.assert_array_equal(market_values(market()[asset], ALONE), batch(asset))


def test_a_month_candle_by_candle_is_the_batch() -> None:
    """To the bit, from an engine that starts a longest window before."""
    rolling = engine(0)
    rolling.advance(block(0, HOURS - MONTH))
    for hour in range(HOURS - MONTH, HOURS):
        np.testing.assert_array_equal(push(rolling, hour), known(hour))


@settings(max_examples=12, deadline=None)
@given(crash=st.integers(MONTH + 20, HOURS - 40))
def test_after_a_crash_the_state_comes_from_its_dump_or_from_the_candles(crash: int) -> None:
    """Both go on with the bits of the batch."""
    before = engine(0)
    before.advance(block(0, crash))
    after = engine(0)
    after.load(before.dump())
    anew = engine(crash - MONTH - 5)
    anew.advance(block(crash - MONTH - 5, crash))
    for hour in range(crash, crash + 30):
        np.testing.assert_array_equal(push(after, hour), known(hour))
        np.testing.assert_array_equal(push(anew, hour), known(hour))


def test_a_dump_of_other_assets_is_refused() -> None:
    """State is never read as what it is not."""
    other = RollingMarket(FUNCTIONS, assets=("one",), step=HOUR, index=FIRST)
    with pytest.raises(InvalidInput, match="other functions or assets"):
        engine(0).load(other.dump())


def test_hours_that_are_skipped_are_missing() -> None:
    """A candle after a gap says that the hours between have none."""
    rolling, told = engine(0), engine(0)
    rolling.advance(block(0, 800))
    told.advance(block(0, 800))
    told.advance(np.full((len(COLUMNS), len(market()), 3), np.nan))
    np.testing.assert_array_equal(push(rolling, 803), push(told, 803))


@pytest.mark.parametrize("hour", [799, 400])
def test_a_late_or_repeated_candle_is_refused_and_changes_nothing(hour: int) -> None:
    """It belongs into the store; the state rolls on as if it had not come."""
    rolling = engine(0)
    rolling.advance(block(0, 800))
    with pytest.raises(InvalidInput, match="is not a multiple of 3600 from 1442880000 on"):
        push(rolling, hour)
    np.testing.assert_array_equal(push(rolling, 800), known(800))


def test_every_fault_of_a_push_is_listed() -> None:
    """An unknown asset and a crooked time are both named."""
    with pytest.raises(InvalidInput) as caught:
        engine(0).push(FIRST * HOUR + 1, {"nobody": (1.0, 1.0, 1.0, 1.0, 1.0)})
    assert [fault.where for fault in caught.value.faults] == [
        "candles:nobody",
        "candles:open_time",
    ]


def test_minutes_have_their_own_windows() -> None:
    """Sixty candles an hour, each close three times: an hour's return spans sixty of them."""
    size = 3 * MONTH
    close = np.exp(np.repeat(np.random.default_rng(1).normal(0, 0.01, size // 3).cumsum(), 3))
    own = Candles(FIRST, close, close, close, close, np.ones(size), step=1200)
    found = dict(market_grids({"x": own}, ALONE, threads=1))["x"]
    hourly = close[2::3]
    unlike = Candles(FIRST, hourly, hourly, hourly, hourly, np.ones(size // 3))
    other = market_values(unlike, ALONE)
    row = [feature.name for feature in ALONE].index("falling_share_72h")
    np.testing.assert_allclose(found[row, 2::3][80:], other[row][80:], rtol=1e-9)


@pytest.mark.parametrize("threads", [1, 2])
def test_moments_find_their_place(threads: int) -> None:
    """A moment sees the candle that closed last, at or before it, and nothing outside the grid."""
    values = np.array([[[0.0], [1.0], [2.0]], [[3.0], [4.0], [5.0]]])
    at = np.array([12, 11, 13, 10, 14]) * HOUR + np.array([1800, 0, 3599, 3599, 0])
    asset = np.array([0, 1, 0, 0, 1])
    found = at_moments(values, first_index=10, step=HOUR, asset=asset, at=at, threads=threads)
    np.testing.assert_array_equal(found[:, 0], [1.0, 3.0, 2.0, np.nan, np.nan])
