"""A request's span arrives at a collector: OTLP over HTTP, read by the protocol's own messages."""

import gzip
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from services import serving

Collected = list[tuple[str, bytes]]


@pytest.fixture
def collector() -> Iterator[tuple[str, Collected]]:
    """Yield the address of a collector, and what it was sent."""
    received: Collected = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            received.append((self.path, body))
            self.send_response(200)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", received
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_span_arrives(
    collector: tuple[str, Collected], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of the request, none of probes; the trace is the one that the caller began."""
    pytest.importorskip(
        "opentelemetry.exporter.otlp.proto.http", reason="it comes with the extra tracing"
    )
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (  # noqa: PLC0415
        ExportTraceServiceRequest,
    )

    url, received = collector
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
    monkeypatch.delenv("OTEL_SDK_DISABLED", raising=False)
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    with serving(tmp_path / "log") as service:
        began = {"traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
        assert service.get("/v1/rulebooks", headers=began).status_code == 200
        until = time.monotonic() + 60
        while not received and time.monotonic() < until:
            time.sleep(0.1)
    assert {path for path, _ in received} == {"/v1/traces"}
    spans = []
    for _, body in received:
        request = ExportTraceServiceRequest.FromString(body)
        for part in request.resource_spans:
            named = {each.key: each.value.string_value for each in part.resource.attributes}
            assert named["service.name"] == "forewarn"
            spans += [span for scope in part.scope_spans for span in scope.spans]
    (span,) = spans
    assert span.trace_id.hex() == trace
    assert "/v1/rulebooks" in span.name
