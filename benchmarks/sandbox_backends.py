"""sandboxd with each of a host's backends, for measuring them beside each other."""

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import docker
from fleet_runtime.sandboxd.client import SandboxdClient
from fleet_runtime.sandboxd.oci_images import Images

BACKENDS = ("docker", "oci")
MEBIBYTE = 1024 * 1024


@dataclass(frozen=True)
class Measured:
    """One running sandboxd."""

    backend: str
    fleet: str
    client: SandboxdClient
    state: Path
    socket: Path

    def processes(self) -> list[list[int]]:
        """For each of its sandboxes: its processes on this machine, and what keeps it (Docker's shim)."""
        if self.backend == "docker":
            client = docker.from_env()
            try:
                found = client.containers.list(filters={"label": f"agent-fleet.fleet={self.fleet}"})
                first = [int(each.attrs["State"]["Pid"]) for each in found]
            finally:
                client.close()
            return [[_parent(pid), pid, *_children(pid)] for pid in first]
        pids = (self.state / "fleets" / self.fleet / "bundles").glob("*/pid")
        return [[pid, *_children(pid)] for pid in (int(path.read_text()) for path in pids)]

    def mebibytes_each(self) -> float:
        """The proportional set size (PSS) of one idle sandbox with all that keeps it, as a mean."""
        each = [sum(_pss(pid) for pid in group) for group in self.processes()]
        return sum(each) / len(each) / 1024


@contextmanager
def unpacked(image: str, wanted: bool) -> Generator[Path]:
    """A folder with an image of Docker's unpacked, where that is wanted."""
    folder = Path(tempfile.mkdtemp(prefix="agent-fleet-bench-", dir="/var/tmp"))
    folder.chmod(0o711)
    try:
        if wanted:
            saved = folder / "image.tar"
            subprocess.run(["docker", "save", "--output", str(saved), image], check=True, timeout=300)
            Images(folder / "images").unpack(saved, keep=1)
            saved.unlink()
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def sandboxd(backend: str, state: Path, template: Mapping[str, object]) -> Generator[Measured]:
    """A sandboxd of this program's own with one template, `default`; it takes all its sandboxes along when it goes."""
    fleet = f"bench-{secrets.token_hex(4)}"
    with tempfile.TemporaryDirectory() as folder:
        socket = Path(folder) / "sandboxd.sock"
        environment = {
            **os.environ,
            "FLEET_NAME": fleet,
            "FLEET_LOG_LEVEL": "warning",
            "FLEET_SANDBOXD_BACKEND": backend,
            "FLEET_OCI_STATE": str(state),
            "FLEET_SANDBOXD_SOCKET": str(socket),
            "FLEET_SANDBOX_TEMPLATES": json.dumps({"default": template}),
        }
        process = subprocess.Popen([sys.executable, "-m", "fleet_runtime", "sandboxd"], env=environment)
        try:
            yield Measured(backend, fleet, SandboxdClient(socket), state, socket)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)
            if left := left_over(fleet, state):
                print(f"sandboxd left behind: {', '.join(left)}", file=sys.stderr)


def left_over(fleet: str, state: Path) -> list[str]:
    """What there still is of a fleet's sandboxes: containers, bundles, control groups."""
    command = ["docker", "ps", "--all", "--quiet", "--filter", f"label=agent-fleet.fleet={fleet}"]
    containers = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout.split()
    bundles = [str(path) for path in (state / "fleets" / fleet).glob("bundles/*")]
    # Of version 2, and of version 1, where each controller has a folder.
    patterns = (f"agent-fleet/{fleet}/*", f"*/agent-fleet/{fleet}/*")
    groups = [str(path) for each in patterns for path in Path("/sys/fs/cgroup").glob(each) if path.is_dir()]
    return [*containers, *bundles, *groups]


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def _pss(pid: int) -> int:
    """Kibibytes; shared pages count in part."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0
