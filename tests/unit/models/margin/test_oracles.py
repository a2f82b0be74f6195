"""Medians, delays, caps and breakers over prices."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest

from models.domain import Price
from models.margin import oracles
from models.margin.fixed_point import RAY
from models.margin.oracles import Breaker, Delayed, Feed, RatioCap, SignedValue
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


FEED = Feed(source="a", heartbeat=HOUR, deviation=Fraction(1, 100), grace=timedelta(minutes=5))


@pytest.mark.parametrize(
    ("minutes", "reference", "faults"),
    [
        (0, 101, ()),
        (5, 101, ()),
        (0, 102, ()),
        (5, 102, ("deviation_missed",)),
        (5, 98, ("deviation_missed",)),
        (65, 100, ("stale",)),
        (66, 100, ("stale", "heartbeat_missed")),
        (-1, 102, ("from_the_future",)),
    ],
)
def test_source_health(minutes: int, reference: int, faults: tuple[str, ...]) -> None:
    """A feed is judged by its own heartbeat and deviation."""
    health = oracles.source_health(
        price(100, minutes=minutes), FEED, at=AT, reference=price(reference, source="b")
    )
    assert health.faults == faults
    assert health.is_healthy == (not faults)
    assert health.age == timedelta(minutes=minutes)


def test_silent_and_worthless_sources_are_named() -> None:
    """Missing and non-positive prices are faults."""
    assert oracles.source_health(None, FEED, at=AT).faults == ("missing",)
    zero = oracles.source_health(price(0), FEED, at=AT, reference=price(1))
    assert zero.faults == ("not_positive",)


SIGNED = tuple(SignedValue(signer=str(i), value=100 + i, age=50 + i) for i in range(4))


def test_maker_median_takes_the_upper_middle() -> None:
    """Of four values in ascending order the third is the median."""
    found = oracles.maker_median(SIGNED, bar=4, last_age=49, at=AT)
    assert isinstance(found, Price)
    assert (found.value, found.decimals, found.observed_at) == (102, 18, AT)
    three = oracles.maker_median(SIGNED[:3], bar=3, last_age=49, at=AT)
    assert isinstance(three, Price)
    assert three.value == 101


def test_equal_values_are_in_order() -> None:
    """Two oracles may agree."""
    same = tuple(replace(message, value=7) for message in SIGNED)
    found = oracles.maker_median(same, bar=4, last_age=49, at=AT)
    assert isinstance(found, Price)
    assert found.value == 7


@pytest.mark.parametrize(
    ("values", "last_age", "reason"),
    [
        (SIGNED[:3], 0, "Median/bar-too-low"),
        ((*SIGNED, SIGNED[3]), 0, "Median/bar-too-low"),
        (SIGNED, 50, "Median/stale-message"),
        ((SIGNED[1], SIGNED[0], *SIGNED[2:]), 0, "Median/messages-not-in-order"),
        ((SIGNED[0], SIGNED[0], *SIGNED[2:]), 0, "Median/oracle-already-signed"),
        ((*SIGNED[:3], replace(SIGNED[3], signer="x")), 0, "Median/invalid-oracle"),
    ],
)
def test_maker_median_refusals(values: tuple[SignedValue, ...], last_age: int, reason: str) -> None:
    """Each condition has the venue's own reason."""
    found = oracles.maker_median(values, bar=4, last_age=last_age, at=AT, oracles=frozenset("0123"))
    assert isinstance(found, Refusal)
    assert found.reason == reason


def osm() -> Delayed:
    """Return a delayed oracle updated in the hour before last."""
    return Delayed(
        current=price(100, decimals=18, minutes=130),
        upcoming=price(90, decimals=18, minutes=70),
        updated_at=AT.replace(hour=11, minute=0),
    )


def test_delayed_price_knows_the_next_one() -> None:
    """Current and next price with the time of the change."""
    seen = oracles.peek(osm())
    assert seen is not None
    assert (seen.value, seen.next_value) == (100, 90)
    assert seen.next_at == AT.replace(hour=12, minute=0)
    assert seen.age(AT) == timedelta(minutes=130)
    ahead = oracles.peep(osm())
    assert ahead is not None
    assert ahead.value == 90


def test_next_price_at_a_coarser_scale_is_rounded_down() -> None:
    """1.239 is 1.23 beside a current price of two digits."""
    mixed = replace(
        osm(), current=price(130, decimals=2, minutes=130), upcoming=price(1_239, decimals=3)
    )
    seen = oracles.peek(mixed)
    assert seen is not None
    assert seen.next_value == 123


def test_share_in_a_reason_is_rounded_down() -> None:
    """A move of 56/99, 56.5656... %, shows as 56.56 %."""
    doubt = oracles.jump_doubt(price(155), price(99), Breaker(jump=Fraction(1, 10)))
    assert doubt == "jump: 56.56 %"


