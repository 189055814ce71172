"""A collector of traces: OTLP over HTTP, read with the messages that OpenTelemetry publishes."""

import gzip
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Message


class Span:
    """A span, as a test looks at it."""

    def __init__(self, message: Message):
        self.name = message.name
        self.kind = Message.SpanKind.Name(message.kind).removeprefix("SPAN_KIND_").lower()
        self.trace, self.id, self.parent = message.trace_id.hex(), message.span_id.hex(), message.parent_span_id.hex()
        self.start, self.end = message.start_time_unix_nano / 1e9, message.end_time_unix_nano / 1e9
        self.failed = message.status.code == 2
        self.remote_parent = bool(message.flags & 0x200)
        self.attributes = {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in message.attributes}

    def __repr__(self) -> str:
        return f"{self.name} ({self.kind}, {self.end - self.start:.3f} s) {self.attributes}"


class Collector:
    """Keeps all that is posted to it. `status` is what it answers; a `delay` lets it answer so much later."""

    def __init__(self, status: int = 200, delay: float = 0, rejects: int = 0):
        self.status, self.delay, self.rejects = status, delay, rejects
        self.requests: list[ExportTraceServiceRequest] = []
        self.bodies: list[bytes] = []
        self.paths: set[tuple] = set()
        self.over = threading.Event()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers["Content-Encoding"] == "gzip":
                    body = gzip.decompress(body)
                collector.bodies.append(body)
                collector.requests.append(ExportTraceServiceRequest.FromString(body))
                collector.paths.add((self.path, self.headers["Content-Type"]))
                collector.over.wait(collector.delay)
                answer = ExportTraceServiceResponse()
                answer.partial_success.rejected_spans = collector.rejects
                answer = answer.SerializeToString()
                self.send_response(collector.status)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def spans(self) -> list[Span]:
        return [Span(span) for request in list(self.requests) for of_us in request.resource_spans
                for scope in of_us.scope_spans for span in scope.spans]

    def of_call(self, name: str) -> tuple[Span, list[Span]] | None:
        """The only call of that name, with what is below it in the order in which it began."""
        spans = self.spans()
        calls = [span for span in spans if (span.name, span.kind) == (name, "server")]
        if len(calls) != 1:
            return None
        below = [span for span in spans if span.parent == calls[0].id]
        return calls[0], sorted(below, key=lambda span: (span.start, span.end))

    def close(self) -> None:
        self.over.set()
        self.server.shutdown()
        self.server.server_close()
