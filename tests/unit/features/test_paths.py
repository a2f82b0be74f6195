"""Paths: long, short and basket, each a series that falls toward its trigger."""

import numpy as np
import pandas as pd
import pytest

from features.inputs import HOUR, Candles, Tables, no_events
from features.margin import distance
from features.moments import moment_columns
from features.paths import inverted
from features.views import views
from models.errors import InvalidTable

FIRST = 400_000


def candles(close: list[float]) -> Candles:
    """Return candles of a given close with a range of a tenth up and a fifth down."""
    values = np.array(close)
    return Candles(FIRST, values, values * 1.1, values * 0.8, values, np.full(len(close), 3.0))


def moment(**changes: object) -> dict[str, object]:
    """Return a long of ETH at the third hour's end."""
    at = pd.Timestamp((FIRST + 3) * HOUR, unit="s", tz="UTC").as_unit("ns")
    told: dict[str, object] = {
        "account": "a",
        "at": at,
        "asset": "ETH",
        "side": 1,
        "price": 100.0,
        "price_next": 100.0,
        "delay": 0.0,
        "trigger": 80.0,
        "collateral": 1.0,
        "debt": 60.0,
        "debt_value": 60.0,
        "cash": -80.0,
        "opened_at": pd.NaT,
    }
    return {**told, **changes}


def frame(*rows: dict[str, object]) -> pd.DataFrame:
    """Return a frame of moments."""
    made = pd.DataFrame(list(rows))
    made["opened_at"] = pd.to_datetime(made["opened_at"], utc=True).dt.as_unit("ns")
    return made


KNOWN = Tables(
    candles={"ETH": candles([50.0, 80.0, 100.0]), "BTC": candles([10.0, 20.0, 25.0])},
    events=no_events(),
)


def found(moments: pd.DataFrame, legs: pd.DataFrame | None = None) -> list[tuple]:
    """Return rows and views."""
    columns = moment_columns(moments, legs)
    return list(views(KNOWN, *columns, lookback=pd.Timedelta(hours=2)))


def test_a_short_is_a_long_of_the_inverse_price() -> None:
    """A short at 100 with its trigger at 125 is as far from it as a path at 0.01 from 0.008."""
    ((_, view),) = found(frame(moment(side=-1, trigger=125.0)))
    assert view.price.tolist() == [0.01]
    assert view.trigger.tolist() == [0.008]
    assert distance(view).round(6).tolist() == [0.223144]
    np.testing.assert_allclose(view.candles.close, [0.02, 0.0125, 0.01])


def test_an_inverted_candle_swaps_its_extremes_and_keeps_its_turnover() -> None:
    """The high of the inverse is the inverse of the low; close times volume stays."""
    flipped = inverted(candles([100.0]))
    assert flipped.high.tolist() == [0.0125]
    assert flipped.low.round(9).tolist() == [0.009090909]
    assert (flipped.close * flipped.volume).tolist() == pytest.approx([300.0])


def test_a_basket_is_credit_over_requirement_by_hour() -> None:
    """One ETH and 50 in cash against 2 BTC owed: (50 + ETH) / (2 BTC), of each hour."""
    legs = pd.DataFrame({"row": [0, 0], "asset": ["ETH", "BTC"], "units": [1.0, -2.0]})
    ((rows, view),) = found(frame(moment(cash=50.0, price=3.0, trigger=1.0)), legs)
    place = int(view.place[0])
    assert rows.tolist() == [0]
    assert view.candles.close[place - 2 : place + 1].tolist() == [5.0, 3.25, 3.0]
    assert view.index[place - 2 : place + 1].tolist() == [FIRST, FIRST + 1, FIRST + 2]
    assert np.isnan(view.candles.high).all()
    assert view.candles.close[place] * view.candles.volume[place] == pytest.approx(300.0)


def test_baskets_of_one_call_do_not_see_each_other() -> None:
    """Before a basket's own lookback lies nothing, not its neighbour."""
    legs = pd.DataFrame({"row": [0, 1], "asset": ["ETH", "BTC"], "units": [1.0, 1.0]})
    ((_, view),) = found(frame(moment(cash=-10.0), moment(cash=-5.0)), legs)
    first, second = view.place.tolist()
    assert view.candles.close[first] == 10.0
    assert view.candles.close[second] == 5.0
    assert np.isfinite(view.candles.close).sum() == 6


def test_a_basket_with_an_unknown_price_is_missing() -> None:
    """A leg without candles leaves a gap, never a smaller basket."""
    legs = pd.DataFrame({"row": [0, 0], "asset": ["ETH", "DOGE"], "units": [1.0, 5.0]})
    ((_, view),) = found(frame(moment(cash=-10.0)), legs)
    assert np.isnan(view.candles.close).all()


def test_sides_and_singles_come_apart() -> None:
    """Long, short and basket of one call keep their rows."""
    legs = pd.DataFrame({"row": [1], "asset": ["ETH"], "units": [1.0]})
    moments = frame(moment(), moment(cash=-10.0), moment(side=-1), moment(asset="BTC"))
    assert [rows.tolist() for rows, _ in found(moments, legs)] == [[1], [3], [0], [2]]


def test_every_fault_of_moments_and_legs_is_told() -> None:
    """No side is assumed, and no leg is dropped."""
    with pytest.raises(InvalidTable) as told:
        found(frame(moment()).drop(columns=["side", "cash"]))
    assert [fault.where for fault in told.value.faults] == ["moments:side", "moments:cash"]
    legs = pd.DataFrame({"row": [3, 1], "asset": "ETH", "units": [1.0, np.nan]})
    with pytest.raises(InvalidTable) as told:
        found(frame(moment(side=0), moment(side=-1)), legs)
    assert [str(fault) for fault in told.value.faults] == [
        "moments:side:1: 0.0 is not +1 or -1",
        "legs:row:1: 3 is not in [0, 2)",
        "legs:row:2: row 1: a basket has side +1",
        "legs:units:2: nan is not finite",
    ]
