"""Large bodies take turns: a few are worked on at once, and none waits for ever."""

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from serving.application.scoring import ScoringService
from serving.evaluation.assess import Model
from serving.http.admission import Admission, Keyring
from serving.http.app import LARGE, MOST_TURNS, Api
from serving.http.routing import Answer, Call, Operation, routes
from serving.routes import OPERATIONS
from serving.settings import Settings

CALLERS = 3 * MOST_TURNS
LONG = 10.0


class Gauge:
    """Counts how many are at work at once."""

    def __init__(self, hold: Callable[[int], object]) -> None:
        self.hold, self.now, self.most, self.begun = hold, 0, 0, 0
        self.lock = threading.Lock()

    def work(self, desk: ScoringService, call: Call) -> Answer:
        """Be at work."""
        del desk, call
        with self.lock:
            self.begun += 1
            self.now += 1
            self.most = max(self.most, self.now)
        self.hold(self.begun)
        with self.lock:
            self.now -= 1
        return Answer(body=b"{}")


def served(gauge: Gauge, *, takes_turns: bool, seconds: float) -> Api:
    """Return an API whose one operation is at work."""
    operation = Operation(
        name="work",
        method="POST",
        path="/v1/work",
        scope=None,
        work=gauge.work,
        summary="Work",
        meaning="Done",
        request_type=dict,
        takes_turns=takes_turns,
    )
    settings = Settings(timeout_seconds=seconds)
    desk = ScoringService(model=Model(bundle=None, absence="none"))
    return Api(routes([operation]), desk=desk, gate=Admission(settings, Keyring(None)))


def asked(api: Api, *, size: int) -> list[int]:
    """Return the statuses of as many requests at once as there are callers."""

    async def one() -> int:
        told: list[Mapping[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": bytes(size), "more_body": False}

        async def send(message: Mapping[str, Any]) -> None:
            told.append(message)

        headers = [(b"host", b"localhost"), (b"content-length", str(size).encode())]
        scope = {"type": "http", "method": "POST", "path": "/v1/work", "headers": headers}
        await api(scope, receive, send)  # type: ignore[arg-type]
        return int(told[0]["status"])

    async def every() -> list[int]:
        return list(await asyncio.gather(*(one() for _ in range(CALLERS))))

    return asyncio.run(every())


def pause(_: int) -> None:
    """Take a moment."""
    time.sleep(0.05)


def test_few_large_bodies_are_worked_on_at_once() -> None:
    """All of them are answered in the end."""
    gauge = Gauge(pause)
    api = served(gauge, takes_turns=True, seconds=60.0)
    assert asked(api, size=LARGE) == [200] * CALLERS
    assert gauge.most == MOST_TURNS


@pytest.mark.parametrize(("takes_turns", "size"), [(True, LARGE - 1), (False, LARGE)])
def test_other_work_waits_for_nobody(*, takes_turns: bool, size: int) -> None:
    """What is small, or may wait for a store, meets all the others at work."""
    barrier = threading.Barrier(CALLERS, timeout=LONG)
    gauge = Gauge(lambda _: barrier.wait())
    api = served(gauge, takes_turns=takes_turns, seconds=60.0)
    assert asked(api, size=size) == [200] * CALLERS


def test_none_waits_for_ever() -> None:
    """Whose turn does not come is worked on beside those that do not end."""
    others = threading.Event()

    def hold(number: int) -> None:
        if number > MOST_TURNS:
            others.set()
        assert others.wait(LONG)

    gauge = Gauge(hold)
    assert asked(served(gauge, takes_turns=True, seconds=2.0), size=LARGE) == [200] * CALLERS


def test_what_computes_takes_turns() -> None:
    """Work on bodies that bring accounts or features."""
    names = {operation.name for operation in OPERATIONS if operation.takes_turns}
    assert names == {"score", "score_features", "margin", "trigger", "liquidation"}
