"""The narrow socket: who may use it, what may be said, and that nothing said there breaks it."""

import asyncio
import json
import os
import struct
import subprocess
import sys
import time
from typing import Any

import pytest
from fleet_runtime.payload import encode
from fleet_runtime.sandboxd.client import RunRequest, SandboxdClient, SandboxLost, SandboxRefused
from fleet_runtime.sandboxd.protocol import encode_message, read_message
from hypothesis import given, settings
from hypothesis import strategies as st
from sandbox_daemon import Daemon, eventually

RUN = {"op": "run", "template": "default", "job_id": "j", "attempt": 1, "timeout_seconds": 5}
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.lists(st.integers()))


async def exchange(daemon: Daemon, data: bytes) -> list[dict[str, Any]]:
    """Send bytes, close the writing side, and return the headers of all answers."""
    reader, writer = await asyncio.open_unix_connection(daemon.socket)
    answers: list[dict[str, Any]] = []
    try:
        writer.write(data)
        writer.write_eof()
        async with asyncio.timeout(10):
            while (message := await read_message(reader)) is not None:
                answers.append(message[0])
    except (ConnectionError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()
    return answers


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"template": "other"}, "unknown_template"),
        ({"template": 5}, "invalid_request"),
        ({"job_id": ""}, "invalid_request"),
        ({"attempt": "1"}, "invalid_request"),
        ({"timeout_seconds": 0}, "invalid_request"),
        ({"timeout_seconds": -1}, "invalid_request"),
        ({"timeout_seconds": float("inf")}, "invalid_request"),
        ({"timeout_seconds": True}, "invalid_request"),
        ({"op": "start"}, "invalid_request"),
        ({"op": None}, "invalid_request"),
    ],
)
async def test_a_wrong_request_is_refused_with_its_reason(daemon: Daemon, change: dict[str, Any], code: str) -> None:
    """A caller that errs must learn how, and nothing may run."""
    answers = await exchange(daemon, encode_message({**RUN, **change}, encode("bash", "true", None, {})))
    assert [(answer["event"], answer["code"]) for answer in answers] == [("refused", code)]


async def test_nothing_outside_the_template_reaches_the_sandbox(daemon: Daemon) -> None:
    """sandboxd holds the Docker socket: whoever could pass a flag through it would own the host."""
    extras = ("image", "command", "mounts", "privileged", "user", "env", "runtime", "host_config")
    header = {**RUN, **{extra: {"Binds": ["/:/host"]} for extra in extras}}
    reader, writer = await asyncio.open_unix_connection(daemon.socket)
    writer.write(encode_message(header, encode("bash", "id -u; ls / | wc -w", None, {})))
    seen: list[bytes] = []
    while (message := await read_message(reader)) is not None:
        seen.append(message[1])
        if message[0]["event"] in {"ended", "refused"}:
            break
    writer.close()
    assert b"10001\n21\n" in b"".join(seen)


async def test_a_payload_that_is_none_is_refused_by_the_runner(daemon: Daemon) -> None:
    """sandboxd passes payloads untouched, so the runner is the one who has to cope."""
    with pytest.raises(SandboxRefused) as refusal:
        await daemon.client.run(RunRequest("j", 1, "default", 5, b"\xff\xff\xff\xff"), kill=asyncio.Event())
    assert refusal.value.code == "invalid_request"


@settings(max_examples=150, deadline=None)
@given(
    data=st.one_of(
        st.binary(max_size=200),
        st.binary(max_size=200).map(lambda body: struct.pack(">I", len(body)) + body),
        st.dictionaries(st.sampled_from(["op", "template", "body", "timeout_seconds", "x"]), SCALARS).map(
            lambda header: (lambda text: struct.pack(">I", len(text)) + text)(json.dumps(header).encode())
        ),
        st.integers(0, 2**32 - 1).map(lambda length: struct.pack(">I", length) + b"{}"),
        st.recursive(st.just([]), lambda inner: st.lists(inner, max_size=2), max_leaves=20).map(
            lambda nested: encode_message({"op": "count", "nested": nested})
        ),
    )
)
def test_no_bytes_on_the_socket_break_it(daemon: Daemon, data: bytes) -> None:
    """Malformed input ends its own connection, and nothing else."""

    async def check() -> None:
        answers = await exchange(daemon, data)
        assert all(answer["event"] in {"refused", "count", "metrics"} for answer in answers)
        assert (await daemon.client.count()).healthy

    asyncio.run(check())


