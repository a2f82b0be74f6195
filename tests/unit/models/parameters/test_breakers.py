"""Breakers: no flapping, bounded, unknown is not good, a hand is final."""

import math
from datetime import UTC, datetime, timedelta

import pytest

from models.parameters.breakers import (
    Breaker,
    Effect,
    Position,
    Signal,
    Standing,
    effects,
    faults_of,
    moves,
    observe,
    replay,
    reset,
    trip,
)

AT = datetime(2021, 5, 19, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
FIVE = Breaker(
    name="five",
    signal=Signal.PRICE_MOVE_5M,
    trip=0.05,
    clear=0.02,
    hold=2,
    shortest=5 * MINUTE,
    longest=60 * MINUTE,
    cooldown=10 * MINUTE,
    effects=(Effect.HOLD_TERMS, Effect.PAGE),
)


def after(
    values: list[float | None], breaker: Breaker = FIVE, start: Standing | None = None
) -> list[Standing]:
    """Return how a breaker stands after each minute's observation."""
    now, past = start or Standing(), []
    for place, value in enumerate(values, start=1):
        begin = AT if start is None or start.at is None else start.at
        now = observe(breaker, now, value, at=begin + place * MINUTE)
        past.append(now)
    return past


def test_a_wave_about_the_trip_level_opens_once() -> None:
    """A thousand ticks just above and just below it are one opening, not five hundred."""
    wave = [0.051 + 0.003 * math.sin(tick / 2) for tick in range(1000)]
    observations = [(AT + place * MINUTE, value) for place, value in enumerate(wave)]
    found = replay(FIVE, observations)
    assert len(found) == 1
    assert found[0].end is None
    assert found[0].is_escalated


def test_one_tick_alone_does_nothing() -> None:
    """Two in a row are needed, to open and to close."""
    assert not any(now.is_open for now in after([0.9, 0.0, 0.9, 0.0]))
    states = after([0.06, 0.06, 0.01, 0.06, 0.01])
    assert [now.position for now in states] == [
        Position.CLOSED,
        Position.OPEN,
        Position.PROBING,
        Position.OPEN,
        Position.PROBING,
    ]


def test_it_stays_open_for_its_shortest_time() -> None:
    """Calm signals close it only then."""
    states = after([0.06, 0.06, *[0.01] * 5])
    assert [now.is_open for now in states] == [False, *[True] * 5, False]


def test_between_the_levels_it_stays_as_it_is() -> None:
    """Neither opens nor closes."""
    assert not any(now.is_open for now in after([0.03] * 20))
    assert all(now.is_open for now in after([0.06, 0.06, *[0.03] * 20])[1:])


def test_it_does_not_open_while_it_cools_down() -> None:
    """Ten minutes after its closing it may again."""
    calm = after([0.06, 0.06, *[0.01] * 5])[-1]
    assert calm.position is Position.CLOSED
    states = after([0.06] * 10, start=calm)
    assert [now.is_open for now in states] == [*[False] * 9, True]


def test_a_missing_signal_is_unknown_and_trips() -> None:
    """By policy; it never counts as calm."""
    assert after([None, float("nan")])[-1].is_open
    lenient = Breaker(**{**_fields(FIVE), "trips_unknown": False})
    assert not any(now.is_open for now in after([None] * 9, lenient))
    assert all(now.is_open for now in after([0.06, 0.06, *[None] * 30], lenient)[1:])


def _fields(breaker: Breaker) -> dict[str, object]:
    """Return the fields of a breaker."""
    return {name: getattr(breaker, name) for name in Breaker.__slots__}


def test_after_its_longest_time_it_escalates() -> None:
    """It stays open, and says so."""
    states = after([0.06] * 70)
    assert [now.is_escalated for now in states] == [*[False] * 61, *[True] * 9]


def test_a_hand_is_final() -> None:
    """No calm closes what a hand opened; a reset does; the signal may open it again."""
    tripped = trip(Standing(), at=AT, reason="drill")
    states = after([0.0] * 200, start=tripped)
    assert all(now.is_open for now in states)
    assert states[-1].is_escalated
    closed = reset(states[-1], at=AT + 300 * MINUTE, reason="over")
    assert not closed.is_open
    states = after([0.06] * 250, start=closed)
    assert states[-1].is_open


def test_effects_are_those_of_open_breakers() -> None:
    """Closed ones have none."""
    closed = Standing()
    open_ = trip(closed, at=AT, reason="")
    other = Breaker(**{**_fields(FIVE), "name": "b", "effects": (Effect.RULES_ONLY,)})
    assert effects([(FIVE, closed), (other, open_)]) == {Effect.RULES_ONLY}


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"clear": 0.05}, "/clear"),
        ({"clear": 0.06}, "/clear"),
        ({"hold": 0}, "/hold"),
        ({"longest": MINUTE}, "/longest_seconds"),
        ({"shortest": timedelta(0), "longest": timedelta(0)}, "/longest_seconds"),
    ],
)
def test_what_cannot_be(change: dict[str, object], where: str) -> None:
    """Levels, counts and times that would flap, never open or never close."""
    broken = Breaker(**{**_fields(FIVE), **change})
    assert where in {fault.where for fault in faults_of(broken)}
    assert list(faults_of(FIVE)) == []


def test_time_goes_on() -> None:
    """An observation is later than the one before."""
    once = observe(FIVE, Standing(), 0.0, at=AT)
    with pytest.raises(ValueError, match="is not after"):
        observe(FIVE, once, 0.0, at=AT)


def test_moves_over_gaps_are_missing() -> None:
    """A move is from exactly one span before."""
    prices = [(AT, 100.0), (AT + MINUTE, 90.0), (AT + 3 * MINUTE, 45.0)]
    found = moves(prices, span=MINUTE)
    assert [value for _, value in found] == [None, pytest.approx(0.1), None]
