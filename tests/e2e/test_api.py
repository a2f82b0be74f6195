"""The API around its operations: starting, slow bodies, late answers, browsers, the log."""

import asyncio
import json
import logging
import threading
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import local
import pytest

from serving.application.scoring import ScoringService
from serving.evaluation.assess import Model
from serving.evaluation.effort import stop_if_given_up
from serving.http.admission import Admission, Keyring
from serving.http.app import Api
from serving.http.keys import Scope, issue
from serving.http.routing import Answer, Call, Operation, Work, json_answer, routes
from serving.routes import OPERATIONS
from serving.settings import Settings
from serving.store import keys, open_store
from serving.telemetry import JsonLines

SETTINGS = Settings(timeout_seconds=0.5, most_in_flight=1, origins=("https://desk.example",))


AWAKE = threading.Event()


def sleep(desk: ScoringService, call: Call) -> Answer:  # noqa: ARG001 - it only sleeps
    """Take longer than an answer may."""
    AWAKE.wait(60.0)
    return json_answer({})


def grind(desk: ScoringService, call: Call) -> Answer:  # noqa: ARG001 - it only works on
    """Work without end, as judging does: looking at every step whether it still is wanted."""
    while True:
        stop_if_given_up()
        AWAKE.wait(0.01)


def fail(desk: ScoringService, call: Call) -> Answer:
    """Fail as only a defect does."""
    raise ZeroDivisionError(f"a secret about {desk} and {call}")


def probe(name: str, work: Work) -> Operation:
    """Return an operation of the tests."""
    return Operation(
        name=name,
        method="POST",
        path=f"/v1/{name}",
        scope=Scope.READ,
        work=work,
        summary=name,
        meaning=name,
        request_type=dict,
    )


@pytest.fixture
def app() -> Api:
    """Return an API without model and store, with two operations of the tests."""
    known = (*OPERATIONS, probe("sleep", sleep), probe("fail", fail), probe("grind", grind))
    desk = ScoringService(model=Model(bundle=None), clock=lambda: datetime(2026, 1, 1, tzinfo=UTC))
    return Api(routes(known), desk=desk, gate=Admission(SETTINGS, Keyring(None)))


@pytest.fixture
def caller(app: Api) -> Iterator[local.Caller]:
    """Return a caller of it."""
    asked = local.Caller(app)
    yield asked
    asked.close()


def test_a_worker_that_starts_is_alive_and_not_ready() -> None:
    """Until its model is loaded everything but liveness is refused, with when to come back."""
    caller = local.Caller(Api(routes(OPERATIONS)))
    assert caller.get("/livez").status_code == 200
    answer = caller.get("/readyz")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
    caller.close()


def test_without_model_and_store_the_state_is_degraded_with_its_reason(
    caller: local.Caller,
) -> None:
    """The rules alone still answer; what needs more says so."""
    told = caller.get("/readyz").json()
    assert told["status"] == "degraded"
    assert told["reasons"] == ["no bundle was named"]
    assert caller.get("/v1/accounts").status_code == 503
    assert caller.post("/v1/score/features", json={"columns": {"a": [1]}}).status_code == 503


def test_a_late_answer_is_given_up_and_keeps_its_place(caller: local.Caller) -> None:
    """504 after the time allowed; until the thread ends the next one finds no place."""
    late = caller.post("/v1/sleep", json={})
    assert late.status_code == 504
    assert late.json()["type"] == "urn:forewarn:problem:timeout"
    crowded = caller.get("/v1/models")
    AWAKE.set()
    assert (crowded.status_code, crowded.headers["Retry-After"]) == (429, "1")


def test_judging_that_is_given_up_ends(caller: local.Caller) -> None:
    """Its place is free soon after the 504."""
    assert caller.post("/v1/grind", json={}).status_code == 504
    for _ in range(1000):
        answer = caller.get("/v1/models")
        if answer.status_code != 429:
            break
        time.sleep(0.01)
    assert answer.status_code == 200


def test_a_slow_body_is_given_up(app: Api) -> None:
    """A body that drips longer than the time allowed holds nothing."""

    async def drip() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(60.0)
        yield b"}"

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.post("/v1/score", content=drip())

    # httpx hands a body over part by part, as a socket does.
    assert asyncio.run(ask()).status_code == 408


def test_a_defect_is_told_without_its_inside(
    caller: local.Caller, caplog: pytest.LogCaptureFixture
) -> None:
    """The caller gets an id, the log gets the trace under the same id."""
    logging.getLogger("forewarn").propagate = True
    with caplog.at_level(logging.ERROR, "forewarn"):
        answer = caller.post("/v1/fail", json={})
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert answer.json()["request_id"] in caplog.text
    assert "ZeroDivisionError" in caplog.text


