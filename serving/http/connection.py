"""One HTTP connection: uvicorn's, with bounds on headers, on time and on how many there are.

uvicorn reads a head of any length for any time. Here a connection ends with a problem when its
head is too long (431) or too slow (408), and quietly when the rest of a refused body, or the
reader of an answer, does not come. Where as many connections are open as may be, the one that has
waited longest without asking anything makes room; where all are asking, the newcomer is refused.
"""

import asyncio
import resource
import time
import uuid
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from serving.http.responses import respond
from serving.schemas import problems
from serving.schemas.problems import ProblemKind

MOST_HEAD = 32 * 2**10
"""Bytes of a request's line and headers, and of what may stand between two parts of a body."""

MOST_CONNECTIONS = 1_000
SPARE_FILES = 128
"""Files that a worker needs beside its connections: the store's, the log's, its own."""


def most_connections() -> int:
    """Return how many connections a worker holds under the system's limit of open files."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return MOST_CONNECTIONS
    return max(1, min(MOST_CONNECTIONS, files - SPARE_FILES))


class Connection(HttpToolsProtocol):
    """A connection within bounds.

    Attributes
    ----------
    most
        Connections that a worker holds.
    head_seconds
        From the start of a connection, or the first byte of a further head, to the head's end.
    rest_seconds
        For the rest of a body whose request has been answered already.
    answer_seconds
        For the caller to take its last answer.
    """

    most = most_connections()
    head_seconds = 10.0
    rest_seconds = 10.0
    answer_seconds = 600.0

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.ws_protocol_class = None  # nothing here speaks WebSocket
        self.since = time.monotonic()
        self._is_in_head = True
        self._unparsed = 0
        self._refusal: tuple[ProblemKind, str] | None = None
        self._deadline: asyncio.TimerHandle | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether no request of it has come whole and unanswered."""
        return self._is_in_head and (self.cycle is None or self.cycle.response_complete)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, in the place of the longest waiting connection where there are too many."""
        if len(self.connections) >= self.most:
            connections = (
                connection for connection in self.connections if isinstance(connection, Connection)
            )
            waiting = [connection for connection in connections if connection.is_waiting]
            if not waiting:
                self.transport = transport
                detail = f"{len(self.connections)} connections are open, as many as may be"
                self._refuse(problems.UNAVAILABLE, detail)
                return
            min(waiting, key=lambda connection: connection.since).transport.abort()
        super().connection_made(transport)
        self._arm(self.head_seconds, self._head_is_late)

    def connection_lost(self, exc: Exception | None) -> None:
        """End, and wait for nothing any more."""
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, and refuse a head, or what stands behind a body, that does not end."""
        if self.transport.is_closing():
            return
        if self._is_in_head and self._deadline is None:
            self._arm(self.head_seconds, self._head_is_late)
        self._unparsed += len(data)
        super().data_received(data)
        if self._unparsed > MOST_HEAD and not self.transport.is_closing():
            self._refuse(*_TOO_LONG)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; those behind a body mean nothing here."""
        if self._is_in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Begin to answer, unless the head is too long."""
        self._disarm()
        self._is_in_head, self._unparsed = False, 0
        if len(self.url) + sum(len(n) + len(v) + 4 for n, v in self.headers) > MOST_HEAD:
            self._refusal = _TOO_LONG
            raise ValueError(_TOO_LONG[1])  # the parser ends and asks for `send_400_response`
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a part of a body."""
        self._unparsed = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Wait for the next request."""
        super().on_message_complete()
        self._disarm()
        self._is_in_head, self._unparsed, self.since = True, 0, time.monotonic()

    def on_response_complete(self) -> None:
        """Give the rest of a body, or the reader of a last answer, its time."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._arm(self.answer_seconds, self.transport.abort)
        elif not self._is_in_head:
            self._arm(self.rest_seconds, self.transport.abort)

    def timeout_keep_alive_handler(self) -> None:
        """End a connection that asks nothing more, once its answer is taken."""
        super().timeout_keep_alive_handler()
        self._arm(self.answer_seconds, self.transport.abort)

    def send_400_response(self, msg: str) -> None:
        """Refuse a request that cannot be read, and end."""
        self._refuse(*(self._refusal or (problems.BAD_REQUEST, msg)))

    def _unsupported_upgrade_warning(self) -> None:
        """Say nothing: a request to speak otherwise is answered as it stands."""

    def _head_is_late(self) -> None:
        """End a connection whose head has not come in time."""
        if not self.is_waiting:  # an answer is under way; the next request may wait for it
            self._arm(self.head_seconds, self._head_is_late)
            return
        detail = f"the line and headers took longer than {self.head_seconds:g} s to come"
        self._refuse(problems.TOO_SLOW, detail)

    def _refuse(self, kind: ProblemKind, detail: str) -> None:
        """Send a problem and end the connection, once it is taken."""
        answer = respond(kind, request_id=uuid.uuid4().hex, detail=detail)
        head = [f"HTTP/1.1 {kind.status} {kind.title}".encode(), b"connection: close"]
        head += [name + b": " + value for name, value in answer.raw_headers]
        self.transport.write(b"\r\n".join([*head, b"", bytes(answer.body)]))
        self.transport.close()
        self._arm(self.answer_seconds, self.transport.abort)

    def _arm(self, seconds: float, then: Callable[[], None]) -> None:
        """Set the one deadline that the connection goes by."""
        self._disarm()
        self._deadline = self.loop.call_later(seconds, then)

    def _disarm(self) -> None:
        """Lift the deadline."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


_TOO_LONG = (problems.HEAD_TOO_LONG, f"a request's line and headers have at most {MOST_HEAD} bytes")
