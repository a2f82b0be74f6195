"""What Prometheus is told: verdicts, scores, price ages and refusals."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from prometheus_client import Counter, Histogram

from serving.answers import Assessment, FaultyItem

SCORE_EDGES = (0.0001, 0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
AGE_EDGES = (60, 600, 1800, 3600, 7200, 10800, 21600, 86400)


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruments:
    """Everything counted here; BentoML counts requests and latency."""

    assessments: Counter
    refusals: Counter
    scores: Histogram
    ages: Histogram


@cache
def instruments() -> Instruments:
    """Return the instruments, registered once per process."""
    return Instruments(
        assessments=Counter(
            "forewarn_assessments_total", "Accounts assessed", ["verdict", "degraded"]
        ),
        refusals=Counter("forewarn_refusals_total", "Requests refused", ["kind"]),
        scores=Histogram(
            "forewarn_expected_24h", "Expected probability within 24 h", buckets=SCORE_EDGES
        ),
        ages=Histogram("forewarn_price_age_seconds", "Oldest price used", buckets=AGE_EDGES),
    )


def record(assessments: Sequence[Assessment | FaultyItem]) -> None:
    """Count assessments."""
    told = instruments()
    for one in assessments:
        if isinstance(one, FaultyItem):
            continue
        degraded = "yes" if one.degraded else "no"
        told.assessments.labels(verdict=one.rule.verdict, degraded=degraded).inc()
        if one.oldest_price_age_seconds is not None:
            told.ages.observe(one.oldest_price_age_seconds)
        for entry in one.forecast:
            if entry.horizon == "24h":
                told.scores.observe(entry.expected)
