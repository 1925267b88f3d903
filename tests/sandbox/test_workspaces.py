"""Workspaces in real sandboxes: kept for their tenant, closed to others, and one sandbox at a time in each."""

import asyncio
import os
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
    daemon: Daemon, command: str, tenant: str, workspace: str | None = "app", template: str = "agent-a"
) -> RunResult:
    """Run an agent's command as the API would have it run."""
    script = agent_script(command, None if workspace is None else FOLDER)
    return await daemon.run("bash", script, tenant=tenant, workspace=workspace, template=template)


async def out(daemon: Daemon, command: str, tenant: str, **where: str) -> str:
    """What a command says that must succeed."""
    result = await work(daemon, command, tenant, **where)
    assert (result.reason, result.exit_code) == ("exited", 0), result
    return result.stdout.decode()


def mounts() -> str:
    """Everything that is mounted on this machine, as this process sees it."""
    return Path("/proc/self/mountinfo").read_text()


async def test_a_workspace_outlives_sandboxes_and_sandboxd_and_is_its_tenants_alone(agents: Daemon) -> None:
    """Work that is gone is worthless, and work that another tenant can read is worse."""
    assert await out(agents, "pwd; echo secret > f; mkdir d; chmod 700 d; echo more > d/f", "one") == f"{FOLDER}\n"
    assert await out(agents, "cat f d/f", "one") == "secret\nmore\n"
    assert await out(agents, "cat d/f", "one", template="agent-b") == "more\n"
    for tenant, workspace in (("two", "app"), ("one", "app-2"), ("one-app", "x")):
        assert await out(agents, "ls -A", tenant, workspace=workspace) == ""
    # Names that are the same once they are joined are still two workspaces.
    await out(agents, "echo 1 > f", "a-b", workspace="c")
    assert await out(agents, "ls -A", "a", workspace="b-c") == ""
    agents.send_signal(signal.SIGTERM)
    assert agents.sandboxes() == set()
    assert agents.fleet not in mounts()
    agents.start()
    assert await out(agents, "cat f", "one") == "secret\n"


async def test_a_workspace_is_writable_and_executable_and_gives_no_more_rights_than_scratch(agents: Daemon) -> None:
    """A volume must not be the way round what every sandbox is held to."""
    options = await out(
        agents,
        f"grep ' {FOLDER} ' /proc/self/mountinfo; id -u; stat -c %u .; grep NoNewPrivs /proc/self/status",
        "rights",
    )
    assert options.splitlines()[1:] == ["10001", "10001", "NoNewPrivs:\t1"]
    if not isinstance(agents.made, DockerMade):
        assert {"nosuid", "nodev"} <= set(options.split()[5].split(","))
    # Where the mount itself does not say so, the missing capabilities and no_new_privs do.
    shell = "cp /usr/bin/id own-id; chmod 6755 own-id; ./own-id -u; mknod device b 8 0 2>&1 || echo none"
    assert (await out(agents, shell, "rights")).splitlines() == [
        "10001",
        "mknod: device: Operation not permitted",
        "none",
    ]


async def test_nothing_is_left_in_home_or_scratch_and_nothing_without_a_workspace(agents: Daemon) -> None:
    """What an agent leaves beside its workspace would reach the next one unseen."""
    assert await out(agents, 'echo $HOME; echo "alias ls=x" > ~/.bashrc; touch /job/left /tmp/left', "home") == "/tmp\n"
    assert "left" not in await out(agents, "ls -A ~ /tmp /job", "home")
    result = await work(agents, "pwd; ls -A /workspace", "home", workspace=None)
    assert result.stdout == b"/job\n"


async def test_two_jobs_never_have_one_workspace_at_once_whatever_the_queue_says(agents: Daemon) -> None:
    """A worker that lost its lease may not know yet when the next one has the job."""
    jobs = [out(agents, COUNT, "counts", template="agent-a" if number % 2 else "agent-b") for number in range(4)]
    assert sorted(await asyncio.gather(*jobs)) == ["1\n", "2\n", "3\n", "4\n"]


async def test_a_killed_sandboxd_leaves_nobody_in_a_workspace(agents: Daemon) -> None:
    """The job that is run again would meet itself, and a mount that stays would keep the workspace for ever."""
    started = asyncio.Event()
    await out(agents, "echo begun > f", "killed")
    script = agent_script("sleep 60; echo ended >> f", FOLDER)
    job = agents.run("bash", script, tenant="killed", workspace="app", template="agent-a", started=started)
    running = asyncio.create_task(job)
    await asyncio.wait_for(started.wait(), 20)
    before = agents.sandboxes()
    agents.send_signal(signal.SIGKILL)
    await asyncio.gather(running, return_exceptions=True)
    agents.start()
    assert await out(agents, "cat f", "killed") == "begun\n"

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
    name = Workspace("taken", "app").volume(agents.fleet)
    volume = agents.made.client.volumes.create(name, labels={"agent-fleet.fleet": agents.fleet})
    try:
        with pytest.raises(SandboxRefused, match="is not this workspace's"):
            await work(agents, "true", "taken", template="impatient")
    finally:
        volume.remove()


