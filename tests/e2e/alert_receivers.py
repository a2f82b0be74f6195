"""Receivers on real sockets: a mail server, and HTTP servers that behave and misbehave."""

import contextlib
import email
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller
from services import free_port


@dataclass
class Received:
    """Requests as they came: headers in lower case, body as text, time."""

    requests: list[tuple[dict[str, str], str, float]] = field(default_factory=list)

    def ids(self) -> list[str]:
        """Return the `webhook-id` of every request."""
        return [headers["webhook-id"] for headers, _, _ in self.requests]


Behaviour = Callable[[BaseHTTPRequestHandler, int], None]
"""Answers request number n, counted from 1."""


def answers(status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> Behaviour:
    """Return the behaviour of one answer for ever."""

    def behave(handler: BaseHTTPRequestHandler, _: int) -> None:
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    return behave


def in_turn(*behaviours: Behaviour) -> Behaviour:
    """Return the behaviour that goes through others and stays with the last."""

    def behave(handler: BaseHTTPRequestHandler, number: int) -> None:
        behaviours[min(number, len(behaviours)) - 1](handler, number)

    return behave


def stalls(seconds: float) -> Behaviour:
    """Return the behaviour that says nothing for a while."""

    def behave(handler: BaseHTTPRequestHandler, number: int) -> None:
        time.sleep(seconds)
        answers(200)(handler, number)

    return behave


@contextlib.contextmanager
def receiver(behave: Behaviour) -> Iterator[tuple[str, Received]]:
    """Yield the address of an HTTP receiver, and what it received."""
    received = Received()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            body = self.rfile.read(length).decode()
            headers = {name.lower(): value for name, value in self.headers.items()}
            received.requests.append((headers, body, time.monotonic()))
            with contextlib.suppress(OSError):
                behave(self, len(received.requests))

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/hook", received
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Mailbox:
    """Takes mail and keeps it."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.recipients: list[str] = []

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        """Keep one message."""
        self.recipients.extend(envelope.rcpt_tos)
        self.messages.append(email.message_from_bytes(envelope.content))
        return "250 OK"


@contextlib.contextmanager
def mail_server() -> Iterator[tuple[int, Mailbox]]:
    """Yield the port of a mail server, and its mailbox."""
    box = Mailbox()
    port = free_port()
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield port, box
    finally:
        controller.stop()


def text_of(message: Message) -> str:
    """Return every part of a mail as one text."""
    parts = [part for part in message.walk() if not part.is_multipart()]
    payloads = [part.get_payload(decode=True) for part in parts]
    return "\n".join(p.decode() for p in payloads if isinstance(p, bytes))


def payload(body: str) -> dict[str, Any]:
    """Return the JSON of a webhook."""
    parsed: dict[str, Any] = json.loads(body)
    return parsed
