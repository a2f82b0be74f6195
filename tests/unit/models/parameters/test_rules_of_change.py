"""Bounds, coupled parameters, caps of oracles, and limits that follow liquidity or debt."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from parameter_terms import AAVE, MAKER, TERMS

from models.domain import MarketId
from models.margin.oracles import RatioCap, growth_per_second
from models.margin.perpetual import Tier
from models.parameters.bounds import USUAL, Measure, StepBound, bound_faults, steps
from models.parameters.catalogue import Role, find
from models.parameters.ceilings import AutoLine, followed, smart_ltv
from models.parameters.changes import Change, Request, applied, resolve
from models.parameters.coupling import RatioPoint, cap_faults, coupled_faults

AT = datetime(2026, 3, 10, tzinfo=UTC)


def wsteth(**to: str) -> tuple[Change, ...]:
    """Return changes of wstETH's parameters."""
    requests = [Request(market=AAVE, asset="wstETH", parameter=n, to=v) for n, v in to.items()]
    return resolve(requests, TERMS)


def coupled(changes: tuple[Change, ...]) -> list[str]:
    """Return the laws that changes made together break."""
    after = {
        market: applied(terms, [c for c in changes if c.market == market])
        for market, terms in TERMS.items()
    }
    return [remark.text for remark in coupled_faults(changes, after)]


def test_loan_to_value_and_threshold_are_judged_together() -> None:
    """Either alone breaks the law at 78.5 % and 81 %; moved together they do not."""
    assert "above the threshold" in coupled(wsteth(threshold="0.78"))[0]
    assert "above the threshold" in coupled(wsteth(ltv="0.82"))[0]
    assert coupled(wsteth(ltv="0.75", threshold="0.78")) == []


def test_threshold_times_bonus_is_at_most_one() -> None:
    """95 % with 5.26 % is just within; 5.27 % would worsen every account it liquidates."""
    assert coupled(wsteth(threshold="0.95", bonus="1.0526")) == []
    assert "above 1" in coupled(wsteth(threshold="0.95", bonus="1.0527"))[0]


def test_a_liquidation_ratio_covers_its_penalty() -> None:
    """A vault of ratio 1.1 does not cover a debt with a penalty of 13 %."""
    low = resolve([Request(market=MAKER, parameter="mat", to="1.1")], TERMS)
    assert "penalty factor 1.13" in coupled(low)[0]


def test_ninety_three_to_ninety_takes_six_steps_and_fifteen_days() -> None:
    """Half a point every three days: the last step is made 15 days after the first."""
    (change,) = wsteth(threshold="0.78")
    path = steps(change, USUAL, begin=AT)
    assert [step.value for step in path] == [8050, 8000, 7950, 7900, 7850, 7800]
    assert path[-1].at - AT == timedelta(days=15)


def test_a_step_too_far_or_too_soon_is_refused_with_the_earliest_time() -> None:
    """Both are said at once."""
    (far,) = wsteth(threshold="0.80")
    result = list(bound_faults(far, USUAL, last=AT - timedelta(days=2), at=AT))
    assert "moves by 0.01, more than 0.005" in result[0].text
    assert "not again before 2026-03-11T00:00:00+00:00" in result[1].text
    (near,) = wsteth(threshold="0.805")
    assert list(bound_faults(near, USUAL, last=AT - timedelta(days=3), at=AT)) == []


def test_a_restricted_parameter_does_not_move() -> None:
    """The first bound that matches counts."""
    bounds = (StepBound(role=Role.LTV, is_restricted=True), *USUAL)
    (change,) = wsteth(ltv="0.78")
    assert "restricted" in next(bound_faults(change, bounds, last=None, at=AT)).text
    with pytest.raises(ValueError, match="restricted"):
        steps(change, bounds, begin=AT)


BEFORE = RatioCap(
    snapshot_ratio=115_919_417, snapshot_at=1_770_000_000, growth_scaled=0, ratio_decimals=8
)
MARKET_RATIO = RatioPoint(ratio=122_880_000, at=datetime.fromtimestamp(1_773_100_000, tz=UTC))


def cap(ratio: int, at: int) -> RatioCap:
    """Return a cap of 9.68 % a year from a snapshot."""
    return RatioCap(
        snapshot_ratio=ratio,
        snapshot_at=at,
        growth_scaled=growth_per_second(ratio, 968),
        ratio_decimals=8,
    )


def test_a_ratio_that_lags_behind_its_timestamp_is_refused() -> None:
    """A ratio limited to +3 % with the timestamp of seven days ago cuts the price by 2.8 %."""
    paired = cap(119_397_000, 1_772_500_000)
    then = RatioPoint(ratio=122_700_000, at=datetime.fromtimestamp(1_772_500_000, tz=UTC))
    result = list(cap_faults(BEFORE, paired, now=MARKET_RATIO, at_snapshot=then))
    assert len(result) == 2
    assert "was 122700000, not 119397000" in result[0].text
    assert "cut by 2.6" in result[1].text


def test_half_of_the_pair_is_refused() -> None:
    """Ratio and timestamp are one observation."""
    alone = cap(122_700_000, BEFORE.snapshot_at)
    assert "only the snapshot's ratio" in next(
        remark.text for remark in cap_faults(BEFORE, alone, now=MARKET_RATIO, at_snapshot=None)
    )
    late = cap(BEFORE.snapshot_ratio, 1_772_500_000)
    assert "only the snapshot's timestamp" in next(
        remark.text for remark in cap_faults(BEFORE, late, now=MARKET_RATIO, at_snapshot=None)
    )


