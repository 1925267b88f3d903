"""Following a job's output: against an API and a worker as processes, over HTTP."""

import base64
import json
import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from calls import problem, result, submit
from gated_code import until_there
from postgres_server import Server
from runtime_processes import Stack, start_stack, until

_EVENT_SECONDS = 30.0


@dataclass(frozen=True)
class Event:
    """One server-sent event."""

    id: str
    kind: str
    data: dict[str, Any]

    @property
    def bytes(self) -> bytes:
        """The output that it carries."""
        return base64.b64decode(self.data["base64"])


def _events(answer: httpx.Response) -> Iterator[Event]:
    """Read the events of a stream by the rules of the format; comments and `retry` carry nothing."""
    fields: dict[str, str] = {}
    for line in answer.iter_lines():
        if not line:
            if "data" in fields:
                yield Event(fields["id"], fields["event"], json.loads(fields["data"]))
            fields = {}
        elif not line.startswith(":"):
            name, _, value = line.partition(": ")
            fields[name] = value


def _follow(client: httpx.Client, id_: str, after: str | None = None) -> list[Event]:
    headers = {} if after is None else {"Last-Event-ID": after}
    with client.stream("GET", f"/jobs/{id_}/output", headers=headers, timeout=_EVENT_SECONDS) as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"].startswith("text/event-stream")
        return list(_events(answer))


def _output(events: list[Event], name: str) -> bytes:
    """Put an output together as a client does; a gap or an overlap is a failure."""
    whole = b""
    for event in events:
        if event.kind == "restart":
            whole = b""
        elif event.kind == name:
            assert event.data["offset"] == len(whole)
            whole += event.bytes
    return whole


def _stored(url: str, id_: str) -> tuple[bytes, bytes]:
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT stdout, stderr FROM jobs WHERE id = %s", (id_,)).fetchone()
    assert found is not None
    return bytes(found[0] or b""), bytes(found[1] or b"")


def _left_over(url: str) -> int:
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT count(*) FROM job_output").fetchone()
    assert found is not None
    return int(found[0])


def _gated(gate: Path, before: str, after: str) -> str:
    """Code that writes something, waits for a file, and writes more."""
    wait = f"import os, sys, time\n{until_there(gate)}"
    return f"import sys\n{before}\nsys.stdout.flush(); sys.stderr.flush()\n{wait}{after}\n"


def test_output_arrives_while_the_job_runs_and_is_the_stored_result_in_the_end(stack: Stack, tmp_path: Path) -> None:
    """Output that comes with the result only is no live output, and one that differs from it is none to rely on."""
    gate = tmp_path / "gate"
    with stack.client() as client:
        code = _gated(gate, "print('first'); print('problem', file=sys.stderr)", "print('last')")
        id_ = submit(client, code=code)
        seen: list[Event] = []
        with client.stream("GET", f"/jobs/{id_}/output", timeout=_EVENT_SECONDS) as answer:
            for event in _events(answer):
                seen.append(event)
                if _output(seen, "stdout") == b"first\n" and _output(seen, "stderr") == b"problem\n":
                    gate.touch()
        assert (_output(seen, "stdout"), _output(seen, "stderr")) == _stored(stack.database_url, id_)
        assert _output(seen, "stdout") == b"first\nlast\n"
        assert seen[-1].kind == "end"
        whole = result(client, id_)
        assert seen[-1].data == {name: value for name, value in whole.items() if name not in ("stdout", "stderr")}
        assert {"status": "running", "attempt": 1} in [event.data for event in seen if event.kind == "state"]
    until(lambda: _left_over(stack.database_url) == 0, what="nothing left of the live output")


