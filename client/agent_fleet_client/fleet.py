"""A fleet, as a program sees it."""

import re
import time
import uuid
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from agent_fleet_client.connection import Connection
from agent_fleet_client.errors import AnswerError, BrokenStreamError, FleetError, RefusedError
from agent_fleet_client.events import read_events
from agent_fleet_client.jobs import Job, request_body
from agent_fleet_client.live_output import STREAMS, LiveEvent, OutputEnd, OutputPart, OutputVoid, read_event
from agent_fleet_client.results import JobSummary, Result, Usage, read_result, read_summary, read_usage

LONGEST_WAIT_SECONDS = 60
"""How long the fleet holds one answer at most; longer waits are made of several."""

_PAGE_JOBS = 200
_SILENCE_SECONDS = 35.0
"""Live output has a sign of life every 10 s."""
_PAUSE_SECONDS = 0.5
_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Fleet:
    """Runs jobs on the fleet at `url` with an API key.

    Every call may be tried again by itself: where the connection breaks, or the fleet does not accept just now (429,
    503) and its Retry-After fits, for `patience_seconds` in all. A submission carries an idempotency key, so that one
    tried again is still one job. Not for several threads at once; close it, or use it in `with`.
    """

    def __init__(
        self, url: str, key: str, *, patience_seconds: float = 60.0, on_retry: Callable[[str], None] | None = None
    ) -> None:
        """`on_retry` is told why something is tried again. Nothing is sent yet."""
        self._patience_seconds = patience_seconds
        self._connection = Connection(url, key, patience_seconds=patience_seconds, on_retry=on_retry)

    def __enter__(self) -> Self:
        """Use it until the block ends."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()

    def run(self, job: Job | str) -> Result:
        """Run a job, or Python code, to its end."""
        return self.wait(self.submit(job))

    def submit(self, job: Job | str) -> str:
        """Have a job accepted, which means committed, and return its id."""
        job = Job(code=job) if isinstance(job, str) else job
        body = request_body(job, job.idempotency_key or f"client-{uuid.uuid4()}")
        headers = {} if job.agent_type is None else {"agent-type": _header("agent_type", job.agent_type)}
        answer = self._connection.request("POST", "/execute", body=body, headers=headers)
        return _field(answer.document, "id")

    def result(self, id_: str) -> Result:
        """Return a job as it is now."""
        return read_result(self._connection.request("GET", _path("result", id_)).document)

    def wait(self, id_: str, seconds: float | None = None) -> Result:
        """Return a job when it has ended, or as it is after so many seconds. Without `seconds` there is no limit.

        A fleet that goes away meanwhile and is back within `patience_seconds` goes unnoticed.
        """
        deadline = None if seconds is None else time.monotonic() + seconds
        while True:
            left = LONGEST_WAIT_SECONDS if deadline is None else deadline - time.monotonic()
            wait = max(0, min(LONGEST_WAIT_SECONDS, round(left)))
            asked = time.monotonic()
            found = read_result(self._connection.request("GET", _path("result", id_), wait_seconds=wait).document)
            now = time.monotonic()
            if found.ended or (deadline is not None and now >= deadline):
                return found
            if now - asked < min(wait, _PAUSE_SECONDS):
                # A fleet that is about to stop answers at once.
                time.sleep(_PAUSE_SECONDS if deadline is None else min(_PAUSE_SECONDS, deadline - now))

    def jobs(self, statuses: Iterable[str] = (), *, language: str | None = None) -> Iterator[JobSummary]:
        """Give this tenant's jobs, newest first; later pages are fetched as they are wanted."""
        params: dict[str, Any] = {"limit": _PAGE_JOBS, "status": list(statuses)}
        if language is not None:
            params["language"] = language
        while True:
            page = self._connection.request("GET", "/jobs", params=params).document
            jobs = page.get("jobs") if isinstance(page, dict) else None  # pyright: ignore[reportUnknownVariableType]
            if not isinstance(jobs, list):
                raise AnswerError("The fleet's answer is not a list of jobs.")
            yield from map(read_summary, jobs)  # pyright: ignore[reportUnknownArgumentType]
            params["cursor"] = page.get("next_cursor")
            if not params["cursor"]:
                return

    def cancel(self, id_: str) -> str:
        """Cancel a job. Return its state: cancelled, cancel_requested, or the one in which it had ended before."""
        return _field(self._connection.request("DELETE", _path("jobs", id_)).document, "status")

    def usage(self) -> Usage:
        """Return the tenant's limits, and what is used of them."""
        return read_usage(self._connection.request("GET", "/usage").document)

    def output(self, id_: str) -> Generator[LiveEvent]:
        """Give a job's output as it is written, from its beginning, until the job ends.

        A connection that breaks is taken up where it was. Where the fleet serves no live output, everything comes at
        the end.
        """
        position: str | None = None
        fruitless_since: float | None = None
        while True:
            headers = {} if position is None else {"Last-Event-ID": position}
            try:
                with self._connection.stream(
                    _path("jobs", id_, "output"), headers=headers, silence_seconds=_SILENCE_SECONDS
                ) as answer:
                    if answer.status_code == 204:
                        yield OutputEnd()
                        return
                    if not answer.headers.get("content-type", "").startswith("text/event-stream"):
                        raise AnswerError("What answered is not a job's output: is that the fleet's address?")
                    for event in read_events(answer.iter_raw()):
                        fruitless_since = None
                        position = event.id or position
                        seen = read_event(event)
                        if seen is not None:
                            yield seen
                        if isinstance(seen, OutputEnd):
                            return
            except RefusedError as refusal:
                if position is not None or not _is_missing_route(refusal):
                    raise
                yield from self._output_at_the_end(id_)
                return
            except BrokenStreamError:
                pass
            # It broke, or the process that served it stopped; opening it again has patience of its own.
            now = time.monotonic()
            fruitless_since = now if fruitless_since is None else fruitless_since
            if now - fruitless_since > self._patience_seconds:
                raise BrokenStreamError("The job's output breaks off each time before anything of it has come.")
            time.sleep(_PAUSE_SECONDS)

    def output_bytes(self, result: Result) -> tuple[bytes, bytes]:
        """Return both outputs of an ended job byte by byte, also those that are not UTF-8, where the fleet can."""
        if "\ufffd" not in result.stdout and "\ufffd" not in result.stderr:
            return result.stdout.encode(), result.stderr.encode()
        outputs = {name: bytearray() for name in STREAMS}
        for event in self.output(result.id):
            if isinstance(event, OutputVoid):
                outputs = {name: bytearray() for name in STREAMS}
            elif isinstance(event, OutputPart):
                outputs[event.stream] += event.data
        return bytes(outputs["stdout"]), bytes(outputs["stderr"])

    def _output_at_the_end(self, id_: str) -> Generator[LiveEvent]:
        result = self.wait(id_)
        for name, text in (("stdout", result.stdout), ("stderr", result.stderr)):
            if text:
                yield OutputPart(name, text.encode())
        yield OutputEnd()


def with_own_key(job: Job) -> Job:
    """Return the job with an idempotency key, so that submitting it twice is one job."""
    return job if job.idempotency_key else replace(job, idempotency_key=f"client-{uuid.uuid4()}")


def _path(first: str, id_: str, *rest: str) -> str:
    if not _ID.fullmatch(id_):
        raise FleetError(f"{id_[:80]!r} is not a job's id; one looks like 01932f5e-7d2a-7c3b-9f00-3a5f0d9b1c2d.")
    return "/".join(("", first, id_, *rest))


def _is_missing_route(refusal: RefusedError) -> bool:
    return refusal.status in (405, 501) or (refusal.status == 404 and refusal.kind == "no-such-resource")


def _header(name: str, value: str) -> str:
    if not re.fullmatch(r"[\x21-\x7e]+", value):
        raise FleetError(f"{name}: {value!r} cannot be sent; letters, digits and hyphens can.")
    return value


def _field(document: Any, name: str) -> str:
    value = document.get(name) if isinstance(document, dict) else None  # pyright: ignore[reportUnknownVariableType]
    if not isinstance(value, str):
        raise AnswerError(f"The fleet's answer has no {name!r}: is the address that of a fleet?")
    return value
