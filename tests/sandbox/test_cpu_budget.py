"""The limit of a job's processor time: when it is looked at, where it is counted, and what the job's result says."""

import importlib
import os
import subprocess
import sys
import time
from types import ModuleType
from uuid import uuid4

import pytest
from fleet_runtime.payload import encode
from fleet_runtime.states import JobStatus
from fleet_runtime.store.records import ClaimedJob
from fleet_runtime.worker.attempt import Finished, RunningAttempt, run_attempt
from hypothesis import given
from hypothesis import strategies as st
from sandbox_daemon import PROJECT, Daemon


def of_the_runner(name: str) -> ModuleType:
    """A module that lives in the sandbox image and imports nothing of the runtime."""
    sys.path.insert(0, str(PROJECT / "images" / "sandbox"))
    try:
        return importlib.import_module(f"fleet_sandbox.{name}")
    finally:
        sys.path.pop(0)


@given(st.floats(0.1, 1000), st.lists(st.floats(0, 1), max_size=30))
def test_a_budget_is_never_looked_at_too_late(seconds: float, shares: list[float]) -> None:
    """However fast a job uses processors up, the next look comes before it can be far over its limit."""
    budget_module = of_the_runner("budget")
    used = 0.0
    budget = budget_module.CpuBudget(seconds, lambda: used)
    for share in shares:
        left = seconds - used
        wait = budget.next_look - time.monotonic()
        assert wait <= max(left / budget.processors, budget_module.SHORTEST_LOOK_SECONDS)
        used += wait * share * budget.processors
        if budget.look() <= 0:
            break
    assert used <= seconds + budget_module.SHORTEST_LOOK_SECONDS * budget.processors + 1e-6
    used = seconds
    budget.next_look = 0.0
    assert budget.spent()


AS_PROCESS_ONE = """
import subprocess, sys
sys.path.insert(0, sys.argv[1])
from fleet_sandbox.usage import _cpu_of_processes
code = "import time\\nwhile time.process_time() < 0.3: pass\\nprint(1, flush=True)\\ninput()"
with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as busy:
    busy.stdout.readline()
    alive = _cpu_of_processes()
print(alive, _cpu_of_processes())
"""


def test_processes_are_counted_by_proc_where_the_kernel_shows_no_control_group() -> None:
    """Under gVisor a job would have no limit at all."""
    if os.geteuid() != 0:
        pytest.skip("only root can make a process 1 to try")
    # Not by PYTHONPATH: sitecustomize.py stands in that folder too, and would make a runner of it.
    program = [sys.executable, "-c", AS_PROCESS_ONE, str(PROJECT / "images" / "sandbox")]
    apart = ["unshare", "--fork", "--pid", "--mount-proc", *program]
    counted = subprocess.run(apart, capture_output=True, text=True, timeout=60, check=True).stdout
    alive, ended = (float(word) for word in counted.split())
    assert 250 <= alive <= ended < 5000


async def test_a_job_over_its_processor_time_has_failed_for_that_reason(daemon: Daemon) -> None:
    """Its owner must read why, and it must not be run again: it would use as much once more."""
    job = ClaimedJob(
        id=uuid4(),
        attempt=1,
        failures=0,
        max_attempts=3,
        retry_terminated=True,
        tenant="default",
        language="python",
        request_id="r",
        timeout_seconds=60,
        waited_ms=0,
        payload=encode("python", "while True: pass", None, {}),
    )
    verdict = await run_attempt(RunningAttempt(job), daemon.client, "frugal")
    assert isinstance(verdict, Finished)
    assert (verdict.outcome.status, verdict.outcome.error_code) == (JobStatus.FAILED, "cpu_limit")
