"""An operator empties one worker and has it work again, by the command that they would use."""

import os
import subprocess
import sys
from pathlib import Path

import httpx
from calls import result, run, submit
from gated_code import until_there
from runtime_processes import Stack, start_stack, until

_COMMAND = [sys.executable, "-m", "fleet_runtime", "workers"]


def _workers(stack: Stack, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **stack.environment}
    return subprocess.run(
        [*_COMMAND, *arguments], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def test_a_drained_worker_ends_its_job_takes_no_other_and_works_again_when_told(
    database_url: str, tmp_path: Path
) -> None:
    """To look after a host its worker had to be killed, and its jobs ran twice."""
    gate, begun = tmp_path / "gate", tmp_path / "begun"
    code = f"import os, time\nopen({str(begun)!r}, 'w').close()\n{until_there(gate)}"
    with start_stack(database_url, workers=1, HEARTBEAT_SECONDS="0.3") as stack, stack.client() as client:
        running = submit(client, code=code)
        until(begun.exists, what="the job's start")
        (line,) = _workers(stack, "list").stdout.splitlines()
        worker = line.split()[0]
        assert "takes jobs" in line

        assert _workers(stack, "drain", worker).returncode == 0
        until(lambda: httpx.get(f"{stack.url}/ready").status_code == 503, what="the fleet to learn of it")
        assert f"worker {worker}: draining" in str(httpx.get(f"{stack.url}/ready").json()["reasons"])
        assert "drained by an operator" in _workers(stack, "list").stdout
        waiting = submit(client, code="print('later')")
        gate.touch()
        assert result(client, running, wait=30)["status"] == "succeeded"
        assert result(client, running)["attempt"] == 1
        assert result(client, waiting, wait=2)["status"] == "queued"
        assert stack.workers[0].popen.poll() is None

        assert _workers(stack, "undrain", worker).returncode == 0
        assert result(client, waiting, wait=30)["status"] == "succeeded"
        assert run(client, code="print(1)")["status"] == "succeeded"


def test_a_worker_that_is_not_there_is_named(database_url: str) -> None:
    """A typing error must not pass for a drained worker."""
    with start_stack(database_url) as stack:
        refused = _workers(stack, "drain", "nobody")
        assert refused.returncode == 1
        assert "no worker has the id 'nobody'" in refused.stderr
        assert _workers(stack, "drain").returncode == 2