LINKS = """
ln -s / root; ln -s .. up; ln -s /proc/1/root first; ln -s /proc/1/cwd cwd; ln -s /proc/self/fd descriptors
ln -s "$(grep ' /workspace ' /proc/self/mountinfo | cut -d ' ' -f 4)" host
ln /etc/passwd hard 2>/dev/null && echo ACHIEVED hard link
ls -A | wc -l | tr -d ' '
"""
THROUGH_LINKS = """
for link in root up first cwd descriptors host ../../.. .. /proc/1/root/workspace/..; do
    touch "$link/achieved" 2>/dev/null && [ "$link" != cwd ] && echo "ACHIEVED $link"
done
for file in root/etc/shadow first/etc/shadow host/../../*/*/secret host/../*/secret up/*/*/secret up/*/secret; do
    grep -s secret $file
done
find / -name secret -not -path '/proc/*' 2>/dev/null
"""
THE_MOUNT_ITSELF = """
umount /workspace 2>/dev/null && echo ACHIEVED umount
mount --bind / /workspace 2>/dev/null && echo ACHIEVED bind
mount -o remount,suid,dev /workspace 2>/dev/null && echo ACHIEVED remount
rmdir /workspace 2>/dev/null && echo ACHIEVED removal
chown 0:0 /workspace 2>/dev/null && echo ACHIEVED owner
mkfifo pipe && chmod 0 /workspace
"""


async def test_a_hostile_workspace_leads_nowhere_for_its_own_tenant_or_the_next(agents: Daemon) -> None:
    """What one job leaves is where the next one stands: a link that anybody followed outside would be a way out."""
    await out(agents, "echo secret > secret", "victim")
    links = await out(agents, LINKS, "links")
    assert links == "6\n"
    for template in ("agent-a", "agent-b"):
        assert await out(agents, THROUGH_LINKS + "echo MARKER", "links", template=template) == "MARKER\n"
    assert await out(agents, THE_MOUNT_ITSELF + "echo MARKER", "links") == "MARKER\n"
    # It has locked out nobody but itself, and sandboxd not at all.
    locked = await work(agents, "echo MARKER", "links")
    assert (locked.reason, locked.exit_code) == ("exited", 126)
    opened = await agents.run(
        "bash", "chmod 700 /workspace; ls /workspace | wc -l", tenant="links", workspace="app", template="agent-a"
    )
    assert opened.stdout.split() == [b"7"]
    assert await out(agents, "cat secret; ls -A", "victim") == "secret\nsecret\n"
    agents.send_signal(signal.SIGKILL)
    agents.start()
    assert await out(agents, "cat secret", "victim") == "secret\n"


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


NAMED = (
    *("gpg.ssh.program", "gpg.x509.program", "gpg.openpgp.program", "gpg.ssh.defaultKeyCommand"),
    *("sequence.editor", "core.alternateRefsCommand", "core.gitProxy"),
)
SIGNED = ("SSH SIGNATURE", "SIGNED MESSAGE", "PGP SIGNATURE")
READING = """
for kind in SSH-SIGNATURE SIGNED-MESSAGE PGP-SIGNATURE; do git log -1 "$kind"; done
git fetch "$OTHER"; git fetch git://127.0.0.1:1/x; git rebase -i HEAD~1
git -c commit.gpgSign=true -c gpg.format=ssh commit --allow-empty -qm y
for format in ssh x509; do
    git -c commit.gpgSign=true -c gpg.format=$format -c user.signingKey=k commit --allow-empty -qm y
done
true
"""


def test_no_program_that_a_repository_names_runs_when_its_history_is_read_fetched_or_signed(tmp_path: Path) -> None:
    """A signature in a commit names what checks it: `git log` alone would run what the last agent left there."""
    if shutil.which("git") is None:
        pytest.skip("cannot be had here: git, on this machine")
    repository, other = tmp_path / "repository", tmp_path / "other"

    def git(*words: str, given: str = "") -> str:
        command = ["git", "-C", str(repository), "-c", "user.name=a", "-c", "user.email=a@example.com", *words]
        return subprocess.run(command, input=given, check=True, capture_output=True, text=True, timeout=30).stdout

    subprocess.run(["git", "init", "-q", str(repository)], check=True)
    for message in ("one", "two"):
        git("commit", "-q", "--allow-empty", "-m", message)
    subprocess.run(["git", "clone", "-q", str(repository), str(other)], check=True)
    (repository / ".git/objects/info/alternates").write_text(f"{other}/.git/objects\n")
    head, body = git("cat-file", "commit", "HEAD").split("\n\n", 1)
    for kind in SIGNED:
        commit = f"{head}\ngpgsig -----BEGIN {kind}-----\n AAAA\n -----END {kind}-----\n\n{body}"
        made = git("hash-object", "-t", "commit", "-w", "--stdin", "--literally", given=commit).strip()
        git("update-ref", f"refs/heads/{kind.replace(' ', '-')}", made)
    for name in NAMED:
        trap = tmp_path / name
        trap.write_text(f"#!/bin/sh\necho {name} >> {tmp_path}/ran\nexit 1\n")
        trap.chmod(0o755)
        git("config", name, str(trap))
    identity = {"user.name": "a", "user.email": "a@example.com", "log.showSignature": "true"}
    for name, value in {**identity, "gpg.ssh.allowedSignersFile": "/dev/null"}.items():
        git("config", name, value)
    environment = {**os.environ, "OTHER": str(other)}
    script = agent_script(READING, str(repository))
    subprocess.run(["bash", "-c", script], env=environment, check=True, capture_output=True, timeout=60)
    assert not (tmp_path / "ran").exists(), (tmp_path / "ran").read_text()
    # The traps are traps: without the script around them, they snap.
    subprocess.run(
        ["bash", "-c", f"cd {repository}\n{READING}"], env=environment, check=True, capture_output=True, timeout=60
    )
    assert set((tmp_path / "ran").read_text().split()) >= set(NAMED)
