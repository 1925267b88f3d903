"""Credentials in real sandboxes of Docker: where the CLI looks, read-only, and for their tenant alone."""

from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from fleet_runtime.agent_script import agent_program, agent_script
from fleet_runtime.payload import PROGRAM
from fleet_runtime.sandboxd.client import RunResult, SandboxRefused
from made_sandboxes import DockerMade
from sandbox_daemon import TEMPLATE, Daemon

LOOK = """
import os, pathlib
home = pathlib.Path.home() / ".claude"
file = home / ".credentials.json"
print(file, file.read_text())
(home / "settings.json").write_text("{}")
change = lambda: file.write_text("x")
for attempt in (change, file.unlink, lambda: file.rename(home / "other"), lambda: file.chmod(0o777)):
    try:
        attempt()
    except OSError as error:
        print(error.strerror)
"""


@pytest.fixture(scope="module")
def trusted(
    docker_client: docker.DockerClient, sandbox_image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Daemon, Path]]:
    """A sandboxd with an agent type that has credentials, and their file."""
    folder = tmp_path_factory.mktemp("credentials")
    file = folder / "credentials.json"
    file.write_text("first")
    agent = {**TEMPLATE, "image": sandbox_image, "warm": 0, "workspaces": True}
    missing = {"file": str(folder / "missing.json"), "tenant": "one"}
    templates = {
        "default": {**TEMPLATE, "image": sandbox_image, "warm": 0},
        "trusted": {**agent, "credentials": {"file": str(file), "tenant": "one"}},
        "missing": {**agent, "credentials": missing},
    }
    daemon = Daemon(folder, templates, made=DockerMade(docker_client, {}))
    daemon.start()
    yield daemon, file
    daemon.stop()


async def look(daemon: Daemon, template: str = "trusted", tenant: str = "one") -> RunResult:
    """Have a job look at the credentials, as the API would have it run."""
    program = agent_program(["python3", "-c", LOOK], None)
    return await daemon.run(PROGRAM, program, template=template, tenant=tenant)


async def test_a_job_reads_the_hosts_file_in_its_home_and_cannot_change_it(trusted: tuple[Daemon, Path]) -> None:
    """The CLI would find nothing, or a job would change what the next one and the host rely on."""
    daemon, file = trusted
    result = await look(daemon)
    assert (result.reason, result.exit_code) == ("exited", 0), result
    shown, *refusals = result.stdout.decode().splitlines()
    assert shown == "/tmp/.claude/.credentials.json first"
    assert set(refusals) == {"Read-only file system", "Device or resource busy"}, refusals
    assert len(refusals) == 4
    assert file.read_text() == "first"
    # By renaming, as a login is renewed: a mount of yesterday's file would last for ever.
    new = file.with_name("new.json")
    new.write_text("second")
    new.rename(file)
    script = agent_script("cat ~/.claude/.credentials.json; ls -A ~/.claude", None)
    result = await daemon.run("bash", script, template="trusted", tenant="one")
    assert result.stdout == b"second.credentials.json\n", "and nothing of the job before"


async def test_no_other_tenant_and_no_other_template_has_them(trusted: tuple[Daemon, Path]) -> None:
    """One tenant's account would be every tenant's."""
    daemon, _ = trusted
    with pytest.raises(SandboxRefused, match="one tenant's credentials"):
        await look(daemon, tenant="two")
    result = await daemon.run("bash", "ls -A /tmp", template="default", tenant="one")
    assert result.stdout == b""
    assert b"first" not in (daemon.folder / "log").read_bytes()


async def test_a_missing_file_is_named_and_nothing_is_made_in_its_place(trusted: tuple[Daemon, Path]) -> None:
    """Docker would otherwise make a folder of that name on the host, and the CLI report that nobody has logged in."""
    daemon, file = trusted
    with pytest.raises(SandboxRefused, match=r"missing\.json"):
        await look(daemon, template="missing")
    assert not (file.parent / "missing.json").exists()