async def test_a_header_nested_beyond_the_parser_ends_only_its_connection(daemon: Daemon) -> None:
    """JSON of thousands of brackets makes the parser give up in its own way."""
    text = b"[" * 60000
    answers = await exchange(daemon, struct.pack(">I", len(text)) + text)
    assert [answer["code"] for answer in answers] == ["invalid_request"]


async def test_connections_that_say_nothing_do_not_keep_others_out(daemon: Daemon) -> None:
    """Silent peers cost a slot each for ten seconds, and no more."""
    idle = [await asyncio.open_unix_connection(daemon.socket) for _ in range(100)]
    assert (await daemon.run("bash", "echo ok")).stdout == b"ok\n"
    for _, writer in idle:
        writer.close()


async def test_a_peer_of_another_user_is_refused(daemon: Daemon) -> None:
    """The socket's mode is one lock; the peer's user ID, told by the kernel, is the other."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user to try")
    program = (
        "import os, socket, sys\n"
        "os.setgroups([]); os.setresgid(12345, 12345, 12345); os.setresuid(12345, 12345, 12345)\n"
        "s = socket.socket(socket.AF_UNIX); s.settimeout(5); s.connect(sys.argv[1])\n"
        # The refusal comes before anything is said, so saying it may fail already.
        'm = b\'{"op":"count"}\'\n'
        "try: s.sendall(len(m).to_bytes(4, 'big') + m)\nexcept BrokenPipeError: pass\n"
        "os.write(1, s.recv(4096)[4:])"
    )
    # The way to the socket is opened for the moment, so that what refuses is the check of the peer.
    modes = {path: path.stat().st_mode for path in [daemon.socket, *daemon.socket.parents]}
    try:
        for path, mode in modes.items():
            path.chmod(mode | (0o666 if path == daemon.socket else 0o011))
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, str(daemon.socket), stdout=subprocess.PIPE
        )
        output, _ = await process.communicate()
    finally:
        for path, mode in modes.items():
            path.chmod(mode)
    answer = json.loads(output)
    assert answer["event"] == "refused"
    assert "12345" in answer["message"]


async def test_killing_a_job_ends_it_within_a_second(daemon: Daemon) -> None:
    """A cancelled job must not go on costing."""
    took: list[float] = []
    # After a second the sandbox is torn down, as a machine that is busy may need once; not every time.
    while not took or (min(took) >= 1 and len(took) < 5):
        kill, started = asyncio.Event(), asyncio.Event()
        job = asyncio.create_task(daemon.run("python", "while True: pass", kill=kill, started=started))
        await asyncio.wait_for(started.wait(), 20)
        began = time.monotonic()
        kill.set()
        result = await job
        took.append(time.monotonic() - began)
        assert (result.reason, result.exit_code, result.signal) == ("killed", None, "SIGKILL")
    assert min(took) < 1, took


async def test_a_client_that_goes_away_takes_its_sandbox_with_it(daemon: Daemon) -> None:
    """A worker that was killed must not leave its job running beside the retry."""
    job = asyncio.create_task(daemon.run("bash", "sleep 60"))
    await eventually(lambda: running(daemon, 1), 10, "the job to run")
    job.cancel()
    await eventually(lambda: running(daemon, 0), 10, "the sandbox to be gone")


async def test_metrics_are_in_prometheus_format(daemon: Daemon) -> None:
    """Operators see what sandboxes cost and whether they are cleaned up."""
    await daemon.run("bash", "true")
    text = await daemon.client.metrics()
    for name in (
        'containers_started_total{template="default"}',
        "sandbox_execution_duration_seconds_bucket",
        'sandbox_start_seconds_count{template="default",warm="true"}',
        'sandboxes{state="warm",template="default"}',
        "sandbox_backend_up 1.0",
    ):
        assert name in text


async def test_a_socket_that_is_not_there_is_lost_and_not_started() -> None:
    """The worker decides by this whether a job may be tried again."""
    with pytest.raises(SandboxLost) as lost:
        await SandboxdClient("/nowhere/sandboxd.sock").count()
    assert lost.value.started is False


async def running(daemon: Daemon, wanted: int) -> bool:
    """Whether so many sandboxes hold a job now."""
    count = await daemon.count()
    return count is not None and count.templates["default"].running == wanted
