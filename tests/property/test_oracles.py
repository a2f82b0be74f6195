"""Prices made of prices: what must hold for every set of sources."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from models.domain import Price
from models.margin import oracles, uniswap_v3
from models.margin.oracles import Consensus, RatioCap
from models.margin.uniswap_v3 import TickChange

AT = datetime(2026, 1, 1, tzinfo=UTC)
TICKS = st.integers(-uniswap_v3.MAX_TICK, uniswap_v3.MAX_TICK)
PRICES = st.builds(
    Price,
    value=st.integers(-5, 2**256),
    decimals=st.integers(0, 18),
    observed_at=st.integers(-60, 10**5).map(lambda s: AT - timedelta(seconds=s)),
    source=st.sampled_from("abcdef"),
    stale_after=st.sampled_from([None, timedelta(hours=1)]),
)


def agreed(prices: list[Price], *, quorum: int = 1) -> Consensus:
    """Return the consensus at AT."""
    return oracles.consensus(prices, at=AT, quorum=quorum, outlier=Fraction(1, 4), decimals=18)


@settings(deadline=None)
@given(prices=st.lists(PRICES, max_size=8))
def test_median_lies_among_its_sources_and_is_as_old_as_the_oldest(prices: list[Price]) -> None:
    """No price comes out that lies outside what went in, or looks fresher."""
    found = agreed(prices)
    if found.price is None:
        assert found.refusal is not None
        return
    used = [price for price in prices if price.source in found.used]
    sound = [price.exact for price in used if price.value > 0]
    assert min(sound) - Fraction(1, 10**18) <= found.price.exact <= max(sound)
    assert min(price.observed_at for price in used) <= found.price.observed_at <= AT


@settings(deadline=None)
@given(prices=st.lists(PRICES, max_size=8), quorum=st.integers(0, 7))
def test_every_source_is_either_used_or_named_with_a_fault(
    prices: list[Price], quorum: int
) -> None:
    """Nothing is left out silently, and less than a quorum gives no price."""
    found = agreed(prices, quorum=quorum)
    named = {health.source for health in found.sources if not health.is_healthy}
    assert named | set(found.used) == {price.source for price in prices}
    assert not named & set(found.used)
    assert (found.price is None) == (len(found.used) < max(1, quorum))


@settings(deadline=None)
@given(prices=st.lists(PRICES, min_size=1, max_size=8))
def test_comparing_changes_nothing_but_the_mark(prices: list[Price]) -> None:
    """Value, age and source stay the newest one's own, and every source is shown once."""
    reports = sorted(prices, key=lambda price: price.observed_at)
    found = oracles.compared(reports)
    assert replace(found.price, disputed=None) == replace(reports[-1], disputed=None)
    assert sorted(each.source for each in found.sources) == sorted({p.source for p in prices})
    assert len(found.sources) > 1 or found.price == reports[-1]


@settings(deadline=None)
@given(
    base=st.integers(-5, 10**30),
    ratio=st.integers(-5, 10**30),
    seconds=st.integers(0, 10**9),
    growth=st.integers(0, 10**18),
)
def test_a_cap_never_raises_a_price(base: int, ratio: int, seconds: int, growth: int) -> None:
    """Nor does more time ever lower it."""
    cap = RatioCap(
        snapshot_ratio=10**18,
        snapshot_at=int(AT.timestamp()),
        growth_scaled=growth,
        ratio_decimals=18,
    )
    price = Price(value=base, decimals=8, observed_at=AT)
    now, later = (
        oracles.capped_by_ratio(price, ratio, cap, at=AT + timedelta(seconds=s)).value
        for s in (seconds, seconds + 1)
    )
    assert 0 <= now <= later <= max(0, base) * max(0, ratio) // 10**18


@settings(deadline=None)
@given(tick=st.integers(-uniswap_v3.MAX_TICK, uniswap_v3.MAX_TICK - 1))
def test_price_rises_with_the_tick(tick: int) -> None:
    """Each tick has its own square root price."""
    low, high = (uniswap_v3.sqrt_price_x96(t) for t in (tick, tick + 1))
    assert isinstance(low, int)
    assert isinstance(high, int)
    assert low < high


@settings(deadline=None)
@given(
    ticks=st.lists(TICKS, min_size=1, max_size=6),
    gaps=st.lists(st.integers(1, 10**4), min_size=6, max_size=6),
    window=st.integers(1, 10**4),
)
def test_mean_tick_lies_among_the_ticks(ticks: list[int], gaps: list[int], window: int) -> None:
    """Between the lowest and the highest tick in force, never outside."""
    starts = [sum(gaps[:index]) for index in range(len(ticks))]
    changes = [TickChange(at, tick) for at, tick in zip(starts, ticks, strict=True)]
    mean = uniswap_v3.twap_tick(changes, now=starts[-1] + window, window=window)
    assert isinstance(mean, int)
    assert min(ticks) <= mean <= max(ticks)