def test_what_a_crash_of_the_database_takes_is_made_good(stack: Stack, tmp_path: Path) -> None:
    """Live output is in unlogged tables, which are empty after a crash: a follower must not end up with a hole."""
    gate, begun = tmp_path / "gate", tmp_path / "begun"
    with stack.client() as client:
        id_ = submit(
            client, code=_gated(gate, "print('a' * 30_000)", f"open({str(begun)!r}, 'w'); print('b' * 30_000)")
        )
        seen: list[Event] = []
        with client.stream("GET", f"/jobs/{id_}/output", timeout=_EVENT_SECONDS) as answer:
            for event in _events(answer):
                seen.append(event)
                if event.kind == "stdout" and not gate.exists():
                    with psycopg.connect(stack.database_url) as connection:
                        connection.execute("DELETE FROM job_output WHERE job_id = %s", (id_,))
                        connection.execute("DELETE FROM job_watches WHERE job_id = %s", (id_,))
                    gate.touch()
        assert (
            _output(seen, "stdout")
            == _stored(stack.database_url, id_)[0]
            == b"a" * 30_000 + b"\n" + b"b" * 30_000 + b"\n"
        )


def test_any_bytes_arrive_as_they_were_written(stack: Stack) -> None:
    """Text would break where a character is cut in two, and lose what is no text at all."""
    code = (
        "import os, time\n"
        "os.write(1, b'\\xe2\\x82'); time.sleep(0.4); os.write(1, b'\\xac\\0\\xff\\xfe\\r\\n\\n')\n"
        "for n in range(40): os.write(1, bytes(range(256)) * 9); os.write(2, b'\\x80' * 333)\n"
    )
    with stack.client() as client:
        id_ = submit(client, code=code)
        events = _follow(client, id_)
        assert (_output(events, "stdout"), _output(events, "stderr")) == _stored(stack.database_url, id_)
        assert _output(events, "stdout").startswith(b"\xe2\x82\xac\0\xff\xfe\r\n\n")


def test_who_begins_to_watch_late_sees_all_of_it(stack: Stack, tmp_path: Path) -> None:
    """Workers publish only what is watched: what came before must not be missing."""
    gate, begun = tmp_path / "gate", tmp_path / "begun"
    before = f"sys.stdout.write('x' * 50_000); sys.stdout.flush(); open({str(begun)!r}, 'w').close()"
    with stack.client() as client:
        id_ = submit(client, code=_gated(gate, before, "print('end')"))
        until(begun.exists, what="the job's first output")
        seen: list[Event] = []
        with client.stream("GET", f"/jobs/{id_}/output", timeout=_EVENT_SECONDS) as answer:
            for event in _events(answer):
                seen.append(event)
                if len(_output(seen, "stdout")) == 50_000:
                    gate.touch()
        assert _output(seen, "stdout") == b"x" * 50_000 + b"end\n"


def test_a_stream_goes_on_where_it_was_cut(stack: Stack, tmp_path: Path) -> None:
    """Who lost a connection must neither miss a byte nor get one twice, whether the job runs or has ended."""
    gate = tmp_path / "gate"
    with stack.client() as client:
        id_ = submit(client, code=_gated(gate, "print('a' * 40_000)", "print('b' * 40_000)"))
        first: list[Event] = []
        with client.stream("GET", f"/jobs/{id_}/output", timeout=_EVENT_SECONDS) as answer:
            for event in _events(answer):
                first.append(event)
                if event.kind == "stdout":
                    break
        gate.touch()
        rest = _follow(client, id_, first[-1].id)
        assert not any(event.kind == "restart" for event in rest)
        assert _output([*first, *rest], "stdout") == _stored(stack.database_url, id_)[0]
        again = _follow(client, id_, first[-1].id)
        assert _output([*first, *again], "stdout") == _stored(stack.database_url, id_)[0]
        ended = client.get(f"/jobs/{id_}/output", headers={"Last-Event-ID": rest[-1].id})
        assert (ended.status_code, ended.content) == (204, b"")


def test_a_job_that_has_ended_is_replayed_from_its_result(stack: Stack) -> None:
    """Who asks a moment too late gets the same as who asked in time, cut at the same mebibyte."""
    with stack.client() as client:
        id_ = submit(client, code="print('y' * 1_500_000)")
        assert result(client, id_, wait=30)["stdout_truncated"]
        events = _follow(client, id_)
        assert _output(events, "stdout") == b"y" * 1_048_576
        assert [event.kind for event in events if event.kind not in ("stdout", "stderr")] == ["end"]
        assert events[-1].data["stdout_truncated"] is True


