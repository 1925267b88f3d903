"""What sandboxd's log and metrics say of a job, and what they never do."""

import asyncio
import json
import secrets

from fleet_runtime.payload import encode
from fleet_runtime.sandboxd.client import RunRequest
from sandbox_daemon import Daemon, eventually


async def test_a_job_is_in_the_log_by_its_ids_and_nothing_of_it_else(own_daemon: Daemon) -> None:
    """A trace that ends before the sandbox does not say which host was slow; a log with code in it gives it away."""
    marker, job, trace = f"marker{secrets.token_hex(8)}", secrets.token_hex(8), secrets.token_hex(16)
    code = f"import sys; print('{marker}'); print(sys.stdin.read(), file=sys.stderr); raise ValueError('{marker}')"
    payload = encode("python", code, marker.encode(), {f"{marker}.txt": marker.encode()})
    own_daemon.start()
    await own_daemon.warm()
    request = RunRequest(job, 1, "default", 20, payload, "tenant", request_id="request-1", trace_id=trace)
    ended = await own_daemon.client.run(request, kill=asyncio.Event())
    assert marker.encode() in ended.stdout
    assert marker.encode() in ended.stderr

    async def logged() -> bool:
        return "run_ended" in own_daemon.log()

    await eventually(logged, 10, "the job's line")
    lines = [json.loads(line) for line in own_daemon.log().splitlines() if line.startswith("{")]
    (line,) = [line for line in lines if line["event"] == "run_ended"]
    about = {"job": job, "attempt": 1, "request_id": "request-1", "trace_id": trace, "reason": "exited"}
    assert about.items() <= line.items()
    assert not any("job" in line for line in lines if line["event"] != "run_ended")
    assert marker not in own_daemon.log()
    assert marker not in await own_daemon.client.metrics()
