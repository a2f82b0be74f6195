"""How often one caller may ask: a token bucket per key, on a clock that never goes back."""

from dataclasses import dataclass, field

MOST_CALLERS = 10_000


@dataclass(frozen=True, slots=True)
class Bucket:
    """What is left of an allowance.

    Parameters
    ----------
    tokens
        Requests that may come at once.
    at
        Monotonic second at which that was true.
    """

    tokens: float
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """An allowance: requests per second on average, and at once after a pause."""

    per_second: float
    burst: float


def take(bucket: Bucket | None, rate: Rate, *, now: float) -> tuple[Bucket, float]:
    """Return the bucket after one request, and how long that request would have to wait.

    Parameters
    ----------
    bucket
        None for a caller not seen before.
    now
        Monotonic second.

    Returns
    -------
    tuple
        The bucket and a wait in seconds; 0 where the request may pass. A request that has to
        wait takes nothing.
    """
    before = bucket or Bucket(rate.burst, now)
    grown = max(now - before.at, 0.0) * rate.per_second
    tokens = min(before.tokens + grown, rate.burst)
    if tokens >= 1.0:
        return Bucket(tokens - 1.0, now), 0.0
    return Bucket(tokens, now), (1.0 - tokens) / rate.per_second


@dataclass(slots=True)
class Limiter:
    """The buckets of one worker."""

    buckets: dict[str, Bucket] = field(default_factory=dict)

    def wait(self, caller: str, rate: Rate, *, now: float) -> float:
        """Return how many seconds a caller's request has to wait; 0 where it may pass."""
        if caller not in self.buckets and len(self.buckets) >= MOST_CALLERS:
            # Whoever has been away longest has a full bucket, or nearly so.
            del self.buckets[min(self.buckets, key=lambda name: self.buckets[name].at)]
        self.buckets[caller], seconds = take(self.buckets.get(caller), rate, now=now)
        return seconds
