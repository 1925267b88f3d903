"""Workspaces in real sandboxes: kept for their tenant, closed to others, and one sandbox at a time in each."""

import asyncio
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from fleet_runtime.agent_script import agent_script
from fleet_runtime.sandboxd.client import RunResult, SandboxRefused
from fleet_runtime.sandboxd.workspace import Workspace
from made_sandboxes import DockerMade
from sandbox_daemon import Daemon, eventually

FOLDER = "/workspace"
COUNT = 'test ! -e on || echo two; touch on; sleep 0.3; rm on; echo x >> count; wc -l < count | tr -d " "'


async def work(
    daemon: Daemon, command: str, tenant: str = "one", workspace: str | None = "app", template: str = "agent-a"
) -> RunResult:
    """Run an agent's command as the API would have it run."""
    script = agent_script(command, None if workspace is None else FOLDER)
    return await daemon.run("bash", script, tenant=tenant, workspace=workspace, template=template)


async def out(daemon: Daemon, command: str, **where: str) -> str:
    """What a command says that must succeed."""
    result = await work(daemon, command, **where)
    assert (result.reason, result.exit_code) == ("exited", 0), result
    return result.stdout.decode()


def mounts() -> str:
    """Everything that is mounted on this machine, as this process sees it."""
    return Path("/proc/self/mountinfo").read_text()


async def test_a_workspace_outlives_sandboxes_and_sandboxd_and_is_its_tenants_alone(agents: Daemon) -> None:
    """Work that is gone is worthless, and work that another tenant can read is worse."""
    assert await out(agents, "pwd; echo secret > f; mkdir d; chmod 700 d; echo more > d/f") == f"{FOLDER}\n"
    assert await out(agents, "cat f d/f") == "secret\nmore\n"
    assert await out(agents, "cat d/f", template="agent-b") == "more\n"
    for tenant, workspace in (("two", "app"), ("one", "app-2"), ("one-app", "x")):
        assert await out(agents, "ls -A", tenant=tenant, workspace=workspace) == ""
    # Names that are the same once they are joined are still two workspaces.
    await out(agents, "echo 1 > f", tenant="a-b", workspace="c")
    assert await out(agents, "ls -A", tenant="a", workspace="b-c") == ""
    agents.send_signal(signal.SIGTERM)
    agents.start()
    assert await out(agents, "cat f") == "secret\n"


async def test_a_workspace_is_writable_and_executable_and_gives_no_more_rights_than_scratch(agents: Daemon) -> None:
    """A volume must not be the way round what every sandbox is held to."""
    options = await out(
        agents, f"grep ' {FOLDER} ' /proc/self/mountinfo; id -u; stat -c %u .; grep NoNewPrivs /proc/self/status"
    )
    assert options.splitlines()[1:] == ["10001", "10001", "NoNewPrivs:\t1"]
    if not isinstance(agents.made, DockerMade):
        assert {"nosuid", "nodev"} <= set(options.split()[5].split(","))
    # Where the mount itself does not say so, the missing capabilities and no_new_privs do.
    shell = "cp /usr/bin/id own-id; chmod 6755 own-id; ./own-id -u; mknod device b 8 0 2>&1 || echo none"
    assert (await out(agents, shell)).splitlines() == ["10001", "mknod: device: Operation not permitted", "none"]


async def test_nothing_is_left_in_home_or_scratch_and_nothing_without_a_workspace(agents: Daemon) -> None:
    """What an agent leaves beside its workspace would reach the next one unseen."""
    assert await out(agents, 'echo $HOME; echo "alias ls=x" > ~/.bashrc; touch /job/left /tmp/left') == "/tmp\n"
    assert "left" not in await out(agents, "ls -A ~ /tmp /job")
    result = await work(agents, "pwd; ls -A /workspace", workspace=None)
    assert result.stdout == b"/job\n"


async def test_two_jobs_never_have_one_workspace_at_once_whatever_the_queue_says(agents: Daemon) -> None:
    """A worker that lost its lease may not know yet when the next one has the job."""
    jobs = [out(agents, COUNT, template="agent-a" if number % 2 else "agent-b") for number in range(4)]
    assert sorted(await asyncio.gather(*jobs)) == ["1\n", "2\n", "3\n", "4\n"]


