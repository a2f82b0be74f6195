"""Connections that mean harm: heads and bodies without end, slow ones, and too many of them."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import uvicorn

from serving.application.scoring import ScoringService
from serving.evaluation.assess import Model
from serving.http.admission import Admission, Keyring
from serving.http.app import Api
from serving.http.connection import MOST_HEAD, Connection
from serving.http.routing import routes
from serving.routes import OPERATIONS
from serving.settings import Settings

PROBE = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"


class Small(Connection):
    """A connection whose bounds are soon reached."""

    most = 4
    head_seconds = 0.5
    rest_seconds = 0.5


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Return the port of an API whose connections are held within small bounds."""
    desk = ScoringService(model=Model(bundle=None), clock=lambda: datetime(2026, 1, 1, tzinfo=UTC))
    app = Api(routes(OPERATIONS), desk=desk, gate=Admission(Settings(), Keyring(None)))
    config = uvicorn.Config(app, http=Small, port=0, log_level="critical", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join()


@contextlib.contextmanager
def connected(port: int) -> Iterator[socket.socket]:
    """Yield a connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=20.0) as one:
        yield one


def sent(one: socket.socket, *parts: bytes) -> None:
    """Send parts until the other side has had enough."""
    with contextlib.suppress(ConnectionError):
        for part in parts:
            one.sendall(part)


def whole(one: socket.socket) -> bytes:
    """Return all that comes until the other side ends."""
    parts = []
    with contextlib.suppress(ConnectionError):
        while part := one.recv(65_536):
            parts.append(part)
    return b"".join(parts)


def answered(one: socket.socket) -> bytes:
    """Return the beginning of one answer, its status line in it."""
    return one.recv(65_536)


def flood(block: bytes) -> Iterator[bytes]:
    """Yield eight megabytes of a head."""
    for _ in range(8 * 2**20 // len(block)):
        yield block


@pytest.mark.parametrize(
    "head",
    [
        pytest.param((b"X-A: a\r\n" * 1000,), id="many headers"),
        pytest.param((b"X-A: ", b"a" * 8192), id="a header without end"),
    ],
)
def test_a_head_without_end_is_refused(port: int, head: tuple[bytes, ...]) -> None:
    """431 long before it is read whole; the connection ends."""
    *first, block = head
    with connected(port) as one:
        sent(one, b"GET /livez HTTP/1.1\r\nHost: x\r\n", *first, *flood(block))
        told = whole(one)
    # A client that is still sending may see the end alone.
    assert told == b"" or told.startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize("size", [MOST_HEAD, 4 * MOST_HEAD])
def test_a_head_that_is_too_long_is_told_why(port: int, size: int) -> None:
    """A whole head of one part is measured too, and told as a problem."""
    with connected(port) as one:
        sent(one, b"GET /livez HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * size + b"\r\n\r\n")
        told = whole(one)
    assert told.startswith(b"HTTP/1.1 431 ")
    assert b"application/problem+json" in told
    assert b"urn:forewarn:problem:head-too-long" in told


def test_a_long_head_within_the_bound_is_read(port: int) -> None:
    """Cookies and tokens of many kilobytes are nobody's harm."""
    with connected(port) as one:
        head = b"GET /livez HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * (MOST_HEAD - 1000)
        one.sendall(head + b"\r\n\r\n")
        assert answered(one).startswith(b"HTTP/1.1 200 ")


def test_what_is_not_http_is_a_problem(port: int) -> None:
    """As every refusal is."""
    with connected(port) as one:
        one.sendall(b"nonsense\r\n\r\n")
        told = whole(one)
    assert told.startswith(b"HTTP/1.1 400 ")
    assert b"urn:forewarn:problem:bad-request" in told


@pytest.mark.parametrize("begun", [b"", b"\r\n", b"GET /livez HTTP/1.1\r\nHost: x\r\nX-A:", PROBE])
def test_a_head_that_does_not_come_is_not_waited_for(port: int, begun: bytes) -> None:
    """Nothing, an empty line, half a head, or half a head behind a request that was answered."""
    with connected(port) as one:
        one.sendall(begun)
        if begun == PROBE:
            assert answered(one).startswith(b"HTTP/1.1 200 ")
            one.sendall(b"GET /livez HT")
        told = whole(one)
    assert told.startswith(b"HTTP/1.1 408 ")
    assert b"urn:forewarn:problem:body-too-slow" in told


def test_a_head_that_drips_is_not_waited_for(port: int) -> None:
    """A byte now and then does not begin the time anew."""
    with connected(port) as one:
        one.sendall(b"GET /livez HTTP/1.1\r\nX-A: ")
        one.settimeout(0.1)
        told = b""
        while not told:
            sent(one, b"a")
            with contextlib.suppress(TimeoutError):
                told = answered(one)
    assert told.startswith(b"HTTP/1.1 408 ")


def test_a_body_where_none_is_taken_is_neither_kept_nor_waited_for(port: int) -> None:
    """The refusal comes before the body does, and the rest has little time."""
    length = 16 * 2**20
    with connected(port) as one:
        one.sendall(f"GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode())
        told = answered(one)
        one.sendall(b"a")
        assert whole(one) == b""
    assert told.startswith(b"HTTP/1.1 400 ")
    assert b"takes no body" in told


def test_headers_behind_a_body_are_not_kept_without_end(port: int) -> None:
    """Trailers of eight megabytes end the connection."""
    with connected(port) as one:
        head = b"POST /v1/margin HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
        sent(one, head, b"2\r\n{}\r\n0\r\n", *flood(b"X-A: a\r\n" * 1000))
        told = whole(one)
    assert told == b"" or told.startswith(b"HTTP/1.1 431 ")


def test_trailers_of_a_sound_body_mean_nothing(port: int) -> None:
    """The body is read as without them."""
    with connected(port) as one:
        head = b"POST /v1/margin HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
        one.sendall(head + b"2\r\n{}\r\n0\r\nX-A: a\r\n\r\n")
        assert answered(one).startswith(b"HTTP/1.1 422 ")


def test_several_requests_behind_one_another_are_answered(port: int) -> None:
    """A body of a hundred kilobytes with half a request behind it is no head that is too long."""
    body = b" " * 100_000 + b"{}"
    head = f"POST /v1/margin HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n"
    with connected(port) as one:
        one.sendall(head.encode() + body + PROBE[:20])
        first = answered(one)
        one.sendall(PROBE[20:])
        second = answered(one)
    assert first.startswith(b"HTTP/1.1 422 ")
    assert second.startswith(b"HTTP/1.1 200 ")


def test_whoever_waits_longest_makes_room(port: int) -> None:
    """Silent connections do not keep others out."""
    with contextlib.ExitStack() as stack:
        for _ in range(3 * Small.most):
            silent: Any = stack.enter_context(connected(port))
            silent.sendall(b"GET /livez HTTP/1.1\r\nX-A:")
        asking = stack.enter_context(connected(port))
        asking.sendall(PROBE)
        assert answered(asking).startswith(b"HTTP/1.1 200 ")