def test_poke_aligns_to_the_hour() -> None:
    """An update at half past counts from the full hour and moves the queue by one."""
    moved = oracles.poke(osm(), price(80, decimals=18), at=AT)
    assert isinstance(moved, Delayed)
    assert moved.updated_at == AT.replace(minute=0)
    seen = oracles.peek(moved)
    assert seen is not None
    assert (seen.value, seen.next_value) == (90, 80)
    assert seen.next_at == AT.replace(hour=13, minute=0)


def test_poke_too_early_or_stopped_is_refused() -> None:
    """The hop must have passed; at its very end it has."""
    early = oracles.poke(osm(), price(80), at=AT.replace(hour=11, minute=59, second=59))
    assert isinstance(early, Refusal)
    assert early.reason == "OSM/not-passed"
    assert isinstance(oracles.poke(osm(), price(80), at=AT.replace(minute=0)), Delayed)
    stopped = oracles.poke(replace(osm(), is_stopped=True), price(80), at=AT)
    assert isinstance(stopped, Refusal)
    assert stopped.reason == "OSM/is-stopped"


def test_poke_of_an_invalid_source_changes_nothing() -> None:
    """Neither prices nor the time move."""
    assert oracles.poke(osm(), None, at=AT) == osm()


def test_next_price_is_not_announced_when_stopped_or_unknown() -> None:
    """A stopped oracle will not take its next price."""
    for state in (replace(osm(), is_stopped=True), replace(osm(), upcoming=None)):
        seen = oracles.peek(state)
        assert seen is not None
        assert seen.next_value is None
    assert oracles.peek(replace(osm(), current=None)) is None


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


@pytest.mark.parametrize(("value", "expected"), [(99, 99), (104, 104), (105, 104), (0, 0)])
def test_capped_stable_price(value: int, expected: int) -> None:
    """What exceeds the cap is cut off; age and source remain."""
    found = oracles.capped(price(value, minutes=3), 104)
    assert found.value == expected
    assert found.age(AT) == timedelta(minutes=3)
    assert found.source == ("a capped" if value > 104 else "a")


def test_breaker_marks_and_never_replaces() -> None:
    """The venue's own price stays; every reason is given."""
    spot = replace(price(80), next_value=50)
    lost = oracles.consensus([], at=AT, quorum=2, outlier=Fraction(1), decimals=8)
    breaker = Breaker(jump=Fraction(1, 10), gap=Fraction(1, 10), tolerance=RAY * 7 // 10)
    found = oracles.judge(spot, breaker, previous=price(100), twap=price(100), agreed=lost)
    assert replace(found, disputed=None) == spot
    assert found.disputed == (
        "jump: 20.00 %; quorum_lost: 0 of 2 sources; failed: ; twap_gap: 20.00 %; "
        "next_below_tolerance: 50"
    )


def test_breaker_at_its_limits_is_silent() -> None:
    """Each limit is inclusive, and a test without data says nothing."""
    spot = replace(price(90), next_value=63)
    breaker = Breaker(jump=Fraction(1, 10), gap=Fraction(1, 10), tolerance=RAY * 7 // 10)
    assert oracles.judge(spot, breaker, previous=price(100), twap=price(100)).disputed is None
    assert oracles.judge(price(1), Breaker(), previous=price(100)).disputed is None
    assert oracles.judge(price(1), breaker, previous=price(0), twap=price(0)).disputed is None


def test_tolerance_compares_with_nine_more_digits() -> None:
    """In ray, 7 of 10.5 · 0.7 = 7.35 is below; in wad it would be equal to the floor."""
    spot = Price(value=105, decimals=18, observed_at=AT, next_value=73)
    breaker = Breaker(tolerance=RAY * 7 // 10)
    assert oracles.fall_doubt(spot, breaker) == "next_below_tolerance: 73"
    assert oracles.fall_doubt(replace(spot, next_value=74), breaker) is None
    assert oracles.fall_doubt(spot, Breaker(tolerance=0)) is None


def test_tolerated_share_is_rounded_down() -> None:
    """A third of 3, and a hair more, is 1: a next price of 1 is not below it."""
    spot = Price(value=3, decimals=18, observed_at=AT, next_value=1)
    assert oracles.fall_doubt(spot, Breaker(tolerance=RAY // 3 + 1)) is None


def test_growth_of_a_cap_is_rounded_down() -> None:
    """A millionth of a unit per second is nothing for a million seconds less one."""
    cap = replace(CAP, growth_scaled=1)
    at = AT + timedelta(seconds=999_999)
    assert oracles.max_ratio(cap, at=at) == 10**18
    assert oracles.max_ratio(cap, at=at + timedelta(seconds=1)) == 10**18 + 1


def test_worthless_price_cannot_be_left_behind() -> None:
    """Its fault is being worthless; there is no distance from nothing."""
    found = oracles.source_health(price(0, minutes=5), FEED, at=AT, reference=price(1))
    assert found.faults == ("not_positive",)


def test_an_earlier_dispute_is_kept() -> None:
    """A second breaker adds to the first one's reason."""
    doubted = replace(price(100), disputed="feed paused")
    assert oracles.judge(doubted, Breaker()).disputed == "feed paused"
