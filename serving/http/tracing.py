"""Spans of requests to an OpenTelemetry collector, where one is named in the environment."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
"""OpenTelemetry's own variables; with neither set nothing is traced, and nothing is loaded."""

EXPORTER = "opentelemetry.exporter.otlp.proto.http"
"""What sends spans; it comes with the extra `tracing`."""

UNTRACED = "livez,readyz,metrics"


def traced(app: ASGIApp) -> tuple[ASGIApp, Callable[[], None]]:
    """Return an application whose requests are told to the collector, and what ends the telling.

    Spans go out in the background by OTLP over HTTP; a collector that does not answer delays
    no request. Other settings (headers, sampling, `OTEL_SERVICE_NAME`) are OpenTelemetry's.

    Raises
    ------
    ModuleNotFoundError
        Where a collector is named without the extra `tracing`.

    References
    ----------
    https://opentelemetry.io/docs/specs/otel/protocol/exporter/, read 2026-11.
    """
    if not any(map(os.environ.get, ENDPOINTS)):
        return app, lambda: None
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415 - an extra
        OTLPSpanExporter,
    )
    from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware  # noqa: PLC0415
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    named = {} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": "forewarn"}
    provider = TracerProvider(resource=Resource.create(named))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    spanned = OpenTelemetryMiddleware(
        app,
        excluded_urls=UNTRACED,
        tracer_provider=provider,
        exclude_spans=["receive", "send"],
    )
    return spanned, provider.shutdown
