"""What a backend has made, seen from outside of sandboxd: by Docker, or by the kernel's control groups."""

import contextlib
import os
import shutil
import signal
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import docker
from docker.errors import APIError


class Made(Protocol):
    """One way of making sandboxes, as tests tell sandboxd of it and look at its work."""

    @property
    def environment(self) -> Mapping[str, str]:
        """What sandboxd is told of it."""
        ...

    def names(self, fleet: str) -> set[str]:
        """The sandboxes of a fleet, running or not."""
        ...

    def processes(self, fleet: str, name: str) -> list[int]:
        """Process IDs of one, on this machine; its first process comes first."""
        ...

    def remove_all(self, fleet: str) -> None:
        """Leave none of this fleet, whatever became of its sandboxd."""
        ...


@dataclass(frozen=True)
class DockerMade:
    """Containers of the Docker daemon, by label."""

    client: docker.DockerClient
    environment: Mapping[str, str]

    def containers(self, fleet: str) -> list[Any]:
        """Docker's own objects."""
        return self.client.containers.list(
            all=True, filters={"label": f"agent-fleet.fleet={fleet}"}, ignore_removed=True
        )

    def names(self, fleet: str) -> set[str]:
        """By their label."""
        return {container.name for container in self.containers(fleet)}

    def processes(self, fleet: str, name: str) -> list[int]:
        """As `docker top` says; none where it does not run yet, or no more."""
        container = next((each for each in self.containers(fleet) if each.name == name), None)
        try:
            said = container.top() if container is not None else {"Titles": ["PID"], "Processes": []}
        except APIError as error:
            if error.status_code not in (404, 409):
                raise
            return []
        return _parents_first(int(process[said["Titles"].index("PID")]) for process in said["Processes"])

    def remove_all(self, fleet: str) -> None:
        """By force."""
        for container in self.containers(fleet):
            container.remove(force=True)
        for volume in self.client.volumes.list(filters={"label": f"agent-fleet.fleet={fleet}"}):
            volume.remove()


@dataclass(frozen=True)
class OciMade:
    """Containers of an OCI runtime: a bundle and a control group each."""

    state: Path
    environment: Mapping[str, str]

    def bundle(self, fleet: str, name: str) -> Path:
        """Its folder with config.json."""
        return self.state / "fleets" / fleet / "bundles" / name

    def groups(self, fleet: str) -> list[Path]:
        """The folders of its control groups, one for each sandbox in each hierarchy."""
        hierarchies = {Path(line.split()[4]) for line in Path("/proc/self/mountinfo").read_text().splitlines()}
        found = (path / "agent-fleet" / fleet for path in hierarchies if path.is_relative_to("/sys/fs/cgroup"))
        return [group for path in found if path.is_dir() for group in path.iterdir() if group.is_dir()]

    def names(self, fleet: str) -> set[str]:
        """Whatever has a bundle or a control group."""
        bundles = self.bundle(fleet, "x").parent
        made = {path.name for path in bundles.iterdir()} if bundles.is_dir() else set[str]()
        return made | {group.name for group in self.groups(fleet)}

    def processes(self, fleet: str, name: str) -> list[int]:
        """As the kernel says."""
        found: set[int] = set()
        for group in (group for group in self.groups(fleet) if group.name == name):
            # It may go while it is looked at.
            with contextlib.suppress(OSError):
                found |= {int(line) for line in (group / "cgroup.procs").read_text().split()}
        return _parents_first(found)

    def remove_all(self, fleet: str) -> None:
        """By SIGKILL to what the control groups hold."""
        for group in self.groups(fleet):
            for process in (group / "cgroup.procs").read_text().split():
                os.kill(int(process), signal.SIGKILL)
        shutil.rmtree(self.state / "fleets" / fleet, ignore_errors=True)


def parent(process: int) -> int | None:
    """The process ID of a process's parent; None where it has gone."""
    try:
        return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None


def _parents_first(processes: Iterable[int]) -> list[int]:
    """Those whose parent is none of them come first: numbers say nothing once they have begun again from below."""
    found = {each: known for each in processes if (known := parent(each)) is not None}
    return sorted(found, key=lambda each: (found[each] in found, each))


@dataclass(frozen=True)
class Way:
    """One backend with one runtime, and the sandbox image as it is known there."""

    backend: str
    runtime: str
    image: str
    made: DockerMade | OciMade
