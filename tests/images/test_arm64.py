"""The images for arm64, built and run on this machine by emulation."""

import contextlib
import hashlib
import io
import json
import subprocess
import tarfile
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from containers import Start, ended
from docker import DockerClient
from docker.errors import NotFound
from image_builds import CHECKOUT

from architectures.host_certificates import ca_bundle
from engine.paths import cache_directory
from engine.standins import build_command
from engine.standins.build_run import BuildRunner
from engine.standins.engine_log import EngineLog, StatusLine
from images.base import root_filesystem

pytestmark = [pytest.mark.soak, pytest.mark.timeout(7200)]
HANDLER = Path("/proc/sys/fs/binfmt_misc/qemu-aarch64")


def _added(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))


def _loadable(root: Path, file: Path, tag: str) -> None:
    """Write the system as an image of its own architecture: `docker import` calls everything the daemon's."""
    layer = io.BytesIO()
    root_filesystem.write_archive(root, layer)
    content = layer.getvalue()
    configuration = json.dumps(
        {
            "architecture": "arm64",
            "variant": "v8",
            "os": "linux",
            "config": {"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"], "Cmd": ["bash"]},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(content).hexdigest()}"]},
            "history": [{"created_by": "debootstrap --arch=arm64"}],
        }
    ).encode()
    manifest = [{"Config": "config.json", "RepoTags": [tag], "Layers": ["layer.tar"]}]
    with tarfile.open(file, "w") as archive:
        _added(archive, "layer.tar", content)
        _added(archive, "config.json", configuration)
        _added(archive, "manifest.json", json.dumps(manifest).encode())


@pytest.fixture(scope="module")
def arm64_base(daemon: DockerClient, run_name: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Debian for arm64 as an image."""
    if not HANDLER.exists() or "F" not in HANDLER.read_text().partition("flags:")[2].splitlines()[0]:
        pytest.skip("cannot be had here: the kernel knows no emulator for arm64 (qemu-user-static in binfmt_misc)")
    work = tmp_path_factory.mktemp("arm64")
    tag = f"{run_name}/base-arm64:1"
    packages = cache_directory() / "base" / "packages-arm64"
    root_filesystem.make(work / "root", packages, work / "log", lambda _: None, architecture="arm64")
    try:
        _loadable(work / "root", work / "base.tar", tag)
    finally:
        root_filesystem.forget(work / "root")
    subprocess.run(["docker", "load", "--quiet", "--input", str(work / "base.tar")], check=True, timeout=300)
    yield tag
    with contextlib.suppress(NotFound):
        daemon.images.remove(tag)


@contextlib.contextmanager
def _built(daemon: DockerClient, base: str, tag: str, context: Path, **more: Any) -> Generator[str]:
    """An image for arm64, from the same Dockerfile and context as for every other."""
    certificates = ca_bundle("auto")
    inputs: dict[str, Any] = {
        "context": {"location": str(context)},
        "buildArgs": {"BASE": base},
        "platforms": ["linux/arm64"],
        "tags": [tag],
        "exports": [{"docker": {}}],
        "network": "host",
        "secrets": {} if certificates is None else {"ca": certificates},
        **more,
    }
    with tempfile.TemporaryDirectory() as folder:
        command = build_command.build_command(inputs, CHECKOUT, build_command.find_builder(), Path(folder) / "id")
        BuildRunner().run(command, StatusLine(EngineLog(""), ""), set())
    yield tag
    with contextlib.suppress(NotFound):
        daemon.images.remove(tag)


@pytest.fixture(scope="module")
def arm64_runtime(daemon: DockerClient, run_name: str, arm64_base: str) -> Iterator[str]:
    """The runtime image."""
    with _built(daemon, arm64_base, f"{run_name}/runtime-arm64:1", CHECKOUT / "images" / "runtime") as tag:
        yield tag


@pytest.fixture(scope="module")
def arm64_agent(daemon: DockerClient, run_name: str, arm64_base: str) -> Iterator[str]:
    """An agent's, of the Python toolchain without a shell."""
    agent: dict[str, Any] = {
        "dockerfile": {"location": str(CHECKOUT / "images" / "agent" / "Dockerfile")},
        "target": "python-hardened",
    }
    with _built(daemon, arm64_base, f"{run_name}/agent-arm64:1", CHECKOUT / "images", **agent) as tag:
        yield tag


def test_an_agents_tools_run_on_arm64(daemon: DockerClient, arm64_agent: str, start: Start) -> None:
    """A tool's wheel with a program for one architecture fails on the other, at the user's."""
    assert daemon.images.get(arm64_agent).attrs["Architecture"] == "arm64"
    where = {"tmpfs": {"/workspace": "mode=1777", "/tmp": ""}, "read_only": True}
    for tool in ("pytest", "ruff", "bandit"):
        code, said = ended(start(arm64_agent, [tool, "--version"], **where), 300)
        assert (code, tool in said) == (0, True), said


def test_the_runtime_runs_on_arm64(daemon: DockerClient, arm64_runtime: str, start: Start) -> None:
    """An image that names an architecture somewhere builds on one and fails on the other, at the user's."""
    assert daemon.images.get(arm64_runtime).attrs["Architecture"] == "arm64"
    script = "import platform, psycopg, pydantic_core, uvloop; print(platform.machine())"
    assert ended(start(arm64_runtime, ["-c", script], entrypoint="python"), 300) == (0, "aarch64\n")


@pytest.mark.parametrize("role", ["api", "sandboxd"])
def test_a_role_without_its_settings_says_which_are_missing_on_arm64(
    arm64_runtime: str, start: Start, role: str
) -> None:
    """A file that a slimmed image lacks on one architecture only shows as a stack trace there."""
    code, said = ended(start(arm64_runtime, [role]), 300)
    assert code == 1
    assert "FLEET_" in said
    assert "Traceback" not in said
