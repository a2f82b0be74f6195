"""Prices made of prices: medians, delays, caps, and what makes one doubtful.

Every price that comes out says who reported it and from when it was known. Nothing here
replaces a venue's own price: a circuit breaker marks it, the rules still use it.

References
----------
Chainlink data feeds (deviation or heartbeat); makerdao/median at 0316acd5, osm at
e36c874b, clipper-mom; bgd-labs/aave-capo at 2c280ef9.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from models.domain import Price
from models.margin.fixed_point import BPS, RAY, mul_div_down, mul_div_toward_zero
from models.margin.result import Refusal

YEAR = 31_536_000
CAPO_SCALE = 10**6


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """What a source promises about its updates.

    Parameters
    ----------
    source
        Name, as in `Price.source`.
    heartbeat
        Longest time between updates.
    deviation
        Relative move at which it updates sooner; None when it makes no such promise.
    grace
        Delay after the heartbeat that is normal.
    """

    source: str
    heartbeat: timedelta
    deviation: Fraction | None = None
    grace: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Whether a source can be relied on, and if not, why.

    Parameters
    ----------
    source
        Which source.
    age
        Time since its price was known; None when it reported nothing.
    faults
        Codes: `missing`, `not_positive`, `from_the_future`, `stale`, `heartbeat_missed`,
        `deviation_missed`, `outlier`. Empty when healthy.
    """

    source: str
    age: timedelta | None
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
    }
    return tuple(code for code, is_wrong in checks.items() if is_wrong)


def source_health(
    price: Price | None, feed: Feed, *, at: datetime, reference: Price | None = None
) -> Health:
    """Judge a source by its own promises.

    Parameters
    ----------
    price
        Its latest price; None when it reported nothing.
    feed
        What it promises.
    at
        Time of judgement.
    reference
        A newer price of the same asset; a move beyond the feed's deviation that the feed
        has not followed is `deviation_missed`.
    """
    if price is None:
        return Health(source=feed.source, age=None, faults=("missing",))
    faults = price_faults(price, at=at)
    if price.age(at) > feed.heartbeat + feed.grace:
        faults += ("heartbeat_missed",)
    if _is_left_behind(price, feed, reference):
        faults += ("deviation_missed",)
    return Health(source=feed.source, age=price.age(at), faults=faults)


def _is_left_behind(price: Price, feed: Feed, reference: Price | None) -> bool:
    """Return whether a newer price lies beyond what the feed promises to follow."""
    if feed.deviation is None or reference is None or price.value <= 0:
        return False
    is_newer = reference.observed_at > price.observed_at
    return is_newer and relative_gap(reference.exact, price.exact) > feed.deviation


def middle(values: Sequence[Fraction]) -> Fraction:
    """Return the median; of an even number, the mean of the two in the middle."""
    ordered = sorted(values)
    half = len(ordered) // 2
    return (ordered[half] + ordered[-half - 1]) / 2


def consensus(
    prices: Sequence[Price], *, at: datetime, quorum: int, outlier: Fraction, decimals: int
) -> Consensus:
    """Return the median of the sources that are sound and agree.

    Sources that are stale, not positive or from the future are left out; then those
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
class SignedValue:
    """One oracle's signed message to Maker's median.

    Parameters
    ----------
    signer
        Who signed it.
    value
        Price, wad.
    age
        Seconds since the epoch, as signed.
    """

    signer: str
    value: int
    age: int


def maker_median(
    values: Sequence[SignedValue],
    *,
    bar: int,
    last_age: int,
    at: datetime,
    oracles: frozenset[str] | None = None,
) -> Price | Refusal:
    """Return Maker's median of signed values, or the reason why it is not updated.

    Parameters
    ----------
    values
        Exactly `bar` messages, by value ascending.
    bar
        Number of messages that make a median.
    last_age
        Seconds since the epoch of the median in force; each message must be newer.
    at
        Time of the update, which becomes the price's own.
    oracles
        Who may sign; None to take the signers as given.
    """
    if len(values) != bar:
        return Refusal("Median/bar-too-low", f"{len(values)} messages, not {bar}")
    signers: set[str] = set()
    floor = 0
    for message in values:
        reason = _unfit(message, signers, floor=floor, last_age=last_age, oracles=oracles)
        if reason is not None:
            return Refusal(reason, f"message of {message.signer}")
        floor = message.value
        signers.add(message.signer)
    value = values[len(values) // 2].value
    return Price(value=value, decimals=18, observed_at=at, source="maker-median")


def _unfit(
    message: SignedValue,
    signers: set[str],
    *,
    floor: int,
    last_age: int,
    oracles: frozenset[str] | None,
) -> str | None:
    """Return why a message is refused, checked in the venue's order."""
    if oracles is not None and message.signer not in oracles:
        return "Median/invalid-oracle"
    if message.age <= last_age:
        return "Median/stale-message"
    if message.value < floor:
        return "Median/messages-not-in-order"
    return "Median/oracle-already-signed" if message.signer in signers else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delayed:
    """Maker's delayed oracle: a current price, and the next, known one hop ahead.

    Parameters
    ----------
    current, upcoming
        None until the source has been read.
    updated_at
        Start of the hop in which it was last updated.
    hop
        Time between updates.
    is_stopped
        Whether updates are switched off.
    """

    current: Price | None
    upcoming: Price | None
    updated_at: datetime
    hop: timedelta = timedelta(hours=1)
    is_stopped: bool = False


