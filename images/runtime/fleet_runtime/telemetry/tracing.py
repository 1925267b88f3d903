"""Spans by OpenTelemetry, sent by OTLP over HTTP. Nothing of it is imported where no endpoint is set.

A span says what was done, for which job, for how long and how it ended. Code, inputs, outputs, keys and the texts of
errors are never in one.
"""

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span

log = structlog.get_logger()

Attributes = Mapping[str, str | int | float | bool]

_EXPORT_SECONDS = 5.0
_DELAY_MILLISECONDS = 2_000
_KEPT_SPANS = 4_096
"""Spans that wait to be sent; above it they are dropped: a collector that is away must not fill the memory."""
_CLOSE_SECONDS = 5.0


@dataclass(frozen=True)
class OpenSpan:
    """A span that has begun; `traceparent` is what makes another one its child."""

    span: "Span"
    traceparent: str

    def end(self, attributes: Attributes, *, failed: bool = False, at_ns: int | None = None) -> None:
        """End it, now or at a moment in nanoseconds since 1970."""
        from opentelemetry.trace import StatusCode

        self.span.set_attributes(dict(attributes))
        if failed:
            self.span.set_status(StatusCode.ERROR)
        self.span.end(at_ns)


class Tracing:
    """One process's spans."""

    def __init__(self, endpoint: str, *, service: str, fleet: str, instance: str) -> None:
        """Send to the collector at `endpoint`, to which `/v1/traces` is added; nothing waits for it."""
        import requests
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased

        # Its warnings come with every attempt to send, as long as the collector is away.
        logging.getLogger("opentelemetry").setLevel(logging.ERROR)
        session = requests.Session()
        # No proxy and no password file: nothing but settings decides where this goes.
        session.trust_env = False
        exporter = OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", timeout=_EXPORT_SECONDS, session=session)
        names = {"service.name": service, "service.namespace": fleet, "service.instance.id": instance}
        self._provider: TracerProvider = TracerProvider(
            sampler=ParentBased(ALWAYS_ON), resource=Resource(names), shutdown_on_exit=False
        )
        processor = BatchSpanProcessor(
            exporter,
            max_queue_size=_KEPT_SPANS,
            schedule_delay_millis=_DELAY_MILLISECONDS,
            export_timeout_millis=_EXPORT_SECONDS * 1000,
        )
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("fleet_runtime")

    def begin(self, name: str, parent: str | None, *, serves: bool = False, at_ns: int | None = None) -> OpenSpan:
        """Begin a span under another one's `traceparent`, or a trace of its own; `serves` where it answers a client."""
        from opentelemetry.trace import SpanKind

        kind = SpanKind.SERVER if serves else SpanKind.INTERNAL
        span = self._tracer.start_span(name, context=_context(parent), kind=kind, start_time=at_ns)
        context = span.get_span_context()
        traceparent = f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"
        return OpenSpan(span, traceparent)

    def record(self, name: str, parent: str | None, start_ns: int, end_ns: int, attributes: Attributes) -> None:
        """Record a span that is over."""
        self.begin(name, parent, at_ns=start_ns).end(attributes, at_ns=max(start_ns, end_ns))

    async def close(self) -> None:
        """Send what waits, for a few seconds at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await asyncio.to_thread(self._provider.shutdown)


def open_tracing(endpoint: str | None, *, service: str, fleet: str, instance: str) -> Tracing | None:
    """Return the process's tracing; None where no endpoint is set, and then nothing is imported or done."""
    if endpoint is None:
        return None
    log.info("tracing_started", endpoint=endpoint)
    return Tracing(endpoint, service=service, fleet=fleet, instance=instance)


def _context(parent: str | None) -> "Context":
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier = {} if parent is None else {"traceparent": parent}
    return TraceContextTextMapPropagator().extract(carrier, Context())