def test_jobs_of_others_and_ids_of_no_event_are_refused(stack: Stack) -> None:
    """Another tenant's output is the most that there is to steal; a wrong id must not silently begin anew."""
    with stack.client() as client, stack.client() as stranger:
        id_ = submit(client, code="print('mine')")
        problem(stranger.get(f"/jobs/{id_}/output"), 404)
        problem(client.get("/jobs/none/output"), 404)
        problem(httpx.get(f"{stack.url}/jobs/{id_}/output"), 401)
        answer = client.get(f"/jobs/{id_}/output", headers={"Last-Event-ID": "17"})
        assert problem(answer, 422)["errors"][0]["field"] == "Last-Event-ID"


@pytest.fixture(scope="module")
def small_stack(server: Server, shared_database_url: str) -> Generator[Stack]:
    """A stack without a worker, on which two streams are one too many."""
    del server
    with start_stack(shared_database_url, OUTPUT_STREAMS="3", OUTPUT_STREAMS_PER_TENANT="2") as started:
        yield started


def test_streams_are_bounded_and_a_reader_that_leaves_frees_its_place(small_stack: Stack) -> None:
    """Open streams cost memory: without a bound a client fills the API, and with leaks the bound fills by itself."""
    stack = small_stack
    with stack.client() as client, stack.client() as other:
        id_ = submit(client)
        open_ = [client.stream("GET", f"/jobs/{id_}/output", timeout=_EVENT_SECONDS) for _ in range(2)]
        # Kept, because an iterator that is thrown away closes its connection.
        streams = [_events(stream.__enter__()) for stream in open_]
        assert [next(stream).data["status"] for stream in streams] == ["queued", "queued"]
        refused = client.get(f"/jobs/{id_}/output")
        assert int(refused.headers["Retry-After"]) > 0
        problem(refused, 429)
        theirs = submit(other)
        with other.stream("GET", f"/jobs/{theirs}/output", timeout=_EVENT_SECONDS) as third:
            their_stream = _events(third)
            assert next(their_stream).kind == "state"
            fourth = other.get(f"/jobs/{theirs}/output")
            assert int(fourth.headers["Retry-After"]) > 0
            problem(fourth, 503)
        for stream in open_:
            stream.__exit__(None, None, None)
        assert client.delete(f"/jobs/{id_}").json()["status"] == "cancelled"
        until(lambda: client.get(f"/jobs/{id_}/output").status_code == 200, what="a free place")


def test_a_new_attempt_begins_the_stream_anew(database_url: str, tmp_path: Path) -> None:
    """Half of one attempt followed by the whole of the next is no program's output."""
    first, gate = tmp_path / "first", tmp_path / "gate"
    code = (
        "import os, sys, time\n"
        f"again = os.path.exists({str(first)!r}); open({str(first)!r}, 'w').close()\n"
        "print('second' if again else 'one', flush=True)\n"
        f"{until_there(gate)}"
    )
    with (
        start_stack(
            database_url, workers=1, LEASE_SECONDS="5", LEASE_RENEW_SECONDS="0.5", SWEEP_SECONDS="0.5"
        ) as stack,
        stack.client() as client,
    ):
        id_ = submit(client, code=code)
        seen: list[Event] = []

        def kill() -> None:
            stack.workers[0].kill()
            stack.start_worker()

        killer = threading.Thread(target=kill)
        with client.stream("GET", f"/jobs/{id_}/output", timeout=60) as answer:
            for event in _events(answer):
                seen.append(event)
                # A line may come in two parts.
                whole = _output(seen, "stdout") if event.kind == "stdout" else b""
                if whole == b"one\n":
                    killer.start()
                if whole == b"second\n":
                    gate.touch()
        killer.join()
        assert [event.data["attempt"] for event in seen if event.kind == "restart"] == [2]
        assert seen[-1].data["status"] == "succeeded", "the gate was opened: the second attempt was seen live"
        assert _output(seen, "stdout") == _stored(database_url, id_)[0] == b"second\n"
        until(lambda: _left_over(database_url) == 0, what="the dead worker's output to be removed")
