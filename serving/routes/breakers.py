"""Breakers over HTTP: how they stand, what they would have done, and a hand on the switch."""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from models.errors import Fault, InvalidInput
from models.horizons import HEADS
from models.parameters.breakers import (
    FORBIDDEN,
    Breaker,
    Effect,
    Opening,
    Signal,
    Standing,
    faults_of,
)
from serving.application import breaker_board, governed_log
from serving.application.scoring import ScoringService
from serving.http.idempotency import IDEMPOTENCY, opened, written
from serving.http.keys import Scope
from serving.http.routing import Answer, Call, Operation, Parameter, json_answer
from serving.routes.market import parsed
from serving.schemas import problems
from serving.schemas.breakers import (
    BreakerAnswer,
    BreakerBody,
    BreakersAnswer,
    HandBody,
    OpeningAnswer,
)
from serving.schemas.problems import Refused
from serving.store import Transaction, market

_FALL = re.compile(r"0?\.[0-9]{1,6}")

NAME = Parameter(
    name="name",
    place="path",
    schema={"type": "string", "minLength": 1, "maxLength": 100},
    meaning="of the breaker",
)


def listed(desk: ScoringService, call: Call) -> Answer:
    """Answer `GET /v1/breakers`."""
    with opened(desk).read() as transaction:
        board = breaker_board.read(transaction)
    return json_answer(
        BreakersAnswer(
            request_id=call.request_id,
            breakers=tuple(
                _answer(breaker, standing, request_id=call.request_id)
                for breaker, standing in board.rows
            ),
            effects=tuple(sorted(board.effects)),
        )
    )


def put(desk: ScoringService, call: Call) -> Answer:
    """Answer `PUT /v1/breakers/{name}`."""
    body = parsed(call.body, BreakerBody)
    breaker = _breaker(call.path["name"], body)
    with opened(desk).read() as transaction:
        at = market.clock(transaction, now=desk.clock())
        openings = breaker_board.history(transaction, breaker, at=at)
        rows = breaker_board.read(transaction).rows
        before = next((s for b, s in rows if b.name == breaker.name), Standing())
    answer = _answer(breaker, before, openings=openings, request_id=call.request_id)
    if body.preview:
        return json_answer(answer)

    def act(transaction: Transaction) -> BreakerAnswer:
        at = market.clock(transaction, now=desk.clock())
        breaker_board.put(transaction, breaker, actor=call.principal.id, at=at)
        return answer

    return _done(desk, call, "put_breaker", act)


def trip(desk: ScoringService, call: Call) -> Answer:
    """Answer `POST /v1/breakers/{name}/trip`."""
    return _by_hand(desk, call, "trip_breaker", is_trip=True)


def reset(desk: ScoringService, call: Call) -> Answer:
    """Answer `POST /v1/breakers/{name}/reset`."""
    return _by_hand(desk, call, "reset_breaker", is_trip=False)


def _by_hand(desk: ScoringService, call: Call, action: str, *, is_trip: bool) -> Answer:
    """Trip or reset a breaker."""
    body = parsed(call.body, HandBody)

    def act(transaction: Transaction) -> BreakerAnswer:
        try:
            breaker, after = breaker_board.by_hand(
                transaction,
                call.path["name"],
                is_trip=is_trip,
                reason=body.reason,
                actor=call.principal.id,
                at=market.clock(transaction, now=desk.clock()),
            )
        except KeyError:
            detail = f"no breaker {call.path['name']!r}"
            raise Refused(problems.UNKNOWN_THING, detail) from None
        return _answer(breaker, after, request_id=call.request_id)

    return _done(desk, call, action, act)


def _done(desk: ScoringService, call: Call, action: str, act: Any) -> Answer:
    """Act, and export the head of the log that tells of it."""
    answer = written(desk, call, action=action, subject=call.path["name"], act=act)
    governed_log.export_head(opened(desk), desk.log_keys, now=desk.clock())
    return answer


