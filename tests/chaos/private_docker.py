"""A Docker daemon of the tests' own, beside the machine's: one that may be killed while sandboxes run in it."""

import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import docker
from docker.errors import DockerException

_START_SECONDS = 60
_STOP_SECONDS = 60
_LOAD_SECONDS = 280


class PrivateDocker:
    """A dockerd with a data folder, a socket and a containerd of its own, and without any network."""

    def __init__(self) -> None:
        """Make its folder; nothing is started."""
        # Not below the test's own folder: the path of a Unix socket may have 108 bytes.
        self.folder = Path(tempfile.mkdtemp(prefix="agent-fleet-docker-"))
        self.process: subprocess.Popen[bytes] | None = None
        self._containerd: subprocess.Popen[bytes] | None = None

    @property
    def host(self) -> str:
        """What DOCKER_HOST would be."""
        return f"unix://{self.folder}/docker.sock"

    @property
    def alive(self) -> bool:
        """Whether the daemon's process is there."""
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        if self._containerd is None:
            self._containerd = self._start_containerd()
        # In a network of its own: in the machine's it would take the bridge away from the daemon that is there already.
        command = [
            *("unshare", "--net", "dockerd", "--host", self.host, "--pidfile", f"{self.folder}/pid"),
            *("--containerd", f"{self.folder}/containerd.sock", "--log-level=warn"),
            *("--data-root", f"{self.folder}/data", "--exec-root", f"{self.folder}/run"),
            *("--bridge=none", "--iptables=false", "--ip-forward=false", "--ip-masq=false", "--userland-proxy=false"),
        ]
        # One that was killed leaves this behind, and the next would believe that it still runs where the number is
        # another process's by now.
        (self.folder / "pid").unlink(missing_ok=True)
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            assert self.alive, self.log()
            assert time.monotonic() < deadline, self.log()
            threading.Event().wait(0.1)

    def _start_containerd(self) -> subprocess.Popen[bytes]:
        # Apart from dockerd, as on every host with systemd: one that dockerd starts itself dies with it.
        settings = self.folder / "containerd.toml"
        settings.write_text('version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n')
        command = [
            *("containerd", "--config", str(settings), "--address", f"{self.folder}/containerd.sock"),
            *("--root", f"{self.folder}/containerd-data", "--state", f"{self.folder}/containerd-run"),
            *("--log-level", "warn"),
        ]
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)

    def kill(self) -> None:
        """Kill the daemon; its containers and its containerd stay, as after any crash of it."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(_STOP_SECONDS)

    def load(self, image: str) -> None:
        """Copy an image from the machine's own Docker, under the same ID."""
        with subprocess.Popen(["docker", "save", image], stdout=subprocess.PIPE) as saved:
            loaded = subprocess.run(
                ["docker", "--host", self.host, "load", "--quiet"],
                stdin=saved.stdout, capture_output=True, timeout=_LOAD_SECONDS, check=False,
            )  # fmt: skip
        assert loaded.returncode == 0, loaded.stderr

    def containers(self) -> list[str]:
        """The names of all containers, running or not."""
        client = docker.DockerClient(self.host, timeout=30)
        try:
            return [str(each.name) for each in client.containers.list(all=True, ignore_removed=True)]
        finally:
            client.close()

    def log(self) -> str:
        """The end of what the daemon has logged."""
        path = self.folder / "log"
        return path.read_text(errors="replace")[-3000:] if path.exists() else ""

    def remove(self) -> None:
        """Stop it and what it started, and remove its files."""
        if not self.alive:
            self.start()
        assert self.process is not None
        for container in self._containers():
            with suppress(DockerException):
                container.remove(force=True)
        self.process.terminate()
        try:
            self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
        if self._containerd is not None:
            self._containerd.terminate()
            self._containerd.wait(_STOP_SECONDS)
        # A shim whose daemon was killed at the wrong moment outlives its container, as on any host.
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if str(self.folder).encode() in (process / "cmdline").read_bytes():
                    os.kill(int(process.name), signal.SIGKILL)
        for mounted in self._mounts():
            subprocess.run(["umount", "--lazy", mounted], capture_output=True, check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _answers(self) -> bool:
        try:
            client = docker.DockerClient(self.host, timeout=5)
            client.ping()
            client.close()
        except DockerException:
            return False
        return True

    def _containers(self) -> list[Any]:
        client = docker.DockerClient(self.host, timeout=30)
        with suppress(DockerException):
            return client.containers.list(all=True, ignore_removed=True)
        return []

    def _mounts(self) -> list[str]:
        """What is mounted below the folder, the deepest first."""
        mounted = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
        return sorted((path for path in mounted if path.startswith(f"{self.folder}/")), reverse=True)
