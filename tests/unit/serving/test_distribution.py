"""Values counted many at once, as one by one."""

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.metrics import Metric

from serving.telemetry import SCORE_EDGES, Distribution

VALUES = [0.0, 0.0001, 0.3, 0.3, 0.5, 1.0, 1.5, -2.0]


def collected(histogram: Histogram) -> list[tuple[str, dict[str, str], float]]:
    """Return what is scraped of a histogram, but for when it began."""
    metric: Metric = next(iter(histogram.collect()))
    return [
        (sample.name, sample.labels, sample.value)
        for sample in metric.samples
        if not sample.name.endswith("_created")
    ]


def test_many_at_once_count_as_one_by_one() -> None:
    """On an edge, below the first and beyond the last one; none counts nothing."""
    registry = CollectorRegistry()
    at_once = Distribution("values", "x", buckets=SCORE_EDGES, registry=registry)
    single = Histogram("values", "x", buckets=SCORE_EDGES, registry=CollectorRegistry())
    at_once.observe_all(VALUES)
    at_once.observe_all([])
    for value in VALUES:
        single.observe(value)
    assert collected(at_once) == collected(single)
