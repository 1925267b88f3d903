"""A disk that is full when an agent's sandbox is to be made: its job waits for space, and loses no attempt."""

import asyncio

import pytest
from fleet_runtime.sandboxd.backend import BackendError
from fleet_runtime.sandboxd.cold_pool import ColdPool
from fleet_runtime.sandboxd.config import SandboxTemplate
from fleet_runtime.sandboxd.metrics import Metrics
from fleet_runtime.sandboxd.refused import RefusedError
from fleet_runtime.sandboxd.workspace import Workspace, WorkspacesInUse
from pretend_backend import PretendBackend
from sandbox_daemon import MEBIBYTE

_WORKSPACE = Workspace("tenant", "app")


@pytest.mark.parametrize(("shortage", "code"), [(True, "no_capacity"), (False, "start_failed")])
async def test_want_of_space_is_no_fault_of_the_job(shortage: bool, code: str) -> None:
    """Each start that fails counts, and three failures lose a job for good."""
    template = SandboxTemplate(
        image="x",
        memory_bytes=64 * MEBIBYTE,
        scratch_bytes=MEBIBYTE,
        warm=0,
        workspaces=True,
        start_timeout_seconds=0.3,
    )
    backend = PretendBackend()
    pool = ColdPool("fleet", "agent-a", template, backend, Metrics(), WorkspacesInUse())
    pool.open()
    source = pool.source(_WORKSPACE)
    backend.failures = [BackendError("no space left on device", shortage=shortage) for _ in range(1_000)]
    with pytest.raises(RefusedError) as refused:
        await source.wait(asyncio.get_running_loop().time() + 0.3)
    assert refused.value.code == code
    assert "no space left" in refused.value.message
    backend.failures.clear()
    sandbox = await source.wait(asyncio.get_running_loop().time() + 5)
    source.release(sandbox)
    await pool.close()
