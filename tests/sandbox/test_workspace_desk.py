"""What sandboxd says of workspaces, and the removal of one: by an operator, never under a job."""

import asyncio

import pytest
from fleet_runtime.agent_script import agent_script
from fleet_runtime.sandboxd.client import RunResult, SandboxRefused
from made_sandboxes import DockerMade
from sandbox_daemon import Daemon

_MEBIBYTE = 1024 * 1024
# Deeper than a path may be long, and closed to whoever looks as an ordinary user.
_HIDDEN = """
head -c 2000000 /dev/zero > open
python3 - <<'END'
import os
for _ in range(60):
    os.mkdir("d" * 200)
    os.chdir("d" * 200)
with open("hidden", "wb") as file:
    file.write(bytes(3_000_000))
os.chmod(".", 0)
END
"""


async def _work(
    daemon: Daemon,
    command: str,
    workspace: str,
    kill: asyncio.Event | None = None,
    started: asyncio.Event | None = None,
) -> RunResult:
    script = agent_script(command, "/workspace")
    return await daemon.run(
        "bash", script, tenant="desk", workspace=workspace, template="agent-a", kill=kill, started=started
    )


async def test_every_byte_of_a_workspace_counts_wherever_a_job_puts_it(agents: Daemon) -> None:
    """What a measurement does not see has no limit."""
    result = await _work(agents, _HIDDEN, "large")
    assert (result.reason, result.exit_code) == ("exited", 0), result
    await _work(agents, "true", "empty")
    sizes = await agents.client.workspace_sizes()
    large = sizes["desk", "large"]
    # Docker gives up at such depths, and says so: the API takes that for too large.
    assert 5_000_000 <= large <= 5_000_000 + 2 * _MEBIBYTE or (large == -1 and isinstance(agents.made, DockerMade))
    assert sizes["desk", "empty"] < 100_000
    assert await _removed(agents, "large")
    assert ("desk", "large") not in await agents.client.workspace_sizes()


async def test_a_workspace_is_removed_with_its_files_but_never_under_a_job(agents: Daemon) -> None:
    """An operator who frees space must not pull a folder away under somebody's work."""
    kill, started = asyncio.Event(), asyncio.Event()
    job = asyncio.create_task(_work(agents, "echo x > f; sleep 60", "used", kill, started))
    await asyncio.wait_for(started.wait(), 60)
    with pytest.raises(SandboxRefused, match="a job has workspace used of tenant desk"):
        await agents.client.remove_workspace("desk", "used")
    kill.set()
    await job
    assert await _removed(agents, "used")
    assert not await agents.client.remove_workspace("desk", "used")
    assert (await _work(agents, "test ! -e f", "used")).exit_code == 0


async def _removed(daemon: Daemon, workspace: str) -> bool:
    """Remove it once its last sandbox, which may still be on its way out, is gone."""
    async with asyncio.timeout(60):
        while True:
            try:
                return await daemon.client.remove_workspace("desk", workspace)
            except SandboxRefused:
                await asyncio.sleep(0.1)


async def test_what_names_no_workspace_is_refused(agents: Daemon) -> None:
    """A name becomes a path or a volume's name."""
    for tenant, workspace in (("desk", "../.."), ("..", "app"), ("desk", "a.b"), ("", "app")):
        with pytest.raises(SandboxRefused, match="invalid_request"):
            await agents.client.remove_workspace(tenant, workspace)
