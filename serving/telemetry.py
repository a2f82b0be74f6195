"""What Prometheus and the log are told: requests, verdicts, scores, ages and refusals."""

import collections
import json
import logging
import os
import re
import sys
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)
from prometheus_client.core import GaugeMetricFamily

from models.horizons import REFERENCE
from serving.schemas.assessment import Assessment, FaultyItem

SCORE_EDGES = (0.0001, 0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
AGE_EDGES = (60, 600, 1800, 3600, 7200, 10800, 21600, 86400)
LATENCY_EDGES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
TEXT = "text/plain; version=0.0.4; charset=utf-8"
ACCESS = logging.getLogger("forewarn.access")
UNKNOWN_ROUTE = "unknown"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"})


@dataclass(slots=True, kw_only=True)
class Visit:
    """What is told of one request; filled in while it is answered.

    Parameters
    ----------
    route
        Template of the path, so that labels stay few.
    caller
        Id of the key; never the key.
    """

    request_id: str
    method: str
    route: str = UNKNOWN_ROUTE
    caller: str | None = None
    status: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class GaugeReading:
    """A gauge that is read when it is scraped.

    Parameters
    ----------
    values
        Each with its labels.
    """

    name: str
    meaning: str
    values: tuple[tuple[float, Mapping[str, str]], ...]


@dataclass(frozen=True, slots=True, eq=False)
class _GaugeCollector:
    """Readings as the library collects them, written into no worker's file."""

    readings: Sequence[GaugeReading]

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield one family of metrics per reading."""
        for reading in self.readings:
            names = sorted({name for _, labels in reading.values for name in labels})
            family = GaugeMetricFamily(reading.name, reading.meaning, labels=names)
            for value, labels in reading.values:
                family.add_metric([labels[name] for name in names], value)
            yield family


class Distribution(Histogram):
    """A histogram that takes many values at once, where the library's takes one by one."""

    def observe_all(self, values: Sequence[float]) -> None:
        """Count values, none of them NaN, as observing each would."""
        self._sum.inc(sum(values))
        places = collections.Counter(bisect_left(self._upper_bounds, value) for value in values)
        for place, count in places.items():
            self._buckets[place].inc(count)


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruments:
    """Everything counted."""

    requests: Counter
    latency: Histogram
    assessments: Counter
    refusals: Counter
    scores: Distribution
    price_ages: Distribution
    position_ages: Distribution
    is_degraded: Gauge
    written: Counter


@cache
def instruments() -> Instruments:
    """Return the instruments, registered once per process."""
    return Instruments(
        requests=Counter(
            "forewarn_requests_total", "Requests answered", ["route", "method", "status"]
        ),
        latency=Histogram(
            "forewarn_request_seconds", "Time to answer", ["route"], buckets=LATENCY_EDGES
        ),
        assessments=Counter(
            "forewarn_assessments_total", "Accounts assessed", ["verdict", "degraded"]
        ),
        refusals=Counter("forewarn_refusals_total", "Requests refused", ["kind"]),
        scores=Distribution(
            "forewarn_expected_24h", "Expected probability within 24 h", buckets=SCORE_EDGES
        ),
        price_ages=Distribution(
            "forewarn_price_age_seconds", "Oldest price used", buckets=AGE_EDGES
        ),
        position_ages=Distribution(
            "forewarn_position_age_seconds", "Age of stored positions scored", buckets=AGE_EDGES
        ),
        is_degraded=Gauge(
            "forewarn_degraded", "1 while the service is degraded", multiprocess_mode="livemax"
        ),
        written=Counter("forewarn_writes_total", "Rows accepted into the store", ["table"]),
    )


def record(assessments: Sequence[Assessment | FaultyItem]) -> None:
    """Count assessments."""
    metrics = instruments()
    judged = [assessment for assessment in assessments if not isinstance(assessment, FaultyItem)]
    kinds = collections.Counter(
        (assessment.rule.verdict, "yes" if assessment.degraded else "no") for assessment in judged
    )
    for (verdict, degraded), count in kinds.items():
        metrics.assessments.labels(verdict=verdict, degraded=degraded).inc(count)
    ages = [assessment.oldest_price_age_seconds for assessment in judged]
    metrics.price_ages.observe_all([age for age in ages if age is not None])
    metrics.scores.observe_all(
        [
            entry.expected
            for assessment in judged
            for entry in assessment.forecast
            if entry.horizon == REFERENCE
        ]
    )


def observe_positions(since: Mapping[str, datetime], *, at: datetime) -> None:
    """Count how long the positions asked about have stood."""
    ages = [(at - moment).total_seconds() for moment in since.values()]
    instruments().position_ages.observe_all(ages)


def visited(visit: Visit) -> None:
    """Count a request and write its line into the log."""
    method = visit.method if visit.method in METHODS else "other"
    requests, latency = _counted(visit.route, method, visit.status)
    requests.inc()
    latency.observe(visit.seconds)
    if ACCESS.isEnabledFor(logging.INFO):
        fields = {
            "request_id": visit.request_id,
            "method": method,
            "route": visit.route,
            "status": visit.status,
            "seconds": round(visit.seconds, 6),
            "caller": visit.caller,
        }
        ACCESS.info("request", extra={"fields": fields})


@cache
def _counted(route: str, method: str, status: int) -> tuple[Counter, Histogram]:
    """Return what counts the requests of a kind, and what takes their time; kinds are few."""
    metrics = instruments()
    requests = metrics.requests.labels(route=route, method=method, status=status)
    return requests, metrics.latency.labels(route=route)


def exposition() -> bytes:
    """Return every metric of every worker in Prometheus' text format."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(REGISTRY)
    whole = CollectorRegistry()
    multiprocess.MultiProcessCollector(whole)  # type: ignore[no-untyped-call]
    return generate_latest(whole)


def workers() -> tuple[GaugeReading, ...]:
    """Return memory and processor time of every worker that lives, as Linux tells them."""
    place = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    files = Path(place).glob("*_*.db") if place else ()
    numbers = {os.getpid(), *(int(file.stem.rpartition("_")[2]) for file in files)}
    living = {number: used for number in sorted(numbers) if (used := _used(number)) is not None}
    meanings = {
        "forewarn_worker_resident_bytes": "memory of a worker that is resident",
        "forewarn_worker_processor_seconds": "processor time of a worker since it began",
    }
    return tuple(
        GaugeReading(
            name=name,
            meaning=meaning,
            values=tuple((used[k], {"worker": str(number)}) for number, used in living.items()),
        )
        for k, (name, meaning) in enumerate(meanings.items())
    )


def _used(number: int) -> tuple[float, float] | None:
    """Return resident bytes and processor seconds of a process; None where it is no worker."""
    place = Path("/proc") / str(number)
    try:
        fields = (place / "stat").read_text().rpartition(")")[2].split()
        pages = int((place / "statm").read_text().split()[1])
    except OSError:
        return None
    # proc(5): after the name come the state, the parent, and as twelfth and thirteenth the ticks.
    if int(fields[1]) != os.getppid():
        return None
    ticks = int(fields[11]) + int(fields[12])
    return float(pages * os.sysconf("SC_PAGE_SIZE")), ticks / os.sysconf("SC_CLK_TCK")


def forget_ended() -> None:
    """Leave out of the metrics what ended workers said of the moment; their counts stay."""
    place = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    for file in Path(place).glob("gauge_live*_*.db") if place else ():
        number = int(file.stem.rpartition("_")[2])
        try:
            os.kill(number, 0)
        except ProcessLookupError:
            multiprocess.mark_process_dead(number)  # type: ignore[no-untyped-call]


def gauges(readings: Sequence[GaugeReading]) -> bytes:
    """Return readings taken just now in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(_GaugeCollector(readings))
    return generate_latest(registry)


class JsonLines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as JSON."""
        line = {
            "at": datetime.fromtimestamp(record.created, tz=UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_named(record),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line)


_PLACE = re.compile(r"(?:(\w+)=)?%(?:\.\d+)?[sdrf]")


def _named(record: logging.LogRecord) -> dict[str, object]:
    """Return the values that a message names: `accounts=%d` becomes a field of its own."""
    arguments = record.args
    if not isinstance(arguments, tuple):
        return {}
    names = [place.group(1) for place in _PLACE.finditer(str(record.msg))]
    if len(names) != len(arguments):
        return {}
    return {
        name: value if isinstance(value, int | float | str) else str(value)
        for name, value in zip(names, arguments, strict=True)
        if name
    }


def log_to_stderr(level: str) -> None:
    """Send the log to standard error as JSON lines, from `level` up."""
    logger = logging.getLogger("forewarn")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logger.handlers[:] = [handler]
    logger.propagate = False
    logger.setLevel(level.upper())