def test_a_pair_that_belongs_together_passes() -> None:
    """The ratio that stood at the timestamp, and a cap above today's."""
    sound = cap(122_700_000, 1_772_500_000)
    then = RatioPoint(ratio=122_700_000, at=datetime.fromtimestamp(1_772_500_000, tz=UTC))
    assert list(cap_faults(BEFORE, sound, now=MARKET_RATIO, at_snapshot=then)) == []


def test_smart_ltv() -> None:
    """The worked figure of its authors."""
    result = smart_ltv(1e6, 2e5, volatility=0.10, bonus=0.05, caution=3)
    assert result == pytest.approx(0.82444657, abs=5e-9)
    with pytest.raises(ValueError, match="above 0"):
        smart_ltv(0, 2e5, volatility=0.1, bonus=0.05, caution=3)


def test_auto_line() -> None:
    """The sequence of its authors: rise after the wait, up to the most; fall at once."""
    start = AutoLine(line=10_000, most=12_600, gap=2_500, wait=3_600)
    risen = followed(start, 10_000, at=3_600)
    assert risen.line == 12_500
    assert followed(risen, 10_200, at=3_601).line == 12_500
    assert followed(risen, 10_200, at=7_200).line == 12_600
    assert followed(risen, 7_000, at=3_601).line == 9_500


def test_bounds_are_of_shares() -> None:
    """A relative bound is taken of what stands."""
    bound = StepBound(role=Role.RATIO, up=Fraction(5, 100))
    (change,) = resolve([Request(market=MAKER, parameter="mat", to="1.45")], TERMS)
    assert [step.value for step in steps(change, (bound,), begin=AT)] == [
        135 * 10**25,
        14 * 10**26,
        145 * 10**25,
    ]


USDM = MarketId("binance-usdm", "USDT", "")


def table(*brackets: tuple[int, str, str]) -> tuple[Tier, ...]:
    """Return brackets of floor, rate and deduction."""
    return tuple(
        Tier(floor=Fraction(floor), rate=Fraction(rate), deduction=Fraction(less), max_leverage=20)
        for floor, rate, less in brackets
    )


def tiers_to(before: tuple[Tier, ...], to: tuple[Tier, ...]) -> Change:
    """Return the change of a table."""
    parameter = find("binance-usdm", "symbols.ACT")
    assert parameter is not None
    return Change(market=USDM, parameter=parameter, path="symbols.ACT", before=before, to=to)


QUARTER = StepBound(
    role=Role.TIERS,
    measure=Measure.RELATIVE,
    up=Fraction(1, 4),
    down=Fraction(1, 4),
    every=timedelta(days=1),
)
LOW = table((0, "0.01", "0"), (1000, "0.02", "10"))
HIGH = table((0, "0.02", "0"), (1000, "0.04", "20"))


def test_a_doubled_table_takes_four_steps_of_a_quarter() -> None:
    """1.25, 1.5625 and 1.9531 times what was required (in ten thousandths), then twice."""
    path = steps(tiers_to(LOW, HIGH), (QUARTER,), begin=AT)
    assert [step.at for step in path] == [AT + timedelta(days=day) for day in range(4)]
    assert [step.value for step in path] == [
        table((0, "0.0125", "0"), (1000, "0.025", "12.5")),
        table((0, "0.015625", "0"), (1000, "0.03125", "15.625")),
        table((0, "0.019531", "0"), (1000, "0.039062", "19.531")),
        HIGH,
    ]
    assert steps(tiers_to(LOW, HIGH), (), begin=AT)[0].value == HIGH


def test_a_table_halved_goes_down_by_a_quarter_of_what_stands() -> None:
    """.75, .5625 of what was required, then half: 3 steps."""
    path = steps(tiers_to(HIGH, LOW), (QUARTER,), begin=AT)
    assert [step.value[0].rate for step in path] == [
        Fraction("0.015"),
        Fraction("0.01125"),
        Fraction("0.01"),
    ]


def test_a_bracket_that_begins_earlier_is_bounded_where_it_hurts_most() -> None:
    """At 500 nothing changes yet; at 1,000 of notional 15 are needed in place of 10, half more."""
    early = table((0, "0.01", "0"), (500, "0.02", "5"))
    change = tiers_to(LOW, early)
    found = bound_faults(change, (QUARTER,), last=None, at=AT)
    assert [remark.text for remark in found] == [
        "symbols.ACT requires more or less at some size than it may change by at once"
    ]
    half = StepBound(role=Role.TIERS, measure=Measure.RELATIVE, up=Fraction(1, 2))
    assert list(bound_faults(change, (half,), last=None, at=AT)) == []
    first, *_ = steps(change, (QUARTER,), begin=AT)
    # Half of the way: 12.5 at 1,000, a quarter more.
    assert first.value == table((0, "0.01", "0"), (500, "0.015", "2.5"), (1000, "0.02", "7.5"))


def test_a_table_in_points_of_its_notional() -> None:
    """Half a point at once: 2 % to 4 % of the largest position is four steps."""
    points = StepBound(role=Role.TIERS, up=Fraction(1, 200), down=Fraction(1, 200))
    assert len(steps(tiers_to(LOW, HIGH), (points,), begin=AT)) == 4
    none = StepBound(role=Role.TIERS, up=Fraction(0))
    with pytest.raises(ValueError, match="cannot move"):
        steps(tiers_to(LOW, HIGH), (none,), begin=AT)
