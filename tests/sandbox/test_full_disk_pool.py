"""A disk that is full when a sandbox is to be made: its job waits for space, and what was half made goes again."""

import asyncio
from pathlib import Path

import pytest
from fleet_runtime.sandboxd.backend import BackendError
from fleet_runtime.sandboxd.cold_pool import ColdPool
from fleet_runtime.sandboxd.config import OciSettings, SandboxTemplate
from fleet_runtime.sandboxd.metrics import Metrics
from fleet_runtime.sandboxd.oci_backend import OciBackend
from fleet_runtime.sandboxd.refused import RefusedError
from fleet_runtime.sandboxd.workspace import Workspace, WorkspacesInUse
from pretend_backend import PretendBackend, pool_of
from sandbox_daemon import MEBIBYTE
from simulated_time import run_simulated

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


@pytest.mark.parametrize(("shared", "least", "most"), [(False, 10, 25), (True, 100, 400)])
def test_a_full_disk_is_tried_less_and_less_often(shared: bool, least: int, most: int) -> None:
    """Prevents five containers a second for ever; a stock of pods is waited for in the start itself."""

    async def tries_in_a_minute() -> int:
        backend = PretendBackend(shared=shared)
        backend.failures = [BackendError("no space left on device", shortage=True) for _ in range(1_000)]
        pool = pool_of(backend, warm=1, maximum=2)
        pool.open()
        await asyncio.sleep(60)
        tried = 1_000 - len(backend.failures)
        pool.pause("the end")
        await pool.close()
        return tried

    assert least <= run_simulated(tries_in_a_minute()) <= most


async def test_a_bundle_that_a_full_disk_left_empty_is_removed(tmp_path: Path) -> None:
    """Prevents a sandboxd that takes no job any more, in which no runtime is called '', until somebody clears up."""
    settings = OciSettings(
        state=tmp_path, runtimes={"runc": Path("/bin/true")}, user_namespaces=True, first_uid=1 << 20
    )
    backend = OciBackend("fleet", settings, tmp_path / "egress")
    bundle = tmp_path / "fleets" / "fleet" / "bundles" / "fleet-sandbox-1"
    bundle.mkdir(parents=True)
    (bundle / "runtime").touch()
    assert await backend.left_over(()) == [bundle.name]
    await backend.remove(bundle.name)
    assert await backend.left_over(()) == []
    backend.close()


async def test_a_runtime_that_finds_the_disk_full_costs_no_attempt(tmp_path: Path) -> None:
    """Prevents lost jobs where a bundle's small files still found room, and runc's own did not."""
    runtime = tmp_path / "runc"
    runtime.write_text("#!/bin/sh\necho 'mkdir /run/x: no space left on device' >&2\nexit 1\n")
    runtime.chmod(0o755)
    unpacked = tmp_path / "images" / ("0" * 64)
    (unpacked / "rootfs").mkdir(parents=True)
    (unpacked / "image.json").write_text('{"environment": [], "manifests": []}')
    settings = OciSettings(state=tmp_path, runtimes={"runc": runtime}, user_namespaces=True, first_uid=1 << 20)
    backend = OciBackend("fleet", settings, tmp_path / "egress")
    numbers = {"memory_bytes": 64 * MEBIBYTE, "scratch_bytes": MEBIBYTE}
    template = SandboxTemplate.model_validate({"image": f"sha256:{'0' * 64}", **numbers})
    with pytest.raises(BackendError, match="no space left") as refused:
        await backend.start("fleet-sandbox-1", "default", template)
    assert refused.value.shortage
    backend.close()
