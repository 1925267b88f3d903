"""This machine's control groups, and whether they are what they were.

A hierarchy of version 1 belongs to the whole machine, whoever mounts it. One that a container has added is in every
process's /proc/self/cgroup from then on; containerd looks for where it is mounted, finds no place, and neither Docker
nor Kubernetes reports a job that ran out of memory any more.
"""

from dataclasses import dataclass
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class ControlGroups:
    """What there is of them."""

    hierarchies: tuple[str, ...]
    """Those that a process is in, without where in them: that is its own matter."""
    controllers: tuple[tuple[str, str], ...]
    """Each that the kernel has, with the number of its hierarchy: 0 where it is in none of version 1."""
    places: tuple[str, ...]
    """What lies in their folder where version 1 is there; version 2 has its groups there, which come and go."""


def control_groups() -> ControlGroups:
    """What there is now."""
    # A kernel without version 1 has no such list.
    listed = Path("/proc/cgroups")
    lines = listed.read_text().splitlines() if listed.exists() else []
    controllers = [line.split() for line in lines if not line.startswith("#")]
    unified = (_ROOT / "cgroup.controllers").exists()
    return ControlGroups(
        hierarchies=tuple(sorted(line.split(":", 2)[1] for line in Path("/proc/self/cgroup").read_text().splitlines())),
        controllers=tuple((each[0], each[1]) for each in controllers),
        places=() if unified else tuple(sorted(each.name for each in _ROOT.iterdir())),
    )


def assert_unchanged(before: ControlGroups) -> None:
    """Fail where they are not those of `before`."""
    now = control_groups()
    assert now == before, (
        "the machine's control groups are not what they were before its tests: Docker and Kubernetes may no longer see "
        f"who ran out of memory.\nbefore: {before}\nnow:    {now}\n"
        "Unmount and remove what is new below /sys/fs/cgroup. A new hierarchy goes when it has no group any more: "
        "mount it once more (mount -t cgroup -o NAME none FOLDER), remove its groups depth first, unmount."
    )
