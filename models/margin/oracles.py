"""What several sources say of one price, and the cap of a derivative token's ratio.

Every price that comes out says who reported it and from when it was known. Nothing here
replaces the price in force: one that other sources contradict is marked, the rules still use
it.

References
----------
bgd-labs/aave-capo at 2c280ef9.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from fractions import Fraction

from models.domain import Price
from models.margin.fixed_point import BPS, mul_div_down, mul_div_toward_zero
from models.margin.result import Refusal

YEAR = 31_536_000
CAPO_SCALE = 10**6

TOGETHER = timedelta(minutes=5)
"""Sources of which one spoke so long before another speak of the same market."""

OUTLIER = Fraction(1, 20)
"""Distance from the median of all, as a share of it, beyond which a source disagrees."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Whether a source can be relied on, and if not, why.

    Parameters
    ----------
    source
        Which source.
    age
        Time since its price was known.
    faults
        Codes: `not_positive`, `from_the_future`, `stale`, `disputed`, `outlier`. Empty when
        healthy.
    """

    source: str
    age: timedelta
    faults: tuple[str, ...] = ()

    @property
    def is_healthy(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults


@dataclass(frozen=True, slots=True, kw_only=True)
class Consensus:
    """A price agreed by several sources, or the reason why there is none.

    Parameters
    ----------
    price
        The median; its `observed_at` is that of the oldest source used.
    used
        Sources that made the median.
    sources
        Health of every source asked, the rejected ones included.
    refusal
        `quorum_lost` when too few sources remain.
    """

    price: Price | None
    used: tuple[str, ...]
    sources: tuple[Health, ...]
    refusal: Refusal | None = None


def relative_gap(value: Fraction, reference: Fraction) -> Fraction:
    """Return how far `value` lies from `reference`, as a fraction of `reference`."""
    return abs(value - reference) / reference


def price_faults(price: Price, *, at: datetime) -> tuple[str, ...]:
    """Return what is wrong with a price on its own."""
    checks = {
        "not_positive": price.value <= 0,
        "from_the_future": price.observed_at > at,
        "stale": price.is_stale(at),
        "disputed": price.disputed is not None,
    }
    return tuple(code for code, is_wrong in checks.items() if is_wrong)


def middle(values: Sequence[Fraction]) -> Fraction:
    """Return the median; of an even number, the mean of the two in the middle."""
    ordered = sorted(values)
    half = len(ordered) // 2
    return (ordered[half] + ordered[-half - 1]) / 2


def consensus(
    prices: Sequence[Price], *, at: datetime, quorum: int, outlier: Fraction, decimals: int
) -> Consensus:
    """Return the median of the sources that are sound and agree.

    Sources that are stale, disputed, not positive or from the future are left out; then those
    farther than `outlier` from the median of the rest, once; then the median is taken
    again, rounded down to `decimals`. A source counts once, with its newest price.

    Parameters
    ----------
    prices
        Reports of the same asset, in any scale.
    at
        Time of judgement.
    quorum
        Least number of sources that must remain, ≥ 1.
    outlier
        Largest distance from the first median, as a fraction of it.
    decimals
        Scale of the result.
    """
    newest = {price.source: price for price in sorted(prices, key=lambda p: p.observed_at)}
    faults = {source: price_faults(price, at=at) for source, price in newest.items()}
    sound = [price for source, price in newest.items() if not faults[source]]
    if sound:
        centre = middle([price.exact for price in sound])
        for price in sound:
            if relative_gap(price.exact, centre) > outlier:
                faults[price.source] = ("outlier",)
    used = tuple(price for price in sound if not faults[price.source])
    sources = tuple(
        Health(source=source, age=price.age(at), faults=faults[source])
        for source, price in newest.items()
    )
    names = tuple(price.source for price in used)
    if len(used) < max(1, quorum):
        return Consensus(
            price=None, used=names, sources=sources, refusal=_quorum_lost(sources, quorum)
        )
    agreed = _median_price(used, decimals=decimals)
    return Consensus(price=agreed, used=names, sources=sources)


def _median_price(used: Sequence[Price], *, decimals: int) -> Price:
    """Return the median as a price as old as its oldest source."""
    value = middle([price.exact for price in used]) * 10**decimals
    limits = [price.stale_after for price in used if price.stale_after is not None]
    return Price(
        value=value.numerator // value.denominator,
        decimals=decimals,
        observed_at=min(price.observed_at for price in used),
        source=f"median({', '.join(sorted(price.source for price in used))})",
        stale_after=min(limits, default=None),
    )


def _quorum_lost(sources: Sequence[Health], quorum: int) -> Refusal:
    """Name the sources that failed."""
    failed = [f"{s.source} {'+'.join(s.faults)}" for s in sources if not s.is_healthy]
    sound = len(sources) - len(failed)
    return Refusal("quorum_lost", f"{sound} of {quorum} sources; failed: {', '.join(failed)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """The price in force beside what other sources said within `TOGETHER` of it.

    Parameters
    ----------
    price
        What was reported last, value and source as reported; `disputed` where the sources
        contradict it, or are too few of one mind.
    sources
        Every source with its newest price, in order of time.
    consensus
        What they say together, at the time of the price in force; None of a single source,
        which nothing can be compared with.
    """

    price: Price
    sources: tuple[Price, ...]
    consensus: Consensus | None = None

    @property
    def faults(self) -> Mapping[str, tuple[str, ...]]:
        """What is wrong with each source, as of `Health`; nothing of a single one."""
        if self.consensus is None:
            return {}
        return {health.source: health.faults for health in self.consensus.sources}


def compared(reports: Sequence[Price]) -> Compared:
    """Return the price in force of an asset, compared with what other sources said of it.

    The newest report is in force. More than half of the sources have to be sound and within
    `OUTLIER` of the median of the sound ones, and the source in force among them.

    Parameters
    ----------
    reports
        At least one, in order of time: what was reported up to now within `TOGETHER` before
        the last.
    """
    newest = {report.source: report for report in reports}
    last = reports[-1]
    sources = tuple(report for report in reports if newest[report.source] is report)
    if len(sources) == 1:
        return Compared(price=last, sources=sources)
    agreed = consensus(
        sources,
        at=last.observed_at,
        quorum=len(sources) // 2 + 1,
        outlier=OUTLIER,
        decimals=last.decimals,
    )
    doubts = (last.disputed, _quorum_doubt(agreed), _outlier_doubt(last, agreed))
    reasons = [doubt for doubt in doubts if doubt is not None]
    marked = replace(last, disputed="; ".join(reasons) or None)
    return Compared(price=marked, sources=sources, consensus=agreed)


def _quorum_doubt(agreed: Consensus) -> str | None:
    """Return the reason when the sources do not make a quorum."""
    if agreed.refusal is None:
        return None
    return f"{agreed.refusal.reason}: {agreed.refusal.detail}"


def _outlier_doubt(price: Price, agreed: Consensus) -> str | None:
    """Return the reason when the others agree on another price."""
    if agreed.price is None or price.source in agreed.used:
        return None
    gap = relative_gap(price.exact, agreed.price.exact)
    return f"{price.source} is {_percent(gap)} off the {agreed.price.source}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RatioCap:
    """How fast a derivative token may gain on what it stands for.

    Parameters
    ----------
    snapshot_ratio
        Exchange ratio at the snapshot, in the ratio's scale.
    snapshot_at
        Seconds since the epoch.
    growth_scaled
        Most growth per second, in the ratio's scale times 10^6.
    ratio_decimals
        Scale of the ratio.
    """

    snapshot_ratio: int
    snapshot_at: int
    growth_scaled: int
    ratio_decimals: int


def growth_per_second(snapshot_ratio: int, growth_bps: int) -> int:
    """Return a yearly growth limit in basis points as `RatioCap.growth_scaled`."""
    return snapshot_ratio * growth_bps * CAPO_SCALE // BPS // YEAR


def max_ratio(cap: RatioCap, *, at: datetime) -> int:
    """Return the highest ratio that counts at `at`."""
    elapsed = int(at.timestamp()) - cap.snapshot_at
    return cap.snapshot_ratio + mul_div_down(cap.growth_scaled, elapsed, CAPO_SCALE)


def capped_by_ratio(base: Price, ratio: int, cap: RatioCap, *, at: datetime) -> Price:
    """Return the price of a derivative token with its exchange ratio capped.

    A base price or ratio that is not positive gives 0, as the venue's adapter does, and so
    does a moment before the snapshot, where the adapter reverts; the account is then
    unevaluable. The result is as old as the base price.
    """
    counted = min(ratio, max_ratio(cap, at=at))
    value = 0
    if base.value > 0 and ratio > 0 and at.timestamp() >= cap.snapshot_at:
        value = mul_div_toward_zero(base.value, counted, 10**cap.ratio_decimals)
    source = f"{base.source} capped" if counted < ratio else base.source
    return replace(
        base, value=value, bid=None, ask=None, next_value=None, next_at=None, source=source
    )


def _percent(share: Fraction) -> str:
    """Show a fraction in per cent, two digits, rounded down."""
    hundredths = share.numerator * BPS // share.denominator
    return f"{hundredths // 100}.{hundredths % 100:02d} %"
