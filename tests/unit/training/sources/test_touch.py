"""The touch source: what is drawn, what is touched, what is censored."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.inputs import Candles, PointInTimeSeries
from models.errors import InvalidInput
from training.sources import touch
from training.sources.registry import history

HOURS = 2_000
FIRST = 420_000


def candles(close: np.ndarray) -> Candles:
    """Return candles without wicks."""
    volume = np.full(len(close), 10.0)
    return Candles(first_hour=FIRST, open=close, high=close, low=close, close=close, volume=volume)


@pytest.fixture(scope="module")
def market() -> dict[str, Candles]:
    """Return two assets that wander; one has a hole."""
    generator = np.random.default_rng(3)
    first, second = np.exp(np.cumsum(generator.normal(0, 0.01, (2, HOURS)), axis=1)) * 100.0
    second[1_000:1_010] = np.nan
    return {"AAA": candles(first), "BBB": candles(second)}


def test_another_asset_changes_nothing(market: dict[str, Candles]) -> None:
    """The accounts of an asset are the same whatever else is drawn."""
    alone = touch.draw({"AAA": market["AAA"]}, {}, {})
    both = touch.draw(market, {}, {})
    singles = both.moments["account"].astype(str).str.startswith("AAA").to_numpy()
    columns = ["price", "trigger", "delay", "side"]
    own = alone.moments["account"].astype(str).str.startswith("AAA").to_numpy()
    left = alone.moments.loc[own, columns].to_numpy()
    assert np.array_equal(left, both.moments.loc[singles, columns].to_numpy())


def test_every_kind_is_solvent_when_drawn(market: dict[str, Candles]) -> None:
    """The judged price lies on the safe side of every trigger, by 0.5 % to 60 %."""
    moments = touch.draw(market, {}, {}).moments
    single = moments["venue"] != "basket"
    part = moments[single]
    fraction = part["side"] * (1.0 - part["trigger"] / part["price"])
    assert fraction.between(0.005 - 1e-12, 0.6 + 1e-12).all()
    assert set(moments["venue"]) == {"lending", "delayed", "perpetual", "basket"}
    assert (moments.loc[~single, "price"] > 1.0).all()


def test_a_touch_is_where_the_closes_say(market: dict[str, Candles]) -> None:
    """The first close at or beyond the trigger, in the direction that hurts."""
    history = touch.draw({"AAA": market["AAA"]}, {}, {})
    chosen = (history.moments["venue"] == "perpetual").to_numpy()
    moments, found = history.moments[chosen], history.touches
    assert found is not None
    close = market["AAA"].close
    for row, told in zip(moments.itertuples(), found[chosen].itertuples(), strict=True):
        place = int(row.at.timestamp()) // 3600 - FIRST
        ahead = close[place : place + 168]
        hit = np.flatnonzero(row.side * (ahead - row.trigger) <= 0)
        wanted = float(hit[0] + 1) if len(hit) else np.inf
        assert told.touched_in == wanted


def test_a_hole_censors_what_lies_behind_it(market: dict[str, Candles]) -> None:
    """A path is known up to the hour before the missing candle."""
    history = touch.draw(market, {}, {})
    assert history.touches is not None
    single = (history.moments["venue"] == "lending").to_numpy()
    chosen = single & (history.moments["asset"].astype(str) == "BBB").to_numpy()
    place = history.moments["at"].map(lambda at: int(at.timestamp()) // 3600 - FIRST).to_numpy()
    before = chosen & (place > 900) & (place <= 1_000)
    quiet = before & ~np.isfinite(history.touches["touched_in"].to_numpy())
    assert quiet.any()
    known = history.touches["touched_known"].to_numpy()
    assert (known[quiet] == 1_000 - place[quiet]).all()


def test_funding_paid_brings_a_long_nearer_and_a_short_away() -> None:
    """On a flat price a payment of 3 % reaches longs within 3 % and no short."""
    flat = candles(np.full(HOURS, 100.0))
    paid = PointInTimeSeries(at=np.array([(FIRST + 1_000) * 3600]), value=np.array([0.03]))
    history = touch.draw({"AAA": flat}, {"AAA": paid}, {})
    assert history.touches is not None
    moments = history.moments.assign(touched=np.isfinite(history.touches["touched_in"]))
    perpetual = moments[moments["venue"] == "perpetual"]
    place = perpetual["at"].map(lambda at: int(at.timestamp()) // 3600 - FIRST)
    near = np.abs(np.log(perpetual["trigger"] / 100.0)) < 0.03
    reached = near & (perpetual["side"] > 0) & place.between(833, 999)
    assert reached.any()
    assert perpetual["touched"].equals(reached.rename("touched"))


def test_a_basket_falls_as_its_value_does(market: dict[str, Candles]) -> None:
    """Each basket's own legs, followed by hand, reach its debt when the source says so."""
    history = touch.draw(market, {}, {})
    assert history.legs is not None
    assert history.touches is not None
    for row, legs in list(history.legs.groupby("row"))[:20]:
        moment = history.moments.iloc[int(str(row))]
        place = int(moment["at"].timestamp()) // 3600 - FIRST
        value = sum(
            leg.units * market[str(leg.asset)].close[place : place + 168]
            for leg in legs.itertuples()
        )
        owed = -moment["cash"] * 1.05 ** (np.arange(1, len(value) + 1) / 8766.0)
        hit = np.flatnonzero(value <= owed)
        holes = np.flatnonzero(np.isnan(value))
        known = holes[0] if len(holes) else len(value)
        wanted = float(hit[0] + 1) if len(hit) and hit[0] < known else np.inf
        assert history.touches["touched_in"].iloc[int(str(row))] == wanted


def test_nobody_is_said_to_have_been_liquidated(market: dict[str, Candles]) -> None:
    """Owners are unknown here: every window of the observed event is censored."""
    history = touch.draw(market, {}, {})
    assert history.episodes.empty
    assert (history.moments["at"] >= pd.Timestamp(history.covered_until)).all()


def test_candles_are_all_that_is_needed(tmp_path: Path) -> None:
    """Without a directory it is as with one that holds no funding; other sources want theirs."""
    opened = pd.date_range("2030-01-01", periods=400, freq="h", tz="UTC")
    close = 100.0 * np.exp(np.cumsum(np.random.default_rng(4).normal(0.0, 0.01, 400)))
    prices = dict.fromkeys(("open", "high", "low", "close"), close)
    file = tmp_path / "candles.parquet"
    pd.DataFrame({"symbol": "AAA", "open_time": opened, **prices, "volume": 1.0}).to_parquet(file)
    alone, beside = history("touch", None, file), history("touch", tmp_path, file)
    pd.testing.assert_frame_equal(alone.moments, beside.moments)
    assert len(alone.moments) > 30
    with pytest.raises(InvalidInput, match="--data: events needs the directory of its files"):
        history("events", None, file)
