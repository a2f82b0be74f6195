"""Endpoints that stand before a chain and change what it answers, or answer nothing."""

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

Change = Callable[[dict[str, Any], dict[str, Any]], dict[str, Any] | None]
"""From a request and its answer to what is answered; None to leave the answer out."""

Refusal = Callable[[], tuple[int, dict[str, str]] | None]
"""Returns the status and headers to refuse a whole body with; None to answer it."""


def never() -> None:
    """Refuse nothing."""


@contextlib.contextmanager
def proxy(target: str, change: Change, *, refuse: Refusal = never) -> Iterator[str]:
    """Yield the address of an endpoint that answers as another does, changed."""
    client = httpx.Client(timeout=60)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            refused = refuse()
            if refused is not None:
                self.answer(*refused, content=b"")
                return
            items = body if isinstance(body, list) else [body]
            answers = client.post(target, json=items).json()
            by_number = {answer["id"]: answer for answer in answers}
            changed = [change(item, by_number[item["id"]]) for item in items]
            left = [answer for answer in changed if answer is not None]
            tree = left if isinstance(body, list) else next(iter(left), {})
            self.answer(200, {}, content=json.dumps(tree).encode())

        def answer(self, status: int, headers: dict[str, str], *, content: bytes) -> None:
            """Send an answer."""
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        client.close()


def lying(request: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    """Answer every call with its last byte changed."""
    if request["method"] == "eth_call" and "result" in answer:
        last = "0" if answer["result"][-1] != "0" else "1"
        return {**answer, "result": answer["result"][:-1] + last}
    return answer


def pruned(request: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    """Have forgotten every state."""
    if request["method"] == "eth_call":
        error = {"code": -32000, "message": "missing trie node 12 (path )"}
        return {"jsonrpc": "2.0", "id": answer["id"], "error": error}
    return answer


def honest(_: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    """Answer as it is."""
    return answer
