"""How far accounts are from their lines, in columns."""

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from models.domain import MarketId
from serving.watch.slopes import FAR, Slope, SlopeTable

POOL, OTHER = MarketId("aave", "core", "1"), MarketId("aave", "core", "10")
SPOT = {"ETH": 100.0, "SOL": 10.0, "stETH": 98.0}
OWN = {POOL: {**SPOT, "ETH": 90.0}}


def plainly(slope: Slope) -> float:
    """Return the room of one slope."""
    prices: Mapping[str, float] = SPOT if slope.market is None else OWN.get(slope.market, SPOT)
    values = [units * prices[name] for name, units in slope.by_asset.items() if name in prices]
    gross = sum(map(abs, values))
    return (sum(values) + slope.cash) / gross if gross else FAR


def found(table: SlopeTable) -> dict[str, float]:
    """Return the room of each account."""
    keys, rooms = table.rooms(SPOT, OWN)
    return dict(zip(keys, rooms.tolist(), strict=True))


def test_the_room_is_the_common_move_that_uses_up_the_surplus() -> None:
    """Of a long, a short, one of both sides, one below, and those that no price moves."""
    table = SlopeTable()
    table.put(
        {
            "long": Slope({"ETH": 1.0}, -90.0),
            "its market says 90": Slope({"ETH": 1.0}, -81.0, POOL),
            "short": Slope({"SOL": -10.0}, 105.0),
            "both": Slope({"ETH": 1.0, "SOL": -10.0}, 20.0),
            "below": Slope({"ETH": 1.0}, -110.0),
            "cash": Slope({}, 5.0),
            "unpriced": Slope({"XYZ": 1.0}, -5.0),
        }
    )
    assert found(table) == {
        "long": 0.1,
        "its market says 90": 0.1,
        "short": 0.05,
        "both": 0.1,
        "below": -0.1,
        "cash": FAR,
        "unpriced": FAR,
    }


def test_an_empty_table_has_no_rooms() -> None:
    """Neither before the first account nor after the last one."""
    table = SlopeTable()
    assert found(table) == {}
    table.put({"a": Slope({"ETH": 1.0}, 0.0)})
    table.discard("a")
    table.discard("a")
    assert found(table) == {}
    assert len(table) == 0


SLOPES = st.builds(
    Slope,
    st.dictionaries(st.sampled_from([*SPOT, "XYZ"]), st.floats(-5, 5), max_size=4),
    st.floats(-1000, 1000),
    st.sampled_from([None, POOL, OTHER]),
)
KEYS = st.sampled_from([f"a{n}" for n in range(12)])


@given(st.lists(st.one_of(st.dictionaries(KEYS, SLOPES), KEYS), max_size=12))
def test_a_table_holds_what_was_put_last(steps: list[dict[str, Slope] | str]) -> None:
    """Whatever is put, put again with other assets, and forgotten: as each slope alone says."""
    table = SlopeTable()
    held: dict[str, Slope] = {}
    for step in steps:
        if isinstance(step, str):
            table.discard(step)
            held.pop(step, None)
        else:
            table.put(step)
            held |= step
    assert found(table) == {key: plainly(slope) for key, slope in held.items()}
    assert len(table) == len(held)
