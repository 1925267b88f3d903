"""A job of each agent type runs a real command in its image, with a workspace that the types share."""

import contextlib
import subprocess
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from agent_image import SMALL_RUST_TOOL, build_agent_image
from docker.errors import NotFound
from fleet_runtime.agent_script import WORKSPACE_FOLDER, agent_program, agent_script
from fleet_runtime.payload import PROGRAM
from fleet_runtime.sandboxd.client import RunResult
from fleet_runtime.sandboxd.oci_images import Images
from made_sandboxes import DockerMade, OciMade
from sandbox_daemon import MEBIBYTE, TEMPLATE, Daemon

pytestmark = pytest.mark.timeout(1500)
PACKAGE = r"def double(n):\n    return 2 * n\n"
FAULT = r"import subprocess\n\ndef run(name):\n    return subprocess.call(name, shell=True)\n"
SUITE = r"from app import double\n\n\ndef test_double():\n    assert double(21) == 42\n"
TYPES: dict[str, tuple[str, dict[str, str]]] = {
    "python": ("python", {}),
    "security": ("python-hardened", {"PYTHON_TOOLS": "bandit"}),
}
_AGENT = {**TEMPLATE, "memory_bytes": 512 * MEBIBYTE, "warm": 0, "maximum": 1, "workspaces": True}


@contextlib.contextmanager
def _built(types: dict[str, tuple[str, dict[str, str]]], client: docker.DockerClient) -> Generator[dict[str, Any]]:
    """Templates as a deployment has them; their images are removed afterwards."""
    tags = {name: f"agent-fleet-test-toolchains/{name}:1" for name in types}
    try:
        yield {
            name: {**_AGENT, "image": build_agent_image(target, tags[name], **arguments)}
            for name, (target, arguments) in types.items()
        }
    finally:
        for tag in tags.values():
            with contextlib.suppress(NotFound):
                # Docker may still be at removing the last job's container.
                client.images.remove(tag, force=True)


def _unpack(images: Iterable[str], state: Path) -> None:
    """What `python -m fleet_runtime bundle` does on a host without Docker."""
    saved = state / "agent.tar"
    for image in images:
        subprocess.run(["docker", "save", "--output", str(saved), image], check=True, timeout=120)
        assert Images(state / "images").unpack(saved, keep=9) == image
        saved.unlink()


@pytest.fixture(scope="module")
def toolchains(
    made: DockerMade | OciMade, docker_client: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Daemon]:
    """A sandboxd with agent types of the Python toolchain, one of them hardened, on each backend."""
    with _built(TYPES, docker_client) as templates:
        if isinstance(made, OciMade):
            _unpack((str(each["image"]) for each in templates.values()), made.state)
        daemon = Daemon(tmp_path_factory.mktemp("toolchains"), templates, made=made)
        daemon.start()
        yield daemon
        daemon.stop()


@pytest.fixture(scope="module", params=[("node", {})], ids=["node"])
def toolchain(
    request: pytest.FixtureRequest, docker_client: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Daemon]:
    """A sandboxd with one other toolchain."""
    target, arguments = request.param
    with _built({target: (target, arguments)}, docker_client) as templates:
        daemon = Daemon(tmp_path_factory.mktemp("toolchain"), templates, made=DockerMade(docker_client, {}))
        daemon.start()
        yield daemon
        daemon.stop()


async def work(daemon: Daemon, template: str, command: str | list[str], workspace: str = "app") -> RunResult:
    """Run a command as the API would have it run."""
    if isinstance(command, str):
        language, code = "bash", agent_script(command, WORKSPACE_FOLDER)
    else:
        language, code = PROGRAM, agent_program(command, WORKSPACE_FOLDER)
    return await daemon.run(language, code, tenant="one", workspace=workspace, template=template, timeout_seconds=60)


async def out(daemon: Daemon, template: str, command: str | list[str], workspace: str = "app") -> str:
    """What a command says that must succeed."""
    result = await work(daemon, template, command, workspace)
    assert (result.reason, result.exit_code) == ("exited", 0), result
    return result.stdout.decode()


async def test_the_python_type_runs_a_packages_test_suite(toolchains: Daemon) -> None:
    """What an agent changed must be testable where it changed it."""
    await out(toolchains, "python", f"printf '{PACKAGE}' > app.py; printf '{SUITE}' > test_app.py")
    assert "1 passed" in await out(toolchains, "python", ["pytest", "-q", "-p", "no:cacheprovider"])
    assert await out(toolchains, "python", ["ruff", "check", "--no-cache", "--isolated", "-q"]) == ""


async def test_the_security_type_finds_a_fault_that_another_type_wrote(toolchains: Daemon) -> None:
    """An agent that judges its own work judges nothing."""
    await out(toolchains, "python", f"printf '{FAULT}' > fault.py", "judged")
    result = await work(toolchains, "security", ["bandit", "-q", "-f", "txt", "fault.py"], "judged")
    assert result.exit_code == 1, result
    assert b"B602" in result.stdout


async def test_the_node_type_has_the_cli_and_runs_a_packages_tests(toolchain: Daemon) -> None:
    """The CLI is what the type is for, and it must start under the sandbox's limits and without a network."""
    assert "(Claude Code)" in await out(toolchain, "node", ["claude", "--version"])
    package = '{"name": "app", "version": "1.0.0", "scripts": {"test": "node --test"}}'
    suite = 'require("node:test")("adds", () => require("node:assert").equal(1 + 1, 2))'
    await out(toolchain, "node", f"echo '{package}' > package.json; echo '{suite}' > app.test.js", "npm")
    assert "pass 1" in await out(toolchain, "node", ["npm", "test"], "npm")


@pytest.mark.parametrize("toolchain", [("rust", SMALL_RUST_TOOL)], indirect=True, ids=["rust with a small tool"])
async def test_the_rust_type_has_its_tool_and_neither_cargo_nor_a_compiler(toolchain: Daemon) -> None:
    """What built the tool is many times its size, and nothing that an agent needs."""
    assert "Usage" in await out(toolchain, "rust", ["minijinja-cli", "--help"])
    await out(toolchain, "rust", "echo 'fn {{ name }}() {}' > f.j2; echo '{\"name\": \"main\"}' > d.json", "rust")
    assert (await out(toolchain, "rust", ["minijinja-cli", "f.j2", "d.json"], "rust")).strip() == "fn main() {}"
    assert (await work(toolchain, "rust", ["cargo", "--version"])).exit_code == 127
    assert (await work(toolchain, "rust", ["rustc", "--version"])).exit_code == 127


async def test_without_a_shell_a_list_runs_and_keeps_every_rule_of_a_job(toolchains: Daemon) -> None:
    """The runner starts it itself: user, folder, exit codes and the way to fail are a shell's."""
    show = "import os, sys; print(os.getuid(), os.getcwd(), os.environ['HOME'], *sys.argv[1:])"
    said = await out(toolchains, "security", ["python3", "-c", show, "$HOME", "a b", "*"])
    assert said == "10001 /workspace /tmp $HOME a b *\n"
    for command, code, words in (
        (["no-such-program"], 127, b"no-such-program: not found"),
        (["/etc/passwd"], 126, b"/etc/passwd: Permission denied"),
        (["python3", "-c", "raise SystemExit(3)"], 3, b""),
        (["sh", "-c", "true"], 127, b"sh: not found"),
    ):
        result = await work(toolchains, "security", command)
        assert (result.exit_code, words in result.stderr) == (code, True), result
