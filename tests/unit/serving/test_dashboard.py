"""The dashboard shows metrics that exist."""

import json
import re
from pathlib import Path

from prometheus_client import Metric

import serving
from serving.telemetry import Instruments, instruments, workers

DASHBOARD = json.loads((Path(serving.__file__).parent / "monitoring/grafana.json").read_text())
GAUGES = {
    *re.findall(
        r'"(forewarn_\w+)"', (Path(serving.__file__).parent / "watch/gauges.py").read_text()
    )
}
"""What is read from the store: alerting, streams, connections, the store itself."""

SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}


def expositions() -> set[str]:
    """Return the names under which the service's metrics are scraped."""
    told = instruments()
    metrics: list[Metric] = [
        metric
        for name in Instruments.__dataclass_fields__
        for metric in getattr(told, name).collect()
    ]
    return {f"{metric.name}{suffix}" for metric in metrics for suffix in SUFFIXES[metric.type]}


def test_every_metric_it_names_exists() -> None:
    """Each expression asks for metrics that the service really exposes."""
    expressions = [one["expr"] for panel in DASHBOARD["panels"] for one in panel["targets"]]
    named = {name for text in expressions for name in re.findall(r"forewarn_\w+", text)}
    assert len(expressions) == 27
    assert named <= expositions() | GAUGES | {one.name for one in workers()}


def test_every_metric_is_shown() -> None:
    """No instrument is left out of the dashboard."""
    text = json.dumps(DASHBOARD)
    for name in Instruments.__dataclass_fields__:
        metric = next(iter(getattr(instruments(), name).collect()))
        assert metric.name in text, name
