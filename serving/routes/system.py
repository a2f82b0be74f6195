"""The service about itself: alive, ready, and its metrics."""

import contextlib
from dataclasses import dataclass

from serving import telemetry
from serving.application.scoring import ScoringService
from serving.http.keys import Scope
from serving.http.routing import Answer, Call, Operation, json_answer
from serving.notify.liveness import standing
from serving.schemas import problems
from serving.schemas.problems import Refused
from serving.store import StoreFailed, market
from serving.telemetry import GaugeReading
from serving.watch.gauges import gauges


@dataclass(frozen=True, slots=True, kw_only=True)
class Alive:
    """The process answers."""

    status: str = "alive"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """Requests are answered.

    Parameters
    ----------
    status
        `ready`, or `degraded` where something is absent.
    reasons
        What is absent, and why.
    challenger_version
        Bundle that is scored in the champion's shadow.
    """

    status: str
    reasons: tuple[str, ...]
    model_version: str | None
    challenger_version: str | None
    feature_fingerprint: str


def livez(desk: ScoringService, call: Call) -> Answer:  # noqa: ARG001 - asks nothing of a desk
    """Say that the process answers."""
    return json_answer(Alive())


def readyz(desk: ScoringService, call: Call) -> Answer:  # noqa: ARG001 - nothing is asked
    """Say whether requests can be answered, and how soundly."""
    ready, state = desk.status()
    if desk.store is not None and ready:
        with desk.store.probe() as transaction:  # a store that went away is told as such
            at = market.clock(transaction, now=desk.clock())
            alarms = standing(transaction, now=at)
        if alarms:
            state = {**state, "status": "degraded", "reasons": [*state["reasons"], *alarms]}
    telemetry.instruments().is_degraded.set(state["status"] != "ready")
    if not ready:
        raise Refused(problems.UNAVAILABLE, "; ".join(state["reasons"]))
    return json_answer(state)


def metrics(desk: ScoringService, call: Call) -> Answer:  # noqa: ARG001 - nothing is asked
    """Return what Prometheus scrapes, with what the store says of alerts."""
    text = telemetry.exposition() + telemetry.gauges(telemetry.workers())
    if desk.store is None and not desk.store_absence:
        return Answer(body=text, media_type=telemetry.TEXT)
    read: tuple[GaugeReading, ...] = ()
    if desk.store is not None:
        with contextlib.suppress(StoreFailed):
            read = gauges(desk.store, now=desk.clock())
    is_up = GaugeReading(
        name="forewarn_store_up",
        meaning="1 while the store answers, 0 while it does not",
        values=((float(bool(read)), {}),),
    )
    text += telemetry.gauges((is_up, *read))
    return Answer(body=text, media_type=telemetry.TEXT)


OPERATIONS = (
    Operation(
        name="livez",
        method="GET",
        path="/livez",
        scope=None,
        work=livez,
        summary="Whether the process answers",
        meaning="The process answers",
        answer_types=(Alive,),
        at_once=0,
    ),
    Operation(
        name="readyz",
        method="GET",
        path="/readyz",
        scope=None,
        work=readyz,
        summary="Whether requests can be answered, and how soundly",
        meaning="Requests are answered; `status` is `ready` or `degraded`",
        answer_types=(Ready,),
        is_probe=True,
    ),
    Operation(
        name="metrics",
        method="GET",
        path="/metrics",
        scope=Scope.READ,
        work=metrics,
        summary="Prometheus metrics of every worker",
        meaning="Metrics in Prometheus' text format",
        gives=("text/plain",),
    ),
)
