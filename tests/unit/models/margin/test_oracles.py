"""Medians, delays, caps and breakers over prices."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest

from models.domain import Price
from models.margin import oracles
from models.margin.oracles import RatioCap
from models.margin.result import Refusal

AT = datetime(2026, 1, 1, 12, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)
CAP = RatioCap(
    snapshot_ratio=10**18, snapshot_at=int(AT.timestamp()), growth_scaled=0, ratio_decimals=18
)


def price(value: int, *, source: str = "a", minutes: int = 0, decimals: int = 8) -> Price:
    """Return a price that was known `minutes` before AT."""
    return Price(
        value=value,
        decimals=decimals,
        observed_at=AT - timedelta(minutes=minutes),
        source=source,
        stale_after=HOUR,
    )


def test_consensus_leaves_out_the_outlier_and_the_stale_and_says_so() -> None:
    """Three of five agree; the other two are named with their fault."""
    prices = [
        price(100_00000000, source="a", minutes=1),
        price(101_00000000, source="b", minutes=7),
        price(102_00000000, source="c"),
        price(65_00000000, source="d"),
        price(100_00000000, source="e", minutes=61),
    ]
    found = oracles.consensus(prices, at=AT, quorum=3, outlier=Fraction(1, 20), decimals=8)
    assert found.price is not None
    assert found.price.value == 101_00000000
    assert found.price.observed_at == AT - timedelta(minutes=7)
    assert found.price.source == "median(a, b, c)"
    assert found.used == ("b", "a", "c")
    faults = {health.source: health.faults for health in found.sources}
    assert faults == {"a": (), "b": (), "c": (), "d": ("outlier",), "e": ("stale",)}


def test_consensus_without_quorum_names_who_failed() -> None:
    """Too few sources give no price at all."""
    prices = [price(100, source="a"), price(0, source="b"), price(100, source="c", minutes=-1)]
    found = oracles.consensus(prices, at=AT, quorum=2, outlier=Fraction(1, 20), decimals=8)
    assert found.price is None
    assert found.refusal == Refusal(
        "quorum_lost", "1 of 2 sources; failed: b not_positive, c from_the_future"
    )


def test_a_source_counts_once_with_its_newest_price() -> None:
    """Two reports of one source make no quorum of two."""
    prices = [price(100, source="a", minutes=5), price(110, source="a")]
    found = oracles.consensus(prices, at=AT, quorum=2, outlier=Fraction(1), decimals=8)
    assert found.price is None
    found = oracles.consensus(prices, at=AT, quorum=1, outlier=Fraction(1), decimals=8)
    assert found.price is not None
    assert found.price.value == 110


def test_median_of_an_even_number_in_mixed_scales_is_rounded_down() -> None:
    """The mean of 1.00 and 1.01 in hundredths is 1.00."""
    prices = [price(100, source="a", decimals=2), price(10100, source="b", decimals=4)]
    found = oracles.consensus(prices, at=AT, quorum=2, outlier=Fraction(1, 10), decimals=2)
    assert found.price is not None
    assert found.price.value == 100


def test_distance_of_exactly_the_limit_is_no_outlier() -> None:
    """The limit is inclusive."""
    prices = [price(90, source="a"), price(100, source="b"), price(111, source="c")]
    found = oracles.consensus(prices, at=AT, quorum=2, outlier=Fraction(1, 10), decimals=8)
    assert found.used == ("a", "b")


def test_no_source_at_all_is_a_lost_quorum() -> None:
    """An empty list is not an error, and a quorum of nobody is none."""
    found = oracles.consensus([], at=AT, quorum=0, outlier=Fraction(1), decimals=8)
    assert found.refusal is not None
    assert found.refusal.reason == "quorum_lost"


def test_capped_ratio_grows_from_its_snapshot() -> None:
    """10 % a year on a ratio of 1.2 allows 1.2 · 1.1 after a year, and no more."""
    growth = oracles.growth_per_second(1_200_000_000_000_000_000, 1000)
    assert growth == 3805175038051750
    at = AT + timedelta(days=365)
    cap = replace(CAP, snapshot_ratio=1_200_000_000_000_000_000, growth_scaled=growth)
    assert oracles.max_ratio(cap, at=at) == 1_319_999_999_999_999_988
    found = oracles.capped_by_ratio(price(2000_00000000), 2 * 10**18, cap, at=at)
    assert found.value == 2639_99999999
    assert found.observed_at == AT
    assert found.source == "a capped"
    within = oracles.capped_by_ratio(price(2000_00000000), 13 * 10**17, cap, at=at)
    assert (within.value, within.source) == (2600_00000000, "a")


@pytest.mark.parametrize(("value", "ratio"), [(0, 10**18), (-1, 10**18), (100, 0), (100, -1)])
def test_capped_ratio_of_nothing_is_zero(value: int, ratio: int) -> None:
    """The adapter answers 0 and the account is unevaluable."""
    assert oracles.capped_by_ratio(price(value), ratio, CAP, at=AT).value == 0


def test_capped_ratio_before_its_snapshot_is_zero() -> None:
    """The adapter reverts; nothing can be judged."""
    early = AT - timedelta(seconds=1)
    assert oracles.capped_by_ratio(price(100), 10**18, CAP, at=early).value == 0
    assert oracles.capped_by_ratio(price(100), 10**18, CAP, at=AT).value == 100


def test_growth_of_a_cap_is_rounded_down() -> None:
    """A millionth of a unit per second is nothing for a million seconds less one."""
    cap = replace(CAP, growth_scaled=1)
    at = AT + timedelta(seconds=999_999)
    assert oracles.max_ratio(cap, at=at) == 10**18
    assert oracles.max_ratio(cap, at=at + timedelta(seconds=1)) == 10**18 + 1


def test_a_single_source_is_compared_with_nothing() -> None:
    """However often it spoke, and whatever it says of itself."""
    found = oracles.compared([price(100, minutes=2), price(50)])
    assert (found.price, found.sources, found.consensus) == (price(50), (price(50),), None)
    doubted = replace(price(100), disputed="feed paused")
    assert oracles.compared([doubted]).price == doubted


def test_sources_that_agree_leave_the_newest_as_it_is() -> None:
    """The price in force is the one told last, not the median."""
    reports = [price(100, source="a", minutes=2), price(104, source="b")]
    found = oracles.compared(reports)
    assert found.price == reports[1]
    assert found.sources == tuple(reports)
    assert found.faults == {"a": (), "b": ()}


def test_an_outlier_in_force_is_disputed_and_still_in_force() -> None:
    """Two of three agree on the mean of 100 and 102; 80 is 20.79 % off, rounded down."""
    reports = [
        price(100, source="a", minutes=3),
        price(102, source="b", minutes=1),
        price(80, source="c"),
    ]
    found = oracles.compared(reports)
    assert replace(found.price, disputed=None) == reports[2]
    assert found.price.disputed == "c is 20.79 % off the median(a, b)"
    assert found.faults == {"a": (), "b": (), "c": ("outlier",)}


def test_an_outlier_that_is_not_in_force_disputes_nothing() -> None:
    """It is named among the sources."""
    reports = [price(80, source="c", minutes=1), price(100, source="a"), price(102, source="b")]
    found = oracles.compared(reports)
    assert found.price == reports[2]
    assert found.faults["c"] == ("outlier",)


def test_two_that_contradict_each_other_make_no_quorum() -> None:
    """Which of them is right nobody can tell: 100 and 112 are 5.66 % off their mean."""
    found = oracles.compared([price(100, source="a", minutes=1), price(112, source="b")])
    assert found.price.disputed == "quorum_lost: 0 of 2 sources; failed: a outlier, b outlier"


def test_a_source_that_broke_its_own_limit_has_no_say() -> None:
    """Its price of a minute ago may be half a minute old: one of two is left."""
    late = replace(price(100, source="a", minutes=1), stale_after=timedelta(seconds=30))
    found = oracles.compared([late, price(100, source="b")])
    assert found.price.disputed == "quorum_lost: 1 of 2 sources; failed: a stale"


def test_a_source_that_doubts_itself_has_no_say_and_keeps_its_reason() -> None:
    """Its own reason comes first."""
    doubted = replace(price(100, source="b"), disputed="feed paused")
    found = oracles.compared([price(100, source="a", minutes=1), doubted])
    assert found.price.disputed == ("feed paused; quorum_lost: 1 of 2 sources; failed: b disputed")
