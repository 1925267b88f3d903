"""Traces, as a collector gets them from an API and a worker."""

import secrets
import subprocess
import sys
from collections.abc import Generator
from typing import Any

import httpx
import psycopg
import pytest
from calls import result, run, submit
from collector import Collector, collecting
from fleet_runtime.config import CommonSettings
from fleet_runtime.telemetry.traceparent import incoming
from postgres_server import Server
from pydantic import ValidationError
from runtime_processes import Stack, start_stack, until

_SPANS = {"POST /execute", "queue wait", "attempt", "claim", "sandbox start", "run", "result write"}


@pytest.fixture(scope="module")
def collector() -> Generator[Collector]:
    """A receiver for this module."""
    with collecting() as started:
        yield started


@pytest.fixture(scope="module")
def traced_stack(server: Server, shared_database_url: str, collector: Collector) -> Generator[Stack]:
    """An API and a worker that send their spans to the receiver."""
    del server
    with start_stack(shared_database_url, workers=1, OTLP_ENDPOINT=collector.url) as started:
        yield started


def _parent(flags: str = "01") -> tuple[str, str]:
    trace = secrets.token_hex(16)
    return trace, f"00-{trace}-{secrets.token_hex(8)}-{flags}"


def _execute(client: httpx.Client, traceparent: str, code: str = "print(1)") -> str:
    answer = client.post(
        "/execute",
        json={"language": "python", "code": code},
        headers={"Prefer": "wait=30", "traceparent": traceparent},
    )
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


def test_a_request_is_one_trace_from_the_caller_to_the_stored_result(traced_stack: Stack, collector: Collector) -> None:
    """Spans of two processes that do not hang together tell nobody where the time went."""
    trace, traceparent = _parent()
    with traced_stack.client() as client:
        id_ = _execute(client, traceparent, "import time; time.sleep(0.2)")
    until(lambda: collector.trace(trace).keys() >= _SPANS, what="the trace")
    spans = collector.trace(trace)
    assert spans.keys() == _SPANS
    request, attempt = spans["POST /execute"], spans["attempt"]
    assert request.parent_span_id.hex() == traceparent.split("-")[2]
    assert {spans[name].parent_span_id for name in ("queue wait", "attempt")} == {request.span_id}
    inside = _SPANS - {"POST /execute", "queue wait", "attempt"}
    assert {spans[name].parent_span_id for name in inside} == {attempt.span_id}
    assert spans["run"].end_time_unix_nano - spans["run"].start_time_unix_nano >= 200_000_000
    ends = [spans[name].end_time_unix_nano for name in ("claim", "sandbox start", "run", "result write")]
    assert ends == sorted(ends)
    about = {pair.key: pair.value.string_value for pair in attempt.attributes}
    assert about["job.id"] == id_
    assert about["status"] == "succeeded"
    with psycopg.connect(traced_stack.database_url) as connection:
        kept = connection.execute("SELECT traceparent FROM jobs WHERE id = %s", (id_,)).fetchone()
    assert kept == (f"00-{trace}-{request.span_id.hex()}-01",)


def test_both_processes_log_the_trace_beside_request_and_job(traced_stack: Stack) -> None:
    """From a slow trace to its lines, and back, is one search."""
    trace, traceparent = _parent()
    with traced_stack.client() as client:
        id_ = _execute(client, traceparent)
    told = {"request", "job_accepted", "attempt_ended"}

    def lines() -> dict[str, dict[str, Any]]:
        every = (line for process in traced_stack.processes for line in process.lines())
        return {line["event"]: line for line in every if line.get("trace_id") == trace}

    # A caller has the answer before the request's line is written.
    until(lambda: lines().keys() >= told, what="the lines of both processes")
    about = lines()
    assert about.keys() == told
    assert about["job_accepted"]["job"] == about["attempt_ended"]["job"] == id_
    assert len({line["request_id"] for line in about.values()}) == 1


def test_a_trace_that_the_caller_does_not_keep_is_not_sent(traced_stack: Stack, collector: Collector) -> None:
    """Who samples one request in a thousand must not pay for all of them at the collector."""
    unkept, traceparent = _parent("00")
    with traced_stack.client() as client:
        _execute(client, traceparent)
        kept, later = _parent()
        _execute(client, later)
    until(lambda: collector.trace(kept).keys() >= _SPANS, what="a later trace")
    assert collector.trace(unkept) == {}


def test_a_collector_that_is_away_holds_up_neither_jobs_nor_the_end(database_url: str) -> None:
    """Telemetry that can stop the service is worse than none."""
    with start_stack(database_url, workers=1, OTLP_ENDPOINT="http://127.0.0.1:9") as stack, stack.client() as client:
        for _ in range(5):
            assert run(client, code="print(1)")["status"] == "succeeded"
        worker = stack.workers[0]
        worker.terminate()
        assert worker.popen.wait(timeout=30) == 0


def test_without_an_endpoint_nothing_of_it_is_loaded_and_the_callers_trace_is_kept(stack: Stack) -> None:
    """Who does not trace pays neither its memory nor its start; the log has the caller's trace all the same."""
    program = (
        "import sys, fleet_runtime.api.server, fleet_runtime.worker.server\n"
        "sys.exit(any(name.startswith(('opentelemetry.sdk', 'opentelemetry.exporter', 'google.protobuf'))"
        " for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=60).returncode == 0
    _, traceparent = _parent()
    with stack.client() as client:
        id_ = _execute(client, traceparent)
        plain = submit(client, code="")
        assert result(client, plain, wait=30)["status"] == "succeeded"
    with psycopg.connect(stack.database_url) as connection:
        kept = dict(connection.execute("SELECT id::text, traceparent FROM jobs WHERE id IN (%s, %s)", (id_, plain)))
    assert kept == {id_: traceparent, plain: None}


@pytest.mark.parametrize(
    "value",
    [
        "",
        "nonsense",
        "00-" + "0" * 32 + "-" + "1" * 16 + "-01",
        "00-" + "1" * 32 + "-" + "0" * 16 + "-01",
        "ff-" + "1" * 32 + "-" + "1" * 16 + "-01",
        "00-" + "A" * 32 + "-" + "1" * 16 + "-01",
        "00-" + "1" * 32 + "-" + "1" * 16,
        "\xff",
    ],
)
def test_a_header_that_is_no_traceparent_is_none(value: str) -> None:
    """What a client sends goes into the database and the log: only the standard's form does."""
    assert incoming([(b"traceparent", value.encode("latin-1"))]) is None


@pytest.mark.parametrize("url", ["collector:4318", "http://user:secret@collector", "http://collector?x=1", "ftp://x"])
def test_an_endpoint_that_cannot_be_is_refused_without_showing_it(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """A password in it would stand in every preview and log."""
    monkeypatch.setenv("FLEET_OTLP_ENDPOINT", url)
    with pytest.raises(ValidationError, match="without user, password or query") as refused:
        CommonSettings()
    assert "secret" not in str(refused.value)
