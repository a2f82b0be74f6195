"""Prices at which one perpetuals account meets its requirement, solved by hand."""

from fractions import Fraction

import pytest

from models.margin.perpetual import (
    Position,
    Tier,
    bankruptcy_price,
    leverage_of,
    surplus_roots,
    tiers_from,
)

SMOOTH = tiers_from([(Fraction(0), Fraction(1, 100), 100), (Fraction(1_000), Fraction(1, 50), 50)])
JUMPING = (
    Tier(floor=Fraction(0), rate=Fraction(1, 100)),
    Tier(floor=Fraction(1_000), rate=Fraction(1, 50)),
)


def position(quantity: int, entry: int) -> Position:
    """Return contracts bought or sold at `entry`."""
    return Position(asset="X", quantity=Fraction(quantity), cost=Fraction(quantity * entry))


def test_root_on_the_floor_of_a_bracket() -> None:
    """10 bought at 109 with 100 of margin: 10 left at 100, which 1,000 at 1 % requires."""
    assert surplus_roots([position(10, 109)], SMOOTH, free=Fraction(100)) == (100,)


def test_root_in_the_bracket_of_the_answer() -> None:
    """At 150: 1,500 at 2 % less 10 is 20; 10 bought at 160 with 120 of margin leave 20."""
    assert surplus_roots([position(10, 160)], SMOOTH, free=Fraction(120)) == (150,)


@pytest.mark.parametrize(("free", "root"), [(105, 100), (110, 100), (115, 100)])
def test_gap_in_a_table_is_an_answer(free: int, root: int) -> None:
    """10 sold at 100: at 100 the requirement jumps from 10 to 20, past equity."""
    sold = position(-10, 100)
    assert surplus_roots([sold], JUMPING, free=Fraction(free - 95)) == (root,)


def test_root_where_a_requirement_falls() -> None:
    """10 bought at 109 with 100: at 100 the requirement falls from 20 to the 10 left."""
    falling = (
        Tier(floor=Fraction(0), rate=Fraction(1, 50)),
        Tier(floor=Fraction(1_000), rate=Fraction(1, 100)),
    )
    assert surplus_roots([position(10, 109)], falling, free=Fraction(100)) == (100,)


def test_nothing_to_solve() -> None:
    """A position that its margin covers down to nothing has no price."""
    assert surplus_roots([position(10, 100)], SMOOTH, free=Fraction(1_001)) == ()
    assert surplus_roots([position(10, 100)], SMOOTH, free=Fraction(1_000)) == ()


def test_bankruptcy_price() -> None:
    """Where margin and profit are gone, if that is above zero."""
    assert bankruptcy_price([position(10, 100)], free=Fraction(100)) == 90
    assert bankruptcy_price([position(-10, 100)], free=Fraction(100)) == 110
    assert bankruptcy_price([position(10, 100)], free=Fraction(1_000)) is None
    assert bankruptcy_price([position(10, 100)], free=Fraction(999)) == Fraction(1, 10)
    assert bankruptcy_price([position(10, 100), position(-10, 90)], free=Fraction(1)) is None


@pytest.mark.parametrize(("chosen", "expected"), [(None, None), (0, None), (-3, None), (5, 5)])
def test_leverage(chosen: int | None, expected: int | None) -> None:
    """A leverage that is not positive is no leverage."""
    options = {} if chosen is None else {"X.leverage": chosen}
    assert leverage_of(options, "X") == expected