def test_browsers_are_let_in_by_origin_only(caller: local.Caller) -> None:
    """A listed origin may ask and read; every other one may not."""
    ours, other = {"Origin": "https://desk.example"}, {"Origin": "https://evil.example"}
    asked = caller.request("OPTIONS", "/v1/score", headers=ours)
    assert asked.status_code == 204
    assert asked.headers["Access-Control-Allow-Origin"] == "https://desk.example"
    assert "POST" in asked.headers["Access-Control-Allow-Methods"]
    assert caller.get("/v1/models", headers=ours).status_code == 200
    assert caller.request("OPTIONS", "/v1/score", headers=other).status_code == 403
    refused = caller.get("/v1/models", headers=other)
    assert refused.status_code == 403
    assert "Access-Control-Allow-Origin" not in refused.headers


def test_every_answer_carries_the_security_headers(caller: local.Caller) -> None:
    """On sound answers, on refusals and on pages."""
    for path in ("/livez", "/nowhere"):
        headers = caller.get(path).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Cache-Control"] == "no-store"
        assert "default-src 'none'" in headers["Content-Security-Policy"]
    page = caller.get("/docs")
    assert "default-src 'none'; script-src 'self'" in page.headers["Content-Security-Policy"]
    assert "://" not in page.text


def test_a_name_that_leads_to_the_loopback_is_a_stranger(app: Api, caller: local.Caller) -> None:
    """Neither another host name nor another address is served without a key."""
    assert caller.get("/v1/models", headers={"Host": "evil.example"}).status_code == 401
    stranger = local.Caller(app, address="10.0.0.9")
    assert stranger.get("/v1/models").status_code == 401
    assert stranger.get("/livez").status_code == 200
    stranger.close()


def test_log_lines_are_json() -> None:
    """One object a line, with the request's fields beside the message."""
    record = logging.LogRecord("forewarn.access", logging.INFO, "", 0, "request", (), None)
    record.created = 0.0
    record.fields = {"request_id": "r1", "status": 200}
    assert json.loads(JsonLines().format(record)) == {
        "at": "1970-01-01T00:00:00.000+00:00",
        "level": "info",
        "logger": "forewarn.access",
        "message": "request",
        "request_id": "r1",
        "status": 200,
    }


@pytest.fixture
def held() -> Iterator[threading.Event]:
    """Return what the work of `hold` waits for."""
    event = threading.Event()
    yield event
    event.set()


def test_one_caller_does_not_fill_a_worker(tmp_path: Path, held: threading.Event) -> None:
    """Thirty-two writes of one key wait for a lock; probes and another key's reading do not."""

    def hold(desk: ScoringService, call: Call) -> Answer:
        assert desk.store is not None
        with desk.store.begin():
            held.wait(60.0)
        return json_answer({"caller": call.principal.id})

    store = open_store(f"sqlite:///{tmp_path / 'book.sqlite3'}")
    tokens = {}
    with store.begin() as transaction:
        for name in ("busy", "other"):
            record, tokens[name] = issue(name, scopes=["read"], now=datetime.now(tz=UTC))
            keys.insert(transaction, record)
    desk = ScoringService(model=Model(bundle=None), store=store)
    known = (*OPERATIONS, probe("hold", hold))
    # Keys that are read for every request, as by a worker that has just started.
    app = Api(routes(known), desk=desk, gate=Admission(Settings(), Keyring(desk.keys)))

    async def ask() -> tuple[list[int], list[int], list[int]]:
        transport = httpx.ASGITransport(app, client=("10.0.0.9", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://desk") as client:
            mine, other = (
                {"Authorization": f"Bearer {tokens[name]}"} for name in ("busy", "other")
            )
            writes = [
                asyncio.create_task(client.post("/v1/hold", json={}, headers=mine))
                for _ in range(33)
            ]
            # The one that finds no place is answered while the others wait.
            await asyncio.wait(writes, return_when=asyncio.FIRST_COMPLETED)
            paths = ("/livez", "/readyz", "/v1/prices", "/v1/accounts", "/v1/models")
            reads = [(await client.get(path, headers=other)).status_code for path in paths]
            refused = [(await client.get("/v1/models", headers=mine)).status_code]
            held.set()
            return reads, refused, sorted([(await one).status_code for one in writes])

    reads, refused, writes = asyncio.run(ask())
    store.close()
    assert reads == [200, 200, 200, 200, 200]
    assert refused == [429]
    assert writes == [200] * 32 + [429]