async def test_a_killed_sandboxd_leaves_nobody_in_a_workspace(agents: Daemon) -> None:
    """The job that is run again would meet itself, and a mount that stays would keep the workspace for ever."""
    started = asyncio.Event()
    script = agent_script("echo begun >> f; sleep 60; echo ended >> f", FOLDER)
    job = agents.run("bash", script, tenant="one", workspace="app", template="agent-a", started=started)
    running = asyncio.create_task(job)
    await asyncio.wait_for(started.wait(), 20)
    before = agents.sandboxes()
    agents.send_signal(signal.SIGKILL)
    await asyncio.gather(running, return_exceptions=True)
    agents.start()
    assert await out(agents, "cat f") == "begun\n"

    async def gone() -> bool:
        return not before & agents.sandboxes()

    await eventually(gone, 15, "the left-over sandboxes to be removed")
    assert agents.fleet not in mounts()


@pytest.mark.parametrize(
    ("tenant", "workspace", "template", "words"),
    [
        ("one", "../two/app", "agent-a", "workspace must be"),
        ("one", "a.b", "agent-a", "workspace must be"),
        ("one", "", "agent-a", "workspace must be"),
        ("one", "a\n", "agent-a", "workspace must be"),
        ("../one", "app", "agent-a", "tenant must be"),
        ("", "app", "agent-a", "tenant must be"),
        ("one", "app", "default", "have no workspaces"),
    ],
)
async def test_what_is_no_workspaces_name_or_has_none_is_refused(
    agents: Daemon, tenant: str, workspace: str, template: str, words: str
) -> None:
    """A name becomes a path on the host: sandboxd trusts no worker with that."""
    with pytest.raises(SandboxRefused, match=words) as refused:
        await work(agents, "true", tenant, workspace, template)
    assert refused.value.code == "invalid_request"


async def test_a_volume_that_is_not_the_workspaces_is_not_mounted(agents: Daemon) -> None:
    """A name alone proves nothing: whoever runs this host may have a volume of that name."""
    if not isinstance(agents.made, DockerMade):
        return
    name = Workspace("one", "app").volume(agents.fleet)
    volume = agents.made.client.volumes.create(name, labels={"agent-fleet.fleet": agents.fleet})
    try:
        agents.templates = {"agent-a": {**agents.templates["agent-a"], "start_timeout_seconds": 2}}
        agents.send_signal(signal.SIGTERM)
        agents.start()
        with pytest.raises(SandboxRefused, match="is not this workspace's"):
            await work(agents, "true")
    finally:
        volume.remove()


def test_no_hook_or_program_of_a_repository_runs_by_itself(tmp_path: Path) -> None:
    """The next agent that commits would run what the last one left there."""
    if shutil.which("git") is None:
        pytest.skip("cannot be had here: git, on this machine")
    repository = tmp_path / "repository"
    hooks = repository / ".git" / "hooks"
    trap = f"#!/bin/sh\necho ran >> {tmp_path}/ran\nexit 0\n"
    subprocess.run(["git", "init", "-q", str(repository)], check=True)
    for name in ("pre-commit", "post-commit", "commit-msg", "post-checkout", "reference-transaction"):
        (hooks / name).write_text(trap)
        (hooks / name).chmod(0o755)
    (tmp_path / "trap").write_text(trap)
    (tmp_path / "trap").chmod(0o755)
    for setting in ("core.fsmonitor", "core.sshCommand", "core.pager", "core.editor", "gpg.program"):
        subprocess.run(["git", "-C", str(repository), "config", setting, str(tmp_path / "trap")], check=True)
    commit = "git add f && git -c user.name=a -c user.email=a@example.com commit -q -m x && git checkout -q -b"
    ours = agent_script(f"echo 1 > f && {commit} one && git status -s", str(repository))
    subprocess.run(["bash", "-c", ours], check=True, timeout=30)
    assert not (tmp_path / "ran").exists()
    # The trap is one: without the script around it, it snaps.
    subprocess.run(["bash", "-c", f"cd {repository} && echo 2 > f && {commit} two"], check=False, timeout=30)
    assert (tmp_path / "ran").exists()