def _breaker(name: str, body: BreakerBody) -> Breaker:
    """Return the breaker of a body.

    Raises
    ------
    InvalidInput
        Listing every fault: an unknown signal or effect, one that no breaker may have, levels,
        counts and times that cannot be.
    """
    wrong = list(_names(body))
    breaker = Breaker(
        name=name,
        signal=Signal(body.signal) if body.signal in set(Signal) else Signal.LOG_FAULT,
        trip=body.trip,
        clear=body.clear,
        hold=body.hold,
        shortest=timedelta(seconds=body.shortest_seconds),
        longest=timedelta(seconds=body.longest_seconds),
        cooldown=timedelta(seconds=body.cooldown_seconds),
        scope=body.scope,
        effects=tuple(dict.fromkeys(Effect(e) for e in body.effects if e in set(Effect))),
        trips_unknown=body.trips_unknown,
    )
    faults = [*wrong, *faults_of(breaker)]
    if faults:
        raise InvalidInput(faults)
    return breaker


def _names(body: BreakerBody) -> Iterator[Fault]:
    """Yield the names that are none."""
    yield from _scope(body)
    if body.signal not in set(Signal):
        yield Fault("/signal", f"{body.signal[:80]!r} is none of {', '.join(Signal)}")
    for place, effect in enumerate(body.effects):
        if effect in FORBIDDEN:
            why = "no breaker mutes an alert, cancels a verdict or moves money"
            yield Fault(f"/effects/{place}", f"{effect}: {why}")
        elif effect not in set(Effect):
            yield Fault(f"/effects/{place}", f"{effect[:80]!r} is none of {', '.join(Effect)}")


def _scope(body: BreakerBody) -> Iterator[Fault]:
    """Yield why a scope is none of its signal: owners of a loss, a fall of the market."""
    if not body.scope:
        return
    if body.signal in {Signal.LAR, Signal.LIQUIDATIONS_OVER_LAR99} and body.scope not in HEADS:
        yield Fault("/scope", f"{body.scope[:80]!r} is none of {', '.join(HEADS)}")
    if body.signal == Signal.REPRODUCTION and not _FALL.fullmatch(body.scope):
        yield Fault("/scope", f"{body.scope[:80]!r} is no fall of the market such as 0.1")


def _answer(
    breaker: Breaker,
    standing: Standing,
    *,
    request_id: str,
    openings: tuple[Opening, ...] = (),
) -> BreakerAnswer:
    """Return a breaker with how it stands."""
    return BreakerAnswer(
        request_id=request_id,
        name=breaker.name,
        signal=breaker.signal.value,
        trip=breaker.trip,
        clear=breaker.clear,
        hold=breaker.hold,
        shortest_seconds=breaker.shortest.total_seconds(),
        longest_seconds=breaker.longest.total_seconds(),
        cooldown_seconds=breaker.cooldown.total_seconds(),
        scope=breaker.scope,
        effects=tuple(effect.value for effect in breaker.effects),
        trips_unknown=breaker.trips_unknown,
        position=standing.position.value,
        since=standing.since,
        value=standing.value,
        at=standing.at,
        manual=standing.is_manual,
        escalated=standing.is_escalated,
        reason=standing.reason,
        openings=tuple(
            OpeningAnswer(begin=o.begin, end=o.end, peak=o.peak, escalated=o.is_escalated)
            for o in openings
        ),
    )


_WRITES = (IDEMPOTENCY,)
OPERATIONS = (
    Operation(
        name="breakers",
        method="GET",
        path="/v1/breakers",
        scope=Scope.READ,
        work=listed,
        summary="Every breaker, how it stands, and the effects in force",
        meaning="The breakers",
        answer_types=(BreakersAnswer,),
    ),
    Operation(
        name="put_breaker",
        method="PUT",
        path="/v1/breakers/{name}",
        scope=Scope.GOVERN,
        work=put,
        summary="Put a breaker in force, or tell when it would have been open",
        meaning="The breaker, and when it would have been open over the last 90 days",
        request_type=BreakerBody,
        answer_types=(BreakerAnswer,),
        parameters=(NAME, *_WRITES),
        refusals=(problems.CONFLICT,),
    ),
    *(
        Operation(
            name=f"{verb}_breaker",
            method="POST",
            path=f"/v1/breakers/{{name}}/{verb}",
            scope=Scope.GOVERN,
            work=work,
            summary=summary,
            meaning="The breaker as it stands now",
            request_type=HandBody,
            answer_types=(BreakerAnswer,),
            parameters=(NAME, *_WRITES),
            refusals=(problems.CONFLICT, problems.UNKNOWN_THING),
        )
        for verb, work, summary in (
            ("trip", trip, "Open a breaker by hand: only a hand closes it again"),
            ("reset", reset, "Close a breaker by hand"),
        )
    ),
)
