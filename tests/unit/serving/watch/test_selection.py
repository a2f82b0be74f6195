"""Which accounts are judged next."""

from collections.abc import Mapping

from models.alerting.signals import Level
from serving.watch.selection import Ranking, batch, late, ranking
from serving.watch.slopes import Slope, SlopeTable

ETH = {"ETH": 100.0, "SOL": 10.0}


def long(cash: float) -> Slope:
    """Return a long of one ETH, in debt by the cash."""
    return Slope({"ETH": 1.0}, cash)


def short(cash: float) -> Slope:
    """Return a short of ten SOL."""
    return Slope({"SOL": -10.0}, cash)


def ranked(slopes: Mapping[str, Slope], levels: Mapping[str, Level]) -> Ranking:
    """Return what is urgent of a book."""
    table = SlopeTable()
    table.put(slopes)
    return ranking(*table.rooms(ETH), levels)


def test_newly_crossed_come_first_and_raised_ones_by_their_level() -> None:
    """The nearest are those above the line; who is at critical already is no news."""
    slopes = {
        "dead": long(-500.0),
        "deep": short(80.0),
        "just": long(-101.0),
        "near": short(100.5),
        "far": long(-10.0),
        "cash": Slope({}, 1.0),
    }
    levels = {"dead": Level.CRITICAL, "far": Level.WATCH, "blind": Level.WATCH}
    found = ranked(slopes, levels)
    assert found.crossed == ("deep", "just")
    assert found.near == ("near", "dead", "far", "blind")


def test_dead_accounts_do_not_crowd_out_the_near_ones() -> None:
    """Of 300 accounts the nearest 1 % are three above the line, though 50 lie below it."""
    slopes = {f"dead{n}": long(-200.0 - n) for n in range(50)}
    slopes |= {f"live{n}": short(101.0 + n) for n in range(250)}
    levels = {f"dead{n}": Level.CRITICAL for n in range(50)}
    assert ranked(slopes, levels).near[:3] == ("live0", "live1", "live2")


def test_a_batch_gives_half_to_the_urgent_and_half_to_those_judged_longest_ago() -> None:
    """What one leaves free the other fills, and nobody is in it twice."""
    urgent, overdue = [f"u{n}" for n in range(9)], [f"o{n}" for n in range(9)]
    assert batch(urgent, overdue, size=4) == ["u0", "u1", "o0", "o1"]
    assert batch(urgent, ["o0"], size=4) == ["u0", "u1", "u2", "o0"]
    assert batch(["u0"], overdue, size=4) == ["u0", "o0", "o1", "o2"]
    assert batch(["a", "b", "c"], ["a", "b", "d"], size=4) == ["a", "b", "d", "c"]
    assert batch([], [], size=4) == []


def test_a_book_is_judged_whole_however_many_are_urgent() -> None:
    """Twenty accounts, all of them always urgent: ten steps of four judge every one."""
    judged = {f"a{n:02d}": 0.0 for n in range(20)}
    urgent = sorted(judged, reverse=True)
    for step in range(1, 11):
        for key in batch(urgent, late(judged, before=step - 0.5), size=4):
            judged.pop(key)
            judged[key] = float(step)
    assert min(judged.values()) >= 1.0


def test_late_are_those_judged_before_a_time_the_oldest_first() -> None:
    """The times ascend; the first that is not late ends it."""
    assert list(late({"a": 1.0, "b": 2.0, "c": 3.0}, before=2.0)) == ["a", "b"]