def hop_start(at: datetime, hop: timedelta) -> datetime:
    """Return the start of the hop that holds `at`, counted from the epoch."""
    seconds = int(at.timestamp())
    return datetime.fromtimestamp(seconds - seconds % int(hop.total_seconds()), UTC)


def poke(osm: Delayed, source: Price | None, *, at: datetime) -> Delayed | Refusal:
    """Move a delayed oracle on by one price.

    Parameters
    ----------
    osm
        State before.
    source
        What its source reports; None when invalid, which leaves everything as it was.
    at
        Time of the update.
    """
    if osm.is_stopped:
        return Refusal("OSM/is-stopped", "updates are switched off")
    if at < osm.updated_at + osm.hop:
        return Refusal("OSM/not-passed", f"next update from {osm.updated_at + osm.hop}")
    if source is None:
        return osm
    updated_at = hop_start(at, osm.hop)
    return replace(osm, current=osm.upcoming, upcoming=source, updated_at=updated_at)


def peek(osm: Delayed) -> Price | None:
    """Return the price in force, with the one known to follow it."""
    if osm.current is None or osm.upcoming is None or osm.is_stopped:
        return osm.current
    return replace(
        osm.current,
        next_value=_at_scale(osm.upcoming, osm.current.decimals),
        next_at=osm.updated_at + osm.hop,
    )


def peep(osm: Delayed) -> Price | None:
    """Return the price that comes into force at the next update."""
    return osm.upcoming


def _at_scale(price: Price, decimals: int) -> int:
    """Return a price's value at another scale, rounded down."""
    scaled: Fraction = price.exact * 10**decimals
    return scaled.numerator // scaled.denominator


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


def capped(price: Price, cap: int) -> Price:
    """Return a stable asset's price with its excess over `cap` (same scale) cut off."""
    if price.value <= cap:
        return price
    return replace(price, value=cap, source=f"{price.source} capped")


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """When a price is no longer to be believed; None switches a test off.

    Parameters
    ----------
    jump
        Largest move from the previous price, as a fraction of it.
    gap
        Largest distance between the time-weighted and the spot price, as a fraction of
        the time-weighted one.
    tolerance
        Least next price of a delayed oracle, as a share of the current one, ray
        (ClipperMom; 0 never trips).
    """

    jump: Fraction | None = None
    gap: Fraction | None = None
    tolerance: int | None = None


def judge(
    price: Price,
    breaker: Breaker,
    *,
    previous: Price | None = None,
    twap: Price | None = None,
    agreed: Consensus | None = None,
) -> Price:
    """Return the venue's own price, marked `disputed` where a test fails.

    Value, age and source stay as the venue sees them.

    Parameters
    ----------
    price
        What the venue judges by.
    breaker
        The tests.
    previous
        The price before this one.
    twap
        Time-weighted price of the same asset.
    agreed
        What other sources say; a lost quorum is a dispute.
    """
    doubts = (
        price.disputed,
        jump_doubt(price, previous, breaker),
        quorum_doubt(agreed),
        gap_doubt(price, twap, breaker),
        fall_doubt(price, breaker),
    )
    reasons = [doubt for doubt in doubts if doubt is not None]
    return replace(price, disputed="; ".join(reasons) or None)


def jump_doubt(price: Price, previous: Price | None, breaker: Breaker) -> str | None:
    """Return the reason when the price moved too far since the previous one."""
    if breaker.jump is None or previous is None or previous.value <= 0:
        return None
    moved = relative_gap(price.exact, previous.exact)
    return f"jump: {_percent(moved)}" if moved > breaker.jump else None


def quorum_doubt(agreed: Consensus | None) -> str | None:
    """Return the reason when other sources do not make a quorum."""
    if agreed is None or agreed.refusal is None:
        return None
    return f"{agreed.refusal.reason}: {agreed.refusal.detail}"


def gap_doubt(price: Price, twap: Price | None, breaker: Breaker) -> str | None:
    """Return the reason when spot and time-weighted price lie too far apart."""
    if breaker.gap is None or twap is None or twap.value <= 0:
        return None
    gap = relative_gap(price.exact, twap.exact)
    return f"twap_gap: {_percent(gap)}" if gap > breaker.gap else None


def fall_doubt(price: Price, breaker: Breaker) -> str | None:
    """Return the reason when the next price falls below the tolerated share."""
    if breaker.tolerance is None or price.next_value is None:
        return None
    # The venue compares in ray, where the product keeps nine more digits.
    to_ray: int = 10 ** (27 - price.decimals)
    least = mul_div_down(price.value * to_ray, breaker.tolerance, RAY)
    is_tripped = price.next_value * to_ray < least
    return f"next_below_tolerance: {price.next_value}" if is_tripped else None


def _percent(share: Fraction) -> str:
    """Show a fraction in per cent, two digits, rounded down."""
    hundredths = share.numerator * BPS // share.denominator
    return f"{hundredths // 100}.{hundredths % 100:02d} %"
